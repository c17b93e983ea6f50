#include "chart.h"

#include "html.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH      600
#define HEIGHT     330
#define LEFT       66
#define RIGHT      150
#define TOP        38
#define BOTTOM     50
#define TICKS_MAX  40
#define LEGEND_ROW 18

/* A chart made ready to be drawn. */
struct frame {
    const struct chart *chart;
    double height;
    double x_least, x_most, y_least, y_most;
};

struct ticks {
    double at[TICKS_MAX];
    bool labelled[TICKS_MAX];
    uint32_t n;
};

struct chart_line *chart_line(struct chart *chart, const char *name, uint32_t color)
{
    struct chart_line *line;

    if (chart->lines_n == CHART_LINES_MAX)
        return NULL;
    line = &chart->lines[chart->lines_n++];
    *line = (struct chart_line){.color = color};
    snprintf(line->name, sizeof(line->name), "%s", name);
    return line;
}

void chart_point(struct chart *chart, struct chart_line *line, double x, double y)
{
    if (line == NULL || !isfinite(x) || !isfinite(y) || (chart->x.log && x <= 0) ||
        (chart->y.log && y <= 0))
        return;
    if ((line->n & (line->n - 1)) == 0) { /* full: the room doubles */
        double *larger =
            realloc(line->xy, (line->n == 0 ? 1 : (size_t)line->n * 2) * 2 * sizeof(*larger));

        if (larger == NULL) {
            chart->failed = true;
            return;
        }
        line->xy = larger;
    }
    line->xy[2 * (size_t)line->n] = x;
    line->xy[2 * (size_t)line->n + 1] = y;
    line->n++;
}

void chart_close(struct chart *chart)
{
    for (uint32_t i = 0; i < chart->lines_n; i++)
        free(chart->lines[i].xy);
    chart->lines_n = 0;
}

static const char *scaled(char *buffer, double value, const char *const *units, double step)
{
    while (units[1] != NULL && fabs(value) >= step * 0.9999) {
        value /= step;
        units++;
    }
    snprintf(buffer, CHART_VALUE_BYTES, "%.3g%s", value, *units);
    return buffer;
}

const char *chart_value(char *buffer, enum chart_unit unit, double value)
{
    static const char *const bytes[] = {" B", " KiB", " MiB", " GiB", NULL};
    static const char *const counts[] = {"", "k", "M", "G", NULL};
    static const char *const us[] = {" \xc2\xb5s", " ms", " s", NULL};

    switch (unit) {
    case CHART_BYTES:
        return scaled(buffer, value, bytes, 1024);
    case CHART_COUNT:
        return scaled(buffer, value, counts, 1000);
    case CHART_US:
        return scaled(buffer, value, us, 1000);
    case CHART_BYTES_PER_S:
        snprintf(buffer, CHART_VALUE_BYTES, "%.3g GB/s", value / 1e9);
        return buffer;
    case CHART_SECONDS:
        snprintf(buffer, CHART_VALUE_BYTES, "%.3g s", value);
        return buffer;
    case CHART_SHARE:
        snprintf(buffer, CHART_VALUE_BYTES, "%.0f %%", value * 100);
        return buffer;
    default:
        snprintf(buffer, CHART_VALUE_BYTES, "%.3g", value);
        return buffer;
    }
}

static double axis_position(const struct chart_axis *axis, double least, double most, double value)
{
    if (axis->log)
        return (log(value) - log(least)) / (log(most) - log(least));
    return (value - least) / (most - least);
}

static double x_at(const struct frame *f, double x)
{
    return LEFT + axis_position(&f->chart->x, f->x_least, f->x_most, x) * (WIDTH - LEFT - RIGHT);
}

static double y_at(const struct frame *f, double y)
{
    double position = axis_position(&f->chart->y, f->y_least, f->y_most, y);

    return f->height - BOTTOM - position * (f->height - TOP - BOTTOM);
}

/* 1, 2 or 5 times a power of ten, at least `value`. */
static double nice_above(double value)
{
    double power = pow(10, floor(log10(value)));
    double digit = value / power;

    return (digit <= 1.0001 ? 1 : digit <= 2.0001 ? 2 : digit <= 5.0001 ? 5 : 10) * power;
}

