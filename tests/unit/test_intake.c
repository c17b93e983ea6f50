/* The intake keeps the order of the enqueues and gives out only what was published; the free slots
 * are each owned once. */
#include "engine/intake.h"
#include "engine/slots.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>

#define CAPACITY 64
#define PRODUCERS 4
#if defined(DS_TSAN) || defined(__SANITIZE_ADDRESS__)
#define ROUNDS 5000
#else
#define ROUNDS 100000
#endif

struct rig {
    struct host host;
    struct request *memory;
    struct slots slots;
    struct intake intake;
};

static void rig_open(struct rig *rig, bool single_producer)
{
    host_init(&rig->host, NULL, NULL, NULL, DS_LOG_ERROR);
    rig->memory = host_calloc(&rig->host, CAPACITY, sizeof(struct request));
    cr_assert_not_null(rig->memory);
    slots_init(&rig->slots, rig->memory, CAPACITY, single_producer);
    cr_assert_eq(
        intake_open(&rig->intake, &rig->host, rig->memory, CAPACITY, single_producer), 0);
}

static void rig_close(struct rig *rig)
{
    intake_close(&rig->intake, &rig->host);
    host_free(&rig->host, rig->memory, CAPACITY * sizeof(struct request));
}

static void push(struct rig *rig, uint64_t number)
{
    struct request *slot = slots_take(&rig->slots);

    cr_assert_not_null(slot);
    slot->user_data = number;
    intake_push(&rig->intake, slot);
}

static void unpublished_entries_stay(bool single_producer)
{
    struct request *out[CAPACITY];
    struct rig rig;

    rig_open(&rig, single_producer);
    push(&rig, 1);
    push(&rig, 2);
    cr_assert_eq(intake_pop(&rig.intake, out, CAPACITY), 0);
    cr_assert(intake_publish(&rig.intake));
    cr_assert_not(intake_publish(&rig.intake), "nothing new");
    push(&rig, 3);
    cr_assert_eq(intake_pending(&rig.intake), 2);
    cr_assert_eq(intake_pop(&rig.intake, out, 1), 1);
    cr_assert_eq(out[0]->user_data, 1);
    cr_assert_eq(intake_pop(&rig.intake, out, CAPACITY), 1);
    cr_assert_eq(out[0]->user_data, 2);
    cr_assert_eq(intake_pop(&rig.intake, out, CAPACITY), 0);
    cr_assert_eq(intake_drain(&rig.intake)->user_data, 3);
    cr_assert_null(intake_drain(&rig.intake));
    rig_close(&rig);
}

Test(intake, gives_only_what_was_published)
{
    unpublished_entries_stay(false);
    unpublished_entries_stay(true);
}

Test(intake, keeps_the_order_over_partial_pops_and_later_pushes)
{
    struct request *out[CAPACITY];
    uint64_t pushed = 0, popped = 0;
    struct rig rig;

    rig_open(&rig, false);
    for (uint32_t round = 0; round < 1000; round++) {
        uint32_t n;

        for (uint32_t i = 0; i < 1 + round % 7 && pushed - popped < CAPACITY; i++)
            push(&rig, ++pushed);
        intake_publish(&rig.intake);
        n = intake_pop(&rig.intake, out, 1 + round % 5);
        for (uint32_t i = 0; i < n; i++)
            cr_assert_eq(out[i]->user_data, ++popped);
        slots_give(&rig.slots, out, n);
    }
    cr_assert_gt(popped, 1000);
    rig_close(&rig);
}

Test(intake, positions_wrap)
{
    struct request *out[CAPACITY];
    struct rig rig;

    rig_open(&rig, false);
    atomic_store(&rig.intake.list, ((uint64_t)UINT32_MAX - 2) << 32 | REQUEST_NONE);
    atomic_store(&rig.intake.published, UINT32_MAX - 2);
    atomic_store(&rig.intake.popped, UINT32_MAX - 2);
    for (uint64_t i = 1; i <= 6; i++)
        push(&rig, i);
    cr_assert(intake_publish(&rig.intake));
    cr_assert_eq(intake_pop(&rig.intake, out, CAPACITY), 6);
    for (uint64_t i = 0; i < 6; i++)
        cr_assert_eq(out[i]->user_data, i + 1);
    rig_close(&rig);
}

Test(slots, each_is_owned_once_and_none_is_lost)
{
    struct request *taken[CAPACITY];
    struct rig rig;

    for (int single = 0; single < 2; single++) {
        rig_open(&rig, single);
        for (uint32_t i = 0; i < CAPACITY; i++) {
            taken[i] = slots_take(&rig.slots);
            cr_assert_not_null(taken[i]);
            for (uint32_t k = 0; k < i; k++)
                cr_assert_neq(taken[i], taken[k]);
            cr_assert_eq(slots_free_n(&rig.slots), CAPACITY - 1 - i);
        }
        cr_assert_null(slots_take(&rig.slots));
        slots_give(&rig.slots, taken, 3);
        cr_assert_eq(slots_free_n(&rig.slots), 3);
        cr_assert_not_null(slots_take(&rig.slots));
        rig_close(&rig);
    }
}

struct producer {
    struct rig *rig;
    uint64_t id;
    pthread_t thread;
};

static void *produce(void *argument)
{
    struct producer *producer = argument;

    for (uint64_t i = 1; i <= ROUNDS; i++) {
        struct request *slot;

        while ((slot = slots_take(&producer->rig->slots)) == NULL)
            sched_yield();
        slot->user_data = producer->id << 32 | i;
        intake_push(&producer->rig->intake, slot);
        intake_publish(&producer->rig->intake);
    }
    return NULL;
}

/* Each producer's entries come in its own order, each exactly once. */
Test(intake, many_producers)
{
    struct producer producers[PRODUCERS];
    uint64_t last[PRODUCERS] = {0}, seen = 0;
    struct rig rig;

    rig_open(&rig, false);
    for (uint64_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.rig = &rig, .id = i};
        pthread_create(&producers[i].thread, NULL, produce, &producers[i]);
    }
    while (seen < PRODUCERS * ROUNDS) {
        struct request *out[7];
        uint32_t n = intake_pop(&rig.intake, out, 7);

        for (uint32_t i = 0; i < n; i++) {
            uint64_t id = out[i]->user_data >> 32;

            cr_assert_eq((uint32_t)out[i]->user_data, ++last[id], "producer %lu", id);
        }
        slots_give(&rig.slots, out, n);
        seen += n;
        if (n == 0)
            sched_yield();
    }
    for (uint64_t i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i].thread, NULL);
    cr_assert_eq(slots_free_n(&rig.slots), CAPACITY);
    rig_close(&rig);
}
