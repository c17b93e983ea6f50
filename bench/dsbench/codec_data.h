/* Data to pack: generated, the same each time, or read from files. */
#ifndef DSBENCH_CODEC_DATA_H
#define DSBENCH_CODEC_DATA_H

#include <stdint.h>

/* In the order of the option's words. */
enum data_kind {
    DATA_TEXT, /* words of a small language, the frequent ones short */
    DATA_BC7,  /* texture blocks of 16 bytes: a byte of mode, end points that drift, indices */
    DATA_MESH, /* a height field: vertices (floats, packed normals), then triangles */
    DATA_KIND_COUNT,
};

/* codec_data_fill fills data[0..bytes) with what the kind looks like. */
void codec_data_fill(enum data_kind kind, uint8_t *data, uint64_t bytes);

#endif
