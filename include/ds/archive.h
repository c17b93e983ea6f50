/* ds/archive.h - files packed into one archive, in chunks that are compressed independently.
 *
 * `dspack pack` makes archives; docs/archive.md describes the format byte by byte. An archive
 * object holds the checked tables of one archive, and neither its data nor a descriptor: to read
 * content, open the same file with ds_file_open and let ds_archive_request fill the requests. It
 * needs no engine, and any number of engines may read by it.
 *
 * Any byte string is safe to open. What is wrong is named by enum ds_archive_error, and nothing is
 * allocated that the archive's own size does not justify. Damage to the tables is always noticed
 * (CRC-32C); damage to the data is noticed by whoever compares the checksums of a chunk.
 */
#ifndef DS_ARCHIVE_H
#define DS_ARCHIVE_H

#include <ds/codec.h>
#include <ds/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ds_archive;

#define DS_ARCHIVE_NAME_BYTES_MAX 1023
#define DS_ARCHIVE_ENTRIES_MAX (1u << 24)
#define DS_ARCHIVE_CHUNKS_MAX (1u << 26)
#define DS_ARCHIVE_CHUNK_BYTES_MIN (1u << 12)
#define DS_ARCHIVE_CHUNK_BYTES_MAX (1u << 26)
#define DS_ARCHIVE_ALIGN_BYTES_MAX (1u << 20)

/* A chunk's codec when its bytes are stored as they are; else an enum ds_codec_format. */
#define DS_ARCHIVE_STORED 0

/* Why an archive was refused. X(name, value, text): the name without DS_ARCHIVE_ERROR_. */
#define DS_ARCHIVE_ERROR_TABLE(X)                                                                  \
    X(NONE, 0, "no error")                                                                         \
    X(SHORT, 1, "fewer bytes than a header")                                                       \
    X(MAGIC, 2, "not an archive: bad magic")                                                       \
    X(VERSION, 3, "a version that this library does not know")                                     \
    X(HEADER_CHECKSUM, 4, "the checksum of the header does not match")                             \
    X(HEADER_RESERVED, 5, "reserved header bytes are set")                                         \
    X(ALIGN, 6, "the alignment is not a power of two, or is over 1 MiB")                           \
    X(LIMIT, 7, "more entries, chunks or name bytes than the format allows")                       \
    X(TRUNCATED, 8, "the archive is cut off: shorter than its header says")                        \
    X(TABLES_RANGE, 9, "the tables run past the end of the archive")                               \
    X(TABLE_CHECKSUM, 10, "the checksum of the tables does not match")                             \
    X(NAME_RANGE, 20, "a name lies outside the name table, or names do not follow each other")     \
    X(NAME, 21, "a bad name: see ds_archive_name_valid")                                           \
    X(NAME_ORDER, 22, "names are not in ascending order, or one is there twice")                   \
    X(NAMES_LEFT, 23, "the name table is longer than its names")                                   \
    X(ENTRY_RESERVED, 24, "reserved bytes of an entry are set")                                    \
    X(CODEC, 25, "an unknown codec, transform or level")                                           \
    X(CHUNK_SIZE, 26, "a chunk size that is not a power of two or out of range")                   \
    X(CHUNK_COUNT, 27, "the number of chunks does not fit the size of the entry")                  \
    X(CHUNK_FIRST, 28, "an entry's chunks do not follow those of the entry before it")             \
    X(CHUNKS_LEFT, 29, "the chunk table is longer than the entries need")                          \
    X(STORED_SUM, 30, "the stored size of an entry is not the sum of its chunks")                  \
    X(CHUNK_RESERVED, 40, "reserved bytes of a chunk are set")                                     \
    X(CHUNK_CODEC, 41, "a chunk is neither stored nor of its entry's codec and transform")         \
    X(CHUNK_CONTENT, 42, "a chunk's content is not as large as its place demands")                 \
    X(CHUNK_STORED, 43, "a chunk's stored size is 0, or not below its content's size")             \
    X(CHUNK_ALIGN, 44, "a chunk is not aligned")                                                   \
    X(CHUNK_ORDER, 45, "a chunk overlaps the tables or the chunk before it")                       \
    X(CHUNK_RANGE, 46, "a chunk runs past the end of the archive")

enum ds_archive_error {
#define DS_ARCHIVE_ERROR_ENUM_(name, value, text) DS_ARCHIVE_ERROR_##name = value,
    DS_ARCHIVE_ERROR_TABLE(DS_ARCHIVE_ERROR_ENUM_)
#undef DS_ARCHIVE_ERROR_ENUM_
};

