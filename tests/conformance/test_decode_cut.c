/* Destinations for the first part of what a request decodes to (ds_request.destination_bytes). */
#include "conformance/gpu_decode_rig.h"
#include "engine/codec/gdeflate.h"

#include <errno.h>

#define STRIDE (3 * TILE)
#define PLAIN_BYTES (2 * TILE + 5001)

static const uint64_t cuts[] = {1, 63, 16 * 1001, TILE, TILE + 1, PLAIN_BYTES - 1, PLAIN_BYTES};
#define CUTS ((uint32_t)ARRAY_LENGTH(cuts))

/* Where request i of a row goes: odd places and even ones. */
static uint64_t place(uint32_t i)
{
    return (uint64_t)i * STRIDE + 1 + i % 4;
}

static bool all_fill(const struct gpu_rig *g, uint64_t from, uint64_t to)
{
    for (; from < to; from++) {
        if (g->buffer.mapped[from] != FILL)
            return false;
    }
    return true;
}

static struct ds_result ask(struct gpu_rig *g, const struct ds_request *request)
{
    struct ds_result result;

    rig_enqueue(g->rig.queue, request);
    gpu_finish(g, &result, 1);
    return result;
}

/* Every cut of one content: from memory and from a file, into the buffer and by its address. */
static void cuts_arrive(struct gpu_rig *g, const struct packed *p)
{
    uint64_t stored = packed_store(&g->rig, p);
    struct ds_result results[2 * CUTS];

    for (uint32_t i = 0; i < 2 * CUTS; i++) {
        struct ds_request request = i % 4 < 2 ? packed_request(p, NULL)
                                              : packed_from_file(&g->rig, p, stored, NULL);

        request = gpu_to_buffer(g, request, place(i), i % 2 == 0);
        request.destination_bytes = cuts[i / 2];
        request.gpu_buffer_bytes = place(i) + cuts[i / 2];
        request.user_data = i;
        rig_enqueue(g->rig.queue, &request);
    }
    gpu_finish(g, results, 2 * CUTS);
    for (uint32_t i = 0; i < 2 * CUTS; i++) {
        uint64_t of = results[i].user_data, bytes = cuts[of / 2];
        struct packed part = *p;

        cr_assert_eq(results[i].status, DS_STATUS_OK, "%s", ds_status_name(results[i].status));
        cr_assert_eq(results[i].bytes, bytes);
        part.plain_bytes = bytes;
        gpu_check_place(g, &part, place((uint32_t)of), "cut");
        cr_assert(all_fill(g, place((uint32_t)of) + bytes, (of + 1) * STRIDE),
                  "codec %u: bytes behind the first %llu were written", p->format,
                  (unsigned long long)bytes);
    }
    memset(g->buffer.mapped, FILL, BUFFER_BYTES);
}

/* On a GPU that decodes, or one that only copies. It decodes what is not cut, and only that. */
static void formats_run(enum ds_topology topology, const struct gpu_options *options)
{
    static const struct {
        enum ds_codec_format format;
        enum ds_codec_transform transform;
    } rows[] = {
        {DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE}, {DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_BC3},
        {DS_CODEC_ZSTD, DS_CODEC_TRANSFORM_NONE},     {DS_CODEC_ZSTD, DS_CODEC_TRANSFORM_BC1},
        {DS_CODEC_LZ4, DS_CODEC_TRANSFORM_NONE},
    };
    struct gpu_rig g;

    gpu_open(&g, topology, options);
    for (uint32_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct packed p;

        if (!packed_make(&p, rows[i].format, rows[i].transform, PLAIN_BYTES, i))
            continue;
        cuts_arrive(&g, &p);
        packed_free(&p);
    }
    cr_assert_eq(gpu_counters(&g).gpu_decoded_tiles, options->only_copies ? 0 : 2 * 3);
    gpu_close(&g);
}

RIG_TEST(decode_cut, the_first_bytes_arrive_and_no_others)
{
    formats_run(topology, &(struct gpu_options){.only_copies = true});
}

