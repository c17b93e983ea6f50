#include "sweep.h"

#include <inttypes.h>
#include <unistd.h>

#define LINE_COLUMNS 76

void sweep_clock_start(struct sweep_clock *clock, uint64_t turns, double turn_s)
{
    *clock = (struct sweep_clock){.turns = turns, .turn_s = turn_s, .start_ns = now_ns()};
}

void sweep_clock_turn(struct sweep_clock *clock)
{
    clock->done++;
}

static void line_clear(void)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%*s\r", LINE_COLUMNS, "");
}

void sweep_clock_show(const struct sweep_clock *clock, uint64_t size, uint32_t depth,
                      uint32_t round, uint32_t rounds)
{
    double spent_s = (double)(now_ns() - clock->start_ns) / NS_PER_S;
    double turn_s = clock->done == 0 ? clock->turn_s : spent_s / (double)clock->done;
    uint64_t left_s = (uint64_t)(turn_s * (double)(clock->turns - clock->done) + 0.5);
    char text[SIZE_TEXT_BYTES];

    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr,
            "\r%3.0f %%, %" PRIu64 ":%02" PRIu64 ":%02" PRIu64
            " left: %s depth %u, round %u of %u    ",
            clock->turns == 0 ? 100.0 : 100.0 * (double)clock->done / (double)clock->turns,
            left_s / 3600, left_s / 60 % 60, left_s % 60, size_text(text, size), depth, round + 1,
            rounds);
}

void sweep_clock_end(const struct sweep_clock *clock)
{
    (void)clock;
    line_clear();
}

void sweep_head_print(FILE *out)
{
    fprintf(out, "%7s %6s %-24s %9s %11s %15s %10s %10s %9s\n", "request", "depth", "engine",
            "GB/s", "requests/s", "CPU us/request", "p50 us", "p99 us", "/ raw");
}

void sweep_row_print(FILE *out, const char *variant, const struct report *report)
{
    const struct ds_histogram *h = &report->result->latency_ns;
    char size[SIZE_TEXT_BYTES];

    line_clear();
    fprintf(out, "%7s %6u %-24s %9.3f %11.0f %15.2f %10.1f %10.1f",
            size_text(size, report->workload->size), report->workload->depth, variant,
            report->bytes_per_s / 1e9, report->requests_per_s, report->cpu_us_per_request,
            (double)ds_histogram_quantile(h, 0.5) / 1000,
            (double)ds_histogram_quantile(h, 0.99) / 1000);
    if (report->peers_n > 0 && report->peers[0].skipped == NULL)
        fprintf(out, " %9.3f", report->peers[0].ratio);
    fputc('\n', out);
    fflush(out);
}
