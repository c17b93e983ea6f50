/* An archive: opened, all of it asked for, small chunks decoded. The first byte decides whether
 * the checksums are mended before, so that what lies behind them is reached; the rest is the
 * archive. */
#include "fuzz.h"

#include "tests/unit/archive_maker.h"

#include <errno.h>

#define BYTES_MAX 65536
#define CONTENT_MAX 65536

static struct ds_codec *codec_of(uint32_t codec)
{
    static struct ds_codec *codecs[DS_CODEC_LZ4 + 1];

    if (codecs[codec] == NULL)
        ds_codec_create((enum ds_codec_format)codec, NULL, &codecs[codec]);
    return codecs[codec]; /* NULL: left out of this build */
}

static void chunk_fuzz(const struct ds_archive_chunk *chunk, const uint8_t *data, size_t bytes)
{
    static struct room decoded, content;
    uint8_t *output;
    bool good;

    if (chunk->offset + chunk->stored_bytes > bytes || chunk->offset < HEADER_BYTES)
        abort();
    if (chunk->codec == DS_ARCHIVE_STORED || chunk->content_bytes > CONTENT_MAX ||
        codec_of(chunk->codec) == NULL)
        return;
    output = room_of(&decoded, chunk->content_bytes, CONTENT_MAX);
    good = ds_codec_decompress(codec_of(chunk->codec), data + chunk->offset, chunk->stored_bytes,
                               output, chunk->content_bytes, NULL) == 0;
    room_check(&decoded);
    if (good && ds_codec_unshuffle((enum ds_codec_transform)chunk->transform, output,
                                   room_of(&content, chunk->content_bytes, CONTENT_MAX),
                                   chunk->content_bytes) != 0)
        abort();
}

static uint64_t entry_fuzz(const struct ds_archive *archive, uint32_t index, const uint8_t *data,
                           size_t bytes)
{
    struct ds_archive_entry entry = {.struct_size = sizeof(entry)};
    struct ds_archive_chunk chunk = {.struct_size = sizeof(chunk)};
    uint64_t content = 0;
    uint32_t found;

    if (ds_archive_get_entry(archive, index, &entry) != 0 || !ds_archive_name_valid(entry.name) ||
        strlen(entry.name) != entry.name_bytes ||
        ds_archive_find(archive, entry.name, &found) != 0 || found != index)
        abort();
    for (uint32_t i = 0; i < entry.chunks; i++) {
        if (ds_archive_get_chunk(archive, entry.chunk_first + i, &chunk) != 0)
            abort();
        chunk_fuzz(&chunk, data, bytes);
        content += chunk.content_bytes;
    }
    if (content != entry.content_bytes)
        abort();
    return content;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct room room;
    struct ds_archive_info info = {.struct_size = sizeof(info)};
    struct ds_archive_report report;
    struct ds_archive *archive = NULL;
    uint64_t content = 0;
    uint8_t *copy;
    int rc;

    if (bytes == 0 || bytes > BYTES_MAX)
        return 0;
    copy = room_of(&room, bytes - 1, BYTES_MAX);
    memcpy(copy, data + 1, bytes - 1);
    if ((data[0] & 1) != 0)
        checksums_mend(copy, bytes - 1);
    rc = ds_archive_open_memory(copy, bytes - 1, bytes - 1, NULL, &archive, &report);
    if ((rc == 0) != (archive != NULL) || (rc != 0 && rc != -EBADMSG) ||
        (rc == -EBADMSG) != (report.error != DS_ARCHIVE_ERROR_NONE))
        abort();
    if (rc != 0)
        return 0;
    ds_archive_get_info(archive, &info);
    for (uint32_t i = 0; i < info.entries; i++)
        content += entry_fuzz(archive, i, copy, bytes - 1);
    if (content != info.content_bytes)
        abort();
    ds_archive_close(&archive);
    return 0;
}
