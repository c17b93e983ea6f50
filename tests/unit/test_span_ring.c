/* engine/span_ring.h against a map of its units. */
#include "engine/span_ring.h"

#include "unit/support.h"

#define SIZE 97
#define SPANS_MAX SIZE

struct span {
    uint64_t at, n, taken;
};

Test(span_ring, spans_are_whole_and_apart_and_all_of_it_can_be_had)
{
    uint64_t seed = support_seed("span_ring"), refused = 0;
    struct span_ring ring = {.size = SIZE};
    struct span spans[SPANS_MAX];
    uint8_t owner[SIZE] = {0};
    uint32_t first = 0, n = 0;

    for (uint32_t step = 0; step < 20000; step++) {
        struct span span = {.n = 1 + support_below(&seed, step % 50 == 0 ? SIZE : 20)};
        bool gives = n > 0 && support_below(&seed, 2) == 0;

        span.taken = gives ? 0 : span_ring_take(&ring, span.n, &span.at);
        if (span.taken == 0 && n == 0)
            cr_assert(gives, "%lu units were refused though all are free", span.n);
        refused += !gives && span.taken == 0;
        if (span.taken != 0) {
            cr_assert(span.taken >= span.n && span.at + span.n <= SIZE);
            for (uint64_t i = span.at; i < span.at + span.n; i++)
                cr_assert_eq(owner[i]++, 0, "unit %lu is taken twice", i);
            spans[(first + n++) % SPANS_MAX] = span;
        } else if (n > 0) {
            span = spans[first++ % SPANS_MAX];
            n--;
            for (uint64_t i = span.at; i < span.at + span.n; i++)
                owner[i]--;
            span_ring_give(&ring, span.taken);
        }
    }
    cr_assert_gt(refused, 100);
    for (; n > 0; n--)
        span_ring_give(&ring, spans[first++ % SPANS_MAX].taken);
    cr_assert_eq(ring.used, 0);
    cr_assert_eq(span_ring_take(&ring, SIZE, &spans[0].at), SIZE);
}
