/* Is this an archive? Nothing in it is trusted: every field is checked before it is used, and
 * everything that other fields determine must agree with them. So an archive can be written in one
 * way only, but for padding, and what opens needs no more checks afterwards. */
#include "engine/archive/format.h"

#include <string.h>

#define LEVEL_MAX 22

static bool all_zero(const uint8_t *at, size_t bytes)
{
    uint8_t set = 0;

    for (size_t i = 0; i < bytes; i++)
        set |= at[i];
    return set == 0;
}

static bool limits_kept(const struct archive_view *view)
{
    return view->entries_n <= DS_ARCHIVE_ENTRIES_MAX && view->chunks_n <= DS_ARCHIVE_CHUNKS_MAX &&
           view->names_bytes <= ARCHIVE_NAMES_BYTES_MAX;
}

enum ds_archive_error view_header(struct archive_view *view, const uint8_t *header,
                                  uint64_t file_bytes)
{
    if (memcmp(header, ARCHIVE_MAGIC, ARCHIVE_MAGIC_BYTES) != 0)
        return DS_ARCHIVE_ERROR_MAGIC;
    if (get_u32(header + HEADER_VERSION) != ARCHIVE_VERSION)
        return DS_ARCHIVE_ERROR_VERSION;
    if (ds_archive_crc32c(0, header, HEADER_CRC) != get_u32(header + HEADER_CRC))
        return DS_ARCHIVE_ERROR_HEADER_CHECKSUM;
    if (!all_zero(header + HEADER_RESERVED, HEADER_CRC - HEADER_RESERVED))
        return DS_ARCHIVE_ERROR_HEADER_RESERVED;
    *view = (struct archive_view){
        .align_bytes = get_u32(header + HEADER_ALIGN),
        .archive_bytes = get_u64(header + HEADER_ARCHIVE_BYTES),
        .entries_n = get_u32(header + HEADER_ENTRIES),
        .chunks_n = get_u32(header + HEADER_CHUNKS),
        .names_bytes = get_u32(header + HEADER_NAMES),
    };
    if (!is_power_of_two(view->align_bytes) || view->align_bytes > DS_ARCHIVE_ALIGN_BYTES_MAX)
        return DS_ARCHIVE_ERROR_ALIGN;
    if (!limits_kept(view))
        return DS_ARCHIVE_ERROR_LIMIT;
    if (view->archive_bytes > file_bytes)
        return DS_ARCHIVE_ERROR_TRUNCATED;
    /* no overflow: the limits keep this below 2^33 */
    view->tables_bytes = HEADER_BYTES + (uint64_t)view->entries_n * ENTRY_BYTES +
                         (uint64_t)view->chunks_n * CHUNK_BYTES + view->names_bytes;
    if (view->tables_bytes > view->archive_bytes)
        return DS_ARCHIVE_ERROR_TABLES_RANGE;
    return DS_ARCHIVE_ERROR_NONE;
}

/* What the entries before this one have used up. */
struct progress {
    uint32_t names_bytes;
    uint32_t chunks_n;
    uint64_t data_end;
};

static enum ds_archive_error name_check(const struct archive_view *view, uint32_t index,
                                        struct progress *progress)
{
    const uint8_t *entry = view_entry(view, index);
    uint32_t offset = get_u32(entry + ENTRY_NAME_OFFSET);
    uint32_t bytes = get_u16(entry + ENTRY_NAME_BYTES);
    const uint8_t *name;

    if (offset != progress->names_bytes || bytes >= view->names_bytes - offset)
        return DS_ARCHIVE_ERROR_NAME_RANGE;
    name = view->names + offset;
    if (name[bytes] != 0)
        return DS_ARCHIVE_ERROR_NAME_RANGE;
    if (!name_valid(name, bytes))
        return DS_ARCHIVE_ERROR_NAME;
    if (index != 0) {
        const uint8_t *before =
            view->names + get_u32(view_entry(view, index - 1) + ENTRY_NAME_OFFSET);

        if (strcmp((const char *)before, (const char *)name) >= 0)
            return DS_ARCHIVE_ERROR_NAME_ORDER;
    }
    progress->names_bytes += bytes + 1;
    return DS_ARCHIVE_ERROR_NONE;
}

static bool codec_good(const uint8_t *entry)
{
    return entry[ENTRY_CODEC] <= DS_CODEC_LZ4 && entry[ENTRY_TRANSFORM] <= DS_CODEC_TRANSFORM_BC5 &&
           entry[ENTRY_LEVEL] <= LEVEL_MAX &&
           (entry[ENTRY_CODEC] != DS_ARCHIVE_STORED || entry[ENTRY_TRANSFORM] == 0);
}

static enum ds_archive_error fields_check(const struct archive_view *view, uint32_t index,
                                          const struct progress *progress)
{
    const uint8_t *entry = view_entry(view, index);
    uint64_t content = get_u64(entry + ENTRY_CONTENT);
    uint64_t chunk_bytes = get_u32(entry + ENTRY_CHUNK_BYTES);
    uint32_t chunks = get_u32(entry + ENTRY_CHUNKS);

    if (!all_zero(entry + ENTRY_RESERVED, ENTRY_BYTES - ENTRY_RESERVED))
        return DS_ARCHIVE_ERROR_ENTRY_RESERVED;
    if (!codec_good(entry))
        return DS_ARCHIVE_ERROR_CODEC;
    if (!is_power_of_two(chunk_bytes) || chunk_bytes < DS_ARCHIVE_CHUNK_BYTES_MIN ||
        chunk_bytes > DS_ARCHIVE_CHUNK_BYTES_MAX)
        return DS_ARCHIVE_ERROR_CHUNK_SIZE;
    if (content / chunk_bytes + (content % chunk_bytes != 0) != chunks)
        return DS_ARCHIVE_ERROR_CHUNK_COUNT;
    if (get_u32(entry + ENTRY_CHUNK_FIRST) != progress->chunks_n ||
        chunks > view->chunks_n - progress->chunks_n)
        return DS_ARCHIVE_ERROR_CHUNK_FIRST;
    return DS_ARCHIVE_ERROR_NONE;
}

