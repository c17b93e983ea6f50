#include "gpu/gdeflate_rig.h"

#include "engine/vulkan/backend.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARD 0xa5
/* What lies between tiles: more than any distance or length reaches, and odd, so that tiles begin
 * at every alignment. */
#define GUARD_BYTES (65536 + 37)
/* And around tables and statuses. */
#define EDGE_BYTES 4096

/* llvmpipe takes the width of its vectors from the environment: subgroups are as many lanes of 32
 * bits. False: this CPU has no such vectors. */
static bool lanes_check(struct gdeflate_rig *rig)
{
    const char *text = getenv("LP_NATIVE_VECTOR_WIDTH");
    int width = text != NULL ? atoi(text) : 0;
    VkPhysicalDeviceSubgroupProperties subgroups = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES,
    };
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
        .pNext = &subgroups,
    };

#ifdef __x86_64__
    if (width > 256 && !__builtin_cpu_supports("avx512f"))
        return false;
#else
    if (width > 128)
        return false;
#endif
    rig->backend->device.vk.GetPhysicalDeviceProperties2(rig->backend->device.physical,
                                                         &properties);
    fprintf(stderr, "subgroups of %u lanes\n", subgroups.subgroupSize);
    if (width != 0 && width / 32 != (int)subgroups.subgroupSize)
        fprintf(stderr, "skipped: subgroups of %d lanes: this device has its own\n", width / 32);
    return true;
}

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
    if (!lanes_check(rig)) {
        fprintf(stderr, "skipped: this CPU has no vectors of the size that is asked for\n");
        ds_vulkan_backend_destroy(&rig->backend);
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
    rig->walls = rig->util->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    if (!rig->walls)
        fprintf(stderr, "skipped: walls: only software meets the protection of the host's pages\n");
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

/* Where parts of a buffer lie. All that is between them is filled with a pattern, which must be
 * there afterwards. With walls each part ends where a page begins that cannot be read or written.
 */
struct places {
    struct vk_util_buffer *buffer;
    uint64_t *at;
    uint64_t *bytes;
    uint32_t n;
};

struct run {
    struct gdeflate_rig *rig;
    struct vk_util_buffer input_buffer, output_buffer, table_buffer, statuses_buffer;
    struct places input, output, table, statuses;
    uint32_t tiles_n;
};

static uint64_t page_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Places parts of at[]..bytes[] one after the other, `slack` bytes before their walls; returns the
 * size of all. `base` is where the buffer's first byte lies in its page. */
static uint64_t places_lay(struct places *places, bool walls, uint64_t guard, uint64_t base,
                           bool slack)
{
    uint64_t page = page_bytes(), at = guard;

    for (uint32_t i = 0; i < places->n; i++) {
        if (walls) {
            /* a wall, the part's pages, and the next wall begins */
            uint64_t wall = align_up_u64(base + at, page);
            uint64_t end = wall + page + align_up_u64(places->bytes[i] + 3, page);

            places->at[i] = end - base - places->bytes[i] - (slack ? i % 4 : 0);
            at = end - base;
        } else {
            places->at[i] = slack ? at : align_up_u64(at, 8);
            at = places->at[i] + places->bytes[i] + guard;
        }
    }
    return align_up_u64(base + at, page) - base + page + guard;
}

/* The pages that lie between parts, and in none. */
static void walls_protect(const struct places *places, int protection)
{
    uint64_t page = page_bytes(), before = 0;

    for (uint32_t i = 0; i <= places->n; i++) {
        bool last = i == places->n;
        uintptr_t begin = (uintptr_t)places->buffer->mapped + before;
        uintptr_t end =
            (uintptr_t)places->buffer->mapped + (last ? places->buffer->bytes : places->at[i]);

        /* the word in which a part ends may be read with it */
        begin = (uintptr_t)align_up_u64(align_up_u64(begin, 4), page);
        end = end / page * page;
        if (end > begin)
            cr_assert_eq(mprotect((void *)begin, end - begin, protection), 0);
        before = last ? 0 : places->at[i] + places->bytes[i];
    }
}

static void places_make(struct places *places, struct vk_util_buffer *buffer, uint32_t n)
{
    *places = (struct places){
        .buffer = buffer,
        .at = calloc(n, sizeof(uint64_t)),
        .bytes = calloc(n, sizeof(uint64_t)),
        .n = n,
    };
}

static void places_fill(struct places *places, struct run *run, uint64_t guard, bool slack)
{
    const VkBufferUsageFlags usage =
        VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    uint64_t bytes = places_lay(places, run->rig->walls, guard, 0, slack) + page_bytes();
    uint64_t base;

    vk_util_buffer(run->rig->util, bytes, usage, true, places->buffer);
    memset(places->buffer->mapped, GUARD, places->buffer->bytes);
    base = (uintptr_t)places->buffer->mapped % page_bytes();
    cr_assert_leq(places_lay(places, run->rig->walls, guard, base, slack), bytes);
}

static void places_check(const struct places *places, const char *what)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i <= places->n; i++) {
        uint64_t end = i < places->n ? places->at[i] : places->buffer->bytes;

        for (; at < end; at++)
            cr_assert_eq(places->buffer->mapped[at], GUARD,
                         "%s: byte %ju, %ju before part %u of "
                         "%u, was overwritten",
                         what, (uintmax_t)at, (uintmax_t)(end - at), i, places->n);
        at = i < places->n ? end + places->bytes[i] : at;
    }
}

