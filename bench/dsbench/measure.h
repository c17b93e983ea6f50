/* What a run of the engine or of a peer yields. */
#ifndef DSBENCH_MEASURE_H
#define DSBENCH_MEASURE_H

#include "base.h"
#include "sequence.h"
#include "session.h"
#include "target.h"

struct measure {
    uint64_t wall_ns; /* from the first submission to the last completion */
    uint64_t cpu_ns;  /* of the whole process in that time */
    uint64_t client_cpu_ns; /* of that, the clients' (clients.h) */
    uint64_t requests;
    uint64_t bytes;
    uint64_t errors;
};

static inline double measure_requests_per_s(const struct measure *m)
{
    return m->wall_ns == 0 ? 0 : (double)m->requests * NS_PER_S / (double)m->wall_ns;
}

static inline double measure_bytes_per_s(const struct measure *m)
{
    return m->wall_ns == 0 ? 0 : (double)m->bytes * NS_PER_S / (double)m->wall_ns;
}

static inline double measure_client_cpu_us_per_request(const struct measure *m)
{
    return m->requests == 0 ? 0 : (double)m->client_cpu_ns / 1000 / (double)m->requests;
}

static inline double measure_cpu_us_per_request(const struct measure *m)
{
    return m->requests == 0 ? 0 : (double)m->cpu_ns / 1000 / (double)m->requests;
}

#endif
