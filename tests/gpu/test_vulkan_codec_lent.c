/* ds/vulkan_codec.h on a device that the host lends: whose queue it is, and what the host must have
 * enabled. */
#include "gpu/codec_rig.h"
#include "gpu/vk_util.h"

#include <errno.h>

struct lent {
    struct vk_util *util;
    struct ds_vulkan_backend *backend;
};

/* A queue with COMPUTE is lent, which the app's is. */
static struct lent lend(struct ds_vulkan_backend_config config)
{
    struct lent lent = {.util = vk_util_open(true)};

    if (lent.util == NULL)
        cr_skip_test("skipped: %s", vk_util_reason());
    config.struct_size = sizeof(config);
    config.lock_ctx = lent.util;
    vk_util_lend(lent.util, &config);
    config.queue = lent.util->app_queue;
    config.queue_family = lent.util->app_queue_family;
    cr_assert_eq(ds_vulkan_backend_create(&config, &lent.backend), 0);
    return lent;
}

static void lent_end(struct lent *lent)
{
    ds_vulkan_backend_destroy(&lent->backend);
    vk_util_close(&lent->util);
    cr_assert_eq(vk_util_messages(), 0);
}

static int refused(const struct lent *lent, const char *words)
{
    struct lines lines = {0};
    struct ds_vulkan_codec *codec = NULL;
    int error = ds_vulkan_codec_create(
        ds_vulkan_codec_config(.backend = lent->backend, .scratch_bytes = 1 << 20,
                               .log = codec_rig_log, .log_ctx = &lines),
        &codec);

    cr_assert_null(codec);
    cr_assert(lines.errors == 1 && strstr(lines.last, words) != NULL, "%s", lines.last);
    return error;
}

static struct ds_vulkan_codec *codec_make(const struct lent *lent)
{
    return codec_rig_codec(
        ds_vulkan_codec_config(.backend = lent->backend, .scratch_bytes = 1 << 20));
}

static uint32_t locks, unlocks;

static void count_lock(void *ctx)
{
    locks++;
    vk_util_lock(ctx);
}

static void count_unlock(void *ctx)
{
    unlocks++;
    vk_util_unlock(ctx);
}

Test(vulkan_codec_lent, a_locked_queue_is_for_many)
{
    struct lent lent = lend((struct ds_vulkan_backend_config){.lock_queue = count_lock,
                                                              .unlock_queue = count_unlock});
    struct ds_vulkan_codec *codecs[2] = {NULL, NULL};

    for (uint32_t i = 0; i < 2; i++)
        codecs[i] = codec_make(&lent);
    for (uint32_t i = 0; i < 2 && codecs[i] != NULL; i++)
        codec_rig_good_streams(codecs[i]);
    cr_assert(locks == unlocks && (codecs[0] == NULL || locks > 10), "%u, %u", locks, unlocks);
    for (uint32_t i = 0; i < 2; i++)
        ds_vulkan_codec_destroy(&codecs[i]);
    lent_end(&lent);
}

Test(vulkan_codec_lent, an_exclusive_queue_is_for_one)
{
    struct lent lent = lend((struct ds_vulkan_backend_config){.queue = VK_NULL_HANDLE});
    struct ds_vulkan_codec *codec = codec_make(&lent);
    struct ds_engine *engine = NULL;

    if (codec != NULL) {
        cr_assert_eq(refused(&lent, "EXCLUSIVE"), -EBUSY);
        cr_assert_eq(ds_engine_create(ds_engine_config(.vulkan = lent.backend), &engine), -EBUSY);
        codec_rig_good_streams(codec);
        ds_vulkan_codec_destroy(&codec);
        cr_assert_eq(ds_engine_create(ds_engine_config(.vulkan = lent.backend), &engine), 0);
        cr_assert_eq(refused(&lent, "EXCLUSIVE"), -EBUSY);
        ds_engine_destroy(&engine);
    }
    lent_end(&lent);
}

Test(vulkan_codec_lent, a_callers_queue_is_not_for_codecs)
{
    struct lent lent =
        lend((struct ds_vulkan_backend_config){.queue_mode = DS_VULKAN_QUEUE_MANUAL});

    cr_assert_eq(refused(&lent, "MANUAL"), -EINVAL);
    lent_end(&lent);
}

/* What was not enabled, as far as the host says, is not used. */
Test(vulkan_codec_lent, a_feature_that_nobody_enabled_is_missing)
{
    struct lent lent = lend((struct ds_vulkan_backend_config){.queue = VK_NULL_HANDLE});

    lent.backend->device.gdeflate.shader = false;
    cr_assert_eq(refused(&lent, "path"), -ENOTSUP);
    lent_end(&lent);
}
