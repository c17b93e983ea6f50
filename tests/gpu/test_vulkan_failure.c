/* What happens when Vulkan calls fail, when the GPU is busy at closing, and our own assertions. */
#include "contract/copy_rig.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Failures ------------------------------------------------------------------------------------ */

Test(failure, a_refused_submission_can_be_made_again)
{
    uint64_t reached = 99;
    struct rig rig;

    rig_open(&rig, &(struct rig_options){.locks = true}, 1 << 20);
    rig_wait(&rig, rig_submit(&rig, 0, NULL, 0, NULL, 0));
    rig_hooks.submit_result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    cr_assert_eq(copy_vulkan_ops.record(rig.self, 1, NULL, 0), VK_SUCCESS);
    cr_expect_eq(copy_vulkan_ops.submit(rig.self, 1, 2, NULL, 0), VK_ERROR_OUT_OF_DEVICE_MEMORY);
    cr_expect_eq(copy_vulkan_ops.reached(rig.self, &reached), VK_SUCCESS);
    cr_expect_eq(reached, 1);
    rig_hooks.submit_result = VK_SUCCESS;
    rig_wait(&rig, rig_submit(&rig, 1, NULL, 0, NULL, 0)); /* ticket 2 again */
    rig_close(&rig);
}

static void expect_lost(struct rig *rig, VkResult result)
{
    uint64_t reached = 0;

    cr_expect_eq(copy_vulkan_ops.reached(rig->self, &reached), result);
    cr_expect_eq(reached, UINT64_MAX);
    rig_hooks.submit_result = rig_hooks.counter_result = rig_hooks.wait_result = VK_SUCCESS;
    rig_hooks.counter_value = 0;
    reached = 0;
    cr_expect_eq(copy_vulkan_ops.reached(rig->self, &reached), result, "a loss is for good");
    cr_expect_eq(reached, UINT64_MAX);
    cr_expect_eq(copy_vulkan_ops.record(rig->self, 0, NULL, 0), result);
    cr_expect_eq(copy_vulkan_ops.submit(rig->self, 1, 9, NULL, 0), result);
    copy_vulkan_ops.wait(rig->self, 1000, UINT64_MAX); /* does not sleep */
}

/* The hooks only pretend: the copies do end, here. */
static void end_for_real(struct rig *rig)
{
    cr_assert_eq(rig->util->DeviceWaitIdle(rig->util->device), VK_SUCCESS);
}

Test(failure, loss_at_submit)
{
    struct rig rig;

    rig_open(&rig, &(struct rig_options){0}, 1 << 20);
    rig_wait(&rig, rig_submit(&rig, 0, NULL, 0, NULL, 0));
    cr_assert_eq(copy_vulkan_ops.record(rig.self, 1, NULL, 0), VK_SUCCESS);
    rig_hooks.submit_result = VK_ERROR_DEVICE_LOST;
    cr_expect_eq(copy_vulkan_ops.submit(rig.self, 1, 2, NULL, 0), VK_ERROR_DEVICE_LOST);
    expect_lost(&rig, VK_ERROR_DEVICE_LOST);
    rig_close(&rig);
}

Test(failure, loss_at_the_counter)
{
    struct rig rig;

    rig_open(&rig, &(struct rig_options){0}, 1 << 20);
    rig_wait(&rig, rig_submit(&rig, 0, NULL, 0, NULL, 0));
    rig_hooks.counter_result = VK_ERROR_DEVICE_LOST;
    expect_lost(&rig, VK_ERROR_DEVICE_LOST);
    rig_close(&rig);
}

Test(failure, counter_of_a_lost_device)
{
    struct rig rig;

    rig_open(&rig, &(struct rig_options){0}, 1 << 20);
    rig_submit(&rig, 0, NULL, 0, NULL, 0);
    rig_hooks.counter_value = UINT64_MAX;
    expect_lost(&rig, VK_ERROR_DEVICE_LOST);
    end_for_real(&rig);
    rig_close(&rig);
}

