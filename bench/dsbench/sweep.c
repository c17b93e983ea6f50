/* dsbench sweep: sizes by depths by variants of the engine. The output is the state: each point is
 * one line of it, written when the point is done, and what stands there is not measured again. */
#include "coder.h"
#include "commands.h"
#include "option_table.h"
#include "peer.h"
#include "records.h"
#include "series.h"
#include "sweep.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETUPS_MAX   20
#define VARIANTS_MAX (SETUPS_MAX * 4)

/* An engine. All are kept open: an idle one sleeps. */
struct setup {
    struct options options;
    struct session session;
};

/* One way to run an engine. */
struct variant {
    struct setup *setup;
    struct options options;
    char name[64]; /* "shared read auto", "auto read auto zstd" */
};

struct sweep {
    const struct options *options;
    struct inputs inputs;
    struct records known;
    FILE *out;
    struct setup *setups;
    uint32_t setups_n;
    struct variant *variants;
    uint32_t variants_n;
    struct session *reader; /* of the first setup that reads, for the peer raw; or NULL */
    struct sweep_clock clock;
};

/* One variant at one size and depth. */
struct point {
    struct variant *variant;
    struct workload workload;
    struct engine_run *run;
    struct series series;
    struct engine_result total;
    struct measure last;
    char id[SWEEP_ID_BYTES];
};

struct group {
    struct point points[VARIANTS_MAX];
    uint32_t n;
    struct peer_env env; /* raw */
    void *raw;
    struct series raw_series;
    bool has_raw;
};

static void point_identify(struct point *p, const struct inputs *inputs)
{
    const struct options *o = &p->variant->options;
    char size[SIZE_TEXT_BYTES], made[SIZE_TEXT_BYTES];

    snprintf(p->id, sizeof(p->id),
             "%s depth %u %s codec %s-%u %s dest %s device %s direct %s lanes %u arena %" PRIu64
             " rounds %u seconds %g requests %" PRIu64 " warm %d register %d seed %" PRIu64
             " files %u of %s %s",
             size_text(size, p->workload.size), p->workload.depth, p->variant->name,
             option_word("codec", o->codec), o->level, o->sequential ? "sequential" : "random",
             dest_name((enum dest)o->dest), o->device != NULL ? o->device : "any",
             option_word("direct", o->direct), o->lanes, o->arena_bytes, o->rounds, o->seconds,
             o->requests, o->warm, o->registers, o->seed, inputs->n, size_text(made, inputs->bytes),
             o->files_n > 0 ? o->files[0] : "made");
}

static bool is_known(const struct sweep *s, const char *id)
{
    for (uint32_t i = 0; i < s->known.n; i++) {
        if (strcmp(json_text(s->known.list[i].document.root, "id", ""), id) == 0)
            return true;
    }
    return false;
}

/* The points of a size and depth that are still to be measured. */
static void group_fill(struct sweep *s, uint64_t size, uint32_t depth, struct group *g)
{
    for (uint32_t i = 0; i < s->variants_n; i++) {
        struct point *p = &g->points[g->n];
        struct options options = s->variants[i].options;

        options.size = size;
        options.depth = depth;
        p->variant = &s->variants[i];
        p->workload = workload_make(&options, 0, 0);
        point_identify(p, &s->inputs);
        g->n += !is_known(s, p->id);
    }
}

static int group_open(struct sweep *s, struct group *g)
{
    uint32_t rounds = s->options->rounds;
    int error = 0;

    for (uint32_t i = 0; error == 0 && i < g->n; i++) {
        struct point *p = &g->points[i];

        error = series_open(&p->series, rounds);
        if (error == 0)
            error = engine_run_open(&p->variant->setup->session, &p->workload, &p->run);
    }
    if (error != 0 || s->reader == NULL || (s->options->peers >> PEER_RAW & 1) == 0)
        return error;
    peer_env_init(&g->env, s->reader, &g->points[0].workload);
    g->has_raw = peer_open(&peer_raw_ops, &g->env, &g->raw) == 0;
    return series_open(&g->raw_series, rounds);
}

static void group_close(struct group *g)
{
    for (uint32_t i = 0; i < g->n; i++) {
        engine_run_close(&g->points[i].run);
        series_close(&g->points[i].series);
    }
    series_close(&g->raw_series);
    if (g->raw != NULL)
        peer_raw_ops.close(g->raw);
}

