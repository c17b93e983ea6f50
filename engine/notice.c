/* Status arrays and the entries that set them; event entries; cancellation. */
#include "engine/notice.h"

#include "engine/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_MAX (1u << 20)

static size_t array_bytes(uint32_t n)
{
    return sizeof(struct ds_status_array) + n * sizeof(_Atomic uint64_t);
}

static uint64_t outcome_word(int32_t status, int32_t error)
{
    return (uint64_t)(uint32_t)error << 32 | (uint32_t)status;
}

void status_array_drop(struct ds_status_array *array)
{
    /* acq_rel: who frees it has seen all other uses end */
    if (atomic_fetch_sub_explicit(&array->references, 1, memory_order_acq_rel) == 1)
        host_free(array->host, array, array_bytes(array->n));
}

int status_array_open(struct ds_engine *engine, const struct host *host, uint32_t n,
                      struct ds_status_array **out)
{
    struct ds_status_array *array;

    if (n == 0 || n > ARRAY_MAX)
        return -EINVAL;
    array = host_alloc(host, array_bytes(n), CACHE_LINE);
    if (array == NULL)
        return -ENOMEM;
    array->engine = engine;
    array->host = host;
    array->n = n;
    atomic_init(&array->references, 1);
    *out = array;
    return 0;
}

void ds_status_array_destroy(struct ds_status_array **array)
{
    if (*array != NULL)
        status_array_drop(*array);
    *array = NULL;
}

int ds_status_array_get(const struct ds_status_array *array, uint32_t index, int32_t *error)
{
    uint64_t word;

    if (index >= array->n)
        return -EINVAL;
    /* acquire: pairs with the release in status_array_set */
    word = atomic_load_explicit(&array->outcomes[index], memory_order_acquire);
    if (error != NULL)
        *error = (int32_t)(word >> 32);
    return (int32_t)(uint32_t)word;
}

void status_array_set(struct ds_status_array *array, uint32_t index,
                      const struct order_error *outcome)
{
    atomic_store_explicit(&array->outcomes[index], outcome_word(outcome->status, outcome->error),
                          memory_order_release);
    status_array_drop(array);
}

int ds_queue_enqueue_status(struct ds_queue *queue, struct ds_status_array *array, uint32_t index)
{
    struct request *slot;
    uint64_t word;
    int rc;

    if (array == NULL || array->engine != queue->port.engine || index >= array->n)
        return -EINVAL;
    word = atomic_load_explicit(&array->outcomes[index], memory_order_relaxed);
    if ((int32_t)(uint32_t)word == DS_STATUS_PENDING)
        return -EBUSY;
    rc = queue_take_slot(queue, REQUEST_STATUS, &slot);
    if (rc != 0)
        return rc;
    if (!atomic_compare_exchange_strong_explicit(&array->outcomes[index], &word,
                                                 outcome_word(DS_STATUS_PENDING, 0),
                                                 memory_order_relaxed, memory_order_relaxed)) {
        queue_give_slots(queue, &slot, 1);
        return -EBUSY; /* another thread was faster */
    }
    atomic_fetch_add_explicit(&array->references, 1, memory_order_relaxed);
    slot->array = array;
    slot->offset = index;
    queue_push_slot(queue, slot);
    return 0;
}

/* By its name in /proc: nothing else tells an eventfd from a pipe without changing either. */
static bool is_eventfd(int fd)
{
    static const char name[] = "anon_inode:[eventfd]";
    char path[32], target[sizeof(name)];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    n = readlink(path, target, sizeof(target));
    return n < 0 || ((size_t)n == sizeof(name) - 1 && memcmp(target, name, (size_t)n) == 0);
}

int ds_queue_enqueue_event(struct ds_queue *queue, int eventfd)
{
    struct request *slot;
    int fd = fcntl(eventfd, F_DUPFD_CLOEXEC, 0);
    int rc;

    if (fd < 0)
        return -errno;
    rc = is_eventfd(fd) ? queue_take_slot(queue, REQUEST_EVENT, &slot) : -EINVAL;
    if (rc != 0) {
        close(fd);
        return rc;
    }
    slot->fd = fd;
    queue_push_slot(queue, slot);
    return 0;
}

/* Marks one slot, unless its request has ended or the slot has a new user meanwhile. */
static bool slot_cancel(struct request *slot, uint64_t mask, uint64_t value)
{
    /* acquire: pairs with the release in request_life_begin, so that the tag is this life's */
    uint32_t life = __atomic_load_n(&slot->life, __ATOMIC_ACQUIRE);
    uint64_t tag = __atomic_load_n(&slot->cancel_tag, __ATOMIC_RELAXED);

    return (life & (LIFE_LIVE | LIFE_CANCELLED)) == LIFE_LIVE && (tag & mask) == value &&
           __atomic_compare_exchange_n(&slot->life, &life, life | LIFE_CANCELLED, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void sweep_ask(struct sweep *sweep, enum sweep_reason reason)
{
    if (sweep == NULL)
        return;
    /* release: the marks; pairs with the acquire in decode_custom_sweep */
    atomic_fetch_or_explicit(&sweep->wanted, (uint32_t)reason, memory_order_release);
    event_signal(sweep->event);
}

uint32_t ds_queue_cancel(struct ds_queue *queue, uint64_t mask, uint64_t value)
{
    uint32_t n = 0;

    /* Before the marks: whoever begins a request after this call sees both, by the release of
     * ds_queue_submit. */
    if (queue->port.cancels != NULL)
        atomic_store_explicit(queue->port.cancels, true, memory_order_relaxed);
    for (uint32_t i = 0; i < queue->capacity; i++)
        n += slot_cancel(&queue->slots[i], mask, value) ? 1 : 0;
    if (n > 0)
        sweep_ask(queue->port.sweep, SWEEP_CANCELLED);
    return n;
}
