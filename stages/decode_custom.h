/* Requests that the application decodes (ds/custom.h).
 *
 *   stage --offered--> ds_custom_take -> application -> ds_custom_finish --finished--> stage
 *
 * Each chunk is an item from its offer until the stage has collected it. There are as many items as
 * chunks, so an offer never waits, and an application that takes nothing keeps what its requests
 * hold and nothing else: chunks, staging, and their share of the window beside realtime requests.
 * That share is kept on purpose, though the disk is done with them: it is what leaves the realtime
 * ones room in the arena. An item belongs to whoever popped it from an `offered` ring: a taker; or
 * the stage, when it sweeps up what was cancelled. The chunk and its request are the stage's
 * throughout, and outlive the item. */
#ifndef STAGES_DECODE_CUSTOM_H
#define STAGES_DECODE_CUSTOM_H

#include "engine/chunk.h"
#include "engine/queue.h"
#include "engine/ring.h"

#include <ds/custom.h>

/* CUSTOM and BUILTIN, each with its REALTIME requests first. */
#define CUSTOM_RINGS 4u

/* What the application keeps when the stage is opened anew: its eventfd, and ids of the past. */
struct custom_door {
    _Atomic int fd;      /* or -1; made at the first ds_custom_eventfd */
    uint32_t generation; /* of the last item; stage */
};

struct custom_config {
    const struct host *host;
    struct custom_door *door;
    struct sweep *sweep;  /* its event is that of the worker that runs the stage */
    uint32_t items_max;
    uint32_t select;      /* enum ds_custom_select: what is handed out; 0 = nothing */
    bool write_combined;  /* staging is */
};

struct custom_item {
    struct chunk *chunk;
    _Atomic uint64_t life;    /* generation << 32 | enum custom_state */
    struct custom_item *next; /* in the list of finished ones */
    int32_t error;            /* of the application's; finisher */
} CACHE_ALIGNED;

struct decode_custom {
    struct custom_config config;
    struct custom_item *items;       /* items_max */
    struct custom_item **free_items; /* stack */
    uint32_t free_n;
    uint32_t unannounced_n;          /* offered, not yet counted */
    struct custom_item *collected;   /* finished, off the list below */
    uint32_t sweep_left[CUSTOM_RINGS];
    uint32_t sweeping;               /* enum sweep_reason, or 0 */
    struct ring offered[CUSTOM_RINGS];
    /* Offered less taken. Below 0 while something is taken that has not been announced. */
    _Atomic int32_t untaken_n CACHE_ALIGNED;
    struct custom_item *_Atomic finished CACHE_ALIGNED; /* a stack */
};

/* decode_custom_open: 0 or -ENOMEM with nothing left behind. With select 0 it allocates nothing. */
int decode_custom_open(struct decode_custom *custom, const struct custom_config *config);
void decode_custom_close(struct decode_custom *custom);

/* By the stage's thread: */

/* decode_custom_wants: is the application to decode this request? */
bool decode_custom_wants(const struct decode_custom *custom, const struct request *request);

/* decode_custom_offer hands out a chunk that was read. False: it was cancelled; it has failed
 * then. */
bool decode_custom_offer(struct decode_custom *custom, struct chunk *chunk);

/* decode_custom_announce tells the application of what was offered since the last call. */
void decode_custom_announce(struct decode_custom *custom);

/* decode_custom_sweep ends some of what was offered and is void by now, if that was asked for.
 * Returns how many it looked at. */
uint32_t decode_custom_sweep(struct decode_custom *custom);

/* decode_custom_collect returns a chunk that is decoded, or has failed; or NULL. */
struct chunk *decode_custom_collect(struct decode_custom *custom);

/* decode_custom_out_n: chunks between their offer and their collection. */
uint32_t decode_custom_out_n(const struct decode_custom *custom);

/* decode_custom_pending: is there something to collect or to sweep? */
bool decode_custom_pending(const struct decode_custom *custom);

/* By any thread: the three calls of ds/custom.h. */
int decode_custom_take(struct decode_custom *custom, uint32_t select,
                       struct ds_custom_request *requests, uint32_t max);
int decode_custom_finish(struct decode_custom *custom, const struct ds_custom_result *results,
                         uint32_t n);
int decode_custom_eventfd(struct decode_custom *custom);

#endif
