/* Line charts as SVG. */
#ifndef DSBENCH_CHART_H
#define DSBENCH_CHART_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CHART_LINES_MAX 12
#define CHART_NAME      64
#define CHART_COLORS    8
#define CHART_GREY      CHART_COLORS /* for what the others are compared with */

enum chart_unit {
    CHART_BYTES,       /* 4 KiB */
    CHART_COUNT,       /* 10k */
    CHART_BYTES_PER_S, /* GB/s */
    CHART_US,          /* us, ms, s */
    CHART_SECONDS,
    CHART_SHARE, /* 0..1 as percent */
    CHART_RATIO,
};

struct chart_axis {
    const char *title;
    enum chart_unit unit;
    bool log;
    bool ticks_at_points; /* x: a tick for each value that occurs */
};

struct chart_line {
    char name[CHART_NAME];
    uint32_t color;
    bool dashed;
    bool filled; /* down to the axis */
    double *xy;  /* pairs */
    uint32_t n;
};

struct chart {
    const char *title;
    struct chart_axis x;
    struct chart_axis y;
    double y_most; /* the top of a linear axis; 0 = by the data */
    uint32_t height; /* 0 = 330 */
    struct chart_line lines[CHART_LINES_MAX];
    uint32_t lines_n;
    bool failed; /* memory ran out */
};

/* chart_line adds a line, or returns NULL when there are CHART_LINES_MAX already. */
struct chart_line *chart_line(struct chart *chart, const char *name, uint32_t color);

/* chart_point adds a point to a line, or to nothing. Not finite: left out; on logarithmic axes what
 * is not positive too. */
void chart_point(struct chart *chart, struct chart_line *line, double x, double y);

/* chart_write writes an <svg>, or nothing for a chart without points. */
void chart_write(FILE *out, const struct chart *chart);
void chart_close(struct chart *chart);

/* chart_value writes a value with its unit. Returns buffer. */
#define CHART_VALUE_BYTES 32
const char *chart_value(char *buffer, enum chart_unit unit, double value);

#endif
