/* Files out of an archive, by name, through the engine. */
#include "conformance/rig.h"

#include <ds/archive.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { CHUNK = 64 << 10, CHUNKS_MAX = 32, ALIGN = 4096, REQUESTS_MAX = 16 };

struct file {
    const char *name;
    enum ds_codec_format codec; /* 0: stored */
    enum ds_codec_transform transform;
    uint64_t bytes;
    uint8_t *content;
};

/* In the order of the names. The noise of `mixed` begins at its third chunk. */
static struct file files[] = {
    {"empty", DS_CODEC_GDEFLATE, 0, 0, NULL},
    {"mixed", DS_CODEC_GDEFLATE, 0, 5 * CHUNK + 77, NULL},
    {"stored", 0, 0, 3 * CHUNK + 1000, NULL},
    {"texture", DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_BC3, 2 * CHUNK, NULL},
};
enum { EMPTY, MIXED, STORED, TEXTURE, FILES };

struct built {
    uint8_t *bytes;
    uint64_t bytes_n;
    struct ds_archive *archive;
    struct ds_file *file;
    char path[64];
    uint32_t chunks_n;
    struct ds_archive_chunk chunks[CHUNKS_MAX];
};

static void contents_make(void)
{
    uint64_t state = 3;

    for (int i = 0; i < FILES; i++) {
        struct file *file = &files[i];

        file->content = malloc(file->bytes + 1);
        for (uint64_t at = 0; at < file->bytes; at++) {
            bool noise = i == MIXED && at >= 2 * CHUNK && at < 4 * CHUNK;

            state = state * 6364136223846793005u + 1442695040888963407u;
            file->content[at] = (uint8_t)(noise ? state >> 56 : at >> 9 ^ (uint64_t)i << 3);
        }
    }
}

static uint64_t chunk_put(struct built *built, struct ds_codec *codec, const struct file *file,
                          uint64_t at, uint64_t end)
{
    struct ds_archive_chunk *chunk = &built->chunks[built->chunks_n++];
    uint64_t bytes = file->bytes - at < CHUNK ? file->bytes - at : CHUNK;
    uint8_t *shuffled = malloc(CHUNK);
    size_t packed = 0;

    chunk->offset = (end + ALIGN - 1) / ALIGN * ALIGN;
    chunk->content_bytes = (uint32_t)bytes;
    ds_codec_shuffle(file->transform, file->content + at, shuffled, bytes);
    if (file->codec != 0 && ds_codec_compress(codec, 9, shuffled, bytes,
                                              built->bytes + chunk->offset, CHUNK + 65536,
                                              &packed) == 0 && packed < bytes) {
        chunk->codec = file->codec;
        chunk->transform = file->transform;
        chunk->stored_bytes = (uint32_t)packed;
    } else {
        memcpy(built->bytes + chunk->offset, file->content + at, bytes);
        chunk->stored_bytes = (uint32_t)bytes;
    }
    free(shuffled);
    return chunk->offset + chunk->stored_bytes;
}

static void archive_build(struct built *built)
{
    struct ds_archive_entry entries[FILES] = {0};
    struct ds_archive_tables tables = {.struct_size = sizeof(tables), .align_bytes = ALIGN,
                                       .entries_n = FILES, .entries = entries,
                                       .chunks = built->chunks};
    struct ds_codec *codec = NULL;
    uint64_t end = ALIGN;

    built->bytes = calloc(1, CHUNKS_MAX * (CHUNK + 65536));
    cr_assert_eq(ds_codec_create(DS_CODEC_GDEFLATE, NULL, &codec), 0);
    for (int i = 0; i < FILES; i++) {
        entries[i] = (struct ds_archive_entry){
            .name = files[i].name, .codec = files[i].codec, .transform = files[i].transform,
            .content_bytes = files[i].bytes, .chunk_bytes = CHUNK,
            .chunks = (uint32_t)((files[i].bytes + CHUNK - 1) / CHUNK)};
        for (uint64_t at = 0; at < files[i].bytes; at += CHUNK)
            end = chunk_put(built, codec, &files[i], at, end);
    }
    ds_codec_destroy(&codec);
    tables.chunks_n = built->chunks_n;
    built->bytes_n = tables.archive_bytes = end;
    cr_assert_leq(ds_archive_tables_bytes(&tables), ALIGN);
    cr_assert_eq(ds_archive_tables_write(&tables, built->bytes, ds_archive_tables_bytes(&tables),
                                         NULL), 0);
}

static void built_open(struct built *built, struct ds_engine *engine)
{
    int fd;

    memset(built, 0, sizeof(*built));
    contents_make();
    archive_build(built);
    memcpy(built->path, "/var/tmp/ds-archive-XXXXXX", sizeof("/var/tmp/ds-archive-XXXXXX"));
    fd = mkstemp(built->path);
    cr_assert_eq(write(fd, built->bytes, built->bytes_n), (ssize_t)built->bytes_n);
    close(fd);
    cr_assert_eq(ds_archive_open(built->path, NULL, &built->archive, NULL), 0);
    cr_assert_eq(ds_file_open(engine, built->path, NULL, &built->file), 0);
}

static void built_close(struct built *built)
{
    ds_file_close(&built->file);
    ds_archive_close(&built->archive);
    unlink(built->path);
    free(built->bytes);
    for (int i = 0; i < FILES; i++)
        free(files[i].content);
}

