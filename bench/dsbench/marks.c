/* dsbench marks: everything the engine is held to, in one go, each figure beside its goal. */
#include "commands.h"
#include "contest.h"
#include "frame_trial.h"
#include "json.h"
#include "option_table.h"
#include "series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum figure {
    RATE_RATIO,
    CPU_RATIO,
    RATE,
    CPU_US,
    P99_RATIO,
    PROMISE,       /* the ratio to raw over that of the packing */
    FRAME_COPY,    /* p99 of frames above idle, ms, beside copies by command */
    FRAME_SCATTER, /* by shader */
};

/* A measurement that marks look at. */
struct trial {
    uint64_t size;
    uint32_t depth;
    enum dest dest;
    enum ds_read_backend read;
    enum ds_direct_mode direct;
    enum ds_topology topology;
    bool sequential;
    bool realtime; /* alone and beside a background load, no peers */
    bool frames;   /* beside a stream without a disk, no peers */
    int codec;     /* enum ds_codec_format */
    uint32_t peers;
};

struct mark {
    const char *text;
    uint32_t trial;
    enum figure figure;
    enum peer peer; /* of the ratios */
    bool at_most;   /* the goal is a ceiling */
    double goal;
};

#define FIO   (1u << PEER_FIO)
#define NAIVE (1u << PEER_NAIVE)
#define RAW   (1u << PEER_RAW)
#define K     1024u

#define FRAME_ROUNDS 3u /* a round of frames takes longer than others */

enum {
    HOST_4K,
    GPU_4K,
    GPU_64K,
    GPU_1M,
    SEQUENTIAL,
    HOT,
    SINGLE,
    NIL,
    NO_DISK,
    REALTIME,
    PACKED,
    FRAMES,
    TRIALS,
};

static const struct trial trials[TRIALS] = {
    [HOST_4K] = {.size = 4 * K, .depth = 128, .dest = DEST_HOST, .peers = FIO},
    [GPU_4K] = {.size = 4 * K, .depth = 128, .dest = DEST_GPU, .peers = FIO | NAIVE},
    [GPU_64K] = {.size = 64 * K, .depth = 32, .dest = DEST_GPU, .peers = FIO},
    [GPU_1M] = {.size = K * K, .depth = 8, .dest = DEST_GPU, .peers = FIO},
    [SEQUENTIAL] = {.size = 4 * K, .depth = 128, .dest = DEST_HOST,
                    .sequential = true, .peers = FIO},
    [HOT] = {.size = 64 * K, .depth = 32, .dest = DEST_HOST, .direct = DS_DIRECT_OFF,
             .peers = FIO},
    [SINGLE] = {.size = 4 * K, .depth = 1, .dest = DEST_HOST,
                .peers = 1u << PEER_PREAD},
    [NIL] = {.size = 4 * K, .depth = 256, .dest = DEST_NIL, .read = DS_READ_NIL,
             .topology = DS_TOPOLOGY_SHARED},
    [NO_DISK] = {.size = 4 * K, .depth = 256, .dest = DEST_GPU, .read = DS_READ_NIL,
                 .peers = NAIVE},
    [REALTIME] = {.size = 64 * K, .depth = 1, .dest = DEST_HOST, .realtime = true},
    [PACKED] = {.size = 256 * K, .depth = 32, .dest = DEST_GPU, .codec = DS_CODEC_GDEFLATE,
                .peers = RAW},
    [FRAMES] = {.size = 64 * K, .depth = 256, .dest = DEST_GPU, .read = DS_READ_NIL,
                .frames = true},
};

