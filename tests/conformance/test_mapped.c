/* Destinations that are mapped (ds_request.gpu_mapped): what goes straight into the mapping, what
 * by way of staging, and that the bytes are the same. */
#include "conformance/mapped_rig.h"
#include "conformance/packed.h"

#include <errno.h>
#include <sys/mman.h>

/* Pieces of odd sizes, one after the other, each by another way. */
static uint32_t enqueue_pieces(struct mapped_rig *g)
{
    uint64_t at = 0;
    uint32_t n = 0;

    while (at < RIG_FILE_BYTES) {
        uint64_t bytes = n % 7 == 6 ? 200000 : 1 + n * 7919 % 30000;
        struct ds_request request;

        if (n % 5 == 4) /* up to where the next one is aligned, and a block that is */
            bytes = 4096 - at % 4096;
        if (n % 5 == 0)
            bytes = 4096 * (1 + n % 3);
        bytes = bytes < RIG_FILE_BYTES - at ? bytes : RIG_FILE_BYTES - at;
        request = mapped_request(g, n % 2 == 0 ? g->rig.file : g->buffered,
                                 n % 3 == 1 ? NULL : g->buffer.mapped, at, bytes);
        if (n % 11 == 7) {
            request.file = NULL;
            request.offset = 0;
            request.source = g->rig.content + at;
        }
        rig_enqueue(g->rig.queue, &request);
        at += bytes;
        n++;
    }
    return n;
}

RIG_TEST(mapped, every_byte_arrives_whichever_way_it_goes)
{
    static struct ds_result results[1024];
    struct mapped_rig g;
    uint32_t n;

    mapped_open(&g, topology, DS_VULKAN_MAPPED_ALWAYS, 0);
    for (uint32_t pass = 0; pass < 2; pass++) {
        memset(g.buffer.mapped, MAPPED_FILL, RIG_FILE_BYTES);
        n = enqueue_pieces(&g);
        ds_queue_submit(g.rig.queue);
        rig_results(g.rig.queue, results, n);
        for (uint32_t i = 0; i < n; i++)
            cr_assert_eq(results[i].status, DS_STATUS_OK);
        cr_assert_arr_eq(g.buffer.mapped, g.rig.content, RIG_FILE_BYTES);
    }
    mapped_close(&g);
}

/* What is read through the page cache goes there, and no copy follows. */
RIG_TEST(mapped, the_mapping_is_written_and_nothing_is_copied)
{
    struct mapped_rig g;
    struct ds_request request;

    mapped_open(&g, topology, DS_VULKAN_MAPPED_ALWAYS, 0);
    cr_assert_eq(g.info.mapped_max_bytes, UINT64_MAX);
    request = mapped_request(&g, g.buffered, g.shadow, 12345, 300001);
    cr_assert_eq(mapped_ask(&g, &request).status, DS_STATUS_OK);
    request = mapped_request(&g, NULL, g.shadow, 400001, 70000);
    request.source = g.rig.content + 400001;
    request.offset = 0;
    cr_assert_eq(mapped_ask(&g, &request).bytes, 70000);
    cr_assert_arr_eq(g.shadow + 12345, g.rig.content + 12345, 300001);
    cr_assert_arr_eq(g.shadow + 400001, g.rig.content + 400001, 70000);
    cr_assert(mapped_untouched(g.shadow, 12345) &&
                  mapped_untouched(g.shadow + 312346, 400001 - 312346) &&
                  mapped_untouched(g.shadow + 470001, RIG_FILE_BYTES - 470001),
              "a byte beside was written");
    cr_assert(mapped_untouched(g.buffer.mapped, RIG_FILE_BYTES), "the GPU has copied");
    cr_assert_eq(mapped_counters(&g).stages[DS_STAGE_COPY].batches, 0);
    cr_assert_eq(mapped_counters(&g).mapped_bytes, 300001 + 70000);
    mapped_close(&g);
}

/* A file that is read by O_DIRECT: aligned requests go straight there, the others by staging. */
RIG_TEST(mapped, direct_reads_go_where_they_can)
{
    struct ds_file_info info = {.struct_size = sizeof(info)};
    struct mapped_rig g;
    struct ds_request request;

    mapped_open(&g, topology, DS_VULKAN_MAPPED_ALWAYS, 0);
    cr_assert_eq(ds_file_get_info(g.rig.file, &info), 0);
    if (!info.direct || info.direct_memory_align > 4096 || info.direct_offset_align > 4096) {
        fprintf(stderr, "skipped: no O_DIRECT in /var/tmp: %s\n", info.direct_reason);
        mapped_close(&g);
        return;
    }
    request = mapped_request(&g, g.rig.file, g.shadow, 65536, 131072);
    cr_assert_eq(mapped_ask(&g, &request).status, DS_STATUS_OK);
    cr_assert_arr_eq(g.shadow + 65536, g.rig.content + 65536, 131072);
    request = mapped_request(&g, g.rig.file, g.shadow, 262145, 4095);
    cr_assert_eq(mapped_ask(&g, &request).status, DS_STATUS_OK);
    cr_assert_arr_eq(g.buffer.mapped + 262145, g.rig.content + 262145, 4095);
    cr_assert(mapped_untouched(g.buffer.mapped, 262145) &&
              mapped_untouched(g.shadow + 196608, 800000));
    mapped_close(&g);
}

