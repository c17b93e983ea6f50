#include "lz4_frame.h"

#ifdef HAVE_LZ4

#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN ((size_t)64 << 10)

bool lz4_frame_is(const struct bytes *input)
{
    /* as a block: a match before the first byte */
    return input->size >= 4 && memcmp(input->data, "\x04\x22\x4d\x18", 4) == 0;
}

/* Doubles the room. What a frame says of its size is not believed before it has come. */
static bool room_grow(struct bytes *output, size_t used)
{
    size_t size = used < ROOM_MIN ? ROOM_MIN : used * 2;
    uint8_t *data = realloc(output->data, size);

    if (data == NULL)
        return false;
    *output = (struct bytes){data, size};
    return true;
}

static const char *frame_decode(LZ4F_dctx *context, const struct bytes *input,
                                struct bytes *output)
{
    size_t read = 0, made = 0, wanted = 1;

    while (wanted != 0) {
        size_t from = input->size - read, to;

        if (made == output->size && !room_grow(output, made))
            return "no memory for its content";
        to = output->size - made;
        wanted = LZ4F_decompress(context, output->data + made, &to, input->data + read, &from,
                                 NULL);
        if (LZ4F_isError(wanted))
            return LZ4F_getErrorName(wanted);
        if (wanted != 0 && from + to == 0)
            return "cut off";
        read += from;
        made += to;
    }
    output->size = made;
    return read == input->size ? NULL : "there is more behind the frame";
}

const char *lz4_frame_decode(const struct bytes *input, struct bytes *output)
{
    LZ4F_dctx *context = NULL;
    const char *wrong = "no memory to decode with";

    *output = (struct bytes){NULL, 0};
    if (!LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
        wrong = frame_decode(context, input, output);
    LZ4F_freeDecompressionContext(context);
    if (wrong != NULL)
        bytes_free(output);
    return wrong;
}

#else

bool lz4_frame_is(const struct bytes *input)
{
    (void)input;
    return false;
}

const char *lz4_frame_decode(const struct bytes *input, struct bytes *output)
{
    (void)input;
    (void)output;
    return "left out of this build";
}

#endif
