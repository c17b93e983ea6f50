/* The second table of the demo: the same content as it is and through each codec. */
#ifndef DSBENCH_DEMO_CODECS_H
#define DSBENCH_DEMO_CODECS_H

#include "report.h"

#define DEMO_CODECS 4 /* none, gdeflate, zstd, lz4 */

struct demo_codecs {
    struct options options;
    struct session session;
    bool open;
    struct workload workloads[DEMO_CODECS];
    struct engine_result results[DEMO_CODECS];
    uint32_t n; /* measured */
};

/* demo_codecs_run makes files that pack well, or takes the FILEs, and measures each codec that is
 * in the build, every byte verified. Rows go to `out` (NULL = nowhere) as they come. 0, or -errno
 * after a complaint. demo_codecs_close in either case. */
int demo_codecs_run(struct demo_codecs *demo, const struct options *options, FILE *out);
void demo_codecs_close(struct demo_codecs *demo);

#endif
