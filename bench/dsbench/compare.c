/* dsbench compare: one workload through the engine and its peers. */
#include "commands.h"
#include "contest.h"

#include <stdlib.h>

static void table_print(FILE *out, const struct report *report)
{
    fprintf(out, "\n%-8s %11s %9s %15s %9s   %s\n", "", "requests/s", "GB/s", "CPU us/request",
            "CPU ratio", "engine / peer: median (min..max) of pairs");
    fprintf(out, "%-8s %11.0f %9.3f %15.2f\n", "engine", report->requests_per_s,
            report->bytes_per_s / 1e9, report->cpu_us_per_request);
    for (uint32_t i = 0; i < report->peers_n; i++) {
        const struct peer_report *p = &report->peers[i];

        if (p->skipped != NULL)
            fprintf(out, "%-8s skipped: %s\n", p->name, p->skipped);
        else
            fprintf(out, "%-8s %11.0f %9.3f %15.2f %9.2f   %.3f (%.3f..%.3f), %u pairs\n", p->name,
                    p->requests_per_s, p->bytes_per_s / 1e9, p->cpu_us_per_request, p->cpu_ratio,
                    p->ratio, p->ratio_least, p->ratio_most, p->rounds);
    }
    fputc('\n', out);
}

/* What packing promises: to read the blocks in a fraction of the time that raw takes for what they
 * hold. Nobody else unpacks, so only raw, the disk at its best, is a yardstick. */
static void codec_print(FILE *out, const struct report *report)
{
    double packed_ratio = report->result->packed_ratio;

    if (packed_ratio <= 0)
        return;
    report_codec(out, report);
    for (uint32_t i = 0; i < report->peers_n; i++) {
        const struct peer_report *p = &report->peers[i];

        if (p->peer == PEER_RAW && p->skipped == NULL)
            fprintf(out, "promise     effective / raw %.2f, packed %.2f to 1: %.0f %% of it\n",
                    p->ratio, packed_ratio, 100 * p->ratio / packed_ratio);
    }
}

static int compare_report(struct contest *contest)
{
    struct report report = contest_report(contest);

    if (!report_is_quiet(report.session->options)) {
        report_workload(stdout, report.session, report.workload);
        table_print(stdout, &report);
        codec_print(stdout, &report);
        report_path(stdout, report.session);
        report_stages(stdout, &report);
    }
    return report_json_write(report.session->options, &report, 1);
}

int command_compare(const struct options *options)
{
    struct workload workload = workload_make(options, 0, 0);
    struct session *session = calloc(1, sizeof(*session));
    struct contest *contest = NULL;
    int error;

    if (session == NULL)
        return EXIT_FAILURE;
    error = session_open(options, 1, session);
    if (error == 0) {
        error = contest_open(session, &workload, options->peers, options->rounds, &contest);
        if (error == 0)
            error = contest_run(contest, "");
        if (error == 0)
            error = compare_report(contest);
        contest_close(&contest);
        session_close(session);
    }
    free(session);
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
