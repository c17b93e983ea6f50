#include "json.h"
#include "option_table.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void config_write(struct json *json, const struct report *report)
{
    const struct workload *w = report->workload;
    const struct session *s = report->session;

    json_object(json, "config");
    json_array(json, "files");
    for (uint32_t i = 0; i < s->inputs.n; i++)
        json_string(json, NULL, s->inputs.list[i].path);
    json_array_end(json);
    json_integer(json, "files_bytes", s->inputs.bytes);
    json_integer(json, "size", w->size);
    json_integer(json, "depth", w->depth);
    json_integer(json, "clients", w->clients);
    json_string(json, "pattern", w->sequential ? "sequential" : "random");
    json_number(json, "seconds_max", (double)w->most_ns / NS_PER_S);
    json_integer(json, "requests_max", w->requests_max);
    json_string(json, "dest", dest_name(s->dest));
    json_integer(json, "lanes", s->info.read_lanes);
    json_integer(json, "arena_bytes", s->info.arena_bytes);
    json_bool(json, "warm", s->options->warm);
    json_bool(json, "verify", w->verify);
    json_string(json, "priority", priority_name(w->priority));
    json_bool(json, "background", w->background);
    json_string(json, "codec", option_word("codec", (int)w->codec));
    json_number(json, "rate", w->rate_per_s);
    json_string(json, "arrival",
                w->rate_per_s == 0 ? "closed" : w->poisson ? "poisson" : "fixed");
    json_integer(json, "seed", w->seed);
    json_object_end(json);
}

/* Asked for now: the first read from a device may have turned it off. */
static const char *uring_poll_name(const struct session *s)
{
    struct ds_engine_info info = {.struct_size = sizeof(info)};

    ds_engine_get_info(s->engine, &info);
    return option_word("uring-poll", info.uring_sqpoll   ? DS_URING_POLL_SQPOLL
                                     : info.uring_iopoll ? DS_URING_POLL_IOPOLL
                                                         : DS_URING_POLL_NONE);
}

static void mapped_write(struct json *json, const struct ds_vulkan_info *info)
{
    json_integer(json, "mapped_max_bytes", info->mapped_max_bytes);
    json_integer(json, "mapped_alone_max_bytes", info->mapped_alone_max_bytes);
    json_string(json, "mapped_reason", info->mapped_reason);
    json_integer(json, "mapping_write_ns", info->mapping_write_ns);
    json_integer(json, "staging_write_ns", info->staging_write_ns);
    json_integer(json, "submit_ns", info->submit_ns);
}

static void path_write(struct json *json, const struct session *s)
{
    json_object(json, "path");
    json_string(json, "device", session_device_name(s));
    json_string(json, "device_reason", s->device_reason);
    json_integer(json, "scatter_max_bytes", s->gpu.info.scatter_max_bytes);
    json_bool(json, "mapped", s->gpu.destinations_mapped);
    if (s->gpu.destinations_mapped)
        mapped_write(json, &s->gpu.info);
    json_string(json, "decode", s->info.decode_kind);
    json_string(json, "decode_reason", s->info.decode_reason);
    json_integer(json, "decode_cpu_bytes_per_s", s->gpu.info.decode_cpu_bytes_per_s);
    json_integer(json, "decode_gpu_bytes_per_s", s->gpu.info.decode_gpu_bytes_per_s);
    json_integer(json, "decode_nv_bytes_per_s", s->gpu.info.decode_nv_bytes_per_s);
    json_number(json, "decode_measure_ms", (double)s->gpu.info.decode_measure_ns / 1e6);
    json_string(json, "read", session_read_name(s));
    json_string(json, "read_reason", s->info.read_reason);
    json_string(json, "direct", session_direct_name(s));
    json_string(json, "direct_reason", s->file.direct_reason);
    json_string(json, "topology", session_topology_name(s));
    json_integer(json, "threads", s->info.threads);
    json_string(json, "arena", s->info.arena_kind);
    json_number(json, "arena_node", s->info.arena_node);
    json_bool(json, "fixed_buffers", s->info.uring_fixed_buffers);
    json_bool(json, "registered", s->registered);
    json_bool(json, "defer_taskrun", s->info.uring_defer_taskrun);
    json_string(json, "uring_poll", uring_poll_name(s));
    json_object_end(json);
}

static void latency_write(struct json *json, const struct ds_histogram *h)
{
    json_object(json, "latency_us");
    json_number(json, "p50", (double)ds_histogram_quantile(h, 0.5) / 1000);
    json_number(json, "p90", (double)ds_histogram_quantile(h, 0.9) / 1000);
    json_number(json, "p99", (double)ds_histogram_quantile(h, 0.99) / 1000);
    json_number(json, "p999", (double)ds_histogram_quantile(h, 0.999) / 1000);
    json_number(json, "max", (double)h->max / 1000);
    json_object_end(json);
}

static void open_write(struct json *json, const struct open_result *open)
{
    json_object(json, "open_loop");
    json_number(json, "offered_per_s", open->offered_per_s);
    json_integer(json, "unsent", open->unsent);
    json_number(json, "late_p50_us", (double)ds_histogram_quantile(&open->late_ns, 0.5) / 1000);
    json_number(json, "late_p99_us", (double)ds_histogram_quantile(&open->late_ns, 0.99) / 1000);
    json_object_end(json);
}