static const struct mark marks[] = {
    {"4K random to host / fio", HOST_4K, RATE_RATIO, PEER_FIO, false, 0.95},
    {"4K random to GPU / fio", GPU_4K, RATE_RATIO, PEER_FIO, false, 0.90},
    {"64K random to GPU / fio", GPU_64K, RATE_RATIO, PEER_FIO, false, 0.95},
    {"1M random to GPU / fio", GPU_1M, RATE_RATIO, PEER_FIO, false, 0.97},
    {"4K sequential to host / fio", SEQUENTIAL, RATE_RATIO, PEER_FIO, false, 2.0},
    {"CPU a request, 4K to host / fio", HOST_4K, CPU_RATIO, PEER_FIO, true, 1.3},
    {"CPU a request, 4K to GPU / fio", GPU_4K, CPU_RATIO, PEER_FIO, true, 2.0},
    {"64K from page cache to host / fio", HOT, RATE_RATIO, PEER_FIO, false, 1.0},
    {"4K one at a time to host / pread", SINGLE, RATE_RATIO, PEER_PREAD, false, 0.9},
    {"pipeline alone, requests/s", NIL, RATE, PEER_COUNT, false, 5e6},
    {"pipeline alone, CPU us a request", NIL, CPU_US, PEER_COUNT, true, 0.4},
    {"realtime p99, under load / alone", REALTIME, P99_RATIO, PEER_COUNT, true, 2.0},
    {"4K random to GPU / naive", GPU_4K, RATE_RATIO, PEER_NAIVE, false, 7.0},
    {"CPU a request, 4K to GPU / naive", GPU_4K, CPU_RATIO, PEER_NAIVE, true, 0.125},
    {"4K to GPU without the disk / naive", NO_DISK, RATE_RATIO, PEER_NAIVE, false, 50},
    {"256K by GDeflate / raw, of its ratio", PACKED, PROMISE, PEER_RAW, false, 0.8},
    {"frame p99 beside copies, ms above idle", FRAMES, FRAME_COPY, PEER_COUNT, true, 0.5},
    {"frame p99 beside scatter, ms above idle", FRAMES, FRAME_SCATTER, PEER_COUNT, true, 0.5},
};

#define NOTHING_TOLD "the runs were too short to tell; take more --seconds"

#define MARKS_N (sizeof(marks) / sizeof(marks[0]))

struct score {
    double value;
    char skipped[PEER_REASON_BYTES]; /* why, or "" */
};

/* What a trial's session is opened with. */
static struct options trial_options(const struct options *base, const struct trial *trial)
{
    struct options o = *base;

    o.size = trial->size;
    o.depth = trial->depth;
    o.dest = trial->dest == DEST_GPU && base->device == NULL ? DEST_AUTO : (int)trial->dest;
    if (trial->dest != DEST_GPU)
        o.device = NULL;
    o.read = trial->read;
    o.direct = trial->direct;
    o.topology = trial->topology;
    o.sequential = trial->sequential;
    o.codec = trial->codec;
    o.packs = trial->codec != 0;
    return o;
}

static const struct peer_report *peer_find(const struct report *report, enum peer peer)
{
    for (uint32_t i = 0; i < report->peers_n; i++) {
        if (report->peers[i].peer == peer)
            return &report->peers[i];
    }
    return NULL;
}

static void mark_score(const struct mark *mark, const struct report *report, struct score *score)
{
    const struct peer_report *p = peer_find(report, mark->peer);

    if (mark->figure == RATE)
        score->value = report->requests_per_s;
    else if (mark->figure == CPU_US)
        score->value = report->cpu_us_per_request;
    else if (p != NULL && p->skipped == NULL && mark->figure == PROMISE)
        score->value = p->ratio / report->result->packed_ratio;
    else if (p != NULL && p->skipped == NULL)
        score->value = mark->figure == CPU_RATIO ? p->cpu_ratio : p->ratio;
    else
        snprintf(score->skipped, sizeof(score->skipped), "%s", p == NULL ? "?" : p->skipped);
    if (score->skipped[0] == '\0' && score->value <= 0) /* fio's CPU time of a few milliseconds */
        snprintf(score->skipped, sizeof(score->skipped), "%s", NOTHING_TOLD);
}

static int contest_trial(struct session *session, const struct workload *workload, uint32_t peers,
                         uint32_t trial, struct score *scores)
{
    struct contest *contest = NULL;
    char label[32];
    int error = contest_open(session, workload, peers, session->options->rounds, &contest);

    snprintf(label, sizeof(label), "trial %u of %u, ", trial + 1, TRIALS);
    if (error == 0)
        error = contest_run(contest, label);
    if (error == 0) {
        struct report report = contest_report(contest);

        for (uint32_t i = 0; i < MARKS_N; i++) {
            if (marks[i].trial == trial)
                mark_score(&marks[i], &report, &scores[i]);
        }
    }
    contest_close(&contest);
    return error;
}

