/* copy_vulkan_ops against a plain model in memory, on every kind of device and staging, under the
 * validation layers. */
#include "contract/copy_rig.h"

#include "engine/clock.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFERS 3
#define BUFFER_BYTES (192u << 10)
#define PIECES_MAX 96
#define BATCHES 3
#define PART_BYTES ((uint64_t)2 << 20) /* of the staging, for each batch */
#define ROUNDS 40

struct slot { /* a batch in flight */
    struct rig_piece pieces[PIECES_MAX];
    struct chunk *chunks[PIECES_MAX];
    uint32_t n;
    uint64_t ticket;
    uint8_t *expected; /* PART_BYTES: what downloads shall bring; 0 elsewhere */
    bool *checked;     /* which bytes of it count */
};

struct model {
    struct rig rig;
    struct vk_util_buffer buffers[BUFFERS];
    uint8_t *contents[BUFFERS];
    struct slot slots[BATCHES];
    uint32_t random;
    bool has_addresses; /* the back end can scatter */
};

static uint32_t next_random(struct model *model, uint32_t below)
{
    model->random = model->random * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(model->random >> 4) * below) >> 28);
}

static void model_open(struct model *model, const struct rig_options *options)
{
    const char *seed = getenv("DS_TEST_SEED");
    struct ds_vulkan_info info = {.struct_size = sizeof(info)};

    memset(model, 0, sizeof(*model));
    model->random = seed != NULL ? (uint32_t)strtoul(seed, NULL, 0) : (uint32_t)clock_now_ns();
    fprintf(stderr, "DS_TEST_SEED=%u\n", model->random);
    rig_open(&model->rig, options, BATCHES * PART_BYTES);
    cr_assert_eq(ds_vulkan_backend_get_info(model->rig.backend, &info), 0);
    model->has_addresses = info.can_scatter;
    for (uint32_t i = 0; i < BUFFERS; i++) {
        vk_util_buffer(model->rig.util, BUFFER_BYTES, 0, false, &model->buffers[i]);
        vk_util_fill(model->rig.util, &model->buffers[i], (uint8_t)(0xa0 + i));
        model->contents[i] = malloc(BUFFER_BYTES);
        memset(model->contents[i], (int)(0xa0 + i), BUFFER_BYTES);
    }
    for (uint32_t i = 0; i < BATCHES; i++) {
        model->slots[i].expected = calloc(1, PART_BYTES);
        model->slots[i].checked = calloc(PART_BYTES, sizeof(bool));
    }
}

static void slot_finish(struct model *model, uint32_t index)
{
    struct slot *slot = &model->slots[index];
    const uint8_t *part = model->rig.staging.memory + index * PART_BYTES;

    if (slot->ticket == 0)
        return;
    rig_wait(&model->rig, slot->ticket);
    for (uint64_t i = 0; i < PART_BYTES; i++) {
        cr_assert(!slot->checked[i] || slot->expected[i] == part[i],
                  "download: byte %llu of batch %u is %02x, not %02x", (unsigned long long)i, index,
                  part[i], slot->expected[i]);
    }
    memset(slot->checked, 0, PART_BYTES * sizeof(bool));
    slot->ticket = 0;
}

/* Some pieces have an address too, and some have nothing else. */
static void add_address(struct model *model, struct rig_piece *piece, uint32_t buffer)
{
    uint32_t how = next_random(model, 3);

    if (model->rig.options.copy_path != DS_VULKAN_PATH_COPY && how > 0 && model->has_addresses)
        rig_piece_address(piece, model->buffers[buffer].address, how == 2);
}

