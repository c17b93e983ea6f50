#include "demo_codecs.h"

#include "commands.h"
#include "option_table.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define FILES   4
#define SIZE    ((uint64_t)256 << 10) /* of a block: four tiles of GDeflate */
#define DEPTH   32
#define LONGEST 10 /* times --seconds */

static const int codecs[DEMO_CODECS] = {0, DS_CODEC_GDEFLATE, DS_CODEC_ZSTD, DS_CODEC_LZ4};

static void head_print(FILE *out)
{
    fprintf(out, "\nthe same content packed, decoded on its way; %u KiB a request, depth %u\n",
            (unsigned)(SIZE >> 10), DEPTH);
    fprintf(out, "%-9s %6s %14s %9s %15s %10s %10s %11s\n", "codec", "ratio", "effective GB/s",
            "disk GB/s", "CPU us/request", "p50 us", "p99 us", "mismatches");
}

static void row_print(FILE *out, const struct workload *workload,
                      const struct engine_result *result)
{
    const struct measure *m = &result->measure;
    double ratio = result->packed_ratio > 0 ? result->packed_ratio : 1;

    fprintf(out, "%-9s %6.2f %14.3f %9.3f %15.2f %10.1f %10.1f %11" PRIu64 "\n",
            option_word("codec", (int)workload->codec), ratio, measure_bytes_per_s(m) / 1e9,
            measure_bytes_per_s(m) / ratio / 1e9, measure_cpu_us_per_request(m),
            (double)ds_histogram_quantile(&result->latency_ns, 0.5) / 1000,
            (double)ds_histogram_quantile(&result->latency_ns, 0.99) / 1000,
            result->verdict.mismatches);
    fflush(out);
}

static int codec_run(struct demo_codecs *demo, FILE *out)
{
    struct workload *workload = &demo->workloads[demo->n];
    struct engine_result *result = &demo->results[demo->n];
    struct engine_run *run = NULL;
    int error;

    *workload = workload_make(&demo->options, SIZE, DEPTH);
    workload->most_ns = workload->least_ns * LONGEST;
    error = engine_run_open(&demo->session, workload, &run);
    if (error == 0)
        error = engine_run_once(run, option_word("codec", demo->options.codec), result);
    engine_run_close(&run);
    if (error == 0 && out != NULL)
        row_print(out, workload, result);
    demo->n += error == 0;
    return error;
}

static bool is_built(int codec)
{
    struct ds_codec *made = NULL;
    bool built = codec == 0 || ds_codec_create((enum ds_codec_format)codec, NULL, &made) == 0;

    ds_codec_destroy(&made);
    return built;
}

int demo_codecs_run(struct demo_codecs *demo, const struct options *options, FILE *out)
{
    int error;

    demo->options = *options;
    demo->options.packs = true;
    error = session_open(&demo->options, FILES, &demo->session);
    demo->open = error == 0;
    if (error == 0 && out != NULL)
        head_print(out);
    for (uint32_t i = 0; error == 0 && i < DEMO_CODECS; i++) {
        demo->options.codec = codecs[i];
        if (is_built(codecs[i]))
            error = codec_run(demo, out);
        else if (out != NULL)
            fprintf(out, "%-9s skipped: not in this build\n", option_word("codec", codecs[i]));
        if (error == 0 && demo->n > 0 && demo->results[demo->n - 1].measure.errors != 0)
            break; /* the report says so */
    }
    return error;
}

void demo_codecs_close(struct demo_codecs *demo)
{
    if (demo->open)
        session_close(&demo->session);
    demo->open = false;
}