static int p99_measure(struct session *session, const struct workload *workload, double *p99)
{
    struct engine_result *result = malloc(sizeof(*result));
    struct engine_run *run = NULL;
    int error = result == NULL ? -ENOMEM : engine_run_open(session, workload, &run);

    if (error == 0)
        error = engine_run_once(run, NULL, result);
    if (error == 0 && result->measure.errors + result->background.errors != 0)
        error = -EIO;
    if (error == 0)
        *p99 = (double)ds_histogram_quantile(&result->latency_ns, 0.99);
    engine_run_close(&run);
    free(result);
    return error;
}

/* Each run has queues of its own: only while there is a realtime queue are the others held back. */
static int realtime_trial(struct session *session, const struct workload *workload, uint32_t trial,
                          struct score *scores)
{
    uint32_t rounds = session->options->rounds;
    double *ratios = calloc(rounds, sizeof(*ratios));
    int error = ratios == NULL ? -ENOMEM : 0;

    for (uint32_t i = 0; error == 0 && i < rounds; i++) {
        struct workload loaded = *workload;
        struct workload alone = *workload;
        double alone_ns = 0, loaded_ns = 0;

        loaded.priority = alone.priority = DS_PRIORITY_REALTIME;
        loaded.background = true;
        error = p99_measure(session, i % 2 == 0 ? &alone : &loaded,
                            i % 2 == 0 ? &alone_ns : &loaded_ns);
        if (error == 0)
            error = p99_measure(session, i % 2 == 0 ? &loaded : &alone,
                                i % 2 == 0 ? &loaded_ns : &alone_ns);
        ratios[i] = alone_ns > 0 ? loaded_ns / alone_ns : 0;
    }
    for (uint32_t i = 0; error == 0 && i < MARKS_N; i++) {
        if (marks[i].trial == trial)
            scores[i].value = median_take(ratios, rounds);
    }
    free(ratios);
    return error;
}

static void trial_skip(uint32_t trial, const char *why, struct score *scores)
{
    for (uint32_t i = 0; i < MARKS_N; i++) {
        if (marks[i].trial == trial)
            snprintf(scores[i].skipped, sizeof(scores[i].skipped), "%s", why);
    }
}

static void frames_score(const struct frame_trial *frames, uint32_t trial, struct score *scores)
{
    for (uint32_t i = 0; i < MARKS_N; i++) {
        int path = marks[i].figure == FRAME_COPY ? DS_VULKAN_PATH_COPY : DS_VULKAN_PATH_SCATTER;

        for (uint32_t k = 0; marks[i].trial == trial && k < frames->lanes_n; k++) {
            const struct frame_lane *lane = &frames->lanes[k];

            if (lane->options.copy_path != path)
                continue;
            if (lane->open)
                scores[i].value = frame_above_ms(frames, &lane->streams[0].frames, 0.99);
            else
                snprintf(scores[i].skipped, sizeof(scores[i].skipped), "%s", lane->skipped);
        }
    }
}

static int frames_trial(const struct options *base, const struct inputs *inputs, uint32_t trial,
                        struct score *scores)
{
    struct options options = *base;
    struct frame_trial frames;
    int error;

    options.command = COMMAND_FRAMETIME; /* for what it takes where nothing is said */
    options.rounds = base->rounds < FRAME_ROUNDS ? base->rounds : FRAME_ROUNDS;
    options.sizes = (struct number_list){.n = 1, .at = {trials[trial].size}};
    options_default(&options);
    error = frame_trial_open(&options, inputs, &frames);
    if (error != 0)
        return error;
    error = frame_trial_run(&frames, "frames, ");
    if (error == 0)
        frames_score(&frames, trial, scores);
    frame_trial_close(&frames);
    return error;
}

/* What a session is wanted for. */
static int session_trial(struct session *session, const struct workload *workload, uint32_t trial,
                         struct score *scores)
{
    const struct trial *t = &trials[trial];

