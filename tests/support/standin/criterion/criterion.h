/* A stand-in for Criterion: for ThreadSanitizer builds, where Criterion cannot start its workers,
 * and for machines that do not have it.
 *
 * The same test sources compile against it: Test, TestSuite, the cr_assert and cr_expect families,
 * cr_skip_test and cr_log. Each test runs in a forked child of a single-threaded parent, so that
 * .signal, .exit_code and .timeout work; see main.c. */
#ifndef SUPPORT_STANDIN_CRITERION_H
#define SUPPORT_STANDIN_CRITERION_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct standin_options {
    void (*init)(void);
    void (*fini)(void);
    int signal;
    int exit_code;
    bool disabled;
    double timeout; /* seconds; 0 = the command line's */
    const char *description;
    void *data;
};

struct standin_suite {
    const char *name;
    struct standin_options options;
    struct standin_suite *next;
};

struct standin_test {
    const char *suite;
    const char *name;
    void (*run)(void);
    struct standin_options options;
    struct standin_test *next;
};

void standin_add_test(struct standin_test *test);
void standin_add_suite(struct standin_suite *suite);

/* Prints where and what failed, and marks the test failed. The format may be empty. */
void standin_failed(const char *file, int line, const char *expression, const char *format, ...);
_Noreturn void standin_abort(void);
_Noreturn void standin_skip(const char *format, ...);
void standin_log(const char *level, const char *format, ...);