/* add_piece: one random copy at *gpu and *staging, which move on. */
static void add_piece(struct model *model, uint32_t index, uint32_t buffer, uint64_t *gpu,
                      uint64_t *staging)
{
    struct slot *slot = &model->slots[index];
    struct rig_piece *piece = &slot->pieces[slot->n];
    uint8_t *part = model->rig.staging.memory + index * PART_BYTES;
    uint8_t *contents = model->contents[buffer];
    uint32_t bytes = next_random(model, 10) == 0 ? 0 : 1 + next_random(model, 5000);
    bool download = next_random(model, 4) == 0;

    if (next_random(model, 2) == 0) { /* else it touches the one before, and is merged */
        *gpu += next_random(model, 700);
        *staging += next_random(model, 700);
    }
    if (*gpu + bytes > BUFFER_BYTES || *staging + bytes > PART_BYTES)
        return;
    rig_piece(&model->rig, piece, download, model->buffers[buffer].buffer, *gpu,
              index * PART_BYTES + *staging, bytes, next_random(model, 512));
    add_address(model, piece, buffer);
    if (download) {
        memcpy(slot->expected + *staging, contents + *gpu, bytes);
        memset(slot->checked + *staging, 1, bytes * sizeof(bool));
        memset(part + *staging, 0xee, bytes);
    } else {
        for (uint32_t i = 0; i < bytes; i++)
            part[*staging + i] = (uint8_t)next_random(model, 256);
        memcpy(contents + *gpu, part + *staging, bytes);
    }
    slot->chunks[slot->n] = &piece->chunk;
    slot->n++;
    *gpu += bytes;
    *staging += bytes;
}

static void slot_fill(struct model *model, uint32_t index)
{
    struct slot *slot = &model->slots[index];
    uint64_t staging = 4096; /* room for what lies before the first payload */

    slot->n = 0;
    for (uint32_t b = 0; b < BUFFERS; b++) {
        uint64_t gpu = next_random(model, 1000);

        for (uint32_t i = 0; i < PIECES_MAX / BUFFERS; i++)
            add_piece(model, index, b, &gpu, &staging);
    }
    for (uint32_t i = slot->n; i > 1 && next_random(model, 16) != 0; i--) { /* shuffle */
        uint32_t j = next_random(model, i);
        struct chunk *swap = slot->chunks[j];

        slot->chunks[j] = slot->chunks[i - 1];
        slot->chunks[i - 1] = swap;
    }
}

static void model_close(struct model *model)
{
    struct vk_util *util = model->rig.util;
    VkSemaphore ended = vk_util_timeline(util, 0);
    struct copy_signal signal = {ds_vulkan_semaphore(ended), 1};
    uint8_t *found = malloc(BUFFER_BYTES);

    for (uint32_t i = 0; i < BATCHES; i++) {
        slot_finish(model, i);
        free(model->slots[i].expected);
        free(model->slots[i].checked);
    }
    rig_submit(&model->rig, 0, NULL, 0, &signal, 1);
    for (uint32_t i = 0; i < BUFFERS; i++) {
        vk_util_readback_after(util, &model->buffers[i], 0, BUFFER_BYTES, found, ended, 1);
        cr_assert_arr_eq(found, model->contents[i], BUFFER_BYTES);
        vk_util_buffer_free(util, &model->buffers[i]);
        free(model->contents[i]);
    }
    free(found);
    cr_expect_eq(util->DeviceWaitIdle(util->device), VK_SUCCESS);
    util->DestroySemaphore(util->device, ended, NULL);
    rig_close(&model->rig);
}

static void run_random(const struct rig_options *options)
{
    static struct model model;

    model_open(&model, options);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t index = round % BATCHES;
        struct slot *slot = &model.slots[index];

        slot_finish(&model, index);
        slot_fill(&model, index);
        slot->ticket = rig_submit(&model.rig, index, slot->chunks, slot->n, NULL, 0);
    }
    model_close(&model);
}

#define RANDOM_OPTIONS .batches_max = BATCHES, .regions_max = PIECES_MAX

Test(copy_gpu, random_lent_import)
{
    run_random(&(struct rig_options){RANDOM_OPTIONS, .staging = DS_VULKAN_STAGING_IMPORT});
}

Test(copy_gpu, random_lent_allocate)
{
    run_random(&(struct rig_options){RANDOM_OPTIONS, .staging = DS_VULKAN_STAGING_ALLOCATE});
}

