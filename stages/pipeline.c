/* Topology: which worker runs which stage, on which CPU, and who wakes whom. */
#include "stages/runtime.h"

#include "engine/clock.h"
#include "engine/cpus.h"
#include "stages/copy_vulkan.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define SPIN_NS 20000u
#define SPIN_MOST_NS 100000u /* what a small copy by a GPU takes, with its submission, and some */
#define SPIN_FEW_CPUS_NS 2000u
#define FEW_CPUS 4

/* The two threads of HYBRID: what waits for the disk, and what waits for the GPU. */
enum half { FRONT, BACK, HALVES };

static const struct {
    const char *thread_name;
    enum ds_stage first; /* whose stage_cpus entry it takes */
} halves[HALVES] = {
    [FRONT] = {"ds-front", DS_STAGE_SUBMIT},
    [BACK] = {"ds-back", DS_STAGE_COPY},
};

/* The pipeline, read from top to bottom. Each read lane is a row of its own at run time. */
static const struct {
    enum ds_stage stage;
    const char *thread_name; /* DEDICATED */
    enum half half;          /* HYBRID */
} pipeline[DS_STAGE_COUNT] = {
    {DS_STAGE_SUBMIT, "ds-submit", FRONT},
    {DS_STAGE_READ, "ds-read", FRONT},
    {DS_STAGE_DECODE, "ds-decode", FRONT},
    {DS_STAGE_COPY, "ds-copy", BACK},
    {DS_STAGE_COMPLETE, "ds-complete", BACK},
};

/* AUTO: the last row that has its CPUs and lanes. DEDICATED is in no row, and HYBRID is for lanes
 * that keep a GPU busy: behind a disk the wake-ups of a second thread take more than it gives
 * (docs/performance.md). */
static const struct {
    uint32_t cpus_least, lanes_least;
    enum ds_topology topology;
} automatic[] = {
    {1, 1, DS_TOPOLOGY_SHARED},
    {4, 2, DS_TOPOLOGY_HYBRID},
};

static struct worker *worker_new(struct ds_engine *engine, const char *name)
{
    struct worker *worker = &engine->workers[engine->workers_n++];

    DS_ASSERT(engine->workers_n <= WORKERS_MAX);
    worker_init(worker, &engine->host, name);
    worker->spin_ns = engine->spin.least_ns;
    worker->spin_most_ns = engine->spin.most_ns;
    return worker;
}

static struct worker **worker_of(struct ds_engine *engine, enum ds_stage stage, uint32_t lane)
{
    switch (stage) {
    case DS_STAGE_SUBMIT:
        return &engine->submit_worker;
    case DS_STAGE_READ:
        return &engine->lane_workers[lane];
    case DS_STAGE_DECODE:
        return &engine->decode_worker;
    case DS_STAGE_COPY:
        return &engine->copy_worker;
    case DS_STAGE_COMPLETE:
    case DS_STAGE_COUNT:
        break;
    }
    return &engine->complete_worker;
}

static bool has_threads_apart(enum ds_topology topology)
{
    return topology == DS_TOPOLOGY_DEDICATED || topology == DS_TOPOLOGY_HYBRID;
}

static int32_t cpu_for(const struct ds_engine *engine, const struct placement *placement,
                       enum ds_stage stage, uint32_t lane, uint32_t nth)
{
    const struct ds_engine_config *c = &engine->config;

    if (c->pin == DS_PIN_LIST)
        return c->stage_cpus[stage] == DS_CPU_ANY ? DS_CPU_ANY
                                                  : c->stage_cpus[stage] + (int32_t)lane;
    return nth < placement->n ? placement->ids[nth] : DS_CPU_ANY;
}

static void plan_dedicated(struct ds_engine *engine, const struct placement *placement)
{
    uint32_t nth = 0;

    for (uint32_t i = 0; i < DS_STAGE_COUNT; i++) {
        uint32_t lanes = pipeline[i].stage == DS_STAGE_READ ? engine->lanes_n : 1;

        for (uint32_t lane = 0; lane < lanes; lane++) {
            char name[16];
            struct worker *worker;

            snprintf(name, sizeof(name), lanes > 1 ? "%s-%u" : "%s", pipeline[i].thread_name, lane);
            worker = worker_new(engine, name);
            *worker_of(engine, pipeline[i].stage, lane) = worker;
            if (pipeline[i].stage == DS_STAGE_COPY && engine->copy_is_manual)
                continue;
            worker->cpu = cpu_for(engine, placement, pipeline[i].stage, lane, nth++);
        }
    }
}

