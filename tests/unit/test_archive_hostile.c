/* Archives that lie. Each field is damaged in turn, with checksums that match, and the verdict must
 * name that field. */
#include "support.h"

#include "archive_maker.h"

#include <errno.h>

static int32_t verdict(const struct maker *maker, int expected_rc)
{
    struct ds_archive_report report = {.error = 99};
    struct ds_archive *archive = NULL;
    /* memory of exactly the size, so that a sanitizer sees a read past the end */
    uint8_t *copy = malloc(maker->archive_bytes);
    int rc;

    memcpy(copy, maker->bytes, maker->archive_bytes);
    rc = ds_archive_open_memory(copy, maker->archive_bytes, maker->archive_bytes, NULL, &archive,
                                &report);
    cr_assert_eq(rc, expected_rc, "rc %d, %s", rc, ds_archive_error_name(report.error));
    cr_assert_eq(archive == NULL, rc != 0);
    ds_archive_close(&archive);
    free(copy);
    return report.error;
}

Test(archive_hostile, every_flipped_bit_of_the_tables_is_noticed)
{
    static struct maker maker;

    cr_assert_eq(maker_make(&maker), 0);
    cr_assert_eq(verdict(&maker, 0), DS_ARCHIVE_ERROR_NONE);
    for (uint64_t bit = 0; bit < maker.tables_bytes * 8; bit++) {
        maker.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_neq(verdict(&maker, -EBADMSG), DS_ARCHIVE_ERROR_NONE, "bit %d", (int)bit);
        maker.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

Test(archive_hostile, every_shorter_archive_is_refused)
{
    static struct maker maker;
    uint64_t whole;

    cr_assert_eq(maker_make(&maker), 0);
    whole = maker.archive_bytes;
    for (uint64_t bytes = 1; bytes < whole; bytes++) {
        maker.archive_bytes = bytes;
        cr_assert_eq(verdict(&maker, -EBADMSG), bytes < HEADER_BYTES ? DS_ARCHIVE_ERROR_SHORT
                                                                     : DS_ARCHIVE_ERROR_TRUNCATED);
    }
}

enum part { HEADER, ENTRY0, ENTRY1, ENTRY2, CHUNK0, CHUNK1, CHUNK2, CHUNK3, NAMES };

struct lie {
    enum part part;
    uint32_t offset;
    uint32_t bytes; /* of the number */
    uint64_t value;
    int32_t verdict;
};

#define LIE(part, offset, bytes, value, name) {part, offset, bytes, value, DS_ARCHIVE_ERROR_##name}

static const struct lie lies[] = {
    LIE(HEADER, HEADER_MAGIC, 1, 0x88, MAGIC),
    LIE(HEADER, HEADER_VERSION, 4, 2, VERSION),
    LIE(HEADER, HEADER_RESERVED, 1, 1, HEADER_RESERVED),
    LIE(HEADER, HEADER_CRC - 1, 1, 1, HEADER_RESERVED),
    LIE(HEADER, HEADER_ALIGN, 4, 0, ALIGN),
    LIE(HEADER, HEADER_ALIGN, 4, 513, ALIGN),
    LIE(HEADER, HEADER_ALIGN, 4, 2 << 20, ALIGN),
    LIE(HEADER, HEADER_ALIGN, 4, 0x80000000u, ALIGN),
    LIE(HEADER, HEADER_ENTRIES, 4, DS_ARCHIVE_ENTRIES_MAX + 1, LIMIT),
    LIE(HEADER, HEADER_CHUNKS, 4, UINT32_MAX, LIMIT),
    LIE(HEADER, HEADER_NAMES, 4, UINT32_MAX, LIMIT),
    LIE(HEADER, HEADER_ARCHIVE_BYTES, 8, 7169, TRUNCATED),
    LIE(HEADER, HEADER_ARCHIVE_BYTES, 8, UINT64_MAX, TRUNCATED),
    LIE(HEADER, HEADER_ENTRIES, 4, DS_ARCHIVE_ENTRIES_MAX, TABLES_RANGE),
    LIE(HEADER, HEADER_CHUNKS, 4, DS_ARCHIVE_CHUNKS_MAX, TABLES_RANGE),
    LIE(HEADER, HEADER_NAMES, 4, ARCHIVE_NAMES_BYTES_MAX, TABLES_RANGE),
    LIE(HEADER, HEADER_ARCHIVE_BYTES, 8, 64, TABLES_RANGE),
    LIE(HEADER, HEADER_NAMES, 4, 17, NAMES_LEFT),
    LIE(HEADER, HEADER_NAMES, 4, 15, NAME_RANGE),
    LIE(HEADER, HEADER_ENTRIES, 4, 2, NAME), /* the other tables are looked for elsewhere */
    LIE(HEADER, HEADER_CHUNKS, 4, 3, NAME),
    LIE(HEADER, HEADER_ENTRIES, 4, 0, NAMES_LEFT),
    LIE(ENTRY0, ENTRY_NAME_OFFSET, 4, 1, NAME_RANGE),
    LIE(ENTRY1, ENTRY_NAME_OFFSET, 4, UINT32_MAX, NAME_RANGE),
    LIE(ENTRY2, ENTRY_NAME_BYTES, 2, UINT16_MAX, NAME_RANGE),
    LIE(ENTRY2, ENTRY_NAME_BYTES, 2, 8, NAME_RANGE),
    LIE(ENTRY2, ENTRY_NAME_BYTES, 2, 6, NAME_RANGE),
    LIE(NAMES, 0, 1, '/', NAME),
    LIE(NAMES, 0, 1, 0, NAME),
    LIE(NAMES, 0, 1, '\n', NAME),
    LIE(NAMES, 0, 1, '\\', NAME),
    LIE(NAMES, 0, 1, 0x80, NAME),
    LIE(NAMES, 6, 1, '.', NAME),
    LIE(NAMES, 10, 1, '/', NAME),
    LIE(NAMES, 0, 1, 'z', NAME_ORDER),
    LIE(NAMES, 8, 1, 'a', NAME_ORDER),
    LIE(ENTRY1, ENTRY_RESERVED, 1, 1, ENTRY_RESERVED),
    LIE(ENTRY1, ENTRY_BYTES - 1, 1, 0x80, ENTRY_RESERVED),
    LIE(ENTRY2, ENTRY_CODEC, 1, 4, CODEC),
    LIE(ENTRY2, ENTRY_TRANSFORM, 1, 5, CODEC),
    LIE(ENTRY2, ENTRY_LEVEL, 1, 23, CODEC),
    LIE(ENTRY0, ENTRY_TRANSFORM, 1, 1, CODEC),
    LIE(ENTRY0, ENTRY_CHUNK_BYTES, 4, 0, CHUNK_SIZE),
    LIE(ENTRY0, ENTRY_CHUNK_BYTES, 4, 4095, CHUNK_SIZE),
    LIE(ENTRY1, ENTRY_CHUNK_BYTES, 4, 2048, CHUNK_SIZE),
    LIE(ENTRY1, ENTRY_CHUNK_BYTES, 4, DS_ARCHIVE_CHUNK_BYTES_MAX * 2, CHUNK_SIZE),
    LIE(ENTRY0, ENTRY_CHUNKS, 4, 3, CHUNK_COUNT),
    LIE(ENTRY0, ENTRY_CONTENT, 8, 0, CHUNK_COUNT),
    LIE(ENTRY0, ENTRY_CONTENT, 8, UINT64_MAX, CHUNK_COUNT),
    LIE(ENTRY0, ENTRY_CHUNK_BYTES, 4, 8192, CHUNK_COUNT),
    LIE(ENTRY1, ENTRY_CHUNK_FIRST, 4, 1, CHUNK_FIRST),
    LIE(ENTRY2, ENTRY_CHUNK_FIRST, 4, UINT32_MAX, CHUNK_FIRST),
    LIE(ENTRY0, ENTRY_STORED, 8, 4999, STORED_SUM),
    LIE(ENTRY1, ENTRY_STORED, 8, 1, STORED_SUM),
    LIE(ENTRY0, ENTRY_CONTENT, 8, 5001, CHUNK_CONTENT),
    LIE(CHUNK0, CHUNK_RESERVED, 1, 1, CHUNK_RESERVED),
    LIE(CHUNK3, CHUNK_BYTES - 1, 1, 1, CHUNK_RESERVED),
    LIE(CHUNK0, CHUNK_CODEC, 1, DS_CODEC_ZSTD, CHUNK_CODEC),
    LIE(CHUNK2, CHUNK_TRANSFORM, 1, 0, CHUNK_CODEC),
    LIE(CHUNK2, CHUNK_CODEC, 1, 0, CHUNK_CODEC),
    LIE(CHUNK3, CHUNK_TRANSFORM, 1, 1, CHUNK_CODEC),
    LIE(CHUNK2, CHUNK_CONTENT, 4, 8191, CHUNK_CONTENT),
    LIE(CHUNK3, CHUNK_CONTENT, 4, UINT32_MAX, CHUNK_CONTENT),
    LIE(CHUNK0, CHUNK_STORED, 4, 4095, CHUNK_STORED),
    LIE(CHUNK2, CHUNK_STORED, 4, 0, CHUNK_STORED),
    LIE(CHUNK2, CHUNK_STORED, 4, 8192, CHUNK_STORED),
    LIE(CHUNK2, CHUNK_OFFSET, 8, 5633, CHUNK_ALIGN),
    LIE(CHUNK0, CHUNK_OFFSET, 8, 0, CHUNK_ORDER),
    LIE(CHUNK1, CHUNK_OFFSET, 8, 4096, CHUNK_ORDER),
    LIE(CHUNK3, CHUNK_OFFSET, 8, 5632, CHUNK_ORDER),
    LIE(CHUNK3, CHUNK_OFFSET, 8, 7168, CHUNK_RANGE),
    LIE(CHUNK3, CHUNK_OFFSET, 8, (uint64_t)1 << 63, CHUNK_RANGE),
    LIE(CHUNK2, CHUNK_STORED, 4, 2048, CHUNK_RANGE),
};

static uint8_t *part_of(struct maker *maker, enum part part)
{
    if (part == HEADER)
        return maker->bytes;
    if (part == NAMES)
        return (uint8_t *)maker_names(maker);
    return part < CHUNK0 ? maker_entry(maker, part - ENTRY0) : maker_chunk(maker, part - CHUNK0);
}

Test(archive_hostile, each_lie_is_named)
{
    static struct maker maker;
    bool named[128] = {false};

    for (size_t i = 0; i < ARRAY_LENGTH(lies); i++) {
        const struct lie *lie = &lies[i];
        uint8_t *at;

        cr_assert_eq(maker_make(&maker), 0);
        at = part_of(&maker, lie->part) + lie->offset;
        for (uint32_t byte = 0; byte < lie->bytes; byte++)
            at[byte] = (uint8_t)(lie->value >> 8 * byte);
        if (lie->verdict == DS_ARCHIVE_ERROR_CHUNK_RANGE && lie->bytes == 4)
            put_u64(maker.bytes + HEADER_ARCHIVE_BYTES, maker.archive_bytes = 6656);
        checksums_mend(maker.bytes, maker.archive_bytes);
        cr_assert_eq(verdict(&maker, -EBADMSG), lie->verdict, "lie %zu: %s", i,
                     ds_archive_error_name(lie->verdict));
        named[lie->verdict] = true;
    }
    named[DS_ARCHIVE_ERROR_NONE] = named[DS_ARCHIVE_ERROR_SHORT] = true; /* by other tests */
    named[DS_ARCHIVE_ERROR_HEADER_CHECKSUM] = named[DS_ARCHIVE_ERROR_TABLE_CHECKSUM] = true;
    named[DS_ARCHIVE_ERROR_CHUNKS_LEFT] = true;
#define NAMED(name, value, text) cr_assert(named[value], "%s is never said", #name);
    DS_ARCHIVE_ERROR_TABLE(NAMED)
#undef NAMED
}

Test(archive_hostile, checksums_are_told_apart)
{
    static struct maker maker;

    cr_assert_eq(maker_make(&maker), 0);
    maker.bytes[HEADER_CRC] ^= 1;
    cr_assert_eq(verdict(&maker, -EBADMSG), DS_ARCHIVE_ERROR_HEADER_CHECKSUM);
    maker.bytes[HEADER_CRC] ^= 1;
    maker_chunk(&maker, 1)[CHUNK_STORED_CRC] ^= 1;
    cr_assert_eq(verdict(&maker, -EBADMSG), DS_ARCHIVE_ERROR_TABLE_CHECKSUM);
}

Test(archive_hostile, chunks_that_belong_to_no_entry)
{
    static struct maker maker;

    cr_assert_eq(maker_make(&maker), 0);
    put_u32(maker.bytes + HEADER_ENTRIES, 0);
    put_u32(maker.bytes + HEADER_NAMES, 0);
    checksums_mend(maker.bytes, maker.archive_bytes);
    cr_assert_eq(verdict(&maker, -EBADMSG), DS_ARCHIVE_ERROR_CHUNKS_LEFT);
}

Test(archive_hostile, a_great_claim_costs_no_memory)
{
    static struct maker maker;
    struct counting counting = {0};
    struct ds_allocator table = counting_table(&counting);
    struct ds_archive *archive = NULL;

    cr_assert_eq(maker_make(&maker), 0);
    put_u32(maker.bytes + HEADER_CHUNKS, DS_ARCHIVE_CHUNKS_MAX);
    checksums_mend(maker.bytes, maker.archive_bytes);
    cr_assert_eq(ds_archive_open_memory(maker.bytes, maker.archive_bytes, maker.archive_bytes,
                                        ds_archive_config(.allocator = &table), &archive, NULL),
                 -EBADMSG);
    cr_assert(counting.calls == 1 && counting.live_n == 0, "the object, and no table");
    /* memory that is shorter than the tables */
    cr_assert_eq(maker_make(&maker), 0);
    cr_assert_eq(ds_archive_open_memory(maker.bytes, maker.tables_bytes - 1, maker.archive_bytes,
                                        ds_archive_config(.allocator = &table), &archive, NULL),
                 -EIO);
    cr_assert_eq(counting.live_n, 0);
}

Test(archive_hostile, names)
{
    static const char *const good[] = {"a", "a/b", "...", "a..b/.c", "\xc3\xa4\xe2\x82\xac",
                                       "\xf0\x9f\x98\x80", "a b", "-", "\xc2\xa0"};
    static const char *const bad[] = {
        "", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\\b", "a\nb", "\x7f",
        "\x1b[2J", ("\xc2\x9b" "2J"), "\xff", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\x80", "\xe2\x82", "\xc3(", "\xc1\xbf"};
    char longest[DS_ARCHIVE_NAME_BYTES_MAX + 2];

    for (size_t i = 0; i < ARRAY_LENGTH(good); i++)
        cr_assert(ds_archive_name_valid(good[i]), "%zu", i);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        cr_assert_not(ds_archive_name_valid(bad[i]), "%zu", i);
    memset(longest, 'n', sizeof(longest));
    longest[DS_ARCHIVE_NAME_BYTES_MAX + 1] = '\0';
    cr_assert_not(ds_archive_name_valid(longest));
    longest[DS_ARCHIVE_NAME_BYTES_MAX] = '\0';
    cr_assert(ds_archive_name_valid(longest));
}

Test(archive_hostile, a_writer_may_not_lie_either)
{
    struct ds_archive_chunk chunk = {.offset = 512, .stored_bytes = 10, .content_bytes = 10};
    struct ds_archive_entry entry = {
        .name = "a", .content_bytes = 10, .chunk_bytes = 4096, .chunks = 1};
    struct ds_archive_tables tables = {
        .struct_size = sizeof(tables), .align_bytes = 512, .entries_n = 1, .chunks_n = 1,
        .archive_bytes = 1024, .entries = &entry, .chunks = &chunk};
    struct ds_archive_report report;
    uint8_t memory[512];
    size_t bytes = ds_archive_tables_bytes(&tables);

    cr_assert_eq(ds_archive_tables_write(&tables, memory, bytes, &report), 0);
    cr_assert_eq(ds_archive_tables_write(&tables, memory, bytes + 1, &report), -EINVAL);
    chunk.codec = 256;
    cr_assert_eq(ds_archive_tables_write(&tables, memory, bytes, &report), -EBADMSG);
    cr_assert_eq(report.error, DS_ARCHIVE_ERROR_CHUNK_CODEC);
    chunk.codec = 0;
    entry.level = -1;
    cr_assert_eq(ds_archive_tables_write(&tables, memory, bytes, &report), -EBADMSG);
    cr_assert_eq(report.error, DS_ARCHIVE_ERROR_CODEC);
    entry.level = 0;
    entry.name = "..";
    bytes = ds_archive_tables_bytes(&tables);
    cr_assert_eq(ds_archive_tables_write(&tables, memory, bytes, &report), -EBADMSG);
    cr_assert_eq(report.error, DS_ARCHIVE_ERROR_NAME);
    tables.entries_n = DS_ARCHIVE_ENTRIES_MAX + 1;
    cr_assert_eq(ds_archive_tables_bytes(&tables), 0);
}
