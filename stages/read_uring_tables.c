/* What a ring has registered: the arena in slices, memory of the application's, and a table of
 * files that fills as they are used. */
#include "stages/read_uring.h"
#include "stages/read_uring_setup.h"

#include "engine/request.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

/* Empties entries of the table of buffers. What is in flight keeps what it uses. Where the kernel
 * is short of memory an entry stays, unused, until another takes its place or the ring goes. */
static void buffers_clear(struct channel *channel, uint32_t first, uint32_t n)
{
    const struct iovec none = {.iov_base = NULL};

    for (uint32_t i = first; i < first + n; i++)
        io_uring_register_buffers_update_tag(&channel->ring, i, &none, NULL, 1);
}

/* All of them, or none and -errno. One at a time: of several the kernel would not tell why the rest
 * was refused. */
static int buffers_set(struct channel *channel, uint32_t first, const struct iovec *buffers,
                       uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        int rc = io_uring_register_buffers_update_tag(&channel->ring, first + i, &buffers[i], NULL,
                                                      1);

        if (rc == 1)
            continue;
        buffers_clear(channel, first, i);
        return rc;
    }
    return 0;
}

/* Cuts memory into what an entry holds. Returns how many; more than `max`: it does not fit. */
static uint32_t buffers_cut(uint8_t *memory, uint64_t bytes, struct iovec *buffers, uint32_t max)
{
    uint32_t n = 0;

    for (uint64_t at = 0; at < bytes; at += SLICE_BYTES, n++) {
        if (n == max)
            return max + 1;
        buffers[n].iov_base = memory + at;
        buffers[n].iov_len = min_u64(SLICE_BYTES, bytes - at);
    }
    return n;
}

/* register_buffers makes the table and puts the arena into it. 0, or why the kernel pins the
 * arena's pages for each transfer instead. */
static int register_buffers(const struct uring *u, struct channel *channel)
{
    struct iovec slices[64];
    uint32_t n = 0;

    if ((u->avoid & READ_AVOID_FIXED_BUFFERS) != 0)
        return -ECANCELED;
    if (u->staging != NULL)
        n = buffers_cut(u->staging->memory, u->staging->bytes, slices, ARRAY_LENGTH(slices));
    if (n > ARRAY_LENGTH(slices))
        return -E2BIG;
    if (io_uring_register_buffers_sparse(&channel->ring, n + DS_MEMORY_PIECES_MAX) == 0) {
        channel->takes_memory = true;
        channel->slices_n = n;
        return n == 0 ? -ECANCELED : buffers_set(channel, 0, slices, n);
    }
    /* Linux before 5.19 has no empty entries */
    return n == 0 ? -ECANCELED : io_uring_register_buffers(&channel->ring, slices, n);
}

/* register_table makes an empty table, within RLIMIT_NOFILE: beyond it liburing would raise the
 * limit of the whole process. Files that find no place in it go by their descriptor. */
static int register_table(const struct uring *u, struct channel *channel)
{
    struct rlimit limit;
    uint32_t n = 2 * FILES_MAX;
    int rc;

    if ((u->avoid & READ_AVOID_FIXED_FILES) != 0)
        return -ECANCELED;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < n)
        n = (uint32_t)limit.rlim_cur;
    if (n == 0)
        return -EMFILE;
    rc = io_uring_register_files_sparse(&channel->ring, n);
    if (rc == 0)
        channel->files_n = n;
    return rc;
}

/* How the kernel's work gets done, for the reason line. */
static const char *mode_text(const struct uring *u)
{
    unsigned flags = u->plain.ring.flags;

    if ((flags & IORING_SETUP_SQPOLL) != 0)
        return "SQPOLL";
    if (u->polled != NULL)
        return "IOPOLL where the device allows it";
    if ((flags & IORING_SETUP_DEFER_TASKRUN) != 0)
        return "deferred";
    return (flags & IORING_SETUP_COOP_TASKRUN) != 0 ? "cooperative" : "plain";
}

void tables_start(struct uring *u, struct read_backend_info *info)
{
    int buffers_rc = register_buffers(u, &u->plain);
    int files_rc = register_table(u, &u->plain);

    if (u->polled != NULL) {
        u->polled->fixed_buffers = register_buffers(u, u->polled) == 0;
        register_table(u, u->polled);
    }
    if (buffers_rc != 0 && buffers_rc != -ECANCELED)
        host_log(u->host, DS_LOG_INFO,
                 "io_uring: the arena is not registered: %s; RLIMIT_MEMLOCK (ulimit -l) or memory "
                 "of the driver's; its pages are pinned for each transfer",
                 uring_error_name(-buffers_rc));
    if (files_rc != 0 && files_rc != -ECANCELED)
        host_log(u->host, DS_LOG_INFO, "io_uring: no file table: %s; Linux before 5.19?",
                 uring_error_name(-files_rc));
    u->plain.fixed_buffers = info->fixed_buffers = buffers_rc == 0;
    info->fixed_files = files_rc == 0;
    snprintf(info->reason, sizeof(info->reason), "io_uring, %s; buffers %s; files %s", mode_text(u),
             uring_register_note(buffers_rc), uring_register_note(files_rc));
}