static void result_write(struct json *json, const struct report *report)
{
    const struct engine_result *r = report->result;

    json_object(json, "result");
    json_number(json, "seconds", (double)r->measure.wall_ns / NS_PER_S);
    json_integer(json, "requests", r->measure.requests);
    json_integer(json, "bytes", r->measure.bytes);
    json_number(json, "requests_per_s", report->requests_per_s);
    json_number(json, "requests_per_s_min", report->requests_per_s_least);
    json_number(json, "requests_per_s_max", report->requests_per_s_most);
    json_integer(json, "rounds", report->rounds);
    json_number(json, "bytes_per_s", report->bytes_per_s);
    json_number(json, "cpu_us_per_request", report->cpu_us_per_request);
    if (report->workload->clients > 0)
        json_number(json, "client_cpu_us_per_request",
                    measure_client_cpu_us_per_request(&r->measure));
    json_integer(json, "errors", r->measure.errors);
    if (r->packed_ratio > 0)
        json_number(json, "packed_ratio", r->packed_ratio);
    if (r->cpu_tiles > 0)
        json_integer(json, "cpu_decoded_tiles", r->cpu_tiles);
    if (r->gpu_batches > 0) {
        json_integer(json, "gpu_decoded_tiles", r->gpu_tiles);
        json_integer(json, "gpu_decode_batches", r->gpu_batches);
    }
    latency_write(json, &r->latency_ns);
    if (r->open.offered_per_s > 0)
        open_write(json, &r->open);
    json_object(json, "background");
    json_integer(json, "requests", r->background.requests);
    json_number(json, "bytes_per_s", measure_bytes_per_s(&r->background));
    json_integer(json, "errors", r->background.errors);
    json_object_end(json);
    json_object(json, "verify");
    json_integer(json, "bytes", r->verdict.bytes);
    json_integer(json, "mismatches", r->verdict.mismatches);
    json_object_end(json);
    json_object_end(json);
}

static void stages_write(struct json *json, const struct engine_result *r)
{
    json_array(json, "stages");
    for (uint32_t i = 0; i < DS_STAGE_COUNT; i++) {
        json_object(json, NULL);
        json_string(json, "name", ds_stage_name(i));
        json_integer(json, "items", r->stages[i].items);
        json_integer(json, "bytes", r->stages[i].bytes);
        json_number(json, "busy", r->stages[i].busy);
        json_number(json, "idle", r->stages[i].idle);
        json_number(json, "waiting", r->stages[i].waiting);
        json_number(json, "in_flight", r->stages[i].in_flight);
        json_integer(json, "batches", r->stages[i].batches);
        json_integer(json, "parks", r->stages[i].parks);
        json_object_end(json);
    }
    json_array_end(json);
}

static void peers_write(struct json *json, const struct report *report)
{
    json_array(json, "peers");
    for (uint32_t i = 0; i < report->peers_n; i++) {
        const struct peer_report *p = &report->peers[i];

        json_object(json, NULL);
        json_string(json, "name", p->name);
        if (p->skipped != NULL) {
            json_string(json, "skipped", p->skipped);
        } else {
            json_number(json, "requests_per_s", p->requests_per_s);
            json_number(json, "bytes_per_s", p->bytes_per_s);
            json_number(json, "cpu_us_per_request", p->cpu_us_per_request);
            json_number(json, "ratio", p->ratio);
            json_number(json, "ratio_min", p->ratio_least);
            json_number(json, "ratio_max", p->ratio_most);
            json_number(json, "cpu_ratio", p->cpu_ratio);
            json_integer(json, "rounds", p->rounds);
        }
        json_object_end(json);
    }
    json_array_end(json);
}

void report_write(FILE *out, const struct report *report)
{
    struct json json = {.out = out};

    json_object(&json, NULL);
    json_string(&json, "schema", "dsbench/1");
    json_string(&json, "command", command_name(report->session->options->command));
    if (report->id != NULL)
        json_string(&json, "id", report->id);
    config_write(&json, report);
    path_write(&json, report->session);
    result_write(&json, report);
    stages_write(&json, report->result);
    if (report->timeline != NULL)
        timeline_write(&json, report->timeline);
    peers_write(&json, report);
    json_object_end(&json);
    fputc('\n', out);
}

int report_json_check(const struct options *options)
{
    int fd;

    if (options->json == NULL || report_is_quiet(options))
        return 0;
    fd = open(options->json, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        int error = -errno;

        file_complain(options->json, error);
        return error;
    }
    close(fd);
    return 0;
}

int json_out_write(const struct options *options, void (*write)(FILE *out, void *ctx), void *ctx)
{
    FILE *out = stdout;
    int error;

    if (options->json == NULL)
        return 0;
    if (!report_is_quiet(options))
        out = fopen(options->json, "we");
    if (out == NULL) {
        error = -errno;
        file_complain(options->json, error);
        return error;
    }
    write(out, ctx);
    error = file_end(out);
    if (error != 0)
        file_complain(options->json, error);
    return error;
}

struct reports {
    const struct report *list;
    uint32_t n;
};

static void reports_write(FILE *out, void *ctx)
{
    const struct reports *reports = ctx;

    for (uint32_t i = 0; i < reports->n; i++)
        report_write(out, &reports->list[i]);
}

int report_json_write(const struct options *options, const struct report *reports, uint32_t n)
{
    return json_out_write(options, reports_write, &(struct reports){.list = reports, .n = n});
}
