#include "gpu/codec_rig.h"

#include "gpu/vk_util.h"

#include <errno.h>

static const char *const path_names[PATH_COUNT] = {"auto", "portable", "subgroup", "nv"};

void codec_rig_log(void *ctx, enum ds_log_level level, const char *message)
{
    struct lines *lines = ctx;

    if (level > DS_LOG_ERROR)
        return;
    lines->errors++;
    snprintf(lines->last, sizeof(lines->last), "%s", message);
}

struct ds_vulkan_backend *codec_rig_backend(void)
{
    struct ds_vulkan_backend *backend = NULL;

    if (!vk_util_validate())
        fprintf(stderr, "skipped: validation: no layer here\n");
    if (ds_vulkan_backend_create(NULL, &backend) != 0)
        cr_skip_test("skipped: no Vulkan device");
    return backend;
}

void codec_rig_end(struct ds_vulkan_backend *backend)
{
    ds_vulkan_backend_destroy(&backend);
    cr_assert_eq(vk_util_messages(), 0);
}

struct ds_vulkan_codec *codec_rig_codec(const struct ds_vulkan_codec_config *config)
{
    struct ds_vulkan_codec *codec = NULL;
    struct ds_vulkan_codec_config logged = *config;
    static struct lines lines; /* the codec keeps it */
    int error;

    lines = (struct lines){0};
    logged.log = codec_rig_log;
    logged.log_ctx = &lines;
    error = ds_vulkan_codec_create(&logged, &codec);
    if (error == -ENOTSUP) {
        cr_assert_eq(lines.errors, 1, "one line says why");
        fprintf(stderr, "skipped: path %s: %s\n", path_names[config->path], lines.last);
        return NULL;
    }
    cr_assert_eq(error, 0, "%s", lines.last);
    return codec;
}

struct packed codec_rig_pack(enum kind kind, size_t bytes, int level)
{
    struct packed packed = {.data = malloc(bytes), .data_bytes = bytes};
    struct ds_codec *codec = NULL;
    size_t bound;

    data_make(kind, bytes, packed.data, bytes);
    cr_assert_eq(ds_codec_create(DS_CODEC_GDEFLATE, NULL, &codec), 0);
    bound = ds_codec_compress_bound(codec, bytes);
    packed.bytes = malloc(bound);
    cr_assert_eq(
        ds_codec_compress(codec, level, packed.data, bytes, packed.bytes, bound, &packed.bytes_n),
        0);
    ds_codec_destroy(&codec);
    return packed;
}

void codec_rig_pack_free(struct packed *packed)
{
    free(packed->data);
    free(packed->bytes);
}

int codec_rig_decode(struct ds_vulkan_codec *codec, const uint8_t *bytes, size_t bytes_n,
                     size_t content, struct ds_codec_report *report)
{
    enum { GUARD = 64 };
    struct walled input = walled_copy(bytes, bytes_n);
    struct walled output = walled_make(content + GUARD);
    uint8_t *expected = malloc(content + 1);
    struct ds_codec_report cpu_report = {-1, 77};
    struct ds_codec *cpu = NULL;
    int error, cpu_error;

    memset(output.data, 0x6b, content + GUARD);
    *report = (struct ds_codec_report){-1, 78};
    error = ds_vulkan_codec_decompress(codec, input.data, bytes_n, output.data + GUARD, content,
                                       report);
    cr_assert_eq(ds_codec_create(DS_CODEC_GDEFLATE, NULL, &cpu), 0);
    cpu_error = ds_codec_decompress(cpu, bytes, bytes_n, expected, content, &cpu_report);
    cr_assert_eq(error, cpu_error, "%d, but the CPU %d", error, cpu_error);
    cr_assert(report->error == cpu_report.error && report->tile == cpu_report.tile,
              "%s in tile %u, but the CPU: %s in tile %u", ds_codec_error_name(report->error),
              report->tile, ds_codec_error_name(cpu_report.error), cpu_report.tile);
    if (error == 0)
        cr_assert_arr_eq(output.data + GUARD, expected, content);
    for (uint32_t i = 0; i < GUARD; i++)
        cr_assert_eq(output.data[i], 0x6b, "the guard before the output was overwritten");
    cr_assert_arr_eq(input.data, bytes, bytes_n);
    ds_codec_destroy(&cpu);
    free(expected);
    walled_free(&input);
    walled_free(&output);
    return error;
}

void codec_rig_good_streams(struct ds_vulkan_codec *codec)
{
    static const size_t sizes[] = {1, 1000, 65535, 65536, 65537, 4 * 65536 + 77};
    struct ds_codec_report report;

    for (uint32_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        struct packed packed = codec_rig_pack(MIXED, sizes[i], (int)(i * 5 % 13));

        cr_assert_eq(codec_rig_decode(codec, packed.bytes, packed.bytes_n, sizes[i], &report), 0);
        codec_rig_pack_free(&packed);
    }
}

void codec_rig_damaged_streams(struct ds_vulkan_codec *codec, uint32_t n)
{
    enum { TILES = 4 };
    struct packed packed = codec_rig_pack(WORDS, (TILES - 1) * 65536 + 999, 1);
    uint8_t *bytes = malloc(packed.bytes_n);
    struct ds_codec_report report;
    uint64_t seed = 4;
    uint32_t refused = 0;

    for (uint32_t i = 0; i < n; i++) {
        size_t bytes_n = i % 6 == 0 ? random_next(&seed) % packed.bytes_n : packed.bytes_n;
        size_t content = i % 7 == 0 ? packed.data_bytes - i / 7 : packed.data_bytes;

        memcpy(bytes, packed.bytes, packed.bytes_n);
        for (uint32_t k = 0; k < i % 4; k++) {
            size_t reach = i % 5 == 0 ? 8 + 4 * TILES : packed.bytes_n;

            bytes[random_next(&seed) % reach] ^= (uint8_t)(1u << random_next(&seed) % 8);
        }
        refused += codec_rig_decode(codec, bytes, bytes_n, content, &report) != 0;
    }
    cr_assert(refused > n / 3 && refused < n, "%u", refused);
    free(bytes);
    codec_rig_pack_free(&packed);
}
