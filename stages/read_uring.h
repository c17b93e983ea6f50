/* What the parts of the io_uring back end share. */
#ifndef STAGES_READ_URING_H
#define STAGES_READ_URING_H

#include "stages/read.h"

#include <liburing.h>

/* One registered buffer holds at most 1 GiB; nor does one operation move more (u32, and the kernel
 * stops at 2 GiB - 4 KiB). */
#define SLICE_BYTES ((uint64_t)1 << 30)

enum registration { ENTRY_EMPTY, ENTRY_REGISTERED, ENTRY_REFUSED };

/* An entry of the kernel's file table: one for each descriptor of a file slot. */
struct file_entry {
    uint32_t generation; /* of the slot, when it was registered or refused */
    enum registration state;
};

struct uring {
    struct io_uring ring;
    const struct host *host;
    const struct staging *staging;
    struct event *event;
    uint32_t in_flight;   /* chunks; neither the poll nor its cancellation */
    uint32_t files_n;     /* entries of the file table; 0 = none */
    uint32_t avoid;
    uint32_t depth;
    struct iovec *vectors; /* of transfers into several pieces of memory; depth + CHUNK_GROUP_MAX */
    uint32_t vectors_n;    /* in use: the kernel has not taken their entries yet */
    bool manual;
    bool fixed_buffers;
    bool poll_armed;      /* a poll on the event is in the ring or in the kernel */
    bool cancel_pending;
    bool made_eventfd;    /* the event had none before */
    struct file_entry files[2 * FILES_MAX];
};

/* The ring's tables: registered memory and files. On the lane's thread. */

/* tables_start registers what the kernel takes. The rest is reached by address and descriptor. */
void tables_start(struct uring *u, struct read_backend_info *info);

/* tables_file returns the place of the chunk's file in the table, or -1: by descriptor. */
int tables_file(struct uring *u, const struct chunk *chunk);

/* tables_buffer returns the registered buffer that holds all of the range, or -1. */
int tables_buffer(const struct uring *u, const uint8_t *memory, uint64_t bytes);

/* tables_forget must not leave a descriptor in the table: it would keep the file open. */
void tables_forget(struct uring *u, const struct ds_file *file);

#endif
