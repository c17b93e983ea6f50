/* The engine's counters over time: a thread beside a run looks at them at a fixed interval. */
#ifndef DSBENCH_TIMELINE_H
#define DSBENCH_TIMELINE_H

#include "json.h"
#include "session.h"

struct timeline;

/* timeline_open: 0, or -errno after a complaint. The session must outlive it. */
int timeline_open(struct session *session, uint32_t interval_ms, struct timeline **timeline);
void timeline_close(struct timeline **timeline);

/* timeline_start forgets what was seen and begins to look; timeline_stop ends it. 0, or -errno
 * after a complaint. */
int timeline_start(struct timeline *timeline);
void timeline_stop(struct timeline *timeline);

/* timeline_write writes the member "timeline": what passed in each interval. */
void timeline_write(struct json *json, const struct timeline *timeline);

#endif
