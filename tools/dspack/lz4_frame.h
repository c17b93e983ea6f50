/* LZ4 frames, as the lz4 program writes them. Where the library was built without LZ4, there are
 * none. */
#ifndef DSPACK_LZ4_FRAME_H
#define DSPACK_LZ4_FRAME_H

#include "files.h"

/* lz4_frame_is: does it begin as a frame does? No good block does so. */
bool lz4_frame_is(const struct bytes *input);

/* lz4_frame_decode makes *output, as large as what is in the frame. NULL, or what is wrong; then
 * there is none. */
const char *lz4_frame_decode(const struct bytes *input, struct bytes *output);

#endif
