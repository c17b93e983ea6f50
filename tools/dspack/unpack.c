/* Reading an archive's content. */
#include "unpack.h"

#include "coder.h"
#include "crew.h"
#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One chunk; an entry without chunks is one job without content. */
struct job {
    struct ds_archive_entry entry;
    struct ds_archive_chunk chunk;
    uint32_t index; /* in the entry */
    struct bytes stored;
    struct bytes content;
    const char *problem;
};

struct run {
    struct unpack *unpack;
    const uint32_t *entries;
    uint32_t next_entry; /* in entries[] */
    uint32_t next_chunk; /* in it */
    bool good;           /* the entry that is being ended, so far */
    struct progress progress;
};

int unpack_open(struct unpack *unpack, const char *path)
{
    struct ds_archive_report report;
    int error;

    unpack->path = path;
    unpack->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (unpack->fd < 0) {
        file_fail(path, "open");
        return EXIT_DATA;
    }
    error = ds_archive_open_fd(unpack->fd, NULL, &unpack->archive, &report);
    if (error == 0) {
        unpack->info.struct_size = sizeof(unpack->info);
        ds_archive_get_info(unpack->archive, &unpack->info);
        return EXIT_OK;
    }
    if (error == -EBADMSG)
        fprintf(stderr, "dspack: %s: bad archive: %s (%s, entry %u, chunk %u)\n", path,
                ds_archive_error_text(report.error), ds_archive_error_name(report.error),
                report.entry, report.chunk);
    else
        fprintf(stderr, "dspack: %s: %s\n", path,
                error == -EINVAL ? "not a regular file or block device" : strerror(-error));
    close(unpack->fd);
    unpack->fd = -1;
    return EXIT_DATA;
}

void unpack_close(struct unpack *unpack)
{
    ds_archive_close(&unpack->archive);
    if (unpack->fd >= 0)
        close(unpack->fd);
    unpack->fd = -1;
}

static bool job_begin(void *ctx, void *slot)
{
    struct run *run = ctx;
    struct job *job = slot;
    const struct ds_archive *archive = run->unpack->archive;

    job->entry.struct_size = sizeof(job->entry);
    ds_archive_get_entry(archive, run->entries[run->next_entry], &job->entry);
    job->chunk = (struct ds_archive_chunk){.struct_size = sizeof(job->chunk)};
    job->index = run->next_chunk++;
    if (job->entry.chunks != 0)
        ds_archive_get_chunk(archive, job->entry.chunk_first + job->index, &job->chunk);
    if (run->next_chunk >= job->entry.chunks) {
        run->next_entry++;
        run->next_chunk = 0;
    }
    return true;
}

static void job_work(void *ctx, void *worker, void *slot)
{
    const struct run *run = ctx;
    struct job *job = slot;
    size_t done = 0;

    job->problem = NULL;
    while (done < job->chunk.stored_bytes) {
        ssize_t n = pread(run->unpack->fd, job->stored.data + done,
                          job->chunk.stored_bytes - done, (off_t)(job->chunk.offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            job->problem = n < 0 ? strerror(errno) : "the archive became shorter";
            return;
        }
        done += (size_t)n;
    }
    if (job->entry.chunks != 0)
        job->problem = coder_unpack(worker, &job->chunk, job->stored.data, job->content.data);
}

static void problem_print(struct run *run, const struct job *job)
{
    progress_end(&run->progress);
    fprintf(stderr, "dspack: %s: %s: chunk %u of %u: %s\n", run->unpack->path, job->entry.name,
            job->index, job->entry.chunks, job->problem);
    run->unpack->bad_chunks++;
    run->good = false;
}

static bool job_end(void *ctx, void *slot)
{
    struct run *run = ctx;
    const struct job *job = slot;
    const struct unpack *unpack = run->unpack;

    if (job->index == 0) {
        run->good = true;
        if (!unpack->ops->entry_begin(unpack->ctx, &job->entry))
            return false;
    }
    if (job->problem != NULL)
        problem_print(run, job);
    else if (job->entry.chunks != 0 &&
             !unpack->ops->content(unpack->ctx, job->content.data, job->chunk.content_bytes,
                                   (uint64_t)job->index * job->entry.chunk_bytes))
        return false;
    progress_add(&run->progress, job->chunk.content_bytes);
    return job->index + 1 < job->entry.chunks ||
           unpack->ops->entry_end(unpack->ctx, &job->entry, run->good);
}

/* What the entries need: codecs, room, jobs, bytes. */
struct need {
    uint32_t codecs;
    size_t content_bytes;
    uint64_t jobs;
    uint64_t total_bytes;
};

static struct need need_of(const struct unpack *unpack, const uint32_t *entries, uint32_t n)
{
    struct ds_archive_entry entry = {.struct_size = sizeof(entry)};
    struct need need = {0};

    for (uint32_t i = 0; i < n; i++) {
        uint64_t largest;

        ds_archive_get_entry(unpack->archive, entries[i], &entry);
        largest = entry.chunks > 1 ? entry.chunk_bytes : entry.content_bytes;
        need.codecs |= 1u << entry.codec;
        need.content_bytes = largest > need.content_bytes ? largest : need.content_bytes;
        need.jobs += entry.chunks != 0 ? entry.chunks : 1;
        need.total_bytes += entry.content_bytes;
    }
    return need;
}

static int crew_open(const struct crew *crew, const struct need *need)
{
    struct coder *coders = crew->workers;
    struct job *jobs = crew->slots;

    for (uint32_t i = 0; i < crew->threads; i++) {
        int status = coder_open(&coders[i], need->codecs, (uint32_t)need->content_bytes);

        if (status != EXIT_OK)
            return status;
    }
    for (uint32_t i = 0; i < crew->slots_n; i++) {
        /* a chunk is never stored in more bytes than it has content */
        if (!bytes_make(&jobs[i].stored, need->content_bytes) ||
            !bytes_make(&jobs[i].content, need->content_bytes))
            return EXIT_DATA;
    }
    return EXIT_OK;
}

int unpack_entries(struct unpack *unpack, const uint32_t *entries, uint32_t n)
{
    static const struct crew_ops ops = {job_begin, job_end, job_work};
    struct coder coders[CREW_THREADS_MAX] = {0};
    struct job jobs[2 * CREW_THREADS_MAX] = {0};
    struct run run = {.unpack = unpack, .entries = entries};
    struct need need = need_of(unpack, entries, n);
    struct crew crew = {
        .ops = &ops,
        .ctx = &run,
        .threads = unpack->threads,
        .workers = coders,
        .worker_bytes = sizeof(coders[0]),
        .slots_n = 2 * unpack->threads,
        .slots = jobs,
        .slot_bytes = sizeof(jobs[0]),
    };
    int status = crew_open(&crew, &need);

    if (status == EXIT_OK) {
        progress_begin(&run.progress, unpack->verb, need.total_bytes, unpack->quiet);
        if (!crew_run(&crew, need.jobs) || unpack->bad_chunks != 0)
            status = EXIT_DATA;
        progress_end(&run.progress);
    }
    for (uint32_t i = 0; i < crew.threads; i++)
        coder_close(&coders[i]);
    for (uint32_t i = 0; i < crew.slots_n; i++) {
        bytes_free(&jobs[i].stored);
        bytes_free(&jobs[i].content);
    }
    return status;
}
