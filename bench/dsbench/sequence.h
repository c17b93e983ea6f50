/* In which order a workload reads which places: one generator for the engine and its peers.
 *
 * The files are cut into blocks of the request size, numbered through all files. */
#ifndef DSBENCH_SEQUENCE_H
#define DSBENCH_SEQUENCE_H

#include "files.h"

/* One workload. */
struct workload {
    uint64_t size;  /* of a request, bytes */
    uint32_t depth; /* requests in flight */
    uint32_t clients; /* threads that enqueue and poll; 0 = completion callbacks do it */
    bool sequential;
    bool verify;
    uint32_t priority;     /* enum ds_priority */
    uint32_t codec;        /* enum ds_codec_format, 0 = none: blocks are packed, each for itself */
    uint32_t level;        /* of the packing */
    double rate_per_s;     /* open loop; 0 = `depth` requests are always in flight */
    bool poisson;          /* open loop: intervals are exponential, not fixed */
    uint32_t timeline_ms;  /* look at the counters at this interval; 0 = do not */
    bool background;       /* beside the load of background.h */
    uint64_t requests_max; /* 0 = no limit */
    uint64_t least_ns;     /* verified: pass again until then */
    uint64_t most_ns;      /* stop then; 0 = no limit */
    uint64_t seed;
};

/* One place to read. */
struct block {
    uint64_t index;  /* of the block */
    uint64_t offset; /* in the file, bytes */
    uint64_t bytes;  /* the size, or less at the end of a file */
    uint32_t file;
};

struct sequence {
    const struct inputs *inputs;
    uint64_t *first; /* of each file, the first block; then the total */
    uint64_t blocks_n;
    uint64_t size;
    uint64_t random;       /* state of the generator */
    uint64_t next;         /* position in the order */
    const uint32_t *order; /* relative to order_base, or NULL: random or sequential without end */
    uint64_t order_base;
    bool sequential;
};

/* sequence_open cuts the files. Partial blocks at the ends of files count only with `tails`, as in
 * fio. 0, or -errno after a complaint: a file is smaller than one block. */
int sequence_open(struct sequence *sequence, const struct inputs *inputs,
                  const struct workload *workload, bool tails);
void sequence_close(struct sequence *sequence);

/* sequence_block says where block `index` lies. */
struct block sequence_block(const struct sequence *sequence, uint64_t index);

/* sequence_next returns the next place. */
struct block sequence_next(struct sequence *sequence);

/* order_shuffle fills order[0..n) with a permutation of 0..n-1, or with the identity. */
void order_shuffle(uint32_t *order, uint32_t n, bool sequential, uint64_t *random);

#endif
