/* What the parts of the io_uring back end share. */
#ifndef STAGES_READ_URING_H
#define STAGES_READ_URING_H

#include "stages/read.h"

#include <liburing.h>

#if DS_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#endif

/* One registered buffer holds at most 1 GiB; nor does one operation move more (u32, and the kernel
 * stops at 2 GiB - 4 KiB). */
#define SLICE_BYTES MEMORY_PIECE_BYTES

enum registration { ENTRY_EMPTY, ENTRY_REGISTERED, ENTRY_REFUSED };

/* An entry of the kernel's file table: one for each descriptor of a file slot. */
struct file_entry {
    uint32_t generation; /* of the slot, when it was registered or refused */
    enum registration state;
};

/* A piece of the application's memory that is registered. */
struct memory_piece {
    const uint8_t *begin;
    uint64_t bytes; /* 0: none is */
};

/* A ring, and what is registered with it. Its table of buffers has the slices of the arena, and
 * then the application's memory. */
struct channel {
    struct io_uring ring;
    uint32_t in_flight;    /* transfers; neither the poll on the event nor its cancellation */
    uint32_t files_n;      /* entries of the file table; 0 = none */
    struct iovec *vectors; /* of transfers into several pieces of memory; depth + CHUNK_GROUP_MAX */
    uint32_t vectors_n;    /* in use: the kernel has not taken their entries yet */
    bool fixed_buffers;     /* the arena is registered */
    bool takes_memory;      /* the table has room for the application's */
    uint32_t slices_n;      /* of the arena */
    uint32_t pieces_n;      /* those in use are among so many */
    struct memory_piece pieces[DS_MEMORY_PIECES_MAX];
    struct file_entry files[2 * FILES_MAX];
};

/* All goes by the plain channel, but for direct transfers where IOPOLL was asked for: a ring that
 * polls takes nothing else. */
struct uring {
    const struct host *host;
    const struct staging *staging;
    struct event *event;
    uint32_t avoid;
    uint32_t depth;
    bool manual;
    bool poll_armed;      /* a poll on the event is in the plain ring or in the kernel */
    bool cancel_pending;
    bool made_eventfd;    /* the event had none before */
    struct channel plain;
    struct channel *polled; /* NULL = none */
    uint32_t unpolled[FILES_MAX]; /* generation of the slot's file whose device does not poll */
    struct read_backend_info *info;
};

/* The kernel carries a chunk from its submission to its completion, perhaps by way of another
 * thread (MANUAL): an order that ThreadSanitizer cannot see. */
static inline void kernel_takes(struct chunk *chunk)
{
#if DS_TSAN
    __tsan_release(chunk);
#else
    (void)chunk;
#endif
}

static inline void kernel_gives(struct chunk *chunk)
{
#if DS_TSAN
    __tsan_acquire(chunk);
#else
    (void)chunk;
#endif
}

/* The pieces of a transfer's memory: none for a chunk alone. */
struct pieces {
    struct iovec *vectors;
    uint32_t n;
};

/* prepare_pieces describes the memory of a group, where the kernel finds it until it has taken the
 * entry: in a pool that is empty again whenever the kernel has taken all entries. False: no room
 * now. */
bool prepare_pieces(const struct uring *u, struct channel *channel, const struct chunk *first,
                    struct pieces *pieces);

/* prepare_chunk fills the entry, but for its user_data. */
void prepare_chunk(struct uring *u, struct channel *channel, struct io_uring_sqe *sqe,
                   struct chunk *chunk, const struct pieces *pieces);

/* A channel's tables: registered memory and files. On the lane's thread. */

/* tables_start registers what the kernel takes, with each channel. The rest is reached by address
 * and descriptor. */
void tables_start(struct uring *u, struct read_backend_info *info);

/* tables_file returns the place of the chunk's file in the table, or -1: by descriptor. */
int tables_file(struct uring *u, struct channel *channel, const struct chunk *chunk);

/* tables_buffer returns the registered buffer that holds all of the range, or -1. */
int tables_buffer(const struct uring *u, const struct channel *channel, const uint8_t *memory,
                  uint64_t bytes);

/* tables_pin registers memory: 0 or -errno. tables_unpin lets go of what was registered of it; the
 * kernel has taken all that was issued. */
int tables_pin(struct channel *channel, const struct ds_memory *memory);
void tables_unpin(struct channel *channel, const struct ds_memory *memory);

/* tables_forget must not leave a descriptor in a table: it would keep the file open. */
void tables_forget(struct channel *channel, const struct ds_file *file);

/* The channel for direct transfers that are polled for. On the lane's thread, but for open and
 * close. */

/* polled_open makes it. Where the kernel refuses, u->polled is NULL, and the log says why. */
int polled_open(struct uring *u, const struct read_backend_config *config);
void polled_close(struct uring *u);

/* polled_takes: the chunk goes by u->polled. */
bool polled_takes(const struct uring *u, const struct chunk *chunk);

/* polled_refused notes that the chunk's file cannot be polled, and logs the first of them. */
void polled_refused(struct uring *u, const struct chunk *chunk);

#endif
