/* What every part of dsbench needs: time, complaints, a mixer, sizes as text, Ctrl-C. */
#ifndef DSBENCH_BASE_H
#define DSBENCH_BASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXIT_BAD_USAGE 2

#define NS_PER_S 1000000000u

/* complain prints "dsbench: ..." and a newline on stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

uint64_t now_ns(void);

/* cpu_now_ns is the user and system time of all threads of the process, as getrusage(2) counts it
 * but in nanoseconds. */
uint64_t cpu_now_ns(void);

/* moment_approach waits, with `now` before due_ns, for most of what is left or for a moment: it is
 * called until due_ns has come. It also returns when a signal arrives. */
void moment_approach(uint64_t due_ns, uint64_t now);

/* thread_cpu_now_ns is that of the calling thread alone. */
uint64_t thread_cpu_now_ns(void);

/* size_text writes 65536 as "64K", 1000 as "1000": the form that --size takes. Returns buffer. */
#define SIZE_TEXT_BYTES 24
const char *size_text(char *buffer, uint64_t bytes);

/* Set by the first SIGINT, SIGTERM or SIGHUP: runs end early, and what was made is removed.
 * A signal more than a second later ends the program at once. */
extern _Atomic bool interrupted;
void interrupts_catch(void);

/* memory_map returns zeroed pages, asked to be huge, or NULL. `reserve` false: pages that are
 * never touched need not exist. */
void *memory_map(uint64_t bytes, bool reserve);
void memory_unmap(void *memory, uint64_t bytes);

/* mix64: a bijection of 64-bit words that leaves no pattern (the finalizer of splitmix64). */
static inline uint64_t mix64(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static inline uint64_t random_next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    return mix64(*state);
}

/* random_below: uniform in 0..n-1, n >= 1 (bias below n / 2^64). */
static inline uint64_t random_below(uint64_t *state, uint64_t n)
{
    return (uint64_t)((unsigned __int128)random_next(state) * n >> 64);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

#endif
