/* Who writes to memory that is combined for writing flushes before it hands the chunk on. Cached
 * memory shows no difference, so here the sources of those who write are compiled once more, with a
 * flush that looks at what has happened before it. */
#include <criterion/criterion.h>

#include <errno.h>
#include <sys/mman.h>

#define ENGINE_WRITE_COMBINED_H /* what follows takes its place */
static void write_combined_flush(void);

/* Other names than those that the library has. */
#define copy_host_payload watched_copy_host_payload
#define copy_host_source watched_copy_host_source
#define read_pread_ops watched_read_pread_ops
#define read_settle watched_read_settle
#include "stages/copy_host.c"
#include "stages/read_pread.c"
#include "stages/read_settle.c"

#define BYTES 3000u

static uint32_t flushes;
static void (*look)(void); /* at each of them */

static void write_combined_flush(void)
{
    flushes++;
    if (look != NULL)
        look();
}

static uint8_t content[BYTES], memory[BYTES];
static struct request request;
static struct chunk chunk;
static struct pool_thread thread;

static void make_chunk(enum chunk_kind kind, bool mapped)
{
    for (uint32_t i = 0; i < BYTES; i++)
        content[i] = (uint8_t)(i * 7 + 1);
    memset(memory, 0, BYTES);
    request = (struct request){.size = BYTES, .source = content, .fd = -1};
    chunk = (struct chunk){
        .request = &request,
        .memory = memory,
        .io_bytes = BYTES,
        .payload_bytes = BYTES,
        .state = CHUNK_IN_READ,
        .kind = (uint8_t)kind,
        .mapped = mapped,
    };
    flushes = 0;
}

static void look_at_source(void)
{
    cr_expect_arr_eq(memory, content, BYTES, "flushed before it was written");
    cr_expect_eq(chunk.kind, CHUNK_MEMORY, "handed on before it was flushed");
}

Test(write_combined, sources_in_memory)
{
    for (uint32_t mapped = 0; mapped < 2; mapped++) {
        make_chunk(CHUNK_MEMORY, mapped == 1);
        look = look_at_source;
        copy_host_source(&chunk);
        cr_expect_eq(flushes, mapped);
        cr_expect_eq(chunk.kind, CHUNK_READ);
    }
}

static void look_at_pread(void)
{
    cr_expect_arr_eq(memory, content, BYTES, "flushed before it was written");
    cr_expect_eq(ring_count(&thread.done), 0, "handed on before it was flushed");
}

/* One thread of the pool's, for one transfer: on the test's own. */
static void run_pread(bool mapped, int fd)
{
    static struct pool pool;
    static struct event event;
    struct host host;
    struct op op = {.chunk = &chunk};

    host_init(&host, NULL, NULL, NULL, DS_LOG_ERROR);
    event_init(&event);
    pool.lane_event = &event;
    thread = (struct pool_thread){.pool = &pool};
    cr_assert_eq(ring_open(&thread.done, &host, 4), 0);
    make_chunk(CHUNK_READ, mapped);
    request.fd = fd;
    look = look_at_pread;
    run(&thread, &op);
    cr_expect_eq(op.result, BYTES);
    cr_expect_eq(ring_count(&thread.done), 1);
    cr_expect_eq(flushes, mapped);
    ring_close(&thread.done, &host);
    event_fini(&event);
}

Test(write_combined, threads_that_read)
{
    int fd = memfd_create("content", MFD_CLOEXEC);

    cr_assert_geq(fd, 0);
    make_chunk(CHUNK_READ, false);
    cr_assert_eq(write(fd, content, BYTES), (ssize_t)BYTES);
    run_pread(false, fd);
    run_pread(true, fd);
    close(fd);
}

/* The lane's own thread: once what it wrote is all there. */
Test(write_combined, transfers_that_are_settled)
{
    static struct read_stage stage;

    make_chunk(CHUNK_READ, false);
    cr_expect(read_settle(&stage, &chunk, BYTES));
    cr_expect_eq(flushes, 0, "for nothing");
    make_chunk(CHUNK_READ, true);
    cr_expect_not(read_settle(&stage, &chunk, BYTES - 10));
    cr_expect_not(read_settle(&stage, &chunk, -EINTR));
    cr_expect_eq(flushes, 0, "more is to come");
    cr_expect(read_settle(&stage, &chunk, 10));
    cr_expect_eq(flushes, 1);
    make_chunk(CHUNK_READ, true);
    cr_expect(read_settle(&stage, &chunk, -EIO));
    cr_expect_eq(chunk.status, DS_STATUS_IO_ERROR);
}
