#include "drive.h"

#include "base.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_NS (NS_PER_S / 5)

void drive_failure_tell(const struct drive *d, const struct ds_result *result)
{
    const struct drive_slot *slot = &d->slots[result->user_data];

    complain("%s: request at %" PRIu64 ": %s: %s%s%s", d->session->inputs.list[slot->file].path,
             slot->offset, ds_status_name(result->status), ds_status_text(result->status),
             result->error != 0 ? ": " : "", result->error != 0 ? strerror(-result->error) : "");
}

void drive_request_fill(struct drive *d, struct ds_request *request, uint64_t slot)
{
    struct block block = sequence_next(d->sequence);
    uint64_t size = d->sequence->size;
    uint64_t at = d->by_block ? (block.index - d->sequence->order_base) * size
                              : (d->slots_before + slot) * size;

    d->slots[slot] = (struct drive_slot){.offset = block.offset, .file = block.file};
    request->file = d->session->files[block.file];
    request->offset = block.offset;
    request->size = block.bytes;
    request->user_data = slot;
    if (d->packed != NULL) {
        request->file = d->packed->file;
        request->offset = d->packed->offsets[block.index];
        request->size = d->packed->bytes[block.index];
        request->codec = d->packed->codec;
        request->uncompressed_size = block.bytes;
    }
    if (d->target->dest == DEST_GPU)
        request->gpu_offset = at;
    else
        request->host = d->target->host + at;
}

/* Hands over batch[0..n). Queue and tables are sized so that nothing can be refused; if something
 * is, the run ends instead of waiting for results that never come. */
void drive_send(struct drive *d, uint32_t n)
{
    int accepted = ds_queue_enqueue_batch(d->queue, d->batch, n);

    if (accepted < 0 || (uint32_t)accepted < n) {
        complain("the engine refused a request: %s",
                 accepted < 0 ? strerror(-accepted) : "all slots are in use");
        d->errors++;
        d->issue_max = 0;
    }
    if (accepted > 0)
        d->in_flight += (uint32_t)accepted;
    ds_queue_submit(d->queue);
}

bool drive_goes_on(const struct drive *d, uint64_t now)
{
    return d->errors == 0 && d->issued < d->issue_max &&
           (d->stop == NULL || !atomic_load_explicit(d->stop, memory_order_relaxed)) &&
           (d->deadline_ns == 0 || now < d->deadline_ns) &&
           !atomic_load_explicit(&interrupted, memory_order_relaxed);
}

void drive_take(struct drive *d, const struct ds_result *results, uint32_t n)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < n; i++) {
        ds_histogram_record(d->latency_ns, results[i].latency_ns);
        bytes += results[i].bytes;
        if (results[i].status != DS_STATUS_OK && d->errors++ == 0)
            drive_failure_tell(d, &results[i]);
    }
    d->completed += n;
    d->in_flight -= n;
    atomic_store_explicit(&d->bytes, atomic_load_explicit(&d->bytes, memory_order_relaxed) + bytes,
                          memory_order_relaxed);
}

static void drive_complete(void *ctx, const struct ds_result *results, uint32_t n)
{
    struct drive *d = ctx;
    uint64_t now;

    /* The queue has a single producer: the first results may come while drive_pass still submits.
     * acquire: pairs with the release in drive_pass. Bounded: submitting never blocks. */
    while (!atomic_load_explicit(&d->primed, memory_order_acquire))
        sched_yield();
    drive_take(d, results, n);
    now = now_ns();
    if (drive_goes_on(d, now)) {
        uint32_t refill = (uint32_t)min_u64(n, d->issue_max - d->issued);

        for (uint32_t i = 0; i < refill; i++)
            drive_request_fill(d, &d->batch[i], results[i].user_data);
        d->issued += refill;
        drive_send(d, refill);
    }
    if (d->in_flight == 0) {
        d->end_ns = now;
        d->end_cpu_ns = cpu_now_ns();
        sem_post(&d->done);
    }
}

