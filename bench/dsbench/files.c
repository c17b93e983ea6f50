#include "files.h"

#include "base.h"
#include "codec_data.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BLOCK_BYTES      ((uint64_t)4 << 20)
#define BLOCK_ALIGN      4096 /* enough for any O_DIRECT */
#define MAKE_BYTES       ((uint64_t)512 << 20)
#define MAKE_LITTLE_BYTES ((uint64_t)64 << 20) /* packing takes its time, or nobody reads it */
#define MAKE_LEAST_BYTES ((uint64_t)1 << 20)
#define PLACE_WORDS      512 /* in assets one word of so many tells its place: 4 KiB */
#define INPUTS_MAX       1024 /* open files of one engine */

void file_complain(const char *path, int error)
{
    if (error == -ENODATA)
        complain("%s: the file ended early; was it made shorter while it was read?", path);
    else
        complain("%s: %s", path, strerror(-error));
}

int file_read_exactly(int fd, void *memory, uint64_t bytes, uint64_t offset)
{
    uint64_t done = 0;

    while (done < bytes) {
        ssize_t n = pread(fd, (char *)memory + done, bytes - done, (off_t)(offset + done));

        if (n == 0)
            return -ENODATA;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            done += (uint64_t)n;
    }
    return 0;
}

int file_end(FILE *out)
{
    int error = 0;

    errno = EIO; /* where an earlier write failed, whose cause is gone */
    if (fflush(out) != 0 || ferror(out))
        error = -errno;
    if (out != stdout && fclose(out) != 0 && error == 0)
        error = -errno;
    return error;
}

/* `dsbench compare A.json B.json` would measure how fast results are read. */
static bool holds_results(int fd)
{
    static const char begin[] = "{\"schema\":\"dsbench/";
    char found[sizeof(begin) - 1];

    return file_read_exactly(fd, found, sizeof(found), 0) == 0 &&
           memcmp(found, begin, sizeof(found)) == 0;
}

/* The type is looked at before open(2), which would hang on a FIFO without a writer. */
static int input_measure(const char *path, uint64_t *bytes)
{
    struct stat status;
    bool results;
    off_t end;
    int fd;

    if (stat(path, &status) != 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
        return -ENOTBLK;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    end = lseek(fd, 0, SEEK_END);
    results = holds_results(fd);
    close(fd);
    *bytes = end < 0 ? 0 : (uint64_t)end;
    return results ? -EMEDIUMTYPE : 0;
}

static int input_check(const char *path, struct input *input)
{
    int error = input_measure(path, &input->bytes);

    if (error == -ENOTBLK) {
        complain("%s: neither a regular file nor a block device", path);
        return -EINVAL;
    }
    if (error == -EMEDIUMTYPE) {
        complain("%s: results of dsbench, no data to read; `dsbench diff A B` compares two of "
                 "them, `dsbench report` draws them", path);
        return -EINVAL;
    }
    if (error != 0) {
        file_complain(path, error);
        return error;
    }
    if (input->bytes == 0) {
        complain("%s: the file is empty, there is nothing to read", path);
        return -EINVAL;
    }
    input->path = strdup(path);
    return input->path == NULL ? -ENOMEM : 0;
}

static int inputs_take(const struct options *options, struct inputs *inputs)
{
    for (uint32_t i = 0; i < options->files_n; i++) {
        int error = input_check(options->files[i], &inputs->list[i]);

        if (error != 0)
            return error;
        inputs->n++;
        inputs->bytes += inputs->list[i].bytes;
    }
    return 0;
}

static int write_all(int fd, const char *bytes, uint64_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, bytes, n);

        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0) {
            bytes += written;
            n -= (uint64_t)written;
        }
    }
    return 0;
}

/* Data such as games have, of three kinds in turn, which packs well; with words that tell their
 * place so that data from another place shows. */
static void assets_fill(uint64_t *words, uint64_t n, uint32_t file, uint64_t first)
{
    uint64_t base = ((uint64_t)file + 1) << 48;

    codec_data_fill((enum data_kind)((first * 8 / BLOCK_BYTES + file) % DATA_KIND_COUNT),
                    (uint8_t *)words, n * 8);
    for (uint64_t i = 0; i < n; i += PLACE_WORDS)
        words[i] = mix64(base + first + i);
}

/* Each word tells its file and its place, so that data from any other place shows. */
static void words_fill(uint64_t *words, uint64_t n, uint32_t file, uint64_t first)
{
    uint64_t base = ((uint64_t)file + 1) << 48;

    for (uint64_t i = 0; i < n; i++)
        words[i] = mix64(base + first + i);
}

static int content_write(int fd, bool assets, uint32_t file, uint64_t bytes)
{
    uint64_t *block = malloc(BLOCK_BYTES);
    uint64_t done = 0;
    int error = block == NULL ? -ENOMEM : 0;

    while (error == 0 && done < bytes) {
        uint64_t n = min_u64(BLOCK_BYTES, bytes - done);

        if (assets)
            assets_fill(block, (n + 7) / 8, file, done / 8);
        else
            words_fill(block, (n + 7) / 8, file, done / 8);
        error = write_all(fd, (const char *)block, n);
        done += n;
        if (interrupted)
            error = -EINTR;
    }
    free(block);
    /* on the disk, or the first direct reads would wait for the write-back */
    if (error == 0 && fdatasync(fd) != 0)
        error = -errno;
    return error;
}

static int input_make(const char *dir, bool assets, uint32_t index, uint64_t bytes,
                      struct input *input)
{
    size_t length = strlen(dir) + 32;
    int fd, error;

