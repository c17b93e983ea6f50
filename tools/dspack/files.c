/* Reading and writing whole files. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_fail(const char *path, const char *what)
{
    fprintf(stderr, "dspack: %s: %s: %s\n", path, what, strerror(errno));
    return false;
}

bool bytes_make(struct bytes *bytes, size_t size)
{
    bytes->data = malloc(size != 0 ? size : 1);
    bytes->size = size;
    if (bytes->data == NULL) {
        fprintf(stderr, "dspack: no memory for %zu bytes\n", size);
        return false;
    }
    return true;
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    bytes->data = NULL;
    bytes->size = 0;
}

static bool all_read(int fd, struct bytes *bytes)
{
    size_t done = 0;

    while (done < bytes->size) {
        ssize_t n = read(fd, bytes->data + done, bytes->size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = EIO; /* it shrank under our hands */
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

bool file_read_at(int fd, const char *path, void *dst, size_t bytes, uint64_t offset)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t n = pread(fd, (uint8_t *)dst + done, bytes - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_fail(path, "read");
        if (n == 0) {
            fprintf(stderr, "dspack: %s: became shorter while it was read\n", path);
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

bool file_read(const char *path, struct bytes *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    bool ok;

    if (fd < 0)
        return file_fail(path, "open");
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        errno = errno != 0 ? errno : EINVAL;
        fprintf(stderr, "dspack: %s: not a regular file\n", path);
        close(fd);
        return false;
    }
    if (!bytes_make(bytes, (size_t)status.st_size)) {
        close(fd);
        return false;
    }
    ok = all_read(fd, bytes);
    if (!ok) {
        file_fail(path, "read");
        bytes_free(bytes);
    }
    close(fd);
    return ok;
}

static bool all_write(int fd, const struct bytes *bytes)
{
    size_t done = 0;

    while (done < bytes->size) {
        ssize_t n = write(fd, bytes->data + done, bytes->size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* Devices and pipes cannot be replaced by a rename: they are written in place. */
static bool place_write(const char *path, const struct bytes *bytes)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok;

    if (fd < 0)
        return file_fail(path, "open");
    ok = all_write(fd, bytes);
    if (!ok)
        file_fail(path, "write");
    if (close(fd) != 0 && ok)
        ok = file_fail(path, "close");
    return ok;
}

bool file_write(const char *path, const struct bytes *bytes)
{
    char temporary[4096];
    struct stat status;
    bool ok;
    int fd;

    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return place_write(path, bytes);
    if ((size_t)snprintf(temporary, sizeof(temporary), "%s.partial", path) >= sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return file_fail(path, "open");
    }
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return file_fail(temporary, "open");
    ok = all_write(fd, bytes);
    if (!ok)
        file_fail(temporary, "write");
    if (close(fd) != 0 && ok)
        ok = file_fail(temporary, "close");
    if (ok && rename(temporary, path) != 0)
        ok = file_fail(path, "rename");
    if (!ok)
        unlink(temporary);
    return ok;
}
