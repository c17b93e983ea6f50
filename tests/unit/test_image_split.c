/* engine/image/target and split: random targets are cut into chunks, and each block of texels must
 * be copied once, from the byte where a plain walk over the parts finds it. */
#include "engine/image/split.h"

#include "engine/request.h"
#include "unit/support.h"

#include <errno.h>

#define BLOCKS_MAX (1u << 18)

struct scene {
    struct ds_image image;
    struct ds_image_config config;
    struct host host;
    struct image_target target;
    struct image_limits limits;
    uint64_t *wanted; /* source byte + 1 for each block of the image, by place; 0: untouched */
    uint64_t *found;
};

static const VkFormat formats[] = {
    VK_FORMAT_R8_UNORM,           VK_FORMAT_R16_SFLOAT,
    VK_FORMAT_R8G8B8_UNORM,       VK_FORMAT_R32G32B32_SFLOAT,
    VK_FORMAT_R32G32B32A32_UINT,  VK_FORMAT_BC1_RGB_UNORM_BLOCK,
    VK_FORMAT_BC7_UNORM_BLOCK,    VK_FORMAT_ASTC_10x6_UNORM_BLOCK,
    VK_FORMAT_D16_UNORM,
};

static uint32_t one_to(uint64_t *random, uint32_t max)
{
    return 1 + (uint32_t)support_below(random, max);
}

static void scene_open(struct scene *s, const struct ds_image_shape *shape,
                       const struct image_family *family)
{
    memset(s, 0, sizeof(*s));
    support_host(&s->host);
    s->config = (struct ds_image_config){
        .struct_size = sizeof(s->config), .image = (VkImage)1, .shape = *shape};
    cr_assert_eq(image_open(&s->image, &s->host, &s->config, family), 0);
    s->limits = (struct image_limits){.offset = 0, .bytes_max = 65536, .align = 1};
}

static void scene_close(struct scene *s)
{
    image_close(&s->image, &s->host);
}

static const struct image_family any_family = {0, false, {1, 1, 1}, false};

/* The place of one block among all of the image. */
static uint64_t block_place(const struct scene *s, uint32_t subresource, uint32_t x, uint32_t y,
                            uint32_t z)
{
    VkExtent3D e = s->image.shape.extent;

    return (((uint64_t)subresource * e.depth + z) * e.height + y) * e.width + x;
}

static void mark(const struct scene *s, uint64_t *marks, uint32_t subresource, VkOffset3D at,
                 VkExtent3D extent, uint64_t offset, uint64_t row_pitch, uint64_t slice_pitch)
{
    const struct ds_image_format *f = &s->image.shape.format;

    for (uint32_t z = 0; z < extent.depth; z++) {
        for (uint32_t y = 0; y < format_blocks(extent.height, f->block_height); y++) {
            for (uint32_t x = 0; x < format_blocks(extent.width, f->block_width); x++) {
                uint64_t place = block_place(
                    s, subresource, (uint32_t)at.x / f->block_width + x,
                    (uint32_t)at.y / f->block_height + y, (uint32_t)at.z + z);

                cr_assert_eq(marks[place], 0, "a block is copied twice");
                marks[place] =
                    1 + offset + z * slice_pitch + y * row_pitch + (uint64_t)x * f->block_bytes;
            }
        }
    }
}

