/* dspack list: what is in an archive, for people and as JSON. */
#include "list.h"

#include "names.h"
#include "unpack.h"

#include <getopt.h>
#include <stdio.h>

/* Names are valid UTF-8 without controls and backslashes. */
static void json_name_print(const char *name)
{
    putchar('"');
    for (; *name != '\0'; name++) {
        if (*name == '"')
            putchar('\\');
        putchar(*name);
    }
    putchar('"');
}

static void json_entry_print(const struct ds_archive *archive, const struct ds_archive_entry *entry)
{
    struct ds_archive_chunk chunk = {.struct_size = sizeof(chunk)};

    fputs("    {\"name\": ", stdout);
    json_name_print(entry->name);
    printf(", \"content_bytes\": %llu, \"stored_bytes\": %llu, \"codec\": \"%s\", \"level\": %d, "
           "\"transform\": \"%s\", \"chunk_bytes\": %u, \"chunks\": [",
           (unsigned long long)entry->content_bytes, (unsigned long long)entry->stored_bytes,
           name_of(archive_codec_names, entry->codec), entry->level,
           name_of(transform_names, entry->transform), entry->chunk_bytes);
    for (uint32_t i = 0; i < entry->chunks; i++) {
        ds_archive_get_chunk(archive, entry->chunk_first + i, &chunk);
        printf("%s{\"offset\": %llu, \"stored_bytes\": %u, \"content_bytes\": %u, "
               "\"codec\": \"%s\", \"stored_crc32c\": \"%08x\", \"content_crc32c\": \"%08x\"}",
               i != 0 ? ", " : "", (unsigned long long)chunk.offset, chunk.stored_bytes,
               chunk.content_bytes, name_of(archive_codec_names, chunk.codec),
               chunk.stored_crc32c, chunk.content_crc32c);
    }
    fputs("]}", stdout);
}

static void json_print(const struct unpack *unpack)
{
    struct ds_archive_entry entry = {.struct_size = sizeof(entry)};
    const struct ds_archive_info *info = &unpack->info;

    printf("{\n  \"schema\": \"dspack-list/1\",\n  \"align_bytes\": %u,\n"
           "  \"archive_bytes\": %llu,\n  \"tables_bytes\": %llu,\n  \"content_bytes\": %llu,\n"
           "  \"stored_bytes\": %llu,\n  \"entries\": [",
           info->align_bytes, (unsigned long long)info->archive_bytes,
           (unsigned long long)info->tables_bytes, (unsigned long long)info->content_bytes,
           (unsigned long long)info->stored_bytes);
    for (uint32_t i = 0; i < info->entries; i++) {
        ds_archive_get_entry(unpack->archive, i, &entry);
        fputs(i != 0 ? ",\n" : "\n", stdout);
        json_entry_print(unpack->archive, &entry);
    }
    puts("\n  ]\n}");
}

static double percent(uint64_t stored, uint64_t content)
{
    return content != 0 ? (double)stored * 100 / (double)content : 100;
}

static void table_print(const struct unpack *unpack)
{
    struct ds_archive_entry entry = {.struct_size = sizeof(entry)};
    const struct ds_archive_info *info = &unpack->info;

    printf("%14s %14s %6s %7s  %-15s name\n", "content", "stored", "%", "chunks", "codec");
    for (uint32_t i = 0; i < info->entries; i++) {
        char codec[32];

        ds_archive_get_entry(unpack->archive, i, &entry);
        snprintf(codec, sizeof(codec), "%s %d%s%s", name_of(archive_codec_names, entry.codec),
                 entry.level, entry.transform != 0 ? " " : "",
                 entry.transform != 0 ? name_of(transform_names, entry.transform) : "");
        printf("%14llu %14llu %6.1f %7u  %-15s %s\n", (unsigned long long)entry.content_bytes,
               (unsigned long long)entry.stored_bytes,
               percent(entry.stored_bytes, entry.content_bytes), entry.chunks,
               entry.codec != DS_ARCHIVE_STORED ? codec : "none", entry.name);
    }
    printf("%14llu %14llu %6.1f %7u  %u files, %llu bytes in the archive\n",
           (unsigned long long)info->content_bytes, (unsigned long long)info->stored_bytes,
           percent(info->stored_bytes, info->content_bytes), info->chunks, info->entries,
           (unsigned long long)info->archive_bytes);
}

int list_main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0},
    };
    struct unpack unpack = {0};
    bool json = false;
    int option, status;

    opterr = 0; /* our own line instead */
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == '?') {
            option_unknown(argv, optind - 1);
            return EXIT_ARGUMENTS;
        }
        json = true;
    }
    if (optind + 1 != argc) {
        fprintf(stderr, "dspack: list: one archive is needed; see dspack --help\n");
        return EXIT_ARGUMENTS;
    }
    status = unpack_open(&unpack, argv[optind]);
    if (status != EXIT_OK)
        return status;
    if (json)
        json_print(&unpack);
    else
        table_print(&unpack);
    unpack_close(&unpack);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "dspack: list: the output could not be written\n");
        return EXIT_DATA;
    }
    return EXIT_OK;
}