static void by_size(enum ds_topology topology, enum ds_vulkan_mapped_path path,
                    uint64_t mapped_max_bytes, uint64_t expected)
{
    struct mapped_rig g;
    struct ds_request request;

    mapped_open(&g, topology, path, mapped_max_bytes);
    cr_assert_eq(g.info.mapped_max_bytes, expected);
    for (uint64_t bytes = 999; bytes <= 1001; bytes++) {
        uint64_t at = bytes * 100;
        bool there = bytes <= expected;

        request = mapped_request(&g, g.buffered, g.shadow, at, bytes);
        cr_assert_eq(mapped_ask(&g, &request).status, DS_STATUS_OK);
        cr_assert_arr_eq((there ? g.shadow : g.buffer.mapped) + at, g.rig.content + at, bytes);
        cr_assert(mapped_untouched((there ? g.buffer.mapped : g.shadow) + at, bytes));
        memset(g.shadow + at, MAPPED_FILL, bytes);
        memset(g.buffer.mapped + at, MAPPED_FILL, bytes);
    }
    mapped_close(&g);
}

Test(mapped, a_limit_and_never)
{
    by_size(DS_TOPOLOGY_SHARED, DS_VULKAN_MAPPED_AUTO, 1000, 1000);
    by_size(DS_TOPOLOGY_SHARED, DS_VULKAN_MAPPED_NEVER, 0, 0);
}

/* Memory that the kernel cannot write to, as the VRAM behind a bus is for O_DIRECT: the requests go
 * by way of staging after all, those that were under way too, through an arena that is smaller than
 * they are; and a signal waits for all of them. */
static void refused(enum ds_topology topology, bool direct)
{
    enum { N = 12, BYTES = 5 * 65536 };
    struct ds_result results[N + 1];
    struct mapped_rig g;
    uint64_t reads[3] = {0};

    mapped_open(&g, topology, DS_VULKAN_MAPPED_ALWAYS, 0);
    cr_assert_eq(mprotect(g.shadow, RIG_FILE_BYTES, PROT_NONE), 0);
    for (uint32_t round = 1; round <= 2; round++) {
        memset(g.buffer.mapped, MAPPED_FILL, RIG_FILE_BYTES);
        for (uint32_t i = 0; i < N; i++) {
            uint64_t at = i * 65536;
            struct ds_request request =
                mapped_request(&g, direct ? g.rig.file : g.buffered, g.shadow, at,
                               min_u64(BYTES, RIG_FILE_BYTES - at));

            rig_enqueue(g.rig.queue, &request);
        }
        cr_assert_eq(ds_queue_enqueue_signal(g.rig.queue, ds_vulkan_semaphore(g.semaphore), round,
                                             99), 0);
        ds_queue_submit(g.rig.queue);
        rig_results(g.rig.queue, results, N + 1);
        for (uint32_t i = 0; i <= N; i++)
            cr_assert_eq(results[i].status, DS_STATUS_OK, "%s", ds_status_name(results[i].status));
        cr_assert_eq(results[N].user_data, 99, "the signal is the last");
        cr_assert_eq(vk_util_timeline_value(g.vk, g.semaphore), round);
        cr_assert_arr_eq(g.buffer.mapped, g.rig.content, RIG_FILE_BYTES);
        reads[round] = mapped_counters(&g).stages[DS_STAGE_READ].items;
    }
    cr_assert_gt(reads[1], reads[2] - reads[1], "it was tried again and again");
    cr_assert_eq(mapped_counters(&g).mapped_bytes, 0);
    mapped_close(&g);
}

RIG_TEST(mapped, what_the_kernel_cannot_write_goes_by_staging)
{
    refused(topology, false);
}

RIG_TEST(mapped, what_the_disk_cannot_write_goes_by_staging)
{
    refused(topology, true);
}

/* A submission of the caller's waits for the signal on the GPU and finds the bytes. */
RIG_TEST(mapped, a_signal_covers_the_mapping)
{
    enum { BYTES = 500001 };
    struct mapped_rig g;
    struct ds_result results[2];
    struct ds_request request;
    uint8_t *back = malloc(BYTES);

    mapped_open(&g, topology, DS_VULKAN_MAPPED_ALWAYS, 0);
    request = mapped_request(&g, g.buffered, g.buffer.mapped, 3, BYTES);
    rig_enqueue(g.rig.queue, &request);
    cr_assert_eq(ds_queue_enqueue_signal(g.rig.queue, ds_vulkan_semaphore(g.semaphore), 5, 0), 0);
    ds_queue_submit(g.rig.queue);
    /* one queue for both here, so the wait must not be submitted before the signal is */
    rig_until(&g.rig, vk_util_timeline_value(g.vk, g.semaphore) == 5);
    vk_util_readback_after(g.vk, &g.buffer, 3, BYTES, back, g.semaphore, 5);
    cr_assert_arr_eq(back, g.rig.content + 3, BYTES);
    rig_results(g.rig.queue, results, 2);
    free(back);
    mapped_close(&g);
}