static double nice_below(double value)
{
    double power = pow(10, floor(log10(value) + 1e-9));
    double digit = value / power;

    return (digit >= 4.9999 ? 5 : digit >= 1.9999 ? 2 : 1) * power;
}

static void tick_add(struct ticks *ticks, double at, bool labelled)
{
    if (ticks->n == TICKS_MAX)
        return;
    ticks->labelled[ticks->n] = labelled;
    ticks->at[ticks->n++] = at;
}

static void ticks_linear(struct ticks *ticks, double least, double most)
{
    double step = nice_above((most - least) / 6);

    for (double at = ceil(least / step) * step; at <= most + step * 1e-6; at += step)
        tick_add(ticks, fabs(at) < step * 1e-6 ? 0 : at, true);
}

/* Up to two decades and a half: labels at 1, 2 and 5; above that only at the powers. */
static void ticks_log(struct ticks *ticks, double least, double most)
{
    bool fine = most / least < 320;

    for (double power = pow(10, floor(log10(least))); power <= most * 1.0001; power *= 10) {
        for (int digit = 1; digit < 10; digit++) {
            double at = power * digit;
            bool main = digit == 1 || digit == 2 || digit == 5;

            if (at >= least * 0.9999 && at <= most * 1.0001 && (main || !fine))
                tick_add(ticks, at, digit == 1 || (fine && main));
        }
    }
}

/* A tick for each value of x that occurs, as long as there is room. */
static void ticks_at_points(struct ticks *ticks, const struct chart *chart)
{
    for (uint32_t i = 0; i < chart->lines_n; i++) {
        for (uint32_t k = 0; k < chart->lines[i].n; k++) {
            double x = chart->lines[i].xy[2 * (size_t)k];
            uint32_t j = 0;

            while (j < ticks->n && ticks->at[j] != x)
                j++;
            if (j == ticks->n)
                tick_add(ticks, x, true);
        }
    }
}

static bool frame_fit(struct frame *f)
{
    const struct chart *c = f->chart;
    bool any = false;

    for (uint32_t i = 0; i < c->lines_n; i++) {
        for (uint32_t k = 0; k < c->lines[i].n; k++) {
            double x = c->lines[i].xy[2 * (size_t)k];
            double y = c->lines[i].xy[2 * (size_t)k + 1];

            f->x_least = any ? fmin(f->x_least, x) : x;
            f->x_most = any ? fmax(f->x_most, x) : x;
            f->y_least = any ? fmin(f->y_least, y) : y;
            f->y_most = any ? fmax(f->y_most, y) : y;
            any = true;
        }
    }
    if (!any)
        return false;
    if (f->x_least == f->x_most) { /* one column: some room on both sides */
        f->x_least = c->x.log ? f->x_least / 2 : f->x_least - 1;
        f->x_most = c->x.log ? f->x_most * 2 : f->x_most + 1;
    }
    if (c->y.log) {
        f->y_least = nice_below(f->y_least);
        f->y_most = nice_above(f->y_most);
        if (f->y_least == f->y_most)
            f->y_most *= 10;
    } else {
        f->y_least = fmin(0, f->y_least);
        f->y_most = c->y_most > 0 ? c->y_most : f->y_most <= 0 ? 1 : nice_above(f->y_most);
    }
    return true;
}

