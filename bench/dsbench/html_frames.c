/* The sections of frame times, and of what codecs do in memory. */
#include "html.h"

#include "base.h"

#include <math.h>
#include <string.h>

#define ROW_HEIGHT 26
#define WIDTH      1160
#define LEFT       300 /* for what a row is */
#define RIGHT      330 /* for its figures */
#define TOP        30
#define TICKS      5

static double frame_ms(const struct record *record, const char *quantile)
{
    char member[48];

    snprintf(member, sizeof(member), "result.frame_ms.%s", quantile);
    return json_real(record->document.root, member, 0);
}

static void frame_label(FILE *out, const struct record *record)
{
    const struct json_value *config = json_get(record->document.root, "config");
    double groups = json_real(config, "scatter_groups", 0);
    char size[SIZE_TEXT_BYTES];

    if (strcmp(json_text(config, "load", ""), "idle") == 0) {
        fputs("idle", out);
        return;
    }
    html_text(out, json_text(config, "copy_path", "?"));
    fprintf(out, " %s depth %.0f", size_text(size, (uint64_t)json_real(config, "size", 0)),
            json_real(config, "depth", 0));
    if (groups > 0)
        fprintf(out, ", %.0f groups", groups);
}

/* A line from the median to the greatest, with a dot at p99. */
static void frame_row(FILE *out, const struct record *record, uint32_t row, double scale)
{
    double y = TOP + ROW_HEIGHT * (row + 0.5);
    bool idle = strcmp(json_text(record->document.root, "config.load", ""), "idle") == 0;
    const char *color = idle ? "c8" : "c0";

    fprintf(out, "<text x=\"0\" y=\"%.0f\">", y + 4);
    frame_label(out, record);
    fprintf(out,
            "</text><path class=\"line %s\" d=\"M%.1f %.1fH%.1f\"/>"
            "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>"
            "<text class=\"value\" x=\"%d\" y=\"%.0f\">p99 %.2f ms",
            color, LEFT + scale * frame_ms(record, "p50"), y,
            LEFT + scale * frame_ms(record, "max"), color,
            LEFT + scale * frame_ms(record, "p99"), y, WIDTH - RIGHT + 20, y + 4,
            frame_ms(record, "p99"));
    if (!idle)
        fprintf(out, ", %+.2f above idle, at %.2f GB/s",
                json_real(record->document.root, "result.p99_above_idle_ms", 0),
                json_real(record->document.root, "result.bytes_per_s", 0) / 1e9);
    fputs("</text>\n", out);
}

static void frame_axis(FILE *out, double most_ms, double scale, double bottom)
{
    double step = pow(10, floor(log10(most_ms / TICKS)));

    while (most_ms / step > 2 * TICKS)
        step *= 2;
    for (double ms = 0; ms <= most_ms; ms += step)
        fprintf(out,
                "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%.0f\"/>"
                "<text text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">%g ms</text>",
                LEFT + scale * ms, LEFT + scale * ms, TOP, bottom, LEFT + scale * ms, TOP - 8, ms);
}

void html_frames(FILE *out, const struct records *records)
{
    double most_ms = 0;
    uint32_t rows = 0;
    double scale, height;

    for (uint32_t i = 0; i < records->n; i++) {
        if (record_is(&records->list[i], "frametime")) {
            most_ms = fmax(most_ms, frame_ms(&records->list[i], "max"));
            rows++;
        }
    }
    if (rows == 0 || !(most_ms > 0) || !isfinite(most_ms))
        return;
    scale = (WIDTH - LEFT - RIGHT) / most_ms;
    height = TOP + ROW_HEIGHT * rows + 10;
    fprintf(out,
            "<h2>Frames beside a stream</h2>\n<p>From when a frame was due to its end: the "
            "median, p99 (the dot) and the greatest.</p>\n<div class=\"card\"><svg "
            "viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"frame times\">\n",
            WIDTH, height);
    frame_axis(out, most_ms, scale, height - 10);
    rows = 0;
    for (uint32_t i = 0; i < records->n; i++) {
        if (record_is(&records->list[i], "frametime"))
            frame_row(out, &records->list[i], rows++, scale);
    }
    fputs("</svg></div>\n", out);
}

static void codec_row(FILE *out, const struct json_value *root)
{
    double packed = json_real(root, "result.packed_bytes", 0);

    fputs("<tr><td>", out);
    html_text(out, json_text(root, "config.data", "?"));
    fputs("</td><td>", out);
    html_text(out, json_text(root, "config.codec", "?"));
    fputs("</td><td>", out);
    html_text(out, json_text(root, "config.path", ""));
    fprintf(out,
            "</td><td>%.0f</td><td>%.2f</td><td>%.3f</td><td>%.3f</td><td>%.3f</td></tr>\n",
            json_real(root, "config.threads", 1), json_real(root, "config.bytes", 0) / packed,
            json_real(root, "result.pack_bytes_per_s", 0) / 1e9,
            json_real(root, "result.unpack_bytes_per_s", 0) / 1e9,
            json_real(root, "result.unpack_bytes_per_cpu_s", 0) / 1e9);
}

void html_codecs(FILE *out, const struct records *records)
{
    bool any = false;

    for (uint32_t i = 0; i < records->n; i++) {
        const struct json_value *root = records->list[i].document.root;

        if (!record_is(&records->list[i], "codec") ||
            !(json_real(root, "result.packed_bytes", 0) > 0))
            continue;
        if (!any)
            fputs("<h2>Codecs in memory</h2>\n<div class=\"card\"><table><tr><th>data</th>"
                  "<th>codec</th><th>path</th><th>threads</th><th>ratio</th><th>pack GB/s</th>"
                  "<th>unpack GB/s</th><th>unpack GB / CPU second</th></tr>\n",
                  out);
        any = true;
        codec_row(out, root);
    }
    if (any)
        fputs("</table></div>\n", out);
}
