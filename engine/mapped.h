/* Which requests that name a mapping go straight into it. On a discrete GPU the CPU writes there
 * across the bus, and spares the GPU a copy; what that is worth follows from three figures. */
#ifndef ENGINE_MAPPED_H
#define ENGINE_MAPPED_H

#include "engine/base.h"

#define MAPPED_MIB ((uint64_t)1 << 20)

/* Smaller ones are not worth a look: what a request costs anyway is more than what is spared. */
#define MAPPED_ALONE_MIN_BYTES 4096u

/* What the CPU's time is, measured. */
struct mapped_figures {
    uint32_t mapping_ns; /* to write 1 MiB into the GPU's memory */
    uint32_t staging_ns; /* to write it to staging instead */
    uint32_t submit_ns;  /* to record and hand on a submission to the GPU; 0: not known */
};

struct mapped_limits {
    uint64_t max_bytes;       /* larger requests go by way of staging; UINT64_MAX: none do */
    uint64_t alone_max_bytes; /* likewise, with nothing else under way; >= max_bytes */
};

/* mapped_rule. Either way the CPU writes each byte once: the kernel out of the page cache, or we
 * out of the caller's memory. What differs is where to, and that only staging needs a submission.
 * The GPU's own time does not count: its copy engines have nothing else to do, whereas the CPU's
 * time is taken from the game. So the mapping is taken where it costs the CPU no more:
 *
 *   under load   a submission is shared by batch_bytes, so that a MiB pays but a fraction of
 *                submit_ns. If writing across the bus takes no longer than writing to staging and
 *                that, all requests go straight; else none do, of whatever size, since both sides
 *                grow with it.
 *   alone        a request spares a whole submission, and whoever waits for it the GPU's latency,
 *                which is longer still: worth it up to the size whose writing costs as much more.
 *                Not on a queue that signals: the signal takes a submission in any case.
 *
 * Codecs never: decoders read what they have written. Nor O_DIRECT: a disk transfer into a mapping
 * of the GPU's memory is refused (EFAULT: it has no pages), and to staging it costs the CPU nothing
 * for each byte. */
struct mapped_limits mapped_rule(const struct mapped_figures *figures, uint64_t batch_bytes);

#endif
