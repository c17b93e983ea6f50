/* Epoch rings. */
#include "engine/order.h"

#include <errno.h>

int order_open(struct order *order, const struct host *host, uint32_t signals_max)
{
    /* every open signal, and the epoch that is not closed yet */
    uint32_t n = round_up_power_of_two(signals_max + 1);

    *order = (struct order){.mask = n - 1};
    order->epochs = host_calloc(host, n, sizeof(*order->epochs));
    return order->epochs != NULL ? 0 : -ENOMEM;
}

void order_close(struct order *order, const struct host *host)
{
    host_free(host, order->epochs, (order->mask + 1) * sizeof(*order->epochs));
    order->epochs = NULL;
}