/* Brings a range and compares it; requests_n: how many requests that must take. */
static void demand(struct rig *rig, struct built *built, const struct ds_request *from, int index,
                   uint64_t offset, uint64_t bytes, uint32_t requests_n)
{
    struct ds_request requests[REQUESTS_MAX], base = *from;
    struct ds_result results[REQUESTS_MAX];
    uint8_t *to = malloc(bytes + 1);
    uint32_t entry;

    memset(to, 0x5c, bytes + 1);
    base.host = to;
    base.user_data = 7;
    cr_assert_eq(ds_archive_find(built->archive, files[index].name, &entry), 0);
    cr_assert_eq(ds_archive_request(built->archive, entry, offset, bytes, &base, requests,
                                    REQUESTS_MAX),
                 (int)requests_n);
    cr_assert_eq(ds_queue_enqueue_batch(rig->queue, requests, requests_n), (int)requests_n);
    ds_queue_submit(rig->queue);
    rig_results(rig->queue, results, requests_n);
    for (uint32_t i = 0; i < requests_n; i++) {
        cr_assert_eq(results[i].status, DS_STATUS_OK, "%s", ds_status_name(results[i].status));
        cr_assert_eq(results[i].user_data, 7);
        cr_assert_str_eq(requests[i].name, files[index].name);
    }
    cr_assert_arr_eq(to, files[index].content + offset, bytes);
    cr_assert_eq(to[bytes], 0x5c);
    free(to);
}

static void demand_all(struct rig *rig, struct built *built, const struct ds_request *base)
{
    demand(rig, built, base, EMPTY, 0, 0, 0);
    /* two packed, two stored that follow each other, two packed */
    demand(rig, built, base, MIXED, 0, files[MIXED].bytes, 5);
    demand(rig, built, base, MIXED, CHUNK, CHUNK + 100, 2);
    demand(rig, built, base, MIXED, 2 * CHUNK + 5, 2 * CHUNK - 9, 1);
    demand(rig, built, base, MIXED, 5 * CHUNK, 77, 1);
    demand(rig, built, base, STORED, 0, files[STORED].bytes, 1);
    demand(rig, built, base, STORED, 4095, 70000, 1);
    demand(rig, built, base, STORED, files[STORED].bytes, 0, 0);
    demand(rig, built, base, TEXTURE, 0, 2 * CHUNK, 2);
}

RIG_TEST(archive_requests, files_come_by_name)
{
    struct ds_request base = {.struct_size = sizeof(base)};
    struct built built;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    built_open(&built, rig.engine);
    base.file = built.file;
    demand_all(&rig, &built, &base);
    base.file = NULL;
    base.source = built.bytes;
    demand_all(&rig, &built, &base);
    built_close(&built);
    rig_close(&rig);
}

RIG_TEST(archive_requests, what_cannot_be_is_refused)
{
    struct ds_request base = {.struct_size = sizeof(base)}, requests[REQUESTS_MAX];
    struct built built;
    struct rig rig;
    uint8_t to[16];

    rig_open(&rig, topology, NULL);
    built_open(&built, rig.engine);
    base.file = built.file;
    base.host = to;
#define ASK(entry, offset, bytes)                                                                  \
    ds_archive_request(built.archive, entry, offset, bytes, &base, requests, REQUESTS_MAX)
    cr_assert_eq(ASK(FILES, 0, 0), -ERANGE);
    cr_assert_eq(ASK(STORED, 0, files[STORED].bytes + 1), -ERANGE);
    cr_assert_eq(ASK(STORED, files[STORED].bytes + 1, 0), -ERANGE);
    cr_assert_eq(ASK(STORED, 2, UINT64_MAX - 1), -ERANGE);
    cr_assert_eq(ASK(STORED, 2, DS_ARCHIVE_WHOLE), 1);
    cr_assert_eq(requests[0].size, files[STORED].bytes - 2);
    cr_assert_eq(ASK(MIXED, 1, CHUNK), -EINVAL);
    cr_assert_eq(ASK(MIXED, 0, CHUNK - 1), -EINVAL);
    /* no room: how many it takes is said all the same */
    requests[1].size = 4242;
    cr_assert_eq(ds_archive_request(built.archive, MIXED, 0, DS_ARCHIVE_WHOLE, &base, requests, 1),
                 5);
    cr_assert_eq(requests[1].size, 4242);
    cr_assert_eq(ds_archive_request(built.archive, MIXED, 0, DS_ARCHIVE_WHOLE, &base, NULL, 0), 5);
    base.image_target = (const struct ds_image_target *)to;
    cr_assert_eq(ASK(MIXED, 0, DS_ARCHIVE_WHOLE), -E2BIG);
    cr_assert_eq(ASK(MIXED, 0, CHUNK), 1);
    base.image_target = NULL;
    base.op = DS_OP_WRITE;
    cr_assert_eq(ASK(STORED, 0, 1), -EINVAL);
    base.op = DS_OP_READ;
    base.codec = DS_CODEC_LZ4;
    cr_assert_eq(ASK(STORED, 0, 1), -EINVAL);
    base.codec = 0;
    base.destination_bytes = 1;
    cr_assert_eq(ASK(STORED, 0, 1), -EINVAL);
    base.destination_bytes = 0;
    base.struct_size = 8;
    cr_assert_eq(ASK(STORED, 0, 1), -EINVAL);
#undef ASK
    built_close(&built);
    rig_close(&rig);
}