/* Decoded into the mapping where that is cached memory, else by way of staging. */
RIG_TEST(mapped, requests_with_a_codec)
{
    static const enum ds_codec_format formats[] = {DS_CODEC_GDEFLATE, DS_CODEC_ZSTD, DS_CODEC_LZ4};
    struct mapped_rig g;

    mapped_open(&g, topology, DS_VULKAN_MAPPED_ALWAYS, 0);
    if (g.info.device_type == VK_PHYSICAL_DEVICE_TYPE_CPU)
        cr_assert(g.info.mapped_decodes, "all of its memory is ordinary memory");
    for (uint32_t f = 0; f < ARRAY_LENGTH(formats); f++) {
        for (uint32_t i = 0; i < 4; i++) {
            uint64_t bytes = 300000 + 4 * i, at = 1001 + f + i;
            uint8_t *expected = g.info.mapped_decodes ? g.shadow : g.buffer.mapped;
            struct ds_request request;
            struct packed p;

            if (!packed_make(&p, formats[f], i % 2 == 0 ? DS_CODEC_TRANSFORM_NONE
                                                        : DS_CODEC_TRANSFORM_BC1, bytes, i))
                continue;
            request = i < 2 ? packed_request(&p, NULL)
                            : packed_from_file(&g.rig, &p, packed_store(&g.rig, &p), NULL);
            request.gpu_buffer = ds_vulkan_buffer(g.buffer.buffer);
            request.gpu_offset = at;
            request.gpu_mapped = g.shadow;
            cr_assert_eq(mapped_ask(&g, &request).status, DS_STATUS_OK);
            cr_assert_arr_eq(expected + at, p.plain, bytes);
            memset(expected + at, MAPPED_FILL, bytes);
            cr_assert(mapped_untouched(g.shadow, RIG_FILE_BYTES));
            cr_assert(mapped_untouched(g.buffer.mapped, RIG_FILE_BYTES));
            packed_free(&p);
        }
    }
    mapped_close(&g);
}

/* What is larger than its destination is never decoded there: the mapping is left alone, even where
 * it would be decoded into. */
RIG_TEST(mapped, requests_that_are_cut)
{
    enum { BYTES = 300000, AT = 1001 };
    struct ds_request request;
    struct ds_result result;
    struct mapped_rig g;
    struct packed p;

    mapped_open(&g, topology, DS_VULKAN_MAPPED_ALWAYS, 0);
    cr_assert(packed_make(&p, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, BYTES, 1));
    for (uint64_t bytes = 1; bytes <= BYTES; bytes += BYTES / 3 - 1) {
        uint8_t *expected =
            bytes == BYTES && g.info.mapped_decodes ? g.shadow : g.buffer.mapped;

        request = packed_request(&p, NULL);
        request.gpu_buffer = ds_vulkan_buffer(g.buffer.buffer);
        request.gpu_offset = AT;
        request.gpu_buffer_bytes = AT + bytes;
        request.gpu_mapped = g.shadow;
        request.destination_bytes = bytes;
        result = mapped_ask(&g, &request);
        cr_assert_eq(result.status, DS_STATUS_OK);
        cr_assert_eq(result.bytes, bytes);
        cr_assert_arr_eq(expected + AT, p.plain, bytes);
        memset(expected + AT, MAPPED_FILL, bytes);
        cr_assert(mapped_untouched(g.shadow, RIG_FILE_BYTES));
        cr_assert(mapped_untouched(g.buffer.mapped, RIG_FILE_BYTES));
    }
    packed_free(&p);
    mapped_close(&g);
}

Test(mapped, refuses_what_makes_no_sense)
{
    struct mapped_rig g;
    struct ds_vulkan_backend *second = NULL;
    struct ds_request request;

    mapped_open(&g, DS_TOPOLOGY_SHARED, DS_VULKAN_MAPPED_ALWAYS, 0);
    request = mapped_request(&g, g.buffered, g.shadow, 0, 100);
    request.gpu_buffer = 0;
    cr_assert_eq(ds_queue_enqueue(g.rig.queue, &request), -EINVAL);
    request = mapped_request(&g, g.buffered, g.shadow, 0, 100);
    request.host = g.shadow;
    cr_assert_eq(ds_queue_enqueue(g.rig.queue, &request), -EINVAL);
    request = mapped_request(&g, g.buffered, (void *)(UINTPTR_MAX - 50), 0, 100);
    cr_assert_eq(ds_queue_enqueue(g.rig.queue, &request), -EINVAL);
    cr_assert_eq(ds_vulkan_backend_create(ds_vulkan_backend_config(
                     .mapped_path = (enum ds_vulkan_mapped_path)3), &second), -EINVAL);
    cr_assert_eq(ds_vulkan_backend_create(ds_vulkan_backend_config(
                     .mapped_path = DS_VULKAN_MAPPED_NEVER, .mapped_max_bytes = 1), &second),
                 -EINVAL);
    mapped_close(&g);
}
