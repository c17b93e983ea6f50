/* Opens or adopts a file, and finds out whether and how O_DIRECT works on it. */
#include "engine/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x00002000U /* since Linux 6.1 */
#endif
/* struct statx ends in spare words that older headers do not name. */
#define STATX_DIO_MEM_ALIGN_AT    152
#define STATX_DIO_OFFSET_ALIGN_AT 156

#define PROBE_ALIGN 4096
/* A coarser demand would not fit the arena's runs. */
#define DIRECT_ALIGN_MAX 65536

#define FILE_FLAGS_ALL ((uint32_t)(DS_FILE_WRITE | DS_FILE_CREATE | DS_FILE_OWN_FD))

static int check_flags(uint32_t flags, bool adopt, enum ds_direct_mode direct)
{
    if ((flags & ~FILE_FLAGS_ALL) != 0 || (uint32_t)direct > DS_DIRECT_OFF)
        return -EINVAL;
    if ((flags & DS_FILE_CREATE) != 0 && (adopt || (flags & DS_FILE_WRITE) == 0))
        return -EINVAL;
    return 0;
}

static int check_kind(int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    return S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) ? 0 : -EINVAL;
}

static int open_retry(const char *path, int flags)
{
    int fd;

    do
        fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0666);
    while (fd < 0 && errno == EINTR);
    return fd >= 0 ? fd : -errno;
}

/* open_path opens with O_NONBLOCK, for a pipe would otherwise block here for ever, and takes the
 * flag away again, for io_uring would answer EAGAIN on it. */
static int open_path(const char *path, uint32_t flags)
{
    int access = (flags & DS_FILE_WRITE) != 0 ? O_RDWR : O_RDONLY;
    int create = (flags & DS_FILE_CREATE) != 0 ? O_CREAT : 0;
    int fd = open_retry(path, access | create | O_NONBLOCK);
    int status;

    if (fd < 0)
        return fd;
    status = fcntl(fd, F_GETFL);
    if (status < 0 || fcntl(fd, F_SETFL, status & ~O_NONBLOCK) != 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    return fd;
}

/* reopen opens the file behind fd a second time, with `flags` and the same access. By descriptor,
 * so that it is this file whatever its path means by now; without /proc, by the path, if that
 * still leads to it. */
static int reopen(int fd, const char *path, int flags)
{
    struct stat ours, theirs;
    char link[32];
    int access = fcntl(fd, F_GETFL);
    int again;

    if (access < 0)
        return -errno;
    access &= O_ACCMODE;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    again = open_retry(link, access | flags);
    if (again != -ENOENT || path == NULL)
        return again;
    again = open_retry(path, access | flags | O_NONBLOCK);
    if (again < 0)
        return again;
    if (fstat(fd, &ours) == 0 && fstat(again, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
        ours.st_ino == theirs.st_ino && fcntl(again, F_SETFL, flags) == 0)
        return again;
    close(again);
    return -ENOENT;
}

/* statx_align asks the kernel. True: it knows, and 0 means that O_DIRECT is not supported. */
static bool statx_align(int fd, uint32_t *memory_align, uint32_t *offset_align)
{
    struct statx stx;

    memset(&stx, 0, sizeof(stx));
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) != 0 ||
        (stx.stx_mask & STATX_DIOALIGN) == 0)
        return false;
    memcpy(memory_align, (const uint8_t *)&stx + STATX_DIO_MEM_ALIGN_AT, sizeof(*memory_align));
    memcpy(offset_align, (const uint8_t *)&stx + STATX_DIO_OFFSET_ALIGN_AT, sizeof(*offset_align));
    return true;
}

