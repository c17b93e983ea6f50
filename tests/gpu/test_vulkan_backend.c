/* Making and refusing back ends, their limits and their memory. */
#include "contract/copy_rig.h"
#include "engine/vulkan/backend.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char last_error[512];

static void keep_error(void *ctx, enum ds_log_level level, const char *message)
{
    (void)ctx;
    if (level == DS_LOG_ERROR)
        snprintf(last_error, sizeof(last_error), "%s", message);
}

/* Is the safety net there? -------------------------------------------------------------------- */

struct hazard {
    struct vk_util_buffer from;
    struct vk_util_buffer to;
};

static void record_hazard(struct vk_util *util, VkCommandBuffer commands, void *ctx)
{
    const struct hazard *hazard = ctx;
    VkBufferCopy region = {0, 0, 256};

    util->CmdCopyBuffer(commands, hazard->from.buffer, hazard->to.buffer, 1, &region);
    util->CmdCopyBuffer(commands, hazard->from.buffer, hazard->to.buffer, 1, &region);
}

/* Concurrent use by one family: the core checks mind, and no driver does. */
static void make_plain_mistake(struct vk_util *util)
{
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = 256,
        .usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT,
        .sharingMode = VK_SHARING_MODE_CONCURRENT,
        .queueFamilyIndexCount = 1,
        .pQueueFamilyIndices = &util->queue_family,
    };
    VkBuffer buffer;

    if (util->CreateBuffer(util->device, &info, NULL, &buffer) == VK_SUCCESS)
        util->DestroyBuffer(util->device, buffer, NULL);
}

/* A layer that hears mistakes, but no hazards, takes its orders from the environment alone, as
 * tools/test.sh gives it: it is at fault only if that is there. */
Test(validation, notices_a_hazard)
{
    struct vk_util *util;
    struct hazard hazard;
    uint32_t hazards, mistakes;

    if (!vk_util_validate())
        cr_skip_test("no validation layer, or ThreadSanitizer");
    util = vk_util_open(true);
    if (util == NULL)
        cr_skip_test("%s", vk_util_reason());
    vk_util_buffer(util, 256, 0, false, &hazard.from);
    vk_util_buffer(util, 256, 0, false, &hazard.to);
    cr_assert_eq(vk_util_messages(), 0);
    vk_util_run(util, record_hazard, &hazard, VK_NULL_HANDLE, 0);
    hazards = vk_util_messages();
    make_plain_mistake(util);
    mistakes = vk_util_messages() - hazards;
    vk_util_buffer_free(util, &hazard.from);
    vk_util_buffer_free(util, &hazard.to);
    vk_util_close(&util);
    cr_assert_gt(mistakes, 0, "what the layer says is not heard: validation is worth nothing here");
    if (hazards == 0 && getenv("VK_LAYER_ENABLES") == NULL)
        cr_skip_test("this layer takes no synchronization validation from its settings, and "
                     "VK_LAYER_ENABLES is not set (see tools/test.sh)");
    cr_assert_gt(hazards, 0, "synchronization validation is off");
}

/* Configs ------------------------------------------------------------------------------------- */

static void nothing(void *ctx)
{
    (void)ctx;
}

static void expect_refused(const struct ds_vulkan_backend_config *config, int error,
                           const char *what)
{
    struct ds_vulkan_backend *backend = NULL;
    struct ds_vulkan_backend_config logged = *config;

    logged.log = keep_error;
    last_error[0] = '\0';
    cr_expect_eq(ds_vulkan_backend_create(&logged, &backend), error, "%s", what);
    cr_expect_null(backend, "%s", what);
    cr_expect_neq(last_error[0], '\0', "%s: nothing was logged", what);
    ds_vulkan_backend_destroy(&backend);
}

#define EXPECT_REFUSED(error, what, ...)                                                           \
    expect_refused(ds_vulkan_backend_config(__VA_ARGS__), error, what)

