/* The back end that moves nothing: each transfer is complete as soon as it is issued. What is left
 * is the cost of the pipeline itself. */
#include "stages/read.h"

#include <stdio.h>

struct nil {
    const struct host *host;
    struct chunk **issued; /* FIFO of mask + 1 entries */
    uint32_t mask;
    uint32_t head;         /* next to be reaped; counts up, modulo 2^32 */
    uint32_t tail;
    uint32_t flushed;
};

static int nil_open(const struct read_backend_config *config, struct read_backend_info *info,
                    void **self)
{
    uint32_t entries = round_up_power_of_two(config->depth);
    struct nil *nil = host_calloc(config->host, 1, sizeof(*nil));

    if (nil == NULL)
        return -ENOMEM;
    nil->host = config->host;
    nil->mask = entries - 1;
    nil->issued = host_calloc(config->host, entries, sizeof(struct chunk *));
    if (nil->issued == NULL) {
        host_free(config->host, nil, sizeof(*nil));
        return -ENOMEM;
    }
    *info = (struct read_backend_info){0};
    snprintf(info->reason, sizeof(info->reason), "nil: asked for; no data is moved");
    *self = nil;
    return 0;
}

static int nil_start(void *self, struct read_backend_info *info)
{
    (void)self;
    (void)info;
    return 0;
}

static bool nil_issue(void *self, struct chunk *chunk)
{
    struct nil *nil = self;

    if (nil->tail - nil->head > nil->mask)
        return false;
    nil->issued[nil->tail++ & nil->mask] = chunk;
    return true;
}

static uint32_t nil_flush(void *self)
{
    struct nil *nil = self;
    uint32_t n = nil->tail - nil->flushed;

    nil->flushed = nil->tail;
    return n;
}

static uint32_t nil_reap(void *self, struct read_completion *done, uint32_t max)
{
    struct nil *nil = self;
    uint32_t n = min_u32(nil->flushed - nil->head, max);

    for (uint32_t i = 0; i < n; i++) {
        struct chunk *chunk = nil->issued[nil->head++ & nil->mask];

        done[i].chunk = chunk;
        done[i].result = (int64_t)(chunk->io_bytes - chunk->io_done);
    }
    return n;
}

static bool nil_pending(void *self)
{
    const struct nil *nil = self;

    return nil->flushed != nil->head;
}

static void nil_forget(void *self, const struct ds_file *file)
{
    (void)self;
    (void)file;
}

static void nil_stop(void *self)
{
    const struct nil *nil = self;

    DS_ASSERT(nil->head == nil->tail);
}

static void nil_close(void *self)
{
    struct nil *nil = self;
    const struct host *host = nil->host;

    host_free(host, nil->issued, ((size_t)nil->mask + 1) * sizeof(struct chunk *));
    host_free(host, nil, sizeof(*nil));
}

const struct read_backend_ops read_nil_ops = {
    .name = "nil",
    .open = nil_open,
    .start = nil_start,
    .issue = nil_issue,
    .flush = nil_flush,
    .reap = nil_reap,
    .pending = nil_pending,
    .forget = nil_forget,
    .stop = nil_stop,
    .close = nil_close,
};
