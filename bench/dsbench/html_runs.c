/* The sections of comparisons and single runs. */
#include "chart.h"
#include "html.h"

#include "base.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define ROW_HEIGHT    26
#define PLOT_WIDTH    1160
#define PLOT_LEFT     400
#define PLOT_RIGHT    110
#define PLOT_TOP      30
#define SAMPLES_DRAWN 400 /* more are averaged: a screen has no more columns */

/* The rows of the plot of ratios: each peer of each comparison. */
struct ratios {
    const struct records *records;
    uint32_t rows;
    double least;
    double most;
};

typedef void (*peer_fn)(void *ctx, const struct record *record, const struct json_value *peer);

static void peers_visit(const struct records *records, peer_fn visit, void *ctx)
{
    for (uint32_t i = 0; i < records->n; i++) {
        const struct json_value *peers = json_get(records->list[i].document.root, "peers");

        if (!record_is(&records->list[i], "compare") || peers == NULL)
            continue;
        for (const struct json_value *p = peers->first; p != NULL; p = p->next) {
            if (json_real(p, "ratio", 0) > 0)
                visit(ctx, &records->list[i], p);
        }
    }
}

static void ratio_fit(void *ctx, const struct record *record, const struct json_value *peer)
{
    struct ratios *r = ctx;

    (void)record;
    r->rows++;
    r->least = fmin(r->least, json_real(peer, "ratio_min", 1));
    r->most = fmax(r->most, json_real(peer, "ratio_max", 1));
}

static double ratio_x(const struct ratios *r, double ratio)
{
    return PLOT_LEFT + (log(ratio) - log(r->least)) / (log(r->most) - log(r->least)) *
                           (PLOT_WIDTH - PLOT_LEFT - PLOT_RIGHT);
}

struct ratio_rows {
    FILE *out;
    const struct ratios *ratios;
    uint32_t row;
};

static void ratio_write(void *ctx, const struct record *record, const struct json_value *peer)
{
    struct ratio_rows *rows = ctx;
    const struct ratios *r = rows->ratios;
    double y = PLOT_TOP + ROW_HEIGHT * (rows->row++ + 0.5);
    double ratio = json_real(peer, "ratio", 1);
    char key[RECORD_KEY_BYTES];

    fprintf(rows->out, "<text class=\"tick\" x=\"0\" y=\"%.0f\">", y + 4);
    html_text(rows->out, record_key(key, record) + strlen("compare "));
    fprintf(rows->out, "</text><text class=\"value\" text-anchor=\"end\" x=\"%d\" y=\"%.0f\">",
            PLOT_LEFT - 14, y + 4);
    html_text(rows->out, json_text(peer, "name", "?"));
    fprintf(rows->out,
            "</text><path class=\"line %s\" d=\"M%.1f %.1fH%.1f\"/>"
            "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>"
            "<text class=\"value\" x=\"%d\" y=\"%.0f\">%.2f &#215;</text>",
            ratio >= 1 ? "c1" : "c2", ratio_x(r, json_real(peer, "ratio_min", ratio)), y,
            ratio_x(r, json_real(peer, "ratio_max", ratio)), ratio >= 1 ? "c1" : "c2",
            ratio_x(r, ratio), y, PLOT_WIDTH - PLOT_RIGHT + 20, y + 4, ratio);
}

static void ratio_axis(FILE *out, const struct ratios *r, double bottom)
{
    static const double marks[] = {0.1, 0.2, 0.5, 0.8, 1, 1.25, 2, 5, 10, 20, 50, 100, 1000};

    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        double x = ratio_x(r, marks[i]);

        if (marks[i] < r->least || marks[i] > r->most)
            continue;
        fprintf(out,
                "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%.0f\"%s/>"
                "<text class=\"tick\" text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">%g</text>",
                x, x, PLOT_TOP, bottom, marks[i] == 1 ? " style=\"stroke:var(--soft)\"" : "", x,
                PLOT_TOP - 8, marks[i]);
    }
}

int html_compares(FILE *out, const struct records *records)
{
    struct ratios ratios = {.records = records, .least = 0.75, .most = 1.35};
    struct ratio_rows rows = {.out = out, .ratios = &ratios};
    double height;

    peers_visit(records, ratio_fit, &ratios);
    if (ratios.rows == 0)
        return 0;
    ratios.least *= 0.95;
    ratios.most *= 1.05;
    height = PLOT_TOP + ROW_HEIGHT * ratios.rows + 10;
    fprintf(out,
            "<h2>Beside its peers</h2>\n<p>Requests a second of the engine over those of the "
            "peer, in neighbouring runs: the median, the least and the greatest. Right of 1 the "
            "engine is faster.</p>\n<div class=\"card\"><svg viewBox=\"0 0 %d %.0f\" role=\"img\" "
            "aria-label=\"ratios to peers\">",
            PLOT_WIDTH, height);
    ratio_axis(out, &ratios, height - 10);
    peers_visit(records, ratio_write, &rows);
    fputs("</svg></div>\n", out);
    return 0;
}

/* Single runs: a table, and what the stages did over time. */

static bool is_single(const struct record *record)
{
    return record_is(record, "run") || record_is(record, "demo") || record_is(record, "compare");
}

