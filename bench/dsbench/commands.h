/* The jobs. Each returns the exit status. */
#ifndef DSBENCH_COMMANDS_H
#define DSBENCH_COMMANDS_H

#include "sequence.h"

int command_run(const struct options *options);
int command_demo(const struct options *options);
int command_compare(const struct options *options);
int command_marks(const struct options *options);
int command_sweep(const struct options *options);
int command_report(const struct options *options);
int command_diff(const struct options *options);
int command_codec(const struct options *options);
int command_frametime(const struct options *options);

/* workload_make: what the options ask for; `size` and `depth` where they leave them open. */
struct workload workload_make(const struct options *options, uint64_t size, uint32_t depth);

#endif
