/* How much requests that are not REALTIME may have in flight while a REALTIME queue exists: all
 * that a realtime request can find ahead of it in the device.
 *
 * The window follows what it does to realtime requests. What a transfer takes alone is measured now
 * and then, for each size, by holding the others back for a moment; from then on the window shrinks
 * while transfers beside the others take longer than 1.5 times that, and grows while they do not.
 * Without realtime requests for a while it opens, but only so far that the next one is not late.
 *
 * Belongs to the submit stage; pure arithmetic, no clock of its own. */
#ifndef STAGES_WINDOW_H
#define STAGES_WINDOW_H

#include "engine/base.h"

#define WINDOW_MIN_BYTES   (64u << 10)  /* one chunk may always go */
#define WINDOW_START_BYTES (256u << 10)
#define WINDOW_MAX_BYTES   (4u << 20)
#define WINDOW_IDLE_BYTES  (512u << 10) /* without realtime requests for WINDOW_IDLE_NS, at least */
#define WINDOW_IDLE_NS     100000000u
#define WINDOW_AGE_NS      1000000000u  /* what a transfer takes alone is measured again */
#define WINDOW_QUIET_NS    500000u      /* how long the others are held back for it, at most */
#define WINDOW_SAMPLES     8            /* of transfers alone, until their time is known */
#define WINDOW_TRIES       32           /* transfers, until that is given up for now */
#define WINDOW_SIZES       16           /* by powers of two, 4 KiB and below first */

struct window_alone {
    uint64_t ns;          /* what a transfer of this size takes; 0: not known yet */
    uint64_t measured_ns; /* when */
    uint64_t least_ns;    /* of the measurement under way */
    uint32_t samples;     /* of the measurement under way; WINDOW_SAMPLES: none is */
    uint32_t tries;       /* transfers since it began, alone or not */
};

/* A realtime transfer under way. */
struct window_transfer {
    uint64_t sent_ns;
    uint32_t bytes;
    bool alone;           /* nothing else was in flight when it began */
    uint64_t admitted;    /* ordinary chunks until then */
};

struct window {
    uint64_t bytes;       /* the window */
    uint64_t in_flight;   /* bytes of ordinary chunks */
    uint64_t admitted;    /* ordinary chunks ever */
    uint64_t seen_ns;     /* the last realtime transfer began or ended; 0: none ever */
    uint32_t realtime_n;  /* in flight */
    bool quiet;           /* the others are held back, to measure */
    struct window_alone alone[WINDOW_SIZES];
};

void window_init(struct window *window);

/* window_admits: may an ordinary chunk of so many bytes go now? */
bool window_admits(struct window *window, uint32_t bytes, uint64_t now_ns);

/* An ordinary chunk goes, and comes back. Counted without a REALTIME queue too. */
static inline void window_ordinary_begin(struct window *window, uint32_t bytes)
{
    window->in_flight += bytes;
    window->admitted++;
}

static inline void window_ordinary_end(struct window *window, uint32_t bytes)
{
    DS_ASSERT(window->in_flight >= bytes);
    window->in_flight -= bytes;
}

/* A realtime transfer begins; *transfer is kept until it ends. */
void window_realtime_begin(struct window *window, struct window_transfer *transfer, uint32_t bytes,
                           uint64_t now_ns);
void window_realtime_end(struct window *window, const struct window_transfer *transfer,
                         uint64_t now_ns);

#endif
