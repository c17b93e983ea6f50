/* dspack verify and extract. */
#include "extract.h"

#include "crew.h"
#include "files.h"
#include "names.h"
#include "output.h"
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct options {
    const char *archive;
    const char *to; /* extract: folder */
    char **names;
    int names_n;
    uint32_t threads;
    bool quiet;
};

struct extractor {
    struct output output;
    int folder_fd; /* where all goes */
    uint32_t files;
};

static bool options_read(struct options *options, bool extract, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"threads", required_argument, NULL, 't'},
        {"quiet", no_argument, NULL, 'q'},
        {"to", required_argument, NULL, 'o'},
        {NULL, 0, NULL, 0},
    };
    uint64_t threads;
    int option;

    *options = (struct options){.to = ".", .threads = crew_threads_default()};
    opterr = 0; /* our own line instead */
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == '?' || (option == 'o' && !extract)) {
            option_unknown(argv, optind - 1);
            return false;
        }
        if (option == 't' && !number_parse("--threads", optarg, 1, CREW_THREADS_MAX, &threads))
            return false;
        if (option == 't')
            options->threads = (uint32_t)threads;
        if (option == 'q')
            options->quiet = true;
        if (option == 'o')
            options->to = optarg;
    }
    if (optind == argc || (!extract && optind + 1 < argc)) {
        fprintf(stderr, "dspack: %s: %s; see dspack --help\n", argv[0],
                optind == argc ? "an archive is needed" : "too many arguments");
        return false;
    }
    options->archive = argv[optind];
    options->names = argv + optind + 1;
    options->names_n = argc - optind - 1;
    return true;
}

static bool nothing_begin(void *ctx, const struct ds_archive_entry *entry)
{
    (void)ctx;
    (void)entry;
    return true;
}

static bool nothing_content(void *ctx, const void *data, size_t bytes, uint64_t offset)
{
    (void)ctx;
    (void)data;
    (void)bytes;
    (void)offset;
    return true;
}

static bool nothing_end(void *ctx, const struct ds_archive_entry *entry, bool good)
{
    (void)ctx;
    (void)entry;
    (void)good;
    return true;
}

/* Opens the folder of the entry below folder_fd, and makes what is missing. No part of the way may
 * be a symbolic link: it could lead anywhere. -1: a line was printed. */
static int folder_open(int folder_fd, const char *name)
{
    int fd = fcntl(folder_fd, F_DUPFD_CLOEXEC, 0);

    for (const char *slash; fd >= 0 && (slash = strchr(name, '/')) != NULL; name = slash + 1) {
        char part[DS_ARCHIVE_NAME_BYTES_MAX + 1];
        int next;

        snprintf(part, sizeof(part), "%.*s", (int)(slash - name), name);
        if (mkdirat(fd, part, 0777) != 0 && errno != EEXIST) {
            file_fail(part, "make folder");
            close(fd);
            return -1;
        }
        next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            file_fail(part, errno == ENOTDIR || errno == ELOOP
                                ? "a symbolic link or file is where a folder must be"
                                : "open folder");
        close(fd);
        fd = next;
    }
    return fd;
}

static bool file_begin(void *ctx, const struct ds_archive_entry *entry)
{
    struct extractor *extractor = ctx;
    const char *slash = strrchr(entry->name, '/');
    int fd = folder_open(extractor->folder_fd, entry->name);

    return fd >= 0 && output_open_in(&extractor->output, fd,
                                     slash != NULL ? slash + 1 : entry->name, entry->name);
}

static bool file_content(void *ctx, const void *data, size_t bytes, uint64_t offset)
{
    struct extractor *extractor = ctx;

    return output_write_at(&extractor->output, data, bytes, offset);
}

/* A damaged file does not appear. */
static bool file_end(void *ctx, const struct ds_archive_entry *entry, bool good)
{
    struct extractor *extractor = ctx;

    (void)entry;
    if (!good) {
        output_abandon(&extractor->output);
        return true;
    }
    extractor->files++;
    return output_commit(&extractor->output);
}