Test(backend, refuses_bad_configs)
{
    struct ds_vulkan_backend_config zero = {.struct_size = 0};
    struct ds_vulkan_backend *backend = NULL;
    int marker;

    cr_expect_eq(ds_vulkan_backend_create(&zero, &backend), -EINVAL);
    EXPECT_REFUSED(-EINVAL, "next", .next = &marker);
    EXPECT_REFUSED(-EINVAL, "mode", .queue_mode = (enum ds_vulkan_queue_mode)4);
    EXPECT_REFUSED(-EINVAL, "staging", .staging = (enum ds_vulkan_staging)3);
    EXPECT_REFUSED(-EINVAL, "batches", .batches_max = 17);
    EXPECT_REFUSED(-EINVAL, "regions", .batch_regions_max = 65537);
    EXPECT_REFUSED(-EINVAL, "groups", .scatter_groups_max = 65536);
    EXPECT_REFUSED(-EINVAL, "LOCKED", .queue_mode = DS_VULKAN_QUEUE_LOCKED);
    EXPECT_REFUSED(-EINVAL, "unlock", .lock_queue = nothing);
    EXPECT_REFUSED(-EINVAL, "lock", .unlock_queue = nothing);
    EXPECT_REFUSED(-EINVAL, "family alone", .queue_family = 1);
    EXPECT_REFUSED(-EINVAL, "one object", .instance = (VkInstance)&marker);
    EXPECT_REFUSED(-ENODEV, "name", .device_name = "no such device");
}

Test(backend, refuses_half_borrowed_and_wrong_family)
{
    struct ds_vulkan_backend_config config = {.struct_size = sizeof(config)};
    struct ds_vulkan_backend_config all;
    struct vk_util *util = vk_util_open(true);

    if (util == NULL)
        cr_skip_test("%s", vk_util_reason());
    vk_util_lend(util, &config);
    all = config;
    config.queue = VK_NULL_HANDLE;
    expect_refused(&config, -EINVAL, "no queue");
    config = all;
    config.get_instance_proc_addr = NULL;
    expect_refused(&config, -EINVAL, "no get_instance_proc_addr");
    config = all;
    config.queue_family = 1000;
    expect_refused(&config, -EINVAL, "family out of range");
    config = all;
    config.has_external_memory_host = false;
    config.staging = DS_VULKAN_STAGING_IMPORT;
    expect_refused(&config, -ENOTSUP, "import without the extension");
    vk_util_close(&util);
    cr_expect_eq(vk_util_messages(), 0);
}

Test(backend, without_a_driver_says_enodev)
{
    setenv("VK_ICD_FILENAMES", "/nonexistent.json", 1);
    setenv("VK_DRIVER_FILES", "/nonexistent.json", 1);
    EXPECT_REFUSED(-ENODEV, "no driver", .device_name = NULL);
}

Test(backend, lent_without_get_device_proc_addr)
{
    struct ds_vulkan_backend_config config = {.struct_size = sizeof(config), .log = rig_log};
    struct ds_vulkan_backend *backend = NULL;
    struct ds_vulkan_info info = {.struct_size = sizeof(info)};
    struct vk_util *util = vk_util_open(true);

    if (util == NULL)
        cr_skip_test("%s", vk_util_reason());
    vk_util_lend(util, &config);
    config.get_device_proc_addr = NULL;
    cr_assert_eq(ds_vulkan_backend_create(&config, &backend), 0);
    cr_expect_eq(ds_vulkan_backend_get_info(backend, &info), 0);
    cr_expect_not(info.own_device);
    cr_expect_eq(info.device, util->device);
    cr_expect_eq(info.queue, util->queue);
    cr_expect_eq(info.queue_family, util->queue_family);
    cr_expect_eq(info.app_queue, VK_NULL_HANDLE);
    cr_expect_str_eq(info.device_name, util->properties.deviceName);
    ds_vulkan_queue_lock(backend); /* no-ops here: no hang */
    ds_vulkan_queue_lock(backend);
    ds_vulkan_queue_unlock(backend);
    ds_vulkan_queue_unlock(backend);
    ds_vulkan_backend_destroy(&backend);
    ds_vulkan_backend_destroy(&backend);
    vk_util_close(&util);
    cr_expect_eq(vk_util_messages(), 0);
}

/* The families of a rig's device, and what the back end made of them. */
struct chosen {
    struct ds_vulkan_info info;
    VkQueueFamilyProperties families[32];
    uint32_t n;
};

static struct chosen chosen_by(const struct rig *rig)
{
    struct chosen c = {.info = {.struct_size = sizeof(c.info)}, .n = 32};
    PFN_vkGetPhysicalDeviceQueueFamilyProperties get;

    cr_assert_eq(ds_vulkan_backend_get_info(rig->backend, &c.info), 0);
    get = (PFN_vkGetPhysicalDeviceQueueFamilyProperties)c.info.get_instance_proc_addr(
        c.info.instance, "vkGetPhysicalDeviceQueueFamilyProperties");
    get(c.info.physical_device, &c.n, c.families);
    return c;
}

/* How many families have all of these flags and none of those. */
static uint32_t count_families(const struct chosen *c, VkQueueFlags all, VkQueueFlags none)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->n; i++)
        n += (c->families[i].queueFlags & all) == all && (c->families[i].queueFlags & none) == 0;
    return n;
}

