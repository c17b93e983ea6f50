/* dsbench compare: the engine and its peers in turn. A disk's speed changes from second to second,
 * so what counts is the ratio of two neighbouring runs, and the median of many. */
#include "commands.h"
#include "peer.h"
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct peer_ops *const peers_all[] = {&peer_fio_ops, &peer_naive_ops, &peer_raw_ops};

#define PEERS_N (sizeof(peers_all) / sizeof(peers_all[0]))

/* One figure of each run. */
struct series {
    double *requests_per_s;
    double *bytes_per_s;
    double *cpu_us_per_request;
    double *ratio;
    uint32_t n;
};

struct contest {
    const struct peer_ops *ops;
    void *self;
    struct peer_env env;
    struct series series;
    bool skipped;
};

struct compare {
    struct session session;
    struct workload workload;
    struct engine_run *run;
    struct engine_result total; /* all engine runs together */
    struct series engine;
    struct contest contests[PEERS_N];
    uint32_t contests_n;
};

static int series_open(struct series *series, uint32_t n)
{
    double *values = calloc((size_t)n * 4, sizeof(*values));

    if (values == NULL)
        return -ENOMEM;
    *series = (struct series){.requests_per_s = values,
                              .bytes_per_s = values + n,
                              .cpu_us_per_request = values + 2 * (size_t)n,
                              .ratio = values + 3 * (size_t)n};
    return 0;
}

static void series_add(struct series *series, const struct measure *measure, double ratio)
{
    series->requests_per_s[series->n] = measure_requests_per_s(measure);
    series->bytes_per_s[series->n] = measure_bytes_per_s(measure);
    series->cpu_us_per_request[series->n] = measure_cpu_us_per_request(measure);
    series->ratio[series->n] = ratio;
    series->n++;
}

