#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct peer_ops *const peers_all[PEER_COUNT] = {
    [PEER_FIO] = &peer_fio_ops,
    [PEER_NAIVE] = &peer_naive_ops,
    [PEER_RAW] = &peer_raw_ops,
    [PEER_PREAD] = &peer_pread_ops,
};

void peer_env_init(struct peer_env *env, struct session *session, const struct workload *workload)
{
    *env = (struct peer_env){.session = session,
                             .workload = workload,
                             .direct = session->file.direct,
                             .direct_align = 1};
    if (env->direct && session->file.direct_offset_align > 0)
        env->direct_align = session->file.direct_offset_align;
}

int peer_open(const struct peer_ops *ops, struct peer_env *env, void **self)
{
    if (ops->only_reads && env->session->options->read == DS_READ_NIL)
        return peer_skip(env, -EINVAL, "it only reads, and --read nil reads nothing");
    return ops->open(env, self);
}

int peer_skip(struct peer_env *env, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(env->why, sizeof(env->why), format, args);
    va_end(args);
    return error;
}

int peer_files_open(struct peer_env *env, struct peer_files *files)
{
    const struct inputs *inputs = &env->session->inputs;
    int flags = O_RDONLY | O_CLOEXEC | (env->direct ? O_DIRECT : 0);

    *files = (struct peer_files){0};
    if (env->workload->size % env->direct_align != 0)
        return peer_skip(env, -EINVAL, "--size is not a multiple of %u, as its O_DIRECT needs",
                         env->direct_align);
    files->fds = calloc(inputs->n, sizeof(*files->fds));
    if (files->fds == NULL)
        return peer_skip(env, -ENOMEM, "%s", strerror(ENOMEM));
    while (files->n < inputs->n) {
        int fd = open(inputs->list[files->n].path, flags);

        if (fd < 0) {
            int error = -errno;

            peer_skip(env, error, "%s: %s", inputs->list[files->n].path, strerror(-error));
            peer_files_close(files);
            return error;
        }
        files->fds[files->n++] = fd;
    }
    return 0;
}

void peer_files_close(struct peer_files *files)
{
    for (uint32_t i = 0; i < files->n; i++)
        close(files->fds[i]);
    free(files->fds);
    *files = (struct peer_files){0};
}

struct peer_limit peer_limit_start(const struct workload *workload, uint64_t now)
{
    return (struct peer_limit){
        .requests_max = workload->requests_max != 0 ? workload->requests_max : UINT64_MAX,
        .deadline_ns = workload->most_ns != 0 ? now + workload->most_ns : 0,
    };
}
