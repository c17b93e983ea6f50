/* Enqueue, submit, poll, wait: the application's side of a queue. */
#include "engine/queue.h"

#include "engine/clock.h"
#include "engine/file.h"
#include "engine/image/split.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define QUEUE_FLAGS                                                                                \
    (DS_QUEUE_SINGLE_PRODUCER | DS_QUEUE_SINGLE_CONSUMER | DS_QUEUE_AUTO_SUBMIT | DS_QUEUE_IMAGES)

int queue_open(struct ds_queue *queue, const struct queue_port *port,
               const struct ds_queue_config *config, uint32_t index)
{
    uint32_t capacity = config->capacity == 0 ? 1024 : config->capacity;
    bool single = (config->flags & DS_QUEUE_SINGLE_PRODUCER) != 0;
    int rc;

    if (capacity > QUEUE_CAPACITY_MAX || config->priority > DS_PRIORITY_REALTIME ||
        config->source > DS_QUEUE_SOURCE_MEMORY || config->reserved != 0 ||
        (config->flags & ~(uint32_t)QUEUE_FLAGS) != 0)
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
    queue->priority = config->priority;
    queue->source = config->source;
    event_init(&queue->done);
    event_init(&queue->freed);
    atomic_init(&queue->done_fd, -1);
    atomic_init(&queue->error_fd, -1);
    pthread_mutex_init(&queue->error_lock, NULL);

    queue->slots = host_calloc(port->host, capacity, sizeof(*queue->slots));
    if ((config->flags & DS_QUEUE_IMAGES) != 0)
        queue->images = host_calloc(port->host, capacity, sizeof(*queue->images));
    rc = queue->slots == NULL || (queue->images == NULL && (config->flags & DS_QUEUE_IMAGES) != 0)
             ? -ENOMEM
             : 0;
    if (rc == 0)
        rc = intake_open(&queue->intake, port->host, queue->slots, capacity, single);
    if (rc == 0 && queue->on_complete == NULL)
        rc = ring_open(&queue->results, port->host, capacity);
    if (rc == 0)
        rc = order_open(&queue->order, port->host, capacity);
    if (rc == 0)
        rc = order_open(&queue->notices, port->host, capacity);
    if (rc == 0)
        rc = failures_open(&queue->failures, port->host);
    if (rc != 0) {
        queue_close(queue);
        return rc;
    }
    for (uint32_t i = 0; i < capacity; i++)
        queue->slots[i].queue = queue;
    slots_init(&queue->free, queue->slots, capacity, single);
    return 0;
}