Test(failure, loss_at_the_wait)
{
    struct rig rig;

    rig_open(&rig, &(struct rig_options){0}, 1 << 20);
    rig_submit(&rig, 0, NULL, 0, NULL, 0);
    rig_hooks.wait_result = VK_ERROR_DEVICE_LOST;
    copy_vulkan_ops.wait(rig.self, 1, 1000);
    expect_lost(&rig, VK_ERROR_DEVICE_LOST);
    end_for_real(&rig);
    rig_close(&rig);
}

Test(failure, a_poll_without_memory_is_no_loss)
{
    uint64_t reached = 0;
    struct rig rig;

    rig_open(&rig, &(struct rig_options){0}, 1 << 20);
    rig_wait(&rig, rig_submit(&rig, 0, NULL, 0, NULL, 0));
    rig_hooks.counter_result = VK_ERROR_OUT_OF_HOST_MEMORY;
    cr_expect_eq(copy_vulkan_ops.reached(rig.self, &reached), VK_SUCCESS);
    cr_expect_eq(reached, 1, "what was known before");
    rig_hooks.counter_result = VK_SUCCESS;
    rig_wait(&rig, rig_submit(&rig, 0, NULL, 0, NULL, 0));
    rig_close(&rig);
}

Test(failure, wait_ends_in_time)
{
    struct rig rig;
    uint64_t reached = 9;

    rig_open(&rig, &(struct rig_options){0}, 1 << 20);
    copy_vulkan_ops.wait(rig.self, 1, 1000000); /* never submitted */
    cr_expect_eq(copy_vulkan_ops.reached(rig.self, &reached), VK_SUCCESS);
    cr_expect_eq(reached, 0);
    rig_close(&rig);
}

/* Closing ------------------------------------------------------------------------------------- */

struct gate {
    struct vk_util *util;
    VkSemaphore semaphore;
    _Atomic bool open;
};

/* gate_shut: nothing that is submitted to the copy queue from now on begins before the signal. */
static void gate_shut(struct gate *gate, struct vk_util *util)
{
    static const uint64_t one = 1;
    static const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    VkTimelineSemaphoreSubmitInfo values = {
        .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
        .waitSemaphoreValueCount = 1,
        .pWaitSemaphoreValues = &one,
    };
    VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .pNext = &values,
        .waitSemaphoreCount = 1,
        .pWaitSemaphores = &gate->semaphore,
        .pWaitDstStageMask = &stage,
    };

    gate->util = util;
    gate->open = false;
    gate->semaphore = vk_util_timeline(util, 0);
    submit.pWaitSemaphores = &gate->semaphore;
    cr_assert_eq(util->QueueSubmit(util->queue, 1, &submit, VK_NULL_HANDLE), VK_SUCCESS);
}

static void *gate_open_later(void *ctx)
{
    struct gate *gate = ctx;
    VkSemaphoreSignalInfo signal = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO,
        .semaphore = gate->semaphore,
        .value = 1,
    };

    /* long enough for a close that does not wait */
    vk_util_timeline_wait(gate->util, gate->semaphore, 1, 150000000);
    gate->open = true;
    gate->util->SignalSemaphore(gate->util->device, &signal);
    return NULL;
}

