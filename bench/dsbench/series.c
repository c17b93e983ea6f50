#include "series.h"

#include <errno.h>
#include <stdlib.h>

#define FIGURES 5

int series_open(struct series *series, uint32_t n)
{
    double *values = calloc((size_t)n * FIGURES, sizeof(*values));

    if (values == NULL)
        return -ENOMEM;
    *series = (struct series){.requests_per_s = values,
                              .bytes_per_s = values + n,
                              .cpu_us_per_request = values + 2 * (size_t)n,
                              .ratio = values + 3 * (size_t)n,
                              .cpu_ratio = values + 4 * (size_t)n};
    return 0;
}

void series_close(struct series *series)
{
    free(series->requests_per_s);
    *series = (struct series){0};
}

static double quotient(double a, double b)
{
    return b > 0 ? a / b : 0;
}

void series_add(struct series *series, const struct measure *measure, const struct measure *engine)
{
    uint32_t i = series->n++;

    series->requests_per_s[i] = measure_requests_per_s(measure);
    series->bytes_per_s[i] = measure_bytes_per_s(measure);
    series->cpu_us_per_request[i] = measure_cpu_us_per_request(measure);
    if (engine == NULL)
        return;
    series->ratio[i] = quotient(measure_requests_per_s(engine), measure_requests_per_s(measure));
    series->cpu_ratio[i] =
        quotient(measure_cpu_us_per_request(engine), measure_cpu_us_per_request(measure));
}

static int number_order(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

double median_take(double *values, uint32_t n)
{
    if (n == 0)
        return 0;
    qsort(values, n, sizeof(*values), number_order);
    return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static double mean_weighted(double a, double a_weight, double b, double b_weight)
{
    return quotient(a * a_weight + b * b_weight, a_weight + b_weight);
}

void total_add(struct engine_result *total, const struct engine_result *result)
{
    double before = (double)total->measure.wall_ns;
    double now = (double)result->measure.wall_ns;

    total->measure.wall_ns += result->measure.wall_ns;
    total->measure.cpu_ns += result->measure.cpu_ns;
    total->measure.requests += result->measure.requests;
    total->measure.bytes += result->measure.bytes;
    total->measure.errors += result->measure.errors;
    total->packed_ratio = result->packed_ratio;
    ds_histogram_merge(&total->latency_ns, &result->latency_ns);
    for (uint32_t i = 0; i < DS_STAGE_COUNT && before + now > 0; i++) {
        struct stage_share *t = &total->stages[i];
        const struct stage_share *r = &result->stages[i];

        t->items += r->items;
        t->bytes += r->bytes;
        t->batches += r->batches;
        t->parks += r->parks;
        t->in_flight = mean_weighted(t->in_flight, before, r->in_flight, now);
        t->busy = mean_weighted(t->busy, before, r->busy, now);
        t->idle = mean_weighted(t->idle, before, r->idle, now);
        t->waiting = mean_weighted(t->waiting, before, r->waiting, now);
    }
}
