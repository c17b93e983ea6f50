/* Hosts that refuse io_uring, or parts of it: the error names the cause, and what is left works. */
#include "contract/read_contract.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From now on the system call `number` fails with `error`. */
static bool refuse_call(long number, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = ARRAY_LENGTH(code), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
        return true;
    fprintf(stderr, "skipped: no seccomp: errno %d\n", errno);
    return false;
}

/* By the machine, before a test adds anything. */
static bool io_uring_is_refused(void)
{
    return syscall(__NR_io_uring_setup, 0, NULL) == -1 && (errno == EPERM || errno == ENOSYS);
}

static void keep_line(void *ctx, enum ds_log_level level, const char *message)
{
    if (level <= DS_LOG_WARNING)
        snprintf(ctx, 256, "%s", message);
}

/* Opening must fail with `error`, say `call` and `knob`, and leave the event without an eventfd:
 * the back end that takes over sleeps on it in the ordinary way. */
static void expect_refusal(long number, int error, const char *call, const char *knob)
{
    struct read_backend_info info;
    struct event event;
    struct host host;
    char line[256] = "";
    struct read_backend_config config = {.host = &host, .event = &event, .depth = 8};
    void *self = NULL;

    if (number != __NR_io_uring_setup && io_uring_is_refused())
        cr_skip_test("this machine refuses io_uring altogether");
    if (!refuse_call(number, error))
        cr_skip_test("no seccomp");
    host_init(&host, NULL, keep_line, line, DS_LOG_DEBUG);
    event_init(&event);
    cr_expect_eq(read_uring_ops.open(&config, &info, &self), -error);
    cr_expect_null(self);
    cr_expect_eq(event.fd, -1);
    cr_expect_not_null(strstr(line, call), "%s", line);
    cr_expect_not_null(strstr(line, knob), "%s", line);
    cr_expect_not_null(strstr(line, info.reason), "%s", line);
    event_fini(&event);
}

Test(refused, setup_eperm)
{
    expect_refusal(__NR_io_uring_setup, EPERM, "io_uring_setup: EPERM", "io_uring_disabled");
}

Test(refused, setup_enosys)
{
    expect_refusal(__NR_io_uring_setup, ENOSYS, "io_uring_setup: ENOSYS", "seccomp");
}

Test(refused, setup_enomem)
{
    expect_refusal(__NR_io_uring_setup, ENOMEM, "io_uring_setup: ENOMEM", "RLIMIT_MEMLOCK");
}

Test(refused, enter_eperm)
{
    expect_refusal(__NR_io_uring_enter, EPERM, "io_uring_enter: EPERM", "seccomp");
}

Test(refused, register_eperm)
{
    expect_refusal(__NR_io_uring_register, EPERM, "io_uring_register: EPERM", "seccomp");
}

Test(refused, eventfd_emfile)
{
    expect_refusal(__NR_eventfd2, EMFILE, "eventfd: EMFILE", "RLIMIT_NOFILE");
}

/* pread is what takes over, and needs none of these calls. */
Test(refused, pread_without_io_uring)
{
    static const struct read_variant variant = {.name = "pread", .ops = &read_pread_ops};

    if (!refuse_call(__NR_io_uring_setup, EPERM))
        cr_skip_test("no seccomp");
    contract_random_ranges(&variant);
}

static const struct read_variant uring = {.name = "uring", .ops = &read_uring_ops};

/* Or less, where the machine allows no more. */
static void limit(int resource, rlim_t value)
{
    struct rlimit limit;

    cr_assert_eq(getrlimit(resource, &limit), 0);
    if (limit.rlim_max > value)
        limit.rlim_max = value;
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(resource, &limit), 0);
}

/* Root may lock what it likes. */
static void drop_root(void)
{
    if (geteuid() == 0)
        cr_assert_eq(setuid(65534), 0);
}

Test(refused, arena_over_memlock)
{
    struct sample sample;
    struct lane lane;
    struct wish wish = {.file = &sample.file, .bytes = 100000, .offset = 7, .direct = true};

    sample_open(&sample, 200000, 0, 1);
    limit(RLIMIT_MEMLOCK, 1 << 20);
    drop_root();
    lane_open(&lane, &uring);
    cr_expect_not(lane.stage.info.fixed_buffers);
    cr_expect(lane.stage.info.fixed_files);
    cr_expect_not_null(strstr(lane.stage.info.reason, "RLIMIT_MEMLOCK"), "%s",
                       lane.stage.info.reason);
    cr_expect_not_null(strstr(lane.log, "RLIMIT_MEMLOCK"), "%s", lane.log);
    cr_expect_eq(lane_do(&lane, &wish)->status, DS_STATUS_OK);
    cr_expect(memcmp(chunk_payload(&lane.chunks[0]), sample.model + 7, 100000) == 0);
    lane_close(&lane);
    sample_close(&sample);
}

