/* A discrete GPU with memory of its own that the host can map (resizable BAR), pretended on top of
 * any device: three kinds of memory, which are the real device's in truth. */
#ifndef TESTS_GPU_FAKE_DISCRETE_H
#define TESTS_GPU_FAKE_DISCRETE_H

#include <ds/vulkan.h>

struct fake_discrete {
    bool no_window;       /* there is no such memory; set before the device is lent */
    bool refuse_allocate; /* allocating of it fails */
    bool refuse_map;      /* mapping it fails */
    void *map_as;         /* or gives this; NULL = the memory itself */
    void (*when_mapped)(void);
    uint32_t windows;     /* how often it was mapped, or was to be */
};

extern struct fake_discrete fake_discrete;

/* fake_discrete_lend changes what is lent. One device at a time. */
void fake_discrete_lend(struct ds_vulkan_backend_config *config);

#endif
