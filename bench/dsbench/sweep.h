/* What a sweep shows: a row a point, and on a terminal how far it is. */
#ifndef DSBENCH_SWEEP_H
#define DSBENCH_SWEEP_H

#include "report.h"

#define SWEEP_ID_BYTES 512

struct sweep_clock {
    uint64_t turns; /* runs of the engine and of raw, all together */
    uint64_t done;
    uint64_t start_ns;
    double turn_s; /* what a turn is expected to take, before any was measured */
};

void sweep_clock_start(struct sweep_clock *clock, uint64_t turns, double turn_s);
void sweep_clock_turn(struct sweep_clock *clock);
void sweep_clock_show(const struct sweep_clock *clock, uint64_t size, uint32_t depth,
                      uint32_t round, uint32_t rounds);
void sweep_clock_end(const struct sweep_clock *clock);

void sweep_head_print(FILE *out);
void sweep_row_print(FILE *out, const char *variant, const struct report *report);

#endif
