/* Did each byte arrive where it belongs? Compared with a plain buffered read of the file. */
#ifndef DSBENCH_VERIFY_H
#define DSBENCH_VERIFY_H

#include "sequence.h"
#include "target.h"

struct verdict {
    uint64_t bytes;      /* compared */
    uint64_t mismatches; /* bytes that differ */
};

/* verify_window compares the blocks of one pass: order[0..n) relative to order_base, block i at
 * i * size of the target; the blocks of the window that were not read must still be `poison`. Adds
 * to *verdict, and tells about the first mismatch. 0, or -errno after a complaint. */
int verify_window(const struct sequence *sequence, struct target *target, uint32_t window_n,
                  uint64_t n, uint8_t poison, struct verdict *verdict);

#endif