#define Test(suite_, name_, ...)                                                                   \
    static void suite_##_##name_##_run(void);                                                      \
    static struct standin_test suite_##_##name_##_test = {                                         \
        .suite = #suite_,                                                                          \
        .name = #name_,                                                                            \
        .run = suite_##_##name_##_run,                                                             \
        .options = {__VA_ARGS__},                                                                  \
    };                                                                                             \
    __attribute__((constructor)) static void suite_##_##name_##_add(void)                          \
    {                                                                                              \
        standin_add_test(&suite_##_##name_##_test);                                                \
    }                                                                                              \
    static void suite_##_##name_##_run(void)

#define TestSuite(name_, ...)                                                                      \
    static struct standin_suite name_##_suite = {.name = #name_, .options = {__VA_ARGS__}};        \
    __attribute__((constructor)) static void name_##_suite_add(void)                               \
    {                                                                                              \
        standin_add_suite(&name_##_suite);                                                         \
    }                                                                                              \
    struct standin_suite

#define STANDIN_CHECK(ok, end, expression, ...)                                                    \
    do {                                                                                           \
        if (!(ok)) {                                                                               \
            standin_failed(__FILE__, __LINE__, expression, "" __VA_ARGS__);                        \
            end;                                                                                   \
        }                                                                                          \
    } while (0)

#define STANDIN_ASSERT(ok, expression, ...)                                                        \
    STANDIN_CHECK(ok, standin_abort(), expression, ##__VA_ARGS__)
#define STANDIN_EXPECT(ok, expression, ...) STANDIN_CHECK(ok, (void)0, expression, ##__VA_ARGS__)

#define cr_fail(...) STANDIN_EXPECT(0, "fail", ##__VA_ARGS__)
#define cr_assert_fail(...) STANDIN_ASSERT(0, "fail", ##__VA_ARGS__)
#define cr_expect_fail(...) STANDIN_EXPECT(0, "fail", ##__VA_ARGS__)

#define cr_assert(c, ...) STANDIN_ASSERT(c, #c, ##__VA_ARGS__)
#define cr_expect(c, ...) STANDIN_EXPECT(c, #c, ##__VA_ARGS__)
#define cr_assert_not(c, ...) STANDIN_ASSERT(!(c), "!(" #c ")", ##__VA_ARGS__)
#define cr_expect_not(c, ...) STANDIN_EXPECT(!(c), "!(" #c ")", ##__VA_ARGS__)

#define cr_assert_eq(a, b, ...) STANDIN_ASSERT((a) == (b), #a " == " #b, ##__VA_ARGS__)
#define cr_expect_eq(a, b, ...) STANDIN_EXPECT((a) == (b), #a " == " #b, ##__VA_ARGS__)
#define cr_assert_neq(a, b, ...) STANDIN_ASSERT((a) != (b), #a " != " #b, ##__VA_ARGS__)
#define cr_expect_neq(a, b, ...) STANDIN_EXPECT((a) != (b), #a " != " #b, ##__VA_ARGS__)
#define cr_assert_lt(a, b, ...) STANDIN_ASSERT((a) < (b), #a " < " #b, ##__VA_ARGS__)
#define cr_expect_lt(a, b, ...) STANDIN_EXPECT((a) < (b), #a " < " #b, ##__VA_ARGS__)
#define cr_assert_leq(a, b, ...) STANDIN_ASSERT((a) <= (b), #a " <= " #b, ##__VA_ARGS__)
#define cr_expect_leq(a, b, ...) STANDIN_EXPECT((a) <= (b), #a " <= " #b, ##__VA_ARGS__)
#define cr_assert_gt(a, b, ...) STANDIN_ASSERT((a) > (b), #a " > " #b, ##__VA_ARGS__)
#define cr_expect_gt(a, b, ...) STANDIN_EXPECT((a) > (b), #a " > " #b, ##__VA_ARGS__)
#define cr_assert_geq(a, b, ...) STANDIN_ASSERT((a) >= (b), #a " >= " #b, ##__VA_ARGS__)
#define cr_expect_geq(a, b, ...) STANDIN_EXPECT((a) >= (b), #a " >= " #b, ##__VA_ARGS__)

#define cr_assert_null(a, ...) STANDIN_ASSERT((a) == NULL, #a " == NULL", ##__VA_ARGS__)
#define cr_expect_null(a, ...) STANDIN_EXPECT((a) == NULL, #a " == NULL", ##__VA_ARGS__)
#define cr_assert_not_null(a, ...) STANDIN_ASSERT((a) != NULL, #a " != NULL", ##__VA_ARGS__)
#define cr_expect_not_null(a, ...) STANDIN_EXPECT((a) != NULL, #a " != NULL", ##__VA_ARGS__)

#define cr_assert_str_eq(a, b, ...)                                                                \
    STANDIN_ASSERT(strcmp(a, b) == 0, #a " == " #b " (strings)", ##__VA_ARGS__)
#define cr_expect_str_eq(a, b, ...)                                                                \
    STANDIN_EXPECT(strcmp(a, b) == 0, #a " == " #b " (strings)", ##__VA_ARGS__)
#define cr_assert_str_neq(a, b, ...)                                                               \
    STANDIN_ASSERT(strcmp(a, b) != 0, #a " != " #b " (strings)", ##__VA_ARGS__)
#define cr_expect_str_neq(a, b, ...)                                                               \
    STANDIN_EXPECT(strcmp(a, b) != 0, #a " != " #b " (strings)", ##__VA_ARGS__)
#define cr_assert_str_empty(a, ...) STANDIN_ASSERT((a)[0] == 0, #a " is empty", ##__VA_ARGS__)
#define cr_expect_str_empty(a, ...) STANDIN_EXPECT((a)[0] == 0, #a " is empty", ##__VA_ARGS__)
#define cr_assert_str_not_empty(a, ...) STANDIN_ASSERT((a)[0] != 0, #a " not empty", ##__VA_ARGS__)
#define cr_expect_str_not_empty(a, ...) STANDIN_EXPECT((a)[0] != 0, #a " not empty", ##__VA_ARGS__)

#define cr_assert_arr_eq(a, b, bytes, ...)                                                         \
    STANDIN_ASSERT(memcmp(a, b, bytes) == 0, #a " == " #b " (bytes)", ##__VA_ARGS__)
#define cr_expect_arr_eq(a, b, bytes, ...)                                                         \
    STANDIN_EXPECT(memcmp(a, b, bytes) == 0, #a " == " #b " (bytes)", ##__VA_ARGS__)
#define cr_assert_arr_neq(a, b, bytes, ...)                                                        \
    STANDIN_ASSERT(memcmp(a, b, bytes) != 0, #a " != " #b " (bytes)", ##__VA_ARGS__)
#define cr_expect_arr_neq(a, b, bytes, ...)                                                        \
    STANDIN_EXPECT(memcmp(a, b, bytes) != 0, #a " != " #b " (bytes)", ##__VA_ARGS__)
#define cr_assert_float_eq(a, b, epsilon, ...)                                                     \
    STANDIN_ASSERT((a) - (b) <= (epsilon) && (b) - (a) <= (epsilon), #a " == " #b, ##__VA_ARGS__)
#define cr_expect_float_eq(a, b, epsilon, ...)                                                     \
    STANDIN_EXPECT((a) - (b) <= (epsilon) && (b) - (a) <= (epsilon), #a " == " #b, ##__VA_ARGS__)

#define cr_skip_test(...) standin_skip("" __VA_ARGS__)
#define cr_skip(...) standin_skip("" __VA_ARGS__)
#define cr_log_info(...) standin_log("info", "" __VA_ARGS__)
#define cr_log_warn(...) standin_log("warning", "" __VA_ARGS__)
#define cr_log_error(...) standin_log("error", "" __VA_ARGS__)

#endif
