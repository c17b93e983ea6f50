/* One workload through the engine. */
#ifndef DSBENCH_ENGINE_RUN_H
#define DSBENCH_ENGINE_RUN_H

#include "measure.h"
#include "open_loop.h"
#include "timeline.h"
#include "verify.h"

struct stage_share {
    uint64_t items;
    uint64_t bytes;
    double busy; /* fractions of the run */
    double idle;
    double waiting;
    double waiting_credit; /* the part of waiting that was for memory, not for the device */
    double in_flight;      /* chunks in the stage, on average (submit: requests) */
    uint64_t batches;
    uint64_t parks;
};

struct engine_result {
    struct measure measure;
    struct ds_histogram latency_ns;
    struct verdict verdict;
    bool verified;
    double packed_ratio; /* content over packed bytes; 0 without a codec */
    struct measure background;
    struct open_result open; /* with workload.rate_per_s */
    struct stage_share stages[DS_STAGE_COUNT];
    uint64_t gpu_tiles, gpu_batches; /* decoded by the GPU */
    uint64_t cpu_tiles;              /* by the decode threads */
    uint64_t threads_bytes_per_s, batch_ns, backlog_bytes; /* as in the last counters */
};

/* An engine made ready for one workload: its queue, its order, its destination. */
struct engine_run;

/* engine_run_open: 0, or -errno after a complaint. */
int engine_run_open(struct session *session, const struct workload *workload,
                    struct engine_run **run);
void engine_run_close(struct engine_run **run);

/* engine_run_once measures once; may be called again. `progress` is shown on a terminal, NULL =
 * not. 0 with *result filled (failed requests are counted in it, and the first was complained
 * about), or -errno after a complaint: the run could not be made or compared. */
int engine_run_once(struct engine_run *run, const char *progress, struct engine_result *result);

/* engine_run_timeline returns that of the last run, or NULL. */
const struct timeline *engine_run_timeline(const struct engine_run *run);

#endif
