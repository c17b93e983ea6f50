/* Handing requests to the application, and taking them back. */
#include "stages/decode_custom.h"

#include "engine/file.h"
#include "engine/image/image.h"
#include "engine/packed.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What a sweep looks at in one turn. */
#define SWEEP_TURN_MAX 64u

/*   FREE -> OFFERED -> TAKEN -> FINISHED -> FREE
 *              `--> WITHDRAWN ------------^      void: never handed out */
enum custom_state {
    CUSTOM_FREE,
    CUSTOM_OFFERED,
    CUSTOM_WITHDRAWN,
    CUSTOM_TAKEN,
    CUSTOM_FINISHED,
};

static uint64_t life_word(uint32_t generation, enum custom_state state)
{
    return (uint64_t)generation << 32 | state;
}

static uint64_t item_life(const struct custom_item *item)
{
    return atomic_load_explicit(&item->life, memory_order_relaxed);
}

static enum custom_state item_state(const struct custom_item *item)
{
    return (enum custom_state)(uint32_t)item_life(item);
}

static uint32_t item_generation(const struct custom_item *item)
{
    return (uint32_t)(item_life(item) >> 32);
}

/* By the item's owner. */
static void item_set_state(struct custom_item *item, enum custom_state state)
{
    /* release: pairs with the acquire in result_accept */
    atomic_store_explicit(&item->life, life_word(item_generation(item), state),
                          memory_order_release);
}

static int custom_alloc(struct decode_custom *custom)
{
    const struct host *host = custom->config.host;
    uint32_t n = custom->config.items_max;
    int rc = 0;

    custom->items = host_calloc(host, n, sizeof(*custom->items));
    custom->free_items = host_calloc(host, n, sizeof(*custom->free_items));
    if (custom->items == NULL || custom->free_items == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < CUSTOM_RINGS; i++)
        rc = ring_open(&custom->offered[i], host, n);
    return rc;
}

int decode_custom_open(struct decode_custom *custom, const struct custom_config *config)
{
    memset(custom, 0, sizeof(*custom));
    custom->config = *config;
    if (config->select == 0)
        return 0;
    if (custom_alloc(custom) != 0) {
        decode_custom_close(custom);
        return -ENOMEM;
    }
    for (uint32_t i = config->items_max; i-- > 0;)
        custom->free_items[custom->free_n++] = &custom->items[i];
    return 0;
}

void decode_custom_close(struct decode_custom *custom)
{
    const struct host *host = custom->config.host;
    uint32_t n = custom->config.items_max;

    if (custom->config.select == 0)
        return;
    DS_ASSERT(custom->free_n == 0 || custom->free_n == n);
    for (uint32_t i = 0; i < CUSTOM_RINGS; i++) {
        if (custom->offered[i].slots != NULL)
            ring_close(&custom->offered[i], host);
    }
    host_free(host, custom->free_items, n * sizeof(*custom->free_items));
    host_free(host, custom->items, n * sizeof(*custom->items));
    custom->config.select = 0;
}

/* The ring of a request; ring_select is its way back. */
static uint32_t ring_of(const struct chunk *chunk)
{
    uint32_t builtin = chunk->request->codec < DS_CODEC_CUSTOM_0 ? 1 : 0;

    return chunk->ordinary * 2u + builtin;
}

static uint32_t ring_select(uint32_t ring)
{
    return (ring & 1) != 0 ? DS_CUSTOM_SELECT_BUILTIN : DS_CUSTOM_SELECT_CUSTOM;
}

bool decode_custom_wants(const struct decode_custom *custom, const struct request *request)
{
    if (custom->config.select == 0 || request_on_gpu(request))
        return false;
    return request->codec >= DS_CODEC_CUSTOM_0 ||
           (custom->config.select & DS_CUSTOM_SELECT_BUILTIN) != 0;
}

/* Nobody wants its bytes any more, and nobody must be bothered with them. */
static bool request_is_void(const struct request *request)
{
    return request_is_cancelled(request) ||
           /* acquire: pairs with the release in ds_queue_destroy */
           atomic_load_explicit(&request->queue->abandons, memory_order_acquire);
}

