/* dsbench frametime: how long frames take while the engine streams, beside how long they take when
 * it does not. */
#include "commands.h"
#include "frame_trial.h"
#include "json.h"
#include "option_table.h"
#include "report.h"

#include <stdlib.h>

#define GOAL_MS 0.5 /* of the p99 above idle */

static const struct frame_lane *lane_first(const struct frame_trial *t)
{
    uint32_t i = 0;

    while (!t->lanes[i].open) /* one at least is open */
        i++;
    return &t->lanes[i];
}

static double ms_at(const uint64_t *ns, uint32_t n, double q)
{
    return (double)frames_quantile(ns, n, q) / 1e6;
}

static void head_print(FILE *out, const struct frame_trial *t)
{
    const struct frame_lane *lane = lane_first(t);

    fprintf(out,
            "frames      %g a second of %g ms each: %u passes over %u pixels, %s queue of %s\n",
            t->options->fps, t->options->frame_work_ms, t->work.passes, t->work.pixels,
            renderer_queue_name(lane->renderer), session_device_name(&lane->session));
    if (lane->session.gpu.info.device_type == VK_PHYSICAL_DEVICE_TYPE_CPU)
        fputs("            a software device: frames, copies and engine share the processor\n",
              out);
    fprintf(out, "data        %s\n\n",
            t->options->read == DS_READ_NIL ? "none is read: the engine copies as fast as it can"
                                            : "from the disk");
    fprintf(out, "%-8s %7s %6s %6s %9s %8s %8s %8s %8s %9s %8s %8s %7s\n", "copy", "request",
            "depth", "groups", "GB/s", "p50 ms", "p99 ms", "p99.9", "max", "p99-idle", "GPU p50",
            "GPU p99", "missed");
}

static void times_print(FILE *out, const struct frames *f)
{
    fprintf(out, " %8.3f %8.3f %8.3f %8.3f", ms_at(f->frame_ns, f->n, 0.5),
            ms_at(f->frame_ns, f->n, 0.99), ms_at(f->frame_ns, f->n, 0.999),
            ms_at(f->frame_ns, f->n, 1));
}

static void gpu_print(FILE *out, const struct frames *f)
{
    if (f->gpu_n == 0)
        fprintf(out, " %8s %8s", "-", "-");
    else
        fprintf(out, " %8.3f %8.3f", ms_at(f->gpu_ns, f->gpu_n, 0.5),
                ms_at(f->gpu_ns, f->gpu_n, 0.99));
    fprintf(out, " %7u\n", f->missed);
}

static void stream_print(FILE *out, const struct frame_trial *t, const struct frame_lane *lane,
                         const struct frame_stream *s)
{
    char size[SIZE_TEXT_BYTES], groups[24] = "-";

    if (lane->options.copy_path != DS_VULKAN_PATH_COPY && lane->options.scatter_groups.at[0] != 0)
        snprintf(groups, sizeof(groups), "%u", (uint32_t)lane->options.scatter_groups.at[0]);
    fprintf(out, "%-8s %7s %6u %6s %9.3f", option_word("copy-path", lane->options.copy_path),
            size_text(size, s->size), s->depth, groups, measure_bytes_per_s(&s->measure) / 1e9);
    times_print(out, &s->frames);
    fprintf(out, " %+9.3f", frame_above_ms(t, &s->frames, 0.99));
    gpu_print(out, &s->frames);
}

static void trial_print(FILE *out, const struct frame_trial *t)
{
    double most_ms = 0;

    head_print(out, t);
    fprintf(out, "%-8s %7s %6s %6s %9s", "idle", "", "", "", "");
    times_print(out, &t->idle);
    fprintf(out, " %9s", "");
    gpu_print(out, &t->idle);
    for (uint32_t i = 0; i < t->lanes_n; i++) {
        const struct frame_lane *lane = &t->lanes[i];

        if (!lane->open)
            fprintf(out, "%-8s skipped: %s\n", option_word("copy-path", lane->options.copy_path),
                    lane->skipped);
        for (uint32_t k = 0; k < lane->streams_n; k++) {
            double above_ms = frame_above_ms(t, &lane->streams[k].frames, 0.99);

            stream_print(out, t, lane, &lane->streams[k]);
            most_ms = above_ms > most_ms ? above_ms : most_ms;
        }
    }
    fprintf(out, "\np99         at most %.3f ms above idle (goal: %.1f): %s\n", most_ms, GOAL_MS,
            most_ms <= GOAL_MS ? "met" : "MISSED");
}