Test(backend, own_device_has_a_queue_for_the_application)
{
    struct chosen c;
    VkQueueFlags flags;
    struct rig rig;

    rig_backend(&rig, &(struct rig_options){.own = true});
    c = chosen_by(&rig);
    flags = c.families[c.info.queue_family].queueFlags;
    cr_expect(c.info.own_device);
    cr_expect_neq(c.info.app_queue, VK_NULL_HANDLE);
    cr_expect_neq(c.families[c.info.app_queue_family].queueFlags & VK_QUEUE_COMPUTE_BIT, 0);
    cr_expect_eq(c.info.transfer_queue,
                 (flags & (VK_QUEUE_COMPUTE_BIT | VK_QUEUE_GRAPHICS_BIT)) == 0);
    if (c.info.can_scatter && c.info.device_type != VK_PHYSICAL_DEVICE_TYPE_CPU &&
        count_families(&c, VK_QUEUE_COMPUTE_BIT, VK_QUEUE_GRAPHICS_BIT) > 0)
        cr_expect_eq(flags & VK_QUEUE_GRAPHICS_BIT, 0, "copies queue behind frames");
    rig_close(&rig);
}

Test(backend, batches_of_software_may_be_smaller)
{
    VkPhysicalDeviceType *type;
    struct rig rig;

    rig_open(&rig, &(struct rig_options){.own = true}, 2 << 20);
    type = &rig.backend->device.properties.deviceType;
    *type = VK_PHYSICAL_DEVICE_TYPE_CPU;
    cr_expect_eq(copy_vulkan_ops.bytes_least(rig.self), 256 << 10);
    *type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    cr_expect_eq(copy_vulkan_ops.bytes_least(rig.self), 1 << 20);
    rig_close(&rig);
}

/* Without shaders: the copy engines, which can do nothing else, where there are any. */
Test(backend, own_device_copies_where_copies_are_made)
{
    const VkQueueFlags others = ~(VkQueueFlags)(VK_QUEUE_TRANSFER_BIT | VK_QUEUE_PROTECTED_BIT |
                                                VK_QUEUE_SPARSE_BINDING_BIT);
    struct chosen c;
    VkQueueFlags flags;
    struct rig rig;

    rig_backend(&rig, &(struct rig_options){.own = true, .copy_path = DS_VULKAN_PATH_COPY});
    c = chosen_by(&rig);
    flags = c.families[c.info.queue_family].queueFlags;
    cr_expect_not(c.info.can_scatter);
    if (count_families(&c, VK_QUEUE_TRANSFER_BIT, others) > 0)
        cr_expect_eq(flags & others, 0, "family %u, flags %#x", c.info.queue_family, flags);
    else
        fprintf(stderr, "skipped: the copy engines: no family of this device's has them alone\n");
    rig_close(&rig);
}

Test(backend, own_device_by_name)
{
    struct ds_vulkan_info info = {.struct_size = sizeof(info)};
    struct ds_vulkan_backend *again = NULL;
    char part[8];
    struct rig rig;

    rig_backend(&rig, &(struct rig_options){.own = true});
    ds_vulkan_backend_get_info(rig.backend, &info);
    snprintf(part, sizeof(part), "%s", info.device_name + 1);
    cr_assert_eq(ds_vulkan_backend_create(ds_vulkan_backend_config(.device_name = part), &again),
                 0);
    ds_vulkan_backend_destroy(&again);
    rig_close(&rig);
}

Test(backend, info_is_versioned)
{
    struct ds_vulkan_info info = {.struct_size = 0};
    struct rig rig;

    rig_backend(&rig, &(struct rig_options){0});
    cr_expect_eq(ds_vulkan_backend_get_info(rig.backend, &info), -EINVAL);
    info.struct_size = offsetof(struct ds_vulkan_info, instance);
    info.instance = (VkInstance)&rig;
    cr_expect_eq(ds_vulkan_backend_get_info(rig.backend, &info), 0);
    cr_expect_eq((void *)info.instance, (void *)&rig, "written past struct_size");
    rig_close(&rig);
}

Test(backend, serves_one_engine_at_a_time)
{
    void *second = NULL;
    struct rig rig;

    rig_open(&rig, &(struct rig_options){0}, 1 << 20);
    cr_expect_eq(copy_vulkan_open(rig.backend, &rig.host, &second), -EBUSY);
    cr_expect_null(second);
    copy_vulkan_ops.staging_close(rig.self, &rig.staging);
    copy_vulkan_close(rig.self);
    cr_assert_eq(copy_vulkan_open(rig.backend, &rig.host, &rig.self), 0);
    cr_assert_eq(copy_vulkan_ops.staging_open(rig.self, 1 << 20, &rig.staging), 0);
    rig_close(&rig);
}