/* The file table must fit in the limit, and must not raise it behind the host's back. */
Test(refused, few_descriptors)
{
    struct wish wish = {.bytes = 5000, .offset = 7};
    struct sample low, high;
    struct rlimit now;
    struct lane lane;

    sample_open(&low, 20000, 1, 1);
    sample_open(&high, 20000, 900, 1);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
    now.rlim_cur = 64;
    if (now.rlim_max > 4096)
        now.rlim_max = 4096;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
    lane_open(&lane, &uring);
    cr_expect(lane.stage.info.fixed_files, "%s", lane.stage.info.reason);
    for (uint32_t i = 0; i < 4; i++) {
        struct sample *sample = i < 2 ? &low : &high;

        wish.file = &sample->file;
        wish.direct = i % 2;
        cr_expect_eq(lane_do(&lane, &wish)->status, DS_STATUS_OK);
        cr_expect(memcmp(chunk_payload(&lane.chunks[0]), sample->model + 7, 5000) == 0);
    }
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
    cr_expect_eq(now.rlim_cur, 64);
    lane_close(&lane);
    sample_close(&low);
    sample_close(&high);
}

/* A kernel thread is a thread: no room for one, no SQPOLL, and everything else as ever. */
Test(refused, sqpoll_without_a_thread)
{
    static const struct read_variant variant = {.ops = &read_uring_ops,
                                                .uring_poll = DS_URING_POLL_SQPOLL};
    struct sample sample;
    struct lane lane;
    struct wish wish = {.file = &sample.file, .bytes = 100000, .offset = 7, .direct = true};

    sample_open(&sample, 200000, 0, 1);
    drop_root();
    limit(RLIMIT_NPROC, 0);
    lane_open(&lane, &variant);
    if (lane.stage.info.sqpoll) {
        fprintf(stderr, "skipped: this kernel does not count its threads\n");
    } else {
        cr_expect_not_null(strstr(lane.log, "no SQPOLL"), "%s", lane.log);
        cr_expect_not_null(strstr(lane.log, "RLIMIT_NPROC"), "%s", lane.log);
        cr_expect_null(strstr(lane.stage.info.reason, "SQPOLL"), "%s", lane.stage.info.reason);
    }
    cr_expect_eq(lane_do(&lane, &wish)->status, DS_STATUS_OK);
    expect_payload(&sample, &lane.chunks[0]);
    lane_close(&lane);
    sample_close(&sample);
}

/* The first direct read tells whether the device polls. Where it does not, the read succeeds all
 * the same, later ones go elsewhere, and so do the buffered ones in any case. */
Test(refused, iopoll_file_by_file)
{
    static const struct read_variant variant = {.ops = &read_uring_ops,
                                                .uring_poll = DS_URING_POLL_IOPOLL};
    struct sample sample;
    struct lane lane;

    sample_open(&sample, 200000, 0, 1);
    lane_open(&lane, &variant);
    cr_expect(lane.stage.info.iopoll, "%s", lane.stage.info.reason);
    cr_expect_not_null(strstr(lane.stage.info.reason, "IOPOLL"), "%s", lane.stage.info.reason);
    for (uint32_t i = 0; i < 8; i++) {
        struct wish wish = {.file = &sample.file, .bytes = 50000, .offset = 7, .direct = i >= 2};

        cr_expect_eq(lane_do(&lane, &wish)->status, DS_STATUS_OK);
        expect_payload(&sample, &lane.chunks[0]);
        cr_expect(i >= 2 || lane.stage.info.iopoll, "a buffered read is not polled for");
    }
    if (lane.stage.info.iopoll || !file_is_direct(&sample.file))
        fprintf(stderr, "skipped: the refusal: this device polls, or O_DIRECT is refused\n");
    else
        cr_expect_not_null(strstr(lane.log, "nvme.poll_queues"), "%s", lane.log);
    cr_expect_eq(lane.stage.stats.counters.errors, 0);
    lane_close(&lane);
    sample_close(&sample);
}

Test(refused, ways_are_reported)
{
    static const struct read_variant plain = {
        .ops = &read_uring_ops,
        .avoid = READ_AVOID_DEFER_TASKRUN | READ_AVOID_FIXED_BUFFERS | READ_AVOID_FIXED_FILES,
    };
    static const struct read_variant sqpoll = {.ops = &read_uring_ops,
                                               .uring_poll = DS_URING_POLL_SQPOLL};
    struct lane lane;

    lane_open(&lane, &uring);
    fprintf(stderr, "this kernel: %s\n", lane.stage.info.reason);
    cr_expect_eq(strstr(lane.stage.info.reason, "deferred") != NULL,
                 lane.stage.info.defer_taskrun);
    cr_expect_eq(lane.stage.info.threads, 0);
    lane_close(&lane);
    lane_open(&lane, &plain);
    cr_expect_not(lane.stage.info.fixed_buffers);
    cr_expect_not(lane.stage.info.fixed_files);
    cr_expect_not(lane.stage.info.defer_taskrun);
    cr_expect_not(lane.stage.info.sqpoll);
    cr_expect_not(lane.stage.info.iopoll);
    lane_close(&lane);
    lane_open(&lane, &sqpoll);
    cr_expect_eq(strstr(lane.stage.info.reason, "SQPOLL") != NULL, lane.stage.info.sqpoll);
    cr_expect_not(lane.stage.info.sqpoll && lane.stage.info.defer_taskrun);
    lane_close(&lane);
}
