/* The peers: other ways to run the same workload. All on the calling thread, or in a child. */
#ifndef DSBENCH_PEER_H
#define DSBENCH_PEER_H

#include "measure.h"

#define PEER_WHY_BYTES 256 /* report.h: PEER_REASON_BYTES */

struct peer_env {
    struct session *session;
    const struct workload *workload;
    bool direct;              /* O_DIRECT, as the engine reads */
    uint32_t direct_align;    /* of offsets and sizes, bytes; 1 when buffered */
    char why[PEER_WHY_BYTES]; /* why the peer is skipped, or what failed */
};

struct peer_ops {
    const char *name;
    bool only_reads; /* so that nothing is left of it with --read nil */
    /* 0 with *self set, or -errno with env->why filled: the peer is skipped. */
    int (*open)(struct peer_env *env, void **self);
    /* One run. 0, or -errno with env->why filled. */
    int (*run)(struct peer_env *env, void *self, struct measure *measure);
    void (*close)(void *self);
};

extern const struct peer_ops *const peers_all[PEER_COUNT];
extern const struct peer_ops peer_fio_ops;
extern const struct peer_ops peer_naive_ops;
extern const struct peer_ops peer_raw_ops;
extern const struct peer_ops peer_pread_ops;

/* peer_env_init: the peer is to read as the session's engine does. */
void peer_env_init(struct peer_env *env, struct session *session, const struct workload *workload);

/* peer_open is ops->open, unless the workload leaves the peer nothing to do. */
int peer_open(const struct peer_ops *ops, struct peer_env *env, void **self);

/* peer_skip fills why, and returns `error`. */
int peer_skip(struct peer_env *env, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Descriptors of all inputs, opened as the engine reads them. */
struct peer_files {
    int *fds;
    uint32_t n;
};

/* peer_files_open: 0, or -errno with env->why filled: also when the request size does not suit
 * O_DIRECT. */
int peer_files_open(struct peer_env *env, struct peer_files *files);
void peer_files_close(struct peer_files *files);

/* When a peer's run ends. */
struct peer_limit {
    uint64_t requests_max;
    uint64_t deadline_ns; /* 0 = none */
};

struct peer_limit peer_limit_start(const struct workload *workload, uint64_t now);

static inline bool peer_goes_on(const struct peer_limit *limit, uint64_t issued)
{
    return issued < limit->requests_max && !interrupted &&
           (limit->deadline_ns == 0 || now_ns() < limit->deadline_ns);
}

#endif
