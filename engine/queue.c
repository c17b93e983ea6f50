/* Enqueue, submit, poll, wait: the application's side of a queue. */
#include "engine/queue.h"

#include "engine/clock.h"
#include "engine/file.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The free list's word: tag << 40 | count << 20 | index. The tag changes with every pop and push,
 * so that a list that only looks the same fails the compare-and-swap. */
#define LIST_BITS 20
#define LIST_MASK ((1u << LIST_BITS) - 1)
#define LIST_END LIST_MASK

_Static_assert(QUEUE_CAPACITY_MAX < LIST_END, "an index fits the free list's word");

static uint64_t list_word(uint64_t old, uint32_t count, uint32_t first)
{
    uint64_t tag = (old >> (2 * LIST_BITS)) + 1;

    return tag << (2 * LIST_BITS) | (uint64_t)count << LIST_BITS | first;
}

static uint32_t list_first(uint64_t word)
{
    return (uint32_t)word & LIST_MASK;
}

static uint32_t list_count(uint64_t word)
{
    return (uint32_t)(word >> LIST_BITS) & LIST_MASK;
}

static uint32_t slot_next(const struct request *slot)
{
    return __atomic_load_n(&slot->next, __ATOMIC_RELAXED);
}

static void slot_set_next(struct request *slot, uint32_t next)
{
    __atomic_store_n(&slot->next, next, __ATOMIC_RELAXED);
}

/* Lock-free push of a chain of n slots, linked from first to last. */
static void list_push(struct ds_queue *queue, uint32_t first, uint32_t last, uint32_t n)
{
    uint64_t old = atomic_load_explicit(&queue->free_list, memory_order_relaxed);

    do
        slot_set_next(&queue->slots[last], list_first(old));
    while (!atomic_compare_exchange_weak_explicit(
        &queue->free_list, &old, list_word(old, list_count(old) + n, first),
        memory_order_release, /* pairs with the acquire in list_pop and own_refill */
        memory_order_relaxed));
}

/* Lock-free pop of one slot, or LIST_END. */
static uint32_t list_pop(struct ds_queue *queue)
{
    uint64_t old = atomic_load_explicit(&queue->free_list, memory_order_acquire);
    uint32_t first;

    do {
        first = list_first(old);
        if (first == LIST_END)
            return LIST_END;
    } while (!atomic_compare_exchange_weak_explicit(
        &queue->free_list, &old,
        list_word(old, list_count(old) - 1, slot_next(&queue->slots[first])), memory_order_acquire,
        memory_order_acquire));
    return first;
}

/* Wait-free: the single producer takes the whole list. */
static void own_refill(struct ds_queue *queue)
{
    uint64_t old = atomic_exchange_explicit(&queue->free_list, LIST_END, memory_order_acquire);

    queue->own_first = list_first(old);
    atomic_store_explicit(&queue->own_count, list_count(old), memory_order_relaxed);
}

static struct request *slot_take(struct ds_queue *queue)
{
    uint32_t index;

    if (!(queue->flags & DS_QUEUE_SINGLE_PRODUCER)) {
        index = list_pop(queue);
        return index == LIST_END ? NULL : &queue->slots[index];
    }
    if (queue->own_first == LIST_END) {
        own_refill(queue);
        if (queue->own_first == LIST_END)
            return NULL;
    }
    index = queue->own_first;
    queue->own_first = slot_next(&queue->slots[index]);
    atomic_store_explicit(&queue->own_count,
                          atomic_load_explicit(&queue->own_count, memory_order_relaxed) - 1,
                          memory_order_relaxed);
    return &queue->slots[index];
}

static uint32_t slot_index(const struct ds_queue *queue, const struct request *slot)
{
    return (uint32_t)(slot - queue->slots);
}

