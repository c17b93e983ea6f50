#include "engine_run.h"

#include "background.h"
#include "base.h"
#include "clients.h"
#include "drive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_BYTES  ((uint64_t)1 << 30)
#define WINDOW_BLOCKS ((uint64_t)1 << 24)

struct engine_run {
    struct session *session;
    struct workload workload;
    struct sequence sequence;
    struct target target;
    struct ds_memory *registered;  /* NULL = it is not */
    struct drive drive;
    struct open_loop *open_loop;   /* NULL = drive_pass or clients_pass */
    struct clients *clients;       /* NULL = none */
    struct timeline *timeline;     /* NULL = none */
    struct packed packed;          /* with workload.codec */
    struct background *background; /* NULL = none */
    uint32_t *order;   /* verified: of the blocks of one window */
    uint64_t window_n; /* blocks of the target */
    uint64_t random;
};

/* The target of a verified run takes the whole of the files, or a window of them that fits: half as
 * much with each refusal, and never more than a quarter of the memory. */
static int window_open(struct engine_run *run)
{
    uint64_t memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t size = run->workload.size;
    uint64_t most = min_u64(WINDOW_BYTES, memory_bytes / 4) / size;
    int error = -ENOMEM;

    run->window_n = min_u64(min_u64(most, WINDOW_BLOCKS), run->sequence.blocks_n);
    if (run->window_n == 0)
        run->window_n = 1;
    while (error != 0 && run->window_n > 0) {
        error =
            target_open(&run->target, run->session->dest, &run->session->gpu, run->window_n * size);
        if (error != 0)
            run->window_n /= 2;
    }
    if (error != 0)
        return error;
    run->order = calloc(run->window_n, sizeof(*run->order));
    return run->order == NULL ? -ENOMEM : 0;
}

/* An application that streams into host memory would have it registered, too. Where it is refused
 * the engine says why, and goes the longer way. */
static void target_register(struct engine_run *run)
{
    struct session *session = run->session;

    session->registered = false;
    if (session->dest != DEST_HOST || session->info.read != DS_READ_URING ||
        run->workload.codec != 0 || !session->options->registers)
        return;
    session->registered = ds_memory_register(session->engine, run->target.host, run->target.bytes,
                                             &run->registered) == 0;
}

static int run_target_open(struct engine_run *run)
{
    uint64_t bytes = run->workload.size * run->workload.depth;
    char size[SIZE_TEXT_BYTES];
    int error = run->workload.verify
                    ? window_open(run)
                    : target_open(&run->target, run->session->dest, &run->session->gpu, bytes);

    if (error == 0)
        target_register(run);
    else
        complain("no memory for a destination of %s: %s; use a smaller --size or --depth",
                 size_text(size, run->workload.verify ? run->workload.size : bytes),
                 strerror(-error));
    return error;
}

int engine_run_open(struct session *session, const struct workload *workload,
                    struct engine_run **run)
{
    struct engine_run *r = calloc(1, sizeof(*r));
    int error;

    if (r == NULL)
        return -ENOMEM;
    r->session = session;
    r->workload = *workload;
    r->random = workload->seed;
    error = sequence_open(&r->sequence, &session->inputs, workload, workload->verify);
    if (error == 0 && workload->codec != 0)
        error = packed_open(session, &r->sequence, workload->codec, workload->level, &r->packed);
    if (error == 0)
        error = run_target_open(r);
    if (error == 0) {
        r->drive = (struct drive){.session = session,
                                  .target = &r->target,
                                  .sequence = &r->sequence,
                                  .packed = workload->codec != 0 ? &r->packed : NULL,
                                  .depth = workload->depth,
                                  .priority = workload->priority,
                                  .by_block = workload->verify};
        if (workload->rate_per_s > 0)
            error = open_loop_open(&r->drive, workload->rate_per_s, workload->poisson,
                                   workload->seed, &r->open_loop);
        else if (workload->clients > 0)
            error = clients_open(&r->drive, workload->clients, &r->clients);
        else
            error = drive_open(&r->drive);
    }
    if (error == 0 && workload->timeline_ms > 0)
        error = timeline_open(session, workload->timeline_ms, &r->timeline);
    if (error == 0 && workload->background) {
        struct workload beside = background_workload(workload->seed);

        error = background_open(session, &beside, &r->background);
    }
    if (error != 0)
        engine_run_close(&r);
    else
        *run = r;
    return error;
}

