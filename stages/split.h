/* The part of the submit stage that turns one request into chunks. */
#ifndef STAGES_SPLIT_H
#define STAGES_SPLIT_H

#include "stages/submit.h"

/* split_begin prepares an entry that was just popped: its place in the orders of its queue, its
 * shape, its number of chunks. */
void split_begin(struct submit_stage *stage, struct request *r, uint64_t now_ns);

/* split_next makes chunk number `index` and sends it. False: no free chunk or no staging now. */
bool split_next(struct submit_stage *stage, struct request *r, uint32_t index, uint64_t now_ns);

/* split_plain is both for requests[0..n) in a row: reads with nothing special, of one chunk each.
 * Ends at the first that is not, or finds no credit. Returns how many were begun; if the last of
 * them is not done with, it is the flow's current one. */
uint32_t split_plain(struct submit_stage *stage, struct submit_flow *flow,
                     struct request *const *requests, uint32_t n, uint64_t now_ns);

/* submit_lane_flush hands a lane what is meant for it. */
void submit_lane_flush(struct submit_stage *stage, struct submit_lane *lane);

/* split_again gives staging to a chunk that could not go into its mapping, and sends it once more.
 * False: no staging now. */
bool split_again(struct submit_stage *stage, struct chunk *chunk, uint64_t now_ns);

/* submit_send hands a chunk to the next read lane. */
static inline void submit_send(struct submit_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    struct submit_lane *lane;

    if (!chunk->joins && ++stage->next_lane >= stage->lanes_n)
        stage->next_lane = 0;
    lane = &stage->lanes[stage->next_lane];
    join_sent(&stage->join, chunk);
    chunk_advance(chunk, CHUNK_FREE, CHUNK_READY);
    chunk->entered_ns = now_ns;
    lane->burst[lane->burst_n++] = chunk;
    if (UNLIKELY(lane->burst_n == SUBMIT_BURST))
        submit_lane_flush(stage, lane);
}

/* How large the chunks of a request may be; known once it has been shaped. */
static inline uint32_t request_chunk_bytes(const struct submit_stage *stage,
                                           const struct request *r)
{
    return r->small ? stage->small_bytes : stage->chunk_bytes;
}

/* What a chunk counts in the window of requests that are not REALTIME; alike at both ends. */
static inline uint32_t chunk_window_bytes(const struct chunk *chunk)
{
    return chunk->kind == CHUNK_NOTICE || chunk->kind == CHUNK_SIGNAL ? 0 : chunk->io_bytes;
}

#endif
