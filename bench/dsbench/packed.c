#include "packed.h"

#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 16
#define ALIGN       ((uint64_t)4096) /* of each block: O_DIRECT reads no more than it needs */

/* The work, which threads share block by block. */
struct packing {
    const struct sequence *sequence;
    struct packed *packed;
    uint32_t level;
    int *inputs; /* descriptors, as the sequence's inputs */
    int output;
    _Atomic uint64_t next;
    _Atomic uint64_t end; /* of the output */
    _Atomic int error;
};

/* What a thread works with. */
struct packer {
    struct ds_codec *codec;
    uint8_t *content;
    uint8_t *packed;
    size_t room;
};

static int write_exactly(int fd, const uint8_t *data, uint64_t bytes, uint64_t offset)
{
    while (bytes > 0) {
        ssize_t n = pwrite(fd, data, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        data += n;
        offset += (uint64_t)n;
        bytes -= (uint64_t)n;
    }
    return 0;
}

static int packer_open(struct packer *p, const struct packing *work)
{
    int error = ds_codec_create((enum ds_codec_format)work->packed->codec, NULL, &p->codec);

    if (error != 0)
        return error;
    p->room = ds_codec_compress_bound(p->codec, work->sequence->size);
    p->content = malloc(work->sequence->size);
    p->packed = malloc(p->room);
    return p->content == NULL || p->packed == NULL ? -ENOMEM : 0;
}

static void packer_close(struct packer *p)
{
    ds_codec_destroy(&p->codec);
    free(p->content);
    free(p->packed);
}

static int block_pack(struct packing *work, struct packer *p, uint64_t index)
{
    struct block block = sequence_block(work->sequence, index);
    size_t bytes = 0;
    uint64_t at;
    int error = file_read_exactly(work->inputs[block.file], p->content, block.bytes, block.offset);

    if (error == 0)
        error = ds_codec_compress(p->codec, (int)work->level, p->content, block.bytes, p->packed,
                                  p->room, &bytes);
    if (error != 0)
        return error;
    at = atomic_fetch_add(&work->end, (bytes + ALIGN - 1) & ~(ALIGN - 1));
    work->packed->offsets[index] = at;
    work->packed->bytes[index] = bytes;
    return write_exactly(work->output, p->packed, bytes, at);
}

static void *packing_main(void *argument)
{
    struct packing *work = argument;
    struct packer packer = {0};
    int error = packer_open(&packer, work);

    while (error == 0 && atomic_load(&work->error) == 0) {
        uint64_t index = atomic_fetch_add(&work->next, 1);

        if (index >= work->sequence->blocks_n)
            break;
        error = interrupted ? -EINTR : block_pack(work, &packer, index);
    }
    if (error != 0)
        atomic_store(&work->error, error);
    packer_close(&packer);
    return NULL;
}

static int threads_run(struct packing *work)
{
    pthread_t threads[THREADS_MAX];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t n = cores < 2 ? 0 : cores > THREADS_MAX ? THREADS_MAX : (uint32_t)cores - 1;
    uint32_t started = 0;

    while (started < n && pthread_create(&threads[started], NULL, packing_main, work) == 0)
        started++;
    packing_main(work);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return atomic_load(&work->error);
}

static int inputs_pack(struct packing *work, const struct inputs *inputs)
{
    uint32_t n = 0;
    int error = 0;

    work->inputs = calloc(inputs->n, sizeof(*work->inputs));
    if (work->inputs == NULL)
        return -ENOMEM;
    for (; error == 0 && n < inputs->n; n++) {
        work->inputs[n] = open(inputs->list[n].path, O_RDONLY | O_CLOEXEC);
        if (work->inputs[n] < 0) {
            error = -errno;
            break;
        }
    }
    if (error == 0)
        error = threads_run(work);
    while (n > 0)
        close(work->inputs[--n]);
    free(work->inputs);
    return error;
}

/* The engine opens it by its name, which goes at once; whole blocks, for the sake of O_DIRECT. */
static int output_open(struct session *session, struct packing *work, char *path)
{
    int error = 0;

    work->output = mkostemp(path, O_CLOEXEC);
    if (work->output < 0)
        return -errno;
    error = inputs_pack(work, &session->inputs);
    if (error == 0 && ftruncate(work->output, (off_t)atomic_load(&work->end)) != 0)
        error = -errno;
    if (error == 0 && fdatasync(work->output) != 0)
        error = -errno;
    if (error == 0)
        error = ds_file_open(session->engine, path, NULL, &work->packed->file);
    unlink(path);
    close(work->output);
    return error;
}

int packed_open(struct session *session, const struct sequence *sequence, uint32_t codec,
                uint32_t level, struct packed *packed)
{
    struct packing work = {.sequence = sequence, .packed = packed, .level = level};
    const char *variable = getenv("TMPDIR");
    const char *dir = session->inputs.dir != NULL   ? session->inputs.dir
                      : session->options->dir != NULL ? session->options->dir
                      : variable != NULL && variable[0] != '\0' ? variable
                                                                : "/var/tmp";
    char path[4096];
    int error = -ENOMEM;

    snprintf(path, sizeof(path), "%s/dsbench-packed-XXXXXX", dir);
    *packed = (struct packed){.codec = codec};
    packed->offsets = calloc(sequence->blocks_n, sizeof(*packed->offsets));
    packed->bytes = calloc(sequence->blocks_n, sizeof(*packed->bytes));
    if (packed->offsets != NULL && packed->bytes != NULL)
        error = output_open(session, &work, path);
    for (uint64_t i = 0; error == 0 && i < sequence->blocks_n; i++) {
        packed->packed_bytes += packed->bytes[i];
        packed->content_bytes += sequence_block(sequence, i).bytes;
    }
    if (error == -ENOTSUP)
        complain("the codec was left out of this build");
    else if (error != 0)
        complain("packing into %s: %s", path, strerror(-error));
    if (error != 0)
        packed_close(packed);
    return error;
}

void packed_close(struct packed *packed)
{
    ds_file_close(&packed->file);
    free(packed->offsets);
    free(packed->bytes);
    *packed = (struct packed){0};
}
