#include "session.h"

#include "base.h"

#ifdef DSBENCH_JEMALLOC
#include <ds/jemalloc.h>
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Errors and warnings are shown; while a device is looked for the last is kept as the reason. */
static void engine_log(void *ctx, enum ds_log_level level, const char *message)
{
    struct session *s = ctx;

    if (level <= DS_LOG_WARNING && s->engine == NULL && !s->has_gpu && s->dest != DEST_HOST &&
        s->dest != DEST_NIL)
        snprintf(s->device_reason, sizeof(s->device_reason), "%s", message);
    else if (level <= DS_LOG_WARNING || s->options->verbose)
        complain("engine: %s", message);
}

static void allocator_open(struct session *s)
{
#ifdef DSBENCH_JEMALLOC
    s->has_allocator = ds_jemalloc_allocator_init(&s->allocator) == 0;
#else
    (void)s;
#endif
}

static void allocator_close(struct session *s)
{
#ifdef DSBENCH_JEMALLOC
    if (s->has_allocator)
        ds_jemalloc_allocator_fini(&s->allocator);
#endif
    s->has_allocator = false;
}

/* Settles s->dest: a device that was asked for must be there, else host memory will do. */
static int device_open(struct session *s)
{
    const struct options *o = s->options;
    bool required = o->dest == DEST_GPU || o->device != NULL || options_decode_needs_gpu(o);
    int error;

    s->dest = required ? DEST_GPU : o->dest;
    if (s->dest == DEST_HOST || s->dest == DEST_NIL)
        return 0;
    error = gpu_open(
        &s->gpu, ds_vulkan_backend_config(.device_name = o->device, .log = engine_log, .log_ctx = s,
                                          .copy_path = (enum ds_vulkan_copy_path)o->copy_path,
                                          .decode_path =
                                              (enum ds_vulkan_decode_path)o->decode_path,
                                          .decode_backlog_bytes = o->decode_backlog_bytes,
                                          .scatter_groups_max = (uint32_t)o->scatter_groups.at[0],
                                          .batches_max = o->batches,
                                          .mapped_path =
                                              (enum ds_vulkan_mapped_path)o->mapped_path,
                                          .allocator = s->has_allocator ? &s->allocator : NULL));
    if (error == 0) {
        s->gpu.destinations_mapped = o->mapped;
        s->has_gpu = true;
        s->dest = DEST_GPU;
        return 0;
    }
    if (s->device_reason[0] == '\0')
        snprintf(s->device_reason, sizeof(s->device_reason), "%s", strerror(-error));
    if (required) {
        complain("no usable Vulkan device: %s", s->device_reason);
        return error;
    }
    s->dest = DEST_HOST;
    return 0;
}

static int engine_open(struct session *s)
{
    const struct options *o = s->options;
    struct ds_engine_config config;
    int error;

    ds_engine_config_init(&config);
    config.arena_bytes = o->arena_bytes;
    config.topology = o->topology;
    config.uring_poll = o->uring_poll;
    config.read_backend = o->read;
    config.copy_backend = s->dest == DEST_NIL   ? DS_COPY_NIL
                          : s->dest == DEST_GPU ? DS_COPY_VULKAN
                                                : DS_COPY_HOST;
    config.direct = o->direct;
    config.spin_ns = o->spin_us * 1000;
    config.flush_ns = o->flush_us * 1000;
    config.read_lanes = o->lanes;
    config.allocator = s->has_allocator ? &s->allocator : NULL;
    config.log = engine_log;
    config.log_ctx = s;
    config.log_level = o->verbose ? DS_LOG_DEBUG : DS_LOG_WARNING;
    config.vulkan = s->gpu.backend;
    error = ds_engine_create(&config, &s->engine);
    if (error != 0) {
        complain("the engine does not start: %s", strerror(-error));
        return error;
    }
    if (s->has_gpu) /* once more: by now it is measured how the copies go */
        ds_vulkan_backend_get_info(s->gpu.backend, &s->gpu.info);
    s->info.struct_size = sizeof(s->info);
    return ds_engine_get_info(s->engine, &s->info);
}

