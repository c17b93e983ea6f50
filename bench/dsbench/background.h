/* A load beside what is measured: reads without end, as many as the disk takes. */
#ifndef DSBENCH_BACKGROUND_H
#define DSBENCH_BACKGROUND_H

#include "measure.h"

struct background;

/* background_workload: random reads of 64 KiB at low priority. */
struct workload background_workload(uint64_t seed);

/* background_open makes it ready: of the workload it takes size, depth, pattern and priority. 0, or
 * -errno after a complaint. */
int background_open(struct session *session, const struct workload *workload,
                    struct background **background);
void background_close(struct background **background);

/* background_start lets it run until background_stop, which waits for its last request and fills
 * *measure. 0, or -errno after a complaint. */
int background_start(struct background *background);
void background_stop(struct background *background, struct measure *measure);

#endif