/* ds_archive_error_name returns "CHUNK_RANGE" and the like, "UNKNOWN" for a value outside the
 * table; ds_archive_error_text the one-line explanation. Static strings. Thread-safety: any. */
DS_API const char *ds_archive_error_name(int32_t error);
DS_API const char *ds_archive_error_text(int32_t error);

/* What made ds_archive_open_* answer -EBADMSG. */
struct ds_archive_report {
    int32_t error;  /* enum ds_archive_error */
    uint32_t entry; /* index of the bad entry; 0 when no entry is to blame */
    uint32_t chunk; /* index in the whole archive of the bad chunk; 0 as above */
};

struct ds_archive_config {
    uint32_t struct_size;
    uint32_t reserved;                    /* 0 */
    const struct ds_allocator *allocator; /* NULL = malloc; copied */
    ds_log_fn log;                        /* NULL = silent */
    void *log_ctx;
};

#ifndef __cplusplus
#define ds_archive_config(...)                                                                     \
    (&(const struct ds_archive_config){.struct_size = sizeof(struct ds_archive_config),            \
                                       __VA_ARGS__})
#endif

/* ds_archive_open reads and checks the tables of the archive at `path`. config NULL = all defaults;
 * report may be NULL. On 0 the caller owns *archive; on error *archive is untouched, and a line in
 * the log names the cause.
 *   -EBADMSG  it is no archive or a damaged one; *report says why
 *   -EINVAL   path or archive is NULL, bad config, or not a regular file or block device
 *   -ENOMEM   no memory for the tables
 *   -EIO      the file ended although its size promised more
 *   -ENOENT, -EACCES, ...   as open(2) and pread(2)
 * Thread-safety: any thread. */
DS_API int ds_archive_open(const char *path, const struct ds_archive_config *config,
                           struct ds_archive **archive, struct ds_archive_report *report);

/* ds_archive_open_fd is ds_archive_open for a descriptor open for reading. It is used during the
 * call only, by pread(2). */
DS_API int ds_archive_open_fd(int fd, const struct ds_archive_config *config,
                              struct ds_archive **archive, struct ds_archive_report *report);

/* ds_archive_open_memory is ds_archive_open for `bytes` bytes of memory, at least up to the end of
 * the tables (ds_archive_info.tables_bytes); archive_bytes is the size of the whole archive. The
 * memory may change or go when the call has returned. */
DS_API int ds_archive_open_memory(const void *memory, size_t bytes, uint64_t archive_bytes,
                                  const struct ds_archive_config *config,
                                  struct ds_archive **archive, struct ds_archive_report *report);

/* ds_archive_close frees the archive and sets *archive to NULL. A NULL *archive is ignored. No
 * other call on it may run or follow; requests that it filled are not concerned, but for their
 * names. */
DS_API void ds_archive_close(struct ds_archive **archive);

struct ds_archive_info {
    uint32_t struct_size;
    uint32_t entries;
    uint32_t chunks;
    uint32_t align_bytes;   /* every chunk begins at a multiple of it */
    uint64_t archive_bytes; /* as the header says; a file may be longer */
    uint64_t tables_bytes;  /* header and tables: the data begins behind them */
    uint64_t content_bytes; /* of all entries */
    uint64_t stored_bytes;  /* the same as stored, without padding */
};

/* ds_archive_get_info fills *info up to info->struct_size. -EINVAL: struct_size is 0.
 * Thread-safety: any thread, as all calls below. */
DS_API int ds_archive_get_info(const struct ds_archive *archive, struct ds_archive_info *info);

struct ds_archive_entry {
    uint32_t struct_size;
    uint32_t codec;          /* DS_ARCHIVE_STORED or enum ds_codec_format */
    uint32_t transform;      /* enum ds_codec_transform */
    int32_t level;           /* that it was compressed at */
    uint64_t content_bytes;
    uint64_t stored_bytes;   /* of its chunks together */
    uint32_t chunk_bytes;    /* content of each chunk but the last */
    uint32_t chunks;         /* 0 for an empty file */
    uint32_t chunk_first;    /* index in the whole archive */
    uint32_t name_bytes;     /* without the NUL */
    const char *name;        /* relative, parts divided by '/'; lives as long as the archive */
};

/* ds_archive_find sets *entry to the index of the entry of that name. -ENOENT: there is none.
 * O(log entries). */
