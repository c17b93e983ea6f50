/* The fixture of the read contract. */
#include "contract/read_lane.h"

#include "engine/clock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


static void keep_line(void *ctx, enum ds_log_level level, const char *message)
{
    struct lane *lane = ctx;
    size_t n = strlen(lane->log);

    (void)level;
    snprintf(lane->log + n, sizeof(lane->log) - n, "%s\n", message);
}

void lane_open(struct lane *lane, const struct read_variant *variant)
{
    struct read_backend_config config = {
        .host = &lane->host,
        .staging = &lane->staging,
        .event = &lane->event,
        .depth = variant->depth != 0 ? variant->depth : 16,
        .threads = 4,
        .manual = variant->manual,
        .avoid = variant->avoid,
        .uring_poll = variant->uring_poll,
    };
    int rc;

    memset(lane, 0, sizeof(*lane));
    lane->variant = variant;
    host_init(&lane->host, NULL, keep_line, lane, DS_LOG_DEBUG);
    event_init(&lane->event);
    if (variant->staging != NULL)
        lane->staging = *variant->staging;
    else
        cr_assert_eq(staging_map(&lane->staging, (uint64_t)LANE_SLOTS * LANE_SLOT_BYTES), 0);
    cr_assert_eq(ring_open(&lane->out, &lane->host, LANE_SLOTS), 0);
    rc = read_open(&lane->stage, variant->ops, &config, LANE_SLOTS, &lane->out);
    if (variant->ops == &read_uring_ops && (rc == -EPERM || rc == -ENOSYS))
        cr_skip_test("%s", lane->log); /* its absence is what read_refused.c and pread test */
    cr_assert_eq(rc, 0, "%s", lane->log);
    cr_assert_eq(read_stage_ops.start(&lane->stage), 0, "%s", lane->log);
}

void lane_close(struct lane *lane)
{
    const struct ds_stage_counters *counters = &lane->stage.stats.counters;

    cr_assert_eq(ring_count(&lane->stage.in), 0);
    cr_assert_eq(ring_count(&lane->out), 0);
    cr_assert_eq(read_stage_ops.waiting(&lane->stage), STAGE_IDLE);
    cr_expect_eq(lane->stage.stats.latency_ns.count, counters->items);
    read_stage_ops.stop(&lane->stage);
    read_close(&lane->stage, &lane->host);
    cr_expect_eq(lane->event.fd, -1); /* the next back end may need a futex */
    ring_close(&lane->out, &lane->host);
    event_fini(&lane->event);
    if (lane->variant->staging == NULL)
        staging_unmap(&lane->staging);
}

uint8_t *chunk_payload(const struct chunk *chunk)
{
    return chunk->memory + (chunk->request->offset - chunk->file_offset);
}

struct chunk *lane_push(struct lane *lane, uint32_t slot, const struct wish *wish)
{
    struct chunk *chunk = &lane->chunks[slot];
    uint64_t align = wish->file != NULL ? wish->file->offset_align : 4096;
    bool direct = wish->direct && (wish->file == NULL || file_is_direct(wish->file));
    uint64_t begin = wish->offset, end = wish->offset + wish->bytes;

    cr_assert_eq(chunk->state, CHUNK_FREE);
    if (direct) {
        begin = align_down_u64(begin, align);
        end = align_up_u64(end, align);
    }
    lane->requests[slot] = (struct request){
        .offset = wish->offset,
        .size = wish->bytes,
        .file = wish->file,
        .fd = wish->fd,
        .flags = (uint8_t)wish->flags,
    };
    *chunk = (struct chunk){
        .request = &lane->requests[slot],
        .memory = wish->memory != NULL
                      ? wish->memory
                      : lane->staging.memory + (uint64_t)slot * LANE_SLOT_BYTES,
        .file_offset = begin,
        .io_bytes = (uint32_t)(end - begin),
        .payload_bytes = wish->bytes,
        .state = CHUNK_READY,
        .kind = (uint8_t)wish->kind,
        .direct = direct,
        .entered_ns = clock_now_ns(),
    };
    cr_assert(wish->memory != NULL || chunk->io_bytes <= LANE_SLOT_BYTES);
    cr_assert(ring_push_sp(&lane->stage.in, chunk));
    return chunk;
}