/* Further read lanes have threads of their own: that is what they are for. */
static void plan_hybrid(struct ds_engine *engine, const struct placement *placement)
{
    struct worker *workers[HALVES];
    uint32_t nth = 0;

    for (uint32_t half = 0; half < HALVES; half++) {
        workers[half] = worker_new(engine, halves[half].thread_name);
        workers[half]->cpu = cpu_for(engine, placement, halves[half].first, 0, nth++);
    }
    for (uint32_t i = 0; i < DS_STAGE_COUNT; i++)
        *worker_of(engine, pipeline[i].stage, 0) = workers[pipeline[i].half];
    for (uint32_t lane = 1; lane < engine->lanes_n; lane++) {
        char name[24];

        snprintf(name, sizeof(name), "ds-read-%u", lane);
        engine->lane_workers[lane] = worker_new(engine, name);
        engine->lane_workers[lane]->cpu = cpu_for(engine, placement, DS_STAGE_READ, lane, nth++);
    }
    if (engine->copy_is_manual)
        engine->copy_worker = worker_new(engine, "ds-copy");
}

static void plan_shared(struct ds_engine *engine, const struct placement *placement)
{
    struct worker *worker = worker_new(engine, "ds-engine");

    worker->cpu = cpu_for(engine, placement, DS_STAGE_SUBMIT, 0, 0);
    for (uint32_t i = 0; i < DS_STAGE_COUNT; i++) {
        for (uint32_t lane = 0; lane < engine->lanes_n; lane++)
            *worker_of(engine, pipeline[i].stage, lane) = worker;
    }
    if (engine->copy_is_manual && engine->topology == DS_TOPOLOGY_SHARED)
        engine->copy_worker = worker_new(engine, "ds-copy");
}

/* Threads that decode beside the stages': the CPUs that these leave. */
static uint32_t plan_decode(const struct ds_engine *engine, uint32_t cpus_n)
{
    uint32_t taken = has_threads_apart(engine->topology) ? engine->workers_n : 1;
    bool alone = engine->topology == DS_TOPOLOGY_MANUAL ||
                 (engine->topology == DS_TOPOLOGY_SHARED && cpus_n <= 2);

    if (engine->config.decode_threads == DS_DECODE_INLINE ||
        engine->config.decode_threads == DS_DECODE_APPLICATION)
        return 0;
    if (engine->config.decode_threads != 0)
        return engine->config.decode_threads;
    return alone || cpus_n <= taken ? 0 : min_u32(cpus_n - taken, DS_DECODE_THREADS_MAX);
}

enum ds_topology pipeline_topology(uint32_t cpus_n, uint32_t lanes_n)
{
    enum ds_topology topology = automatic[0].topology;

    for (uint32_t i = 0; i < ARRAY_LENGTH(automatic); i++) {
        if (cpus_n >= automatic[i].cpus_least && lanes_n >= automatic[i].lanes_least)
            topology = automatic[i].topology;
    }
    return topology;
}

/* Threads that DS_PIN_AUTO pins. */
static uint32_t pinned_threads(const struct ds_engine *engine)
{
    if (engine->config.pin != DS_PIN_AUTO)
        return 0;
    if (engine->topology == DS_TOPOLOGY_HYBRID)
        return HALVES - 1 + engine->lanes_n;
    if (engine->topology == DS_TOPOLOGY_DEDICATED)
        return DS_STAGE_COUNT - 1 + engine->lanes_n - engine->copy_is_manual;
    return 0;
}

/* Two threads that spin on one CPU are worse than two that roam, and so is one beside the caller:
 * where there are not CPUs enough, none is pinned. */
static void place(struct ds_engine *engine, const struct cpus *cpus, struct placement *placement)
{
    int32_t gpu_node = engine->gpu_self != NULL ? copy_vulkan_node(engine->gpu_self)
                                                : CPUS_UNKNOWN;
    uint32_t threads = pinned_threads(engine);

    *placement = (struct placement){.node = CPUS_UNKNOWN};
    if (threads > 0) {
        cpus_place(cpus,
                   &(struct cpus_wish){
                       .threads = threads, .caller = sched_getcpu(), .node = gpu_node},
                   placement);
        host_log(&engine->host, DS_LOG_INFO, "%spinned: %s", placement->n == 0 ? "not " : "",
                 placement->reason);
    }
    engine->arena_node = CPUS_UNKNOWN;
    if (cpus->nodes_n > 1)
        engine->arena_node = placement->n > 0 ? placement->node : gpu_node;
}

