/* Making an io_uring, and saying why not. */
#ifndef STAGES_READ_URING_SETUP_H
#define STAGES_READ_URING_SETUP_H

#include "stages/read.h"

#include <liburing.h>

/* uring_setup makes a ring for config->depth transfers and the poll on config->event, which has an
 * eventfd from then on. Disabled (IORING_SETUP_R_DISABLED in ring->flags) where the thread that
 * enables it shall be its only user. 0, or -errno with the reason logged and in *info. */
int uring_setup(struct io_uring *ring, const struct read_backend_config *config,
                struct read_backend_info *info);

/* uring_setup_polled makes one for transfers that are polled for. 0 or -errno. */
int uring_setup_polled(struct io_uring *ring, const struct read_backend_config *config);

/* uring_vectors_max: entries that the pieces of `depth` transfers need. */
size_t uring_vectors_max(uint32_t depth);

/* uring_refused logs a call that failed and the knob behind it, writes both into info->reason, and
 * returns the error. */
int uring_refused(const struct host *host, struct read_backend_info *info, const char *call,
                  int error);

const char *uring_error_name(int error);

/* uring_register_note says how a registration went, for the reason line. -ECANCELED: not tried. */
const char *uring_register_note(int rc);

#endif