/* register_file puts a descriptor into its entry of the table, in place of whatever an earlier
 * file of the same slot has left there. */
static bool register_file(const struct uring *u, struct channel *channel,
                          const struct ds_file *file, uint32_t index, int fd)
{
    struct file_entry *entry = &channel->files[index];
    int rc = io_uring_register_files_update(&channel->ring, index, &fd, 1);

    entry->generation = file->generation;
    entry->state = rc == 1 ? ENTRY_REGISTERED : ENTRY_REFUSED;
    if (rc != 1)
        host_log(u->host, DS_LOG_DEBUG, "io_uring: file %u not registered: errno %d", file->slot,
                 -rc);
    return rc == 1;
}

int tables_file(struct uring *u, struct channel *channel, const struct chunk *chunk)
{
    const struct ds_file *file = chunk->request->file;
    const struct file_entry *entry;
    uint32_t index;

    if (file == NULL)
        return -1;
    DS_ASSERT(file->slot < FILES_MAX);
    index = 2 * file->slot + (chunk->direct != 0);
    if (index >= channel->files_n)
        return -1;
    entry = &channel->files[index];
    if (entry->state == ENTRY_EMPTY || entry->generation != file->generation)
        return register_file(u, channel, file, index, chunk_fd(chunk)) ? (int)index : -1;
    return entry->state == ENTRY_REGISTERED ? (int)index : -1;
}

/* Of the arena's. */
static int slice_find(const struct uring *u, const uint8_t *memory, uint64_t bytes)
{
    uint64_t at = (uintptr_t)memory - (uintptr_t)u->staging->memory;

    if (at >= u->staging->bytes || bytes > u->staging->bytes - at)
        return -1;
    if (at / SLICE_BYTES != (at + bytes - 1) / SLICE_BYTES)
        return -1;
    return (int)(at / SLICE_BYTES);
}

/* Of the application's. */
static int piece_find(const struct channel *channel, const uint8_t *memory, uint64_t bytes)
{
    for (uint32_t i = 0; i < channel->pieces_n; i++) {
        const struct memory_piece *piece = &channel->pieces[i];
        uint64_t at = (uintptr_t)memory - (uintptr_t)piece->begin;

        if (at < piece->bytes && bytes <= piece->bytes - at)
            return (int)(channel->slices_n + i);
    }
    return -1;
}

int tables_buffer(const struct uring *u, const struct channel *channel, const uint8_t *memory,
                  uint64_t bytes)
{
    int slice = channel->fixed_buffers ? slice_find(u, memory, bytes) : -1;

    return slice >= 0 ? slice : piece_find(channel, memory, bytes);
}

int tables_pin(struct channel *channel, const struct ds_memory *memory)
{
    struct iovec buffers[DS_MEMORY_PIECES_MAX];
    uint32_t n = buffers_cut(memory->begin, memory->bytes, buffers, ARRAY_LENGTH(buffers));
    int rc;

    DS_ASSERT(n == memory->pieces_n && memory->first_piece + n <= ARRAY_LENGTH(channel->pieces));
    if (!channel->takes_memory)
        return -ENOTSUP;
    rc = buffers_set(channel, channel->slices_n + memory->first_piece, buffers, n);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < n; i++)
        channel->pieces[memory->first_piece + i] =
            (struct memory_piece){buffers[i].iov_base, buffers[i].iov_len};
    channel->pieces_n = max_u32(channel->pieces_n, memory->first_piece + n);
    return 0;
}

void tables_unpin(struct channel *channel, const struct ds_memory *memory)
{
    for (uint32_t i = memory->first_piece; i < memory->first_piece + memory->pieces_n; i++) {
        if (channel->pieces[i].bytes == 0)
            continue;
        buffers_clear(channel, channel->slices_n + i, 1);
        channel->pieces[i].bytes = 0;
    }
    while (channel->pieces_n > 0 && channel->pieces[channel->pieces_n - 1].bytes == 0)
        channel->pieces_n--;
}

void tables_forget(struct channel *channel, const struct ds_file *file)
{
    DS_ASSERT(file->slot < FILES_MAX);
    for (uint32_t index = 2 * file->slot; index < 2 * file->slot + 2; index++) {
        struct file_entry *entry = &channel->files[index];
        int none = -1, rc;

        if (index >= channel->files_n || entry->generation != file->generation)
            continue;
        if (entry->state == ENTRY_REGISTERED) {
            rc = io_uring_register_files_update(&channel->ring, index, &none, 1);
            DS_ASSERT(rc == 1);
        }
        entry->state = ENTRY_EMPTY;
    }
}