static int number_order(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts the values. */
static double median_take(double *values, uint32_t n)
{
    if (n == 0)
        return 0;
    qsort(values, n, sizeof(*values), number_order);
    return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void total_add(struct engine_result *total, const struct engine_result *result)
{
    double before = (double)total->measure.wall_ns;
    double now = (double)result->measure.wall_ns;

    total->measure.wall_ns += result->measure.wall_ns;
    total->measure.cpu_ns += result->measure.cpu_ns;
    total->measure.requests += result->measure.requests;
    total->measure.bytes += result->measure.bytes;
    total->measure.errors += result->measure.errors;
    ds_histogram_merge(&total->latency_ns, &result->latency_ns);
    for (uint32_t i = 0; i < DS_STAGE_COUNT && before + now > 0; i++) {
        struct stage_share *t = &total->stages[i];
        const struct stage_share *r = &result->stages[i];

        t->items += r->items;
        t->bytes += r->bytes;
        t->busy = (t->busy * before + r->busy * now) / (before + now);
        t->idle = (t->idle * before + r->idle * now) / (before + now);
        t->waiting = (t->waiting * before + r->waiting * now) / (before + now);
    }
}

static int engine_measure(struct compare *c, struct measure *measure)
{
    struct engine_result *result = malloc(sizeof(*result));
    int error = result == NULL ? -ENOMEM : engine_run_once(c->run, NULL, result);

    if (error == 0) {
        *measure = result->measure;
        series_add(&c->engine, measure, 1);
        total_add(&c->total, result);
        if (measure->errors != 0)
            error = -EIO;
    }
    free(result);
    return error;
}

/* A peer that fails once is out: its figures so far are dropped. */
static void peer_measure(struct contest *contest, struct measure *measure)
{
    if (contest->ops->run(&contest->env, contest->self, measure) != 0)
        contest->skipped = true;
    else if (measure->requests == 0)
        contest->skipped = peer_skip(&contest->env, 1, "it completed no request") != 0;
}

/* The engine and one peer side by side; who begins changes with the round. */
static int pair_measure(struct compare *c, struct contest *contest, uint32_t round)
{
    struct measure engine = {0};
    struct measure peer = {0};
    int error = 0;

    if (round % 2 == 0)
        error = engine_measure(c, &engine);
    if (error == 0)
        peer_measure(contest, &peer);
    if (error == 0 && round % 2 != 0)
        error = engine_measure(c, &engine);
    if (error == 0 && !contest->skipped)
        series_add(&contest->series, &peer,
                   measure_requests_per_s(&engine) / measure_requests_per_s(&peer));
    return error;
}

static void progress_print(const struct compare *c, uint32_t round, const char *peer)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\rround %u of %u: %-12s", round + 1, c->session.options->rounds, peer);
}

static int rounds_run(struct compare *c)
{
    int error = 0;

    for (uint32_t round = 0; error == 0 && round < c->session.options->rounds; round++) {
        bool any = false;

        for (uint32_t i = 0; error == 0 && i < c->contests_n; i++) {
            if (c->contests[i].skipped)
                continue;
            any = true;
            progress_print(c, round, c->contests[i].ops->name);
            error = pair_measure(c, &c->contests[i], round);
            if (interrupted)
                error = -EINTR;
        }
        if (!any && error == 0) { /* nobody to compare with: the engine's figure alone */
            struct measure measure;

            progress_print(c, round, "engine");
            error = engine_measure(c, &measure);
        }
    }
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%*s\r", 40, "");
    return error;
}

static int contests_open(struct compare *c)
{
    const struct options *options = c->session.options;

    for (size_t i = 0; i < PEERS_N; i++) {
        struct contest *contest = &c->contests[c->contests_n];

        if ((options->peers >> peers_all[i]->peer & 1) == 0)
            continue;
        *contest = (struct contest){.ops = peers_all[i],
                                    .env = {.session = &c->session,
                                            .workload = &c->workload,
                                            .direct = c->session.file.direct,
                                            .direct_align = 1}};
        if (contest->env.direct && c->session.file.direct_offset_align > 0)
            contest->env.direct_align = c->session.file.direct_offset_align;
        c->contests_n++;
        if (series_open(&contest->series, options->rounds) != 0)
            return -ENOMEM;
        contest->skipped = contest->ops->open(&contest->env, &contest->self) != 0;
    }
    return series_open(&c->engine, options->rounds * (uint32_t)PEERS_N);
}

static struct peer_report contest_finish(struct contest *contest)
{
    struct series *s = &contest->series;
    struct peer_report report = {.name = contest->ops->name, .rounds = s->n};

    if (contest->skipped) {
        report.skipped = contest->env.why;
        return report;
    }
    report.requests_per_s = median_take(s->requests_per_s, s->n);
    report.bytes_per_s = median_take(s->bytes_per_s, s->n);
    report.cpu_us_per_request = median_take(s->cpu_us_per_request, s->n);
    report.ratio = median_take(s->ratio, s->n);
    report.ratio_least = s->ratio[0];
    report.ratio_most = s->ratio[s->n - 1];
    return report;
}

static void table_print(FILE *out, const struct report *report)
{
    fprintf(out, "\n%-8s %11s %9s %15s   %s\n", "", "requests/s", "GB/s", "CPU us/request",
            "engine / peer: median (min..max) of pairs");
    fprintf(out, "%-8s %11.0f %9.3f %15.2f\n", "engine", report->requests_per_s,
            report->bytes_per_s / 1e9, report->cpu_us_per_request);
    for (uint32_t i = 0; i < report->peers_n; i++) {
        const struct peer_report *p = &report->peers[i];

        if (p->skipped != NULL)
            fprintf(out, "%-8s skipped: %s\n", p->name, p->skipped);
        else
            fprintf(out, "%-8s %11.0f %9.3f %15.2f   %.3f (%.3f..%.3f), %u pairs\n", p->name,
                    p->requests_per_s, p->bytes_per_s / 1e9, p->cpu_us_per_request, p->ratio,
                    p->ratio_least, p->ratio_most, p->rounds);
    }
    fputc('\n', out);
}

static int compare_report(struct compare *c)
{
    struct peer_report peers[PEERS_N];
    struct report report = report_make(&c->session, &c->workload, &c->total);

    for (uint32_t i = 0; i < c->contests_n; i++)
        peers[i] = contest_finish(&c->contests[i]);
    report.requests_per_s = median_take(c->engine.requests_per_s, c->engine.n);
    report.bytes_per_s = median_take(c->engine.bytes_per_s, c->engine.n);
    report.cpu_us_per_request = median_take(c->engine.cpu_us_per_request, c->engine.n);
    report.peers = peers;
    report.peers_n = c->contests_n;
    if (!report_is_quiet(c->session.options)) {
        report_workload(stdout, &c->session, &c->workload);
        table_print(stdout, &report);
        report_path(stdout, &c->session);
        report_stages(stdout, &report);
    }
    return report_json_write(c->session.options, &report, 1);
}

static void compare_close(struct compare *c)
{
    for (uint32_t i = 0; i < c->contests_n; i++) {
        if (c->contests[i].self != NULL)
            c->contests[i].ops->close(c->contests[i].self);
        free(c->contests[i].series.requests_per_s);
    }
    free(c->engine.requests_per_s);
    engine_run_close(&c->run);
    session_close(&c->session);
    free(c);
}

int command_compare(const struct options *options)
{
    struct compare *c = calloc(1, sizeof(*c));
    int error;

    if (c == NULL)
        return EXIT_FAILURE;
    c->workload = workload_make(options, 0, 0);
    error = session_open(options, 1, &c->session);
    if (error != 0) {
        free(c);
        return EXIT_FAILURE;
    }
    error = engine_run_open(&c->session, &c->workload, &c->run);
    if (error == 0)
        error = contests_open(c);
    if (error == 0)
        error = rounds_run(c);
    if (error == 0)
        error = compare_report(c);
    compare_close(c);
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
