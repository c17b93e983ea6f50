/* The command line. */
#ifndef DSBENCH_OPTIONS_H
#define DSBENCH_OPTIONS_H

#include <ds/engine.h>

enum command { COMMAND_DEMO, COMMAND_RUN, COMMAND_COMPARE };

enum dest { DEST_AUTO, DEST_GPU, DEST_HOST, DEST_NIL };

enum peer_bits { PEER_FIO = 1u << 0, PEER_NAIVE = 1u << 1, PEER_RAW = 1u << 2 };

#define SIZE_MAX_BYTES ((uint64_t)1 << 30)
#define DEPTH_MAX      32768

struct options {
    enum command command;
    const char **files; /* as given; they point into argv */
    uint32_t files_n;
    const char *dir;     /* where files are made; NULL = $TMPDIR or /var/tmp */
    uint64_t make_bytes; /* size of the made files together; 0 = 512 MiB */
    bool keep;
    uint64_t size;  /* of a request, bytes; 0 in demo = the usual four */
    uint32_t depth; /* requests in flight; 0 in demo = by size */
    bool sequential;
    double seconds;    /* 0 = no limit in time */
    uint64_t requests; /* 0 = no limit in number */
    enum dest dest;
    enum ds_read_backend read;
    enum ds_direct_mode direct;
    enum ds_topology topology;
    const char *device; /* part of a Vulkan device's name, or NULL */
    uint32_t lanes;
    uint64_t arena_bytes; /* 0 = the engine's default */
    bool warm;
    bool verify;
    bool verbose;
    const char *json; /* path, "-" for stdout, or NULL */
    uint32_t priority;   /* enum ds_priority of the measured requests */
    bool has_priority;
    bool background;
    uint32_t rounds;
    uint32_t peers; /* enum peer_bits */
    uint64_t seed;
};

/* options_parse reads the command line. Returns -1 to go on, else the exit status: 0 after --help
 * and --version, EXIT_BAD_USAGE after a complaint. */
int options_parse(int argc, char **argv, struct options *options);

const char *command_name(enum command command);
const char *dest_name(enum dest dest);
const char *priority_name(uint32_t priority);

#endif
