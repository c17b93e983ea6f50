/* The charts of a sweep. */
#include "chart.h"
#include "html.h"

#include "base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VARIANTS_MAX 96
#define VALUES_MAX   64

/* One way to run the engine. Those that differ only in how they read share a `group`. */
struct variant {
    char group[96];
    char read[24];
    char codec[16]; /* "none", "zstd" */
    size_t plain;   /* of group: what stands before the codec */
    bool nil; /* no disk: what is left is the way from staging to the destination */
};

struct point {
    uint32_t variant;
    double size;
    double depth;
    const struct json_value *root;
};

/* What the lines of a chart stand for. */
struct values {
    double at[VALUES_MAX];
    uint32_t n;
};

struct sweep_table {
    struct point *points;
    uint32_t n;
    struct variant variants[VARIANTS_MAX];
    uint32_t variants_n;
    struct values sizes;
    struct values depths;
};

/* One chart for each of these: how a member of the results is drawn. */
struct figure {
    const char *title;
    const char *member;
    const char *y_title;
    enum chart_unit unit;
    double scale;
    bool by_size; /* x is the size and a line is a depth; else the other way round */
    bool rooflines;
};

static const struct figure figures[] = {
    {"Throughput by request size", "result.bytes_per_s", "", CHART_BYTES_PER_S, 1, true, true},
    {"Throughput by depth", "result.bytes_per_s", "", CHART_BYTES_PER_S, 1, false, false},
    {"Median latency by depth", "result.latency_us.p50", "", CHART_US, 1, false, false},
    {"p99 latency by depth", "result.latency_us.p99", "", CHART_US, 1, false, false},
    {"Requests a second by request size", "result.requests_per_s", "", CHART_COUNT, 1, true,
     false},
    {"CPU time of a request by size", "result.cpu_us_per_request", "", CHART_US, 1, true, false},
};

static void value_add(struct values *values, double value)
{
    uint32_t i = 0;

    while (i < values->n && values->at[i] < value)
        i++;
    if ((i < values->n && values->at[i] == value) || values->n == VALUES_MAX)
        return;
    memmove(&values->at[i + 1], &values->at[i], (values->n - i) * sizeof(values->at[0]));
    values->at[i] = value;
    values->n++;
}

static uint32_t variant_find(struct sweep_table *t, const struct json_value *root)
{
    struct variant v = {0};
    const char *codec = json_text(root, "config.codec", "none");

    snprintf(v.group, sizeof(v.group), "%s threads, to %s, %s%s%s",
             json_text(root, "path.topology", "?"), json_text(root, "config.dest", "?"),
             json_text(root, "config.pattern", "?"),
             strcmp(codec, "none") == 0 ? "" : ", ", strcmp(codec, "none") == 0 ? "" : codec);
    snprintf(v.codec, sizeof(v.codec), "%s", codec);
    v.plain = strcmp(codec, "none") == 0 ? strlen(v.group) : strlen(v.group) - strlen(codec) - 2;
    v.nil = strcmp(json_text(root, "path.read", ""), "nil") == 0;
    snprintf(v.read, sizeof(v.read), "%s, %s", json_text(root, "path.read", "?"),
             json_text(root, "path.direct", "?"));
    for (uint32_t i = 0; i < t->variants_n; i++) {
        if (strcmp(t->variants[i].group, v.group) == 0 && strcmp(t->variants[i].read, v.read) == 0)
            return i;
    }
    if (t->variants_n < VARIANTS_MAX)
        t->variants[t->variants_n++] = v;
    return t->variants_n - 1;
}

static int table_fill(struct sweep_table *t, const struct records *records)
{
    t->points = calloc(records->n, sizeof(*t->points));
    if (t->points == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < records->n; i++) {
        const struct json_value *root = records->list[i].document.root;
        struct point *p = &t->points[t->n];

        if (!record_is(&records->list[i], "sweep"))
            continue;
        *p = (struct point){.variant = variant_find(t, root),
                            .size = json_real(root, "config.size", 0),
                            .depth = json_real(root, "config.depth", 0),
                            .root = root};
        value_add(&t->sizes, p->size);
        value_add(&t->depths, p->depth);
        t->n++;
    }
    return 0;
}

/* The last one wins where a point was measured more than once. */
static const struct point *point_find(const struct sweep_table *t, uint32_t variant, double size,
                                      double depth)
{
    for (uint32_t i = t->n; i > 0; i--) {
        const struct point *p = &t->points[i - 1];

        if (p->variant == variant && p->size == size && p->depth == depth)
            return p;
    }
    return NULL;
}