Test(copy_gpu, random_lent_locked)
{
    run_random(&(struct rig_options){RANDOM_OPTIONS, .locks = true});
    cr_expect_eq(rig_hooks.locks, ROUNDS + 1);
    cr_expect_eq(rig_hooks.submits, ROUNDS + 1);
}

Test(copy_gpu, random_own_import)
{
    run_random(&(struct rig_options){RANDOM_OPTIONS, .own = true,
                                     .staging = DS_VULKAN_STAGING_IMPORT});
}

Test(copy_gpu, random_own_allocate)
{
    run_random(&(struct rig_options){RANDOM_OPTIONS, .own = true,
                                     .staging = DS_VULKAN_STAGING_ALLOCATE});
}

Test(copy_gpu, random_copy_alone)
{
    run_random(&(struct rig_options){RANDOM_OPTIONS, .copy_path = DS_VULKAN_PATH_COPY});
    cr_expect_eq(rig_hooks.dispatches, 0);
}

Test(copy_gpu, random_scatter_lent)
{
    run_random(&(struct rig_options){RANDOM_OPTIONS, .copy_path = DS_VULKAN_PATH_SCATTER});
    cr_expect_gt(rig_hooks.dispatches, 0);
    cr_expect_gt(rig_hooks.copy_calls, 0, "downloads, and what has no address");
}

Test(copy_gpu, random_scatter_own)
{
    run_random(&(struct rig_options){RANDOM_OPTIONS, .own = true,
                                     .copy_path = DS_VULKAN_PATH_SCATTER});
}

/* Both in one submission. */
Test(copy_gpu, random_scatter_small_ones)
{
    run_random(&(struct rig_options){RANDOM_OPTIONS, .scatter_max_bytes = 2500});
}

/* The numbers of calls ------------------------------------------------------------------------ */

#define MANY 64

Test(copy_gpu, touching_chunks_become_one_region)
{
    static struct rig_piece pieces[MANY];
    struct chunk *chunks[MANY];
    struct vk_util_buffer buffer;
    struct rig rig;

    rig_open(&rig, &(struct rig_options){0}, 1 << 20);
    vk_util_buffer(rig.util, MANY * 1000, 0, false, &buffer);
    for (uint32_t i = 0; i < MANY; i++) {
        rig_piece(&rig, &pieces[i], false, buffer.buffer, i * 1000, 4096 + i * 1000, 1000, 0);
        chunks[MANY - 1 - i] = &pieces[i].chunk; /* backwards: sorting has to find them */
    }
    rig_wait(&rig, rig_submit(&rig, 0, chunks, MANY, NULL, 0));
    cr_expect_eq(rig_hooks.copy_calls, 1);
    cr_expect_eq(rig_hooks.copy_regions, 1);
    cr_expect_eq(rig_hooks.barriers, 1);
    vk_util_buffer_free(rig.util, &buffer);
    rig_close(&rig);
}

Test(copy_gpu, one_call_for_each_buffer_and_direction)
{
    static struct rig_piece pieces[MANY];
    struct chunk *chunks[MANY];
    struct vk_util_buffer buffers[2];
    struct rig rig;

    rig_open(&rig, &(struct rig_options){0}, 1 << 20);
    for (uint32_t i = 0; i < 2; i++) {
        vk_util_buffer(rig.util, MANY * 1000, 0, false, &buffers[i]);
        vk_util_fill(rig.util, &buffers[i], 1);
    }
    for (uint32_t i = 0; i < MANY; i++) { /* gaps on the GPU side: nothing merges */
        rig_piece(&rig, &pieces[i], i % 4 == 3, buffers[i % 2].buffer, i * 1000, 4096 + i * 500,
                  500, 0);
        chunks[i] = &pieces[i].chunk;
    }
    rig_wait(&rig, rig_submit(&rig, 0, chunks, MANY, NULL, 0));
    cr_expect_eq(rig_hooks.copy_calls, 3, "up to two buffers, down from one");
    cr_expect_eq(rig_hooks.copy_regions, MANY);
    cr_expect_eq(rig_hooks.barriers, 2, "downloads begin with a barrier");
    vk_util_buffer_free(rig.util, &buffers[0]);
    vk_util_buffer_free(rig.util, &buffers[1]);
    rig_close(&rig);
}