int queue_open(struct ds_queue *queue, const struct queue_port *port,
               const struct ds_queue_config *config, uint32_t index)
{
    uint32_t capacity = config->capacity == 0 ? 1024 : config->capacity;
    int rc;

    if (capacity > QUEUE_CAPACITY_MAX || config->reserved != 0 ||
        (config->flags & ~(uint32_t)(DS_QUEUE_SINGLE_PRODUCER | DS_QUEUE_SINGLE_CONSUMER)) != 0)
        return -EINVAL;
    capacity = round_up_power_of_two(capacity);
    memset(queue, 0, sizeof(*queue));
    queue->port = *port;
    queue->capacity = capacity;
    queue->flags = config->flags;
    queue->index = index;
    queue->on_complete = config->on_complete;
    queue->on_complete_ctx = config->on_complete_ctx;
    if (config->name != NULL)
        strncat(queue->name, config->name, sizeof(queue->name) - 1);
    event_init(&queue->done);
    atomic_init(&queue->done_fd, -1);
    queue->own_first = LIST_END;

    queue->slots = host_calloc(port->host, capacity, sizeof(*queue->slots));
    rc = queue->slots != NULL ? 0 : -ENOMEM;
    if (rc == 0)
        rc = ring_open(&queue->submissions, port->host, capacity);
    if (rc == 0 && queue->on_complete == NULL)
        rc = ring_open(&queue->results, port->host, capacity);
    if (rc == 0)
        rc = order_open(&queue->order, port->host, capacity);
    if (rc != 0) {
        queue_close(queue);
        return rc;
    }
    for (uint32_t i = 0; i < capacity; i++) {
        queue->slots[i].queue = queue;
        queue->slots[i].next = i + 1 < capacity ? i + 1 : LIST_END;
    }
    atomic_init(&queue->free_list, list_word(0, capacity, 0));
    return 0;
}

void queue_close(struct ds_queue *queue)
{
    const struct host *host = queue->port.host;
    int fd = atomic_load(&queue->done_fd);

    if (fd >= 0)
        close(fd);
    event_fini(&queue->done);
    if (queue->order.epochs != NULL)
        order_close(&queue->order, host);
    if (queue->results.slots != NULL)
        ring_close(&queue->results, host);
    if (queue->submissions.slots != NULL)
        ring_close(&queue->submissions, host);
    host_free(host, queue->slots, queue->capacity * sizeof(*queue->slots));
}

/* Everything of a slot that the stages read. */
static void slot_fill(struct request *slot, const struct ds_request *request, uint8_t fd_direct,
                      uint64_t now_ns)
{
    slot->offset = request->offset;
    slot->size = request->size;
    slot->host = request->host;
    slot->gpu_buffer = request->gpu_buffer;
    slot->gpu_offset = request->gpu_offset;
    slot->user_data = request->user_data;
    slot->file = request->file;
    slot->enqueued_ns = now_ns;
    slot->fd = request->file != NULL ? -1 : request->fd;
    slot->kind = request->op == DS_OP_WRITE ? REQUEST_WRITE : REQUEST_READ;
    slot->flags = (uint8_t)request->flags;
    slot->fd_direct = fd_direct;
    slot->status = DS_STATUS_OK;
    slot->error = 0;
    slot->chunks_total = 0;
    slot->chunks_done = 0;
    slot->chunks_copied = 0;
    slot->bytes_done = 0;
    if (slot->file != NULL)
        atomic_fetch_add_explicit(&slot->file->accepted, 1, memory_order_relaxed);
}

/* One ring entry for a whole chain: as many slots as there are entries, so it cannot be full. */
static void chain_push(struct ds_queue *queue, struct request *first)
{
    bool pushed = queue->flags & DS_QUEUE_SINGLE_PRODUCER ? ring_push_sp(&queue->submissions, first)
                                                          : ring_push_mp(&queue->submissions, first);
    DS_ASSERT(pushed);
}

/* Takes a slot for *request. 0 with *slot set, or the error of ds_queue_enqueue. */
static int slot_enqueue(struct ds_queue *queue, const struct ds_request *request, uint64_t now_ns,
                        struct request **slot)
{
    uint8_t fd_direct;
    int rc = request_check(&queue->port, request, &fd_direct);

