/* dsbench report: saved results as one HTML page. */
#include "commands.h"
#include "html.h"

#include "base.h"
#include "files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1b2430;--soft:#5b6675;--line:#d9dee5;--faint:#eef1f4;"
    "--page:#f6f7f9;--card:#fff;"
    "--c0:#2563eb;--c1:#0d9488;--c2:#d97706;--c3:#dc2626;--c4:#7c3aed;--c5:#0284c7;--c6:#be185d;"
    "--c7:#4d7c0f;--c8:#8b95a3}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b5;--line:#39424f;"
    "--faint:#262d37;--page:#12161c;--card:#1a2028;"
    "--c0:#6ea8fe;--c1:#2dd4bf;--c2:#fbbf24;--c3:#f87171;--c4:#b79cff;--c5:#38bdf8;--c6:#f472b6;"
    "--c7:#a3e635;--c8:#7d8896}}\n"
    "body{margin:0;background:var(--page);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\n"
    "main{max-width:1240px;margin:0 auto;padding:28px 20px 60px}\n"
    "h1{font-size:26px;margin:0 0 4px}h2{font-size:20px;margin:40px 0 4px}"
    "h3{font-size:16px;margin:24px 0 8px}p{margin:2px 0 12px;color:var(--soft);max-width:90ch}\n"
    ".grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(520px,100%),1fr));"
    "gap:16px}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:8px;"
    "padding:14px 16px;overflow-x:auto}.single{max-width:580px}\n"
    ".tiles{display:flex;flex-wrap:wrap;gap:12px;margin:14px 0}\n"
    ".tile{background:var(--card);border:1px solid var(--line);border-radius:8px;"
    "padding:10px 16px;min-width:150px}"
    ".tile b{display:block;font-size:22px;font-weight:600}.tile span{color:var(--soft);"
    "font-size:13px}\n"
    "svg{width:100%;height:auto;display:block}\n"
    "svg text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:var(--soft)}"
    "svg text.title{font-size:14px;font-weight:600;fill:var(--ink)}"
    "svg text.value{fill:var(--ink)}"
    ".grid line,line.grid{stroke:var(--line);stroke-width:1}line.minor{stroke:var(--faint)}"
    ".axis{fill:none;stroke:var(--soft);stroke-width:1}"
    ".line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}"
    ".thick{stroke-width:9;opacity:.75}.dashed{stroke-dasharray:6 4}"
    ".area{fill:currentColor;opacity:.75}.bar{fill:currentColor}"
    ".dot{fill:var(--card);stroke:currentColor;stroke-width:2}\n"
    ".c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}"
    ".c4{color:var(--c4)}.c5{color:var(--c5)}.c6{color:var(--c6)}.c7{color:var(--c7)}"
    ".c8{color:var(--c8)}\n"
    "table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}"
    "th,td{text-align:right;padding:4px 8px;border-bottom:1px solid var(--line);"
    "white-space:nowrap}th{color:var(--soft);font-weight:500}"
    "td:first-child,th:first-child{text-align:left}\n"
    "summary{cursor:pointer;color:var(--soft);margin:12px 0}\n"
    "@media print{body{background:#fff}.card{break-inside:avoid}}\n";

void html_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
    }
}

void html_begin(FILE *out, const char *title)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>",
          out);
    html_text(out, title);
    fprintf(out, "</title><style>\n%s</style></head>\n<body><main>\n<h1>", style);
    html_text(out, title);
    fputs("</h1>\n", out);
}

void html_end(FILE *out)
{
    fputs("</main></body></html>\n", out);
}

bool record_is(const struct record *record, const char *command)
{
    return strcmp(json_text(record->document.root, "command", ""), command) == 0;
}

/* On which machine: what the first result says of its path. */
static void lead_write(FILE *out, const struct records *records)
{
    const struct json_value *path = NULL;

    for (uint32_t i = 0; path == NULL && i < records->n; i++)
        path = json_get(records->list[i].document.root, "path");
    fprintf(out, "<p>%u result%s", records->n, records->n == 1 ? "" : "s");
    if (path != NULL) {
        fputs(". Device: ", out);
        html_text(out, json_text(path, "device", "?"));
        fputs("; arena: ", out);
        html_text(out, json_text(path, "arena", "?"));
        fputs(" memory; ", out);
        html_text(out, json_text(path, "direct_reason", ""));
    }
    fputs(".</p>\n", out);
}

static int page_write(FILE *out, const struct records *records)
{
    int error;

    html_begin(out, "ds-runtime measurements");
    lead_write(out, records);
    error = html_sweeps(out, records);
    if (error == 0)
        error = html_compares(out, records);
    if (error == 0)
        html_frames(out, records);
    if (error == 0)
        error = html_runs(out, records);
    if (error == 0)
        html_codecs(out, records);
    html_end(out);
    return error;
}

static int page_save(const char *path, const struct records *records)
{
    FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    int error = out == NULL ? -errno : page_write(out, records);
    int end_error = out == NULL ? 0 : file_end(out);

    if (error == 0)
        error = end_error;
    if (error != 0)
        file_complain(path, error);
    return error;
}

int command_report(const struct options *options)
{
    struct records records = {0};
    int error = 0;

    for (uint32_t i = 0; error == 0 && i < options->files_n; i++)
        error = records_load(options->files[i], true, &records);
    if (error == 0 && records.n == 0) {
        complain("%s: no results", options->files[0]);
        error = -ENODATA;
    }
    if (error == 0)
        error = page_save(options->out, &records);
    records_free(&records);
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
