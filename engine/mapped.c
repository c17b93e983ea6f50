/* The rule, of figures alone. */
#include "engine/mapped.h"

/* What of a submission one MiB pays where batch_bytes share it. */
static uint64_t share_ns(const struct mapped_figures *figures, uint64_t batch_bytes)
{
    return batch_bytes > MAPPED_MIB ? figures->submit_ns * MAPPED_MIB / batch_bytes
                                    : figures->submit_ns;
}

struct mapped_limits mapped_rule(const struct mapped_figures *figures, uint64_t batch_bytes)
{
    uint64_t extra_ns = figures->mapping_ns > figures->staging_ns
                            ? figures->mapping_ns - figures->staging_ns
                            : 0;
    uint64_t alone;

    if (extra_ns <= share_ns(figures, batch_bytes))
        return (struct mapped_limits){.max_bytes = UINT64_MAX, .alone_max_bytes = UINT64_MAX};
    alone = figures->submit_ns * MAPPED_MIB / extra_ns;
    return (struct mapped_limits){
        .alone_max_bytes = alone >= MAPPED_ALONE_MIN_BYTES ? alone : 0,
    };
}