Test(copy_gpu, an_empty_batch_records_nothing_but_ends)
{
    struct rig_piece piece;
    struct chunk *chunks[2];
    struct chunk signal = {.kind = CHUNK_SIGNAL};
    struct rig rig;

    rig_open(&rig, &(struct rig_options){0}, 1 << 20);
    rig_piece(&rig, &piece, false, (VkBuffer)1, 0, 4096, 0, 0);
    chunks[0] = &piece.chunk;
    chunks[1] = &signal;
    rig_wait(&rig, rig_submit(&rig, 0, chunks, 2, NULL, 0));
    rig_wait(&rig, rig_submit(&rig, 0, NULL, 0, NULL, 0));
    cr_expect_eq(rig_hooks.copy_calls, 0);
    cr_expect_eq(rig_hooks.submits, 2);
    rig_close(&rig);
}

/* Semaphores of the caller -------------------------------------------------------------------- */

struct copy_on {
    VkBuffer from;
    VkBuffer to;
    uint64_t bytes;
};

static void record_copy_on(struct vk_util *util, VkCommandBuffer commands, void *ctx)
{
    const struct copy_on *copy = ctx;
    VkBufferCopy region = {0, 0, copy->bytes};

    util->CmdCopyBuffer(commands, copy->from, copy->to, 1, &region);
}

/* Another queue waits for the signal on the GPU, and finds the copied bytes. */
static void run_signal(const struct rig_options *options)
{
    enum { BYTES = 64 << 10 };
    struct vk_util_buffer buffer, host;
    struct rig_piece piece;
    struct chunk *chunk = &piece.chunk;
    struct copy_signal signals[2];
    struct copy_on copy_on;
    VkSemaphore a, b;
    struct rig rig;

    rig_open(&rig, options, 1 << 20);
    vk_util_buffer(rig.util, BYTES, 0, false, &buffer);
    vk_util_buffer(rig.util, BYTES, 0, true, &host);
    a = vk_util_timeline(rig.util, 0);
    b = vk_util_timeline(rig.util, 10);
    memset(rig.staging.memory, 0x5c, BYTES);
    rig_piece(&rig, &piece, false, buffer.buffer, 0, 0, BYTES, 0);
    signals[0] = (struct copy_signal){ds_vulkan_semaphore(a), 7};
    signals[1] = (struct copy_signal){ds_vulkan_semaphore(b), 11};
    rig_submit(&rig, 0, &chunk, 1, signals, 2);
    copy_on = (struct copy_on){buffer.buffer, host.buffer, BYTES};
    vk_util_run(rig.util, record_copy_on, &copy_on, a, 7);
    for (uint32_t i = 0; i < BYTES; i++)
        cr_assert_eq(host.mapped[i], 0x5c);
    cr_expect(vk_util_timeline_wait(rig.util, b, 11, RIG_TIMEOUT_NS));
    cr_expect_eq(vk_util_timeline_value(rig.util, a), 7);
    rig_wait(&rig, 1);
    /* lavapipe's queue thread touches a semaphore that was waited for once more after the fence */
    cr_expect_eq(rig.util->DeviceWaitIdle(rig.util->device), VK_SUCCESS);
    rig.util->DestroySemaphore(rig.util->device, a, NULL);
    rig.util->DestroySemaphore(rig.util->device, b, NULL);
    vk_util_buffer_free(rig.util, &buffer);
    vk_util_buffer_free(rig.util, &host);
    rig_close(&rig);
}

Test(copy_gpu, signal_lent)
{
    run_signal(&(struct rig_options){.locks = true});
}

Test(copy_gpu, signal_own)
{
    run_signal(&(struct rig_options){.own = true});
}

