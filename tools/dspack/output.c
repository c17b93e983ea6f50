/* A file that appears under its name only when it is complete. */
#include "output.h"

#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void output_forget(struct output *output)
{
    if (output->fd >= 0)
        close(output->fd);
    if (output->folder_fd >= 0)
        close(output->folder_fd);
    output->fd = output->folder_fd = -1;
}

bool output_open_in(struct output *output, int folder_fd, const char *name, const char *path)
{
    *output = (struct output){.path = path, .name = name, .folder_fd = folder_fd, .fd = -1};
    snprintf(output->temporary, sizeof(output->temporary), ".dspack-%ld.partial", (long)getpid());
    unlinkat(folder_fd, output->temporary, 0); /* of a process that was killed */
    output->fd = openat(folder_fd, output->temporary,
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (output->fd >= 0)
        return true;
    file_fail(path, "create");
    output_forget(output);
    return false;
}

bool output_open(struct output *output, const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[4096] = ".";
    struct stat st;
    int fd;

    *output = (struct output){.folder_fd = -1, .fd = -1};
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        fprintf(stderr, "dspack: %s: not a regular file\n", path);
        return false;
    }
    if (slash != NULL && (size_t)snprintf(folder, sizeof(folder), "%.*s/", (int)(slash - path),
                                          path) >= sizeof(folder)) {
        errno = ENAMETOOLONG;
        return file_fail(path, "create");
    }
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return file_fail(path, "create");
    return output_open_in(output, fd, slash != NULL ? slash + 1 : path, path);
}

bool output_write_at(struct output *output, const void *data, size_t bytes, uint64_t offset)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t n = pwrite(output->fd, (const uint8_t *)data + done, bytes - done,
                           (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return file_fail(output->path, "write");
        done += (size_t)n;
    }
    return true;
}

bool output_extend(struct output *output, uint64_t bytes)
{
    return ftruncate(output->fd, (off_t)bytes) == 0 || file_fail(output->path, "write");
}

bool output_commit(struct output *output)
{
    bool ok = true;

    if (close(output->fd) != 0)
        ok = file_fail(output->path, "close");
    output->fd = -1;
    if (ok && renameat(output->folder_fd, output->temporary, output->folder_fd, output->name) != 0)
        ok = file_fail(output->path, "rename");
    if (!ok)
        unlinkat(output->folder_fd, output->temporary, 0);
    output_forget(output);
    return ok;
}

void output_abandon(struct output *output)
{
    if (output->fd < 0)
        return;
    unlinkat(output->folder_fd, output->temporary, 0);
    output_forget(output);
}
