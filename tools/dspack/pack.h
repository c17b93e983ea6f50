/* dspack pack: files into an archive. */
#ifndef DSPACK_PACK_H
#define DSPACK_PACK_H

#include "rules.h"

struct pack_options {
    struct rules rules;
    uint32_t chunk_bytes;
    uint32_t align_bytes;
    uint32_t threads;
    bool quiet;
    const char *output;
    char **inputs;
    int inputs_n;
};

/* pack_run returns the exit status. */
int pack_run(const struct pack_options *options);

/* pack_main is the command: argv[0] is "pack". */
int pack_main(int argc, char **argv);

#endif
