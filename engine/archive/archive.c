/* ds_archive_*: opening archives, and asking what is in them. */
#include "engine/archive/format.h"
#include "engine/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct ds_archive {
    struct host host;
    struct archive_view view;
    uint8_t *tables; /* view.tables_bytes bytes: header, entries, chunks, names */
    uint64_t content_bytes;
    uint64_t stored_bytes;
};

/* Where the bytes come from: memory, or else a descriptor. */
struct source {
    const uint8_t *memory;
    uint64_t memory_bytes;
    int fd;
    uint64_t bytes; /* of the whole archive */
    const char *name;
};

const char *ds_archive_error_name(int32_t error)
{
    switch (error) {
#define ERROR_NAME(name, value, text)                                                              \
    case value:                                                                                    \
        return #name;
        DS_ARCHIVE_ERROR_TABLE(ERROR_NAME)
#undef ERROR_NAME
    default:
        return "UNKNOWN";
    }
}

const char *ds_archive_error_text(int32_t error)
{
    switch (error) {
#define ERROR_TEXT(name, value, text)                                                              \
    case value:                                                                                    \
        return text;
        DS_ARCHIVE_ERROR_TABLE(ERROR_TEXT)
#undef ERROR_TEXT
    default:
        return "unknown error";
    }
}

/* The first `bytes` bytes; the caller has seen that source->bytes is enough. */
static int source_read(const struct source *source, uint8_t *dst, uint64_t bytes)
{
    uint64_t done = 0;

    if (source->memory != NULL) {
        if (bytes > source->memory_bytes)
            return -EIO;
        memcpy(dst, source->memory, bytes);
        return 0;
    }
    while (done < bytes) {
        ssize_t n = pread(source->fd, dst + done, bytes - done, (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (uint64_t)n;
    }
    return 0;
}

static int tables_read(struct ds_archive *archive, const struct source *source,
                       const uint8_t *header, struct ds_archive_report *report)
{
    struct archive_view *view = &archive->view;
    int rc;

    archive->tables = host_alloc(&archive->host, view->tables_bytes, CACHE_LINE);
    if (archive->tables == NULL)
        return -ENOMEM;
    rc = source_read(source, archive->tables, view->tables_bytes);
    if (rc != 0)
        return rc;
    /* The checks were made on this header; the file may have changed since. */
    memcpy(archive->tables, header, HEADER_BYTES);
    report->error = view_tables(view, archive->tables, report);
    return report->error == DS_ARCHIVE_ERROR_NONE ? 0 : -EBADMSG;
}

static int archive_read(struct ds_archive *archive, const struct source *source,
                        struct ds_archive_report *report)
{
    uint8_t header[HEADER_BYTES];
    int rc;

    if (source->bytes < HEADER_BYTES) {
        report->error = DS_ARCHIVE_ERROR_SHORT;
        return -EBADMSG;
    }
    rc = source_read(source, header, sizeof(header));
    if (rc != 0)
        return rc;
    report->error = view_header(&archive->view, header, source->bytes);
    if (report->error != DS_ARCHIVE_ERROR_NONE)
        return -EBADMSG;
    return tables_read(archive, source, header, report);
}

static void archive_free(struct ds_archive *archive)
{
    struct host host = archive->host;

    host_free(&host, archive->tables, archive->view.tables_bytes);
    host_free(&host, archive, sizeof(*archive));
}

static void archive_sum(struct ds_archive *archive)
{
    for (uint32_t i = 0; i < archive->view.entries_n; i++) {
        /* no overflow: chunks_n chunks of at most 2^26 bytes */
        archive->content_bytes += get_u64(view_entry(&archive->view, i) + ENTRY_CONTENT);
        archive->stored_bytes += get_u64(view_entry(&archive->view, i) + ENTRY_STORED);
    }
}

static void refusal_log(const struct host *host, const struct source *source, int rc,
                        const struct ds_archive_report *report)
{
    if (rc != -EBADMSG)
        host_log(host, DS_LOG_ERROR, "archive %s: cannot be read: %s", source->name,
                 strerror(-rc));
    else
        host_log(host, DS_LOG_ERROR, "archive %s: %s (entry %u, chunk %u)", source->name,
                 ds_archive_error_text(report->error), report->entry, report->chunk);
}

/* Reads and checks the config; on 0 *host is ready. */
static int config_read(struct host *host, const struct ds_archive_config *caller)
{
    struct ds_archive_config config = {0};
    int rc = caller != NULL ? copy_struct_in(&config, sizeof(config), caller) : 0;

    if (rc != 0 || config.reserved != 0)
        return -EINVAL;
    host_init(host, config.allocator, config.log, config.log_ctx, DS_LOG_INFO);
    return 0;
}

static int archive_make(const struct host *host, const struct source *source,
                        struct ds_archive **out, struct ds_archive_report *caller)
{
    struct ds_archive_report report = {0};
    struct ds_archive *archive = host_alloc(host, sizeof(*archive), CACHE_LINE);
    int rc;

    if (archive == NULL)
        return -ENOMEM;
    archive->host = *host;
    rc = archive_read(archive, source, &report);
    if (caller != NULL)
        *caller = report;
    if (rc != 0) {
        refusal_log(host, source, rc, &report);
        archive_free(archive);
        return rc;
    }
    archive_sum(archive);
    *out = archive;
    return 0;
}

/* A block device's st_size is 0. */
static int fd_bytes(int fd, uint64_t *bytes)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -errno;
    *bytes = (uint64_t)st.st_size;
    if (S_ISREG(st.st_mode))
        return 0;
    if (!S_ISBLK(st.st_mode))
        return -EINVAL;
    return ioctl(fd, BLKGETSIZE64, bytes) == 0 ? 0 : -errno;
}

static int fd_open(int fd, const char *name, const struct ds_archive_config *config,
                   struct ds_archive **archive, struct ds_archive_report *report)
{
    struct source source = {.fd = fd, .name = name};
    struct host host;
    int rc = config_read(&host, config);

    if (rc != 0 || archive == NULL)
        return -EINVAL;
    rc = fd_bytes(fd, &source.bytes);
    if (rc != 0) {
        host_log(&host, DS_LOG_ERROR, "archive %s: %s", name,
                 rc == -EINVAL ? "not a regular file or block device" : strerror(-rc));
        return rc;
    }
    return archive_make(&host, &source, archive, report);
}

int ds_archive_open_fd(int fd, const struct ds_archive_config *config, struct ds_archive **archive,
                       struct ds_archive_report *report)
{
    return fd_open(fd, "(descriptor)", config, archive, report);
}

int ds_archive_open(const char *path, const struct ds_archive_config *config,
                    struct ds_archive **archive, struct ds_archive_report *report)
{
    struct host host;
    int fd, rc;

    if (path == NULL || config_read(&host, config) != 0)
        return -EINVAL;
    /* NONBLOCK: a pipe without a writer must not hang the caller */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        rc = -errno;
        host_log(&host, DS_LOG_ERROR, "archive %s: open: %s", path, strerror(-rc));
        return rc;
    }
    rc = fd_open(fd, path, config, archive, report);
    close(fd);
    return rc;
}

