/* ds/vulkan_codec.h: the same bytes and verdicts as ds/codec.h, in pieces, between walls; its
 * arguments, failing Vulkan calls, and who shares a back end. */
#include "engine/vulkan/gdeflate_gpu.h"
#include "gpu/codec_rig.h"
#include "gpu/fake_nv.h"
#include "gpu/vk_util.h"

#include <errno.h>
#include <pthread.h>

/* Every path, with and without memory of the GPU's own, one thread and several. A scratch of 1 MiB
 * has room for a few tiles. */
Test(vulkan_codec, decodes_in_pieces_on_every_path)
{
    struct ds_vulkan_backend *backend = codec_rig_backend();

    for (uint32_t path = 0; path < PATH_COUNT; path++) {
        for (uint32_t local = 0; local < 2; local++) {
            struct ds_vulkan_codec_info info = {.struct_size = sizeof(info)};
            bool unified = backend->device.unified_memory;
            struct ds_vulkan_codec *codec;

            backend->device.unified_memory = unified && local == 0;
            codec = codec_rig_codec(ds_vulkan_codec_config(.path = path, .backend = backend,
                                                           .threads = 1 + local * 2,
                                                           .scratch_bytes = 1 << 20));
            backend->device.unified_memory = unified;
            if (codec == NULL)
                break;
            codec_rig_good_streams(codec);
            cr_assert_eq(ds_vulkan_codec_get_info(codec, &info), 0);
            cr_assert(info.path != DS_VULKAN_CODEC_PATH_AUTO && info.check != 0);
            cr_assert(info.piece_tiles >= 1 && info.piece_tiles < 4, "%u", info.piece_tiles);
            cr_assert_leq(info.scratch_bytes, 1 << 20, "%ju", (uintmax_t)info.scratch_bytes);
            cr_assert_eq(info.tiles, 1 + 1 + 1 + 1 + 2 + 5);
            cr_assert_eq(info.cpu_tiles, 0);
            cr_assert_gt(strlen(info.device_name), 0);
            ds_vulkan_codec_destroy(&codec);
            cr_assert_null(codec);
        }
    }
    codec_rig_end(backend);
}

Test(vulkan_codec, judges_damaged_streams_as_the_cpu_does)
{
    struct ds_vulkan_backend *backend = codec_rig_backend();

    for (uint32_t path = DS_VULKAN_CODEC_PATH_PORTABLE; path < PATH_COUNT; path++) {
        struct ds_vulkan_codec *codec =
            codec_rig_codec(ds_vulkan_codec_config(.path = path, .backend = backend, .threads = 2,
                                                   .scratch_bytes = 1 << 20));

        if (codec == NULL)
            continue;
        codec_rig_damaged_streams(codec, 40);
        ds_vulkan_codec_destroy(&codec);
    }
    codec_rig_end(backend);
}

/* Bytes behind a tile's last word belong to the tile. With more than 128 KiB of them it is not for
 * the GPU. */
Test(vulkan_codec, leaves_tiles_that_are_too_long_to_the_cpu)
{
    enum { PADDING = 200000 };
    struct ds_vulkan_backend *backend = codec_rig_backend();
    struct ds_vulkan_codec *codec =
        codec_rig_codec(ds_vulkan_codec_config(.backend = backend, .scratch_bytes = 1 << 20));
    struct ds_vulkan_codec_info info = {.struct_size = sizeof(info)};
    struct packed packed = codec_rig_pack(BLOCKS, 3 * 65536, 1);
    uint8_t *bytes = calloc(1, packed.bytes_n + PADDING);
    struct ds_codec_report report;

    if (codec != NULL) {
        memcpy(bytes, packed.bytes, packed.bytes_n);
        store_le32(bytes + 8, load_le32(bytes + 8) + PADDING); /* the size of the last tile */
        cr_assert_eq(codec_rig_decode(codec, bytes, packed.bytes_n + PADDING, 3 * 65536, &report),
                     0);
        bytes[8 + 12 + load_le32(bytes + 16)] |= 6; /* its first block: type 3 */
        cr_assert_eq(codec_rig_decode(codec, bytes, packed.bytes_n + PADDING, 3 * 65536, &report),
                     -EBADMSG);
        cr_assert(report.error == DS_CODEC_ERROR_BLOCK_TYPE && report.tile == 2);
        cr_assert_eq(ds_vulkan_codec_get_info(codec, &info), 0);
        cr_assert(info.tiles == 2 && info.cpu_tiles == 1);
    }
    ds_vulkan_codec_destroy(&codec);
    free(bytes);
    codec_rig_pack_free(&packed);
    codec_rig_end(backend);
}