/* probe_read tries one read of a page. 0 or -errno. */
static int probe_read(int fd)
{
    uint8_t page[PROBE_ALIGN] __attribute__((aligned(PROBE_ALIGN)));
    ssize_t n;

    if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY)
        return 0; /* a refusal will show at the first write, which then goes buffered */
    do
        n = pread(fd, page, PROBE_ALIGN, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static bool align_usable(uint32_t align)
{
    return is_power_of_two(align) && align <= DIRECT_ALIGN_MAX;
}

static void set_reason(struct ds_file *file, const char *reason, int error)
{
    if (error != 0)
        snprintf(file->reason, sizeof(file->reason), "%s (errno %d)", reason, -error);
    else
        snprintf(file->reason, sizeof(file->reason), "%s", reason);
}

/* open_direct fills direct_fd and the alignments, or leaves them and says why. */
static void open_direct(struct ds_file *file, const char *path)
{
    uint32_t memory_align = PROBE_ALIGN, offset_align = PROBE_ALIGN;
    bool known = statx_align(file->buffered_fd, &memory_align, &offset_align);
    int fd, rc = 0;

    if (known && (memory_align == 0 || offset_align == 0)) {
        set_reason(file, "buffered: the file system has no O_DIRECT for this file (statx)", 0);
        return;
    }
    if (!align_usable(memory_align) || !align_usable(offset_align)) {
        set_reason(file, "buffered: O_DIRECT demands too coarse an alignment (statx)", 0);
        return;
    }
    fd = reopen(file->buffered_fd, path, O_DIRECT);
    if (fd < 0) {
        set_reason(file, "buffered: the file could not be opened again with O_DIRECT", fd);
        return;
    }
    if (!known)
        rc = probe_read(fd);
    if (rc != 0) {
        close(fd);
        set_reason(file, "buffered: a read with O_DIRECT failed", rc);
        return;
    }
    file->direct_fd = fd;
    file->memory_align = memory_align;
    file->offset_align = offset_align;
    set_reason(file, known ? "direct: alignment from statx" : "direct: a 4096-byte read worked", 0);
}

/* Flags of an adopted descriptor that we cannot have: O_DIRECT, for the page cache is the way out;
 * O_NONBLOCK, for io_uring answers EAGAIN for ever on some file systems; O_APPEND, for pwrite then
 * ignores its offset. */
#define UNSUITED_FLAGS (O_DIRECT | O_NONBLOCK | O_APPEND)

/* keep_direct uses an adopted O_DIRECT descriptor for both, where it has no twin through the page
 * cache. What is not aligned fails. */
static int keep_direct(struct ds_file *file, int why)
{
    int fd = file->buffered_fd;

    file->direct_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (file->direct_fd < 0)
        return -errno;
    if (!statx_align(fd, &file->memory_align, &file->offset_align) ||
        !align_usable(file->memory_align) || !align_usable(file->offset_align))
        file->memory_align = file->offset_align = PROBE_ALIGN;
    set_reason(file, "direct: the adopted descriptor is O_DIRECT and cannot be reopened", why);
    return 0;
}

/* replace_unsuited takes a twin of the adopted descriptor that has none of those flags. Where it
 * cannot be had the descriptor is used as it is, if that can give right results. */
static int replace_unsuited(struct ds_file *file, int status, enum ds_direct_mode direct)
{
    int twin = reopen(file->buffered_fd, NULL, 0);

    if (twin >= 0) {
        file->kept_fd = file->owns_buffered_fd ? file->buffered_fd : -1;
        file->buffered_fd = twin;
        file->owns_buffered_fd = true;
        return 0;
    }
    if (((status & O_APPEND) != 0 && file->writable) ||
        ((status & O_DIRECT) != 0 && direct == DS_DIRECT_OFF))
        return twin;
    return (status & O_DIRECT) != 0 ? keep_direct(file, twin) : 0;
}

static int adopt(struct ds_file *file, int fd, uint32_t flags, enum ds_direct_mode direct)
{
    int status = fcntl(fd, F_GETFL);
    int access = status & O_ACCMODE;
    int rc;

    if (status < 0 || (status & O_PATH) != 0)
        return -EBADF;
    rc = check_kind(fd);
    if (rc != 0)
        return rc;
    if (access == (file->writable ? O_RDONLY : O_WRONLY))
        return -EBADF;
    file->buffered_fd = fd;
    file->owns_buffered_fd = (flags & DS_FILE_OWN_FD) != 0;
    return (status & UNSUITED_FLAGS) != 0 ? replace_unsuited(file, status, direct) : 0;
}

/* give_up closes what is ours; an adopted descriptor stays the caller's, whatever the flags say. */
static int give_up(struct ds_file *file, int adopted_fd, int error)
{
    if (file->buffered_fd == adopted_fd)
        file->owns_buffered_fd = false;
    file->kept_fd = -1;
    file_close_descriptors(file);
    return error;
}

int file_open_descriptors(struct ds_file *file, const char *path, int fd, uint32_t flags,
                          enum ds_direct_mode direct)
{
    int adopted_fd = path == NULL ? fd : -1;
    int rc = check_flags(flags, path == NULL, direct);

    if (rc != 0)
        return rc;
    file->buffered_fd = file->direct_fd = file->kept_fd = -1;
    file->memory_align = file->offset_align = 1;
    file->writable = (flags & DS_FILE_WRITE) != 0;
    file->owns_buffered_fd = true;
    atomic_init(&file->direct_refused, false);
    set_reason(file, "buffered: asked for", 0);

    if (path != NULL) {
        file->buffered_fd = open_path(path, flags);
        rc = file->buffered_fd < 0 ? file->buffered_fd : check_kind(file->buffered_fd);
    } else {
        rc = adopt(file, fd, flags, direct);
    }
    if (rc != 0)
        return give_up(file, adopted_fd, rc);
    if (direct != DS_DIRECT_OFF && file->direct_fd < 0)
        open_direct(file, path);
    if (direct == DS_DIRECT_ON && file->direct_fd < 0)
        return give_up(file, adopted_fd, -EINVAL);
    return 0;
}

void file_close_descriptors(struct ds_file *file)
{
    if (file->direct_fd >= 0)
        close(file->direct_fd);
    if (file->buffered_fd >= 0 && file->owns_buffered_fd)
        close(file->buffered_fd);
    if (file->kept_fd >= 0)
        close(file->kept_fd);
    file->direct_fd = file->buffered_fd = file->kept_fd = -1;
}