static void check_chunk(const struct scene *s, uint64_t begin, uint64_t end)
{
    struct image_region regions[IMAGE_REGIONS_MAX];
    uint64_t window = align_down_u64(s->limits.offset + begin, s->limits.align);
    uint64_t window_end = align_up_u64(s->limits.offset + end, s->limits.align);
    uint32_t n = image_chunk_regions(&s->target, begin, end, regions);
    VkExtent3D g = s->image.granularity;

    cr_assert_leq(window_end - window, s->limits.bytes_max);
    for (uint32_t i = 0; i < n; i++) {
        const struct image_region *r = &regions[i];
        VkExtent3D mip = layout_mip_extent(&s->image.shape, r->subresource % s->image.shape.mips);
        uint32_t high = g.height * s->image.shape.format.block_height;

        mark(s, s->found, r->subresource, r->at, r->extent, begin + r->offset, r->row_pitch,
             r->slice_pitch);
        cr_assert_eq(r->offset % s->image.copy_align, 0, "region %u lies badly", i);
        cr_assert(n == 1 || !r->repack);
        if (g.width == 0) {
            cr_assert(r->extent.height == mip.height && r->extent.depth == mip.depth);
            continue;
        }
        cr_assert_eq((uint32_t)r->at.y % high, 0);
        cr_assert_eq((uint32_t)r->at.z % g.depth, 0);
        cr_assert(r->extent.height % high == 0 ||
                  (uint32_t)r->at.y + r->extent.height == mip.height);
        cr_assert(r->extent.depth % g.depth == 0 ||
                  (uint32_t)r->at.z + r->extent.depth == mip.depth);
    }
}

/* Cuts the target and compares. Returns the number of chunks. */
static uint32_t check_target(struct scene *s, uint64_t bytes)
{
    uint32_t count = image_chunks_count(&s->target, &s->limits), n = 0;
    uint64_t begin, end, at = 0;

    s->wanted = calloc(BLOCKS_MAX, sizeof(*s->wanted));
    s->found = calloc(BLOCKS_MAX, sizeof(*s->found));
    for (uint32_t i = 0; i < s->target.parts_n; i++) {
        struct image_part p = image_target_part(&s->target, i);

        mark(s, s->wanted, p.subresource, p.at, p.extent, p.offset, p.row_pitch, p.slice_pitch);
    }
    while (image_chunk_next(&s->target, &s->limits, true, &begin, &end)) {
        cr_assert(begin >= at && end > begin && end <= bytes);
        check_chunk(s, begin, end);
        at = end;
        n++;
    }
    cr_assert_eq(n, count);
    cr_assert_eq(memcmp(s->wanted, s->found, BLOCKS_MAX * sizeof(*s->found)), 0);
    free(s->wanted);
    free(s->found);
    return n;
}

static struct ds_image_shape random_shape(uint64_t *random)
{
    struct ds_image_shape shape = {
        .format = formats[support_below(random, ARRAY_LENGTH(formats))],
        .type = (VkImageType)support_below(random, 3),
        .extent = {one_to(random, 60), one_to(random, 60), one_to(random, 9)},
        .layers = one_to(random, 5),
        .mips = 1,
    };
    uint32_t longest;

    if (shape.type == VK_IMAGE_TYPE_1D)
        shape.extent.height = 1;
    if (shape.type != VK_IMAGE_TYPE_3D)
        shape.extent.depth = 1;
    else
        shape.layers = 1;
    longest = shape.extent.width | shape.extent.height | shape.extent.depth;
    shape.mips = one_to(random, 32 - (uint32_t)__builtin_clz(longest));
    return shape;
}

/* A box of whole blocks. */
static struct ds_image_region random_region(uint64_t *random, const struct ds_image *image)
{
    const struct ds_image_format *f = &image->shape.format;
    uint32_t subresource = (uint32_t)support_below(random, image_subresources_n(image));
    VkExtent3D mip = layout_mip_extent(&image->shape, subresource % image->shape.mips);
    uint32_t sizes[3] = {mip.width, mip.height, mip.depth};
    uint32_t blocks[3] = {f->block_width, f->block_height, 1};
    uint32_t at[3], extent[3];
    struct ds_image_region r = {.subresource = subresource};

