#include "report.h"

#include "option_table.h"
#include "series.h"

#include <inttypes.h>
#include <string.h>

/* From here on a thread, a stage is what a run waits for. */
#define THREAD_LOADED 0.85
#define STAGE_LOADED  0.5

struct report report_make(const struct session *session, const struct workload *workload,
                          const struct engine_result *result)
{
    return (struct report){
        .session = session,
        .workload = workload,
        .result = result,
        .requests_per_s = measure_requests_per_s(&result->measure),
        .bytes_per_s = measure_bytes_per_s(&result->measure),
        .cpu_us_per_request = measure_cpu_us_per_request(&result->measure),
        .requests_per_s_least = measure_requests_per_s(&result->measure),
        .requests_per_s_most = measure_requests_per_s(&result->measure),
        .rounds = 1,
    };
}

void report_rates_median(struct report *report, struct series *series)
{
    report->requests_per_s = median_take(series->requests_per_s, series->n);
    report->bytes_per_s = median_take(series->bytes_per_s, series->n);
    report->cpu_us_per_request = median_take(series->cpu_us_per_request, series->n);
    report->rounds = series->n;
    if (series->n == 0)
        return;
    report->requests_per_s_least = series->requests_per_s[0];
    report->requests_per_s_most = series->requests_per_s[series->n - 1];
}

bool report_is_quiet(const struct options *options)
{
    return options->json != NULL && strcmp(options->json, "-") == 0;
}

/* What held the run up: the stage with the largest share of busy and waiting. What submit waits for
 * is memory, that is for the stages behind it, so only its work counts. */
static uint32_t bottleneck_find(const struct engine_result *result)
{
    uint32_t found = DS_STAGE_SUBMIT;
    double most = result->stages[DS_STAGE_SUBMIT].busy;

    for (uint32_t i = DS_STAGE_READ; i < DS_STAGE_COUNT; i++) {
        double share = result->stages[i].busy + result->stages[i].waiting;

        if (share > most) {
            most = share;
            found = i;
        }
    }
    return found;
}

static const char *bottleneck_name(const struct session *session, uint32_t stage, bool waiting)
{
    bool gpu = session->dest == DEST_GPU;

    switch (stage) {
    case DS_STAGE_READ:
        if (waiting)
            return session->file.direct ? "disk" : "disk or page cache";
        return "CPU, reading";
    case DS_STAGE_DECODE:
        return waiting ? "CPU, decoding (decode_threads)" : "CPU, decoding";
    case DS_STAGE_COPY:
        return gpu ? waiting ? "GPU copy" : "CPU, recording GPU copies" : "CPU, copying";
    case DS_STAGE_COMPLETE:
        return gpu && waiting ? "GPU copy" : "CPU, completing";
    default:
        return "CPU, submitting";
    }
}

/* A thread that runs the stages [first, end). */
struct crew {
    uint32_t first, end;
    const char *text;
};

/* One thread for several stages is one resource: their work adds up. Further read lanes have
 * threads of their own in HYBRID, so that the sum is the front thread's only with one lane. */
static uint32_t crews_of(const struct session *session, const struct crew **crews)
{
    static const struct crew shared[] = {{0, DS_STAGE_COUNT, "one thread runs all stages"}};
    static const struct crew hybrid[] = {
        {DS_STAGE_COPY, DS_STAGE_COUNT, "one thread runs copy and complete"},
        {0, DS_STAGE_COPY, "one thread runs submit, read and decode"},
    };

    *crews = session->info.topology == DS_TOPOLOGY_SHARED ? shared : hybrid;
    if (session->info.topology == DS_TOPOLOGY_SHARED)
        return 1;
    if (session->info.topology == DS_TOPOLOGY_HYBRID)
        return session->info.read_lanes == 1 ? 2 : 1;
    return 0;
}

/* The busiest of these threads, or NULL; *most is its busiest stage. */
static const struct crew *crew_busiest(const struct session *session,
                                       const struct engine_result *result, double *busy,
                                       uint32_t *most)
{
    const struct crew *crews, *found = NULL;
    uint32_t n = crews_of(session, &crews);

    *busy = 0;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t busiest = crews[k].first;
        double sum = 0;

        for (uint32_t i = crews[k].first; i < crews[k].end; i++) {
            sum += result->stages[i].busy;
            if (result->stages[i].busy > result->stages[busiest].busy)
                busiest = i;
        }
        if (sum > *busy) {
            *busy = sum;
            *most = busiest;
            found = &crews[k];
        }
    }
    return found;
}