    if (rc != 0)
        return rc;
    *slot = slot_take(queue);
    if (*slot == NULL)
        return -EAGAIN;
    slot_fill(*slot, request, fd_direct, now_ns);
    slot_set_next(*slot, LIST_END);
    return 0;
}

int ds_queue_enqueue(struct ds_queue *queue, const struct ds_request *request)
{
    struct request *slot;
    int rc = slot_enqueue(queue, request, clock_now_ns(), &slot);

    if (rc == 0)
        chain_push(queue, slot);
    return rc;
}

int ds_queue_enqueue_batch(struct ds_queue *queue, const struct ds_request *requests, uint32_t n)
{
    struct request *first = NULL, *last = NULL, *slot;
    uint64_t now_ns = clock_now_ns();
    uint32_t accepted = 0;
    int rc = 0;

    while (accepted < n && accepted < INT32_MAX) {
        rc = slot_enqueue(queue, &requests[accepted], now_ns, &slot);
        if (rc != 0)
            break;
        if (first == NULL)
            first = slot;
        else
            slot_set_next(last, slot_index(queue, slot));
        last = slot;
        accepted++;
    }
    if (first != NULL)
        chain_push(queue, first);
    return accepted > 0 ? (int)accepted : rc;
}

int ds_queue_enqueue_signal(struct ds_queue *queue, uint64_t semaphore, uint64_t value,
                            uint64_t user_data)
{
    struct request *slot;

    if (semaphore == 0)
        return -EINVAL;
    if (!queue->port.gpu_allowed)
        return -ENODEV;
    slot = slot_take(queue);
    if (slot == NULL)
        return -EAGAIN;
    slot_fill(slot, &(struct ds_request){.gpu_buffer = semaphore, .gpu_offset = value,
                                         .user_data = user_data, .fd = -1},
              0, clock_now_ns());
    slot->kind = REQUEST_SIGNAL;
    slot_set_next(slot, LIST_END);
    chain_push(queue, slot);
    return 0;
}

void ds_queue_submit(struct ds_queue *queue)
{
    /* This thread's own entries lie before the tail that it reads here. */
    uint32_t tail = ring_tail(&queue->submissions);
    uint32_t published = atomic_load_explicit(&queue->published, memory_order_relaxed);

    /* Only forward: another thread may have published more. Release: pairs with queue_pop. */
    while ((int32_t)(tail - published) > 0) {
        if (atomic_compare_exchange_weak_explicit(&queue->published, &published, tail,
                                                  memory_order_release, memory_order_relaxed)) {
            atomic_fetch_or_explicit(queue->port.ready, (uint64_t)1 << queue->index,
                                     memory_order_release);
            event_signal(queue->port.submit_event);
            return;
        }
    }
}

bool queue_has_published(const struct ds_queue *queue)
{
    return ring_head(&queue->submissions) !=
           atomic_load_explicit(&queue->published, memory_order_acquire);
}

uint32_t queue_pop(struct ds_queue *queue, struct request **chains, uint32_t max)
{
    /* pairs with the release in ds_queue_submit */
    uint32_t published = atomic_load_explicit(&queue->published, memory_order_acquire);
    uint32_t n = published - ring_head(&queue->submissions);

    return ring_pop_n_sc(&queue->submissions, (void **)chains, min_u32(n, max));
}

struct request *queue_chain_next(struct ds_queue *queue, const struct request *request)
{
    uint32_t next = slot_next(request);

    return next == LIST_END ? NULL : &queue->slots[next];
}

void queue_free_slots(struct ds_queue *queue, struct request **requests, uint32_t n)
{
    for (uint32_t i = 0; i + 1 < n; i++)
        slot_set_next(requests[i], slot_index(queue, requests[i + 1]));
    if (n > 0)
        list_push(queue, slot_index(queue, requests[0]), slot_index(queue, requests[n - 1]), n);
}