Test(decode_cut, a_gpu_that_decodes_leaves_it_to_the_cpu)
{
    formats_run(DS_TOPOLOGY_DEDICATED, &(struct gpu_options){.gathers = true});
}

Test(decode_cut, copy_commands_alone)
{
    formats_run(DS_TOPOLOGY_SHARED, &(struct gpu_options){.only_copies = true,
                                                          .copy_path = DS_VULKAN_PATH_COPY});
}

/* Damages the last tile of a GDeflate stream, whose container stays in order; cuts others short. */
static void damage_tail(struct packed *p)
{
    struct gdeflate_stream stream;
    struct gdeflate_tile tile;

    if (p->format != DS_CODEC_GDEFLATE) {
        p->bytes_n -= 100;
        return;
    }
    cr_assert_eq(gdeflate_stream_parse(&stream, p->bytes, p->bytes_n), DS_CODEC_ERROR_NONE);
    tile = gdeflate_stream_tile(&stream, stream.tile_count - 1);
    p->bytes[tile.packed - p->bytes] |= 6; /* a block of type 3 */
}

RIG_TEST(decode_cut, a_damaged_tail_fails_though_it_is_dropped)
{
    static const enum ds_codec_format formats[] = {DS_CODEC_GDEFLATE, DS_CODEC_ZSTD, DS_CODEC_LZ4};
    struct ds_error_record record = {.struct_size = sizeof(record)};
    struct gpu_rig g;

    gpu_open(&g, topology, &(struct gpu_options){.only_copies = false});
    for (uint32_t f = 0; f < ARRAY_LENGTH(formats); f++) {
        struct ds_request request;
        struct ds_result result;
        struct packed p;

        if (!packed_make(&p, formats[f], DS_CODEC_TRANSFORM_NONE, PLAIN_BYTES, f))
            continue;
        damage_tail(&p);
        request = gpu_to_buffer(&g, packed_request(&p, NULL), 16, f % 2 == 0);
        request.destination_bytes = 100 + f;
        result = ask(&g, &request);
        cr_assert_eq(result.status, DS_STATUS_DECOMPRESSION);
        cr_assert_eq(result.error, -EBADMSG);
        cr_assert_eq(result.bytes, 0);
        cr_assert(all_fill(&g, 0, STRIDE));
        cr_assert_eq(ds_queue_take_error(g.rig.queue, &record), 0);
        cr_assert_eq(record.request.destination_bytes, 100 + f);
        cr_assert_eq(record.request.uncompressed_size, PLAIN_BYTES);
        packed_free(&p);
    }
    gpu_close(&g);
}

static int refused(struct gpu_rig *g, struct ds_request request, uint64_t destination_bytes)
{
    request.destination_bytes = destination_bytes;
    return ds_queue_enqueue(g->rig.queue, &request);
}

Test(decode_cut, what_makes_no_sense_is_refused)
{
    struct ds_request packed, to_host, plain, request;
    struct gpu_rig g;
    struct packed p;
    uint8_t *host = malloc(PLAIN_BYTES);

    gpu_open(&g, DS_TOPOLOGY_DEDICATED, &(struct gpu_options){.only_copies = true});
    cr_assert(packed_make(&p, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, PLAIN_BYTES, 1));
    packed = gpu_to_buffer(&g, packed_request(&p, NULL), 0, false);
    cr_expect_eq(refused(&g, packed, PLAIN_BYTES + 1), -EINVAL);
    cr_expect_eq(refused(&g, packed, UINT64_MAX), -EINVAL);
    to_host = packed_request(&p, host);
    cr_expect_eq(refused(&g, to_host, 1), -EINVAL);
    plain = gpu_to_buffer(&g, rig_read(&g.rig, 0, 5000, NULL, 0), 0, false);
    cr_expect_eq(refused(&g, plain, 1), -EINVAL);
    cr_expect_eq(refused(&g, plain, 5000), -EINVAL, "uncompressed_size is 0");
    plain.uncompressed_size = 5000;
    cr_expect_eq(refused(&g, plain, 4999), -EINVAL);
    request = (struct ds_request){.struct_size = sizeof(request), .op = DS_OP_FLUSH,
                                  .file = g.rig.file};
    cr_expect_eq(refused(&g, request, 1), -EINVAL);
    packed_free(&p);
    gpu_close(&g);
    free(host);
}

