/* Which CPUs threads are pinned to. */
#include "engine/cpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Why a CPU comes late, worst first. A rank is the sum of those that hold. */
enum drawback {
    RANK_CALLER = 1 << 4, /* it is the caller's own */
    RANK_SECOND = 1 << 3, /* its core is the caller's, or another's of the list already */
    RANK_SLOW = 1 << 2,
    RANK_NODE = 1 << 1,   /* not on the chosen cache's node */
    RANK_CACHE = 1 << 0,  /* not on the chosen cache */
};

struct candidate {
    struct cpu cpu;
    uint8_t rank;
};

/* The CPUs that share a last-level cache. */
struct domain {
    uint16_t cores;     /* that are fast and free of the caller */
    bool has_caller;
    bool is_wished;
    bool is_callers_node;
};

static const struct cpu *cpu_find(const struct cpus *cpus, int32_t id)
{
    for (uint32_t i = 0; i < cpus->n; i++) {
        if (cpus->list[i].id == id)
            return &cpus->list[i];
    }
    return NULL;
}

/* What a CPU has against it, whichever cache is chosen. */
static void rank_first(const struct cpus *cpus, const struct cpu *caller, struct candidate *out)
{
    bool taken[CPUS_MAX] = {false};

    if (caller != NULL)
        taken[caller->core] = true;
    for (uint32_t i = 0; i < cpus->n; i++) {
        const struct cpu *cpu = &cpus->list[i];

        out[i] = (struct candidate){.cpu = *cpu};
        if (cpu == caller)
            out[i].rank |= RANK_CALLER;
        if (taken[cpu->core])
            out[i].rank |= RANK_SECOND;
        if (cpu->slow)
            out[i].rank |= RANK_SLOW;
        taken[cpu->core] = true;
    }
}

/* Is `a` the better home for so many threads? */
static bool domain_is_better(const struct domain *a, const struct domain *b, uint32_t threads)
{
    uint32_t a_cores = min_u32(a->cores, threads), b_cores = min_u32(b->cores, threads);

    if (a->is_wished != b->is_wished)
        return a->is_wished;
    if (a_cores != b_cores)
        return a_cores > b_cores;
    if (a->has_caller != b->has_caller)
        return a->has_caller; /* it shares rings with these threads */
    return a->is_callers_node && !b->is_callers_node;
}

/* The cache that has the most to offer; the lowest of equals. */
static int32_t cache_choose(const struct candidate *candidates, uint32_t n,
                            const struct cpus_wish *wish, const struct cpu *caller)
{
    struct domain domains[CPUS_MAX] = {{0}};
    int32_t best = candidates[0].cpu.cache;

    for (uint32_t i = 0; i < n; i++) {
        const struct cpu *cpu = &candidates[i].cpu;
        struct domain *domain = &domains[cpu->cache];

        domain->cores += candidates[i].rank == 0;
        domain->has_caller = caller != NULL && caller->cache == cpu->cache;
        domain->is_wished = wish->node != CPUS_UNKNOWN && cpu->node == wish->node;
        domain->is_callers_node = caller != NULL && caller->node == cpu->node;
    }
    for (uint32_t i = 1; i < n; i++) {
        int32_t cache = candidates[i].cpu.cache;

        if (domain_is_better(&domains[cache], &domains[best], wish->threads))
            best = cache;
    }
    return best;
}

static void rank_by_cache(struct candidate *candidates, uint32_t n, int32_t cache)
{
    int16_t node = CPUS_UNKNOWN;

    for (uint32_t i = 0; i < n; i++) {
        if (candidates[i].cpu.cache == cache)
            node = candidates[i].cpu.node;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (candidates[i].cpu.cache != cache)
            candidates[i].rank |= RANK_CACHE;
        if (candidates[i].cpu.node != node)
            candidates[i].rank |= RANK_NODE;
    }
}

static int candidate_compare(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;

    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return a->cpu.id < b->cpu.id ? -1 : 1;
}

static void reason_write(const struct candidate *taken, struct placement *placement)
{
    uint32_t worst = 0;
    const char *cores = "distinct cores", *where = "of one cache", *slow = "";

    for (uint32_t i = 0; i < placement->n; i++)
        worst |= taken[i].rank;
    if ((worst & RANK_SECOND) != 0)
        cores = "second threads of cores, since cores run out,";
    if ((worst & RANK_SLOW) != 0)
        slow = ", slow ones too";
    if ((worst & RANK_CACHE) != 0)
        where = "of several caches";
    if ((worst & RANK_NODE) != 0)
        where = "of several nodes";
    snprintf(placement->reason, sizeof(placement->reason), "%s %s%s", cores, where, slow);
}

static int32_t common_node(const struct candidate *taken, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        if (taken[i].cpu.node != taken[0].cpu.node)
            return CPUS_UNKNOWN;
    }
    return n > 0 ? taken[0].cpu.node : CPUS_UNKNOWN;
}

void cpus_place(const struct cpus *cpus, const struct cpus_wish *wish, struct placement *placement)
{
    struct candidate candidates[CPUS_MAX];
    const struct cpu *caller = cpu_find(cpus, wish->caller);

    DS_ASSERT(wish->threads <= PLACEMENT_MAX);
    *placement = (struct placement){.node = CPUS_UNKNOWN};
    if (wish->threads == 0 || wish->threads >= cpus->n) {
        snprintf(placement->reason, sizeof(placement->reason), "%u CPUs for %u threads and the "
                 "caller", cpus->n, wish->threads);
        return;
    }
    rank_first(cpus, caller, candidates);
    rank_by_cache(candidates, cpus->n, cache_choose(candidates, cpus->n, wish, caller));
    qsort(candidates, cpus->n, sizeof(candidates[0]), candidate_compare);
    placement->n = wish->threads;
    for (uint32_t i = 0; i < placement->n; i++)
        placement->ids[i] = candidates[i].cpu.id;
    placement->node = common_node(candidates, placement->n);
    reason_write(candidates, placement);
}
