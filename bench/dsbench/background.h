/* A load beside the one that is measured: random reads of 64 KiB at low priority, as many as the
 * disk takes. */
#ifndef DSBENCH_BACKGROUND_H
#define DSBENCH_BACKGROUND_H

#include "measure.h"

struct background;

/* background_open makes it ready. 0, or -errno after a complaint. */
int background_open(struct session *session, uint64_t seed, struct background **background);
void background_close(struct background **background);

/* background_start lets it run until background_stop, which waits for its last request and fills
 * *measure. 0, or -errno after a complaint. */
int background_start(struct background *background);
void background_stop(struct background *background, struct measure *measure);

#endif