static void places_free(struct places *places, struct run *run)
{
    vk_util_buffer_free(run->rig->util, places->buffer);
    free(places->at);
    free(places->bytes);
}

static uint64_t place_address(struct run *run, const struct places *places, uint32_t i)
{
    return gdeflate_rig_address(run->rig, places->buffer) + places->at[i];
}

static void run_record(struct vk_util *util, VkCommandBuffer commands, void *ctx)
{
    struct run *run = ctx;

    (void)util; /* it puts barriers before and after */
    gdeflate_gpu_record(&run->rig->gpu, commands, place_address(run, &run->table, 0),
                        place_address(run, &run->statuses, 0), run->tiles_n);
}

static void run_places(struct run *run, const struct rig_tile *tiles)
{
    places_make(&run->input, &run->input_buffer, run->tiles_n);
    places_make(&run->output, &run->output_buffer, run->tiles_n);
    places_make(&run->table, &run->table_buffer, 1);
    places_make(&run->statuses, &run->statuses_buffer, 1);
    for (uint32_t i = 0; i < run->tiles_n; i++) {
        run->input.bytes[i] = tiles[i].packed_bytes;
        run->output.bytes[i] = tiles[i].bytes;
    }
    run->table.bytes[0] = run->tiles_n * sizeof(struct gdeflate_gpu_tile);
    run->statuses.bytes[0] = run->tiles_n * sizeof(uint32_t);
    places_fill(&run->input, run, GUARD_BYTES, true);
    places_fill(&run->output, run, GUARD_BYTES, true);
    places_fill(&run->table, run, EDGE_BYTES, false);
    places_fill(&run->statuses, run, EDGE_BYTES, false);
    memset(run->statuses_buffer.mapped + run->statuses.at[0], 0xff, run->statuses.bytes[0]);
}

static struct gdeflate_gpu_tile *run_table(struct run *run, const struct rig_tile *tiles)
{
    struct gdeflate_gpu_tile *table = calloc(run->tiles_n, sizeof(*table));

    for (uint32_t i = 0; i < run->tiles_n; i++) {
        memcpy(run->input_buffer.mapped + run->input.at[i], tiles[i].packed, tiles[i].packed_bytes);
        table[i] = (struct gdeflate_gpu_tile){
            .source = place_address(run, &run->input, i),
            .destination = place_address(run, &run->output, i),
            .source_bytes = tiles[i].packed_bytes,
            .destination_bytes = tiles[i].bytes,
            .status = run->tiles_n - 1 - i, /* any order will do */
        };
    }
    memcpy(run->table_buffer.mapped + run->table.at[0], table, run->table.bytes[0]);
    return table;
}

static void run_protect(struct run *run, int protection)
{
    if (!run->rig->walls)
        return;
    walls_protect(&run->input, protection);
    walls_protect(&run->output, protection);
    walls_protect(&run->table, protection);
    walls_protect(&run->statuses, protection);
}

static void run_check(struct run *run, struct rig_tile *tiles,
                      const struct gdeflate_gpu_tile *table)
{
    const uint32_t *statuses =
        (const uint32_t *)(run->statuses_buffer.mapped + run->statuses.at[0]);

    places_check(&run->input, "input");
    places_check(&run->output, "output");
    places_check(&run->table, "table");
    places_check(&run->statuses, "statuses");
    cr_assert_eq(memcmp(run->table_buffer.mapped + run->table.at[0], table, run->table.bytes[0]), 0,
                 "the table was overwritten");
    for (uint32_t i = 0; i < run->tiles_n; i++) {
        uint32_t status = statuses[run->tiles_n - 1 - i];

        cr_assert_neq(status, GDEFLATE_GPU_NOT_RUN, "tile %u was not decoded", i);
        tiles[i].verdict = (enum ds_codec_error)status;
        if (tiles[i].content != NULL)
            memcpy(tiles[i].content, run->output_buffer.mapped + run->output.at[i], tiles[i].bytes);
        cr_assert_eq(memcmp(run->input_buffer.mapped + run->input.at[i], tiles[i].packed,
                            tiles[i].packed_bytes),
                     0, "the input of tile %u was overwritten", i);
    }
}

void gdeflate_rig_decode(struct gdeflate_rig *rig, struct rig_tile *tiles, uint32_t tiles_n)
{
    struct run run = {.rig = rig, .tiles_n = tiles_n};
    struct gdeflate_gpu_tile *table;

    run_places(&run, tiles);
    table = run_table(&run, tiles);
    run_protect(&run, PROT_NONE);
    vk_util_run(rig->util, run_record, &run, VK_NULL_HANDLE, 0);
    run_protect(&run, PROT_READ | PROT_WRITE);
    run_check(&run, tiles, table);
    free(table);
    places_free(&run.input, &run);
    places_free(&run.output, &run);
    places_free(&run.table, &run);
    places_free(&run.statuses, &run);
}
