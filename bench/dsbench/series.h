/* The figures of several runs, and their medians. */
#ifndef DSBENCH_SERIES_H
#define DSBENCH_SERIES_H

#include "engine_run.h"

/* One figure of each run. */
struct series {
    double *requests_per_s;
    double *bytes_per_s;
    double *cpu_us_per_request;
    double *ratio;     /* a peer: the engine's requests_per_s over its own, in the same round */
    double *cpu_ratio; /* as ratio, of cpu_us_per_request */
    uint32_t n;
};

/* series_open has room for n runs. 0 or -ENOMEM. */
int series_open(struct series *series, uint32_t n);
void series_close(struct series *series);

/* series_add adds a run; `engine` is the neighbouring one to compare it with, or NULL. */
void series_add(struct series *series, const struct measure *measure,
                const struct measure *engine);

/* median_take sorts the values. 0 for none. */
double median_take(double *values, uint32_t n);

/* total_add adds a run to a sum of runs: histograms merge, shares are weighted by time. */
void total_add(struct engine_result *total, const struct engine_result *result);

#endif
