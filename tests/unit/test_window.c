/* stages/window.h: the others get what is left beside realtime requests that stay quick. */
#include "stages/window.h"

#include "unit/support.h"

TestSuite(window);

#define CHUNK 65536u
#define ALONE_NS 40000u
#define NS_PER_CHUNK 20000u

static struct window window;

/* A disk that serves one chunk after another: a realtime transfer takes its own time and that of
 * what is ahead of it. `accident_of`: one in so many takes 50 times as long. */
struct disk {
    uint64_t now_ns;
    uint64_t random;
    uint32_t accident_of;
    uint64_t ordinary_chunks, realtime_ns;
    uint32_t late, transfers;
};

static uint64_t disk_took_ns(struct disk *disk, uint64_t ahead_bytes)
{
    uint64_t took_ns = ALONE_NS + ahead_bytes / CHUNK * NS_PER_CHUNK;

    if (disk->accident_of != 0 && support_below(&disk->random, disk->accident_of) == 0)
        return took_ns * 50;
    return took_ns;
}

/* One realtime transfer beside a load that takes all that it is given: what was ahead of the
 * transfer is done when it is done, and the load is filled up again behind it. */
static void disk_transfer(struct disk *disk)
{
    struct window_transfer transfer;
    uint64_t ahead = window.in_flight, took_ns;

    window_realtime_begin(&window, &transfer, CHUNK, disk->now_ns);
    took_ns = disk_took_ns(disk, ahead);
    disk->now_ns += took_ns;
    window_ordinary_end(&window, (uint32_t)ahead);
    disk->ordinary_chunks += ahead / CHUNK;
    window_realtime_end(&window, &transfer, disk->now_ns);
    disk->late += took_ns > 2 * ALONE_NS ? 1 : 0;
    disk->transfers++;
    while (window_admits(&window, CHUNK, disk->now_ns))
        window_ordinary_begin(&window, CHUNK);
}

static void disk_run(struct disk *disk, uint32_t transfers)
{
    disk->late = disk->transfers = 0;
    disk->ordinary_chunks = 0;
    for (uint32_t i = 0; i < transfers; i++)
        disk_transfer(disk);
}

Test(window, realtime_stays_within_twice_its_time_alone)
{
    struct disk disk = {.now_ns = 1000};

    window_init(&window);
    disk_run(&disk, 1000); /* to settle */
    disk_run(&disk, 10000);
    cr_assert_leq(disk.late, disk.transfers / 100, "%u of %u took more than twice as long",
                  disk.late, disk.transfers);
    cr_assert_geq(disk.ordinary_chunks, disk.transfers / 2, "the others starve: %llu",
                  (unsigned long long)disk.ordinary_chunks);
    cr_assert_leq(window.bytes, 2 * CHUNK);
}

/* Beside a device that does not mind, the others get all. */
Test(window, opens_where_the_load_does_no_harm)
{
    struct window_transfer transfer;
    uint64_t now_ns = 1000;

    window_init(&window);
    for (uint32_t i = 0; i < 1000; i++) {
        window_realtime_begin(&window, &transfer, CHUNK, now_ns);
        now_ns += ALONE_NS;
        window_ordinary_end(&window, (uint32_t)window.in_flight);
        window_realtime_end(&window, &transfer, now_ns);
        while (window_admits(&window, CHUNK, now_ns))
            window_ordinary_begin(&window, CHUNK);
    }
    cr_assert_eq(window.bytes, WINDOW_MAX_BYTES);
}

/* A thread that did not run now and then is no reason to close the window, nor to open it. */
Test(window, accidents_move_it_little)
{
    struct disk disk = {.now_ns = 1000, .random = support_seed("window"), .accident_of = 50};

    window_init(&window);
    disk_run(&disk, 20000);
    cr_assert_leq(disk.late, disk.transfers / 50 + disk.transfers / 100);
    cr_assert_geq(disk.ordinary_chunks, disk.transfers / 3);
    cr_assert_leq(window.bytes, 2 * CHUNK);
}

Test(window, one_chunk_may_always_go)
{
    window_init(&window);
    window.bytes = WINDOW_MIN_BYTES;
    window.seen_ns = 1000;
    cr_assert(window_admits(&window, 1u << 30, 1001));
    window_ordinary_begin(&window, 1u << 30);
    cr_assert_not(window_admits(&window, 1, 1001));
    window_ordinary_end(&window, 1u << 30);
    cr_assert(window_admits(&window, 1, 1001));
}

/* What is held back for a measurement goes on when no realtime request follows. */
Test(window, quiet_ends_by_itself)
{
    struct window_transfer transfer;

    window_init(&window);
    window_realtime_begin(&window, &transfer, 4096, 1000);
    cr_assert_not(window_admits(&window, 1, 1000));
    window_realtime_end(&window, &transfer, 50000);
    cr_assert_not(window_admits(&window, 1, 50000 + WINDOW_QUIET_NS));
    cr_assert(window_admits(&window, 1, 50001 + WINDOW_QUIET_NS));
}

/* One realtime request each 16 ms is never alone, and must not close the window for ever. */
Test(window, lonely_requests_beside_a_steady_load)
{
    struct window_transfer transfer;
    uint64_t now_ns = 1000;
    uint32_t held = 0;

    window_init(&window);
    for (uint32_t i = 0; i < 200; i++) {
        while (window_admits(&window, CHUNK, now_ns))
            window_ordinary_begin(&window, CHUNK);
        window_realtime_begin(&window, &transfer, CHUNK, now_ns);
        now_ns += ALONE_NS + window.in_flight / CHUNK * NS_PER_CHUNK;
        window_ordinary_end(&window, (uint32_t)window.in_flight);
        window_realtime_end(&window, &transfer, now_ns);
        held += window_admits(&window, CHUNK, now_ns) ? 0 : 1;
        now_ns += 16000000;
    }
    cr_assert_leq(held, 3 * WINDOW_TRIES, "held back after %u of 200 requests", held);
    cr_assert_geq(window.bytes, WINDOW_MIN_BYTES);
}

Test(window, opens_to_a_bound_without_realtime_requests)
{
    window_init(&window);
    window.bytes = WINDOW_MIN_BYTES;
    window.seen_ns = 1000;
    window_ordinary_begin(&window, WINDOW_MIN_BYTES);
    cr_assert_not(window_admits(&window, 1, 1000 + WINDOW_IDLE_NS));
    cr_assert(window_admits(&window, WINDOW_IDLE_BYTES - WINDOW_MIN_BYTES,
                            1001 + WINDOW_IDLE_NS));
    cr_assert_not(window_admits(&window, WINDOW_IDLE_BYTES, 1001 + WINDOW_IDLE_NS));
}

/* Sizes are measured apart: a large transfer that takes its time is not late. */
Test(window, every_size_has_a_time_of_its_own)
{
    struct window_transfer transfer;
    uint64_t now_ns = 1000;

    window_init(&window);
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t bytes = i % 2 == 0 ? 4096 : 1u << 20;

        window_realtime_begin(&window, &transfer, bytes, now_ns);
        now_ns += i % 2 == 0 ? 30000 : 300000;
        window_realtime_end(&window, &transfer, now_ns);
    }
    cr_assert_eq(window.alone[0].ns, 30000);
    cr_assert_eq(window.alone[8].ns, 300000);
    cr_assert_eq(window.bytes, WINDOW_START_BYTES, "nothing was beside them");
}
