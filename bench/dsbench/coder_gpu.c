#include "coder_gpu.h"

#include "base.h"

#include <ds/vulkan.h>
#include <ds/vulkan_codec.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SCRATCH_LEAST ((uint64_t)256 << 20)
#define SCRATCH_MOST  ((uint64_t)2 << 30)

/* The first error: what follows from it is not news. */
static void log_keep(void *ctx, enum ds_log_level level, const char *message)
{
    char *why = ctx;

    if (level == DS_LOG_ERROR && why[0] == '\0')
        snprintf(why, CODER_WHY_BYTES, "%s", message);
}

void coder_gpu_open(struct coder_gpu *gpu, const char *name, bool any)
{
    struct ds_vulkan_info info = {.struct_size = sizeof(info)};
    int error;

    *gpu = (struct coder_gpu){.backend = NULL};
    error = ds_vulkan_backend_create(
        ds_vulkan_backend_config(.device_name = name, .log = log_keep, .log_ctx = gpu->why),
        &gpu->backend);
    if (error != 0) {
        if (gpu->why[0] == '\0')
            snprintf(gpu->why, sizeof(gpu->why), "%s", strerror(-error));
        return;
    }
    ds_vulkan_backend_get_info(gpu->backend, &info);
    if (info.device_type == VK_PHYSICAL_DEVICE_TYPE_CPU && !any) {
        snprintf(gpu->why, sizeof(gpu->why), "%.60s is software; --paths gpu measures it",
                 info.device_name);
        ds_vulkan_backend_destroy(&gpu->backend);
    }
}

void coder_gpu_close(struct coder_gpu *gpu)
{
    ds_vulkan_backend_destroy(&gpu->backend);
}

int gpu_hand_open(struct gpu_hand *hand, const struct coder_gpu *gpu, uint32_t way,
                  uint32_t threads, uint64_t bytes, char why[CODER_WHY_BYTES])
{
    uint64_t scratch = min_u64(2 * bytes, SCRATCH_MOST);

    *hand = (struct gpu_hand){.why = why};
    if (gpu->backend == NULL) {
        snprintf(why, CODER_WHY_BYTES, "%s", gpu->why);
        return -ENOTSUP;
    }
    return ds_vulkan_codec_create(
        ds_vulkan_codec_config(.path = way, .check = DS_VULKAN_CODEC_CHECK_NONE,
                               .threads = threads, .backend = gpu->backend,
                               .scratch_bytes = scratch > SCRATCH_LEAST ? scratch : SCRATCH_LEAST,
                               .log = log_keep, .log_ctx = why),
        &hand->codec);
}

void gpu_hand_close(struct gpu_hand *hand)
{
    ds_vulkan_codec_destroy(&hand->codec);
}

int gpu_hand_unpack(struct gpu_hand *hand, const void *packed, size_t packed_bytes, void *unpacked,
                    size_t bytes)
{
    return ds_vulkan_codec_decompress(hand->codec, packed, packed_bytes, unpacked, bytes, NULL);
}

static struct ds_vulkan_codec_info info_of(const struct gpu_hand *hand)
{
    struct ds_vulkan_codec_info info = {.struct_size = sizeof(info)};

    ds_vulkan_codec_get_info(hand->codec, &info);
    return info;
}

const char *gpu_hand_path(const struct gpu_hand *hand)
{
    static const char *const names[] = {"gpu", "gpu-portable", "gpu-subgroup", "nv"};

    return names[info_of(hand).path];
}

uint64_t gpu_hand_ns(const struct gpu_hand *hand)
{
    return info_of(hand).gpu_ns;
}