/* NV -------------------------------------------------------------------------------------------*/

static struct ds_vulkan_codec *fake_codec(struct ds_vulkan_backend *backend, uint32_t path,
                                          uint32_t check)
{
    struct ds_vulkan_codec *codec =
        codec_rig_codec(ds_vulkan_codec_config(.path = path, .check = check, .backend = backend,
                                               .scratch_bytes = 1 << 20));

    cr_assert_not_null(codec);
    return codec;
}

/* The regions are what the extension demands; damage is found before it comes that far, and what
 * comes out wrong is found, too. */
Test(vulkan_codec, nv_is_checked_by_the_cpu)
{
    struct ds_vulkan_backend *backend = codec_rig_backend();
    struct ds_codec_report report;
    struct ds_vulkan_codec *codec;
    struct packed packed;
    uint8_t *back;

    if (!fake_nv_install(backend)) {
        ds_vulkan_backend_destroy(&backend);
        cr_skip_test("skipped: the device's addresses are not the host's");
        return;
    }
    codec = fake_codec(backend, DS_VULKAN_CODEC_PATH_NV, DS_VULKAN_CODEC_CHECK_AUTO);
    codec_rig_good_streams(codec);
    cr_assert_eq(fake_nv.regions, 11);
    codec_rig_damaged_streams(codec, 40);
    cr_assert_eq(fake_nv.damaged, 0);
    packed = codec_rig_pack(MIXED, 9 * 65536, 3);
    back = malloc(packed.data_bytes);
    fake_nv.spoil = fake_nv.regions + 6;
    cr_assert_eq(ds_vulkan_codec_decompress(codec, packed.bytes, packed.bytes_n, back,
                                            packed.data_bytes, &report),
                 -EBADMSG);
    cr_assert(report.error == DS_CODEC_ERROR_MISMATCH && report.tile == 5);
    ds_vulkan_codec_destroy(&codec);

    codec = fake_codec(backend, DS_VULKAN_CODEC_PATH_NV, DS_VULKAN_CODEC_CHECK_NONE);
    cr_assert_eq(ds_vulkan_codec_decompress(codec, packed.bytes, packed.bytes_n, back,
                                            packed.data_bytes, &report),
                 0);
    cr_assert_arr_eq(back, packed.data, packed.data_bytes);
    fake_nv.spoil = fake_nv.regions + 2; /* nobody looks: that is what the name says */
    cr_assert_eq(ds_vulkan_codec_decompress(codec, packed.bytes, packed.bytes_n, back,
                                            packed.data_bytes, &report),
                 0);
    cr_assert_neq(memcmp(back, packed.data, packed.data_bytes), 0);
    ds_vulkan_codec_destroy(&codec);
    free(back);
    codec_rig_pack_free(&packed);
    codec_rig_end(backend);
}

/* The check is for any path. */
Test(vulkan_codec, shaders_can_be_checked)
{
    struct ds_vulkan_backend *backend = codec_rig_backend();
    struct ds_vulkan_codec *codec = codec_rig_codec(
        ds_vulkan_codec_config(.check = DS_VULKAN_CODEC_CHECK_CPU, .backend = backend, .threads = 2,
                               .scratch_bytes = 1 << 20));

    if (codec != NULL) {
        codec_rig_good_streams(codec);
        codec_rig_damaged_streams(codec, 12);
    }
    ds_vulkan_codec_destroy(&codec);
    codec_rig_end(backend);
}

/* Arguments and failures -----------------------------------------------------------------------*/

static void refused(int expected, const char *words, const struct ds_vulkan_codec_config *config)
{
    struct ds_vulkan_codec_config logged = *config;
    struct ds_vulkan_codec *codec = NULL;
    struct lines lines = {0};

    logged.log = codec_rig_log;
    logged.log_ctx = &lines;
    cr_assert_eq(ds_vulkan_codec_create(&logged, &codec), expected, "%s", words);
    cr_assert_null(codec);
    cr_assert_eq(lines.errors, 1, "%u lines for %s", lines.errors, words);
    cr_assert_not_null(strstr(lines.last, words), "%s", lines.last);
}

