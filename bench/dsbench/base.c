#include "base.h"

#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define SPIN_NS 60000 /* the last part of a wait is spun: a sleep ends late */

_Atomic bool interrupted;

void complain(const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    fprintf(stderr, "dsbench: %s\n", line);
}

static uint64_t clock_read_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t now_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

uint64_t cpu_now_ns(void)
{
    return clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void moment_approach(uint64_t due_ns, uint64_t now)
{
    if (due_ns > now + SPIN_NS) {
        uint64_t until_ns = due_ns - SPIN_NS;
        struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                                 .tv_nsec = (long)(until_ns % NS_PER_S)};

        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    } else {
        sched_yield(); /* on few cores others may need this one */
    }
}

uint64_t thread_cpu_now_ns(void)
{
    return clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
}

const char *size_text(char *buffer, uint64_t bytes)
{
    static const char suffixes[] = "KMGT";
    int suffix = -1;

    while (bytes != 0 && bytes % 1024 == 0 && suffix < 3) {
        bytes /= 1024;
        suffix++;
    }
    if (suffix < 0)
        snprintf(buffer, SIZE_TEXT_BYTES, "%" PRIu64, bytes);
    else
        snprintf(buffer, SIZE_TEXT_BYTES, "%" PRIu64 "%c", bytes, suffixes[suffix]);
    return buffer;
}

/* One Ctrl-C can arrive twice, from the terminal and from a wrapper such as timeout(1); only one
 * that comes later is meant to kill. */
static void interrupt_handle(int signal_number)
{
    static _Atomic uint64_t first_ns;
    uint64_t now = now_ns();
    uint64_t before = 0;

    atomic_store_explicit(&interrupted, true, memory_order_relaxed);
    if (atomic_compare_exchange_strong(&first_ns, &before, now) || now - before < NS_PER_S)
        return;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void interrupts_catch(void)
{
    struct sigaction action = {.sa_handler = interrupt_handle};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

void *memory_map(uint64_t bytes, bool reserve)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | (reserve ? 0 : MAP_NORESERVE);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

void memory_unmap(void *memory, uint64_t bytes)
{
    if (memory != NULL)
        munmap(memory, bytes);
}