bool decode_custom_offer(struct decode_custom *custom, struct chunk *chunk)
{
    struct custom_item *item;
    bool pushed;

    if (request_is_void(chunk->request)) {
        chunk_fail(chunk, DS_STATUS_CANCELLED, 0);
        return false;
    }
    DS_ASSERT(custom->free_n > 0); /* there are as many as chunks */
    item = custom->free_items[--custom->free_n];
    item->chunk = chunk;
    item->error = 0;
    if (++custom->config.door->generation == 0)
        custom->config.door->generation = 1; /* no id is 0 */
    atomic_store_explicit(&item->life,
                          life_word(custom->config.door->generation, CUSTOM_OFFERED),
                          memory_order_relaxed);
    pushed = ring_push_sp(&custom->offered[ring_of(chunk)], item);
    DS_ASSERT(pushed); /* it holds all items */
    custom->unannounced_n++;
    return true;
}

void decode_custom_announce(struct decode_custom *custom)
{
    int32_t n = (int32_t)custom->unannounced_n;
    int32_t before;
    int fd;

    if (n == 0)
        return;
    custom->unannounced_n = 0;
    /* seq_cst: the count, then the descriptor; pairs with decode_custom_eventfd, the other way
     * round, and with taken_settle, which clears the descriptor and then looks at the count. */
    before = atomic_fetch_add_explicit(&custom->untaken_n, n, memory_order_seq_cst);
    fd = atomic_load_explicit(&custom->config.door->fd, memory_order_seq_cst);
    if (fd >= 0 && before <= 0 && before + n > 0)
        eventfd_add(fd);
}

/* n requests are not on offer any more. Leaves the descriptor readable if others are. */
static void taken_settle(struct decode_custom *custom, uint32_t n)
{
    int32_t left =
        atomic_fetch_sub_explicit(&custom->untaken_n, (int32_t)n, memory_order_seq_cst) -
        (int32_t)n;
    int fd = atomic_load_explicit(&custom->config.door->fd, memory_order_seq_cst);
    uint64_t count;

    if (fd < 0)
        return;
    if (left <= 0) {
        while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
            continue;
        /* What came meanwhile may have been written before that, and cleared. */
        left = atomic_load_explicit(&custom->untaken_n, memory_order_seq_cst);
    }
    if (left > 0)
        eventfd_add(fd);
}

/* Gives a list of items back to the stage. They may be gone on return. */
static void items_return(struct decode_custom *custom, struct custom_item *first,
                         struct custom_item *last)
{
    struct custom_item *head = atomic_load_explicit(&custom->finished, memory_order_relaxed);

    do
        last->next = head;
    while (!atomic_compare_exchange_weak_explicit(
        &custom->finished, &head, first,
        memory_order_release, /* pairs with the acquire in decode_custom_collect */
        memory_order_relaxed));
    event_signal(custom->config.sweep->event);
}

static void item_describe(const struct decode_custom *custom, struct custom_item *item,
                          struct ds_custom_request *out)
{
    const struct request *r = item->chunk->request;
    struct packed_places places = packed_places(item->chunk);
    bool in_staging = places.work != r->host;

    *out = (struct ds_custom_request){
        .id = (uint64_t)item_generation(item) << 32 | (uint64_t)(item - custom->items),
        .user_data = r->user_data,
        .name = r->name,
        .codec = r->codec,
        .transform = r->transform,
        .source = places.source,
        .source_bytes = r->size,
        .destination = places.work,
        .destination_bytes = r->unpacked_bytes,
        .flags = in_staging && custom->config.write_combined ? DS_CUSTOM_WRITE_COMBINED : 0,
    };
}

/* Takes from one ring. Items that are void go into *gone instead. */
static uint32_t ring_take(struct decode_custom *custom, uint32_t ring,
                          struct ds_custom_request *requests, uint32_t max,
                          struct custom_item **gone, uint32_t *gone_n)
{
    struct custom_item *item;
    uint32_t n = 0;

    while (n < max && ring_pop_mc(&custom->offered[ring], &item)) {
        if (request_is_void(item->chunk->request)) {
            item_set_state(item, CUSTOM_WITHDRAWN);
            item->next = *gone;
            *gone = item;
            ++*gone_n;
            continue;
        }
        item_describe(custom, item, &requests[n++]);
        item_set_state(item, CUSTOM_TAKEN);
    }
    return n;
}

int decode_custom_take(struct decode_custom *custom, uint32_t select,
                       struct ds_custom_request *requests, uint32_t max)
{
    struct custom_item *gone = NULL, *last;
    uint32_t n = 0, gone_n = 0;

