/* Compressed content for the tests of requests with a codec. */
#ifndef CONFORMANCE_PACKED_H
#define CONFORMANCE_PACKED_H

#include "conformance/rig.h"

struct packed {
    enum ds_codec_format format;
    enum ds_codec_transform transform;
    uint8_t *plain;
    uint64_t plain_bytes;
    uint8_t *bytes;         /* compressed */
    uint64_t bytes_n;
};

/* packed_make fills *packed with content that depends on `seed`: partly random, partly repeating.
 * False: the format was left out of this build. */
bool packed_make(struct packed *packed, enum ds_codec_format format,
                 enum ds_codec_transform transform, uint64_t plain_bytes, uint64_t seed);
void packed_free(struct packed *packed);

/* packed_request reads the compressed bytes from memory, for host memory. */
struct ds_request packed_request(const struct packed *packed, void *host);

/* packed_store appends the compressed bytes to the rig's file, and returns their offset. */
uint64_t packed_store(struct rig *rig, const struct packed *packed);

/* packed_from_file is packed_request for bytes that packed_store wrote. */
struct ds_request packed_from_file(const struct rig *rig, const struct packed *packed,
                                   uint64_t offset, void *host);

#endif