static enum ds_archive_error chunk_check(const struct archive_view *view, const uint8_t *entry,
                                         const uint8_t *chunk, uint64_t content_bytes,
                                         struct progress *progress)
{
    uint64_t offset = get_u64(chunk + CHUNK_OFFSET);
    uint32_t stored = get_u32(chunk + CHUNK_STORED), content = get_u32(chunk + CHUNK_CONTENT);

    if (!all_zero(chunk + CHUNK_RESERVED, CHUNK_BYTES - CHUNK_RESERVED))
        return DS_ARCHIVE_ERROR_CHUNK_RESERVED;
    if (content != content_bytes)
        return DS_ARCHIVE_ERROR_CHUNK_CONTENT;
    if (chunk[CHUNK_CODEC] == DS_ARCHIVE_STORED) {
        if (chunk[CHUNK_TRANSFORM] != 0)
            return DS_ARCHIVE_ERROR_CHUNK_CODEC;
        if (stored != content)
            return DS_ARCHIVE_ERROR_CHUNK_STORED;
    } else {
        if (chunk[CHUNK_CODEC] != entry[ENTRY_CODEC] ||
            chunk[CHUNK_TRANSFORM] != entry[ENTRY_TRANSFORM])
            return DS_ARCHIVE_ERROR_CHUNK_CODEC;
        if (stored == 0 || stored >= content)
            return DS_ARCHIVE_ERROR_CHUNK_STORED;
    }
    if (offset % view->align_bytes != 0)
        return DS_ARCHIVE_ERROR_CHUNK_ALIGN;
    if (offset < progress->data_end)
        return DS_ARCHIVE_ERROR_CHUNK_ORDER;
    if (offset > view->archive_bytes || stored > view->archive_bytes - offset)
        return DS_ARCHIVE_ERROR_CHUNK_RANGE;
    progress->data_end = offset + stored;
    return DS_ARCHIVE_ERROR_NONE;
}

static enum ds_archive_error chunks_check(const struct archive_view *view, uint32_t index,
                                          struct progress *progress,
                                          struct ds_archive_report *report)
{
    const uint8_t *entry = view_entry(view, index);
    uint64_t left = get_u64(entry + ENTRY_CONTENT), stored = 0;
    uint32_t chunk_bytes = get_u32(entry + ENTRY_CHUNK_BYTES);
    uint32_t chunks = get_u32(entry + ENTRY_CHUNKS);

    for (uint32_t i = 0; i < chunks; i++) {
        const uint8_t *chunk = view_chunk(view, progress->chunks_n + i);
        uint64_t content = min_u64(left, chunk_bytes);
        enum ds_archive_error error = chunk_check(view, entry, chunk, content, progress);

        if (error != DS_ARCHIVE_ERROR_NONE) {
            report->chunk = progress->chunks_n + i;
            return error;
        }
        left -= content;
        stored += get_u32(chunk + CHUNK_STORED);
    }
    progress->chunks_n += chunks;
    return stored == get_u64(entry + ENTRY_STORED) ? DS_ARCHIVE_ERROR_NONE
                                                   : DS_ARCHIVE_ERROR_STORED_SUM;
}

static enum ds_archive_error entry_check(const struct archive_view *view, uint32_t index,
                                         struct progress *progress,
                                         struct ds_archive_report *report)
{
    enum ds_archive_error error = name_check(view, index, progress);

    if (error == DS_ARCHIVE_ERROR_NONE)
        error = fields_check(view, index, progress);
    if (error == DS_ARCHIVE_ERROR_NONE)
        error = chunks_check(view, index, progress, report);
    if (error != DS_ARCHIVE_ERROR_NONE)
        report->entry = index;
    return error;
}

enum ds_archive_error view_tables(struct archive_view *view, const uint8_t *memory,
                                  struct ds_archive_report *report)
{
    struct progress progress = {.data_end = view->tables_bytes};
    enum ds_archive_error error;

    view->header = memory;
    view->entries = memory + HEADER_BYTES;
    view->chunks = view->entries + (size_t)view->entries_n * ENTRY_BYTES;
    view->names = view->chunks + (size_t)view->chunks_n * CHUNK_BYTES;
    if (ds_archive_crc32c(0, view->entries, view->tables_bytes - HEADER_BYTES) !=
        get_u32(memory + HEADER_TABLES_CRC))
        return DS_ARCHIVE_ERROR_TABLE_CHECKSUM;
    for (uint32_t i = 0; i < view->entries_n; i++) {
        error = entry_check(view, i, &progress, report);
        if (error != DS_ARCHIVE_ERROR_NONE)
            return error;
    }
    if (progress.names_bytes != view->names_bytes)
        return DS_ARCHIVE_ERROR_NAMES_LEFT;
    if (progress.chunks_n != view->chunks_n)
        return DS_ARCHIVE_ERROR_CHUNKS_LEFT;
    return DS_ARCHIVE_ERROR_NONE;
}
