/* Judging the result of one chunk's transfer. Here alone is it done, whichever back end moved. */
#ifndef STAGES_READ_SETTLE_H
#define STAGES_READ_SETTLE_H

#include "stages/read.h"

/* read_settle takes a result, bytes or -errno as a system call gives it, and says whether the chunk
 * is finished, well or not. False: what is left of it is to be issued again. */
bool read_settle(struct read_stage *stage, struct chunk *chunk, int64_t result);

#endif