/* Where CPUs are few, what spins keeps the one from working that it waits for: often the GPU. */
struct spin_times pipeline_spin(uint32_t cpus_n, uint32_t given_ns)
{
    if (given_ns != 0)
        return (struct spin_times){given_ns, given_ns};
    if (cpus_n < FEW_CPUS)
        return (struct spin_times){SPIN_FEW_CPUS_NS, SPIN_FEW_CPUS_NS};
    return (struct spin_times){SPIN_NS, SPIN_MOST_NS};
}

void pipeline_plan(struct ds_engine *engine)
{
    struct placement placement;
    struct cpus cpus;

    cpus_read(&cpus, CPUS_SYSFS);
    engine->spin = pipeline_spin(cpus.n, engine->config.spin_ns);
    engine->config.spin_ns = engine->spin.least_ns;
    engine->topology = engine->config.topology;
    if (engine->topology == DS_TOPOLOGY_AUTO)
        engine->topology = pipeline_topology(cpus.n, engine->lanes_n);
    place(engine, &cpus, &placement);
    if (engine->topology == DS_TOPOLOGY_DEDICATED)
        plan_dedicated(engine, &placement);
    else if (engine->topology == DS_TOPOLOGY_HYBRID)
        plan_hybrid(engine, &placement);
    else
        plan_shared(engine, &placement);
    engine->decode_threads = plan_decode(engine, cpus.n);
}

/* Whom to wake after a push from one worker to another: nobody within one. */
static struct event *edge(struct worker *from, struct worker *to)
{
    return from == to ? NULL : &to->event;
}

void pipeline_connect(struct ds_engine *engine)
{
    struct worker *submit = engine->submit_worker, *copy = engine->copy_worker;
    struct worker *decode = engine->decode_worker, *complete = engine->complete_worker;

    worker_add(submit, (struct stage){&submit_stage_ops, &engine->submit, &engine->submit.stats,
                                      false});
    for (uint32_t i = 0; i < engine->lanes_n; i++) {
        struct read_stage *lane = &engine->lanes[i];
        struct worker *worker = engine->lane_workers[i];

        worker_add(worker, (struct stage){&read_stage_ops, lane, &lane->stats,
                                          lane->backend->park_wakes_on_event});
        submit_add_lane(&engine->submit, &lane->in, edge(submit, worker));
        lane->copy_event = edge(worker, copy);
        lane->decode_event = edge(worker, decode);
    }
    worker_add(decode, (struct stage){&decode_stage_ops, &engine->decode, &engine->decode.stats,
                                      false});
    engine->decode.config.copy_event = edge(decode, copy);
    worker_add(copy, (struct stage){&copy_stage_ops, &engine->copy, &engine->copy.stats, false});
    worker_add(complete, (struct stage){&complete_stage_ops, &engine->complete,
                                        &engine->complete.stats, false});
    /* In DS_VULKAN_QUEUE_MANUAL the caller's thread submits, whichever runs the copy stage. */
    engine->copy.config.complete_event =
        engine->copy_is_manual ? &complete->event : edge(copy, complete);
    engine->complete.config.submit_event = edge(complete, submit);
}

static bool worker_has_thread(const struct ds_engine *engine, const struct worker *worker)
{
    if (engine->topology == DS_TOPOLOGY_MANUAL)
        return false;
    return !(engine->copy_is_manual && worker == engine->copy_worker);
}

int pipeline_start(struct ds_engine *engine)
{
    for (; engine->started_n < engine->workers_n; engine->started_n++) {
        struct worker *worker = &engine->workers[engine->started_n];
        int rc = worker_has_thread(engine, worker) ? worker_launch(worker)
                                                   : worker_start_stages(worker);

        if (rc != 0) {
            pipeline_stop(engine);
            return rc;
        }
    }
    return 0;
}

void pipeline_stop(struct ds_engine *engine)
{
    while (engine->started_n > 0) {
        struct worker *worker = &engine->workers[--engine->started_n];

        if (worker_has_thread(engine, worker))
            worker_stop(worker);
        else
            worker_stop_stages(worker);
    }
}

int64_t engine_step(struct ds_engine *engine)
{
    int64_t moved = 0;

    if (atomic_exchange_explicit(&engine->stepping, true, memory_order_acquire))
        return -EBUSY;
    for (uint32_t i = 0; i < engine->workers_n; i++)
        moved += worker_turn(&engine->workers[i]);
    /* release: pairs with the acquire above, on the thread that steps next */
    atomic_store_explicit(&engine->stepping, false, memory_order_release);
    return moved;
}

void engine_pause(struct ds_engine *engine, struct event *event, uint32_t key)
{
    if (engine->topology == DS_TOPOLOGY_MANUAL) {
        event_cancel(event);
        if (engine_step(engine) <= 0)
            sched_yield();
        return;
    }
    event_wait(event, key, EVENT_FOREVER);
}
