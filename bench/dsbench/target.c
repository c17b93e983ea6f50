#include "target.h"

#include "base.h"

#include <errno.h>
#include <string.h>

int target_open(struct target *target, enum dest dest, struct gpu *gpu, uint64_t bytes)
{
    bytes = (bytes + 3) & ~(uint64_t)3; /* vkCmdFillBuffer fills whole words */
    *target = (struct target){.dest = dest, .bytes = bytes, .gpu = gpu};
    if (dest == DEST_GPU)
        return gpu_buffer_open(gpu, bytes, gpu->destinations_mapped ? GPU_MAPPED : GPU_LOCAL,
                               &target->buffer);
    target->host = memory_map(bytes, dest == DEST_HOST);
    if (target->host == NULL)
        return -ENOMEM;
    if (dest == DEST_HOST)
        memset(target->host, 0, bytes); /* page faults now, not while it is measured */
    return 0;
}

void target_close(struct target *target)
{
    if (target->dest == DEST_GPU) {
        gpu_buffer_close(target->gpu, &target->readback);
        gpu_buffer_close(target->gpu, &target->buffer);
    }
    memory_unmap(target->host, target->bytes);
    *target = (struct target){0};
}

int target_poison(struct target *target, uint8_t poison)
{
    if (target->dest == DEST_GPU)
        return gpu_fill(target->gpu, &target->buffer, poison * 0x01010101u);
    memset(target->host, poison, target->bytes);
    return 0;
}

const uint8_t *target_view(struct target *target, uint64_t offset, uint64_t bytes)
{
    if (target->dest != DEST_GPU)
        return target->host + offset;
    if (target->buffer.mapped != NULL && target->gpu->info.unified_memory)
        return gpu_sync(target->gpu) == 0 ? target->buffer.mapped + offset : NULL;
    if (target->readback.buffer == VK_NULL_HANDLE) {
        int error =
            gpu_buffer_open(target->gpu, TARGET_VIEW_BYTES, GPU_READBACK, &target->readback);

        if (error != 0) {
            complain("no memory to read the GPU buffer back: %s", strerror(-error));
            return NULL;
        }
    }
    if (gpu_copy(target->gpu, &target->buffer, offset, &target->readback, 0, bytes) != 0)
        return NULL;
    return target->readback.mapped;
}
