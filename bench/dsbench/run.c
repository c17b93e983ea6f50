/* dsbench run: one workload. */
#include "commands.h"
#include "report.h"

#include <stdlib.h>

struct workload workload_make(const struct options *options, uint64_t size, uint32_t depth)
{
    uint64_t ns = (uint64_t)(options->seconds * NS_PER_S);

    return (struct workload){
        .size = options->size != 0 ? options->size : size,
        .depth = options->depth != 0 ? options->depth : depth,
        .sequential = options->sequential,
        .clients = options->clients,
        .verify = options->verify,
        .priority = options->priority,
        .background = options->background,
        .codec = (uint32_t)options->codec,
        .level = options->level,
        .rate_per_s = options->rate,
        .poisson = options->poisson != 0,
        .timeline_ms = options->timeline_ms,
        .requests_max = options->requests,
        .least_ns = ns != 0 ? ns : UINT64_MAX,
        .most_ns = ns,
        .seed = options->seed,
    };
}

static int result_report(const struct session *session, const struct workload *workload,
                         const struct engine_result *result, const struct timeline *timeline)
{
    struct report report = report_make(session, workload, result);
    int error;

    report.timeline = timeline;
    if (!report_is_quiet(session->options)) {
        report_workload(stdout, session, workload);
        report_rates(stdout, &report);
        report_path(stdout, session);
        report_stages(stdout, &report);
    }
    error = report_json_write(session->options, &report, 1);
    return error != 0 || result->measure.errors != 0 || result->background.errors != 0 ||
                   result->verdict.mismatches != 0
               ? EXIT_FAILURE
               : EXIT_SUCCESS;
}

int command_run(const struct options *options)
{
    struct workload workload = workload_make(options, 0, 0);
    struct engine_run *run = NULL;
    struct engine_result result;
    struct session session;
    int status = EXIT_FAILURE;

    if (session_open(options, 1, &session) != 0)
        return EXIT_FAILURE;
    if (engine_run_open(&session, &workload, &run) == 0 &&
        engine_run_once(run, "running", &result) == 0)
        status = result_report(&session, &workload, &result, engine_run_timeline(run));
    engine_run_close(&run);
    session_close(&session);
    return status;
}
