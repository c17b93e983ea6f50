/* engine/base.h and engine/host.h: status names, versioned structs, arithmetic, host hooks. */
#include "engine/base.h"
#include "engine/host.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>

Test(base, version_is_the_headers)
{
    cr_assert_eq(ds_version() >> 16, DS_VERSION_MAJOR);
    cr_assert_eq(ds_version() >> 8 & 255, DS_VERSION_MINOR);
    cr_assert_eq(ds_version() & 255, DS_VERSION_PATCH);
}

Test(base, every_status_has_a_name_and_a_text)
{
    for (int32_t status = 0; status <= DS_STATUS_OUT_OF_BOUNDS; status++) {
        cr_assert_str_neq(ds_status_name(status), "UNKNOWN", "status %d", status);
        cr_assert_gt(strlen(ds_status_text(status)), 5, "status %d", status);
    }
    cr_assert_str_eq(ds_status_name(DS_STATUS_END_OF_FILE), "END_OF_FILE");
    cr_assert_str_eq(ds_status_name(-1), "UNKNOWN");
    cr_assert_str_eq(ds_status_name(1 << 20), "UNKNOWN");
    cr_assert_str_eq(ds_status_text(-1), "unknown status");
}

struct small {
    uint32_t struct_size;
    uint32_t a;
};

struct large {
    uint32_t struct_size;
    uint32_t a;
    uint32_t b;
};

Test(base, an_older_caller_gets_what_it_knows)
{
    struct {
        struct small small;
        uint32_t guard;
    } caller = {.small = {.struct_size = sizeof(struct small)}, .guard = 77};
    const struct large ours = {.struct_size = 999, .a = 1, .b = 2};

    cr_assert_eq(copy_struct_out(&caller.small, &ours, sizeof(ours)), 0);
    cr_assert_eq(caller.small.struct_size, sizeof(struct small));
    cr_assert_eq(caller.small.a, 1);
    cr_assert_eq(caller.guard, 77, "written past the caller's struct");
}

Test(base, a_newer_caller_gets_zeroes_beyond_what_we_know)
{
    struct large caller = {.struct_size = sizeof(caller), .a = 9, .b = 9};
    const struct small ours = {.a = 1};

    cr_assert_eq(copy_struct_out(&caller, &ours, sizeof(ours)), 0);
    cr_assert_eq(caller.struct_size, sizeof(caller));
    cr_assert_eq(caller.a, 1);
    cr_assert_eq(caller.b, 0);
}

Test(base, a_struct_without_a_size_is_refused)
{
    struct small caller = {.struct_size = 0, .a = 5};
    struct small ours = {.a = 1};

    cr_assert_eq(copy_struct_out(&caller, &ours, sizeof(ours)), -EINVAL);
    cr_assert_eq(caller.a, 5);
    cr_assert_eq(copy_struct_in(&ours, sizeof(ours), &caller), -EINVAL);
    caller.struct_size = 3; /* not even room for itself */
    cr_assert_eq(copy_struct_in(&ours, sizeof(ours), &caller), -EINVAL);
}

Test(base, fields_that_we_do_not_know_must_be_zero)
{
    struct large caller = {.struct_size = sizeof(caller), .a = 1, .b = 0};
    struct small ours;

    cr_assert_eq(copy_struct_in(&ours, sizeof(ours), &caller), 0);
    cr_assert_eq(ours.a, 1);
    caller.b = 1;
    cr_assert_eq(copy_struct_in(&ours, sizeof(ours), &caller), -EINVAL);
}

Test(base, an_older_callers_missing_fields_are_zero)
{
    const struct small caller = {.struct_size = sizeof(caller), .a = 3};
    struct large ours = {.b = 9};

    cr_assert_eq(copy_struct_in(&ours, sizeof(ours), &caller), 0);
    cr_assert_eq(ours.a, 3);
    cr_assert_eq(ours.b, 0);
}

Test(base, arithmetic)
{
    cr_assert_eq(align_up_u64(0, 4096), 0);
    cr_assert_eq(align_up_u64(1, 4096), 4096);
    cr_assert_eq(align_up_u64(4096, 4096), 4096);
    cr_assert_eq(align_down_u64(8191, 4096), 4096);
    cr_assert_eq(round_up_power_of_two(1), 1);
    cr_assert_eq(round_up_power_of_two(3), 4);
    cr_assert_eq(round_up_power_of_two(1u << 31), 1u << 31);
    cr_assert(is_power_of_two(1) && is_power_of_two(1ull << 63));
    cr_assert_not(is_power_of_two(0) || is_power_of_two(6));
}

Test(base, an_assertion_ends_the_process, .signal = SIGABRT)
{
    DS_ASSERT(1 + 1 == 3);
}

struct counted {
    size_t live_bytes;
    size_t calls;
};

static void *count_alloc(void *ctx, size_t bytes, size_t align)
{
    struct counted *counted = ctx;
    void *memory = NULL;

    cr_assert(is_power_of_two(align));
    counted->live_bytes += bytes;
    counted->calls++;
    if (posix_memalign(&memory, align < sizeof(void *) ? sizeof(void *) : align, bytes) != 0)
        return NULL;
    return memset(memory, 0xaa, bytes);
}

static void count_free(void *ctx, void *memory, size_t bytes)
{
    struct counted *counted = ctx;

    cr_assert_not_null(memory);
    counted->live_bytes -= bytes;
    free(memory);
}

Test(host, memory_comes_from_the_hosts_allocator_zeroed_and_aligned)
{
    struct counted counted = {0};
    const struct ds_allocator allocator = {&counted, count_alloc, count_free};
    struct host host;
    uint8_t *memory;

    host_init(&host, &allocator, NULL, NULL, DS_LOG_ERROR);
    memory = host_calloc(&host, 10, 100);
    cr_assert_not_null(memory);
    cr_assert_eq((uintptr_t)memory % CACHE_LINE, 0);
    for (size_t i = 0; i < 1000; i++)
        cr_assert_eq(memory[i], 0);
    cr_assert_eq(counted.live_bytes, 1000);
    host_free(&host, memory, 1000);
    host_free(&host, NULL, 5);
    cr_assert_eq(counted.live_bytes, 0);
    cr_assert_eq(counted.calls, 1);
}

Test(host, a_product_that_overflows_is_no_memory)
{
    struct host host;

    host_init(&host, NULL, NULL, NULL, DS_LOG_ERROR);
    cr_assert_null(host_calloc(&host, SIZE_MAX / 2, 3));
    cr_assert_null(host_calloc(&host, 0, 3));
}

static void keep_line(void *ctx, enum ds_log_level level, const char *message)
{
    snprintf(ctx, 600, "%d:%s", (int)level, message);
}

Test(host, the_log_level_is_heeded_and_long_lines_are_cut)
{
    char line[600] = "";
    char longer[900];
    struct host host;

    host_init(&host, NULL, keep_line, line, DS_LOG_WARNING);
    host_log(&host, DS_LOG_INFO, "too verbose");
    cr_assert_str_eq(line, "");
    host_log(&host, DS_LOG_WARNING, "value %d", 7);
    cr_assert_str_eq(line, "1:value 7");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    host_log(&host, DS_LOG_ERROR, "%s", longer);
    cr_assert_geq(strlen(line), 500);
    host_init(&host, NULL, NULL, NULL, DS_LOG_DEBUG);
    host_log(&host, DS_LOG_ERROR, "nobody listens");
}
