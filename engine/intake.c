/* SPSC ring or MPSC list, with a published position. */
#include "engine/intake.h"

#include <string.h>

static uint32_t list_newest(uint64_t word)
{
    return (uint32_t)word;
}

static uint32_t list_pushed(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

int intake_open(struct intake *intake, const struct host *host, struct request *slots,
                uint32_t capacity, bool single_producer)
{
    memset(intake, 0, sizeof(*intake));
    intake->slots = slots;
    intake->single_producer = single_producer;
    atomic_init(&intake->list, REQUEST_NONE);
    return single_producer ? ring_open(&intake->ring, host, capacity) : 0;
}

void intake_close(struct intake *intake, const struct host *host)
{
    if (intake->ring.slots != NULL)
        ring_close(&intake->ring, host);
}

void intake_push(struct intake *intake, struct request *slot)
{
    uint32_t index = (uint32_t)(slot - intake->slots);
    uint64_t old;

    if (intake->single_producer) {
        bool pushed = ring_push_sp(&intake->ring, slot);

        DS_ASSERT(pushed); /* it holds as many entries as there are slots */
        return;
    }
    old = atomic_load_explicit(&intake->list, memory_order_relaxed);
    do
        request_set_next(slot, list_newest(old));
    while (!atomic_compare_exchange_weak_explicit(
        &intake->list, &old, (uint64_t)(list_pushed(old) + 1) << 32 | index,
        memory_order_release, /* pairs with the acquire in list_take */
        memory_order_relaxed));
}

static uint32_t intake_pushed(const struct intake *intake)
{
    if (intake->single_producer)
        return ring_tail(&intake->ring);
    return list_pushed(atomic_load_explicit(&intake->list, memory_order_relaxed));
}

bool intake_publish(struct intake *intake)
{
    /* This thread's own entries are among those counted. */
    uint32_t pushed = intake_pushed(intake);
    uint32_t published = atomic_load_explicit(&intake->published, memory_order_relaxed);

    /* Only forward: another thread may have published more. Release: pairs with intake_pop. */
    while ((int32_t)(pushed - published) > 0) {
        if (atomic_compare_exchange_weak_explicit(&intake->published, &published, pushed,
                                                  memory_order_release, memory_order_relaxed))
            return true;
    }
    return false;
}

/* Takes the whole list and turns it round: newest to oldest becomes oldest to newest. The count
 * stays. Called when `oldest` is used up, so that the order is kept. */
static void list_take(struct intake *intake)
{
    uint64_t word = atomic_fetch_or_explicit(&intake->list, REQUEST_NONE, memory_order_acquire);
    uint32_t index = list_newest(word);
    struct request *newer = NULL;

    while (index != REQUEST_NONE) {
        struct request *slot = &intake->slots[index];

        index = request_next_slot(slot);
        slot->newer = newer;
        newer = slot;
    }
    intake->oldest = newer;
}

static uint32_t list_pop(struct intake *intake, struct request **requests, uint32_t max)
{
    uint32_t n = 0;

    while (n < max) {
        if (intake->oldest == NULL)
            list_take(intake);
        if (intake->oldest == NULL)
            break;
        requests[n++] = intake->oldest;
        intake->oldest = intake->oldest->newer;
    }
    return n;
}

static uint32_t pop_n(struct intake *intake, struct request **requests, uint32_t n)
{
    if (intake->single_producer)
        ring_take_n_sc(&intake->ring, (void **)requests, n);
    else
        n = list_pop(intake, requests, n);
    atomic_store_explicit(&intake->popped,
                          atomic_load_explicit(&intake->popped, memory_order_relaxed) + n,
                          memory_order_relaxed);
    return n;
}

uint32_t intake_unpublished(const struct intake *intake)
{
    uint32_t n = intake_pushed(intake) -
                 atomic_load_explicit(&intake->published, memory_order_relaxed);

    return (int32_t)n > 0 ? n : 0; /* published in between */
}

uint32_t intake_pending(const struct intake *intake)
{
    /* acquire: pairs with the release in intake_publish */
    return atomic_load_explicit(&intake->published, memory_order_acquire) -
           atomic_load_explicit(&intake->popped, memory_order_relaxed);
}

uint32_t intake_pop(struct intake *intake, struct request **requests, uint32_t max)
{
    uint32_t n = min_u32(intake_pending(intake), max);
    uint32_t popped = n > 0 ? pop_n(intake, requests, n) : 0;

    DS_ASSERT(popped == n); /* what is published was pushed before */
    return n;
}

struct request *intake_drain(struct intake *intake)
{
    struct request *r;

    if (intake->single_producer && ring_count(&intake->ring) == 0)
        return NULL;
    return pop_n(intake, &r, 1) == 1 ? r : NULL;
}
