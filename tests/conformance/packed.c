#include "conformance/packed.h"

#include <fcntl.h>
#include <unistd.h>

static void content(uint8_t *bytes, uint64_t n, uint64_t seed)
{
    uint64_t at = 0;

    while (at < n) {
        uint64_t run = 1 + support_below(&seed, 200);
        bool repeats = at > 300 && support_below(&seed, 3) != 0;
        uint64_t from = repeats ? at - 1 - support_below(&seed, 300) : 0;

        for (uint64_t i = 0; i < run && at < n; i++, at++)
            bytes[at] = repeats ? bytes[from + i] : (uint8_t)(support_random(&seed) & 0x3f);
    }
}

bool packed_make(struct packed *packed, enum ds_codec_format format,
                 enum ds_codec_transform transform, uint64_t plain_bytes, uint64_t seed)
{
    struct ds_codec *codec;
    uint8_t *shuffled;
    size_t bound, made;

    *packed = (struct packed){.format = format, .transform = transform,
                              .plain_bytes = plain_bytes};
    if (ds_codec_create(format, NULL, &codec) != 0)
        return false;
    bound = ds_codec_compress_bound(codec, plain_bytes);
    packed->plain = malloc(plain_bytes);
    packed->bytes = malloc(bound);
    shuffled = malloc(plain_bytes);
    cr_assert(packed->plain != NULL && packed->bytes != NULL && shuffled != NULL);
    content(packed->plain, plain_bytes, seed);
    cr_assert_eq(ds_codec_shuffle(transform, packed->plain, shuffled, plain_bytes), 0);
    cr_assert_eq(ds_codec_compress(codec, 1, shuffled, plain_bytes, packed->bytes, bound, &made),
                 0);
    packed->bytes_n = made;
    free(shuffled);
    ds_codec_destroy(&codec);
    return true;
}

void packed_free(struct packed *packed)
{
    free(packed->plain);
    free(packed->bytes);
    *packed = (struct packed){.plain = NULL};
}

struct ds_request packed_request(const struct packed *packed, void *host)
{
    return (struct ds_request){.struct_size = sizeof(struct ds_request), .fd = -1,
                               .source = packed->bytes, .size = packed->bytes_n, .host = host,
                               .codec = packed->format, .transform = packed->transform,
                               .uncompressed_size = packed->plain_bytes};
}

uint64_t packed_store(struct rig *rig, const struct packed *packed)
{
    int fd = open(rig->path, O_WRONLY | O_CLOEXEC);
    off_t end = lseek(fd, 0, SEEK_END);

    cr_assert(fd >= 0 && end >= 0);
    cr_assert_eq(pwrite(fd, packed->bytes, packed->bytes_n, end), (ssize_t)packed->bytes_n);
    close(fd);
    return (uint64_t)end;
}

struct ds_request packed_from_file(const struct rig *rig, const struct packed *packed,
                                   uint64_t offset, void *host)
{
    struct ds_request request = packed_request(packed, host);

    request.source = NULL;
    request.file = rig->file;
    request.offset = offset;
    return request;
}