    for (uint32_t d = 0; d < 3; d++) {
        uint32_t n = format_blocks(sizes[d], blocks[d]);
        uint32_t first = (uint32_t)support_below(random, n);

        at[d] = first * blocks[d];
        extent[d] = min_u32(one_to(random, n - first) * blocks[d], sizes[d] - at[d]);
    }
    r.offset = (VkOffset3D){(int32_t)at[0], (int32_t)at[1], (int32_t)at[2]};
    r.extent = (VkExtent3D){extent[0], extent[1], extent[2]};
    if (support_below(random, 2) == 0) {
        uint64_t row = (uint64_t)format_blocks(extent[0], blocks[0]) * f->block_bytes;

        r.row_pitch = row + support_below(random, 20);
        r.slice_pitch =
            r.row_pitch * format_blocks(extent[1], blocks[1]) + support_below(random, 20);
    }
    return r;
}

static void random_round(uint64_t *random)
{
    static const struct image_family families[] = {{0, false, {1, 1, 1}, false},
                                                   {0, true, {1, 1, 1}, false}};
    struct ds_image_shape shape = random_shape(random);
    struct scene s;
    struct ds_image_target wanted = {.struct_size = sizeof(wanted), .image = &s.image};
    uint32_t all;
    int rc;

    scene_open(&s, &shape, &families[support_below(random, 2)]);
    s.limits.align = support_below(random, 2) == 0 ? 1 : 512;
    s.limits.offset = support_below(random, 5000);
    s.limits.bytes_max = 2048 + support_below(random, 8192);
    all = image_subresources_n(&s.image);
    if (support_below(random, 2) == 0) {
        wanted.kind = DS_IMAGE_REGION;
        wanted.region = random_region(random, &s.image);
    } else {
        wanted.kind = DS_IMAGE_SUBRESOURCES;
        wanted.range.first = (uint32_t)support_below(random, all);
        wanted.range.n = one_to(random, all - wanted.range.first);
        wanted.range.layout = (enum ds_image_layout)support_below(random, 2);
    }
    rc = image_target_init(&s.target, &wanted, (uint64_t)1 << 40, &s.limits, &s.host);
    cr_assert_eq(rc, 0, "%d", rc);
    check_target(&s, (uint64_t)1 << 40);
    scene_close(&s);
}

Test(image_split, random_targets)
{
    uint64_t random = support_seed("image_split");

    for (uint32_t i = 0; i < 400 / SLOWNESS; i++)
        random_round(&random);
}

static const struct ds_image_shape flat = {
    VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, {64, 48, 1}, 1, 1};

Test(image_split, cuts_at_rows)
{
    struct scene s;
    uint64_t begin, end;

    scene_open(&s, &flat, &any_family);
    s.limits.bytes_max = 1000; /* three rows of 256 bytes */
    cr_assert_eq(image_target_init(&s.target,
                                   ds_image_target(.kind = DS_IMAGE_SUBRESOURCES,
                                                   .image = &s.image, .range = {.n = 1}),
                                   64 * 48 * 4, &s.limits, &s.host), 0);
    cr_assert(image_chunk_next(&s.target, &s.limits, true, &begin, &end));
    cr_assert(begin == 0 && end == 768);
    cr_assert(image_chunk_next(&s.target, &s.limits, false, &begin, &end));
    cr_assert(begin == 768 && end == 1536);
    cr_assert(image_chunk_next(&s.target, &s.limits, true, &begin, &end));
    cr_assert(begin == 768 && end == 1536, "a look must not move the cursor");
    s.target.part = s.target.line = 0;
    cr_assert_eq(check_target(&s, 64 * 48 * 4), 16);
    scene_close(&s);
}

/* Small mips share a chunk. */
Test(image_split, a_mip_chain_is_one_chunk)
{
    struct ds_image_shape shape = flat;
    struct scene s;

    shape.mips = 7;
    scene_open(&s, &shape, &any_family);
    cr_assert_eq(image_target_init(&s.target,
                                   ds_image_target(.kind = DS_IMAGE_SUBRESOURCES,
                                                   .image = &s.image,
                                                   .range = {.n = 7,
                                                             .layout = DS_IMAGE_LAYOUT_D3D12}),
                                   65536, &s.limits, &s.host), 0);
    cr_assert_eq(check_target(&s, 65536), 1);
    scene_close(&s);
}