void engine_run_close(struct engine_run **run)
{
    struct engine_run *r = *run;

    if (r == NULL)
        return;
    background_close(&r->background);
    timeline_close(&r->timeline);
    open_loop_close(&r->open_loop);
    clients_close(&r->clients);
    drive_close(&r->drive);
    packed_close(&r->packed);
    ds_memory_unregister(&r->registered);
    target_close(&r->target);
    sequence_close(&r->sequence);
    free(r->order);
    free(r);
    *run = NULL;
}

static void counters_read(const struct session *session, struct ds_counters *counters)
{
    counters->struct_size = sizeof(*counters);
    ds_engine_get_counters(session->engine, counters);
}

/* Adds nanoseconds; shares_finish makes fractions of them. */
static void shares_add(struct stage_share *shares, const struct ds_counters *before,
                       const struct ds_counters *after)
{
    for (uint32_t i = 0; i < DS_STAGE_COUNT; i++) {
        const struct ds_stage_counters *a = &before->stages[i];
        const struct ds_stage_counters *b = &after->stages[i];

        shares[i].items += b->items - a->items;
        shares[i].bytes += b->bytes - a->bytes;
        shares[i].batches += b->batches - a->batches;
        shares[i].parks += b->parks - a->parks;
        shares[i].in_flight +=
            (double)(after->stage_latency_ns[i].sum - before->stage_latency_ns[i].sum);
        shares[i].busy += (double)(b->busy_ns - a->busy_ns);
        shares[i].waiting_credit += (double)(b->wait_credit_ns - a->wait_credit_ns);
        shares[i].waiting += (double)(b->wait_credit_ns - a->wait_credit_ns) +
                             (double)(b->wait_device_ns - a->wait_device_ns);
    }
}

/* Idle is the rest: idle_ns would include the time before the run, which a parked thread counts
 * when it wakes. */
static void shares_finish(struct stage_share *shares, uint32_t lanes, uint64_t wall_ns)
{
    for (uint32_t i = 0; i < DS_STAGE_COUNT; i++) {
        double whole = (double)wall_ns * (i == DS_STAGE_READ && lanes > 0 ? lanes : 1);
        struct stage_share *s = &shares[i];

        s->in_flight /= wall_ns > 0 ? (double)wall_ns : 1; /* Little's law */
        if (whole < s->busy + s->waiting)
            whole = s->busy + s->waiting;
        if (whole <= 0)
            whole = 1;
        s->busy /= whole;
        s->waiting /= whole;
        s->waiting_credit /= whole;
        s->idle = 1 - s->busy - s->waiting;
    }
}

static int pass_run(struct engine_run *run, uint64_t issue_max, const char *progress,
                     struct engine_result *result)
{
    const struct workload *w = &run->workload;
    struct ds_counters *counters = calloc(2, sizeof(*counters)); /* 100 KiB: too big a frame */
    uint64_t left_ns = 0;
    int error = 0;

