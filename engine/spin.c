/* The length of a look. */
#include "engine/spin.h"

#define VAIN_MAX 4u
#define REST_FIRST 8u
#define REST_MAX 256u

void spin_init(struct spin *spin, uint32_t least_ns, uint32_t most_ns)
{
    *spin = (struct spin){.least_ns = least_ns, .most_ns = most_ns};
    if (most_ns < least_ns)
        spin->most_ns = least_ns;
    spin->limit_ns = spin->most_ns;
    spin->rest_next = REST_FIRST;
}

void spin_found(struct spin *spin, uint64_t gap_ns)
{
    uint64_t want_ns = max_u64(spin->least_ns, min_u64(gap_ns + gap_ns / 2, spin->most_ns));

    spin->vain_n = 0;
    spin->rest_n = 0;
    spin->rest_next = REST_FIRST;
    if (want_ns >= spin->limit_ns)
        spin->limit_ns = (uint32_t)want_ns;
    else
        spin->limit_ns -= (spin->limit_ns - (uint32_t)want_ns + 7) / 8; /* gaps differ */
}

void spin_slept(struct spin *spin)
{
    if (spin->rest_n > 0) {
        if (--spin->rest_n == 0)
            spin->limit_ns = spin->most_ns;
        return;
    }
    if (spin->limit_ns < spin->most_ns && spin->vain_n == 0)
        spin->limit_ns = spin->most_ns; /* too short a look, perhaps */
    if (++spin->vain_n < VAIN_MAX)
        return;
    spin->vain_n = 0;
    spin->limit_ns = spin->least_ns;
    spin->rest_n = spin->rest_next;
    spin->rest_next = min_u32(2 * spin->rest_next, REST_MAX);
}
