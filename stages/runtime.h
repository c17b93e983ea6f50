/* The composition root: an engine is its stages, the workers that run them, and its tables. */
#ifndef STAGES_RUNTIME_H
#define STAGES_RUNTIME_H

#include "engine/config.h"
#include "engine/file.h"
#include "stages/complete.h"
#include "stages/copy.h"
#include "stages/decode.h"
#include "stages/read.h"
#include "stages/submit.h"

#include <ds/vulkan.h>
#include <pthread.h>

/* A worker for each stage and lane, and one that is never launched: the copy stage of
 * DS_VULKAN_QUEUE_MANUAL, which the caller runs. */
#define WORKERS_MAX (DS_STAGE_COUNT + DS_READ_LANES_MAX)

/* How long the workers look before they sleep; most_ns: engine/spin.h. */
struct spin_times {
    uint32_t least_ns, most_ns;
};

struct ds_engine {
    struct host host;
    struct ds_engine_config config;   /* resolved */
    enum ds_topology topology;        /* never AUTO */
    enum ds_read_backend read_kind;   /* never AUTO */
    enum ds_copy_backend copy_kind;   /* never AUTO */
    char read_reason[160];

    struct staging staging;
    void *gpu_self;                   /* of copy_vulkan_ops, or NULL */
    int32_t arena_node;               /* NUMA node to take the arena from; -1: any */

    struct submit_stage submit;
    struct read_stage lanes[DS_READ_LANES_MAX];
    uint32_t lanes_n;
    struct decode_stage decode;
    uint32_t decode_threads;
    struct spin_times spin;
    struct copy_stage copy;
    struct complete_stage complete;

    struct worker workers[WORKERS_MAX];
    uint32_t workers_n;
    uint32_t started_n;               /* workers launched, or started by hand in MANUAL */
    struct worker *submit_worker, *decode_worker, *copy_worker, *complete_worker;
    struct worker *lane_workers[DS_READ_LANES_MAX];
    bool copy_is_manual;              /* copy_worker has no thread: ds_vulkan_collect runs it */
    _Atomic bool stepping;            /* MANUAL: some thread runs the stages */
    _Atomic bool cancels;             /* ds_queue_cancel was ever called */
    struct custom_door custom_door;   /* to what the application decodes; outlives the stage */
    struct sweep sweep;               /* of what waits for it */

    pthread_mutex_t control;          /* the tables below; never on the data path */
    uint64_t queues_used;
    bool broken;                      /* ds_engine_set_arena_bytes could not restore it */
    struct ds_file *files[FILES_MAX]; /* open, or closed with requests that were never submitted */
    uint32_t file_generation;
    struct ds_image *images;          /* as files */
    struct ds_memory *memories;       /* registered */
};

/* pipeline_topology is the rule of DS_TOPOLOGY_AUTO. */
enum ds_topology pipeline_topology(uint32_t cpus_n, uint32_t lanes_n);

/* pipeline_spin is the rule of ds_engine_config.spin_ns, given_ns. */
struct spin_times pipeline_spin(uint32_t cpus_n, uint32_t given_ns);

/* pipeline_plan chooses the topology, the workers and their CPUs, and the node of the arena (the
 * GPU half is open by then, if there is one); pipeline_connect adds the stages
 * to them (all opened by then), and tells each stage whom to wake. */
void pipeline_plan(struct ds_engine *engine);
void pipeline_connect(struct ds_engine *engine);

/* pipeline_start launches the workers; in MANUAL it starts their stages on this thread. 0 or
 * -errno. */
int pipeline_start(struct ds_engine *engine);
void pipeline_stop(struct ds_engine *engine);

/* engine_vulkan_info: of the engine's back end; zeros where it has none. */
struct ds_vulkan_info engine_vulkan_info(const struct ds_engine *engine);

/* engine_step runs every stage of a MANUAL engine once; -EBUSY while another thread does. */
int64_t engine_step(struct ds_engine *engine);

/* engine_pause waits a little for the engine to progress: for the control path, which waits for
 * conditions that have no event of their own. MANUAL: runs the stages. */
void engine_pause(struct ds_engine *engine, struct event *event, uint32_t key);

/* engine_sweep_closing: a queue, a file or an image waits for its requests to end. */
void engine_sweep_closing(struct ds_engine *engine);

/* files_close_all frees what closed files left behind. */
void files_close_all(struct ds_engine *engine);

/* memories_pin_again registers the application's memory with lanes that are made anew. */
void memories_pin_again(struct ds_engine *engine);

/* images_close_all does so for images. */
void images_close_all(struct ds_engine *engine);

#endif