static int point_measure(struct point *p)
{
    struct engine_result *result = malloc(sizeof(*result));
    int error = result == NULL ? -ENOMEM : engine_run_once(p->run, NULL, result);

    if (error == 0 && result->measure.errors != 0)
        error = -EIO;
    if (error == 0) {
        p->last = result->measure;
        series_add(&p->series, &p->last, NULL);
        total_add(&p->total, result);
    }
    free(result);
    return error;
}

/* Each round measures each variant and raw once, beginning with another one each time. */
static int group_run(struct sweep *s, struct group *g)
{
    uint32_t turns = g->n + g->has_raw;
    int error = 0;

    for (uint32_t round = 0; error == 0 && round < s->options->rounds; round++) {
        struct measure raw = {0};

        for (uint32_t i = 0; error == 0 && i < turns; i++) {
            uint32_t who = (i + round) % turns;

            sweep_clock_show(&s->clock, g->points[0].workload.size, g->points[0].workload.depth,
                             round, s->options->rounds);
            if (who < g->n)
                error = point_measure(&g->points[who]);
            else if (peer_raw_ops.run(&g->env, g->raw, &raw) != 0 || raw.requests == 0)
                g->has_raw = false;
            sweep_clock_turn(&s->clock);
            if (interrupted)
                error = -EINTR;
        }
        if (g->has_raw && error == 0)
            series_add(&g->raw_series, &raw, NULL);
        for (uint32_t i = 0; error == 0 && i < g->n; i++)
            g->points[i].series.ratio[round] =
                raw.requests == 0 ? 0
                                  : measure_requests_per_s(&g->points[i].last) /
                                        measure_requests_per_s(&raw);
    }
    return error;
}

static struct peer_report raw_report(struct group *g, struct point *p)
{
    struct series *s = &g->raw_series;
    struct peer_report report = {.peer = PEER_RAW, .name = "raw", .rounds = s->n};

    if (!g->has_raw) {
        report.skipped = g->env.why;
        return report;
    }
    report.requests_per_s = median_take(s->requests_per_s, s->n);
    report.bytes_per_s = median_take(s->bytes_per_s, s->n);
    report.cpu_us_per_request = median_take(s->cpu_us_per_request, s->n);
    report.ratio = median_take(p->series.ratio, p->series.n);
    report.ratio_least = p->series.ratio[0];
    report.ratio_most = p->series.ratio[p->series.n - 1];
    report.cpu_ratio =
        report.cpu_us_per_request > 0
            ? median_take(p->series.cpu_us_per_request, p->series.n) / report.cpu_us_per_request
            : 0;
    return report;
}

static int point_report(struct sweep *s, struct group *g, struct point *p)
{
    struct report report = report_make(&p->variant->setup->session, &p->workload, &p->total);
    struct peer_report peer = {0};

    report.id = p->id;
    report_rates_median(&report, &p->series);
    if (g->env.session != NULL && p->variant->options.read != DS_READ_NIL) {
        peer = raw_report(g, p);
        report.peers = &peer;
        report.peers_n = 1;
    }
    sweep_row_print(stdout, p->variant->name, &report);
    report_write(s->out, &report);
    if (fflush(s->out) == 0)
        return 0;
    file_complain(s->options->out, -errno);
    return -EIO;
}

static int group_perform(struct sweep *s, uint64_t size, uint32_t depth)
{
    struct group *g = calloc(1, sizeof(*g));
    int error = g == NULL ? -ENOMEM : 0;

    if (error == 0)
        group_fill(s, size, depth, g);
    if (error == 0 && g->n > 0) {
        error = group_open(s, g);
        if (error == 0)
            error = group_run(s, g);
        for (uint32_t i = 0; error == 0 && i < g->n; i++)
            error = point_report(s, g, &g->points[i]);
        group_close(g);
    }
    free(g);
    return error;
}

static void variant_add(struct sweep *s, struct setup *setup, uint32_t coder)
{
    static const int codecs[] = {DS_CODEC_GDEFLATE, DS_CODEC_ZSTD, DS_CODEC_LZ4};
    struct variant *v = &s->variants[s->variants_n++];

    v->setup = setup;
    v->options = setup->options;
    v->options.codec = coder == CODER_NONE ? 0 : codecs[coder];
    snprintf(v->name, sizeof(v->name), "%s read %s%s%s",
             option_word("topology", v->options.topology), option_word("read", v->options.read),
             coder == CODER_NONE ? "" : " ",
             coder == CODER_NONE ? "" : option_word("codec", v->options.codec));
}

