/* The engine and its peers in turn. A disk's speed changes from second to second, so what counts is
 * the ratio of two neighbouring runs, and the median of many. */
#ifndef DSBENCH_CONTEST_H
#define DSBENCH_CONTEST_H

#include "report.h"

struct contest;

/* contest_open makes an engine run and the peers (a mask of 1 << enum peer) ready. The session and
 * what the workload points to must outlive it. 0, or -errno after a complaint. */
int contest_open(struct session *session, const struct workload *workload, uint32_t peers,
                 uint32_t rounds, struct contest **contest);
void contest_close(struct contest **contest);

/* contest_run runs all rounds; on a terminal with progress that begins with `label`. 0, or -errno
 * after a complaint. */
int contest_run(struct contest *contest, const char *label);

/* contest_report returns the medians. What it points to lives as long as the contest. Once only. */
struct report contest_report(struct contest *contest);

#endif