static int init_region(struct scene *s, struct ds_image_region region, uint64_t bytes)
{
    return image_target_init(
        &s->target, ds_image_target(.kind = DS_IMAGE_REGION, .image = &s->image, .region = region),
        bytes, &s->limits, &s->host);
}

Test(image_split, granularity)
{
    struct image_family family = {0, true, {16, 8, 4}, false};
    struct ds_image_shape deep = {VK_FORMAT_R8_UNORM, VK_IMAGE_TYPE_3D, {40, 40, 10}, 1, 1};
    struct ds_image_region box = {.extent = {40, 40, 10}};
    struct scene s;

    scene_open(&s, &deep, &family);
    s.limits.bytes_max = 8000; /* five slices: four are cut off */
    cr_assert_eq(init_region(&s, box, 16000), 0);
    cr_assert_eq(check_target(&s, 16000), 3);
    box.offset.x = 8;
    box.extent.width = 32;
    cr_assert_eq(init_region(&s, box, 16000), -ENOTSUP);
    scene_close(&s);

    scene_open(&s, &flat, &family);
    s.limits.bytes_max = 256 * 21;
    box = (struct ds_image_region){.extent = {64, 48, 1}};
    cr_assert_eq(init_region(&s, box, 64 * 48 * 4), 0);
    cr_assert_eq(check_target(&s, 64 * 48 * 4), 3);
    s.limits.bytes_max = 256 * 7; /* eight rows must go at once */
    cr_assert_eq(init_region(&s, box, 64 * 48 * 4), -EFBIG);
    scene_close(&s);

    family.granularity = (VkExtent3D){0, 0, 0};
    scene_open(&s, &flat, &family);
    cr_assert_eq(init_region(&s, box, 64 * 48 * 4), 0);
    cr_assert_eq(check_target(&s, 64 * 48 * 4), 1);
    box.extent.height = 40;
    cr_assert_eq(init_region(&s, box, 64 * 48 * 4), -ENOTSUP);
    scene_close(&s);
}

Test(image_split, refusals)
{
    struct ds_image_shape bc = {VK_FORMAT_BC1_RGB_UNORM_BLOCK, VK_IMAGE_TYPE_2D, {10, 10, 1}, 1, 1};
    struct ds_image_region whole = {.extent = {10, 10, 1}};
    struct ds_image_region bad[] = {
        {.extent = {12, 8, 1}},
        {.extent = {6, 8, 1}},
        {.offset = {2, 0, 0}, .extent = {4, 4, 1}},
        {.offset = {-4, 0, 0}, .extent = {4, 4, 1}},
        {.extent = {4, 4, 2}},
        {.extent = {4, 0, 1}},
        {.subresource = 1, .extent = {4, 4, 1}},
        {.extent = {10, 10, 1}, .row_pitch = 23},
        {.extent = {10, 10, 1}, .row_pitch = (uint64_t)1 << 40},
    };
    struct scene s;

    scene_open(&s, &bc, &any_family);
    cr_assert_eq(init_region(&s, whole, 72), 0);
    cr_assert_eq(init_region(&s, whole, 71), -ERANGE);
    whole.row_pitch = 256;
    cr_assert_eq(init_region(&s, whole, 2 * 256 + 24), 0);
    cr_assert_eq(init_region(&s, whole, 2 * 256 + 23), -ERANGE);
    for (uint32_t i = 0; i < ARRAY_LENGTH(bad); i++)
        cr_assert_eq(init_region(&s, bad[i], 1 << 20), -EINVAL, "%u", i);
    s.limits.bytes_max = 23; /* one row of blocks has 24 bytes */
    cr_assert_eq(init_region(&s, whole, 1 << 20), -EFBIG);
    scene_close(&s);
}

static void keep_message(void *ctx, enum ds_log_level level, const char *message)
{
    (void)level;
    snprintf(ctx, 256, "%s", message);
}