/* As the run loop of a worker does it. */
void lane_turn_until(struct lane *lane, const _Atomic bool *done)
{
    uint32_t key;

    if (read_stage_ops.work(&lane->stage, clock_now_ns()) > 0)
        return;
    key = event_prepare(&lane->event);
    if (read_stage_ops.ready(&lane->stage) || (done != NULL && atomic_load(done)))
        event_cancel(&lane->event);
    else if (read_stage_ops.park(&lane->stage, LANE_PARK_NS))
        event_cancel(&lane->event);
    else
        event_wait(&lane->event, key, LANE_PARK_NS);
}

void lane_turn(struct lane *lane)
{
    lane_turn_until(lane, NULL);
}

struct chunk *lane_pop(struct lane *lane)
{
    void *chunk;

    while (ring_pop_n_sc(&lane->out, &chunk, 1) == 0)
        lane_turn(lane);
    chunk_advance(chunk, CHUNK_DONE_READ, CHUNK_FREE);
    return chunk;
}

struct chunk *lane_do(struct lane *lane, const struct wish *wish)
{
    struct chunk *pushed = lane_push(lane, 0, wish);
    struct chunk *popped = lane_pop(lane);

    cr_assert_eq(pushed, popped);
    return popped;
}

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t random_seed(void)
{
    const char *text = getenv("DS_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : clock_now_ns();

    fprintf(stderr, "DS_TEST_SEED=%" PRIu64 "\n", seed);
    return seed;
}

void random_fill(uint64_t *state, uint8_t *bytes, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)random_next(state);
}

void test_path(char *path, size_t path_bytes)
{
    const char *dir = getenv("DS_TEST_DIR");

    snprintf(path, path_bytes, "%s/read_contract_XXXXXX", dir != NULL ? dir : ".");
}

void sample_open(struct sample *sample, uint64_t bytes, uint32_t slot, uint32_t generation)
{
    uint64_t state = generation + 1;
    char path[256];
    int fd;

    memset(sample, 0, sizeof(*sample));
    sample->bytes = bytes;
    sample->model = malloc(bytes + 1);
    cr_assert_not_null(sample->model);
    random_fill(&state, sample->model, bytes);
    test_path(path, sizeof(path));
    fd = mkstemp(path);
    cr_assert(fd >= 0, "%s", path);
    cr_assert_eq(write(fd, sample->model, bytes), (ssize_t)bytes);
    cr_assert_eq(fsync(fd), 0);
    close(fd);
    cr_assert_eq(
        file_open_descriptors(&sample->file, path, -1, DS_FILE_WRITE, DS_DIRECT_AUTO), 0);
    unlink(path);
    sample->file.slot = slot;
    sample->file.generation = generation;
}

void sample_close(struct sample *sample)
{
    file_close_descriptors(&sample->file);
    free(sample->model);
}

void expect_payload(const struct sample *sample, const struct chunk *chunk)
{
    uint64_t offset = chunk->request->offset;

    cr_assert_eq(chunk->status, DS_STATUS_OK, "offset %llu size %llu: status %s error %d",
                 (unsigned long long)offset, (unsigned long long)chunk->request->size,
                 ds_status_name(chunk->status), chunk->error);
    cr_assert(offset + chunk->payload_bytes <= sample->bytes);
    cr_assert(memcmp(chunk_payload(chunk), sample->model + offset, chunk->payload_bytes) == 0,
              "offset %llu size %u direct %u", (unsigned long long)offset, chunk->payload_bytes,
              chunk->direct);
}
