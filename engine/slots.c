/* Treiber's stack over indices, with a tag and a count in the same word. */
#include "engine/slots.h"

/* tag << 40 | count << 20 | index. The tag changes with every pop and push, so that a list that
 * only looks the same fails the compare-and-swap. */
#define LIST_BITS 20
#define LIST_MASK ((1u << LIST_BITS) - 1)
#define LIST_END LIST_MASK

_Static_assert(SLOTS_MAX < LIST_END, "an index and a count fit into the list's word");

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

void slots_init(struct slots *slots, struct request *memory, uint32_t capacity,
                bool single_producer)
{
    DS_ASSERT(capacity >= 1 && capacity <= SLOTS_MAX);
    slots->slots = memory;
    slots->single_producer = single_producer;
    for (uint32_t i = 0; i < capacity; i++)
        request_set_next(&memory[i], i + 1 < capacity ? i + 1 : LIST_END);
    atomic_init(&slots->list, list_word(0, capacity, 0));
    slots->own_first = LIST_END;
    atomic_init(&slots->own_n, 0);
}

/* Lock-free pop of one slot, or LIST_END. */
static uint32_t list_pop(struct slots *slots)
{
    uint64_t old = atomic_load_explicit(&slots->list, memory_order_acquire);
    uint32_t first;

    do {
        first = list_first(old);
        if (first == LIST_END)
            return LIST_END;
    } while (!atomic_compare_exchange_weak_explicit(
        &slots->list, &old,
        list_word(old, list_count(old) - 1, request_next_slot(&slots->slots[first])),
        memory_order_acquire, memory_order_acquire));
    return first;
}

static uint32_t own_pop(struct slots *slots)
{
    uint32_t index = slots->own_first;
    uint32_t n = atomic_load_explicit(&slots->own_n, memory_order_relaxed);

    if (index == LIST_END) {
        /* acquire: pairs with the release in slots_give */
        uint64_t old = atomic_exchange_explicit(&slots->list, LIST_END, memory_order_acquire);

        index = list_first(old);
        n = list_count(old);
        if (index == LIST_END)
            return LIST_END;
    }
    slots->own_first = request_next_slot(&slots->slots[index]);
    atomic_store_explicit(&slots->own_n, n - 1, memory_order_relaxed);
    return index;
}

struct request *slots_take(struct slots *slots)
{
    uint32_t index = slots->single_producer ? own_pop(slots) : list_pop(slots);

    return index == LIST_END ? NULL : &slots->slots[index];
}

void slots_give(struct slots *slots, struct request **requests, uint32_t n)
{
    uint64_t old = atomic_load_explicit(&slots->list, memory_order_relaxed);

    if (n == 0)
        return;
    for (uint32_t i = 0; i + 1 < n; i++)
        request_set_next(requests[i], (uint32_t)(requests[i + 1] - slots->slots));
    do
        request_set_next(requests[n - 1], list_first(old));
    while (!atomic_compare_exchange_weak_explicit(
        &slots->list, &old,
        list_word(old, list_count(old) + n, (uint32_t)(requests[0] - slots->slots)),
        memory_order_release, /* pairs with the acquires in list_pop and own_pop */
        memory_order_relaxed));
}

uint32_t slots_free_n(const struct slots *slots)
{
    return list_count(atomic_load_explicit(&slots->list, memory_order_relaxed)) +
           atomic_load_explicit(&slots->own_n, memory_order_relaxed);
}
