/* Open-loop load: requests are sent at a given rate, whether earlier ones are complete or not, and
 * latency counts from the moment at which a request was meant to be sent. A load that waits for the
 * engine before it sends on would leave out what users see when the engine is slow. */
#ifndef DSBENCH_OPEN_LOOP_H
#define DSBENCH_OPEN_LOOP_H

#include "drive.h"

struct open_result {
    double offered_per_s;
    uint64_t unsent; /* were due, but their sending was not reached before the end */
    struct ds_histogram late_ns; /* how long after its moment each request was sent */
};

struct open_loop;

/* open_loop_open takes `drive` (filled, not yet opened), whose depth is the most that is in flight:
 * when all are, the next ones are late, and it counts. 0, or -errno after a complaint. */
int open_loop_open(struct drive *drive, double rate_per_s, bool poisson, uint64_t seed,
                   struct open_loop **loop);
void open_loop_close(struct open_loop **loop);

/* open_loop_pass sends at the rate until drive->issue_max or drive->deadline_ns, waits for what is
 * in flight, and adds to *measure. Requests that were due and not sent count in drive->latency_ns
 * with the time that they had waited at the end. */
void open_loop_pass(struct open_loop *loop, struct measure *measure, struct open_result *result);

#endif