Test(vulkan_codec, bad_arguments_are_refused)
{
    struct ds_vulkan_codec_config wrong = {.struct_size = 2};
    struct ds_vulkan_codec *codec = NULL;

    refused(-EINVAL, "path is 4", ds_vulkan_codec_config(.path = 4));
    refused(-EINVAL, "check is 3", ds_vulkan_codec_config(.check = 3));
    refused(-EINVAL, "threads is 65", ds_vulkan_codec_config(.threads = 65));
    refused(-EINVAL, "scratch_bytes", ds_vulkan_codec_config(.scratch_bytes = 1000));
    refused(-EINVAL, "scratch_bytes", ds_vulkan_codec_config(.scratch_bytes = UINT64_MAX));
    cr_assert_eq(ds_vulkan_codec_create(&wrong, &codec), -EINVAL);
    cr_assert_eq(ds_vulkan_codec_create(NULL, NULL), -EINVAL);
    ds_vulkan_codec_destroy(&codec);
}

Test(vulkan_codec, says_what_the_device_lacks)
{
    struct ds_vulkan_backend *backend = codec_rig_backend();

    if (!backend->device.gdeflate.nv)
        refused(-ENOTSUP, "VK_NV_memory_decompression",
                ds_vulkan_codec_config(.backend = backend, .path = DS_VULKAN_CODEC_PATH_NV));
    if (gdeflate_gpu_lacks(&backend->device, GDEFLATE_GPU_PORTABLE) == NULL) {
        backend->device.gdeflate.shader = false;
        refused(-ENOTSUP, "storageBuffer8BitAccess", ds_vulkan_codec_config(.backend = backend));
    }
    refused(-EINVAL, "device_name",
            ds_vulkan_codec_config(.backend = backend, .device_name = "any"));
    ds_vulkan_backend_destroy(&backend);
    refused(-ENODEV, "no such device", ds_vulkan_codec_config(.device_name = "no such device"));
}

static PFN_vkQueueSubmit real_submit;
static VkResult submit_result;

static VkResult VKAPI_CALL failing_submit(VkQueue queue, uint32_t n, const VkSubmitInfo *infos,
                                          VkFence fence)
{
    return submit_result == VK_SUCCESS ? real_submit(queue, n, infos, fence) : submit_result;
}

/* The second piece is refused while the first one is under way. */
static uint32_t submits_left;