Test(backend, tells_its_limits)
{
    struct rig rig;

    rig_open(&rig, &(struct rig_options){0}, 1 << 20);
    cr_expect_eq(copy_vulkan_ops.batches_max(rig.self), 4);
    cr_expect_eq(copy_vulkan_ops.regions_max(rig.self), 1024);
    cr_expect_not(copy_vulkan_ops.manual(rig.self));
    rig_close(&rig);
    rig_open(&rig,
             &(struct rig_options){.batches_max = 16, .regions_max = 65536, .locks = true,
                                   .queue_mode = DS_VULKAN_QUEUE_MANUAL},
             1 << 20);
    cr_expect_eq(copy_vulkan_ops.batches_max(rig.self), 16);
    cr_expect_eq(copy_vulkan_ops.regions_max(rig.self), 65536);
    cr_expect(copy_vulkan_ops.manual(rig.self));
    rig_wait(&rig, rig_submit(&rig, 15, NULL, 0, NULL, 0));
    cr_expect_eq(rig_hooks.locks, 0, "MANUAL: the host holds its lock already");
    rig_close(&rig);
}

/* Memory -------------------------------------------------------------------------------------- */

struct counting {
    uint32_t fail_at; /* the n-th allocation fails; 0 = none */
    uint32_t calls;
    size_t bytes;
};

static void *counting_alloc(void *ctx, size_t bytes, size_t align)
{
    struct counting *counting = ctx;
    void *memory = NULL;

    if (++counting->calls == counting->fail_at || posix_memalign(&memory, align, bytes) != 0)
        return NULL;
    counting->bytes += bytes;
    return memory;
}

static void counting_free(void *ctx, void *memory, size_t bytes)
{
    struct counting *counting = ctx;

    counting->bytes -= bytes;
    free(memory);
}

Test(memory, each_failing_allocation_is_enomem_and_leaves_nothing)
{
    struct vk_util *util = vk_util_open(true);
    uint32_t fail_at = 0;
    int error;

    if (util == NULL)
        cr_skip_test("%s", vk_util_reason());
    do {
        struct ds_vulkan_backend_config config = {.struct_size = sizeof(config)};
        struct counting counting = {.fail_at = ++fail_at};
        struct ds_allocator allocator = {&counting, counting_alloc, counting_free};
        struct ds_vulkan_backend *backend = NULL;
        struct host host;
        void *self = NULL;

        vk_util_lend(util, &config);
        config.allocator = &allocator;
        host_init(&host, &allocator, NULL, NULL, DS_LOG_ERROR);
        error = ds_vulkan_backend_create(&config, &backend);
        if (error == 0)
            error = copy_vulkan_open(backend, &host, &self);
        cr_expect(error == 0 || error == -ENOMEM, "allocation %u: %d", fail_at, error);
        copy_vulkan_close(self);
        ds_vulkan_backend_destroy(&backend);
        cr_expect_eq(counting.bytes, 0, "allocation %u leaks", fail_at);
    } while (error != 0 && fail_at < 100);
    cr_expect_gt(fail_at, 3, "the allocator was not asked");
    vk_util_close(&util);
    cr_expect_eq(vk_util_messages(), 0);
}

Test(memory, auto_allocates_where_import_fails)
{
    struct staging staging = {0};
    struct rig rig;

    rig_backend(&rig, &(struct rig_options){0});
    cr_assert_eq(copy_vulkan_open(rig.backend, &rig.host, &rig.self), 0);
    rig_hooks.import_fails = true;
    cr_assert_eq(copy_vulkan_ops.staging_open(rig.self, 1 << 20, &staging), 0);
    cr_expect_str_eq(staging.kind, "vulkan");
    copy_vulkan_ops.staging_close(rig.self, &staging);
    rig_close(&rig);
}

Test(memory, import_that_fails_leaves_nothing)
{
    struct staging staging = {0};
    struct rig rig;

    rig_backend(&rig, &(struct rig_options){.staging = DS_VULKAN_STAGING_IMPORT});
    cr_assert_eq(copy_vulkan_open(rig.backend, &rig.host, &rig.self), 0);
    rig_hooks.import_fails = true;
    cr_expect_eq(copy_vulkan_ops.staging_open(rig.self, 1 << 20, &staging), -EIO);
    cr_expect_null(staging.memory);
    rig_close(&rig);
}
