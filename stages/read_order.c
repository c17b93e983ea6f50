/* A mailbox for one order. Whoever has another one waits until it is empty. */
#include "stages/read_order.h"

#include <errno.h>
#include <sched.h>

enum order_kind { ORDER_FORGET, ORDER_PIN, ORDER_UNPIN };

/* It lives on the stack of the thread that waits for it. */
struct read_order {
    enum order_kind kind;
    const struct ds_file *file;
    const struct ds_memory *memory;
    int result;
};

/* False: not yet. */
static bool order_carry_out(struct read_stage *stage, struct read_order *order)
{
    const struct read_backend_ops *backend = stage->backend;

    switch (order->kind) {
    case ORDER_FORGET:
        backend->forget(stage->backend_self, order->file);
        return true;
    case ORDER_PIN:
        order->result = backend->pin != NULL ? backend->pin(stage->backend_self, order->memory)
                                             : -ENOTSUP;
        return true;
    case ORDER_UNPIN:
        return backend->unpin == NULL || backend->unpin(stage->backend_self, order->memory);
    }
    return true;
}

bool read_order_serve(struct read_stage *stage)
{
    /* acquire: pairs with the exchange in order_give */
    struct read_order *order = atomic_load_explicit(&stage->order, memory_order_acquire);

    if (order == NULL || !order_carry_out(stage, order))
        return false;
    /* release: pairs with the loads in order_wait; the order is its giver's again */
    atomic_store_explicit(&stage->order, NULL, memory_order_release);
    event_signal(&stage->ordered);
    return true;
}

/* Sleeps until the mailbox no longer holds `order`. */
static void order_wait(struct read_stage *stage, const struct read_order *order)
{
    /* acquire: pairs with the store in read_order_serve */
    while (atomic_load_explicit(&stage->order, memory_order_acquire) == order) {
        uint32_t key = event_prepare(&stage->ordered);

        if (atomic_load_explicit(&stage->order, memory_order_acquire) != order)
            event_cancel(&stage->ordered);
        else
            event_wait(&stage->ordered, key, EVENT_FOREVER);
    }
}

static void order_give(struct read_stage *stage, struct read_order *order, struct event *event)
{
    struct read_order *held = NULL;

    if (stage->manual) {
        while (!order_carry_out(stage, order))
            sched_yield();
        return;
    }
    /* release: pairs with the load in read_order_serve */
    while (!atomic_compare_exchange_strong_explicit(&stage->order, &held, order,
                                                    memory_order_acq_rel, memory_order_acquire)) {
        order_wait(stage, held);
        held = NULL;
    }
    event_signal(event);
    order_wait(stage, order);
}

void read_forget(struct read_stage *stage, const struct ds_file *file, struct event *event)
{
    struct read_order order = {.kind = ORDER_FORGET, .file = file};

    order_give(stage, &order, event);
}

int read_pin(struct read_stage *stage, const struct ds_memory *memory, struct event *event)
{
    struct read_order order = {.kind = ORDER_PIN, .memory = memory};

    order_give(stage, &order, event);
    return order.result;
}

void read_unpin(struct read_stage *stage, const struct ds_memory *memory, struct event *event)
{
    struct read_order order = {.kind = ORDER_UNPIN, .memory = memory};

    order_give(stage, &order, event);
}
