/* Commands that are run for the sake of their time: one command buffer, on the back end's queue,
 * while no batch is in flight. What the measurements of the copy stage have in common. */
#ifndef STAGES_COPY_TRIAL_H
#define STAGES_COPY_TRIAL_H

#include "engine/vulkan/commands.h"

struct copy_trial {
    struct ds_vulkan_backend *backend;
    struct vulkan_timeline timeline;
    struct vulkan_commands commands;
    uint64_t ticket;
    uint64_t cpu_ns; /* that the last run took to record its commands and hand them on; 0: failed */
    bool given_up; /* the GPU did not end in time, and may still be at the commands */
};

/* Records the commands. They follow a barrier: what trials before them have written is there. */
typedef void (*copy_trial_record_fn)(void *ctx, VkCommandBuffer commands);

/* copy_trial_open: 0, -ENOMEM or -EIO (logged). To be closed in either case. */
int copy_trial_open(struct copy_trial *trial, struct ds_vulkan_backend *backend,
                    const struct host *host);
void copy_trial_close(struct copy_trial *trial);

/* copy_trial_drain waits until the GPU is done with what the commands use. Closing does so, too. */
void copy_trial_drain(struct copy_trial *trial);

/* copy_trial_run submits, with the queue's lock held, and waits. Nanoseconds from the submission to
 * its end; or 0: it failed (logged), or did not end in time, and then none after it runs. */
uint64_t copy_trial_run(struct copy_trial *trial, copy_trial_record_fn record, void *ctx);

#endif
