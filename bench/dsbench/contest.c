#include "contest.h"

#include "peer.h"
#include "series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One peer, and its runs. */
struct rival {
    enum peer peer;
    const struct peer_ops *ops;
    void *self;
    struct peer_env env;
    struct series series;
    bool skipped;
};

struct contest {
    struct session *session;
    struct workload workload;
    struct engine_run *run;
    uint32_t rounds;
    struct engine_result total; /* all engine runs together */
    struct series engine;
    struct rival rivals[PEER_COUNT];
    struct peer_report reports[PEER_COUNT];
    uint32_t rivals_n;
};

static int engine_measure(struct contest *c, struct measure *measure)
{
    struct engine_result *result = malloc(sizeof(*result));
    int error = result == NULL ? -ENOMEM : engine_run_once(c->run, NULL, result);

    if (error == 0) {
        *measure = result->measure;
        series_add(&c->engine, measure, NULL);
        total_add(&c->total, result);
        if (measure->errors != 0)
            error = -EIO;
    }
    free(result);
    return error;
}

/* A peer that fails once is out: its figures so far are dropped. */
static void rival_measure(struct rival *rival, struct measure *measure)
{
    if (rival->ops->run(&rival->env, rival->self, measure) != 0)
        rival->skipped = true;
    else if (measure->requests == 0)
        rival->skipped = peer_skip(&rival->env, 1, "it completed no request") != 0;
}

/* The engine and one peer side by side; who begins changes with the round. */
static int pair_measure(struct contest *c, struct rival *rival, uint32_t round)
{
    struct measure engine = {0};
    struct measure peer = {0};
    int error = 0;

    if (round % 2 == 0)
        error = engine_measure(c, &engine);
    if (error == 0)
        rival_measure(rival, &peer);
    if (error == 0 && round % 2 != 0)
        error = engine_measure(c, &engine);
    if (error == 0 && !rival->skipped)
        series_add(&rival->series, &peer, &engine);
    return error;
}

static void progress_print(const struct contest *c, const char *label, uint32_t round,
                           const char *who)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%sround %u of %u: %-12s", label, round + 1, c->rounds, who);
}

int contest_run(struct contest *c, const char *label)
{
    int error = 0;

    for (uint32_t round = 0; error == 0 && round < c->rounds; round++) {
        bool any = false;

        for (uint32_t i = 0; error == 0 && i < c->rivals_n; i++) {
            if (c->rivals[i].skipped)
                continue;
            any = true;
            progress_print(c, label, round, c->rivals[i].ops->name);
            error = pair_measure(c, &c->rivals[i], round);
            if (interrupted)
                error = -EINTR;
        }
        if (!any && error == 0) { /* nobody to compare with: the engine's figure alone */
            struct measure measure;

            progress_print(c, label, round, "engine");
            error = engine_measure(c, &measure);
        }
    }
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%*s\r", 64, "");
    return error;
}

static int rivals_open(struct contest *c, uint32_t peers)
{
    for (uint32_t i = 0; i < PEER_COUNT; i++) {
        struct rival *rival = &c->rivals[c->rivals_n];

        if ((peers >> i & 1) == 0)
            continue;
        *rival = (struct rival){.peer = (enum peer)i, .ops = peers_all[i]};
        peer_env_init(&rival->env, c->session, &c->workload);
        c->rivals_n++;
        if (series_open(&rival->series, c->rounds) != 0)
            return -ENOMEM;
        rival->skipped = peer_open(rival->ops, &rival->env, &rival->self) != 0;
    }
    return series_open(&c->engine, c->rounds * PEER_COUNT);
}

int contest_open(struct session *session, const struct workload *workload, uint32_t peers,
                 uint32_t rounds, struct contest **contest)
{
    struct contest *c = calloc(1, sizeof(*c));
    int error = c == NULL ? -ENOMEM : 0;

    if (error == 0) {
        c->session = session;
        c->workload = *workload;
        c->rounds = rounds;
        error = engine_run_open(session, &c->workload, &c->run);
    }
    if (error == 0)
        error = rivals_open(c, peers);
    if (error == -ENOMEM)
        complain("%s", strerror(ENOMEM));
    *contest = c;
    if (error != 0)
        contest_close(contest);
    return error;
}

void contest_close(struct contest **contest)
{
    struct contest *c = *contest;

    if (c == NULL)
        return;
    for (uint32_t i = 0; i < c->rivals_n; i++) {
        if (c->rivals[i].self != NULL)
            c->rivals[i].ops->close(c->rivals[i].self);
        series_close(&c->rivals[i].series);
    }
    series_close(&c->engine);
    engine_run_close(&c->run);
    free(c);
    *contest = NULL;
}

static struct peer_report rival_finish(struct rival *rival)
{
    struct series *s = &rival->series;
    struct peer_report report = {.peer = rival->peer,
                                 .name = rival->ops->name,
                                 .rounds = s->n};

    if (rival->skipped || s->n == 0) {
        report.skipped = rival->skipped ? rival->env.why : "it did not run";
        return report;
    }
    report.requests_per_s = median_take(s->requests_per_s, s->n);
    report.bytes_per_s = median_take(s->bytes_per_s, s->n);
    report.cpu_us_per_request = median_take(s->cpu_us_per_request, s->n);
    report.cpu_ratio = median_take(s->cpu_ratio, s->n);
    report.ratio = median_take(s->ratio, s->n);
    report.ratio_least = s->ratio[0];
    report.ratio_most = s->ratio[s->n - 1];
    return report;
}

struct report contest_report(struct contest *c)
{
    struct report report = report_make(c->session, &c->workload, &c->total);

    for (uint32_t i = 0; i < c->rivals_n; i++)
        c->reports[i] = rival_finish(&c->rivals[i]);
    report_rates_median(&report, &c->engine);
    report.peers = c->reports;
    report.peers_n = c->rivals_n;
    return report;
}
