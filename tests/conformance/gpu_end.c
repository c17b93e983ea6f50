#include "conformance/gpu_end.h"

void gpu_end(struct rig *rig, struct vk_util **vk, struct ds_vulkan_backend **backend,
             struct vk_util_buffer *buffer, VkSemaphore semaphore)
{
    struct vk_util *util = *vk;

    rig_close(rig);
    /* drivers touch what a submission signalled after it is seen to be signalled */
    util->DeviceWaitIdle(util->device);
    util->DestroySemaphore(util->device, semaphore, NULL);
    vk_util_buffer_free(util, buffer);
    vk_util_close_both(vk, backend);
    cr_assert_eq(vk_util_messages(), 0);
}
