/* Writing the tables of an archive. */
#include "engine/archive/format.h"

#include <errno.h>
#include <string.h>

static bool tables_good(const struct ds_archive_tables *tables)
{
    return tables->struct_size == sizeof(*tables) && tables->entries_n <= DS_ARCHIVE_ENTRIES_MAX &&
           tables->chunks_n <= DS_ARCHIVE_CHUNKS_MAX;
}

static uint64_t names_bytes(const struct ds_archive_tables *tables)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < tables->entries_n; i++)
        bytes += strlen(tables->entries[i].name) + 1;
    return bytes;
}

uint64_t ds_archive_tables_bytes(const struct ds_archive_tables *tables)
{
    uint64_t names;

    if (!tables_good(tables))
        return 0;
    names = names_bytes(tables);
    return names > ARCHIVE_NAMES_BYTES_MAX ? 0
                                           : HEADER_BYTES + names +
                                                 (uint64_t)tables->entries_n * ENTRY_BYTES +
                                                 (uint64_t)tables->chunks_n * CHUNK_BYTES;
}

/* What the chunks of the entries before add up to. */
struct cursor {
    uint32_t chunk;
    uint32_t name_offset;
};

static void entry_put(const struct ds_archive_tables *tables, uint32_t index,
                      struct cursor *cursor, uint8_t *at, uint8_t *names)
{
    const struct ds_archive_entry *entry = &tables->entries[index];
    size_t bytes = strlen(entry->name);
    uint64_t stored = 0;

    for (uint32_t i = 0; i < entry->chunks && cursor->chunk + i < tables->chunks_n; i++)
        stored += tables->chunks[cursor->chunk + i].stored_bytes;
    put_u64(at + ENTRY_CONTENT, entry->content_bytes);
    put_u64(at + ENTRY_STORED, stored);
    put_u32(at + ENTRY_NAME_OFFSET, cursor->name_offset);
    /* a name too long for the field is refused by the check: names do not follow each other then */
    put_u16(at + ENTRY_NAME_BYTES, (uint32_t)bytes);
    at[ENTRY_CODEC] = (uint8_t)entry->codec;
    at[ENTRY_TRANSFORM] = (uint8_t)entry->transform;
    put_u32(at + ENTRY_CHUNK_FIRST, cursor->chunk);
    put_u32(at + ENTRY_CHUNKS, entry->chunks);
    put_u32(at + ENTRY_CHUNK_BYTES, entry->chunk_bytes);
    at[ENTRY_LEVEL] = (uint8_t)entry->level;
    memcpy(names + cursor->name_offset, entry->name, bytes + 1);
    cursor->name_offset += (uint32_t)bytes + 1;
    cursor->chunk += entry->chunks;
}

static void chunk_put(const struct ds_archive_chunk *chunk, uint8_t *at)
{
    put_u64(at + CHUNK_OFFSET, chunk->offset);
    put_u32(at + CHUNK_STORED, chunk->stored_bytes);
    put_u32(at + CHUNK_CONTENT, chunk->content_bytes);
    put_u32(at + CHUNK_STORED_CRC, chunk->stored_crc32c);
    put_u32(at + CHUNK_CONTENT_CRC, chunk->content_crc32c);
    at[CHUNK_CODEC] = (uint8_t)chunk->codec;
    at[CHUNK_TRANSFORM] = (uint8_t)chunk->transform;
}

static void header_put(const struct ds_archive_tables *tables, uint32_t names, uint8_t *at,
                       size_t bytes)
{
    memcpy(at, ARCHIVE_MAGIC, ARCHIVE_MAGIC_BYTES);
    put_u32(at + HEADER_VERSION, ARCHIVE_VERSION);
    put_u32(at + HEADER_ALIGN, tables->align_bytes);
    put_u64(at + HEADER_ARCHIVE_BYTES, tables->archive_bytes);
    put_u32(at + HEADER_ENTRIES, tables->entries_n);
    put_u32(at + HEADER_CHUNKS, tables->chunks_n);
    put_u32(at + HEADER_NAMES, names);
    put_u32(at + HEADER_TABLES_CRC,
            ds_archive_crc32c(0, at + HEADER_BYTES, bytes - HEADER_BYTES));
    put_u32(at + HEADER_CRC, ds_archive_crc32c(0, at, HEADER_CRC));
}

/* Numbers that their fields cannot hold must not become others. */
static enum ds_archive_error numbers_check(const struct ds_archive_tables *tables,
                                           struct ds_archive_report *report)
{
    for (uint32_t i = 0; i < tables->entries_n; i++) {
        const struct ds_archive_entry *entry = &tables->entries[i];

        report->entry = i;
        if ((entry->codec | entry->transform | (uint32_t)entry->level) > UINT8_MAX)
            return DS_ARCHIVE_ERROR_CODEC;
    }
    report->entry = 0;
    for (uint32_t i = 0; i < tables->chunks_n; i++) {
        report->chunk = i;
        if ((tables->chunks[i].codec | tables->chunks[i].transform) > UINT8_MAX)
            return DS_ARCHIVE_ERROR_CHUNK_CODEC;
    }
    report->chunk = 0;
    return DS_ARCHIVE_ERROR_NONE;
}

static enum ds_archive_error tables_check(const struct ds_archive_tables *tables,
                                          const uint8_t *memory,
                                          struct ds_archive_report *report)
{
    struct archive_view view;
    enum ds_archive_error error = numbers_check(tables, report);

    if (error == DS_ARCHIVE_ERROR_NONE)
        error = view_header(&view, memory, tables->archive_bytes);
    if (error == DS_ARCHIVE_ERROR_NONE)
        error = view_tables(&view, memory, report);
    return error;
}

int ds_archive_tables_write(const struct ds_archive_tables *tables, void *dst, size_t bytes,
                            struct ds_archive_report *caller)
{
    uint8_t *at = dst, *entries = at + HEADER_BYTES, *chunks, *names;
    struct ds_archive_report report = {0};
    struct cursor cursor = {0};

    if (dst == NULL || bytes == 0 || bytes != ds_archive_tables_bytes(tables))
        return -EINVAL;
    chunks = entries + (size_t)tables->entries_n * ENTRY_BYTES;
    names = chunks + (size_t)tables->chunks_n * CHUNK_BYTES;
    memset(dst, 0, bytes);
    for (uint32_t i = 0; i < tables->entries_n; i++)
        entry_put(tables, i, &cursor, entries + (size_t)i * ENTRY_BYTES, names);
    for (uint32_t i = 0; i < tables->chunks_n; i++)
        chunk_put(&tables->chunks[i], chunks + (size_t)i * CHUNK_BYTES);
    header_put(tables, cursor.name_offset, at, bytes);
    report.error = tables_check(tables, dst, &report);
    if (caller != NULL)
        *caller = report;
    return report.error == DS_ARCHIVE_ERROR_NONE ? 0 : -EBADMSG;
}
