/* A stand-in for VK_NV_memory_decompression, for devices whose addresses are pointers of the host
 * (software): its regions are decoded by the CPU when they are submitted. It holds the caller to
 * what the extension demands of regions. One back end at a time. */
#ifndef TESTS_GPU_FAKE_NV_H
#define TESTS_GPU_FAKE_NV_H

#include "engine/vulkan/backend.h"

struct fake_nv {
    uint32_t regions; /* decoded so far */
    uint32_t damaged; /* of them, those that could not be decoded */
    uint32_t spoil;   /* the region, counted from 1, of which a byte comes out wrong; 0 = none */
};

extern struct fake_nv fake_nv;

/* fake_nv_install gives the extension to a back end's own device. False: its addresses are not the
 * host's. */
bool fake_nv_install(struct ds_vulkan_backend *backend);

#endif