static void run_row(FILE *out, const struct record *record)
{
    const struct json_value *root = record->document.root;
    char key[RECORD_KEY_BYTES];

    fputs("<tr><td>", out);
    html_text(out, record_key(key, record));
    fprintf(out,
            "</td><td>%.3f</td><td>%.0f</td><td>%.2f</td><td>%.1f</td><td>%.1f</td>"
            "<td>%.1f</td></tr>\n",
            json_real(root, "result.bytes_per_s", 0) / 1e9,
            json_real(root, "result.requests_per_s", 0),
            json_real(root, "result.cpu_us_per_request", 0),
            json_real(root, "result.latency_us.p50", 0),
            json_real(root, "result.latency_us.p99", 0),
            json_real(root, "result.latency_us.p999", 0));
}

/* The mean of a member over `n` samples from `sample` on. */
static double samples_mean(const struct json_value *sample, uint32_t n, const char *member,
                           uint32_t element)
{
    double sum = 0;
    uint32_t seen = 0;

    for (; sample != NULL && seen < n; sample = sample->next, seen++) {
        const struct json_value *value = json_get(sample, member);

        if (value != NULL && value->type == JSON_ARRAY) {
            value = value->first;
            for (uint32_t i = 0; value != NULL && i < element; i++)
                value = value->next;
        }
        sum += value == NULL ? 0 : value->number;
    }
    return seen == 0 ? 0 : sum / seen;
}

static void timeline_line(struct chart *chart, struct chart_line *line,
                          const struct json_value *samples, uint32_t step, const char *member,
                          uint32_t element, const char *under)
{
    const struct json_value *sample = samples->first;

    while (sample != NULL) {
        double y = samples_mean(sample, step, member, element);

        if (under != NULL)
            y = fmin(1, y + samples_mean(sample, step, under, element));
        chart_point(chart, line, json_real(sample, "t", 0), y);
        for (uint32_t i = 0; sample != NULL && i < step; i++)
            sample = sample->next;
    }
}

static int timeline_chart(FILE *out, const struct json_value *samples, uint32_t step,
                          const char *stage, uint32_t index)
{
    char title[64];
    struct chart chart = {.title = title,
                          .height = 200,
                          .x = {.title = "seconds", .unit = CHART_SECONDS},
                          .y = {.unit = CHART_SHARE},
                          .y_most = 1};
    struct chart_line *line;
    int error;

    if (stage == NULL) {
        snprintf(title, sizeof(title), "Throughput");
        chart.y = (struct chart_axis){.unit = CHART_BYTES_PER_S};
        chart.y_most = 0;
        timeline_line(&chart, chart_line(&chart, "completed", 0), samples, step, "bytes_per_s", 0,
                      NULL);
    } else {
        snprintf(title, sizeof(title), "Stage: %s", stage);
        line = chart_line(&chart, "busy", 0);
        line->filled = true;
        timeline_line(&chart, line, samples, step, "busy", index, NULL);
        line = chart_line(&chart, "waiting", CHART_GREY);
        line->filled = true;
        timeline_line(&chart, line, samples, step, "waiting", index, "busy");
    }
    fputs("<div class=\"card\">", out);
    chart_write(out, &chart);
    fputs("</div>\n", out);
    error = chart.failed ? -ENOMEM : 0;
    chart_close(&chart);
    return error;
}

static int timeline_draw(FILE *out, const struct record *record)
{
    const struct json_value *root = record->document.root;
    const struct json_value *samples = json_get(root, "timeline.samples");
    const struct json_value *stages = json_get(root, "stages");
    uint32_t n = 0, index = 0;
    char key[RECORD_KEY_BYTES];
    int error;

    if (samples == NULL || samples->first == NULL || stages == NULL)
        return 0;
    for (const struct json_value *s = samples->first; s != NULL; s = s->next)
        n++;
    fputs("<h3>Over time: ", out);
    html_text(out, record_key(key, record));
    fputs("</h3>\n<div class=\"grid\">\n", out);
    n = (n + SAMPLES_DRAWN - 1) / SAMPLES_DRAWN;
    error = timeline_chart(out, samples, n, NULL, 0);
    for (const struct json_value *s = stages->first; error == 0 && s != NULL; s = s->next)
        error = timeline_chart(out, samples, n, json_text(s, "name", "?"), index++);
    fputs("</div>\n", out);
    return error;
}

int html_runs(FILE *out, const struct records *records)
{
    bool any = false;
    int error = 0;

    for (uint32_t i = 0; i < records->n; i++) {
        if (!is_single(&records->list[i]))
            continue;
        if (!any)
            fputs("<h2>Runs</h2>\n<div class=\"card\"><table><tr><th>run</th><th>GB/s</th>"
                  "<th>requests/s</th><th>CPU &micro;s/request</th><th>p50 &micro;s</th>"
                  "<th>p99 &micro;s</th><th>p99.9 &micro;s</th></tr>\n",
                  out);
        any = true;
        run_row(out, &records->list[i]);
    }
    if (any)
        fputs("</table></div>\n", out);
    for (uint32_t i = 0; error == 0 && i < records->n; i++) {
        if (is_single(&records->list[i]))
            error = timeline_draw(out, &records->list[i]);
    }
    return error;
}