void queue_publish_results(struct ds_queue *queue, struct request **requests, uint32_t n)
{
    ring_push_n_sp(&queue->results, (void *const *)requests, n);
}

void queue_wake_waiters(struct ds_queue *queue)
{
    int fd = atomic_load_explicit(&queue->done_fd, memory_order_acquire);
    uint64_t one = 1;

    event_signal(&queue->done);
    if (fd >= 0) {
        while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
            continue;
    }
}

/* Pops finished slots; many pollers share the ring unless the queue promises one. */
static uint32_t results_pop(struct ds_queue *queue, struct request **requests, uint32_t max)
{
    uint32_t n = 0;

    if (queue->flags & DS_QUEUE_SINGLE_CONSUMER)
        return ring_pop_n_sc(&queue->results, (void **)requests, max);
    while (n < max && ring_pop_mc(&queue->results, &requests[n]))
        n++;
    return n;
}

uint32_t ds_queue_poll(struct ds_queue *queue, struct ds_result *results, uint32_t max)
{
    struct request *requests[64];
    uint32_t total = 0, n;

    if (queue->on_complete != NULL)
        return 0;
    while (total < max) {
        n = results_pop(queue, requests, min_u32(max - total, ARRAY_LENGTH(requests)));
        if (n == 0)
            break;
        for (uint32_t i = 0; i < n; i++)
            request_result(requests[i], &results[total + i]);
        queue_free_slots(queue, requests, n);
        total += n;
    }
    return total;
}

/* Waits once: for a result to be announced, or in MANUAL topology for the stages to move. */
static void wait_once(struct ds_queue *queue, uint64_t timeout_ns)
{
    uint32_t key;

    if (queue->port.step != NULL) {
        queue->port.step(queue->port.engine, timeout_ns);
        return;
    }
    key = event_prepare(&queue->done);
    if (ring_count(&queue->results) > 0)
        event_cancel(&queue->done);
    else
        event_wait(&queue->done, key, timeout_ns);
}

uint32_t ds_queue_wait(struct ds_queue *queue, struct ds_result *results, uint32_t max,
                       uint64_t timeout_ns)
{
    uint64_t now_ns, deadline_ns = UINT64_MAX;
    uint32_t n = ds_queue_poll(queue, results, max);

    if (n > 0 || max == 0 || queue->on_complete != NULL)
        return n;
    now_ns = clock_now_ns();
    if (__builtin_add_overflow(now_ns, timeout_ns, &deadline_ns))
        deadline_ns = UINT64_MAX;
    while (now_ns < deadline_ns) {
        wait_once(queue, deadline_ns == UINT64_MAX ? EVENT_FOREVER : deadline_ns - now_ns);
        n = ds_queue_poll(queue, results, max);
        if (n > 0)
            return n;
        now_ns = clock_now_ns();
    }
    return 0;
}

int ds_queue_eventfd(struct ds_queue *queue)
{
    int fd = atomic_load_explicit(&queue->done_fd, memory_order_acquire);
    int none = -1;

    if (fd >= 0)
        return fd;
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (!atomic_compare_exchange_strong(&queue->done_fd, &none, fd)) {
        close(fd);
        return none;
    }
    /* Results that were finished before the eventfd existed count too. */
    if (queue->on_complete == NULL && ring_count(&queue->results) > 0)
        queue_wake_waiters(queue);
    return fd;
}

int ds_queue_get_info(const struct ds_queue *queue, struct ds_queue_info *info)
{
    uint64_t list = atomic_load_explicit(&queue->free_list, memory_order_relaxed);
    struct ds_queue_info ours = {
        .capacity = queue->capacity,
        .free_slots = list_count(list) +
                      atomic_load_explicit(&queue->own_count, memory_order_relaxed),
    };

    return copy_struct_out(info, &ours, sizeof(ours));
}