/* Nothing is read, so nothing can be unpacked: no codec goes with that. */
static int setup_open(struct sweep *s, int topology, int read)
{
    struct setup *setup = &s->setups[s->setups_n];
    int error;

    setup->options = *s->options;
    setup->options.topology = topology;
    setup->options.read = read;
    error = session_open_on(&setup->options, &s->inputs, &setup->session);
    if (error != 0)
        return error;
    s->setups_n++;
    if (s->reader == NULL && read != DS_READ_NIL)
        s->reader = &setup->session;
    for (uint32_t coder = 0; coder <= CODER_NONE; coder++) {
        if ((s->options->codecs >> coder & 1) != 0 && (read != DS_READ_NIL || coder == CODER_NONE))
            variant_add(s, setup, coder);
    }
    return 0;
}

static int setups_open(struct sweep *s)
{
    const struct options *o = s->options;
    int error = 0;

    s->setups = calloc(SETUPS_MAX, sizeof(*s->setups));
    s->variants = calloc(VARIANTS_MAX, sizeof(*s->variants));
    if (s->setups == NULL || s->variants == NULL)
        return -ENOMEM;
    for (int topology = 0; topology <= DS_TOPOLOGY_HYBRID; topology++) {
        for (int read = 0; error == 0 && read < 4; read++) {
            if ((o->topologies >> topology & 1) != 0 && (o->reads >> read & 1) != 0)
                error = setup_open(s, topology, read);
        }
    }
    return error;
}

/* Opens the state; a line that was cut off is cut away. */
static int state_open(struct sweep *s)
{
    const char *path = s->options->out;
    int error = 0;

    if (access(path, F_OK) == 0)
        error = records_load(path, true, &s->known);
    if (error != 0)
        return error;
    s->out = fopen(path, "ae");
    if (s->out == NULL || ftruncate(fileno(s->out), (off_t)s->known.whole_bytes) != 0) {
        error = -errno;
        file_complain(path, error);
    }
    return error;
}

/* What is left to do, and how much of it is done already. */
static void clock_start(struct sweep *s)
{
    const struct options *o = s->options;
    uint64_t turns = 0;
    uint32_t known = 0;

    for (uint32_t i = 0; i < o->sizes.n * o->depths.n; i++) {
        struct group *g = calloc(1, sizeof(*g));

        if (g == NULL)
            return;
        group_fill(s, o->sizes.at[i / o->depths.n], (uint32_t)o->depths.at[i % o->depths.n], g);
        known += s->variants_n - g->n;
        turns += g->n == 0 ? 0 : (uint64_t)o->rounds * (g->n + (s->reader != NULL));
        free(g);
    }
    sweep_clock_start(&s->clock, turns, o->seconds);
    if (known > 0)
        printf("%u of %u points are in %s already\n", known,
               o->sizes.n * o->depths.n * s->variants_n, o->out);
}

static int sweep_perform(struct sweep *s)
{
    const struct options *o = s->options;
    int error = state_open(s);

    if (error == 0)
        error = setups_open(s);
    if (error != 0)
        return error;
    clock_start(s);
    sweep_head_print(stdout);
    for (uint32_t i = 0; error == 0 && i < o->sizes.n; i++) {
        for (uint32_t k = 0; error == 0 && k < o->depths.n; k++)
            error = group_perform(s, o->sizes.at[i], (uint32_t)o->depths.at[k]);
    }
    sweep_clock_end(&s->clock);
    if (interrupted)
        complain("interrupted; the same command goes on from here");
    return error;
}

int command_sweep(const struct options *options)
{
    struct sweep sweep = {.options = options};
    int error = inputs_open(options, 1, &sweep.inputs);

    if (error != 0)
        return EXIT_FAILURE;
    error = sweep_perform(&sweep);
    for (uint32_t i = 0; i < sweep.setups_n; i++)
        session_close(&sweep.setups[i].session);
    free(sweep.setups);
    free(sweep.variants);
    records_free(&sweep.known);
    if (sweep.out != NULL && fclose(sweep.out) != 0 && error == 0) {
        error = -errno;
        file_complain(options->out, error);
    }
    inputs_close(&sweep.inputs);
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
