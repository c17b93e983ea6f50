/* A request of one GDeflate tile of zeros, for a flow whose GPU decodes. */
#ifndef TESTS_UNIT_FLOW_PACKED_H
#define TESTS_UNIT_FLOW_PACKED_H

#include "unit/flow.h"

#define TILE_BYTES 65536u

static uint8_t packed[1024];
static size_t packed_n;

static inline void pack_make(void)
{
    static uint8_t plain[TILE_BYTES];
    struct ds_codec *codec;

    cr_assert_eq(ds_codec_create(DS_CODEC_GDEFLATE, NULL, &codec), 0);
    cr_assert_leq(ds_codec_compress_bound(codec, 0), sizeof(packed));
    cr_assert_eq(ds_codec_compress(codec, 1, plain, TILE_BYTES, packed, sizeof(packed), &packed_n),
                 0);
    ds_codec_destroy(&codec);
}

/* Out of memory. */
static inline struct ds_request packed_read(uint64_t user_data)
{
    struct ds_request request = flow_read_gpu(user_data, 0, packed_n);

    request.source = packed;
    request.codec = DS_CODEC_GDEFLATE;
    request.uncompressed_size = TILE_BYTES;
    return request;
}

#endif