static VkResult VKAPI_CALL refusing_submit(VkQueue queue, uint32_t n, const VkSubmitInfo *infos,
                                           VkFence fence)
{
    return submits_left-- != 0 ? real_submit(queue, n, infos, fence)
                               : VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

Test(vulkan_codec, failing_submissions_are_errors)
{
    struct ds_vulkan_backend *backend = codec_rig_backend();
    struct ds_vulkan_codec *codec =
        codec_rig_codec(ds_vulkan_codec_config(.backend = backend, .scratch_bytes = 1 << 20));
    struct packed packed = codec_rig_pack(BLOCKS, 9 * 65536, 1);
    uint8_t *back = malloc(packed.data_bytes);
    struct vulkan_dispatch *vk = &backend->device.vk;
    int error;

    if (codec != NULL) {
        real_submit = vk->QueueSubmit;
        vk->QueueSubmit = refusing_submit;
        submits_left = 1;
        error = ds_vulkan_codec_decompress(codec, packed.bytes, packed.bytes_n, back,
                                           packed.data_bytes, NULL);
        cr_assert_eq(error, -EIO);
        vk->QueueSubmit = failing_submit;
        submit_result = VK_SUCCESS;
        error = ds_vulkan_codec_decompress(codec, packed.bytes, packed.bytes_n, back,
                                           packed.data_bytes, NULL);
        cr_assert_eq(error, 0);
        cr_assert_arr_eq(back, packed.data, packed.data_bytes);
        submit_result = VK_ERROR_DEVICE_LOST;
        for (uint32_t i = 0; i < 2; i++) {
            error = ds_vulkan_codec_decompress(codec, packed.bytes, packed.bytes_n, back,
                                               packed.data_bytes, NULL);
            cr_assert_eq(error, -EIO);
            submit_result = VK_SUCCESS; /* a loss is for good */
        }
    }
    ds_vulkan_codec_destroy(&codec);
    free(back);
    codec_rig_pack_free(&packed);
    codec_rig_end(backend);
}

static uint32_t lock_depth, locked_submits, unlocked_submits;

static void count_lock(void *ctx)
{
    (void)ctx;
    lock_depth++;
}

static void count_unlock(void *ctx)
{
    (void)ctx;
    lock_depth--;
}

static VkResult VKAPI_CALL counting_submit(VkQueue queue, uint32_t n, const VkSubmitInfo *infos,
                                           VkFence fence)
{
    if (lock_depth == 1)
        locked_submits++;
    else
        unlocked_submits++;
    return real_submit(queue, n, infos, fence);
}

Test(vulkan_codec, submits_inside_the_queue_lock)
{
    struct ds_vulkan_backend *backend = codec_rig_backend();
    struct ds_vulkan_codec *codec =
        codec_rig_codec(ds_vulkan_codec_config(.backend = backend, .scratch_bytes = 1 << 20));

    if (codec != NULL) {
        real_submit = backend->device.vk.QueueSubmit;
        backend->device.vk.QueueSubmit = counting_submit;
        backend->lock_queue = count_lock;
        backend->unlock_queue = count_unlock;
        codec_rig_good_streams(codec);
        cr_assert_geq(locked_submits, 7, "%u", locked_submits);
        cr_assert(unlocked_submits == 0 && lock_depth == 0);
    }
    ds_vulkan_codec_destroy(&codec);
    codec_rig_end(backend);
}

/* Who shares a back end ------------------------------------------------------------------------*/

struct sharer {
    pthread_t thread;
    struct ds_vulkan_codec *codec;
    const struct packed *packed;
};

static void *sharer_main(void *argument)
{
    struct sharer *sharer = argument;
    uint8_t *back = malloc(sharer->packed->data_bytes);

    for (uint32_t i = 0; i < 10; i++) {
        memset(back, 0, sharer->packed->data_bytes);
        cr_assert_eq(ds_vulkan_codec_decompress(sharer->codec, sharer->packed->bytes,
                                                sharer->packed->bytes_n, back,
                                                sharer->packed->data_bytes, NULL),
                     0);
        cr_assert_arr_eq(back, sharer->packed->data, sharer->packed->data_bytes);
    }
    free(back);
    return NULL;
}

/* Streams to the GPU meanwhile. */
static void engine_run(struct ds_vulkan_backend *backend, const struct packed *packed)
{
    struct vk_util *util = vk_util_adopt(backend);
    struct vk_util_buffer buffer;
    struct ds_engine *engine = NULL;
    struct ds_queue *queue = NULL;
    uint8_t *back = malloc(65536);

    cr_assert_eq(ds_engine_create(ds_engine_config(.vulkan = backend), &engine), 0);
    cr_assert_eq(ds_queue_create(engine, NULL, &queue), 0);
    vk_util_buffer(util, 65536, 0, false, &buffer);
    for (uint32_t i = 0; i < 50; i++) {
        struct ds_result result = {.status = DS_STATUS_PENDING};

        cr_assert_eq(
            ds_queue_enqueue(queue, ds_request(.source = packed->data, .size = 65536,
                                               .gpu_buffer = ds_vulkan_buffer(buffer.buffer),
                                               .gpu_buffer_bytes = 65536)),
            0);
        ds_queue_submit(queue);
        cr_assert_eq(ds_queue_wait(queue, &result, 1, UINT64_MAX), 1);
        cr_assert_eq(result.status, DS_STATUS_OK);
    }
    vk_util_readback(util, &buffer, 0, 65536, back);
    cr_assert_arr_eq(back, packed->data, 65536);
    ds_queue_destroy(&queue);
    ds_engine_destroy(&engine);
    vk_util_buffer_free(util, &buffer);
    vk_util_close(&util);
    free(back);
}

Test(vulkan_codec, two_codecs_and_an_engine_share_a_device)
{
    struct ds_vulkan_backend *backend = codec_rig_backend();
    struct packed packed = codec_rig_pack(WORDS, 3 * 65536 + 9, 6);
    struct sharer sharers[2];

    for (uint32_t i = 0; i < 2; i++) {
        sharers[i].codec =
            codec_rig_codec(ds_vulkan_codec_config(.backend = backend, .scratch_bytes = 1 << 20));
        sharers[i].packed = &packed;
    }
    if (sharers[0].codec != NULL) {
        for (uint32_t i = 0; i < 2; i++)
            pthread_create(&sharers[i].thread, NULL, sharer_main, &sharers[i]);
        engine_run(backend, &packed);
        for (uint32_t i = 0; i < 2; i++)
            pthread_join(sharers[i].thread, NULL);
    }
    for (uint32_t i = 0; i < 2; i++)
        ds_vulkan_codec_destroy(&sharers[i].codec);
    codec_rig_pack_free(&packed);
    codec_rig_end(backend);
}
