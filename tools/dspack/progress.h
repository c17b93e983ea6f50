/* A line on the terminal that tells how far a long command is. */
#ifndef DSPACK_PROGRESS_H
#define DSPACK_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *verb;
    uint64_t total_bytes;
    uint64_t done_bytes;
    uint64_t begin_ns;
    uint64_t shown_ns;
    bool visible; /* stderr is a terminal, and nobody asked for quiet */
    bool dirty;   /* a line is there that must be wiped */
};

void progress_begin(struct progress *progress, const char *verb, uint64_t total_bytes, bool quiet);

/* progress_add draws the bar anew at most ten times a second. */
void progress_add(struct progress *progress, uint64_t bytes);

/* progress_end wipes the bar; also before a message, after which the bar comes again. */
void progress_end(struct progress *progress);

#endif