    if (t->dest == DEST_GPU && session->dest != DEST_GPU)
        trial_skip(trial, session->device_reason, scores);
    else if (t->frames && session->gpu.info.device_type == VK_PHYSICAL_DEVICE_TYPE_CPU)
        trial_skip(trial, "a software device draws, copies and streams on one processor", scores);
    else if (t->frames)
        return frames_trial(session->options, &session->inputs, trial, scores);
    else if (t->realtime)
        return realtime_trial(session, workload, trial, scores);
    else
        return contest_trial(session, workload, t->peers, trial, scores);
    return 0;
}

static int trial_run(const struct options *base, const struct inputs *inputs, uint32_t trial,
                     struct score *scores)
{
    struct options options = trial_options(base, &trials[trial]);
    struct workload workload = workload_make(&options, 0, 0);
    struct session *session = calloc(1, sizeof(*session));
    bool own = options.packs && base->files_n == 0; /* made files hold what does not pack */
    int error = -ENOMEM;

    if (session != NULL)
        error = own ? session_open(&options, 1, session)
                    : session_open_on(&options, inputs, session);
    if (error == 0) {
        error = session_trial(session, &workload, trial, scores);
        session_close(session);
    }
    free(session);
    return error;
}

static bool is_met(const struct mark *mark, const struct score *score)
{
    return mark->at_most ? score->value <= mark->goal : score->value >= mark->goal;
}

static void marks_print(FILE *out, const struct score *scores)
{
    fprintf(out, "%-40s %12s   %14s\n", "mark", "measured", "goal");
    for (uint32_t i = 0; i < MARKS_N; i++) {
        const struct mark *m = &marks[i];

        if (scores[i].skipped[0] != '\0')
            fprintf(out, "%-40s skipped: %s\n", m->text, scores[i].skipped);
        else
            fprintf(out, "%-40s %12.*f   %s %11.*f   %s\n", m->text, m->figure == RATE ? 0 : 3,
                    scores[i].value, m->at_most ? "<=" : ">=", m->figure == RATE ? 0 : 3, m->goal,
                    is_met(m, &scores[i]) ? "met" : "MISSED");
    }
}

static void marks_write(FILE *out, void *ctx)
{
    const struct score *scores = ctx;
    struct json json = {.out = out};

    json_object(&json, NULL);
    json_string(&json, "schema", "dsbench/1");
    json_string(&json, "command", "marks");
    json_array(&json, "marks");
    for (uint32_t i = 0; i < MARKS_N; i++) {
        json_object(&json, NULL);
        json_string(&json, "mark", marks[i].text);
        json_number(&json, "goal", marks[i].goal);
        json_string(&json, "goal_is", marks[i].at_most ? "most" : "least");
        if (scores[i].skipped[0] != '\0') {
            json_string(&json, "skipped", scores[i].skipped);
        } else {
            json_number(&json, "value", scores[i].value);
            json_bool(&json, "met", is_met(&marks[i], &scores[i]));
        }
        json_object_end(&json);
    }
    json_array_end(&json);
    json_object_end(&json);
    fputc('\n', out);
}

static int marks_run(const struct options *options, const struct inputs *inputs,
                     struct score *scores)
{
    int error = 0;

    for (uint32_t i = 0; error == 0 && i < TRIALS; i++)
        error = trial_run(options, inputs, i, scores);
    if (error == 0 && !report_is_quiet(options))
        marks_print(stdout, scores);
    return error == 0 ? json_out_write(options, marks_write, scores) : error;
}

int command_marks(const struct options *options)
{
    struct score *scores = calloc(MARKS_N, sizeof(*scores));
    struct inputs inputs = {0};
    int error = scores == NULL ? -ENOMEM : inputs_open(options, 1, &inputs);
    bool met = true;

    if (error == 0) {
        error = marks_run(options, &inputs, scores);
        inputs_close(&inputs);
    }
    for (uint32_t i = 0; error == 0 && i < MARKS_N; i++)
        met = met && (scores[i].skipped[0] != '\0' || is_met(&marks[i], &scores[i]));
    free(scores);
    return error == 0 && met ? EXIT_SUCCESS : EXIT_FAILURE;
}