const char *report_bottleneck(char *buffer, const struct session *session,
                              const struct engine_result *result)
{
    uint32_t stage = bottleneck_find(result);
    const struct stage_share *s = &result->stages[stage];
    uint32_t busiest = DS_STAGE_SUBMIT;
    double busy;
    const struct crew *crew = crew_busiest(session, result, &busy, &busiest);

    if (crew != NULL && busy >= THREAD_LOADED)
        snprintf(buffer, BOTTLENECK_BYTES, "%s (%s, %.0f %% busy, %.0f %% in the %s stage)",
                 bottleneck_name(session, busiest, false), crew->text, busy * 100,
                 result->stages[busiest].busy * 100, ds_stage_name(busiest));
    else if (s->busy + s->waiting < STAGE_LOADED)
        snprintf(buffer, BOTTLENECK_BYTES,
                 "latency (no stage is loaded above %.0f %%; a greater --depth helps)",
                 (s->busy + s->waiting) * 100);
    else
        snprintf(buffer, BOTTLENECK_BYTES, "%s (%s stage: %.0f %% busy, %.0f %% waiting)",
                 bottleneck_name(session, stage, s->waiting > s->busy), ds_stage_name(stage),
                 s->busy * 100, s->waiting * 100);
    return buffer;
}

void report_workload(FILE *out, const struct session *session, const struct workload *workload)
{
    char size[SIZE_TEXT_BYTES];
    const struct inputs *inputs = &session->inputs;

    fprintf(out, "workload    %s %s, depth %u, %s priority, %u file%s of %.1f MiB together\n",
            size_text(size, workload->size), workload->sequential ? "sequential" : "random",
            workload->depth, priority_name(workload->priority), inputs->n,
            inputs->n == 1 ? "" : "s", (double)inputs->bytes / (1 << 20));
}

void report_codec(FILE *out, const struct report *report)
{
    double ratio = report->result->packed_ratio;

    if (ratio > 0)
        fprintf(out, "codec       %s, %.2f to 1: effective %.3f GB/s, %.3f GB/s packed\n",
                option_word("codec", (int)report->workload->codec), ratio,
                report->bytes_per_s / 1e9, report->bytes_per_s / ratio / 1e9);
}

void report_rates(FILE *out, const struct report *report)
{
    const struct engine_result *r = report->result;
    const struct ds_histogram *h = &r->latency_ns;

    fprintf(out, "rate        %.3f GB/s, %.0f requests/s, %.2f us CPU a request, %.2f s\n",
            report->bytes_per_s / 1e9, report->requests_per_s, report->cpu_us_per_request,
            (double)r->measure.wall_ns / NS_PER_S);
    if (report->workload->clients > 0)
        fprintf(out, "clients     %u, %.2f us of that CPU time; %.2f us are the engine's\n",
                report->workload->clients, measure_client_cpu_us_per_request(&r->measure),
                report->cpu_us_per_request - measure_client_cpu_us_per_request(&r->measure));
    fprintf(out, "latency     p50 %.1f us, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f\n",
            (double)ds_histogram_quantile(h, 0.5) / 1000,
            (double)ds_histogram_quantile(h, 0.9) / 1000,
            (double)ds_histogram_quantile(h, 0.99) / 1000,
            (double)ds_histogram_quantile(h, 0.999) / 1000, (double)h->max / 1000);
    report_codec(out, report);
    if (r->open.offered_per_s > 0)
        fprintf(out,
                "offered     %.0f requests/s (%s intervals), %.0f completed, %" PRIu64
                " never sent; p99 sent %.1f us late\n",
                r->open.offered_per_s, report->workload->poisson ? "Poisson" : "fixed",
                report->requests_per_s, r->open.unsent,
                (double)ds_histogram_quantile(&r->open.late_ns, 0.99) / 1000);
    if (r->background.requests > 0)
        fprintf(out, "background  %.3f GB/s, %.0f requests/s of low priority\n",
                measure_bytes_per_s(&r->background) / 1e9,
                measure_requests_per_s(&r->background));
    if (r->verified)
        fprintf(out, "verified    %.1f MiB, %" PRIu64 " bytes differ, %" PRIu64 " errors\n",
                (double)r->verdict.bytes / (1 << 20), r->verdict.mismatches, r->measure.errors);
    else
        fprintf(out, "verified    no; %" PRIu64 " errors\n", r->measure.errors);
}

static void device_print(FILE *out, const struct session *s)
{
    static const char *const types[] = {"other", "integrated", "discrete", "virtual", "software"};
    unsigned type = (unsigned)s->gpu.info.device_type;
    char copies[96];

    if (s->dest == DEST_NIL)
        fputs("device      none: --dest nil, nothing is copied\n", out);
    else if (s->dest == DEST_HOST && s->device_reason[0] == '\0')
        fprintf(out, "device      none: --dest host%s\n",
                s->registered ? ", registered with io_uring" : "");
    else if (s->dest == DEST_HOST)
        fprintf(out, "device      none, copying to host memory: %s\n", s->device_reason);
    else
        fprintf(out, "device      %s (%s, %s queue); copies by %s\n", s->gpu.info.device_name,
                type < sizeof(types) / sizeof(types[0]) ? types[type] : "unknown",
                s->gpu.info.transfer_queue ? "transfer" : "general",
                session_copies(s, copies, sizeof(copies)));
}