/* Twice the depth: a callback enqueues before the slots of its own results are free. */
static int queue_create(struct drive *drive)
{
    struct ds_queue_config config = *ds_queue_config(.capacity = drive->depth * 2,
                                                     .flags = DS_QUEUE_SINGLE_PRODUCER,
                                                     .priority = drive->priority,
                                                     .name = "dsbench");

    if (drive->polled) {
        config.flags |= DS_QUEUE_SINGLE_CONSUMER;
    } else {
        config.on_complete = drive->on_complete != NULL ? drive->on_complete : drive_complete;
        config.on_complete_ctx = drive->on_complete != NULL ? drive->on_complete_ctx : drive;
    }
    return ds_queue_create(drive->session->engine, &config, &drive->queue);
}

int drive_open(struct drive *drive)
{
    int error;

    drive->batch = calloc(drive->depth, sizeof(*drive->batch));
    drive->slots = calloc(drive->depth, sizeof(*drive->slots));
    if (drive->batch == NULL || drive->slots == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < drive->depth; i++) {
        drive->batch[i] =
            (struct ds_request){.struct_size = sizeof(struct ds_request), .op = DS_OP_READ};
        if (drive->target->dest == DEST_GPU) {
            drive->batch[i].gpu_buffer = ds_vulkan_buffer(drive->target->buffer.buffer);
            drive->batch[i].gpu_buffer_bytes = drive->target->bytes;
            drive->batch[i].gpu_address = drive->target->buffer.address;
            if (drive->target->gpu->destinations_mapped)
                drive->batch[i].gpu_mapped = drive->target->buffer.mapped;
        }
    }
    sem_init(&drive->done, 0, 0);
    error = queue_create(drive);
    if (error != 0)
        complain("no queue for %u requests: %s", drive->depth, strerror(-error));
    return error;
}

void drive_close(struct drive *drive)
{
    ds_queue_destroy(&drive->queue);
    free(drive->batch);
    free(drive->slots);
    drive->batch = NULL;
    drive->slots = NULL;
}

static void progress_show(const struct drive *d, const char *label, uint64_t start_ns)
{
    uint64_t bytes = atomic_load_explicit(&d->bytes, memory_order_relaxed);

    fprintf(stderr, "\r%-12s %8.1f MiB %8.3f GB/s ", label, (double)bytes / (1 << 20),
            (double)bytes / (double)(now_ns() - start_ns));
}

static void done_wait(struct drive *d, const char *progress, uint64_t start_ns)
{
    bool show = progress != NULL && isatty(STDERR_FILENO);
    bool shown = false;

    for (;;) {
        struct timespec until;

        if (!show) {
            if (sem_wait(&d->done) == 0)
                break;
            continue; /* a signal; the callback sees it too */
        }
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += PROGRESS_NS;
        until.tv_sec += until.tv_nsec / (long)NS_PER_S;
        until.tv_nsec %= (long)NS_PER_S;
        if (sem_timedwait(&d->done, &until) == 0)
            break;
        progress_show(d, progress, start_ns);
        shown = true;
    }
    if (shown)
        fprintf(stderr, "\r%*s\r", 48, "");
}

void drive_pass(struct drive *drive, const char *progress, struct measure *measure)
{
    uint32_t first = (uint32_t)min_u64(drive->depth, drive->issue_max);
    uint64_t start_ns, start_cpu_ns;

    atomic_store_explicit(&drive->primed, false, memory_order_relaxed);
    atomic_store_explicit(&drive->bytes, 0, memory_order_relaxed);
    drive->completed = drive->errors = drive->in_flight = 0;
    drive->issued = first;
    for (uint32_t i = 0; i < first; i++)
        drive_request_fill(drive, &drive->batch[i], i);
    start_cpu_ns = cpu_now_ns();
    start_ns = now_ns();
    drive->end_ns = start_ns;
    drive->end_cpu_ns = start_cpu_ns;
    drive_send(drive, first);
    if (drive->in_flight == 0)
        sem_post(&drive->done);
    /* release: pairs with the acquire in drive_complete */
    atomic_store_explicit(&drive->primed, true, memory_order_release);
    done_wait(drive, progress, start_ns);
    measure->wall_ns += drive->end_ns - start_ns;
    measure->cpu_ns += drive->end_cpu_ns - start_cpu_ns;
    measure->requests += drive->completed;
    measure->bytes += atomic_load_explicit(&drive->bytes, memory_order_relaxed);
    measure->errors += drive->errors;
}