static int files_open(struct session *s)
{
    s->files = calloc(s->inputs.n, sizeof(*s->files));
    if (s->files == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->inputs.n; i++) {
        const char *path = s->inputs.list[i].path;
        int error = ds_file_open(s->engine, path, NULL, &s->files[i]);

        if (error == -EINVAL && s->options->direct == DS_DIRECT_ON) {
            complain("%s: --direct on: the file system refuses O_DIRECT", path);
            return error;
        }
        if (error != 0) {
            file_complain(path, error);
            return error;
        }
    }
    s->file.struct_size = sizeof(s->file);
    return ds_file_get_info(s->files[0], &s->file);
}

/* The rest, once there are inputs. */
static int session_start(struct session *session)
{
    const struct options *options = session->options;
    int error;

    allocator_open(session);
    error = device_open(session);
    if (error == 0)
        error = engine_open(session);
    if (error == 0)
        error = files_open(session);
    if (error == 0 && options->warm && options->read != DS_READ_NIL)
        error = inputs_warm(&session->inputs, session->file.direct);
    if (error != 0)
        session_close(session);
    return error;
}

int session_open(const struct options *options, uint32_t make_n, struct session *session)
{
    int error;

    *session = (struct session){.options = options, .dest = DEST_AUTO};
    error = inputs_open(options, make_n, &session->inputs);
    return error != 0 ? error : session_start(session);
}

int session_open_on(const struct options *options, const struct inputs *inputs,
                    struct session *session)
{
    *session = (struct session){
        .options = options, .dest = DEST_AUTO, .inputs = *inputs, .inputs_borrowed = true};
    return session_start(session);
}

void session_close(struct session *session)
{
    for (uint32_t i = 0; session->files != NULL && i < session->inputs.n; i++)
        ds_file_close(&session->files[i]);
    free(session->files);
    session->files = NULL;
    ds_engine_destroy(&session->engine);
    if (session->has_gpu)
        gpu_close(&session->gpu);
    session->has_gpu = false;
    allocator_close(session);
    if (!session->inputs_borrowed)
        inputs_close(&session->inputs);
}

const char *session_read_name(const struct session *session)
{
    switch (session->info.read) {
    case DS_READ_URING:
        return "io_uring";
    case DS_READ_PREAD:
        return "pread";
    case DS_READ_NIL:
        return "nil";
    default:
        return "?";
    }
}

const char *session_direct_name(const struct session *session)
{
    return session->file.direct ? "direct" : "buffered";
}

const char *session_copies(const struct session *session, char *text, size_t text_bytes)
{
    bool all = session->gpu.destinations_mapped && session->gpu.info.mapped_max_bytes == UINT64_MAX;
    const char *mapped = all ? "none where mapped, else by " : "";
    uint32_t most = session->gpu.info.scatter_max_bytes;
    char size[SIZE_TEXT_BYTES];

    if (most == 0)
        snprintf(text, text_bytes, "%scommand", mapped);
    else if (most == UINT32_MAX)
        snprintf(text, text_bytes, "%sshader", mapped);
    else
        snprintf(text, text_bytes, "%sshader up to %s, else by command", mapped,
                 size_text(size, most));
    return text;
}

const char *session_mapped(const struct session *session, char *text, size_t text_bytes)
{
    const struct ds_vulkan_info *info = &session->gpu.info;
    uint64_t most = info->mapped_max_bytes, alone = info->mapped_alone_max_bytes;
    char size[SIZE_TEXT_BYTES];

    if (most == UINT64_MAX)
        snprintf(text, text_bytes, "all");
    else if (most != 0)
        snprintf(text, text_bytes, "up to %s", size_text(size, most));
    else if (alone != 0)
        snprintf(text, text_bytes, "alone up to %s", size_text(size, alone));
    else
        snprintf(text, text_bytes, "none");
    return text;
}

const char *session_topology_name(const struct session *session)
{
    switch (session->info.topology) {
    case DS_TOPOLOGY_DEDICATED:
        return "dedicated";
    case DS_TOPOLOGY_SHARED:
        return "shared";
    case DS_TOPOLOGY_HYBRID:
        return "hybrid";
    default:
        return "?";
    }
}

const char *session_device_name(const struct session *session)
{
    return session->dest == DEST_GPU ? session->gpu.info.device_name : dest_name(session->dest);
}
