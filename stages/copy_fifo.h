/* Chunks that the copy stage has set aside, in the order in which they came. One thread. */
#ifndef STAGES_COPY_FIFO_H
#define STAGES_COPY_FIFO_H

#include "engine/chunk.h"
#include "engine/host.h"

struct copy_fifo {
    struct chunk **chunks; /* NULL: not open, and empty */
    uint32_t mask, head, tail;
};

/* copy_fifo_open makes room for all the chunks there are. False: no memory. */
static inline bool copy_fifo_open(struct copy_fifo *fifo, const struct host *host,
                                  uint32_t chunks_max)
{
    fifo->mask = round_up_power_of_two(chunks_max) - 1;
    fifo->chunks = host_calloc(host, fifo->mask + 1, sizeof(struct chunk *));
    return fifo->chunks != NULL;
}

static inline void copy_fifo_close(struct copy_fifo *fifo, const struct host *host)
{
    host_free(host, fifo->chunks, (fifo->mask + 1) * sizeof(struct chunk *));
    fifo->chunks = NULL;
}

static inline uint32_t copy_fifo_n(const struct copy_fifo *fifo)
{
    return fifo->tail - fifo->head;
}

static inline void copy_fifo_push(struct copy_fifo *fifo, struct chunk *chunk)
{
    DS_ASSERT(copy_fifo_n(fifo) <= fifo->mask);
    fifo->chunks[fifo->tail++ & fifo->mask] = chunk;
}

/* copy_fifo_first: of one that is not empty. */
static inline struct chunk *copy_fifo_first(const struct copy_fifo *fifo)
{
    return fifo->chunks[fifo->head & fifo->mask];
}

static inline void copy_fifo_drop_first(struct copy_fifo *fifo)
{
    fifo->head++;
}

#endif