Test(image_split, the_log_names_the_knob)
{
    struct ds_image_region box = {.extent = {64, 40, 1}};
    struct image_family family = {0, true, {16, 16, 1}, false};
    char message[256] = "";
    struct scene s;

    scene_open(&s, &flat, &family);
    host_init(&s.host, NULL, keep_message, message, DS_LOG_ERROR);
    cr_assert_eq(init_region(&s, box, 1 << 20), -ENOTSUP);
    cr_assert(strstr(message, "minImageTransferGranularity") != NULL, "%s", message);
    box.extent.height = 48;
    s.limits.bytes_max = 4095;
    cr_assert_eq(init_region(&s, box, 1 << 20), -EFBIG);
    cr_assert(strstr(message, "chunk_bytes") != NULL, "%s", message);
    scene_close(&s);
}

Test(image_split, explicit_footprints)
{
    struct ds_image_shape shape = flat;
    struct ds_image_footprint f[2] = {{.offset = 100, .row_pitch = 300},
                                      {.offset = 100 + 47 * 300 + 256, .row_pitch = 128}};
    struct ds_image_target wanted = {.struct_size = sizeof(wanted), .kind = DS_IMAGE_SUBRESOURCES};
    struct scene s;

    shape.mips = 2;
    scene_open(&s, &shape, &any_family);
    wanted.image = &s.image;
    wanted.range = (struct ds_image_range){
        .n = 2, .layout = DS_IMAGE_LAYOUT_EXPLICIT, .footprints = f};
    cr_assert_eq(image_target_init(&s.target, &wanted, 1 << 20, &s.limits, &s.host), 0);
    s.limits.bytes_max = 3000;
    check_target(&s, 1 << 20);
    f[1].offset--;
    cr_assert_eq(image_target_init(&s.target, &wanted, 1 << 20, &s.limits, &s.host), -EINVAL);
    wanted.range.footprints = NULL;
    cr_assert_eq(image_target_init(&s.target, &wanted, 1 << 20, &s.limits, &s.host), -EINVAL);
    scene_close(&s);
}

static int init_tiles(struct scene *s, struct ds_image_tiles tiles, uint64_t bytes)
{
    return image_target_init(
        &s->target, ds_image_target(.kind = DS_IMAGE_TILES, .image = &s->image, .tiles = tiles),
        bytes, &s->limits, &s->host);
}

Test(image_split, tiles)
{
    struct ds_image_shape shape = {
        VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, {300, 200, 1}, 2, 1};
    struct scene s;
    struct image_part p;

    scene_open(&s, &shape, &any_family); /* 3 x 2 tiles, and 2 x 1 of the second mip */
    cr_assert_eq(init_tiles(&s, (struct ds_image_tiles){.x = 2, .n = 5}, 5 * 65536), 0);
    check_target(&s, 5 * 65536);
    p = image_target_part(&s.target, 0);
    cr_assert(p.at.x == 256 && p.at.y == 0 && p.extent.width == 44 && p.extent.height == 128);
    p = image_target_part(&s.target, 4);
    cr_assert(p.subresource == 1 && p.at.x == 0 && p.extent.width == 128 && p.extent.height == 100);
    cr_assert_eq(s.target.n, 2);
    cr_assert_eq(init_tiles(&s, (struct ds_image_tiles){.x = 1, .use_box = true, .width = 2,
                                                        .height = 2, .depth = 1},
                            4 * 65536), 0);
    check_target(&s, 4 * 65536);
    p = image_target_part(&s.target, 2);
    cr_assert(p.at.x == 128 && p.at.y == 128 && p.offset == 2 * 65536);
    cr_assert_eq(init_tiles(&s, (struct ds_image_tiles){.n = 9}, 1 << 20), -EINVAL);
    cr_assert_eq(init_tiles(&s, (struct ds_image_tiles){.x = 3, .n = 1}, 1 << 20), -EINVAL);
    cr_assert_eq(init_tiles(&s, (struct ds_image_tiles){.use_box = true, .width = 4, .height = 1,
                                                        .depth = 1}, 1 << 20), -EINVAL);
    scene_close(&s);
}
