/* How long a thread looks for what nobody will wake it for, before it sleeps anyway.
 *
 * A thread that waits for the disk and for the GPU sleeps on the disk, and finds out late that the
 * GPU has ended. So it looks a while, as long as that has lately been worth it:
 *
 *   found what it looked for    the next look takes up to one and a half times as long as this one
 *   slept four times in a row   no longer looks for a while, which doubles each time
 *
 * No clock and no thread in here: the caller says what happened. */
#ifndef ENGINE_SPIN_H
#define ENGINE_SPIN_H

#include "engine/base.h"

struct spin {
    uint32_t least_ns; /* what a look takes at least */
    uint32_t most_ns;  /* and at most; equal: always */
    uint32_t limit_ns; /* the next one */
    uint32_t vain_n;   /* longer looks in vain since one was not */
    uint32_t rest_n;   /* sleeps before it tries longer ones again */
    uint32_t rest_next;
};

/* Begins with long looks. most_ns below least_ns counts as least_ns. */
void spin_init(struct spin *spin, uint32_t least_ns, uint32_t most_ns);

/* A look has found something after gap_ns. */
void spin_found(struct spin *spin, uint64_t gap_ns);

/* A look has not, and the thread sleeps. */
void spin_slept(struct spin *spin);

#endif
