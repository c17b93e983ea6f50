/* What a program does without a pipeline: for each request a pread into staging, a copy, a wait.
 * And the least of it: the preads alone. */
#include "peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct naive {
    bool reads;
    bool copies;
    struct peer_files files;
    struct sequence sequence;
    struct gpu *gpu;
    struct gpu_buffer upload; /* staging when the destination is a GPU buffer */
    uint8_t *staging;         /* where pread puts it: upload's memory, or pages */
    struct target target;
};

static void naive_close(void *self)
{
    struct naive *n = self;

    target_close(&n->target);
    if (n->gpu != NULL)
        gpu_buffer_close(n->gpu, &n->upload);
    else
        memory_unmap(n->staging, n->sequence.size);
    sequence_close(&n->sequence);
    peer_files_close(&n->files);
    free(n);
}

static int staging_open(struct peer_env *env, struct naive *n)
{
    uint64_t size = env->workload->size;
    int error = 0;

    if (env->session->dest != DEST_GPU || !n->copies) {
        n->staging = memory_map(size, true);
        return n->staging == NULL ? -ENOMEM : 0;
    }
    error = gpu_buffer_open(&env->session->gpu, size, GPU_UPLOAD, &n->upload);
    if (error != 0)
        return error;
    n->gpu = &env->session->gpu;
    n->staging = n->upload.mapped;
    return 0;
}

static int loop_open(struct peer_env *env, bool copies, void **self)
{
    const struct workload *w = env->workload;
    struct naive *n = calloc(1, sizeof(*n));
    int error;

    if (n == NULL)
        return peer_skip(env, -ENOMEM, "%s", strerror(ENOMEM));
    n->reads = env->session->options->read != DS_READ_NIL;
    n->copies = copies;
    error = peer_files_open(env, &n->files);
    if (error != 0)
        goto fail;
    error = sequence_open(&n->sequence, &env->session->inputs, w, false);
    if (error == 0)
        error = staging_open(env, n);
    if (error == 0 && copies)
        error = target_open(&n->target, env->session->dest, &env->session->gpu, w->size * w->depth);
    if (error != 0) {
        peer_skip(env, error, "no memory for staging and destination: %s", strerror(-error));
        goto fail;
    }
    if (env->direct && (uintptr_t)n->staging % 512 != 0) {
        error = peer_skip(env, -EINVAL, "mapped GPU memory is not aligned for O_DIRECT");
        goto fail;
    }
    *self = n;
    return 0;
fail:
    naive_close(n);
    return error;
}

static int naive_open(struct peer_env *env, void **self)
{
    return loop_open(env, true, self);
}

static int pread_open(struct peer_env *env, void **self)
{
    return loop_open(env, false, self);
}

static int naive_request(struct naive *n, const struct block *block, uint64_t at)
{
    int error = 0;

    if (n->reads)
        error =
            file_read_exactly(n->files.fds[block->file], n->staging, block->bytes, block->offset);
    if (error != 0 || !n->copies)
        return error;
    if (n->target.dest == DEST_GPU)
        error = gpu_copy(n->gpu, &n->upload, 0, &n->target.buffer, at, block->bytes);
    else if (n->target.dest == DEST_HOST)
        memcpy(n->target.host + at, n->staging, block->bytes);
    return error;
}

static int naive_run(struct peer_env *env, void *self, struct measure *measure)
{
    struct naive *n = self;
    uint64_t size = n->sequence.size;
    uint64_t start_cpu_ns = cpu_now_ns();
    uint64_t start_ns = now_ns();
    struct peer_limit limit = peer_limit_start(env->workload, start_ns);
    uint64_t slot = 0;

    *measure = (struct measure){0};
    while (peer_goes_on(&limit, measure->requests)) {
        struct block block = sequence_next(&n->sequence);
        int error = naive_request(n, &block, slot * size);

        if (error != 0)
            return peer_skip(env, error, "%s: %s", env->session->inputs.list[block.file].path,
                             strerror(-error));
        slot = slot + 1 == env->workload->depth ? 0 : slot + 1;
        measure->requests++;
        measure->bytes += block.bytes;
    }
    measure->wall_ns = now_ns() - start_ns;
    measure->cpu_ns = cpu_now_ns() - start_cpu_ns;
    return 0;
}

const struct peer_ops peer_naive_ops = {
    .name = "naive",
    .open = naive_open,
    .run = naive_run,
    .close = naive_close,
};

const struct peer_ops peer_pread_ops = {
    .name = "pread",
    .only_reads = true,
    .open = pread_open,
    .run = naive_run,
    .close = naive_close,
};