/* The best over all depths, for each size. */
static void roofline_add(struct chart *chart, const struct sweep_table *t, uint32_t variant,
                         const char *name, const char *member)
{
    struct chart_line *line = chart_line(chart, name, CHART_GREY);

    for (uint32_t s = 0; s < t->sizes.n; s++) {
        double best = 0;

        for (uint32_t d = 0; d < t->depths.n; d++) {
            const struct point *p = point_find(t, variant, t->sizes.at[s], t->depths.at[d]);
            double value = p == NULL ? 0 : json_real(p->root, member, 0);

            best = value > best ? value : best;
        }
        if (best > 0)
            chart_point(chart, line, t->sizes.at[s], best);
    }
    if (line != NULL)
        line->dashed = true;
}

static void rooflines_add(struct chart *chart, const struct sweep_table *t, uint32_t variant)
{
    roofline_add(chart, t, variant, "disk alone (raw)", "peers.bytes_per_s");
    for (uint32_t i = 0; i < t->variants_n; i++) {
        const struct variant *v = &t->variants[i];

        if (v->nil && v->plain == t->variants[variant].plain &&
            strncmp(v->group, t->variants[variant].group, v->plain) == 0) {
            roofline_add(chart, t, i, "copy alone (nil)", "result.bytes_per_s");
            break;
        }
    }
}

static int figure_write(FILE *out, const struct sweep_table *t, uint32_t variant,
                        const struct figure *figure)
{
    const struct values *xs = figure->by_size ? &t->sizes : &t->depths;
    const struct values *lines = figure->by_size ? &t->depths : &t->sizes;
    struct chart chart = {
        .title = figure->title,
        .x = {.title = figure->by_size ? "request size" : "requests in flight",
              .unit = figure->by_size ? CHART_BYTES : CHART_COUNT,
              .log = true,
              .ticks_at_points = true},
        .y = {.unit = figure->unit, .log = true},
    };
    uint32_t step = (lines->n + CHART_COLORS - 1) / CHART_COLORS;
    int error;

    for (uint32_t i = 0; i < lines->n; i += step > 0 ? step : 1) {
        char name[CHART_NAME], value[CHART_VALUE_BYTES];
        struct chart_line *line;

        snprintf(name, sizeof(name), "%s%s", figure->by_size ? "depth " : "",
                 chart_value(value, figure->by_size ? CHART_COUNT : CHART_BYTES, lines->at[i]));
        line = chart_line(&chart, name, i / (step > 0 ? step : 1) % CHART_COLORS);
        for (uint32_t k = 0; k < xs->n; k++) {
            const struct point *p =
                point_find(t, variant, figure->by_size ? xs->at[k] : lines->at[i],
                           figure->by_size ? lines->at[i] : xs->at[k]);

            if (p != NULL)
                chart_point(&chart, line, xs->at[k],
                            json_real(p->root, figure->member, 0) * figure->scale);
        }
    }
    if (figure->rooflines && !t->variants[variant].nil)
        rooflines_add(&chart, t, variant);
    fputs("<div class=\"card\">", out);
    chart_write(out, &chart);
    fputs("</div>\n", out);
    error = chart.failed ? -ENOMEM : 0;
    chart_close(&chart);
    return error;
}

static void variant_title(FILE *out, const struct variant *v)
{
    fputs("<h3>", out);
    html_text(out, v->group);
    fputs(v->nil ? ": no disk, the copy alone" : ", read by ", out);
    if (!v->nil)
        html_text(out, v->read);
    fputs("</h3>\n", out);
}

static int variant_write(FILE *out, const struct sweep_table *t, uint32_t variant)
{
    int error = 0;

    variant_title(out, &t->variants[variant]);
    fputs("<div class=\"grid\">\n", out);
    for (size_t i = 0; error == 0 && i < sizeof(figures) / sizeof(figures[0]); i++)
        error = figure_write(out, t, variant, &figures[i]);
    fputs("</div>\n", out);
    return error;
}

/* As short as a legend has room for: "shared, nil", "hybrid, zstd". */
static void variant_name(char name[CHART_NAME], const struct variant *v)
{
    const char *how = v->nil ? "nil" : v->read;

    if (strcmp(v->codec, "none") != 0)
        how = v->codec;
    snprintf(name, CHART_NAME, "%.*s, %.*s", (int)strcspn(v->group, " "), v->group,
             (int)strcspn(how, ","), how);
}

/* All variants at the greatest depth. */
static int variants_write(FILE *out, const struct sweep_table *t)
{
    double depth = t->depths.at[t->depths.n - 1];
    char title[96];
    struct chart chart = {
        .title = title,
        .x = {.title = "request size", .unit = CHART_BYTES, .log = true, .ticks_at_points = true},
        .y = {.unit = CHART_BYTES_PER_S, .log = true},
    };
    int error;

    snprintf(title, sizeof(title), "Throughput of all variants at depth %.0f", depth);
    for (uint32_t v = 0; v < t->variants_n; v++) {
        char name[CHART_NAME];
        struct chart_line *line;

        variant_name(name, &t->variants[v]);
        line = chart_line(&chart, name, v % CHART_COLORS);
        for (uint32_t s = 0; s < t->sizes.n; s++) {
            const struct point *p = point_find(t, v, t->sizes.at[s], depth);

            if (p != NULL)
                chart_point(&chart, line, p->size, json_real(p->root, "result.bytes_per_s", 0));
        }
        if (line != NULL)
            line->dashed = t->variants[v].nil;
    }
    fputs("<h3>All of them</h3><div class=\"card single\">", out);
    chart_write(out, &chart);
    fputs("</div>\n", out);
    error = chart.failed ? -ENOMEM : 0;
    chart_close(&chart);
    return error;
}

