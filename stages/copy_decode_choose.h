/* Who decodes GDeflate for an engine: what was asked for, or what measuring and a rule come to. */
#ifndef STAGES_COPY_DECODE_CHOOSE_H
#define STAGES_COPY_DECODE_CHOOSE_H

#include "engine/balance.h"
#include "engine/vulkan/backend.h"

/* What a disk brings at most: 7 GB/s of a drive with four lanes of PCIe 4, packed two to one. CPU
 * threads that keep up with it are never waited for. */
#define DECODE_ENOUGH_BYTES_PER_S 14000000000u

/* Per cent of the rate of all CPU threads that the GPU must have, to be worth its memory: it gets
 * what they would come to later than it. */
#define DECODE_GPU_PERCENT 50u

/* Per cent of the shader's rate that the extension must have, which tells nothing of damage. */
#define DECODE_NV_PERCENT 125u

/* Bytes a second of content; 0: unknown. */
struct decode_rates {
    uint64_t cpu; /* of all threads */
    uint64_t gpu;
    uint64_t nv; /* 0, too, where it must not be chosen */
};

struct decode_choice {
    enum ds_vulkan_decode_path path; /* never AUTO or MEASURE */
    const char *reason;              /* static, or the back end's */
    bool nv;                         /* BALANCED: the GPU's side is the extension's */
    struct balance balance;          /* BALANCED: the figures to begin with */
};

/* copy_decode_rule is the rule: CPU or BALANCED, whose figures it leaves out. */
struct decode_choice copy_decode_rule(const struct decode_rates *rates);

/* copy_decode_choose decides for an engine with so many threads that do nothing but decode. Where
 * the back end has not measured yet what it must know, that is done now, if the engine's queue and
 * memory are ready (may_measure); a failure is logged, and the CPU decodes. */
struct decode_choice copy_decode_choose(struct ds_vulkan_backend *backend, const struct host *host,
                                        uint32_t threads_n, bool may_measure);

#endif
