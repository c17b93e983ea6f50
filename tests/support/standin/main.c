/* Runs the tests of the Criterion stand-in: one forked child a test, in the order of the source.
 *
 * usage: TEST [--filter SUITE/NAME] [--timeout SECONDS]
 * Other options of Criterion's are ignored. Exit status 0: no test failed and at least one ran or
 * was skipped. The last line is "N passed, N failed, N skipped". */
#include <criterion/criterion.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_SKIPPED 77
#define POLL_NS 2000000

enum outcome { PASSED, FAILED, SKIPPED };

static struct standin_test *tests_head;
static struct standin_test **tests_tail = &tests_head;
static struct standin_suite *suites_head;
static atomic_bool failed; /* in the child */

void standin_add_test(struct standin_test *test)
{
    *tests_tail = test;
    tests_tail = &test->next;
}

void standin_add_suite(struct standin_suite *suite)
{
    suite->next = suites_head;
    suites_head = suite;
}

static void print_line(const char *head, const char *format, va_list arguments)
{
    char text[1024];

    vsnprintf(text, sizeof(text), format, arguments);
    fprintf(stderr, "%s%s%s\n", head, text[0] != 0 ? ": " : "", text);
}

void standin_failed(const char *file, int line, const char *expression, const char *format, ...)
{
    char head[512];
    va_list arguments;

    atomic_store(&failed, true);
    snprintf(head, sizeof(head), "[----] %s:%d: check failed: %s", file, line, expression);
    va_start(arguments, format);
    print_line(head, format, arguments);
    va_end(arguments);
}

/* Not exit: other threads of the test may still run, and would be torn from their memory. */
void standin_abort(void)
{
    fflush(NULL);
    _exit(EXIT_FAILURE);
}

void standin_skip(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line("[SKIP] skipped", format, arguments);
    va_end(arguments);
    fflush(NULL);
    _exit(atomic_load(&failed) ? EXIT_FAILURE : EXIT_SKIPPED);
}

void standin_log(const char *level, const char *format, ...)
{
    char head[32];
    va_list arguments;

    snprintf(head, sizeof(head), "[%s]", level);
    va_start(arguments, format);
    print_line(head, format, arguments);
    va_end(arguments);
}

static const struct standin_options *suite_options(const struct standin_test *test)
{
    static const struct standin_options none;

    for (const struct standin_suite *suite = suites_head; suite != NULL; suite = suite->next) {
        if (strcmp(suite->name, test->suite) == 0)
            return &suite->options;
    }
    return &none;
}

_Noreturn static void run_child(const struct standin_test *test)
{
    const struct standin_options *suite = suite_options(test);
    void (*init)(void) = test->options.init != NULL ? test->options.init : suite->init;
    void (*fini)(void) = test->options.fini != NULL ? test->options.fini : suite->fini;

    if (init != NULL)
        init();
    test->run();
    if (fini != NULL)
        fini();
    /* not _exit: a sanitizer has its last word */
    exit(atomic_load(&failed) ? EXIT_FAILURE : EXIT_SUCCESS);
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* False: the child was killed because its time was up. */
static bool wait_child(pid_t pid, double timeout_s, int *status)
{
    const struct timespec pause = {.tv_nsec = POLL_NS};
    double end_s = now_s() + timeout_s;

    for (;;) {
        pid_t done = waitpid(pid, status, timeout_s > 0 ? WNOHANG : 0);

        if (done == pid)
            return true;
        if (done < 0 && errno != EINTR)
            return false;
        if (done == 0 && now_s() > end_s) {
            kill(pid, SIGKILL);
            waitpid(pid, status, 0);
            return false;
        }
        if (done == 0)
            nanosleep(&pause, NULL);
    }
}

static enum outcome judge(const struct standin_test *test, int status, char *why, size_t why_bytes)
{
    int want_signal = test->options.signal, want_code = test->options.exit_code;

    if (WIFSIGNALED(status)) {
        snprintf(why, why_bytes, "killed by signal %d", WTERMSIG(status));
        return WTERMSIG(status) == want_signal ? PASSED : FAILED;
    }
    if (want_signal == 0 && want_code == 0 && WEXITSTATUS(status) == EXIT_SKIPPED)
        return SKIPPED;
    snprintf(why, why_bytes, "exit status %d", WEXITSTATUS(status));
    return want_signal == 0 && WEXITSTATUS(status) == want_code ? PASSED : FAILED;
}

static enum outcome run_test(const struct standin_test *test, double timeout_s)
{
    enum outcome outcome = FAILED;
    char why[64] = "fork failed";
    int status = 0;
    pid_t pid;

    if (test->options.disabled) {
        fprintf(stderr, "[SKIP] %s::%s: skipped: disabled\n", test->suite, test->name);
        return SKIPPED;
    }
    if (test->options.timeout > 0)
        timeout_s = test->options.timeout * 4; /* meant for a build without ThreadSanitizer */
    fflush(NULL);
    pid = fork();
    if (pid == 0)
        run_child(test);
    if (pid > 0 && wait_child(pid, timeout_s, &status))
        outcome = judge(test, status, why, sizeof(why));
    else if (pid > 0)
        snprintf(why, sizeof(why), "not done after %.0f s", timeout_s);
    if (outcome == FAILED)
        fprintf(stderr, "[FAIL] %s::%s: %s\n", test->suite, test->name, why);
    else
        fprintf(stderr, "[%s] %s::%s\n", outcome == PASSED ? "PASS" : "SKIP", test->suite,
                test->name);
    return outcome;
}

static bool is_selected(const struct standin_test *test, const char *filter)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", test->suite, test->name);
    return fnmatch(filter, path, 0) == 0;
}

/* "--name value" and "--name=value". */
static const char *option_value(int argc, char **argv, const char *name, const char *otherwise)
{
    size_t n = strlen(name);

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=')
            return argv[i] + n + 1;
        if (strcmp(argv[i], name) == 0 && i + 1 < argc)
            return argv[i + 1];
    }
    return otherwise;
}

int main(int argc, char **argv)
{
    const char *filter = option_value(argc, argv, "--filter", "*");
    double timeout_s = atof(option_value(argc, argv, "--timeout", "0"));
    unsigned counts[3] = {0, 0, 0};

    for (const struct standin_test *test = tests_head; test != NULL; test = test->next) {
        if (is_selected(test, filter))
            counts[run_test(test, timeout_s)]++;
    }
    printf("%u passed, %u failed, %u skipped\n", counts[PASSED], counts[FAILED], counts[SKIPPED]);
    return counts[FAILED] != 0 || counts[PASSED] + counts[SKIPPED] == 0;
}