static void times_write(struct json *json, const char *key, const uint64_t *ns, uint32_t n)
{
    json_object(json, key);
    json_number(json, "p50", ms_at(ns, n, 0.5));
    json_number(json, "p99", ms_at(ns, n, 0.99));
    json_number(json, "p999", ms_at(ns, n, 0.999));
    json_number(json, "max", ms_at(ns, n, 1));
    json_object_end(json);
}

static void config_write(struct json *json, const struct frame_trial *t,
                         const struct frame_lane *lane, const struct frame_stream *s)
{
    json_object(json, "config");
    json_number(json, "fps", t->options->fps);
    json_number(json, "frame_work_ms", t->options->frame_work_ms);
    json_integer(json, "passes", t->work.passes);
    json_integer(json, "pixels", t->work.pixels);
    json_number(json, "seconds", t->options->seconds);
    json_integer(json, "rounds", t->options->rounds);
    json_string(json, "load", s == NULL ? "idle" : "stream");
    if (s != NULL) {
        json_string(json, "copy_path", option_word("copy-path", lane->options.copy_path));
        json_integer(json, "scatter_groups", lane->options.scatter_groups.at[0]);
        json_integer(json, "size", s->size);
        json_integer(json, "depth", s->depth);
    }
    json_object_end(json);
}

/* s NULL: idle. */
static void row_write(FILE *out, const struct frame_trial *t, const struct frame_lane *lane,
                      const struct frame_stream *s)
{
    const struct frames *f = s == NULL ? &t->idle : &s->frames;
    const struct ds_vulkan_info *gpu = &lane->session.gpu.info;
    struct json json = {.out = out};

    json_object(&json, NULL);
    json_string(&json, "schema", "dsbench/1");
    json_string(&json, "command", "frametime");
    config_write(&json, t, lane, s);
    json_object(&json, "path");
    json_string(&json, "device", session_device_name(&lane->session));
    json_string(&json, "read", session_read_name(&lane->session));
    json_string(&json, "topology", session_topology_name(&lane->session));
    json_string(&json, "frame_queue", renderer_queue_name(lane->renderer));
    json_bool(&json, "transfer_queue", gpu->transfer_queue);
    json_bool(&json, "one_queue", gpu->queue == gpu->app_queue);
    json_object_end(&json);
    json_object(&json, "result");
    json_integer(&json, "frames", f->n);
    json_integer(&json, "missed", f->missed);
    times_write(&json, "frame_ms", f->frame_ns, f->n);
    if (f->gpu_n > 0)
        times_write(&json, "gpu_ms", f->gpu_ns, f->gpu_n);
    if (s != NULL) {
        json_number(&json, "p99_above_idle_ms", frame_above_ms(t, f, 0.99));
        json_number(&json, "bytes_per_s", measure_bytes_per_s(&s->measure));
        json_number(&json, "requests_per_s", measure_requests_per_s(&s->measure));
    }
    json_object_end(&json);
    json_object_end(&json);
    fputc('\n', out);
}

static void trial_write(FILE *out, void *ctx)
{
    const struct frame_trial *t = ctx;

    row_write(out, t, lane_first(t), NULL);
    for (uint32_t i = 0; i < t->lanes_n; i++) {
        for (uint32_t k = 0; k < t->lanes[i].streams_n; k++)
            row_write(out, t, &t->lanes[i], &t->lanes[i].streams[k]);
    }
}

static int inputs_measure(const struct options *options, const struct inputs *inputs)
{
    struct frame_trial trial;
    int error = frame_trial_open(options, inputs, &trial);

    if (error != 0)
        return error;
    error = frame_trial_run(&trial, "");
    if (error == 0 && !report_is_quiet(options))
        trial_print(stdout, &trial);
    if (error == 0)
        error = json_out_write(options, trial_write, &trial);
    frame_trial_close(&trial);
    return error;
}

int command_frametime(const struct options *options)
{
    struct inputs inputs;
    int error = inputs_open(options, 1, &inputs);

    if (error == 0) {
        error = inputs_measure(options, &inputs);
        inputs_close(&inputs);
    }
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
