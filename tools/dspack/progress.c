/* A line on the terminal that tells how far a long command is. */
#include "progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define BAR_COLUMNS 24
#define INTERVAL_NS ((uint64_t)100000000)

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void progress_begin(struct progress *progress, const char *verb, uint64_t total_bytes, bool quiet)
{
    *progress = (struct progress){.verb = verb,
                                  .total_bytes = total_bytes,
                                  .begin_ns = now_ns(),
                                  .visible = !quiet && isatty(STDERR_FILENO) == 1};
}

void progress_add(struct progress *progress, uint64_t bytes)
{
    static const char full[] = "########################", empty[] = "........................";
    uint64_t now;
    double part;
    int bar;

    progress->done_bytes += bytes;
    if (!progress->visible)
        return;
    now = now_ns();
    if (now - progress->shown_ns < INTERVAL_NS)
        return;
    progress->shown_ns = now;
    part = progress->total_bytes != 0
               ? (double)progress->done_bytes / (double)progress->total_bytes
               : 1;
    bar = (int)(part * BAR_COLUMNS);
    fprintf(stderr, "\r%s [%.*s%.*s] %3.0f %% of %.1f MB, %.0f MB/s\033[K", progress->verb, bar,
            full, BAR_COLUMNS - bar, empty, part * 100, (double)progress->total_bytes / 1e6,
            (double)progress->done_bytes * 1e3 / (double)(now - progress->begin_ns + 1));
    progress->dirty = true;
}

void progress_end(struct progress *progress)
{
    if (progress->dirty)
        fputs("\r\033[K", stderr);
    progress->dirty = false;
}