    if (custom->config.select == 0)
        return -ENOTSUP;
    if (select == 0 || (select & ~(uint32_t)DS_CUSTOM_SELECT_ALL) != 0)
        return -EINVAL;
    max = min_u32(max, INT32_MAX);
    for (uint32_t i = 0; i < CUSTOM_RINGS; i++) {
        if ((select & ring_select(i)) != 0)
            n += ring_take(custom, i, requests + n, max - n, &gone, &gone_n);
    }
    if (gone != NULL) {
        for (last = gone; last->next != NULL; last = last->next)
            continue;
        items_return(custom, gone, last);
    }
    taken_settle(custom, n + gone_n);
    return (int)n;
}

/* Undoes the transform. The bytes of a cancelled request are not worth it. */
static void item_unshuffle(const struct custom_item *item)
{
    const struct request *r = item->chunk->request;
    struct packed_places places = packed_places(item->chunk);

    if (r->transform != DS_CODEC_TRANSFORM_NONE && !request_is_cancelled(r))
        ds_codec_unshuffle((enum ds_codec_transform)r->transform, places.work, places.decoded,
                           r->unpacked_bytes);
}

/* The item that a result ends, which is the caller's then; or NULL and *rc. */
static struct custom_item *result_accept(struct decode_custom *custom,
                                         const struct ds_custom_result *result, int *rc)
{
    uint32_t index = (uint32_t)result->id, generation = (uint32_t)(result->id >> 32);
    uint64_t taken = life_word(generation, CUSTOM_TAKEN);
    struct custom_item *item;

    *rc = result->error > 0 || result->reserved != 0 ? -EINVAL : 0;
    if (*rc == 0 && index >= custom->config.items_max)
        *rc = -ENOENT;
    if (*rc != 0)
        return NULL;
    item = &custom->items[index];
    /* acquire: pairs with the release in item_set_state */
    if (!atomic_compare_exchange_strong_explicit(&item->life, &taken,
                                                 life_word(generation, CUSTOM_FINISHED),
                                                 memory_order_acquire, memory_order_relaxed)) {
        *rc = -ENOENT;
        return NULL;
    }
    item->error = result->error;
    if (result->error == 0)
        item_unshuffle(item);
    return item;
}

int decode_custom_finish(struct decode_custom *custom, const struct ds_custom_result *results,
                         uint32_t n)
{
    struct custom_item *first = NULL, *last = NULL;
    int first_rc = 0, rc;

    if (custom->config.select == 0)
        return -ENOTSUP;
    for (uint32_t i = 0; i < n; i++) {
        struct custom_item *item = result_accept(custom, &results[i], &rc);

        if (item == NULL) {
            first_rc = first_rc != 0 ? first_rc : rc;
            host_log(custom->config.host, DS_LOG_ERROR,
                     "ds_custom_finish: result %u, id 0x%llx, error %d: %s", i,
                     (unsigned long long)results[i].id, results[i].error,
                     rc == -ENOENT ? "no such request is with the application"
                                   : "error must not be positive, and reserved must be 0");
            continue;
        }
        item->next = first;
        first = item;
        last = last != NULL ? last : item;
    }
    if (first != NULL)
        items_return(custom, first, last);
    return first_rc;
}

int decode_custom_eventfd(struct decode_custom *custom)
{
    bool exists = atomic_load_explicit(&custom->config.door->fd, memory_order_acquire) >= 0;
    int fd;

    if (custom->config.select == 0)
        return -ENOTSUP;
    fd = eventfd_get(&custom->config.door->fd);
    /* seq_cst: the descriptor, then the count; pairs with decode_custom_announce */
    if (!exists && fd >= 0 &&
        atomic_load_explicit(&custom->untaken_n, memory_order_seq_cst) > 0)
        eventfd_add(fd);
    return fd;
}

static bool request_is_closing(const struct request *r)
{
    const struct ds_image *image = r->image != NULL ? r->image->image : NULL;

    return atomic_load_explicit(&r->queue->closing, memory_order_relaxed) ||
           (r->file != NULL && atomic_load_explicit(&r->file->closed, memory_order_relaxed)) ||
           (image != NULL && atomic_load_explicit(&image->closed, memory_order_relaxed));
}

/* Somebody waits for what only the application can end: says so, in case that is forgotten. */
static void closing_tell(const struct decode_custom *custom)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < custom->config.items_max; i++) {
        const struct custom_item *item = &custom->items[i];
        enum custom_state state = item_state(item);

        if ((state == CUSTOM_OFFERED || state == CUSTOM_TAKEN) &&
            request_is_closing(item->chunk->request))
            n++;
    }
    if (n > 0)
        host_log(custom->config.host, DS_LOG_WARNING,
                 "a queue, file or image that is being closed waits for %u requests until the "
                 "application has decoded them (ds_custom_take, ds_custom_finish); "
                 "ds_queue_cancel ends those that were not taken",
                 n);
}

