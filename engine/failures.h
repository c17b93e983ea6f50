/* Failed writes of a queue that no flush has told of yet: for each file, and for descriptors by
 * number. Belongs to the complete stage. */
#ifndef ENGINE_FAILURES_H
#define ENGINE_FAILURES_H

#include "engine/host.h"

struct request;

struct write_failure {
    uint32_t key;         /* of the file or the descriptor; 0: none */
    uint32_t first, last; /* sequences of the failed writes */
    int32_t status;       /* of the first */
    int32_t error;
};

struct failures {
    struct write_failure *table; /* one for each open file, then some for descriptors */
};

/* failures_open: 0 or -ENOMEM. */
int failures_open(struct failures *failures, const struct host *host);
void failures_close(struct failures *failures, const struct host *host);

/* failures_add: a write has failed. */
void failures_add(struct failures *failures, const struct request *write);

/* failures_tell: a flush has ended. It fails with the first of the failed writes before it, and
 * what it tells is forgotten. When writes behind it have failed already, the flush after those is
 * the one to fail; one in between may fail too, never the other way round. Only the first and the
 * last failure of a file are kept, since how many there are is not bounded by the queue's slots;
 * and a flush that fails for too much makes its caller write again, where one that does not loses
 * data. */
void failures_tell(struct failures *failures, struct request *flush);

#endif