static void mapped_print(FILE *out, const struct session *s)
{
    const struct ds_vulkan_info *info = &s->gpu.info;
    char text[48];

    fprintf(out, "mapped      %s: %s", session_mapped(s, text, sizeof(text)), info->mapped_reason);
    if (info->mapping_write_ns != 0)
        fprintf(out, "; CPU us for 1 MiB there %.1f, to staging %.1f, for a submission %.1f",
                info->mapping_write_ns / 1e3, info->staging_write_ns / 1e3,
                info->submit_ns / 1e3);
    fputc('\n', out);
}

/* A reason often begins with the name itself. */
static void reason_print(FILE *out, const char *label, const char *name, const char *reason)
{
    if (strncmp(reason, name, strlen(name)) == 0)
        fprintf(out, "%-11s %s\n", label, reason);
    else
        fprintf(out, "%-11s %s: %s\n", label, name, reason);
}

/* And what was measured for it. */
static void decode_print(FILE *out, const struct session *session)
{
    const struct ds_vulkan_info *gpu = &session->gpu.info;

    reason_print(out, "decode", session->info.decode_kind, session->info.decode_reason);
    if (gpu->decode_cpu_bytes_per_s == 0)
        return;
    fprintf(out, "            measured in %.1f ms: CPU %.1f GB/s a thread",
            (double)gpu->decode_measure_ns / 1e6, (double)gpu->decode_cpu_bytes_per_s / 1e9);
    if (gpu->decode_gpu_bytes_per_s != 0)
        fprintf(out, ", shader %.1f GB/s", (double)gpu->decode_gpu_bytes_per_s / 1e9);
    if (gpu->decode_nv_bytes_per_s != 0)
        fprintf(out, ", NV %.1f GB/s", (double)gpu->decode_nv_bytes_per_s / 1e9);
    fputc('\n', out);
}

void report_path(FILE *out, const struct session *session)
{
    const struct ds_engine_info *info = &session->info;

    device_print(out, session);
    if (session->gpu.destinations_mapped)
        mapped_print(out, session);
    if (session->dest == DEST_GPU && session->options->codec == DS_CODEC_GDEFLATE)
        decode_print(out, session);
    reason_print(out, "read", session_read_name(session), info->read_reason);
    reason_print(out, "direct", session_direct_name(session), session->file.direct_reason);
    fprintf(out, "topology    %s, %u thread%s, %u read lane%s; arena %.0f MiB, %s memory%s\n",
            session_topology_name(session), info->threads, info->threads == 1 ? "" : "s",
            info->read_lanes, info->read_lanes == 1 ? "" : "s",
            (double)info->arena_bytes / (1 << 20), info->arena_kind,
            info->arena_huge_pages ? ", huge pages" : "");
}

/* Where the depth goes: what lies behind the read is not in the disk. */
static void in_flight_print(FILE *out, const struct engine_result *result)
{
    fprintf(out, "in flight  ");
    for (uint32_t i = 0; i < DS_STAGE_COUNT; i++)
        fprintf(out, "%s %s %.1f", i == 0 ? "" : ",", ds_stage_name(i),
                result->stages[i].in_flight);
    fprintf(out, " (chunks, on average)\n");
}

/* Who has decoded, where the GPU may. */
static void tiles_print(FILE *out, const struct engine_result *result)
{
    bool balanced = result->backlog_bytes != 0;

    if (result->gpu_batches > 0)
        fprintf(out, "gpu decode  %" PRIu64 " tiles in %" PRIu64 " batches, %.1f a batch\n",
                result->gpu_tiles, result->gpu_batches,
                (double)result->gpu_tiles / (double)result->gpu_batches);
    if (balanced && result->cpu_tiles > 0)
        fprintf(out, "cpu decode  %" PRIu64 " tiles, %.1f %%\n", result->cpu_tiles,
                100.0 * (double)result->cpu_tiles /
                    (double)(result->cpu_tiles + result->gpu_tiles));
    if (balanced)
        fprintf(out, "balance     the threads %.2f GB/s, a batch of the GPU's %.2f ms: %.1f MB for "
                     "the threads\n",
                (double)result->threads_bytes_per_s / 1e9, (double)result->batch_ns / 1e6,
                (double)result->backlog_bytes / 1e6);
}

void report_stages(FILE *out, const struct report *report)
{
    char bottleneck[BOTTLENECK_BYTES];

    fprintf(out, "stages     ");
    for (uint32_t i = 0; i < DS_STAGE_COUNT; i++) {
        const struct stage_share *s = &report->result->stages[i];

        fprintf(out, "%s %s %.0f/%.0f/%.0f", i == 0 ? "" : ",", ds_stage_name(i), s->busy * 100,
                s->waiting * 100, s->idle * 100);
    }
    fprintf(out, " (%% busy/waiting/idle)\n");
    in_flight_print(out, report->result);
    tiles_print(out, report->result);
    fprintf(out, "bottleneck  %s\n",
            report_bottleneck(bottleneck, report->session, report->result));
}
