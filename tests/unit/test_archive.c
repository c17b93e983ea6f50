/* ds/archive.h: what a good archive says, and memory, files and arguments. */
#include "support.h"

#include "archive_maker.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ds_archive *archive_of(const struct maker *maker)
{
    struct ds_archive *archive = NULL;
    struct ds_archive_report report;
    int rc = ds_archive_open_memory(maker->bytes, maker->tables_bytes, maker->archive_bytes, NULL,
                                    &archive, &report);

    cr_assert_eq(rc, 0, "%d: %s", rc, ds_archive_error_name(report.error));
    return archive;
}

Test(archive, says_what_was_written)
{
    static struct maker maker;
    struct ds_archive_info info = {.struct_size = sizeof(info)};
    struct ds_archive_entry entry = {.struct_size = sizeof(entry)};
    struct ds_archive_chunk chunk = {.struct_size = sizeof(chunk)};
    struct ds_archive *archive;

    cr_assert_eq(maker_make(&maker), 0);
    archive = archive_of(&maker);
    cr_assert_eq(ds_archive_get_info(archive, &info), 0);
    cr_assert(info.entries == 3 && info.chunks == 4 && info.align_bytes == 512);
    cr_assert(info.archive_bytes == 7168 && info.tables_bytes == maker.tables_bytes);
    cr_assert(info.content_bytes == 5000 + 8292 && info.stored_bytes == 5000 + 800);
    cr_assert_eq(ds_archive_get_entry(archive, 2, &entry), 0);
    cr_assert_str_eq(entry.name, "c/d.dds");
    cr_assert(entry.name_bytes == 7 && entry.codec == DS_CODEC_GDEFLATE && entry.level == 12);
    cr_assert(entry.transform == DS_CODEC_TRANSFORM_BC3 && entry.content_bytes == 8292);
    cr_assert(entry.stored_bytes == 800 && entry.chunk_bytes == 8192 && entry.chunks == 2);
    cr_assert_eq(entry.chunk_first, 2);
    cr_assert_eq(ds_archive_get_chunk(archive, 2, &chunk), 0);
    cr_assert(chunk.codec == DS_CODEC_GDEFLATE && chunk.transform == DS_CODEC_TRANSFORM_BC3);
    cr_assert(chunk.offset == 5632 && chunk.stored_bytes == 700 && chunk.content_bytes == 8192);
    cr_assert_eq(ds_archive_get_chunk(archive, 3, &chunk), 0);
    cr_assert(chunk.codec == DS_ARCHIVE_STORED && chunk.transform == 0);
    cr_assert_eq(ds_archive_get_entry(archive, 3, &entry), -ERANGE);
    cr_assert_eq(ds_archive_get_chunk(archive, 4, &chunk), -ERANGE);
    entry.struct_size = 0;
    cr_assert_eq(ds_archive_get_entry(archive, 0, &entry), -EINVAL);
    ds_archive_close(&archive);
    cr_assert_null(archive);
    ds_archive_close(&archive);
}

Test(archive, finds_by_name)
{
    static struct maker maker;
    struct ds_archive *archive;
    uint32_t entry = 99;

    cr_assert_eq(maker_make(&maker), 0);
    archive = archive_of(&maker);
    cr_assert(ds_archive_find(archive, "a.bin", &entry) == 0 && entry == 0);
    cr_assert(ds_archive_find(archive, "b", &entry) == 0 && entry == 1);
    cr_assert(ds_archive_find(archive, "c/d.dds", &entry) == 0 && entry == 2);
    cr_assert_eq(ds_archive_find(archive, "", &entry), -ENOENT);
    cr_assert_eq(ds_archive_find(archive, "a.bi", &entry), -ENOENT);
    cr_assert_eq(ds_archive_find(archive, "a.bin ", &entry), -ENOENT);
    cr_assert_eq(ds_archive_find(archive, "zzz", &entry), -ENOENT);
    cr_assert_eq(ds_archive_find(archive, "c", &entry), -ENOENT);
    ds_archive_close(&archive);
}

Test(archive, many_entries_are_found)
{
    enum { N = 3000 };
    static struct ds_archive_entry entries[N];
    static char names[N][16];
    struct ds_archive_tables tables = {.struct_size = sizeof(tables), .align_bytes = 1,
                                       .entries_n = N, .entries = entries};
    struct ds_archive *archive = NULL;
    uint8_t *memory;
    uint32_t at;

    for (uint32_t i = 0; i < N; i++) {
        snprintf(names[i], sizeof(names[i]), "%u/%05u", i / 1000, i);
        entries[i] = (struct ds_archive_entry){.name = names[i], .chunk_bytes = 4096};
    }
    tables.archive_bytes = ds_archive_tables_bytes(&tables);
    memory = malloc(tables.archive_bytes);
    cr_assert_eq(ds_archive_tables_write(&tables, memory, tables.archive_bytes, NULL), 0);
    cr_assert_eq(ds_archive_open_memory(memory, tables.archive_bytes, tables.archive_bytes, NULL,
                                        &archive, NULL),
                 0);
    free(memory);
    for (uint32_t i = 0; i < N; i++)
        cr_assert(ds_archive_find(archive, names[i], &at) == 0 && at == i);
    cr_assert_eq(ds_archive_find(archive, "1/01000x", &at), -ENOENT);
    ds_archive_close(&archive);
}

