/* The bytes of an archive: docs/archive.md has the same tables in words. All numbers are little
 * endian, at any alignment.
 *
 *   header | entries | chunks | names | data
 */
#ifndef ENGINE_ARCHIVE_FORMAT_H
#define ENGINE_ARCHIVE_FORMAT_H

#include "engine/base.h"

#include <ds/archive.h>

#define ARCHIVE_VERSION 1
#define ARCHIVE_MAGIC_BYTES 8
/* The first byte is no text, and the line ends betray a transfer that changed them. */
#define ARCHIVE_MAGIC "\x89" "DSA\r\n\x1a\n"
#define ARCHIVE_NAMES_BYTES_MAX (1u << 30)

enum {
    HEADER_BYTES = 64,
    HEADER_MAGIC = 0,
    HEADER_VERSION = 8,        /* u32 */
    HEADER_ALIGN = 12,         /* u32 */
    HEADER_ARCHIVE_BYTES = 16, /* u64 */
    HEADER_ENTRIES = 24,       /* u32 */
    HEADER_CHUNKS = 28,        /* u32 */
    HEADER_NAMES = 32,         /* u32: bytes, with a NUL behind each name */
    HEADER_TABLES_CRC = 36,    /* u32: of entries, chunks and names */
    HEADER_RESERVED = 40,
    HEADER_CRC = 60,           /* u32: of the 60 bytes before it */
};

enum {
    ENTRY_BYTES = 48,
    ENTRY_CONTENT = 0,      /* u64 */
    ENTRY_STORED = 8,       /* u64 */
    ENTRY_NAME_OFFSET = 16, /* u32 */
    ENTRY_NAME_BYTES = 20,  /* u16, without the NUL */
    ENTRY_CODEC = 22,       /* u8 */
    ENTRY_TRANSFORM = 23,   /* u8 */
    ENTRY_CHUNK_FIRST = 24, /* u32 */
    ENTRY_CHUNKS = 28,      /* u32 */
    ENTRY_CHUNK_BYTES = 32, /* u32 */
    ENTRY_LEVEL = 36,       /* u8 */
    ENTRY_RESERVED = 37,
};

enum {
    CHUNK_BYTES = 32,
    CHUNK_OFFSET = 0,       /* u64 */
    CHUNK_STORED = 8,       /* u32 */
    CHUNK_CONTENT = 12,     /* u32 */
    CHUNK_STORED_CRC = 16,  /* u32 */
    CHUNK_CONTENT_CRC = 20, /* u32 */
    CHUNK_CODEC = 24,       /* u8 */
    CHUNK_TRANSFORM = 25,   /* u8 */
    CHUNK_RESERVED = 26,
};

static inline uint32_t get_u16(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

static inline uint32_t get_u32(const uint8_t *at)
{
    return get_u16(at) | get_u16(at + 2) << 16;
}

static inline uint64_t get_u64(const uint8_t *at)
{
    return get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

static inline void put_u16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static inline void put_u32(uint8_t *at, uint32_t value)
{
    put_u16(at, value);
    put_u16(at + 2, value >> 16);
}

static inline void put_u64(uint8_t *at, uint64_t value)
{
    put_u32(at, (uint32_t)value);
    put_u32(at + 4, (uint32_t)(value >> 32));
}

/* Where the tables of an archive lie: pointers into one block of memory. */
struct archive_view {
    const uint8_t *header;
    const uint8_t *entries;
    const uint8_t *chunks;
    const uint8_t *names;
    uint32_t entries_n;
    uint32_t chunks_n;
    uint32_t names_bytes;
    uint32_t align_bytes;
    uint64_t archive_bytes;
    uint64_t tables_bytes;
};

/* view_header checks the header (HEADER_BYTES bytes) of an archive of file_bytes bytes, and fills
 * all of *view but the pointers to the tables. After NONE the tables lie within file_bytes. */
enum ds_archive_error view_header(struct archive_view *view, const uint8_t *header,
                                  uint64_t file_bytes);

/* view_tables checks the tables: `memory` holds view->tables_bytes bytes, with the header that
 * view_header saw. Sets the pointers, and on an error the culprit's index in *report. */
enum ds_archive_error view_tables(struct archive_view *view, const uint8_t *memory,
                                  struct ds_archive_report *report);

/* crc32c_plain is the checksum without the CPU's instruction and without the complements. */
uint32_t crc32c_plain(uint32_t crc, const uint8_t *data, size_t bytes);

/* name_valid tells whether `bytes` bytes may be a name, see ds_archive_name_valid. */
bool name_valid(const uint8_t *name, size_t bytes);

static inline const uint8_t *view_entry(const struct archive_view *view, uint32_t entry)
{
    return view->entries + (size_t)entry * ENTRY_BYTES;
}

static inline const uint8_t *view_chunk(const struct archive_view *view, uint32_t chunk)
{
    return view->chunks + (size_t)chunk * CHUNK_BYTES;
}

#endif