DS_API int ds_archive_find(const struct ds_archive *archive, const char *name, uint32_t *entry);

/* ds_archive_get_entry fills *info up to info->struct_size for entry 0..entries-1, which are in the
 * ascending order of their names' bytes. -EINVAL: struct_size is 0. -ERANGE: no such entry. */
DS_API int ds_archive_get_entry(const struct ds_archive *archive, uint32_t entry,
                                struct ds_archive_entry *info);

struct ds_archive_chunk {
    uint32_t struct_size;
    uint32_t codec;          /* DS_ARCHIVE_STORED or the entry's */
    uint32_t transform;      /* to be undone after decoding */
    uint32_t stored_bytes;
    uint32_t content_bytes;
    uint32_t stored_crc32c;  /* of the bytes in the archive */
    uint32_t content_crc32c; /* after decoding and un-shuffling */
    uint32_t reserved;
    uint64_t offset;         /* in the archive */
};

/* ds_archive_get_chunk fills *info up to info->struct_size for a chunk 0..chunks-1 of the whole
 * archive. -EINVAL: struct_size is 0. -ERANGE: no such chunk. */
DS_API int ds_archive_get_chunk(const struct ds_archive *archive, uint32_t chunk,
                                struct ds_archive_chunk *info);

#define DS_ARCHIVE_WHOLE UINT64_MAX

/* ds_archive_request fills requests[0..max) with those that bring content bytes
 * [offset, offset + bytes) of an entry, and returns how many that takes; when it is more than max,
 * the rest is not there. bytes = DS_ARCHIVE_WHOLE: up to the end. An empty range takes none.
 *
 * *base says what they have in common: struct_size, op READ, flags; the archive itself as `file`,
 * or `fd`, or in memory from `source` on; the destination of the range's first byte (each request's
 * is moved on from it); user_data and cancel_tag, which all of them carry; `name`, or NULL for the
 * entry's, which lives as long as the archive. Its offset and size are not read; codec, transform,
 * uncompressed_size and destination_bytes are 0.
 *
 * A compressed chunk comes as a whole or not at all: where chunks are compressed the range begins
 * and ends at multiples of chunk_bytes, or at the end of the content. Stored chunks that follow
 * each other become one request.
 *   -ERANGE   no such entry, or the range is not within its content
 *   -EINVAL   the range cuts a compressed chunk; or *base says something else than above
 *   -E2BIG    base->image_target, and the range is more than one request */
DS_API int ds_archive_request(const struct ds_archive *archive, uint32_t entry, uint64_t offset,
                              uint64_t bytes, const struct ds_request *base,
                              struct ds_request *requests, uint32_t max);

/* ds_archive_crc32c returns the CRC-32C (Castagnoli) of `bytes` bytes; `crc` is 0, or the result
 * for the bytes before these. */
DS_API uint32_t ds_archive_crc32c(uint32_t crc, const void *data, size_t bytes);

/* ds_archive_name_valid tells whether an archive may hold an entry of that name: 1 to 1023 bytes of
 * UTF-8 without control characters and backslashes, relative, in parts divided by '/', none of them
 * empty, "." or "..". */
DS_API bool ds_archive_name_valid(const char *name);

/* For programs that make archives: what the tables are to say. */
struct ds_archive_tables {
    uint32_t struct_size;
    uint32_t align_bytes;
    uint32_t entries_n;
    uint32_t chunks_n;
    uint64_t archive_bytes;
    const struct ds_archive_entry *entries; /* chunk_first and stored_bytes are not read */
    const struct ds_archive_chunk *chunks;  /* those of entry 0, of entry 1, ... */
};

/* ds_archive_tables_bytes returns how many bytes header and tables take, or 0 when there are too
 * many. Only names and numbers of entries and chunks matter: it can be asked before any data is
 * compressed. */
DS_API uint64_t ds_archive_tables_bytes(const struct ds_archive_tables *tables);

/* ds_archive_tables_write writes them to dst, and checks them as ds_archive_open would. An archive
 * begins with them; the bytes of the chunks lie where the chunks say.
 *   -EBADMSG  what they say is not a good archive; *report (may be NULL) says why
 *   -EINVAL   dst is NULL, bytes is not ds_archive_tables_bytes(tables), or bad struct_size */
DS_API int ds_archive_tables_write(const struct ds_archive_tables *tables, void *dst, size_t bytes,
                                   struct ds_archive_report *report);

#ifdef __cplusplus
}
#endif
#endif
