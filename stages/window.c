/* The window's control. */
#include "stages/window.h"

void window_init(struct window *window)
{
    *window = (struct window){.bytes = WINDOW_START_BYTES};
}

static struct window_alone *alone_of(struct window *window, uint32_t bytes)
{
    uint32_t pages = (bytes + 4095) >> 12;
    uint32_t shift = pages <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(pages - 1);

    return &window->alone[min_u32(shift, WINDOW_SIZES - 1)];
}

/* The others are held back while realtime transfers follow each other closely: then the next one is
 * alone. One that comes after a pause would not be, so nothing is held back for it. */
static bool is_quiet(struct window *window, uint64_t now_ns)
{
    if (window->quiet && now_ns - window->seen_ns > WINDOW_QUIET_NS)
        window->quiet = false;
    return window->quiet;
}

static uint64_t limit_bytes(const struct window *window, uint64_t now_ns)
{
    if (window->seen_ns == 0 || now_ns - window->seen_ns > WINDOW_IDLE_NS)
        return max_u64(window->bytes, WINDOW_IDLE_BYTES);
    return window->bytes;
}

bool window_admits(struct window *window, uint32_t bytes, uint64_t now_ns)
{
    if (is_quiet(window, now_ns))
        return false;
    return window->in_flight == 0 || window->in_flight + bytes <= limit_bytes(window, now_ns);
}

void window_realtime_begin(struct window *window, struct window_transfer *transfer, uint32_t bytes,
                           uint64_t now_ns)
{
    struct window_alone *alone = alone_of(window, bytes);

    if (alone->samples == WINDOW_SAMPLES && now_ns - alone->measured_ns > WINDOW_AGE_NS) {
        alone->samples = 0;
        alone->tries = 0;
    }
    if (alone->samples < WINDOW_SAMPLES)
        window->quiet = true;
    *transfer = (struct window_transfer){
        .sent_ns = now_ns,
        .bytes = bytes,
        .alone = window->in_flight == 0,
        .admitted = window->admitted,
    };
    window->seen_ns = now_ns;
    window->realtime_n++;
}

/* The shortest of a few is the answer: a thread that the kernel kept from running makes a transfer
 * look ten times as long, never shorter. Where none is ever alone, because they come one by one and
 * far apart, half of what one takes beside others is the best guess. */
static void measure_end(struct window *window, struct window_alone *alone, uint64_t took_ns,
                        uint64_t now_ns)
{
    if (alone->samples > 0)
        alone->ns = alone->least_ns;
    else if (alone->ns == 0)
        alone->ns = took_ns / 2 + 1;
    alone->samples = WINDOW_SAMPLES;
    alone->measured_ns = now_ns;
    window->quiet = false;
}

static void measure_go_on(struct window *window, struct window_alone *alone, bool was_alone,
                          uint64_t took_ns, uint64_t now_ns)
{
    if (was_alone) {
        if (alone->samples++ == 0 || took_ns < alone->least_ns)
            alone->least_ns = took_ns;
    }
    if (++alone->tries == WINDOW_TRIES || alone->samples == WINDOW_SAMPLES)
        measure_end(window, alone, took_ns, now_ns);
}

/* By a sixteenth at most: one that is late by an accident moves the window little, and the mean is
 * what counts. */
static void window_adapt(struct window *window, uint64_t took_ns, uint64_t target_ns)
{
    uint64_t step = window->bytes / 16;
    uint64_t off_ns = min_u64(took_ns > target_ns ? took_ns - target_ns : target_ns - took_ns,
                              target_ns);

    step = step * off_ns / target_ns;
    if (took_ns > target_ns)
        window->bytes = max_u64(window->bytes - step, WINDOW_MIN_BYTES);
    else
        window->bytes = min_u64(window->bytes + step, WINDOW_MAX_BYTES);
}

void window_realtime_end(struct window *window, const struct window_transfer *transfer,
                         uint64_t now_ns)
{
    struct window_alone *alone = alone_of(window, transfer->bytes);
    uint64_t took_ns = max_u64(now_ns > transfer->sent_ns ? now_ns - transfer->sent_ns : 0, 1);

    bool was_alone = transfer->alone && transfer->admitted == window->admitted;

    DS_ASSERT(window->realtime_n > 0);
    window->realtime_n--;
    window->seen_ns = now_ns;
    if (!was_alone && alone->ns != 0)
        window_adapt(window, took_ns, alone->ns + alone->ns / 2);
    if (alone->samples < WINDOW_SAMPLES)
        measure_go_on(window, alone, was_alone, took_ns, now_ns);
}
