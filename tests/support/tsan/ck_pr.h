/* ck_pr.h for ThreadSanitizer builds: stands before the real one on the include path.
 *
 * Concurrency Kit orders with stand-alone fences, which ThreadSanitizer does not model, so that
 * every hand-over through a ck_ring looks like a race to it. This overlay says the same fences in
 * words that it understands, and no more than the fences promise:
 *
 *   load          a relaxed atomic load; its address is remembered
 *   load fence    acquires what was released at the remembered addresses
 *   store fence   arms the thread's next store
 *   store         when armed it releases, else it is a plain relaxed store
 *
 * So a fence that is missing is a race that is reported: fence_check.c takes each fence away in
 * turn and expects that. */
#ifndef SUPPORT_TSAN_CK_PR_H
#define SUPPORT_TSAN_CK_PR_H

#undef CK_USE_CC_BUILTINS
#define CK_USE_CC_BUILTINS 1
#include_next <ck_pr.h>

#include <stdbool.h>
#include <stdint.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

#define TSAN_PR_INLINE static inline __attribute__((always_inline, unused))
#define TSAN_PR_LOADS_MAX 16

struct tsan_pr_thread {
    void *loads[TSAN_PR_LOADS_MAX]; /* since the last load fence; the oldest is forgotten first */
    unsigned loads_n;
    bool armed; /* a store fence stands before the next store */
};

static __thread struct tsan_pr_thread tsan_pr __attribute__((unused));

TSAN_PR_INLINE void tsan_pr_note_load(const void *address)
{
    tsan_pr.loads[tsan_pr.loads_n++ % TSAN_PR_LOADS_MAX] = (void *)(uintptr_t)address;
}

/* __tsan_release joins the clock that the address carries already. A release store would replace
 * it, and forget the other producers that published through the same word. */
TSAN_PR_INLINE void tsan_pr_before_store(void *address)
{
    if (tsan_pr.armed)
        __tsan_release(address);
    tsan_pr.armed = false;
}

TSAN_PR_INLINE void tsan_pr_fence_load(void)
{
    unsigned n = tsan_pr.loads_n < TSAN_PR_LOADS_MAX ? tsan_pr.loads_n : TSAN_PR_LOADS_MAX;

    for (unsigned i = 0; i < n; i++)
        __tsan_acquire(tsan_pr.loads[i]);
    tsan_pr.loads_n = 0;
}

TSAN_PR_INLINE void tsan_pr_fence_store(void)
{
    tsan_pr.armed = true;
}

TSAN_PR_INLINE void tsan_pr_fence_full(void)
{
    tsan_pr_fence_load();
    tsan_pr_fence_store();
}

#define TSAN_PR_WORD(name, type)                                                                   \
    TSAN_PR_INLINE type tsan_pr_load_##name(const type *target)                                    \
    {                                                                                              \
        type value = __atomic_load_n(target, __ATOMIC_RELAXED);                                    \
                                                                                                   \
        tsan_pr_note_load(target);                                                                 \
        return value;                                                                              \
    }                                                                                              \
    TSAN_PR_INLINE void tsan_pr_store_##name(type *target, type value)                             \
    {                                                                                              \
        tsan_pr_before_store(target);                                                              \
        __atomic_store_n(target, value, __ATOMIC_RELAXED);                                         \
    }                                                                                              \
    TSAN_PR_INLINE bool tsan_pr_cas_##name##_value(type *target, type compare, type set, type *v)  \
    {                                                                                              \
        bool done = __atomic_compare_exchange_n(target, &compare, set, false, __ATOMIC_SEQ_CST,    \
                                                __ATOMIC_SEQ_CST);                                 \
                                                                                                   \
        tsan_pr.armed = false; /* the fence before it was meant for this exchange */               \
        *v = compare;                                                                              \
        return done;                                                                               \
    }                                                                                              \
    TSAN_PR_INLINE bool tsan_pr_cas_##name(type *target, type compare, type set)                   \
    {                                                                                              \
        type before;                                                                               \
                                                                                                   \
        return tsan_pr_cas_##name##_value(target, compare, set, &before);                          \
    }

TSAN_PR_WORD(char, char)
TSAN_PR_WORD(int, int)
TSAN_PR_WORD(uint, unsigned int)
TSAN_PR_WORD(8, uint8_t)
TSAN_PR_WORD(16, uint16_t)
TSAN_PR_WORD(32, uint32_t)
TSAN_PR_WORD(64, uint64_t)

TSAN_PR_INLINE void *tsan_pr_load_ptr(const void *target)
{
    void *value = __atomic_load_n((void *const *)target, __ATOMIC_RELAXED);

    tsan_pr_note_load(target);
    return value;
}

TSAN_PR_INLINE void tsan_pr_store_ptr(void *target, const void *value)
{
    tsan_pr_before_store(target);
    __atomic_store_n((void **)target, (void *)(uintptr_t)value, __ATOMIC_RELAXED);
}

#define ck_pr_md_load_ptr tsan_pr_load_ptr
#define ck_pr_md_load_char tsan_pr_load_char
#define ck_pr_md_load_int tsan_pr_load_int
#define ck_pr_md_load_uint tsan_pr_load_uint
#define ck_pr_md_load_8 tsan_pr_load_8
#define ck_pr_md_load_16 tsan_pr_load_16
#define ck_pr_md_load_32 tsan_pr_load_32
#define ck_pr_md_load_64 tsan_pr_load_64

#define ck_pr_md_store_ptr tsan_pr_store_ptr
#define ck_pr_md_store_char tsan_pr_store_char
#define ck_pr_md_store_int tsan_pr_store_int
#define ck_pr_md_store_uint tsan_pr_store_uint
#define ck_pr_md_store_8 tsan_pr_store_8
#define ck_pr_md_store_16 tsan_pr_store_16
#define ck_pr_md_store_32 tsan_pr_store_32
#define ck_pr_md_store_64 tsan_pr_store_64

/* Only the exchange that ck_ring.h uses. */
#define ck_pr_cas_uint tsan_pr_cas_uint
#define ck_pr_cas_uint_value tsan_pr_cas_uint_value

#define ck_pr_fence_load() tsan_pr_fence_load()
#define ck_pr_fence_acquire() tsan_pr_fence_load()
#define ck_pr_fence_store() tsan_pr_fence_store()
#define ck_pr_fence_store_atomic() tsan_pr_fence_store()
#define ck_pr_fence_release() tsan_pr_fence_store()
#define ck_pr_fence_load_store() tsan_pr_fence_full()
#define ck_pr_fence_load_atomic() tsan_pr_fence_full()
#define ck_pr_fence_store_load() tsan_pr_fence_full()
#define ck_pr_fence_atomic() tsan_pr_fence_full()
#define ck_pr_fence_atomic_load() tsan_pr_fence_full()
#define ck_pr_fence_atomic_store() tsan_pr_fence_full()
#define ck_pr_fence_memory() tsan_pr_fence_full()
#define ck_pr_fence_acqrel() tsan_pr_fence_full()
#define ck_pr_fence_lock() tsan_pr_fence_full()
#define ck_pr_fence_unlock() tsan_pr_fence_full()

#endif