/* Marks what `word` names: one entry, or all below a folder. */
static bool word_mark(const struct ds_archive *archive, uint32_t entries_n, const char *word,
                      bool *wanted)
{
    struct ds_archive_entry entry = {.struct_size = sizeof(entry)};
    size_t bytes = strlen(word);
    bool found = false;

    while (bytes != 0 && word[bytes - 1] == '/')
        bytes--;
    for (uint32_t i = 0; i < entries_n; i++) {
        ds_archive_get_entry(archive, i, &entry);
        if (strncmp(entry.name, word, bytes) == 0 &&
            (entry.name[bytes] == '\0' || entry.name[bytes] == '/'))
            found = wanted[i] = true;
    }
    if (!found)
        fprintf(stderr, "dspack: no such file or folder in the archive: %s\n", word);
    return found;
}

/* Fills list[] with the entries to go through, and returns how many; -1: a name is not there. */
static int64_t entries_choose(const struct unpack *unpack, const struct options *options,
                              uint32_t *list, bool *wanted)
{
    uint32_t n = 0;

    memset(wanted, options->names_n == 0, unpack->info.entries);
    for (int i = 0; i < options->names_n; i++) {
        if (!word_mark(unpack->archive, unpack->info.entries, options->names[i], wanted))
            return -1;
    }
    for (uint32_t i = 0; i < unpack->info.entries; i++) {
        if (wanted[i])
            list[n++] = i;
    }
    return n;
}

static int chosen_run(struct unpack *unpack, const struct options *options)
{
    uint32_t *list = malloc(unpack->info.entries * sizeof(*list) + 1);
    bool *wanted = malloc(unpack->info.entries + 1u);
    int status = EXIT_DATA;
    int64_t n = -1;

    if (list == NULL || wanted == NULL)
        fprintf(stderr, "dspack: no memory for the list of files\n");
    else
        n = entries_choose(unpack, options, list, wanted);
    if (n >= 0)
        status = unpack_entries(unpack, list, (uint32_t)n);
    free(list);
    free(wanted);
    return status;
}

int verify_main(int argc, char **argv)
{
    static const struct unpack_ops ops = {nothing_begin, nothing_content, nothing_end};
    struct unpack unpack = {.ops = &ops, .verb = "verifying"};
    struct options options;
    int status;

    if (!options_read(&options, false, argc, argv))
        return EXIT_ARGUMENTS;
    unpack.threads = options.threads;
    unpack.quiet = options.quiet;
    status = unpack_open(&unpack, options.archive);
    if (status != EXIT_OK)
        return status;
    status = chosen_run(&unpack, &options);
    if (status == EXIT_OK && !options.quiet)
        printf("%s: %u files, %u chunks, %llu bytes of content: good\n", options.archive,
               unpack.info.entries, unpack.info.chunks,
               (unsigned long long)unpack.info.content_bytes);
    unpack_close(&unpack);
    return status;
}

int extract_main(int argc, char **argv)
{
    static const struct unpack_ops ops = {file_begin, file_content, file_end};
    struct extractor extractor = {.output = {.fd = -1, .folder_fd = -1}};
    struct unpack unpack = {.ops = &ops, .ctx = &extractor, .verb = "extracting"};
    struct options options;
    int status;

    if (!options_read(&options, true, argc, argv))
        return EXIT_ARGUMENTS;
    unpack.threads = options.threads;
    unpack.quiet = options.quiet;
    status = unpack_open(&unpack, options.archive);
    if (status != EXIT_OK)
        return status;
    extractor.folder_fd = open(options.to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (extractor.folder_fd < 0) {
        file_fail(options.to, "open folder");
        status = EXIT_DATA;
    } else {
        status = chosen_run(&unpack, &options);
        output_abandon(&extractor.output);
        close(extractor.folder_fd);
        if (status == EXIT_OK && !options.quiet)
            printf("%u files\n", extractor.files);
    }
    unpack_close(&unpack);
    return status;
}
