/* The command line. */
#ifndef DSBENCH_OPTIONS_H
#define DSBENCH_OPTIONS_H

#include <ds/engine.h>

enum command {
    COMMAND_DEMO,
    COMMAND_RUN,
    COMMAND_COMPARE,
    COMMAND_MARKS,
    COMMAND_SWEEP,
    COMMAND_REPORT,
    COMMAND_DIFF,
    COMMAND_CODEC,
    COMMAND_FRAMETIME,
    COMMAND_COUNT,
};

enum dest { DEST_AUTO, DEST_GPU, DEST_HOST, DEST_NIL };

/* In the order of the peers' table; a set of them is a mask of 1 << peer. */
enum peer { PEER_FIO, PEER_NAIVE, PEER_RAW, PEER_PREAD, PEER_COUNT };

/* pread is the yardstick of --depth 1 alone. */
#define PEERS_USUAL (1u << PEER_FIO | 1u << PEER_NAIVE | 1u << PEER_RAW)

#define SIZE_MAX_BYTES ((uint64_t)1 << 30)
#define DEPTH_MAX      32768
#define LIST_MAX       32

/* Numbers given as a list, in that order. */
struct number_list {
    uint32_t n;
    uint64_t at[LIST_MAX];
};

struct options {
    enum command command;
    const char **files; /* as given; they point into argv */
    uint32_t files_n;
    uint64_t given;      /* 1 << row of the option table */
    const char *dir;     /* where files are made; NULL = $TMPDIR or /var/tmp */
    uint64_t make_bytes; /* size of the made files together; 0 = 512 MiB */
    bool keep;
    uint64_t size;  /* of a request, bytes; 0 in demo = the usual four */
    uint32_t depth; /* requests in flight; 0 in demo = by size */
    uint32_t clients; /* threads that enqueue and poll; 0 = none */
    int sequential;
    double seconds;    /* 0 = no limit in time */
    uint64_t requests; /* 0 = no limit in number */
    int dest;          /* enum dest */
    int read;          /* enum ds_read_backend */
    int direct;        /* enum ds_direct_mode */
    int topology;      /* enum ds_topology */
    int uring_poll;    /* enum ds_uring_poll */
    int copy_path;       /* enum ds_vulkan_copy_path */
    int decode_path;     /* enum ds_vulkan_decode_path */
    uint64_t decode_backlog_bytes; /* 0 = the engine's choice */
    const char *device; /* part of a Vulkan device's name, or NULL */
    bool mapped;         /* the destination is, and requests say so */
    int mapped_path;     /* enum ds_vulkan_mapped_path, of those */
    uint32_t spin_us;    /* 0 = the engine's default, as the next two */
    uint32_t flush_us;
    uint32_t batches;
    uint32_t lanes;
    uint64_t arena_bytes; /* 0 = the engine's default */
    bool warm;
    bool registers; /* destinations in host memory */
    bool verify;
    bool verbose;
    const char *json; /* path, "-" for stdout, or NULL */
    int priority;     /* enum ds_priority of the measured requests */
    bool background;
    double rate;          /* requests/s of an open loop; 0 = closed */
    int poisson;
    uint32_t timeline_ms; /* 0 = none */
    uint32_t rounds;
    uint32_t peers; /* mask of 1 << enum peer */
    uint64_t seed;
    const char *out; /* sweep: JSON lines; report: HTML */
    double fail_below; /* diff; 0 = never */
    int codec;         /* enum ds_codec_format */
    bool packs;        /* made files hold what packs well: --codec, or a codec among others */
    /* codec */
    uint32_t kinds;  /* mask of 1 << enum data_kind */
    uint32_t codecs; /* mask of 1 << enum coder_kind */
    uint32_t paths;  /* mask of 1 << enum ds_codec_path or coder_path */
    bool software;   /* paths of the GPU's were asked for: measure software, too */
    struct number_list threads;
    uint32_t level;
    uint64_t chunk_bytes;
    struct number_list sizes;
    struct number_list depths;
    struct number_list scatter_groups; /* frametime: all, else the first; none or 0 = by default */
    double fps;                        /* frametime */
    double frame_work_ms;
    uint32_t copy_paths; /* mask of 1 << enum ds_vulkan_copy_path */
    uint32_t topologies; /* mask of 1 << enum ds_topology */
    uint32_t reads;      /* mask of 1 << enum ds_read_backend */
};

/* options_parse reads the command line. Returns -1 to go on, else the exit status: 0 after --help
 * and --version, EXIT_BAD_USAGE after a complaint. */
int options_parse(int argc, char **argv, struct options *options);

/* options_decode_needs_gpu: does --decode name a way of the GPU's? */
bool options_decode_needs_gpu(const struct options *options);

const char *command_name(enum command command);
const char *dest_name(enum dest dest);
const char *priority_name(uint32_t priority);

#endif
