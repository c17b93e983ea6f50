/* fio, when it is installed: the yardstick that others know. Its own run time and CPU figures are
 * used, so that its start does not count. */
#include "json_read.h"
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_BYTES   ((size_t)1 << 20)
#define START_NS       ((uint64_t)60 * NS_PER_S) /* the most that fio may take beside its run */
#define ARGUMENTS_MAX  32
#define ARGUMENT_BYTES 64

struct fio {
    char *filenames; /* --filename=a:b */
    char *output;    /* OUTPUT_BYTES */
    bool fixed_buffers;
    char texts[ARGUMENTS_MAX][ARGUMENT_BYTES];
    const char *arguments[ARGUMENTS_MAX + 1];
    uint32_t arguments_n;
};

static void fio_close(void *self)
{
    struct fio *f = self;

    free(f->filenames);
    free(f->output);
    free(f);
}

static bool is_installed(void)
{
    const char *path = getenv("PATH");

    for (const char *at = path == NULL ? "" : path; *at != '\0';) {
        size_t length = strcspn(at, ":");
        char file[4096];

        snprintf(file, sizeof(file), "%.*s/fio", (int)length, at);
        if (length > 0 && access(file, X_OK) == 0)
            return true;
        at += length + (at[length] == ':');
    }
    return false;
}

/* fio separates names by colons; those in a name are escaped. */
static char *filenames_make(const struct inputs *inputs)
{
    static const char prefix[] = "--filename=";
    size_t bytes = sizeof(prefix);
    char *text, *to;

    for (uint32_t i = 0; i < inputs->n; i++)
        bytes += 2 * strlen(inputs->list[i].path) + 1;
    text = malloc(bytes);
    if (text == NULL)
        return NULL;
    to = stpcpy(text, prefix);
    for (uint32_t i = 0; i < inputs->n; i++) {
        if (i > 0)
            *to++ = ':';
        for (const char *from = inputs->list[i].path; *from != '\0'; from++) {
            if (*from == ':' || *from == '\\')
                *to++ = '\\';
            *to++ = *from;
        }
    }
    *to = '\0';
    return text;
}

static int fio_open(struct peer_env *env, void **self)
{
    struct fio *f;

    if (!is_installed())
        return peer_skip(env, -ENOENT, "fio is not installed");
    if (env->workload->size % env->direct_align != 0)
        return peer_skip(env, -EINVAL, "--size is not a multiple of %u, as its O_DIRECT needs",
                         env->direct_align);
    f = calloc(1, sizeof(*f));
    if (f == NULL)
        return peer_skip(env, -ENOMEM, "%s", strerror(ENOMEM));
    f->filenames = filenames_make(&env->session->inputs);
    f->output = malloc(OUTPUT_BYTES);
    if (f->filenames == NULL || f->output == NULL) {
        fio_close(f);
        return peer_skip(env, -ENOMEM, "%s", strerror(ENOMEM));
    }
    f->fixed_buffers = true;
    *self = f;
    return 0;
}

static void argument_add(struct fio *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void argument_add(struct fio *f, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(f->texts[f->arguments_n], ARGUMENT_BYTES, format, args);
    va_end(args);
    f->arguments[f->arguments_n] = f->texts[f->arguments_n];
    f->arguments_n++;
}

static void arguments_make(const struct peer_env *env, struct fio *f)
{
    const struct workload *w = env->workload;

    f->arguments_n = 0;
    argument_add(f, "fio");
    argument_add(f, "--name=dsbench");
    argument_add(f, "--output-format=json");
    argument_add(f, "--eta=never");
    argument_add(f, "--disk_util=0");
    argument_add(f, "--readonly");
    argument_add(f, "--allow_file_create=0");
    argument_add(f, "--invalidate=0"); /* the files stay as warm as they are */
    argument_add(f, "--ioengine=io_uring");
    argument_add(f, "--registerfiles=1");
    argument_add(f, "--fixedbufs=%d", f->fixed_buffers);
    argument_add(f, "--direct=%d", env->direct);
    argument_add(f, "--bs=%" PRIu64, w->size);
    argument_add(f, "--iodepth=%u", w->depth);
    argument_add(f, "--rw=%s", w->sequential ? "read" : "randread");
    argument_add(f, "--norandommap=1");
    argument_add(f, "--randseed=%" PRIu64, w->seed);
    argument_add(f, "--file_service_type=%s", w->sequential ? "sequential" : "random");
    if (w->requests_max != 0)
        argument_add(f, "--io_size=%" PRIu64, w->requests_max * w->size);
    else
        argument_add(f, "--time_based=1");
    if (w->most_ns != 0)
        argument_add(f, "--runtime=%" PRIu64 "ms", (w->most_ns + 999999) / 1000000);
    f->arguments[f->arguments_n++] = f->filenames;
    f->arguments[f->arguments_n] = NULL;
}

/* Starts fio with both its outputs in a pipe. Returns its process, or -errno. */
static pid_t fio_spawn(const struct fio *f, int *out)
{
    int ends[2];
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        execvp("fio", (char *const *)(uintptr_t)f->arguments);
        _exit(127);
    }
    close(ends[1]);
    if (child < 0) {
        int error = -errno;

        close(ends[0]);
        return error;
    }
    *out = ends[0];
    return child;
}

