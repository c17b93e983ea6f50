/* Two GDeflate tiles to measure decoders with, made at run time, and the CPU's rate with them. */
#ifndef STAGES_COPY_DECODE_SAMPLE_H
#define STAGES_COPY_DECODE_SAMPLE_H

#include "engine/codec/gdeflate.h"
#include "engine/host.h"

#define DECODE_SAMPLE_TILES 2u

/* Packed tiles lie at multiples of it; VK_NV_memory_decompression wants 4. */
#define DECODE_SAMPLE_ALIGN 256u

struct decode_sample;

/* decode_sample_make packs records and text, two to one: 1 to 2 ms. NULL: no memory. */
struct decode_sample *decode_sample_make(const struct host *host);
void decode_sample_free(const struct host *host, struct decode_sample *sample);

/* The packed tiles, one behind the other, and how many bytes they are. */
const uint8_t *decode_sample_packed(const struct decode_sample *sample, uint32_t *bytes);

/* decode_sample_tile: tile i % DECODE_SAMPLE_TILES. *at: where it lies among the packed ones. */
struct gdeflate_tile decode_sample_tile(const struct decode_sample *sample, uint32_t i,
                                        uint32_t *at);

/* decode_sample_is: are these GDEFLATE_TILE_BYTES what tile i decodes to? */
bool decode_sample_is(const struct decode_sample *sample, uint32_t i, const uint8_t *bytes);

/* decode_sample_cpu_rate decodes on this thread for about a millisecond: bytes a second of content,
 * or 0: they do not come out right. */
uint64_t decode_sample_cpu_rate(struct decode_sample *sample);

#endif
