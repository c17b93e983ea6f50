/* ds_file_*: the table of open files. */
#include "stages/read_order.h"
#include "stages/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <sys/stat.h>

#define FILE_FLAGS (DS_FILE_WRITE | DS_FILE_CREATE | DS_FILE_OWN_FD)

static bool file_at_rest(const struct ds_file *file)
{
    return atomic_load_explicit(&file->accepted, memory_order_relaxed) ==
           atomic_load_explicit(&file->ended, memory_order_acquire) +
               atomic_load_explicit(&file->dropped, memory_order_acquire);
}

/* Frees closed files whose last request is gone. The caller holds `control`. */
static void files_sweep(struct ds_engine *engine)
{
    for (uint32_t i = 0; i < FILES_MAX; i++) {
        struct ds_file *file = engine->files[i];

        if (file != NULL && atomic_load_explicit(&file->closed, memory_order_acquire) &&
            file->buffered_fd < 0 && file_at_rest(file)) {
            engine->files[i] = NULL;
            host_free(&engine->host, file, sizeof(*file));
        }
    }
}

void files_close_all(struct ds_engine *engine)
{
    pthread_mutex_lock(&engine->control);
    files_sweep(engine);
    for (uint32_t i = 0; i < FILES_MAX; i++)
        DS_ASSERT(engine->files[i] == NULL); /* ds_file_close before ds_engine_destroy */
    pthread_mutex_unlock(&engine->control);
}

/* Gives the file a place in the table. */
static int file_register(struct ds_engine *engine, struct ds_file *file)
{
    int rc = -EMFILE;

    pthread_mutex_lock(&engine->control);
    files_sweep(engine);
    for (uint32_t i = 0; i < FILES_MAX && rc != 0; i++) {
        if (engine->files[i] == NULL) {
            engine->files[i] = file;
            file->slot = i;
            file->generation = ++engine->file_generation;
            rc = 0;
        }
    }
    pthread_mutex_unlock(&engine->control);
    if (rc != 0)
        host_log(&engine->host, DS_LOG_ERROR, "an engine has at most %u files open; close one, or "
                 "make another engine", FILES_MAX);
    return rc;
}

static int file_make(struct ds_engine *engine, const char *path, int fd,
                     const struct ds_file_config *caller, struct ds_file **out)
{
    struct ds_file_config config = {.struct_size = sizeof(config)};
    struct ds_file *file;
    int rc = caller != NULL ? copy_struct_in(&config, sizeof(config), caller) : 0;

    if (rc != 0)
        return rc;
    if ((config.flags & ~(uint32_t)FILE_FLAGS) != 0 || config.reserved != 0 ||
        (unsigned)config.direct > DS_DIRECT_OFF ||
        ((config.flags & DS_FILE_CREATE) != 0 && (config.flags & DS_FILE_WRITE) == 0))
        return -EINVAL;
    if (config.direct == DS_DIRECT_AUTO)
        config.direct = engine->config.direct;
    file = host_alloc(&engine->host, sizeof(*file), CACHE_LINE);
    if (file == NULL)
        return -ENOMEM;
    rc = file_open_descriptors(file, path, fd, config.flags, config.direct);
    if (rc == 0) {
        file->engine = engine;
        snprintf(file->name, sizeof(file->name), "%s", path != NULL ? path : "");
        rc = file_register(engine, file);
        if (rc != 0) {
            if (path == NULL)
                file->owns_buffered_fd = false; /* on error the descriptor stays the caller's */
            file_close_descriptors(file);
        }
    }
    if (rc != 0) {
        host_free(&engine->host, file, sizeof(*file));
        return rc;
    }
    host_log(&engine->host, DS_LOG_INFO, "file %s: %s", path != NULL ? path : "(adopted)",
             file->reason);
    *out = file;
    return 0;
}

int ds_file_open(struct ds_engine *engine, const char *path, const struct ds_file_config *config,
                 struct ds_file **file)
{
    if (path == NULL || (config != NULL && (config->flags & DS_FILE_OWN_FD) != 0))
        return -EINVAL;
    return file_make(engine, path, -1, config, file);
}

int ds_file_adopt(struct ds_engine *engine, int fd, const struct ds_file_config *config,
                  struct ds_file **file)
{
    if (fd < 0)
        return -EBADF;
    return file_make(engine, NULL, fd, config, file);
}

/* Waits until nothing of the file is in flight. */
static void file_quiesce(struct ds_file *file)
{
    struct ds_engine *engine = file->engine;
    struct event *event = &engine->complete.files;

    /* seq_cst: before submit_settle, after which turns see it */
    atomic_store_explicit(&file->closed, true, memory_order_seq_cst);
    submit_settle(&engine->submit);
    engine_sweep_closing(engine);
    for (;;) {
        uint32_t key = event_prepare(event);
        /* First: one that is refused from now on and has ended is counted as begun too. */
        uint64_t ended = atomic_load_explicit(&file->ended, memory_order_acquire);

        if (atomic_load_explicit(&file->begun, memory_order_relaxed) == ended) {
            event_cancel(event);
            return;
        }
        engine_pause(engine, event, key);
    }
}

void ds_file_close(struct ds_file **handle)
{
    struct ds_file *file = *handle;
    struct ds_engine *engine;

    if (file == NULL)
        return;
    *handle = NULL;
    engine = file->engine;
    file_quiesce(file);
    for (uint32_t i = 0; i < engine->lanes_n; i++) {
        if (engine->lanes[i].backend != NULL)
            read_forget(&engine->lanes[i], file, &engine->lane_workers[i]->event);
    }
    file_close_descriptors(file);
    pthread_mutex_lock(&engine->control);
    file->buffered_fd = -1;
    files_sweep(engine);
    pthread_mutex_unlock(&engine->control);
}

/* A block device's st_size is 0. */
static int file_bytes(int fd, uint64_t *bytes)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -errno;
    *bytes = (uint64_t)st.st_size;
    if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, bytes) != 0)
        return -errno;
    return 0;
}

int ds_file_get_info(const struct ds_file *file, struct ds_file_info *info)
{
    struct ds_file_info ours = {
        .direct = file_is_direct(file),
        .writable = file->writable,
        .direct_memory_align = file_is_direct(file) ? file->memory_align : 1,
        .direct_offset_align = file_is_direct(file) ? file->offset_align : 1,
        .direct_reason = file->reason,
    };
    int rc = file_bytes(file->buffered_fd, &ours.size);

    return rc != 0 ? rc : copy_struct_out(info, &ours, sizeof(ours));
}