/* Whoever sees the ticket reached sees the signals too: no result may come before its signal. */
Test(copy_gpu, the_ticket_comes_after_the_signals)
{
    struct copy_signal signal;
    VkSemaphore semaphore;
    uint64_t reached = 0;
    struct rig rig;

    rig_open(&rig, &(struct rig_options){0}, 1 << 20);
    semaphore = vk_util_timeline(rig.util, 0);
    for (uint64_t i = 1; i <= 200; i++) {
        signal = (struct copy_signal){ds_vulkan_semaphore(semaphore), i};
        rig_submit(&rig, 0, NULL, 0, &signal, 1);
        while (reached < i)
            cr_assert_eq(copy_vulkan_ops.reached(rig.self, &reached), VK_SUCCESS);
        cr_assert_eq(vk_util_timeline_value(rig.util, semaphore), i);
    }
    /* the order is by submission info: one with the signals, then one with the ticket */
    cr_expect_eq(rig_hooks.submit_infos, 2);
    cr_expect_eq(rig_hooks.ticket_signals, 1);
    cr_expect_neq(rig_hooks.ticket_semaphore, semaphore);
    cr_expect_eq(rig.util->DeviceWaitIdle(rig.util->device), VK_SUCCESS);
    rig.util->DestroySemaphore(rig.util->device, semaphore, NULL);
    rig_close(&rig);
}

/* Threads ------------------------------------------------------------------------------------- */

enum { TURNS = 200 };

struct threads {
    struct rig *rig;
    struct vk_util_buffer other;
    _Atomic uint64_t submitted;
    _Atomic uint64_t ended;
    _Atomic bool stop;
};

/* What the complete stage does. */
static void *follow_tickets(void *ctx)
{
    struct threads *threads = ctx;
    uint64_t reached = 0;

    while (reached < TURNS) {
        uint64_t submitted = threads->submitted;

        if (submitted > reached)
            copy_vulkan_ops.wait(threads->rig->self, submitted, 1000000);
        if (copy_vulkan_ops.reached(threads->rig->self, &reached) != VK_SUCCESS)
            break;
        threads->ended = reached;
    }
    return NULL;
}

/* What the application does with its queue. */
static void *use_app_queue(void *ctx)
{
    struct threads *threads = ctx;

    while (!threads->stop)
        vk_util_fill(threads->rig->util, &threads->other, 3);
    return NULL;
}

static void run_threads(const struct rig_options *options)
{
    static struct rig_piece pieces[BATCHES];
    struct vk_util_buffer buffer;
    struct threads threads = {0};
    pthread_t follower, app;
    struct rig rig;

    rig_open(&rig, options, 1 << 20);
    threads.rig = &rig;
    vk_util_buffer(rig.util, 1 << 16, 0, false, &buffer);
    vk_util_buffer(rig.util, 1 << 16, 0, false, &threads.other);
    pthread_create(&follower, NULL, follow_tickets, &threads);
    pthread_create(&app, NULL, use_app_queue, &threads);
    for (uint32_t i = 0; i < TURNS; i++) {
        uint32_t index = i % BATCHES;
        struct chunk *chunk = &pieces[index].chunk;

        while (i >= BATCHES && threads.ended < i - BATCHES + 1)
            ; /* the batch's last use is not over */
        rig_piece(&rig, &pieces[index], false, buffer.buffer, 0, 4096 * (index + 1), 4096, 0);
        threads.submitted = rig_submit(&rig, index, &chunk, 1, NULL, 0);
    }
    pthread_join(follower, NULL);
    threads.stop = true;
    pthread_join(app, NULL);
    cr_expect_eq(threads.ended, TURNS);
    vk_util_buffer_free(rig.util, &buffer);
    vk_util_buffer_free(rig.util, &threads.other);
    rig_close(&rig);
}

Test(copy_gpu, threads_lent_locked)
{
    run_threads(&(struct rig_options){.locks = true, .batches_max = BATCHES});
    cr_expect_eq(rig_hooks.locks, TURNS);
}

Test(copy_gpu, threads_own)
{
    run_threads(&(struct rig_options){.own = true, .batches_max = BATCHES});
}
