/* Who writes which cache line. What one side writes for each request lies on lines that the other
 * side writes nothing to for each request: otherwise two cores would take the line from each other.
 * (Measuring that takes perf c2c and its hardware counters, which virtual machines rarely have:
 * the offsets are checked instead.) */
#include "engine/chunk.h"
#include "engine/event.h"
#include "engine/file.h"
#include "engine/queue.h"
#include "engine/stats.h"
#include "stages/submit.h"

#include "unit/support.h"

#include <stddef.h>

#define LINE_OF(type, field) (offsetof(type, field) / CACHE_LINE)
#define LAST_LINE_OF(type, field)                                                                  \
    ((offsetof(type, field) + sizeof(((type *)NULL)->field) - 1) / CACHE_LINE)
/* No byte of `b` lies on a line that `a` has a byte on; a comes first. */
#define APART(type, a, b)                                                                          \
    cr_assert_lt(LAST_LINE_OF(type, a), LINE_OF(type, b), "%s: %s and %s share a line", #type, #a, \
                 #b)
#define BEGINS_A_LINE(type, field)                                                                 \
    cr_assert_eq(offsetof(type, field) % CACHE_LINE, 0, "%s.%s", #type, #field)

Test(layout, records_fill_lines)
{
    cr_assert_eq(sizeof(struct chunk), CACHE_LINE);
    cr_assert_eq(sizeof(struct request) % CACHE_LINE, 0);
    cr_assert_eq(sizeof(struct ds_queue) % CACHE_LINE, 0);
    cr_assert_eq(_Alignof(struct request), CACHE_LINE);
    cr_assert_eq(_Alignof(struct ds_queue), CACHE_LINE);
    cr_assert_eq(_Alignof(struct stage_stats), CACHE_LINE);
}

/* The producer's line is only read once the request is published; progress is the second line; and
 * what a plain request does not need is the third. */
Test(layout, a_plain_request_lives_on_two_lines)
{
    cr_assert_eq(LAST_LINE_OF(struct request, queue), 0);
    BEGINS_A_LINE(struct request, enqueued_ns);
    cr_assert_eq(LAST_LINE_OF(struct request, chunks_done), 1);
    cr_assert_eq(LAST_LINE_OF(struct request, chunks_copied), 1);
    cr_assert_eq(LAST_LINE_OF(struct request, notice_epoch), 1);
    cr_assert_eq(LAST_LINE_OF(struct request, life), 1);
    cr_assert_eq(LAST_LINE_OF(struct request, special), 1);
    cr_assert_geq(LINE_OF(struct request, source), 2);
}

/* Slots: the complete stage (or pollers) give to `list`; the single producer works off its own. */
Test(layout, free_slots)
{
    APART(struct slots, single_producer, list);
    APART(struct slots, list, own_first);
    APART(struct ds_queue, name, free.list);
}

/* The intake: producers push and publish, the submit stage pops. */
Test(layout, intake)
{
    APART(struct intake, ring, list);
    APART(struct intake, published, oldest);
    cr_assert_eq(LINE_OF(struct intake, oldest), LINE_OF(struct intake, popped));
}

/* The two ends of a ring and what both read are on lines of their own, also where rings follow each
 * other or something else. */
Test(layout, ring)
{
    cr_assert_eq(_Alignof(struct ring), CACHE_LINE);
    APART(struct ring, ck.c_head, ck.p_tail);
    APART(struct ring, ck.p_tail, ck.mask);
    cr_assert_eq(LINE_OF(struct ring, ck.mask), LINE_OF(struct ring, slots));
    cr_assert_eq(sizeof(struct ring) % CACHE_LINE, 0);
    APART(struct submit_stage, returned, lanes);
}

/* Constants, the producers' part, the submit stage's, the complete stage's, the waiters'. */
Test(layout, queue)
{
    APART(struct ds_queue, name, free);
    APART(struct ds_queue, free, intake);
    APART(struct ds_queue, intake, epoch);
    BEGINS_A_LINE(struct ds_queue, epoch);
    APART(struct ds_queue, popped_at, order);
    APART(struct ds_queue, notices_fired, done);
    APART(struct ds_queue, done_fd, freed);
    APART(struct ds_queue, freed, closed);
    BEGINS_A_LINE(struct ds_queue, completed);
    APART(struct ds_queue, order, completed);
    APART(struct ds_queue, unreported, done);
    APART(struct ds_queue, notices, freed);
}

/* ds_queue_submit writes one word of the submit stage, which reads it and writes the rest. */
Test(layout, submit_stage)
{
    APART(struct submit_stage, queues, ready);
    APART(struct submit_stage, ready, pending);
    APART(struct submit_stage, ready, turn);
}

/* A file's counters: producers, submit, complete. */
Test(layout, file)
{
    APART(struct ds_file, closed, accepted);
    APART(struct ds_file, accepted, begun);
    APART(struct ds_file, begun, ended);
}
