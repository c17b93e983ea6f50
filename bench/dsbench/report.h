/* What is printed: blocks and tables for people, one JSON object a run for programs. */
#ifndef DSBENCH_REPORT_H
#define DSBENCH_REPORT_H

#include "engine_run.h"

#include <stdio.h>

#define PEER_REASON_BYTES 256

struct peer_report {
    enum peer peer;
    const char *name;
    const char *skipped;   /* why, or NULL */
    double requests_per_s; /* medians of the rounds */
    double bytes_per_s;
    double cpu_us_per_request;
    double ratio; /* the engine's requests_per_s over the peer's: median of pairs */
    double ratio_least;
    double ratio_most;
    double cpu_ratio; /* as ratio, of cpu_us_per_request */
    uint32_t rounds;
};

struct report {
    const struct session *session;
    const struct workload *workload;
    const struct engine_result *result;
    const struct timeline *timeline; /* or NULL */
    const char *id; /* sweep: what names the point; else NULL */
    /* compare, sweep: medians instead of result->measure's rates; else they are computed from it */
    double requests_per_s;
    double bytes_per_s;
    double cpu_us_per_request;
    double requests_per_s_least; /* of the runs */
    double requests_per_s_most;
    uint32_t rounds;
    const struct peer_report *peers;
    uint32_t peers_n;
};

/* report_make takes the rates from result->measure. */
struct report report_make(const struct session *session, const struct workload *workload,
                          const struct engine_result *result);

/* report_rates_median takes them from the runs' medians. */
struct series;
void report_rates_median(struct report *report, struct series *series);

/* report_bottleneck writes "disk (read stage: 3 % busy, 95 % waiting)". Returns buffer. */
#define BOTTLENECK_BYTES 128
const char *report_bottleneck(char *buffer, const struct session *session,
                              const struct engine_result *result);

/* The blocks. */
void report_workload(FILE *out, const struct session *session, const struct workload *workload);
void report_rates(FILE *out, const struct report *report);
void report_codec(FILE *out, const struct report *report); /* nothing without one */
void report_path(FILE *out, const struct session *session);
void report_stages(FILE *out, const struct report *report);

/* report_write writes one report as one line. */
void report_write(FILE *out, const struct report *report);

/* json_out_write lets `write` write to options->json, as report_json_write does. */
int json_out_write(const struct options *options, void (*write)(FILE *out, void *ctx), void *ctx);

/* report_json_write writes the reports to options->json: one object a report, a line each. Nothing
 * without --json. 0, or -errno after a complaint. */
int report_json_write(const struct options *options, const struct report *reports, uint32_t n);

/* report_json_check finds out before the work whether options->json can be written. As above. */
int report_json_check(const struct options *options);

/* report_is_quiet: stdout belongs to JSON. */
bool report_is_quiet(const struct options *options);

#endif
