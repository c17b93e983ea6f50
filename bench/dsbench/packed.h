/* A packed copy of the inputs: each block of a workload compressed for itself, in a file of its
 * own, and where each lies. */
#ifndef DSBENCH_PACKED_H
#define DSBENCH_PACKED_H

#include "sequence.h"
#include "session.h"

#include <ds/codec.h>

struct packed {
    struct ds_file *file;
    uint32_t codec; /* enum ds_codec_format */
    uint64_t *offsets; /* of block i, bytes */
    uint64_t *bytes;   /* what it takes there */
    uint64_t packed_bytes;  /* all blocks together */
    uint64_t content_bytes;
};

/* packed_open packs all blocks of the sequence, on all processors. 0, or -errno after a complaint
 * with nothing left behind; the file has no name, so it goes with the process. */
int packed_open(struct session *session, const struct sequence *sequence, uint32_t codec,
                uint32_t level, struct packed *packed);
void packed_close(struct packed *packed);

#endif
