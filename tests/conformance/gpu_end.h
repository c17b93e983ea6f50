/* The end of every rig whose device is lent. */
#ifndef CONFORMANCE_GPU_END_H
#define CONFORMANCE_GPU_END_H

#include "conformance/rig.h"
#include "gpu/vk_util.h"

/* gpu_end ends the engine and waits for the GPU before it destroys what both have used; the device
 * goes after the back end that it was lent to. A semaphore of VK_NULL_HANDLE is none. Demands that
 * the layers were silent. */
void gpu_end(struct rig *rig, struct vk_util **vk, struct ds_vulkan_backend **backend,
             struct vk_util_buffer *buffer, VkSemaphore semaphore);

#endif