/* Takes up what was asked for: all that is on offer now. */
static void sweep_begin(struct decode_custom *custom)
{
    _Atomic uint32_t *wanted = &custom->config.sweep->wanted;

    if (atomic_load_explicit(wanted, memory_order_relaxed) == 0)
        return;
    /* acquire: the marks; pairs with the release in sweep_ask */
    custom->sweeping |= atomic_exchange_explicit(wanted, 0, memory_order_acquire);
    for (uint32_t i = 0; i < CUSTOM_RINGS; i++)
        custom->sweep_left[i] = ring_count(&custom->offered[i]);
}

/* The oldest item of a ring ends if it is void, else it goes to the end of the line. False: there
 * was none. */
static bool sweep_one(struct decode_custom *custom, uint32_t ring, uint32_t *gone)
{
    struct custom_item *item;
    bool pushed;

    if (!ring_pop_mc(&custom->offered[ring], &item))
        return false;
    if (request_is_void(item->chunk->request)) {
        item_set_state(item, CUSTOM_WITHDRAWN);
        item->next = custom->collected;
        custom->collected = item;
        ++*gone;
        return true;
    }
    pushed = ring_push_sp(&custom->offered[ring], item);
    DS_ASSERT(pushed);
    return true;
}

uint32_t decode_custom_sweep(struct decode_custom *custom)
{
    uint32_t seen = 0, gone = 0;

    if (custom->config.select == 0)
        return 0;
    sweep_begin(custom);
    if (custom->sweeping == 0)
        return 0;
    for (uint32_t i = 0; i < CUSTOM_RINGS; i++) {
        while (custom->sweep_left[i] > 0 && seen < SWEEP_TURN_MAX) {
            custom->sweep_left[i] =
                sweep_one(custom, i, &gone) ? custom->sweep_left[i] - 1 : 0;
            seen++;
        }
    }
    taken_settle(custom, gone); /* also for those that were out of sight for a moment */
    if (seen == SWEEP_TURN_MAX)
        return seen;
    if ((custom->sweeping & SWEEP_CLOSING) != 0)
        closing_tell(custom);
    custom->sweeping = 0;
    return seen;
}

static void answer_apply(struct decode_custom *custom, const struct custom_item *item)
{
    struct chunk *chunk = item->chunk;
    const struct request *r = chunk->request;

    if (item_state(item) == CUSTOM_WITHDRAWN || request_is_cancelled(r)) {
        chunk_fail(chunk, DS_STATUS_CANCELLED, 0);
    } else if (item->error != 0) {
        host_log(custom->config.host, DS_LOG_ERROR,
                 "decode: request \"%s\" (codec 0x%x, %llu bytes at %llu, %llu decoded): the "
                 "application failed it with %d",
                 r->name != NULL ? r->name : "", r->codec, (unsigned long long)r->size,
                 (unsigned long long)r->offset, (unsigned long long)r->unpacked_bytes,
                 item->error);
        chunk_fail(chunk, DS_STATUS_DECOMPRESSION, item->error);
    } else {
        packed_done(chunk, packed_places(chunk).decoded);
    }
}

struct chunk *decode_custom_collect(struct decode_custom *custom)
{
    struct custom_item *item;
    struct chunk *chunk;

    if (custom->collected == NULL &&
        atomic_load_explicit(&custom->finished, memory_order_relaxed) != NULL)
        /* acquire: what the application wrote; pairs with the release in items_return */
        custom->collected =
            atomic_exchange_explicit(&custom->finished, NULL, memory_order_acquire);
    item = custom->collected;
    if (item == NULL)
        return NULL;
    custom->collected = item->next;
    chunk = item->chunk;
    answer_apply(custom, item);
    item->chunk = NULL;
    item_set_state(item, CUSTOM_FREE);
    custom->free_items[custom->free_n++] = item;
    return chunk;
}

uint32_t decode_custom_out_n(const struct decode_custom *custom)
{
    return custom->config.select != 0 ? custom->config.items_max - custom->free_n : 0;
}

bool decode_custom_pending(const struct decode_custom *custom)
{
    if (custom->config.select == 0)
        return false;
    return custom->collected != NULL || custom->sweeping != 0 ||
           atomic_load_explicit(&custom->finished, memory_order_relaxed) != NULL ||
           atomic_load_explicit(&custom->config.sweep->wanted, memory_order_relaxed) != 0;
}
