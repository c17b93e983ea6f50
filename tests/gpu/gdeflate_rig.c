#include "gpu/gdeflate_rig.h"

#include "engine/vulkan/backend.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define GUARD 0xa5
#define GUARD_BYTES 37 /* odd, so that tiles begin at every alignment */

bool gdeflate_rig_open(struct gdeflate_rig *rig, enum gdeflate_gpu_form form)
{
    int error;

    memset(rig, 0, sizeof(*rig));
    host_init(&rig->host, NULL, NULL, NULL, DS_LOG_DEBUG);
    if (!vk_util_validate())
        fprintf(stderr, "skipped: validation: no layer here\n");
    if (ds_vulkan_backend_create(NULL, &rig->backend) != 0) {
        fprintf(stderr, "skipped: no Vulkan device\n");
        return false;
    }
    error = gdeflate_gpu_open(&rig->gpu, &rig->backend->device, &rig->host, form);
    if (error != 0) {
        fprintf(stderr, "skipped: %s cannot run form %d: %d\n",
                rig->backend->device.properties.deviceName, (int)form, error);
        ds_vulkan_backend_destroy(&rig->backend);
        return false;
    }
    rig->util = vk_util_adopt(rig->backend);
    return true;
}

void gdeflate_rig_close(struct gdeflate_rig *rig)
{
    gdeflate_gpu_close(&rig->gpu);
    vk_util_close(&rig->util);
    ds_vulkan_backend_destroy(&rig->backend);
    cr_assert_eq(vk_util_messages(), 0);
}

uint64_t gdeflate_rig_address(struct gdeflate_rig *rig, const struct vk_util_buffer *buffer)
{
    struct vulkan_device *device = &rig->backend->device;
    VkBufferDeviceAddressInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
        .buffer = buffer->buffer,
    };
    PFN_vkGetBufferDeviceAddress get = (PFN_vkGetBufferDeviceAddress)device->vk.GetDeviceProcAddr(
        device->device, "vkGetBufferDeviceAddress");

    return get(device->device, &info);
}

struct run {
    struct gdeflate_rig *rig;
    struct vk_util_buffer input, output, table, statuses;
    uint32_t tiles_n;
};

static void run_record(struct vk_util *util, VkCommandBuffer commands, void *ctx)
{
    struct run *run = ctx;

    (void)util; /* it puts barriers before and after */
    gdeflate_gpu_record(&run->rig->gpu, commands, gdeflate_rig_address(run->rig, &run->table),
                        gdeflate_rig_address(run->rig, &run->statuses), run->tiles_n);
}

static void run_buffers(struct run *run, const struct rig_tile *tiles)
{
    const VkBufferUsageFlags usage =
        VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    struct vk_util *util = run->rig->util;
    uint64_t input_bytes = GUARD_BYTES, output_bytes = GUARD_BYTES;

    for (uint32_t i = 0; i < run->tiles_n; i++) {
        input_bytes += tiles[i].packed_bytes + GUARD_BYTES;
        output_bytes += tiles[i].bytes + GUARD_BYTES;
    }
    vk_util_buffer(util, align_up_u64(input_bytes, 4), usage, true, &run->input);
    vk_util_buffer(util, align_up_u64(output_bytes, 4), usage, true, &run->output);
    vk_util_buffer(util, run->tiles_n * sizeof(struct gdeflate_gpu_tile), usage, true, &run->table);
    vk_util_buffer(util, run->tiles_n * sizeof(uint32_t), usage, true, &run->statuses);
    memset(run->input.mapped, GUARD, run->input.bytes);
    memset(run->output.mapped, GUARD, run->output.bytes);
    memset(run->statuses.mapped, 0xff, run->statuses.bytes);
}

static void run_table(struct run *run, const struct rig_tile *tiles)
{
    struct gdeflate_gpu_tile *table = (struct gdeflate_gpu_tile *)run->table.mapped;
    uint64_t input_at = GUARD_BYTES, output_at = GUARD_BYTES;
    uint64_t input = gdeflate_rig_address(run->rig, &run->input);
    uint64_t output = gdeflate_rig_address(run->rig, &run->output);

    for (uint32_t i = 0; i < run->tiles_n; i++) {
        memcpy(run->input.mapped + input_at, tiles[i].packed, tiles[i].packed_bytes);
        table[i] = (struct gdeflate_gpu_tile){
            .source = input + input_at,
            .destination = output + output_at,
            .source_bytes = tiles[i].packed_bytes,
            .destination_bytes = tiles[i].bytes,
            .status = run->tiles_n - 1 - i, /* any order will do */
        };
        input_at += tiles[i].packed_bytes + GUARD_BYTES;
        output_at += tiles[i].bytes + GUARD_BYTES;
    }
}

static void guard_check(const uint8_t *guard, const char *what, uint32_t tile)
{
    for (uint32_t i = 0; i < GUARD_BYTES; i++)
        cr_assert_eq(guard[i], GUARD, "byte %u of the %s tile %u was overwritten", i, what, tile);
}

static void run_check(struct run *run, struct rig_tile *tiles)
{
    const uint32_t *statuses = (const uint32_t *)run->statuses.mapped;
    uint64_t input_at = GUARD_BYTES, output_at = GUARD_BYTES;

    guard_check(run->output.mapped, "guard before", 0);
    guard_check(run->input.mapped, "input guard before", 0);
    for (uint32_t i = 0; i < run->tiles_n; i++) {
        uint32_t status = statuses[run->tiles_n - 1 - i];

        cr_assert_neq(status, GDEFLATE_GPU_NOT_RUN, "tile %u was not decoded", i);
        tiles[i].verdict = (enum ds_codec_error)status;
        if (tiles[i].content != NULL)
            memcpy(tiles[i].content, run->output.mapped + output_at, tiles[i].bytes);
        cr_assert_eq(memcmp(run->input.mapped + input_at, tiles[i].packed, tiles[i].packed_bytes),
                     0, "the input of tile %u was overwritten", i);
        input_at += tiles[i].packed_bytes;
        output_at += tiles[i].bytes;
        guard_check(run->output.mapped + output_at, "guard behind", i);
        guard_check(run->input.mapped + input_at, "input guard behind", i);
        input_at += GUARD_BYTES;
        output_at += GUARD_BYTES;
    }
}

void gdeflate_rig_decode(struct gdeflate_rig *rig, struct rig_tile *tiles, uint32_t tiles_n)
{
    struct run run = {.rig = rig, .tiles_n = tiles_n};

    run_buffers(&run, tiles);
    run_table(&run, tiles);
    vk_util_run(rig->util, run_record, &run, VK_NULL_HANDLE, 0);
    run_check(&run, tiles);
    vk_util_buffer_free(rig->util, &run.input);
    vk_util_buffer_free(rig->util, &run.output);
    vk_util_buffer_free(rig->util, &run.table);
    vk_util_buffer_free(rig->util, &run.statuses);
}