static void run_close(bool with_staging)
{
    struct vk_util_buffer buffer;
    struct rig_piece piece;
    struct chunk *chunk = &piece.chunk;
    struct gate gate;
    pthread_t thread;
    uint64_t reached = 9;
    struct rig rig;

    /* the layer of 2022 loses track of a queue that waits for the host, and says so itself */
    rig_open(&rig, &(struct rig_options){.no_validation = true}, 1 << 20);
    vk_util_buffer(rig.util, 4096, 0, false, &buffer);
    gate_shut(&gate, rig.util);
    rig_piece(&rig, &piece, false, buffer.buffer, 0, 0, 4096, 0);
    if (!with_staging) /* so that closing the staging has nothing to wait for */
        copy_vulkan_ops.staging_close(rig.self, &rig.staging);
    rig_submit(&rig, 0, &chunk, with_staging ? 1 : 0, NULL, 0);
    copy_vulkan_ops.reached(rig.self, &reached);
    cr_assert_eq(reached, 0, "the gate does not hold");
    pthread_create(&thread, NULL, gate_open_later, &gate);
    if (with_staging)
        copy_vulkan_ops.staging_close(rig.self, &rig.staging);
    else
        copy_vulkan_close(rig.self);
    cr_expect(gate.open, "closed while the GPU had work");
    pthread_join(thread, NULL);
    if (!with_staging)
        rig.self = NULL;
    cr_assert_eq(rig.util->DeviceWaitIdle(rig.util->device), VK_SUCCESS);
    rig.util->DestroySemaphore(rig.util->device, gate.semaphore, NULL);
    vk_util_buffer_free(rig.util, &buffer);
    rig_close(&rig);
}

Test(closing, staging_waits_for_the_gpu)
{
    run_close(true);
}

Test(closing, close_waits_for_the_gpu)
{
    run_close(false);
}

/* Assertions that the layers do not make for us ----------------------------------------------- */

/* expect_abort runs `body` in a child, on two ended batches and a recorded one. A child, rather
 * than the .signal of a test, as the test may have to skip itself. */
static void expect_abort(void (*body)(struct rig *))
{
    int status = 0;
    pid_t child = fork();

    cr_assert_geq(child, 0);
    if (child == 0) {
        struct vk_util *util = vk_util_open(true);
        struct rig rig;

        if (util == NULL)
            _exit(77);
        rig_open(&rig, &(struct rig_options){0}, 1 << 20);
        rig_wait(&rig, rig_submit(&rig, 0, NULL, 0, NULL, 0));
        rig_wait(&rig, rig_submit(&rig, 0, NULL, 0, NULL, 0));
        if (copy_vulkan_ops.record(rig.self, 1, NULL, 0) == VK_SUCCESS)
            body(&rig);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        cr_skip_test("no Vulkan device");
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %#x", status);
}

static void submit_an_old_ticket(struct rig *rig)
{
    copy_vulkan_ops.submit(rig->self, 1, 2, NULL, 0);
}

Test(assertion, a_ticket_must_rise)
{
    expect_abort(submit_an_old_ticket);
}

static void submit_twice(struct rig *rig)
{
    if (copy_vulkan_ops.submit(rig->self, 1, 3, NULL, 0) == VK_SUCCESS)
        copy_vulkan_ops.submit(rig->self, 1, 4, NULL, 0);
}

Test(assertion, a_batch_is_submitted_once)
{
    expect_abort(submit_twice);
}

static void record_a_pending_batch(struct rig *rig)
{
    rig_hooks.counter_value = 2; /* as if ticket 3 never ended */
    if (copy_vulkan_ops.submit(rig->self, 1, 3, NULL, 0) == VK_SUCCESS)
        copy_vulkan_ops.record(rig->self, 1, NULL, 0);
}

Test(assertion, a_pending_batch_is_not_recorded)
{
    expect_abort(record_a_pending_batch);
}

static void copy_beyond_staging(struct rig *rig)
{
    struct rig_piece piece;
    struct chunk *chunk = &piece.chunk;

    rig_piece(rig, &piece, false, (VkBuffer)1, 0, rig->staging.bytes - 100, 4096 + 101, 0);
    copy_vulkan_ops.record(rig->self, 2, &chunk, 1);
}

Test(assertion, a_chunk_lies_in_staging)
{
    expect_abort(copy_beyond_staging);
}

static void destroy_in_use(struct rig *rig)
{
    ds_vulkan_backend_destroy(&rig->backend);
}

Test(assertion, a_back_end_in_use_is_not_destroyed)
{
    expect_abort(destroy_in_use);
}