/* The range that counts is that of the bytes which arrive. */
Test(decode_cut, ranges_are_those_of_what_arrives)
{
    struct ds_request request;
    struct ds_result result;
    struct gpu_rig g;
    struct packed p;

    gpu_open(&g, DS_TOPOLOGY_DEDICATED, &(struct gpu_options){.only_copies = true});
    cr_assert(packed_make(&p, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, PLAIN_BYTES, 1));
    request = gpu_to_buffer(&g, packed_request(&p, NULL), BUFFER_BYTES - 77, false);
    cr_expect_eq(refused(&g, request, 0), -ERANGE);
    cr_expect_eq(refused(&g, request, PLAIN_BYTES), -ERANGE);
    cr_expect_eq(refused(&g, request, 78), -ERANGE);
    request.gpu_offset = UINT64_MAX - 77;
    cr_expect_eq(refused(&g, request, 78), -EINVAL, "it overflows");
    cr_expect_eq(refused(&g, request, 77), -ERANGE, "it does not");
    request.gpu_offset = BUFFER_BYTES - 77;
    request.destination_bytes = 77;
    result = ask(&g, &request);
    cr_assert_eq(result.status, DS_STATUS_OK);
    cr_assert_eq(result.bytes, 77);
    cr_assert_arr_eq(g.buffer.mapped + BUFFER_BYTES - 77, p.plain, 77);
    packed_free(&p);
    gpu_close(&g);
}

/* A signal fires behind all that the queue has had. */
static void signal_arrives(struct gpu_rig *g)
{
    VkSemaphore semaphore = vk_util_timeline(g->vk, 0);
    struct ds_result result;

    cr_assert_eq(ds_queue_enqueue_signal(g->rig.queue, ds_vulkan_semaphore(semaphore), 1, 0), 0);
    gpu_finish(g, &result, 1);
    cr_assert_eq(result.status, DS_STATUS_OK);
    cr_assert(vk_util_timeline_wait(g->vk, semaphore, 1, RIG_WAIT_NS));
    vk_util_lock(g->vk);
    g->vk->DeviceWaitIdle(g->vk->device);
    vk_util_unlock(g->vk);
    g->vk->DestroySemaphore(g->vk->device, semaphore, NULL);
}

/* What is as large as all of it says nothing new, wherever it goes: also in many chunks. */
Test(decode_cut, all_of_it_is_no_cut)
{
    enum { BYTES = 900001, DECODED = 300001 };
    struct ds_request request;
    struct ds_result result;
    struct gpu_rig g;
    struct packed p;
    uint8_t *host = malloc(BYTES);

    gpu_open(&g, DS_TOPOLOGY_DEDICATED, &(struct gpu_options){.chunk_bytes = 64 << 10});
    cr_assert(packed_make(&p, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, DECODED, 1));
    request = packed_request(&p, host);
    request.destination_bytes = DECODED;
    result = ask(&g, &request);
    cr_assert(result.status == DS_STATUS_OK && result.bytes == DECODED);
    cr_assert_arr_eq(host, p.plain, DECODED);
    for (uint32_t i = 0; i < 3; i++) {
        request = gpu_to_buffer(&g, rig_read(&g.rig, 3, BYTES, i == 0 ? host : NULL, 0), 5, false);
        request.gpu_mapped = i == 2 ? g.buffer.mapped : NULL;
        request.uncompressed_size = BYTES;
        request.destination_bytes = BYTES;
        result = ask(&g, &request);
        cr_assert(result.status == DS_STATUS_OK && result.bytes == BYTES);
        cr_assert_arr_eq(i == 0 ? host : g.buffer.mapped + 5, g.rig.content + 3, BYTES);
    }
    signal_arrives(&g);
    packed_free(&p);
    gpu_close(&g);
    free(host);
}