    if (w->most_ns != 0)
        left_ns = w->most_ns > result->measure.wall_ns ? w->most_ns - result->measure.wall_ns : 1;
    if (w->requests_max != 0)
        issue_max = min_u64(issue_max, w->requests_max - result->measure.requests);
    run->drive.issue_max = issue_max;
    run->drive.latency_ns = &result->latency_ns;
    if (counters != NULL)
        counters_read(run->session, &counters[0]);
    run->drive.begin_ns = now_ns();
    run->drive.deadline_ns = left_ns == 0 ? 0 : run->drive.begin_ns + left_ns;
    if (run->open_loop != NULL)
        open_loop_pass(run->open_loop, &result->measure, &result->open);
    else if (run->clients != NULL)
        error = clients_pass(run->clients, &run->drive, &result->measure);
    else
        drive_pass(&run->drive, progress, &result->measure);
    if (counters != NULL) {
        counters_read(run->session, &counters[1]);
        shares_add(result->stages, &counters[0], &counters[1]);
        result->gpu_tiles += counters[1].gpu_decoded_tiles - counters[0].gpu_decoded_tiles;
        result->cpu_tiles += counters[1].cpu_decoded_tiles - counters[0].cpu_decoded_tiles;
        result->threads_bytes_per_s = counters[1].decode_threads_bytes_per_s;
        result->batch_ns = counters[1].decode_batch_ns;
        result->backlog_bytes = counters[1].decode_backlog_bytes;
        result->gpu_batches += counters[1].gpu_decode_batches - counters[0].gpu_decode_batches;
    }
    free(counters);
    return error;
}

static bool is_over(const struct engine_run *run, const struct engine_result *result)
{
    const struct workload *w = &run->workload;

    return result->measure.errors != 0 || interrupted ||
           (w->most_ns != 0 && result->measure.wall_ns >= w->most_ns) ||
           (w->requests_max != 0 && result->measure.requests >= w->requests_max);
}

/* Passes over the files until time or number are used up: window by window, each block once. */
static int verified_run(struct engine_run *run, const char *progress, struct engine_result *result)
{
    struct sequence *s = &run->sequence;
    const struct workload *w = &run->workload;

    result->verified = true;
    do {
        for (s->order_base = 0; s->order_base < s->blocks_n && !is_over(run, result);
             s->order_base += run->window_n) {
            uint32_t n = (uint32_t)min_u64(run->window_n, s->blocks_n - s->order_base);
            uint8_t poison = (uint8_t)random_next(&run->random);
            int error = target_poison(&run->target, poison);

            if (error != 0)
                return error;
            order_shuffle(run->order, n, w->sequential, &run->random);
            s->order = run->order;
            s->next = 0;
            error = pass_run(run, n, progress, result);
            if (error != 0 || result->measure.errors != 0)
                return error;
            error = verify_window(s, &run->target, n, run->drive.issued, poison, &result->verdict);
            if (error != 0)
                return error;
        }
    } while (!is_over(run, result) && result->measure.wall_ns < w->least_ns);
    return 0;
}

static int watched_run(struct engine_run *run, const char *progress, struct engine_result *result)
{
    int error = run->timeline == NULL ? 0 : timeline_start(run->timeline);

    if (error != 0)
        return error;
    if (run->workload.verify)
        error = verified_run(run, progress, result);
    else
        error = pass_run(run, UINT64_MAX, progress, result);
    if (run->timeline != NULL)
        timeline_stop(run->timeline);
    return error;
}

int engine_run_once(struct engine_run *run, const char *progress, struct engine_result *result)
{
    int error = 0;

    *result = (struct engine_result){0};
    if (run->background != NULL)
        error = background_start(run->background);
    if (error != 0)
        return error;
    if (run->packed.packed_bytes > 0)
        result->packed_ratio =
            (double)run->packed.content_bytes / (double)run->packed.packed_bytes;
    error = watched_run(run, progress, result);
    if (run->background != NULL)
        background_stop(run->background, &result->background);
    shares_finish(result->stages, run->session->info.read_lanes, result->measure.wall_ns);
    if (error == 0 && interrupted) {
        complain("interrupted");
        error = -EINTR;
    }
    return error;
}

const struct timeline *engine_run_timeline(const struct engine_run *run)
{
    return run->timeline;
}
