/* Assertions that stay on in release, and small helpers used everywhere. */
#ifndef ENGINE_BASE_H
#define ENGINE_BASE_H

#include <ds/base.h>

#define CACHE_LINE 64
#define CACHE_ALIGNED __attribute__((aligned(CACHE_LINE)))

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

_Noreturn void assert_failed(const char *expression, const char *file, int line);

/* For programmer errors and broken state machines: operating errors are returned, never
 * asserted. */
#define DS_ASSERT(expression)                                                                      \
    (LIKELY(expression) ? (void)0 : assert_failed(#expression, __FILE__, __LINE__))

static inline uint64_t align_down_u64(uint64_t value, uint64_t align)
{
    return value & ~(align - 1);
}

static inline uint64_t align_up_u64(uint64_t value, uint64_t align)
{
    return align_down_u64(value + align - 1, align);
}

static inline bool is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* The smallest power of two >= value; value in 1..2^31. */
static inline uint32_t round_up_power_of_two(uint32_t value)
{
    return value <= 1 ? 1 : 1u << (32 - __builtin_clz(value - 1));
}

/* The line of *p is going to be written, or read, soon. Fetching it from another core's cache takes
 * longer than a stage works on an item: whoever pops many asks for all of them first. */
static inline void prefetch_write(const void *p)
{
#if defined(__x86_64__)
    /* The compiler leaves it out for the oldest x86-64, which take it as no operation. */
    __asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)p));
#else
    __builtin_prefetch(p, 1);
#endif
}

static inline void prefetch_read(const void *p)
{
    __builtin_prefetch(p, 0);
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* copy_struct_out fills a caller's versioned struct: as many bytes as both sides know, with the
 * caller's struct_size kept. 0, or -EINVAL when struct_size cannot hold itself. */
int copy_struct_out(void *caller, const void *ours, size_t ours_bytes);

/* copy_struct_in reads a caller's versioned struct into *ours (zero beyond the caller's size). 0,
 * or -EINVAL: struct_size 0, or nonzero bytes beyond what we know. */
int copy_struct_in(void *ours, size_t ours_bytes, const void *caller);

#endif
