/* Chunks of image requests, and the copies that a chunk stands for. Pure: the submit stage cuts,
 * the copy stage finds the same cuts again from the bytes that came. */
#ifndef ENGINE_IMAGE_SPLIT_H
#define ENGINE_IMAGE_SPLIT_H

#include "engine/image/target.h"

/* Copies in one chunk, at most. */
#define IMAGE_REGIONS_MAX 64

/* Room behind the payload, so that it can be shifted to where a copy may begin. Above every
 * copy_align. */
#define IMAGE_SHIFT_BYTES 128u

/* One box that one VkBufferImageCopy can name. */
struct image_region {
    uint32_t subresource;
    VkOffset3D at;
    VkExtent3D extent;
    uint64_t offset;      /* of its first row, from the first byte of the chunk's payload */
    uint64_t row_bytes;
    uint64_t row_pitch;
    uint64_t slice_pitch;
    uint32_t rows;        /* in one slice */
    bool repack;          /* its pitch is not one of whole blocks: rows must be moved together */
};

/* image_chunk_next cuts the next chunk off: source bytes [*begin, *end), which begin and end with a
 * line. False: there is none left. Moves the target's cursor only when `commit`. */
bool image_chunk_next(struct image_target *target, const struct image_limits *limits, bool commit,
                      uint64_t *begin, uint64_t *end);

/* image_chunks_count: how many chunks image_chunk_next will make from the start. Resets the
 * cursor. */
uint32_t image_chunks_count(struct image_target *target, const struct image_limits *limits);

/* A source that lies in memory as a whole, decoded, is one chunk. Its copies are those of the
 * chunks that nothing but a copy's own rules would cut (image_limits_none): `whole` ones. */
extern const struct image_limits image_limits_none;

/* The source begins at a multiple of it. */
#define IMAGE_WHOLE_ALIGN 256u

/* image_whole_room: bytes that must be free in front of the source when one of its whole chunks
 * begins where no copy may, or 0. With n of them they are n + 1 times copy_align: chunk k then goes
 * to the multiple of copy_align at or below its place, and n - k times copy_align further down. So
 * none runs into another, if they are moved in their order. */
uint64_t image_whole_room(struct image_target *target);

/* image_whole_shift: how many bytes downwards whole chunk number k goes that begins at `place` of
 * the buffer that is copied from, with room_bytes of room in front of the source. */
uint64_t image_whole_shift(const struct image_target *target, uint64_t room_bytes, uint32_t k,
                           uint64_t place);

/* image_whole_plain: can all copies of a source that lies in memory as a whole be made from the
 * bytes as they are, with none moved? */
bool image_whole_plain(struct image_target *target);

/* image_chunk_regions lists the copies of a chunk that image_chunk_next made. They lie at multiples
 * of copy_align from each other; one that needs `repack` is alone. */
uint32_t image_chunk_regions(const struct image_target *target, uint64_t begin, uint64_t end,
                             struct image_region regions[IMAGE_REGIONS_MAX]);

/* image_atom_bytes: the most bytes of a part that must be in one chunk. */
uint64_t image_atom_bytes(const struct ds_image *image, const struct image_part *part);

#endif