    input->path = malloc(length);
    if (input->path == NULL)
        return -ENOMEM;
    snprintf(input->path, length, "%s/data-%u.bin", dir, index);
    input->bytes = bytes;
    fd = open(input->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    error = fd < 0 ? -errno : content_write(fd, assets, index, bytes);
    if (fd >= 0)
        close(fd);
    if (error != 0 && error != -EINTR)
        file_complain(input->path, error);
    return error;
}

/* What is asked for, or less where the disk has little room: at most half of it. */
static int make_bytes_choose(const struct options *options, const char *dir, uint64_t *bytes)
{
    struct statvfs room;
    uint64_t room_bytes;

    *bytes = options->packs || options->read == DS_READ_NIL ? MAKE_LITTLE_BYTES : MAKE_BYTES;
    if (*bytes < options->size) /* one block at least */
        *bytes = options->size;
    if (options->make_bytes != 0)
        *bytes = options->make_bytes;
    if (statvfs(dir, &room) != 0) {
        int error = -errno;

        file_complain(dir, error);
        return error;
    }
    room_bytes = (uint64_t)room.f_bavail * room.f_frsize / 2;
    if (room_bytes >= *bytes)
        return 0;
    if (room_bytes < MAKE_LEAST_BYTES) {
        complain("%s: too little room to make files (%" PRIu64 " bytes free); use --dir, or name "
                 "FILEs",
                 dir, room_bytes * 2);
        return -ENOSPC;
    }
    *bytes = room_bytes & ~(MAKE_LEAST_BYTES - 1);
    complain("%s: little room, making %" PRIu64 " MiB only", dir, *bytes >> 20);
    return 0;
}

static char *make_dir(const struct options *options)
{
    const char *parent = options->dir;
    const char *variable = getenv("TMPDIR");
    char *dir;
    size_t length;

    if (parent == NULL)
        parent = variable != NULL && variable[0] != '\0' ? variable : "/var/tmp";
    length = strlen(parent) + sizeof("/dsbench-XXXXXX");
    dir = malloc(length);
    if (dir == NULL)
        return NULL;
    snprintf(dir, length, "%s/dsbench-XXXXXX", parent);
    if (mkdtemp(dir) == NULL) {
        file_complain(parent, -errno);
        free(dir);
        return NULL;
    }
    return dir;
}

static int inputs_make(const struct options *options, uint32_t make_n, struct inputs *inputs)
{
    uint64_t bytes;
    int error;

    inputs->dir = make_dir(options);
    if (inputs->dir == NULL)
        return -EIO;
    error = make_bytes_choose(options, inputs->dir, &bytes);
    for (uint32_t i = 0; error == 0 && i < make_n; i++) {
        uint64_t share_bytes = bytes / make_n & ~(uint64_t)4095;

        if (i == make_n - 1)
            share_bytes = bytes - inputs->bytes;
        inputs->n++; /* before it is whole: what was begun is removed too */
        error = input_make(inputs->dir, options->packs, i, share_bytes, &inputs->list[i]);
        inputs->bytes += share_bytes;
    }
    return error;
}

int inputs_open(const struct options *options, uint32_t make_n, struct inputs *inputs)
{
    uint32_t n = options->files_n > 0 ? options->files_n : make_n;
    int error;

    *inputs = (struct inputs){.keep = options->keep};
    if (n > INPUTS_MAX) {
        complain("%u FILEs are more than the %d that an engine opens", n, INPUTS_MAX);
        return -EMFILE;
    }
    inputs->list = calloc(n, sizeof(*inputs->list));
    if (inputs->list == NULL)
        error = -ENOMEM;
    else if (options->files_n > 0)
        error = inputs_take(options, inputs);
    else
        error = inputs_make(options, make_n, inputs);
    if (error != 0) {
        inputs->keep = false;
        inputs_close(inputs);
    }
    return error;
}

void inputs_close(struct inputs *inputs)
{
    for (uint32_t i = 0; i < inputs->n; i++) {
        if (inputs->dir != NULL && !inputs->keep && inputs->list[i].path != NULL)
            unlink(inputs->list[i].path);
        free(inputs->list[i].path);
    }
    if (inputs->dir != NULL && inputs->keep)
        complain("kept %s", inputs->dir);
    else if (inputs->dir != NULL && rmdir(inputs->dir) != 0)
        file_complain(inputs->dir, -errno);
    free(inputs->dir);
    free(inputs->list);
    *inputs = (struct inputs){0};
}

static int input_warm(const struct input *input, void *block, bool direct)
{
    int fd = open(input->path, O_RDONLY | O_CLOEXEC | (direct ? O_DIRECT : 0));
    int error = fd < 0 ? -errno : 0;

    for (uint64_t done = 0; error == 0 && done < input->bytes && !interrupted;) {
        ssize_t n = pread(fd, block, BLOCK_BYTES, (off_t)done);

        if (n == 0)
            error = -ENODATA;
        else if (n < 0 && errno != EINTR)
            error = -errno;
        done += n > 0 ? (uint64_t)n : 0;
    }
    if (fd >= 0)
        close(fd);
    return error;
}

int inputs_warm(const struct inputs *inputs, bool direct)
{
    void *block = aligned_alloc(BLOCK_ALIGN, BLOCK_BYTES);
    int error = block == NULL ? -ENOMEM : 0;

    for (uint32_t i = 0; error == 0 && i < inputs->n; i++) {
        error = input_warm(&inputs->list[i], block, direct);
        if (error != 0)
            file_complain(inputs->list[i].path, error);
    }
    free(block);
    return error;
}