void queue_close(struct ds_queue *queue)
{
    const struct host *host = queue->port.host;
    int fds[] = {atomic_load(&queue->done_fd), atomic_load(&queue->error_fd)};

    for (uint32_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    event_fini(&queue->done);
    event_fini(&queue->freed);
    pthread_mutex_destroy(&queue->error_lock);
    failures_close(&queue->failures, host);
    if (queue->notices.epochs != NULL)
        order_close(&queue->notices, host);
    if (queue->order.epochs != NULL)
        order_close(&queue->order, host);
    if (queue->results.slots != NULL)
        ring_close(&queue->results, host);
    intake_close(&queue->intake, host);
    host_free(host, queue->slots, queue->capacity * sizeof(*queue->slots));
    host_free(host, queue->images, queue->capacity * sizeof(*queue->images));
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
    slot->kind = (uint8_t)request->op;
    slot->flags = (uint8_t)request->flags;
    slot->fd_direct = fd_direct;
    slot->status = DS_STATUS_OK;
    slot->error = 0;
    slot->chunks_total = 0;
    slot->chunks_done = 0;
    slot->chunks_copied = 0;
    slot->source = request->source;
    slot->name = request->name;
    slot->image = NULL;
    slot->gpu_address = request->gpu_address;
    slot->special = ((uintptr_t)request->source | request->gpu_address | request->codec) != 0;
    slot->codec = (uint8_t)request->codec;
    slot->transform = (uint8_t)request->transform;
    slot->unpacked_bytes = request->codec != DS_CODEC_NONE ? request->uncompressed_size
                                                           : request->size;
    __atomic_store_n(&slot->cancel_tag, request->cancel_tag, __ATOMIC_RELAXED);
}

/* Half of the capacity waits: submit by ourselves. */
static void auto_submit(struct ds_queue *queue)
{
    if ((queue->flags & DS_QUEUE_AUTO_SUBMIT) != 0 &&
        intake_unpublished(&queue->intake) >= queue->capacity / 2)
        ds_queue_submit(queue);
}

void queue_push_slot(struct ds_queue *queue, struct request *slot)
{
    intake_push(&queue->intake, slot);
    auto_submit(queue);
}

int queue_take_slot(struct ds_queue *queue, enum request_kind kind, struct request **slot)
{
    static const struct ds_request nothing = {.fd = -1};

    if (atomic_load_explicit(&queue->closed, memory_order_relaxed))
        return -ESHUTDOWN;
    *slot = slots_take(&queue->free);
    if (*slot == NULL)
        return -EAGAIN;
    slot_fill(*slot, &nothing, 0, clock_now_ns());
    (*slot)->kind = (uint8_t)kind;
    return 0;
}

static void slot_add_image(struct request *slot, const struct request_checked *checked)
{
    struct ds_queue *queue = slot->queue;

    slot->image = &queue->images[slot - queue->slots];
    slot->special = 1;
    slot->room_bytes = checked->room_bytes;
    *slot->image = checked->target;
    atomic_fetch_add_explicit(&checked->target.image->accepted, 1, memory_order_relaxed);
}

/* The destination is host memory as far as the stages can see, if that pays. */
static void slot_add_mapped(struct request *slot, const struct ds_request *request)
{
    const struct queue_port *port = &slot->queue->port;

    if (request->op != DS_OP_READ || slot->unpacked_bytes > port->mapped_max_bytes ||
        (request->codec != DS_CODEC_NONE && (!port->mapped_decodes || request_is_cut(slot))))
        return;
    slot->host = (uint8_t *)request->gpu_mapped + request->gpu_offset;
    slot->special |= SPECIAL_MAPPED;
}

static void slot_add_extras(struct request *slot, const struct ds_request *request,
                            const struct request_checked *checked)
{
    bool packed = request->codec != DS_CODEC_NONE;

    if (request->image_target != NULL)
        slot_add_image(slot, checked);
    if (packed)
        slot->kept_bytes = (uint32_t)request->destination_bytes;
    if (packed && checked->way != 0)
        slot->special |= checked->way; /* the GPU writes by itself: no mapping is needed */
    else if (request->gpu_mapped != NULL)
        slot_add_mapped(slot, request);
}

static bool source_is_allowed(const struct ds_queue *queue, const struct ds_request *request)
{
    return LIKELY(queue->source == DS_QUEUE_SOURCE_ANY) ||
           (queue->source == DS_QUEUE_SOURCE_MEMORY) == (request->source != NULL);
}

/* Checks *request, takes a slot for it and pushes that. The error of ds_queue_enqueue. */
static int enqueue(struct ds_queue *queue, const struct ds_request *request,
                   const struct ds_wait *wait, uint64_t now_ns)
{
    struct request_checked checked;
    struct request *slot;
    int rc = request_check(queue, request, &checked);

    if (rc == 0 && !source_is_allowed(queue, request))
        rc = -EPROTOTYPE;
    if (rc != 0)
        return rc;
    if (atomic_load_explicit(&queue->closed, memory_order_relaxed))
        return -ESHUTDOWN;
    slot = slots_take(&queue->free);
    if (slot == NULL)
        return -EAGAIN;
    slot_fill(slot, request, checked.fd_direct, now_ns);
    slot->wait_semaphore = wait != NULL ? wait->semaphore : 0;
    if (UNLIKELY(wait != NULL)) {
        slot->wait_value = wait->value;
        slot->special = 1;
    }
    if (UNLIKELY(checked.extras))
        slot_add_extras(slot, request, &checked);
    request_life_begin(slot);
    queue_push_slot(queue, slot);
    return 0;
}

/* n requests of the file were enqueued. After the pushes, but before the call returns, and with it
 * before the file may be closed. */
static void file_accept(struct ds_file *file, uint32_t n)
{
    if (file != NULL && n > 0)
        atomic_fetch_add_explicit(&file->accepted, n, memory_order_relaxed);
}

static int enqueue_one(struct ds_queue *queue, const struct ds_request *request, uint64_t now_ns)
{
    int rc = enqueue(queue, request, NULL, now_ns);

    if (rc == 0)
        file_accept(request->file, 1);
    return rc;
}

int ds_queue_enqueue(struct ds_queue *queue, const struct ds_request *request)
{
    return enqueue_one(queue, request, clock_now_ns());
}

static int enqueue_batch(struct ds_queue *queue, const struct ds_request *requests, uint32_t n,
                         const struct ds_wait *wait)
{
    uint64_t now_ns = clock_now_ns();
    struct ds_file *file = NULL;
    int accepted = 0, rc = 0;
    uint32_t run = 0; /* requests of `file` in a row */

    while ((uint32_t)accepted < n && accepted < INT32_MAX) {
        const struct ds_request *request = &requests[accepted];

        rc = enqueue(queue, request, wait, now_ns);
        if (rc != 0)
            break;
        if (request->file != file) {
            file_accept(file, run);
            file = request->file;
            run = 0;
        }
        run++;
        accepted++;
    }
    file_accept(file, run);
    return accepted > 0 ? accepted : rc;
}

int ds_queue_enqueue_batch(struct ds_queue *queue, const struct ds_request *requests, uint32_t n)
{
    return enqueue_batch(queue, requests, n, NULL);
}

int ds_queue_enqueue_batch_after(struct ds_queue *queue, const struct ds_request *requests,
                                 uint32_t n, const struct ds_wait *wait)
{
    if (wait != NULL) {
        if (wait->struct_size != sizeof(*wait) || wait->semaphore == 0 ||
            wait->before > DS_WAIT_BEFORE_SOURCE)
            return -EINVAL;
        if (!queue->port.signals_by_host)
            return -ENODEV;
    }
    return enqueue_batch(queue, requests, n, wait);
}

int ds_queue_enqueue_signal(struct ds_queue *queue, uint64_t semaphore, uint64_t value,
                            uint64_t user_data)
{
    struct request *slot;
    int rc;

    if (semaphore == 0)
        return -EINVAL;
    if (!queue->port.gpu_allowed)
        return -ENODEV;
    rc = queue_take_slot(queue, REQUEST_SIGNAL, &slot);
    if (rc != 0)
        return rc;
    slot->gpu_buffer = semaphore;
    slot->gpu_offset = value;
    slot->user_data = user_data;
    queue_push_slot(queue, slot);
    return 0;
}

/* MANUAL: a poller frees slots without waking the thread that runs the stages. */
#define SLOT_LOOK_NS 1000000u

/* Waits once for a free slot. */
static void wait_for_slot(struct ds_queue *queue, uint64_t timeout_ns)
{
    uint32_t key;

    if (queue->port.step != NULL) {
        queue->port.step(queue, min_u64(timeout_ns, SLOT_LOOK_NS));
        return;
    }
    key = event_prepare(&queue->freed);
    if (slots_free_n(&queue->free) > 0)
        event_cancel(&queue->freed);
    else
        event_wait(&queue->freed, key, timeout_ns);
}

int ds_queue_enqueue_wait(struct ds_queue *queue, const struct ds_request *request,
                          uint64_t timeout_ns)
{
    uint64_t now_ns = clock_now_ns(), deadline_ns;
    int rc = enqueue_one(queue, request, now_ns);

    if (rc != -EAGAIN)
        return rc;
    ds_queue_submit(queue);
    if (__builtin_add_overflow(now_ns, timeout_ns, &deadline_ns))
        deadline_ns = UINT64_MAX;
    while (rc == -EAGAIN && now_ns < deadline_ns) {
        wait_for_slot(queue, deadline_ns == UINT64_MAX ? EVENT_FOREVER : deadline_ns - now_ns);
        now_ns = clock_now_ns();
        rc = enqueue_one(queue, request, now_ns);
    }
    return rc == -EAGAIN ? -ETIMEDOUT : rc;
}

void ds_queue_submit(struct ds_queue *queue)
{
    if (!intake_publish(&queue->intake))
        return;
    /* release: pairs with the acquire in the submit stage */
    atomic_fetch_or_explicit(queue->port.ready, (uint64_t)1 << queue->index, memory_order_release);
    event_signal(queue->port.submit_event);
}

void queue_publish_results(struct ds_queue *queue, struct request **requests, uint32_t n)
{
    ring_push_n_sp(&queue->results, (void *const *)requests, n);
}

void queue_wake_waiters(struct ds_queue *queue)
{
    int fd;

    event_signal(&queue->done);
    /* After its fence, which pairs with the exchange in eventfd_get: either we see the descriptor,
     * or its maker sees the results. */
    fd = atomic_load_explicit(&queue->done_fd, memory_order_acquire);
    if (fd >= 0)
        eventfd_add(fd);
}

void queue_give_slots(struct ds_queue *queue, struct request **requests, uint32_t n)
{
    slots_give(&queue->free, requests, n);
    event_signal(&queue->freed);
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
            request_prefetch(requests[i]);
        for (uint32_t i = 0; i < n; i++)
            request_result(requests[i], &results[total + i]);
        queue_give_slots(queue, requests, n);
        total += n;
    }
    return total;
}