static void row_write(FILE *out, const struct sweep_table *t, const struct point *p)
{
    char text[CHART_VALUE_BYTES];
    double ratio = json_real(p->root, "peers.ratio", 0);

    fprintf(out, "<tr><td>%s</td><td>%.0f</td><td>", chart_value(text, CHART_BYTES, p->size),
            p->depth);
    html_text(out, t->variants[p->variant].group);
    fputs("</td><td>", out);
    html_text(out, t->variants[p->variant].read);
    fprintf(out,
            "</td><td>%.3f</td><td>%.0f</td><td>%.2f</td><td>%.1f</td><td>%.1f</td><td>",
            json_real(p->root, "result.bytes_per_s", 0) / 1e9,
            json_real(p->root, "result.requests_per_s", 0),
            json_real(p->root, "result.cpu_us_per_request", 0),
            json_real(p->root, "result.latency_us.p50", 0),
            json_real(p->root, "result.latency_us.p99", 0));
    if (ratio > 0)
        fprintf(out, "%.3f", ratio);
    fputs("</td></tr>\n", out);
}

static void table_write(FILE *out, const struct sweep_table *t)
{
    fputs("<details><summary>All points as a table</summary><div class=\"card\"><table>"
          "<tr><th>request</th><th>depth</th><th>engine</th><th>read</th><th>GB/s</th>"
          "<th>requests/s</th><th>CPU &micro;s/request</th><th>p50 &micro;s</th>"
          "<th>p99 &micro;s</th><th>/ raw</th></tr>\n",
          out);
    for (uint32_t i = 0; i < t->n; i++)
        row_write(out, t, &t->points[i]);
    fputs("</table></div></details>\n", out);
}

/* The best of what reads from the disk. */
static void tiles_write(FILE *out, const struct sweep_table *t)
{
    double bytes = 0, requests = 0, latency = 0;
    char text[CHART_VALUE_BYTES];

    for (uint32_t i = 0; i < t->n; i++) {
        const struct point *p = &t->points[i];
        double p50 = json_real(p->root, "result.latency_us.p50", 0);

        if (t->variants[p->variant].nil)
            continue;
        if (json_real(p->root, "result.bytes_per_s", 0) > bytes)
            bytes = json_real(p->root, "result.bytes_per_s", 0);
        if (json_real(p->root, "result.requests_per_s", 0) > requests)
            requests = json_real(p->root, "result.requests_per_s", 0);
        if (p50 > 0 && (latency == 0 || p50 < latency))
            latency = p50;
    }
    fputs("<div class=\"tiles\">", out);
    fprintf(out, "<div class=\"tile\"><b>%s</b><span>most throughput</span></div>",
            chart_value(text, CHART_BYTES_PER_S, bytes));
    fprintf(out, "<div class=\"tile\"><b>%s/s</b><span>most requests</span></div>",
            chart_value(text, CHART_COUNT, requests));
    fprintf(out, "<div class=\"tile\"><b>%s</b><span>least median latency</span></div></div>\n",
            chart_value(text, CHART_US, latency));
}

static int table_draw(FILE *out, const struct sweep_table *t)
{
    int error = 0;

    fputs("<h2>Size and depth</h2>\n<p>Each point is the median of its rounds. Dashed: what the "
          "disk gives without the engine (raw), and what the engine gives without the disk "
          "(nil), each the best over all depths.</p>\n",
          out);
    tiles_write(out, t);
    for (uint32_t i = 0; error == 0 && i < t->variants_n; i++) {
        if (!t->variants[i].nil)
            error = variant_write(out, t, i);
    }
    for (uint32_t i = 0; error == 0 && i < t->variants_n; i++) {
        if (t->variants[i].nil)
            error = variant_write(out, t, i);
    }
    if (error == 0 && t->variants_n > 1)
        error = variants_write(out, t);
    table_write(out, t);
    return error;
}

int html_sweeps(FILE *out, const struct records *records)
{
    struct sweep_table *t = calloc(1, sizeof(*t));
    int error = t == NULL ? -ENOMEM : table_fill(t, records);

    if (error == 0 && t->n > 0)
        error = table_draw(out, t);
    if (t != NULL)
        free(t->points);
    free(t);
    return error;
}
