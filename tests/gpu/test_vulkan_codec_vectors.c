/* ds/vulkan_codec.h on the GDeflate vectors, on every path that the device has: good streams come
 * out as they should, bad ones get the strict verdict. Software, which takes long and whose tiles
 * test_gdeflate_gpu has all decoded, gets every ninth of the good ones. */
#include "gpu/codec_rig.h"
#include "unit/vectors.h"

#include <errno.h>

#ifndef VECTORS_PART
#define VECTORS_PART 1
#endif

struct trial {
    struct ds_vulkan_codec *codec;
    uint32_t part;
};

static void good_check(void *ctx, const char *name, const struct file *packed,
                       const struct file *content)
{
    struct trial *trial = ctx;
    struct walled output = walled_make(content->size);
    struct ds_codec_report report = {-1, 77};

    cr_assert_eq(ds_vulkan_codec_decompress(trial->codec, packed->data, packed->size, output.data,
                                            content->size, &report),
                 0, "%s: %s in tile %u", name, ds_codec_error_name(report.error), report.tile);
    cr_assert_eq(report.error, DS_CODEC_ERROR_NONE);
    cr_assert_arr_eq(output.data, content->data, content->size, "%s", name);
    walled_free(&output);
}

/* How large the content would be: what the container declares, if it is good. */
static void bad_check(void *ctx, const char *name, const struct file *packed,
                      enum ds_codec_error verdict)
{
    struct trial *trial = ctx;
    struct gdeflate_stream stream = {.content_bytes = 1000};
    bool fine = gdeflate_stream_parse(&stream, packed->data, packed->size) == DS_CODEC_ERROR_NONE;
    uint64_t bytes = fine ? stream.content_bytes : 1000;
    struct walled input = walled_copy(packed->data, packed->size);
    struct walled output = walled_make(bytes);
    struct ds_codec_report report = {-1, 77};
    int error = ds_vulkan_codec_decompress(trial->codec, input.data, packed->size, output.data,
                                           bytes, &report);

    cr_assert_eq(error, verdict == DS_CODEC_ERROR_NONE ? 0 : -EBADMSG, "%s: %d", name, error);
    cr_assert_eq(report.error, (int32_t)verdict, "%s: %s, expected %s", name,
                 ds_codec_error_name(report.error), ds_codec_error_name((int32_t)verdict));
    walled_free(&input);
    walled_free(&output);
}

static void vectors_run(struct trial *trial, bool bad)
{
    if (bad)
        cr_assert_gt(bad_vectors_each(vectors_part(VECTORS_PART), bad_check, trial), 10);
    if (bad)
        return;
    cr_assert_gt(vectors_each("", trial->part, good_check, trial), 300 / (2 * trial->part));
    cr_assert_gt(vectors_each("crafted/", trial->part, good_check, trial), 50 / (2 * trial->part));
}

static void paths_run(enum ds_vulkan_codec_check check, bool bad)
{
    struct ds_vulkan_backend *backend;

    if (!vectors_there())
        return;
    backend = codec_rig_backend();
    for (uint32_t path = DS_VULKAN_CODEC_PATH_PORTABLE; path < PATH_COUNT; path++) {
        bool software = vulkan_device_is_software(&backend->device);
        struct trial trial = {.part = vectors_part(software ? 9 : VECTORS_PART)};

        trial.codec =
            codec_rig_codec(ds_vulkan_codec_config(.path = path, .check = check, .backend = backend,
                                                   .scratch_bytes = 4 << 20));
        if (trial.codec != NULL)
            vectors_run(&trial, bad);
        ds_vulkan_codec_destroy(&trial.codec);
    }
    codec_rig_end(backend);
}

Test(vulkan_codec_vectors, good_streams_decode_to_their_bytes)
{
    paths_run(DS_VULKAN_CODEC_CHECK_NONE, false);
}

/* The check compares every byte with the CPU's. */
Test(vulkan_codec_vectors, good_streams_pass_the_check)
{
    paths_run(DS_VULKAN_CODEC_CHECK_CPU, false);
}

/* AUTO: for NV the CPU looks first. */
Test(vulkan_codec_vectors, bad_streams_get_the_strict_verdict)
{
    paths_run(DS_VULKAN_CODEC_CHECK_AUTO, true);
}
