/* A small archive in memory, and ways to damage it, for tests and for the fuzz corpus. */
#ifndef UNIT_ARCHIVE_MAKER_H
#define UNIT_ARCHIVE_MAKER_H

#include "engine/archive/format.h"

#include <string.h>

/* Two stored chunks of a.bin, an empty file, a compressed chunk and a stored one of c/d.dds. */
enum { MAKER_ENTRIES = 3, MAKER_CHUNKS = 4, MAKER_ALIGN = 512, MAKER_BYTES = 32 << 10 };

struct maker {
    uint8_t bytes[MAKER_BYTES];
    uint64_t tables_bytes;
    uint64_t archive_bytes;
};

static inline int maker_make(struct maker *maker)
{
    static const struct ds_archive_entry entries[MAKER_ENTRIES] = {
        {.name = "a.bin", .content_bytes = 5000, .chunk_bytes = 4096, .chunks = 2},
        {.name = "b", .chunk_bytes = 4096, .codec = DS_CODEC_ZSTD, .level = 19},
        {.name = "c/d.dds", .codec = DS_CODEC_GDEFLATE, .level = 12,
         .transform = DS_CODEC_TRANSFORM_BC3, .content_bytes = 8192 + 100, .chunk_bytes = 8192,
         .chunks = 2},
    };
    static const struct ds_archive_chunk chunks[MAKER_CHUNKS] = {
        {.offset = 512, .stored_bytes = 4096, .content_bytes = 4096, .stored_crc32c = 1},
        {.offset = 4608, .stored_bytes = 904, .content_bytes = 904, .content_crc32c = 2},
        {.offset = 5632, .stored_bytes = 700, .content_bytes = 8192, .codec = DS_CODEC_GDEFLATE,
         .transform = DS_CODEC_TRANSFORM_BC3},
        {.offset = 6656, .stored_bytes = 100, .content_bytes = 100},
    };
    struct ds_archive_tables tables = {
        .struct_size = sizeof(tables), .align_bytes = MAKER_ALIGN, .entries_n = MAKER_ENTRIES,
        .chunks_n = MAKER_CHUNKS, .archive_bytes = 7168, .entries = entries, .chunks = chunks};

    memset(maker, 0, sizeof(*maker));
    maker->tables_bytes = ds_archive_tables_bytes(&tables);
    maker->archive_bytes = tables.archive_bytes;
    return ds_archive_tables_write(&tables, maker->bytes, maker->tables_bytes, NULL);
}

static inline uint8_t *maker_entry(struct maker *maker, uint32_t index)
{
    return maker->bytes + HEADER_BYTES + (size_t)index * ENTRY_BYTES;
}

static inline uint8_t *maker_chunk(struct maker *maker, uint32_t index)
{
    return maker_entry(maker, MAKER_ENTRIES) + (size_t)index * CHUNK_BYTES;
}

static inline char *maker_names(struct maker *maker)
{
    return (char *)maker_chunk(maker, MAKER_CHUNKS);
}

/* Makes the checksums of an archive match whatever it says, as far as its tables lie within it. */
static inline void checksums_mend(uint8_t *archive, uint64_t bytes)
{
    uint64_t tables;

    if (bytes < HEADER_BYTES)
        return;
    tables = HEADER_BYTES + (uint64_t)get_u32(archive + HEADER_ENTRIES) * ENTRY_BYTES +
             (uint64_t)get_u32(archive + HEADER_CHUNKS) * CHUNK_BYTES +
             get_u32(archive + HEADER_NAMES);
    if (tables <= bytes)
        put_u32(archive + HEADER_TABLES_CRC,
                ds_archive_crc32c(0, archive + HEADER_BYTES, tables - HEADER_BYTES));
    put_u32(archive + HEADER_CRC, ds_archive_crc32c(0, archive, HEADER_CRC));
}

#endif
