/* What all runs of one command share: the files, the device, the engine. */
#ifndef DSBENCH_SESSION_H
#define DSBENCH_SESSION_H

#include "files.h"
#include "gpu.h"
#include "options.h"

#include <ds/ds.h>

struct session {
    const struct options *options;
    struct inputs inputs;
    bool inputs_borrowed;
    struct ds_allocator allocator;
    bool has_allocator; /* jemalloc is linked in */
    struct gpu gpu;
    bool has_gpu;
    char device_reason[256]; /* why there is none */
    enum dest dest;          /* GPU, HOST or NIL */
    struct ds_engine *engine;
    struct ds_engine_info info;
    struct ds_file **files;   /* as inputs.list */
    struct ds_file_info file; /* of the first */
    bool registered;          /* the destination of the last run, in host memory */
};

/* session_open checks or makes the files, finds the device, starts the engine, and warms the files.
 * 0, or -errno after a complaint with nothing left behind. */
int session_open(const struct options *options, uint32_t make_n, struct session *session);

/* session_open_on is session_open on files that the caller has opened, and keeps open. */
int session_open_on(const struct options *options, const struct inputs *inputs,
                    struct session *session);
void session_close(struct session *session);

/* Texts for reports: "io_uring", "direct", "dedicated", the device's name. */
const char *session_read_name(const struct session *session);
const char *session_direct_name(const struct session *session);
/* session_copies writes what copies to the GPU, and up to which size, to text, and returns it. */
const char *session_copies(const struct session *session, char *text, size_t text_bytes);
/* session_mapped likewise: which requests go straight into their mapping. */
const char *session_mapped(const struct session *session, char *text, size_t text_bytes);
const char *session_topology_name(const struct session *session);
const char *session_device_name(const struct session *session);

#endif