static void axes_write(FILE *out, const struct frame *f)
{
    const struct chart *c = f->chart;
    double right = WIDTH - RIGHT, bottom = f->height - BOTTOM;
    struct ticks xs = {0}, ys = {0};
    char text[CHART_VALUE_BYTES];

    if (c->x.ticks_at_points)
        ticks_at_points(&xs, c);
    else
        ticks_linear(&xs, f->x_least, f->x_most);
    if (c->y.log)
        ticks_log(&ys, f->y_least, f->y_most);
    else
        ticks_linear(&ys, f->y_least, f->y_most);
    for (uint32_t i = 0; i < ys.n; i++) {
        double y = y_at(f, ys.at[i]);

        fprintf(out, "<line class=\"%s\" x1=\"%d\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>",
                ys.labelled[i] ? "grid" : "grid minor", LEFT, right, y, y);
        if (ys.labelled[i])
            fprintf(out, "<text class=\"tick\" text-anchor=\"end\" x=\"%d\" y=\"%.1f\">%s</text>",
                    LEFT - 8, y + 4, chart_value(text, c->y.unit, ys.at[i]));
    }
    for (uint32_t i = 0; i < xs.n; i++) {
        double x = x_at(f, xs.at[i]);

        fprintf(out,
                "<line class=\"grid minor\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%.1f\"/>"
                "<text class=\"tick\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">%s</text>",
                x, x, TOP, bottom, x, bottom + 17, chart_value(text, c->x.unit, xs.at[i]));
    }
    fprintf(out,
            "<path class=\"axis\" d=\"M%d %d V%.1f H%.0f\"/>"
            "<text class=\"name\" text-anchor=\"middle\" x=\"%.0f\" y=\"%.1f\">",
            LEFT, TOP, bottom, right, (LEFT + right) / 2, f->height - 12);
    html_text(out, c->x.title);
    fputs("</text>", out);
}

static void line_write(FILE *out, const struct frame *f, const struct chart_line *line)
{
    char x_text[CHART_VALUE_BYTES], y_text[CHART_VALUE_BYTES];
    double bottom = f->height - BOTTOM;

    if (line->n == 0)
        return;
    fprintf(out, "<path class=\"%s c%u%s\" d=\"", line->filled ? "area" : "line", line->color,
            line->dashed ? " dashed" : "");
    if (line->filled)
        fprintf(out, "M%.1f %.1f", x_at(f, line->xy[0]), bottom);
    for (uint32_t i = 0; i < line->n; i++)
        fprintf(out, "%c%.1f %.1f", i == 0 && !line->filled ? 'M' : 'L',
                x_at(f, line->xy[2 * (size_t)i]), y_at(f, line->xy[2 * (size_t)i + 1]));
    if (line->filled)
        fprintf(out, "L%.1f %.1fZ", x_at(f, line->xy[2 * (size_t)line->n - 2]), bottom);
    fputs("\"/>", out);
    for (uint32_t i = 0; i < line->n && line->n <= TICKS_MAX && !line->filled; i++) {
        double x = line->xy[2 * (size_t)i], y = line->xy[2 * (size_t)i + 1];

        fprintf(out, "<circle class=\"dot c%u\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>",
                line->color, x_at(f, x), y_at(f, y));
        html_text(out, line->name);
        fprintf(out, ", %s: %s</title></circle>", chart_value(x_text, f->chart->x.unit, x),
                chart_value(y_text, f->chart->y.unit, y));
    }
}

static void legend_write(FILE *out, const struct frame *f)
{
    const struct chart *c = f->chart;
    int y = TOP + 8;

    for (uint32_t i = 0; i < c->lines_n; i++) {
        const struct chart_line *line = &c->lines[i];

        if (line->n == 0)
            continue;
        fprintf(out,
                "<path class=\"%s c%u%s\" d=\"M%d %d h20\"/>"
                "<text class=\"tick\" x=\"%d\" y=\"%d\">",
                line->filled ? "line thick" : "line", line->color, line->dashed ? " dashed" : "",
                WIDTH - RIGHT + 14, y, WIDTH - RIGHT + 40, y + 4);
        html_text(out, line->name);
        fputs("</text>", out);
        y += LEGEND_ROW;
    }
}

void chart_write(FILE *out, const struct chart *chart)
{
    struct frame f = {.chart = chart, .height = chart->height != 0 ? chart->height : HEIGHT};

    if (!frame_fit(&f))
        return;
    fprintf(out, "<svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"", WIDTH, f.height);
    html_text(out, chart->title);
    fputs("\"><text class=\"title\" x=\"0\" y=\"16\">", out);
    html_text(out, chart->title);
    fputs("</text>", out);
    if (chart->y.title != NULL) {
        fprintf(out, "<text class=\"name\" x=\"0\" y=\"%d\">", TOP - 6);
        html_text(out, chart->y.title);
        fputs("</text>", out);
    }
    axes_write(out, &f);
    for (uint32_t i = chart->lines_n; i > 0; i--) /* the first one on top */
        line_write(out, &f, &chart->lines[i - 1]);
    legend_write(out, &f);
    fputs("</svg>\n", out);
}
