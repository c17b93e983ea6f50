/* Decoding by the GPU: what goes wrong becomes one line. */
#include "gpu.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The first cause; what follows from it is not news. */
static void log_keep(void *ctx, enum ds_log_level level, const char *message)
{
    struct gpu *gpu = ctx;

    if (level == DS_LOG_ERROR && gpu->reason[0] == '\0')
        snprintf(gpu->reason, sizeof(gpu->reason), "%s", message);
}

static const char *reason_of(const struct gpu *gpu, int error)
{
    return gpu->reason[0] != '\0' ? gpu->reason : strerror(-error);
}

bool gpu_open(struct gpu *gpu, const struct options *options)
{
    int error;

    *gpu = (struct gpu){.codec = NULL};
    error = ds_vulkan_codec_create(
        ds_vulkan_codec_config(.path = (uint32_t)options->gpu_path, .check = options->check,
                               .threads = options->threads, .device_name = options->device,
                               .log = log_keep, .log_ctx = gpu),
        &gpu->codec);
    if (error != 0)
        fprintf(stderr, "dspack: --path %s: %s%s\n", options->path_name,
                error == -ENODEV ? "no such Vulkan device here: " : "", reason_of(gpu, error));
    return error == 0;
}

void gpu_close(struct gpu *gpu)
{
    ds_vulkan_codec_destroy(&gpu->codec);
}

int gpu_decompress(struct gpu *gpu, const struct options *options, const void *source,
                   size_t source_bytes, void *dst, size_t dst_bytes, struct ds_codec_report *report)
{
    int error =
        ds_vulkan_codec_decompress(gpu->codec, source, source_bytes, dst, dst_bytes, report);

    if (error != 0 && error != -EBADMSG)
        fprintf(stderr, "dspack: %s: the GPU failed: %s\n", options->input, reason_of(gpu, error));
    return error;
}