void queue_sleep(struct ds_queue *queue, uint64_t timeout_ns)
{
    uint32_t key = event_prepare(&queue->done);

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
        uint64_t left_ns = deadline_ns == UINT64_MAX ? EVENT_FOREVER : deadline_ns - now_ns;

        if (queue->port.step != NULL)
            queue->port.step(queue, left_ns);
        else
            queue_sleep(queue, left_ns);
        n = ds_queue_poll(queue, results, max);
        if (n > 0)
            return n;
        now_ns = clock_now_ns();
    }
    return 0;
}

int ds_queue_eventfd(struct ds_queue *queue)
{
    bool exists = atomic_load_explicit(&queue->done_fd, memory_order_acquire) >= 0;
    int fd = eventfd_get(&queue->done_fd);

    /* Results that were finished before the eventfd existed count too. */
    if (!exists && fd >= 0 && queue->on_complete == NULL && ring_count(&queue->results) > 0)
        queue_wake_waiters(queue);
    return fd;
}

int ds_queue_get_info(const struct ds_queue *queue, struct ds_queue_info *info)
{
    /* acquire: what is complete was published, so that the other number is not the smaller */
    uint64_t completed = atomic_load_explicit(&queue->completed, memory_order_acquire);
    uint32_t published =
        atomic_load_explicit(&queue->intake.published, memory_order_relaxed);
    struct ds_queue_info ours = {
        .capacity = queue->capacity,
        .free_slots = slots_free_n(&queue->free),
        .unsubmitted = intake_unpublished(&queue->intake),
        .in_flight = published - (uint32_t)completed,
        .priority = queue->priority,
    };

    if ((queue->flags & DS_QUEUE_AUTO_SUBMIT) != 0 && ours.unsubmitted < queue->capacity / 2)
        ours.until_auto_submit = queue->capacity / 2 - ours.unsubmitted;
    memcpy(ours.name, queue->name, sizeof(ours.name));
    return copy_struct_out(info, &ours, sizeof(ours));
}
