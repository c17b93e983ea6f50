/* How a chunk becomes stored bytes, and back. */
#ifndef DSPACK_CODER_H
#define DSPACK_CODER_H

#include "files.h"

#include <ds/archive.h>

/* How to pack a file. */
struct recipe {
    uint32_t codec; /* DS_ARCHIVE_STORED or enum ds_codec_format */
    uint32_t transform;
    int level;
};

/* What one thread needs: codecs and room for a chunk on its way. */
struct coder {
    struct ds_codec *codecs[DS_CODEC_LZ4 + 1];
    struct bytes between; /* shuffled content */
};

/* coder_open makes ready for chunks of up to chunk_bytes with the codecs whose bit (1 << codec) is
 * set. EXIT_OK, else one line was printed; coder_close is due in any case. */
int coder_open(struct coder *coder, uint32_t codecs, uint32_t chunk_bytes);
void coder_close(struct coder *coder);

/* coder_bound returns the most bytes that coder_pack may need for `bytes` bytes. */
size_t coder_bound(const struct coder *coder, uint32_t codec, size_t bytes);

/* coder_pack compresses; *packed_bytes is 0 when the codec failed, and the content must be stored
 * as it is. */
void coder_pack(struct coder *coder, const struct recipe *recipe, const uint8_t *content,
                size_t bytes, uint8_t *packed, size_t packed_room, size_t *packed_bytes);

/* coder_unpack decodes a chunk and compares both checksums. NULL, or the text that says what is
 * wrong; *content is undefined then. */
const char *coder_unpack(struct coder *coder, const struct ds_archive_chunk *chunk,
                         const uint8_t *stored, uint8_t *content);

#endif