/* Collects the output until its end. A fio that hangs is killed, which ends it. */
static void output_collect(struct fio *f, pid_t child, int out, uint64_t deadline_ns)
{
    size_t n = 0;
    bool killed = false;

    for (;;) {
        struct pollfd ready = {.fd = out, .events = POLLIN};
        char waste[4096];
        ssize_t got;

        if (!killed && (interrupted || (deadline_ns != 0 && now_ns() > deadline_ns))) {
            kill(child, interrupted ? SIGTERM : SIGKILL);
            killed = true;
        }
        if (poll(&ready, 1, 200) <= 0)
            continue;
        got = n + 1 < OUTPUT_BYTES ? read(out, f->output + n, OUTPUT_BYTES - 1 - n)
                                   : read(out, waste, sizeof(waste));
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        if (got > 0 && n + 1 < OUTPUT_BYTES)
            n += (size_t)got;
    }
    f->output[n] = '\0';
}

/* Runs fio once. Returns its exit status, or -errno. */
static int fio_execute(const struct peer_env *env, struct fio *f)
{
    uint64_t deadline_ns = 0;
    int out = -1;
    int status = 0;
    pid_t child;

    arguments_make(env, f);
    if (env->workload->most_ns != 0)
        deadline_ns = now_ns() + env->workload->most_ns + START_NS;
    child = fio_spawn(f, &out);
    if (child < 0)
        return (int)child;
    output_collect(f, child, out, deadline_ns);
    close(out);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* fio says what went wrong in lines before its JSON. */
static int fio_fail(struct peer_env *env, struct fio *f, int status)
{
    char *line = strstr(f->output, "fio: ");

    if (line != NULL) {
        line[strcspn(line, "\n")] = '\0';
        return peer_skip(env, -EIO, "%s", line);
    }
    return peer_skip(env, -EIO, "fio ended with status %d", status);
}

/* fio may print lines before its JSON. */
static bool result_read(const char *text, struct measure *measure)
{
    const struct json_value *job;
    struct json_document document;
    bool good;

    text = strchr(text, '{');
    if (text == NULL || json_parse(text, strlen(text), &document) != 0)
        return false;
    job = json_get(document.root, "jobs");
    *measure = (struct measure){
        .wall_ns = (uint64_t)(json_real(job, "read.runtime", 0) * 1e6),
        .cpu_ns = (uint64_t)((json_real(job, "usr_cpu", 0) + json_real(job, "sys_cpu", 0)) / 100 *
                             json_real(job, "job_runtime", 0) * 1e6),
        .requests = (uint64_t)json_real(job, "read.total_ios", 0),
        .bytes = (uint64_t)json_real(job, "read.io_bytes", 0),
    };
    good = json_real(job, "error", 1) == 0 && measure->wall_ns > 0;
    json_free(&document);
    return good;
}

static int fio_run(struct peer_env *env, void *self, struct measure *measure)
{
    struct fio *f = self;
    int status = fio_execute(env, f);

    /* registered buffers need locked memory; the engine, too, does without where it is refused */
    if (status > 0 && f->fixed_buffers && !interrupted) {
        f->fixed_buffers = false;
        status = fio_execute(env, f);
    }
    if (status < 0)
        return peer_skip(env, status, "cannot start fio: %s", strerror(-status));
    if (status != 0 || !result_read(f->output, measure))
        return fio_fail(env, f, status);
    return 0;
}

const struct peer_ops peer_fio_ops = {
    .name = "fio",
    .only_reads = true,
    .open = fio_open,
    .run = fio_run,
    .close = fio_close,
};
