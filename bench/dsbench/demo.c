/* dsbench demo: files to the GPU at several request sizes, every byte verified. */
#include "commands.h"
#include "demo_codecs.h"
#include "option_table.h"

#include <inttypes.h>
#include <stdlib.h>

#define DEMO_FILES   4
#define DEMO_SIZES   4
#define DEMO_LONGEST 10 /* times --seconds: on a slow disk a pass is cut */

static const struct {
    uint64_t size;
    uint32_t depth;
} demo_sizes[DEMO_SIZES] = {{4 << 10, 128}, {64 << 10, 64}, {1 << 20, 32}, {16 << 20, 8}};

struct demo {
    struct session session;
    struct workload workloads[DEMO_SIZES];
    struct engine_result results[DEMO_SIZES];
    uint32_t n; /* measured so far */
    struct demo_codecs codecs;
};

static void head_print(FILE *out)
{
    fprintf(out, "%7s %6s %9s %11s %15s %10s %10s %11s\n", "request", "depth", "GB/s", "requests/s",
            "CPU us/request", "p50 us", "p99 us", "mismatches");
}

static void row_print(FILE *out, const struct workload *workload,
                      const struct engine_result *result)
{
    const struct measure *m = &result->measure;
    char size[SIZE_TEXT_BYTES];

    fprintf(out, "%7s %6u %9.3f %11.0f %15.2f %10.1f %10.1f %11" PRIu64 "\n",
            size_text(size, workload->size), workload->depth, measure_bytes_per_s(m) / 1e9,
            measure_requests_per_s(m), measure_cpu_us_per_request(m),
            (double)ds_histogram_quantile(&result->latency_ns, 0.5) / 1000,
            (double)ds_histogram_quantile(&result->latency_ns, 0.99) / 1000,
            result->verdict.mismatches);
    fflush(out);
}

static int size_run(struct demo *demo, uint32_t index)
{
    struct session *session = &demo->session;
    struct workload *workload = &demo->workloads[demo->n];
    struct engine_run *run = NULL;
    char size[SIZE_TEXT_BYTES];
    int error;

    *workload = workload_make(session->options, demo_sizes[index].size, demo_sizes[index].depth);
    workload->most_ns = workload->least_ns * DEMO_LONGEST;
    error = engine_run_open(session, workload, &run);
    if (error == 0)
        error = engine_run_once(run, size_text(size, workload->size), &demo->results[demo->n]);
    engine_run_close(&run);
    if (error == 0 && !report_is_quiet(session->options))
        row_print(stdout, workload, &demo->results[demo->n]);
    demo->n += error == 0;
    return error;
}

static void summary_print(FILE *out, const struct demo *demo)
{
    char size[SIZE_TEXT_BYTES], bottleneck[BOTTLENECK_BYTES];

    fputc('\n', out);
    report_path(out, &demo->session);
    for (uint32_t i = 0; i < demo->n; i++)
        fprintf(out, "%-11s %s: %s\n", i == 0 ? "bottleneck" : "",
                size_text(size, demo->workloads[i].size),
                report_bottleneck(bottleneck, &demo->session, &demo->results[i]));
    for (uint32_t i = 0; i < demo->codecs.n; i++)
        fprintf(out, "%-11s %s: %s\n", "",
                option_word("codec", (int)demo->codecs.workloads[i].codec),
                report_bottleneck(bottleneck, &demo->codecs.session, &demo->codecs.results[i]));
}

static int demo_report(const struct demo *demo)
{
    const struct demo_codecs *codecs = &demo->codecs;
    struct report reports[DEMO_SIZES + DEMO_CODECS];
    uint64_t mismatches = 0, errors = 0, bytes = 0;
    uint32_t n = 0;
    int error;

    for (uint32_t i = 0; i < demo->n; i++)
        reports[n++] = report_make(&demo->session, &demo->workloads[i], &demo->results[i]);
    for (uint32_t i = 0; i < codecs->n; i++)
        reports[n++] = report_make(&codecs->session, &codecs->workloads[i], &codecs->results[i]);
    for (uint32_t i = 0; i < n; i++) {
        bytes += reports[i].result->verdict.bytes;
        mismatches += reports[i].result->verdict.mismatches;
        errors += reports[i].result->measure.errors;
    }
    if (!report_is_quiet(demo->session.options)) {
        summary_print(stdout, demo);
        printf("verified    %.1f MiB, %" PRIu64 " bytes differ, %" PRIu64 " errors: %s\n",
               (double)bytes / (1 << 20), mismatches, errors,
               mismatches == 0 && errors == 0 ? "all well" : "FAILED");
    }
    error = report_json_write(demo->session.options, reports, n);
    return error == 0 && mismatches == 0 && errors == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int demo_perform(struct demo *demo)
{
    const struct options *options = demo->session.options;
    uint32_t n = options->size != 0 ? 1 : DEMO_SIZES;
    int error = 0;

    if (!report_is_quiet(options)) {
        printf("%u file%s, %.1f MiB together -> %s\n\n", demo->session.inputs.n,
               demo->session.inputs.n == 1 ? "" : "s",
               (double)demo->session.inputs.bytes / (1 << 20),
               demo->session.dest == DEST_GPU ? demo->session.gpu.info.device_name
                                              : "host memory (no GPU is used)");
        head_print(stdout);
    }
    for (uint32_t i = 0; error == 0 && i < n; i++) {
        error = size_run(demo, i);
        if (error == 0 && demo->results[i].measure.errors != 0)
            break; /* the report says so */
    }
    if (error == 0 && n == DEMO_SIZES && demo->n == n && !option_given(options, "codec") &&
        options->read != DS_READ_NIL)
        error = demo_codecs_run(&demo->codecs, options, report_is_quiet(options) ? NULL : stdout);
    return error == 0 ? demo_report(demo) : EXIT_FAILURE;
}

int command_demo(const struct options *options)
{
    struct demo *demo = calloc(1, sizeof(*demo));
    int status;

    if (demo == NULL)
        return EXIT_FAILURE;
    status = session_open(options, DEMO_FILES, &demo->session) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    if (status == EXIT_SUCCESS) {
        status = demo_perform(demo);
        demo_codecs_close(&demo->codecs);
        session_close(&demo->session);
    }
    free(demo);
    return status;
}