int ds_archive_open_memory(const void *memory, size_t bytes, uint64_t archive_bytes,
                           const struct ds_archive_config *config, struct ds_archive **archive,
                           struct ds_archive_report *report)
{
    struct source source = {
        .memory = memory, .memory_bytes = bytes, .bytes = archive_bytes, .name = "(memory)"};
    struct host host;

    if (memory == NULL || archive == NULL || config_read(&host, config) != 0)
        return -EINVAL;
    return archive_make(&host, &source, archive, report);
}

void ds_archive_close(struct ds_archive **archive)
{
    if (*archive == NULL)
        return;
    archive_free(*archive);
    *archive = NULL;
}

int ds_archive_get_info(const struct ds_archive *archive, struct ds_archive_info *info)
{
    struct ds_archive_info ours = {
        .entries = archive->view.entries_n,
        .chunks = archive->view.chunks_n,
        .align_bytes = archive->view.align_bytes,
        .archive_bytes = archive->view.archive_bytes,
        .tables_bytes = archive->view.tables_bytes,
        .content_bytes = archive->content_bytes,
        .stored_bytes = archive->stored_bytes,
    };

    return copy_struct_out(info, &ours, sizeof(ours));
}

static const char *entry_name(const struct archive_view *view, const uint8_t *entry)
{
    return (const char *)view->names + get_u32(entry + ENTRY_NAME_OFFSET);
}

int ds_archive_find(const struct ds_archive *archive, const char *name, uint32_t *entry)
{
    uint32_t low = 0, high = archive->view.entries_n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(entry_name(&archive->view, view_entry(&archive->view, middle)), name);

        if (order == 0) {
            *entry = middle;
            return 0;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -ENOENT;
}

int ds_archive_get_entry(const struct ds_archive *archive, uint32_t index,
                         struct ds_archive_entry *info)
{
    struct ds_archive_entry ours = {0};
    const uint8_t *entry;

    if (index >= archive->view.entries_n)
        return -ERANGE;
    entry = view_entry(&archive->view, index);
    ours.codec = entry[ENTRY_CODEC];
    ours.transform = entry[ENTRY_TRANSFORM];
    ours.level = entry[ENTRY_LEVEL];
    ours.content_bytes = get_u64(entry + ENTRY_CONTENT);
    ours.stored_bytes = get_u64(entry + ENTRY_STORED);
    ours.chunk_bytes = get_u32(entry + ENTRY_CHUNK_BYTES);
    ours.chunks = get_u32(entry + ENTRY_CHUNKS);
    ours.chunk_first = get_u32(entry + ENTRY_CHUNK_FIRST);
    ours.name_bytes = get_u16(entry + ENTRY_NAME_BYTES);
    ours.name = entry_name(&archive->view, entry);
    return copy_struct_out(info, &ours, sizeof(ours));
}

int ds_archive_get_chunk(const struct ds_archive *archive, uint32_t index,
                         struct ds_archive_chunk *info)
{
    struct ds_archive_chunk ours = {0};
    const uint8_t *chunk;

    if (index >= archive->view.chunks_n)
        return -ERANGE;
    chunk = view_chunk(&archive->view, index);
    ours.codec = chunk[CHUNK_CODEC];
    ours.transform = chunk[CHUNK_TRANSFORM];
    ours.stored_bytes = get_u32(chunk + CHUNK_STORED);
    ours.content_bytes = get_u32(chunk + CHUNK_CONTENT);
    ours.stored_crc32c = get_u32(chunk + CHUNK_STORED_CRC);
    ours.content_crc32c = get_u32(chunk + CHUNK_CONTENT_CRC);
    ours.offset = get_u64(chunk + CHUNK_OFFSET);
    return copy_struct_out(info, &ours, sizeof(ours));
}
