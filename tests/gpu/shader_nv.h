/* VK_NV_memory_decompression, played by the shader, in the order of the command buffer: for devices
 * whose addresses are pointers of the host (software). It holds the caller to what the extension
 * demands of regions. One back end at a time. */
#ifndef TESTS_GPU_SHADER_NV_H
#define TESTS_GPU_SHADER_NV_H

#include "engine/vulkan/backend.h"
#include "gpu/vk_util.h"

struct shader_nv {
    uint32_t tiles_n;         /* recorded so far */
    const uint32_t *statuses; /* the shader's verdicts of them */
};

extern struct shader_nv shader_nv;

/* shader_nv_install gives the extension to a back end's device; before its engine is made. False:
 * no software device. */
bool shader_nv_install(struct vk_util *vk, struct ds_vulkan_backend *backend);

/* shader_nv_remove frees what it took; the GPU must be done with it. */
void shader_nv_remove(struct vk_util *vk, struct ds_vulkan_backend *backend);

#endif
