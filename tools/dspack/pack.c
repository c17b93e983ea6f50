/* dspack pack: files into an archive. Chunks are compressed side by side, and written in the order
 * of the archive, so that its bytes depend on the input and the options alone. */
#include "pack.h"

#include "collect.h"
#include "crew.h"
#include "names.h"
#include "output.h"
#include "progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A chunk on its way. */
struct job {
    const struct recipe *recipe;
    struct bytes content;
    struct bytes packed;
    size_t content_bytes;
    size_t packed_bytes; /* 0: store the content */
    uint32_t content_crc32c;
    uint32_t stored_crc32c;
};

struct packer {
    const struct pack_options *options;
    struct items items;
    struct ds_archive_entry *entries; /* of items */
    struct ds_archive_chunk *chunks;
    uint32_t chunks_n;
    struct output output;
    uint64_t data_end;
    uint32_t next_item;   /* what begin reads next */
    uint64_t next_offset; /* in it */
    int fd;               /* of it, or -1 */
    uint32_t written;     /* chunks */
    struct progress progress;
};

static uint64_t align_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

static bool chunk_input_open(struct packer *packer, const struct item *item)
{
    struct stat st;

    packer->fd = open(item->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (packer->fd < 0)
        return file_fail(item->path, "open");
    if (fstat(packer->fd, &st) != 0)
        return file_fail(item->path, "stat");
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != item->size) {
        fprintf(stderr, "dspack: %s: changed while it was packed\n", item->path);
        return false;
    }
    posix_fadvise(packer->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return true;
}

static bool job_begin(void *ctx, void *slot)
{
    struct packer *packer = ctx;
    struct job *job = slot;
    const struct item *item;

    while (packer->next_offset == packer->items.list[packer->next_item].size) {
        packer->next_item++;
        packer->next_offset = 0;
    }
    item = &packer->items.list[packer->next_item];
    if (packer->next_offset == 0 && !chunk_input_open(packer, item))
        return false;
    job->recipe = rules_find(&packer->options->rules, item->name);
    job->content_bytes = item->size - packer->next_offset;
    if (job->content_bytes > packer->options->chunk_bytes)
        job->content_bytes = packer->options->chunk_bytes;
    if (!file_read_at(packer->fd, item->path, job->content.data, job->content_bytes,
                      packer->next_offset))
        return false;
    packer->next_offset += job->content_bytes;
    if (packer->next_offset == item->size) {
        close(packer->fd);
        packer->fd = -1;
    }
    return true;
}

/* A saving that the padding eats up would only cost decoding. */
static bool packing_pays(const struct packer *packer, const struct job *job)
{
    uint64_t align = packer->options->align_bytes;

    return job->packed_bytes != 0 &&
           align_up(job->packed_bytes, align) < align_up(job->content_bytes, align);
}

static void job_work(void *ctx, void *worker, void *slot)
{
    const struct packer *packer = ctx;
    struct job *job = slot;

    job->packed_bytes = 0;
    if (job->recipe->codec != DS_ARCHIVE_STORED)
        coder_pack(worker, job->recipe, job->content.data, job->content_bytes, job->packed.data,
                   job->packed.size, &job->packed_bytes);
    if (!packing_pays(packer, job))
        job->packed_bytes = 0;
    job->content_crc32c = ds_archive_crc32c(0, job->content.data, job->content_bytes);
    job->stored_crc32c = job->packed_bytes != 0
                             ? ds_archive_crc32c(0, job->packed.data, job->packed_bytes)
                             : job->content_crc32c;
}

static bool job_end(void *ctx, void *slot)
{
    struct packer *packer = ctx;
    struct job *job = slot;
    bool packed = job->packed_bytes != 0;
    struct ds_archive_chunk *chunk = &packer->chunks[packer->written++];

    *chunk = (struct ds_archive_chunk){
        .codec = packed ? job->recipe->codec : DS_ARCHIVE_STORED,
        .transform = packed ? job->recipe->transform : 0,
        .stored_bytes = (uint32_t)(packed ? job->packed_bytes : job->content_bytes),
        .content_bytes = (uint32_t)job->content_bytes,
        .stored_crc32c = job->stored_crc32c,
        .content_crc32c = job->content_crc32c,
        .offset = align_up(packer->data_end, packer->options->align_bytes),
    };
    packer->data_end = chunk->offset + chunk->stored_bytes;
    progress_add(&packer->progress, job->content_bytes);
    return output_write_at(&packer->output, packed ? job->packed.data : job->content.data,
                           chunk->stored_bytes, chunk->offset);
}

/* What is known of the entries before anything is compressed. */
static bool entries_make(struct packer *packer)
{
    uint64_t chunks_n = 0, chunk_bytes = packer->options->chunk_bytes;

    packer->entries = calloc(packer->items.n + 1u, sizeof(*packer->entries));
    for (uint32_t i = 0; i < packer->items.n && packer->entries != NULL; i++) {
        const struct item *item = &packer->items.list[i];
        const struct recipe *recipe = rules_find(&packer->options->rules, item->name);
        uint64_t chunks = item->size / chunk_bytes + (item->size % chunk_bytes != 0);

        chunks_n += chunks;
        if (chunks_n > DS_ARCHIVE_CHUNKS_MAX) {
            fprintf(stderr, "dspack: more than %u chunks; use a larger --chunk-size\n",
                    DS_ARCHIVE_CHUNKS_MAX);
            return false;
        }
        packer->entries[i] = (struct ds_archive_entry){
            .codec = recipe->codec,
            .transform = recipe->transform,
            .level = recipe->level,
            .content_bytes = item->size,
            .chunk_bytes = (uint32_t)chunk_bytes,
            .chunks = (uint32_t)chunks,
            .name = item->name,
        };
    }
    packer->chunks_n = (uint32_t)chunks_n;
    packer->chunks = calloc(chunks_n + 1, sizeof(*packer->chunks));
    if (packer->entries != NULL && packer->chunks != NULL)
        return true;
    fprintf(stderr, "dspack: no memory for the tables\n");
    return false;
}

static struct ds_archive_tables tables_of(const struct packer *packer)
{
    return (struct ds_archive_tables){
        .struct_size = sizeof(struct ds_archive_tables),
        .align_bytes = packer->options->align_bytes,
        .entries_n = packer->items.n,
        .chunks_n = packer->chunks_n,
        .archive_bytes = align_up(packer->data_end, packer->options->align_bytes),
        .entries = packer->entries,
        .chunks = packer->chunks,
    };
}

static bool tables_put(struct packer *packer)
{
    struct ds_archive_tables tables = tables_of(packer);
    size_t bytes = ds_archive_tables_bytes(&tables);
    struct ds_archive_report report = {0};
    struct bytes memory;
    bool ok;

    if (!bytes_make(&memory, bytes))
        return false;
    ok = ds_archive_tables_write(&tables, memory.data, bytes, &report) == 0;
    if (!ok)
        fprintf(stderr, "dspack: %s: %s\n", packer->options->output,
                ds_archive_error_text(report.error));
    ok = ok && output_write_at(&packer->output, memory.data, bytes, 0) &&
         output_extend(&packer->output, tables.archive_bytes);
    bytes_free(&memory);
    return ok;
}

static int crew_open(const struct packer *packer, struct coder *coders, struct job *jobs,
                     uint32_t jobs_n)
{
    const struct pack_options *options = packer->options;
    uint32_t codecs = rules_codecs(&options->rules);
    size_t bound = 0;

    for (uint32_t i = 0; i < options->threads; i++) {
        int status = coder_open(&coders[i], codecs, options->chunk_bytes);

        if (status != EXIT_OK)
            return status;
    }
    for (uint32_t codec = DS_CODEC_GDEFLATE; codec <= DS_CODEC_LZ4; codec++) {
        size_t needed = (codecs & 1u << codec) != 0
                            ? coder_bound(&coders[0], codec, options->chunk_bytes)
                            : 0;

        bound = needed > bound ? needed : bound;
    }
    for (uint32_t i = 0; i < jobs_n; i++) {
        if (!bytes_make(&jobs[i].content, options->chunk_bytes) ||
            !bytes_make(&jobs[i].packed, bound))
            return EXIT_DATA;
    }
    return EXIT_OK;
}

static int chunks_put(struct packer *packer)
{
    static const struct crew_ops ops = {job_begin, job_end, job_work};
    struct coder coders[CREW_THREADS_MAX] = {0};
    struct job jobs[2 * CREW_THREADS_MAX + 2] = {0};
    struct crew crew = {
        .ops = &ops,
        .ctx = packer,
        .threads = packer->options->threads,
        .workers = coders,
        .worker_bytes = sizeof(coders[0]),
        .slots_n = 2 * packer->options->threads + 2,
        .slots = jobs,
        .slot_bytes = sizeof(jobs[0]),
    };
    int status = crew_open(packer, coders, jobs, crew.slots_n);

    if (status == EXIT_OK && !crew_run(&crew, packer->chunks_n))
        status = EXIT_DATA;
    for (uint32_t i = 0; i < crew.threads; i++)
        coder_close(&coders[i]);
    for (uint32_t i = 0; i < crew.slots_n; i++) {
        bytes_free(&jobs[i].content);
        bytes_free(&jobs[i].packed);
    }
    if (packer->fd >= 0)
        close(packer->fd);
    return status;
}

static bool items_make(struct packer *packer)
{
    const struct pack_options *options = packer->options;
    struct stat st;

    packer->items.quiet = options->quiet;
    if (stat(options->output, &st) == 0) {
        packer->items.skip_known = true;
        packer->items.skip_dev = st.st_dev;
        packer->items.skip_ino = st.st_ino;
    }
    for (int i = 0; i < options->inputs_n; i++) {
        if (!items_add(&packer->items, options->inputs[i]))
            return false;
    }
    return items_sort(&packer->items) && entries_make(packer);
}

static void summary_print(const struct packer *packer, uint64_t content, uint64_t archive)
{
    if (!packer->options->quiet)
        printf("%s: %u files, %u chunks, %llu bytes of content, %llu in the archive (%.1f %%)\n",
               packer->options->output, packer->items.n, packer->chunks_n,
               (unsigned long long)content, (unsigned long long)archive,
               content != 0 ? (double)archive * 100 / (double)content : 100);
}

static int archive_put(struct packer *packer)
{
    struct ds_archive_tables tables = tables_of(packer);
    uint64_t content = 0;
    int status;

    packer->data_end = ds_archive_tables_bytes(&tables);
    if (packer->data_end == 0) {
        fprintf(stderr, "dspack: the names of the files are too long together\n");
        return EXIT_DATA;
    }
    if (!output_open(&packer->output, packer->options->output))
        return EXIT_DATA;
    for (uint32_t i = 0; i < packer->items.n; i++)
        content += packer->items.list[i].size;
    progress_begin(&packer->progress, "packing", content, packer->options->quiet);
    status = chunks_put(packer);
    progress_end(&packer->progress);
    if (status == EXIT_OK && !(tables_put(packer) && output_commit(&packer->output)))
        status = EXIT_DATA;
    if (status == EXIT_OK)
        summary_print(packer, content, tables_of(packer).archive_bytes);
    else
        output_abandon(&packer->output);
    return status;
}

int pack_run(const struct pack_options *options)
{
    struct packer packer = {.options = options, .fd = -1};
    int status = items_make(&packer) ? archive_put(&packer) : EXIT_DATA;

    free(packer.entries);
    free(packer.chunks);
    items_free(&packer.items);
    return status;
}