Test(archive, empty_archive_is_one)
{
    struct ds_archive_tables tables = {.struct_size = sizeof(tables), .align_bytes = 4096,
                                       .archive_bytes = 4096};
    struct ds_archive *archive = NULL;
    uint8_t memory[HEADER_BYTES];
    uint32_t entry;

    cr_assert_eq(ds_archive_tables_write(&tables, memory, sizeof(memory), NULL), 0);
    cr_assert_eq(ds_archive_open_memory(memory, sizeof(memory), 4096, NULL, &archive, NULL), 0);
    cr_assert_eq(ds_archive_find(archive, "a", &entry), -ENOENT);
    ds_archive_close(&archive);
}

Test(archive, opens_files_and_says_why_not)
{
    static struct maker maker;
    char path[] = "/tmp/ds_archive_XXXXXX", fifo[64];
    struct ds_archive_report report;
    struct ds_archive *archive = NULL;
    int fd = mkstemp(path);

    cr_assert_eq(maker_make(&maker), 0);
    cr_assert_eq(write(fd, maker.bytes, 7168), 7168);
    cr_assert_eq(ds_archive_open(path, NULL, &archive, &report), 0);
    ds_archive_close(&archive);
    cr_assert_eq(ds_archive_open_fd(fd, NULL, &archive, NULL), 0);
    ds_archive_close(&archive);
    cr_assert_eq(ftruncate(fd, 7167), 0);
    cr_assert_eq(ds_archive_open(path, NULL, &archive, &report), -EBADMSG);
    cr_assert_eq(report.error, DS_ARCHIVE_ERROR_TRUNCATED);
    close(fd);
    unlink(path);
    cr_assert_eq(ds_archive_open(path, NULL, &archive, NULL), -ENOENT);
    cr_assert_eq(ds_archive_open_fd(fd, NULL, &archive, NULL), -EBADF);
    cr_assert_eq(ds_archive_open("/tmp", NULL, &archive, NULL), -EINVAL);
    cr_assert_eq(ds_archive_open(NULL, NULL, &archive, NULL), -EINVAL);
    snprintf(fifo, sizeof(fifo), "%s.fifo", path);
    cr_assert_eq(mkfifo(fifo, 0600), 0);
    cr_assert_eq(ds_archive_open(fifo, NULL, &archive, NULL), -EINVAL);
    unlink(fifo);
    cr_assert_null(archive);
}

static void last_line(void *ctx, enum ds_log_level level, const char *message)
{
    (void)level;
    snprintf(ctx, 256, "%s", message);
}

Test(archive, the_log_names_the_cause)
{
    char line[256] = "";
    struct ds_archive_config config = {
        .struct_size = sizeof(config), .log = last_line, .log_ctx = line};
    struct ds_archive *archive = NULL;
    static struct maker maker;

    cr_assert_eq(maker_make(&maker), 0);
    maker_chunk(&maker, 2)[CHUNK_RESERVED] = 1;
    checksums_mend(maker.bytes, maker.archive_bytes);
    cr_assert_eq(ds_archive_open_memory(maker.bytes, maker.tables_bytes, maker.archive_bytes,
                                        &config, &archive, NULL),
                 -EBADMSG);
    cr_assert_str_eq(line,
                     "archive (memory): reserved bytes of a chunk are set (entry 2, chunk 2)");
    config.reserved = 1;
    cr_assert_eq(ds_archive_open_memory(maker.bytes, maker.tables_bytes, maker.archive_bytes,
                                        &config, &archive, NULL),
                 -EINVAL);
}

Test(archive, memory_comes_from_the_allocator_and_goes_back)
{
    static struct maker maker;
    uint64_t calls = 3;

    cr_assert_eq(maker_make(&maker), 0);
    for (uint64_t fail_at = 1; fail_at <= calls; fail_at++) {
        struct counting counting = {.fail_at = fail_at};
        struct ds_allocator table = counting_table(&counting);
        struct ds_archive *archive = NULL;
        int rc = ds_archive_open_memory(maker.bytes, maker.tables_bytes, maker.archive_bytes,
                                        ds_archive_config(.allocator = &table), &archive, NULL);

        if (fail_at < calls)
            cr_assert(rc == -ENOMEM && archive == NULL, "allocation %d", (int)fail_at);
        else
            cr_assert(rc == 0 && counting.calls == 2);
        ds_archive_close(&archive);
        cr_assert(counting.live_n == 0 && counting.live_bytes == 0);
    }
}

Test(archive, crc32c_is_castagnolis)
{
    uint8_t data[777];
    uint64_t state = 7;

    cr_assert_eq(ds_archive_crc32c(0, "123456789", 9), 0xe3069283u);
    cr_assert_eq(ds_archive_crc32c(0, NULL, 0), 0);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)support_random(&state);
    for (size_t n = 0; n < sizeof(data); n += 5) {
        uint32_t whole = ds_archive_crc32c(0, data, n), half = ds_archive_crc32c(0, data, n / 2);

        cr_assert_eq(whole, ~crc32c_plain(~0u, data, n));
        cr_assert_eq(whole, ds_archive_crc32c(half, data + n / 2, n - n / 2));
    }
}
