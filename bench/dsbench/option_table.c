#include "option_table.h"

#include "clients.h"
#include "codec_data.h"
#include "coder.h"

#include <ds/vulkan.h>
#include <string.h>

#define DEMO    (1u << COMMAND_DEMO)
#define RUN     (1u << COMMAND_RUN)
#define COMPARE (1u << COMMAND_COMPARE)
#define MARKS   (1u << COMMAND_MARKS)
#define SWEEP   (1u << COMMAND_SWEEP)
#define REPORT  (1u << COMMAND_REPORT)
#define DIFF    (1u << COMMAND_DIFF)
#define CODEC   (1u << COMMAND_CODEC)
#define FRAMES  (1u << COMMAND_FRAMETIME)
#define UINT64_END 0x1p64 /* what UINT64_MAX is as a double, which clang wants said */
#define CHOSEN  (DEMO | RUN | COMPARE)         /* the workload is told by options */
#define STREAM  (DEMO | RUN | COMPARE | MARKS | SWEEP | FRAMES) /* what starts an engine */
#define GIBI    1073741824.0

const struct word command_words[] = {
    {"demo", COMMAND_DEMO}, {"run", COMMAND_RUN}, {"compare", COMMAND_COMPARE},
    {"marks", COMMAND_MARKS}, {"sweep", COMMAND_SWEEP},
    {"report", COMMAND_REPORT}, {"diff", COMMAND_DIFF},
    {"codec", COMMAND_CODEC}, {"frametime", COMMAND_FRAMETIME}, {NULL, 0}};
const struct word dest_words[] = {
    {"auto", DEST_AUTO}, {"gpu", DEST_GPU}, {"host", DEST_HOST}, {"nil", DEST_NIL}, {NULL, 0}};
const struct word priority_words[] = {{"low", DS_PRIORITY_LOW},
                                      {"normal", DS_PRIORITY_NORMAL},
                                      {"high", DS_PRIORITY_HIGH},
                                      {"realtime", DS_PRIORITY_REALTIME},
                                      {NULL, 0}};
static const struct word pattern_words[] = {{"random", 0}, {"sequential", 1}, {NULL, 0}};
static const struct word read_words[] = {{"auto", DS_READ_AUTO},
                                         {"uring", DS_READ_URING},
                                         {"pread", DS_READ_PREAD},
                                         {"nil", DS_READ_NIL},
                                         {NULL, 0}};
static const struct word uring_poll_words[] = {{"none", DS_URING_POLL_NONE},
                                               {"sqpoll", DS_URING_POLL_SQPOLL},
                                               {"iopoll", DS_URING_POLL_IOPOLL},
                                               {NULL, 0}};
static const struct word arrival_words[] = {{"fixed", 0}, {"poisson", 1}, {NULL, 0}};
static const struct word direct_words[] = {
    {"auto", DS_DIRECT_AUTO}, {"on", DS_DIRECT_ON}, {"off", DS_DIRECT_OFF}, {NULL, 0}};
static const struct word topology_words[] = {{"auto", DS_TOPOLOGY_AUTO},
                                             {"dedicated", DS_TOPOLOGY_DEDICATED},
                                             {"shared", DS_TOPOLOGY_SHARED},
                                             {"hybrid", DS_TOPOLOGY_HYBRID},
                                             {NULL, 0}};
static const struct word kind_words[] = {
    {"text", DATA_TEXT}, {"bc7", DATA_BC7}, {"mesh", DATA_MESH}, {NULL, 0}};
static const struct word codec_words[] = {{"gdeflate", CODER_GDEFLATE},
                                          {"zstd", CODER_ZSTD},
                                          {"lz4", CODER_LZ4},
                                          {"libdeflate", CODER_DEFLATE},
                                          {"none", CODER_NONE},
                                          {NULL, 0}};
static const struct word stream_codec_words[] = {{"none", 0},
                                                 {"gdeflate", DS_CODEC_GDEFLATE},
                                                 {"zstd", DS_CODEC_ZSTD},
                                                 {"lz4", DS_CODEC_LZ4},
                                                 {NULL, 0}};
static const struct word path_words[] = {{"auto", DS_CODEC_PATH_AUTO},
                                         {"scalar", DS_CODEC_PATH_SCALAR},
                                         {"avx2", DS_CODEC_PATH_AVX2},
                                         {"avx512", DS_CODEC_PATH_AVX512},
                                         {"gpu", CODER_PATH_GPU},
                                         {"gpu-portable", CODER_PATH_GPU_PORTABLE},
                                         {"gpu-subgroup", CODER_PATH_GPU_SUBGROUP},
                                         {"nv", CODER_PATH_NV},
                                         {NULL, 0}};
static const struct word copy_path_words[] = {{"auto", DS_VULKAN_PATH_AUTO},
                                              {"copy", DS_VULKAN_PATH_COPY},
                                              {"scatter", DS_VULKAN_PATH_SCATTER},
                                              {NULL, 0}};
static const struct word mapped_path_words[] = {{"auto", DS_VULKAN_MAPPED_AUTO},
                                                {"never", DS_VULKAN_MAPPED_NEVER},
                                                {"always", DS_VULKAN_MAPPED_ALWAYS},
                                                {NULL, 0}};
static const struct word decode_words[] = {{"auto", DS_VULKAN_DECODE_AUTO},
                                           {"cpu", DS_VULKAN_DECODE_CPU},
                                           {"gpu", DS_VULKAN_DECODE_GPU},
                                           {"nv", DS_VULKAN_DECODE_NV},
                                           {"measure", DS_VULKAN_DECODE_MEASURE},
                                           {"balanced", DS_VULKAN_DECODE_BALANCED},
                                           {NULL, 0}};
static const struct word peer_words[] = {
    {"fio", PEER_FIO}, {"naive", PEER_NAIVE}, {"raw", PEER_RAW}, {"pread", PEER_PREAD}, {NULL, 0}};

static const char *const command_texts[] = {
    [COMMAND_DEMO] =
        "usage: dsbench demo [OPTION...] [FILE...]\n"
        "\n"
        "Streams FILEs, or files made for the purpose, to the GPU at 4K, 64K, 1M and 16M a\n"
        "request, compares every byte with a plain read, and prints what it measured, which path\n"
        "was taken and what held it up. Exit status 0 only with no mismatch and no error.\n",
    [COMMAND_RUN] =
        "usage: dsbench run [OPTION...] [FILE...]\n"
        "\n"
        "Runs one workload over FILEs, or over a file made for the purpose.\n",
    [COMMAND_COMPARE] =
        "usage: dsbench compare [OPTION...] [FILE...]\n"
        "\n"
        "Runs one workload through the engine and through each peer in turn, and prints the\n"
        "median of the ratios of neighbouring runs.\n",
    [COMMAND_MARKS] =
        "usage: dsbench marks [OPTION...] [FILE...]\n"
        "\n"
        "Runs every comparison that the engine is held to (beside fio, a pread loop, a naive\n"
        "copy loop, and itself without a disk or under load), and prints what was measured, the\n"
        "goal and whether it was met. Exit status 0 only if all were, but for skipped ones.\n",
    [COMMAND_SWEEP] =
        "usage: dsbench sweep --out FILE [OPTION...] [FILE...]\n"
        "\n"
        "Measures each size at each depth with each topology and read back end, and io_uring\n"
        "alone (raw) beside them, in alternating rounds; a point is the median of its rounds.\n"
        "dsbench report draws what it found.\n",
    [COMMAND_CODEC] =
        "usage: dsbench codec [OPTION...] [FILE...]\n"
        "\n"
        "Packs and unpacks generated data, or FILEs, with each codec, each path of GDeflate and\n"
        "each number of threads in turn, and compares what comes out with what went in.\n",
    [COMMAND_FRAMETIME] =
        "usage: dsbench frametime [OPTION...] [FILE...]\n"
        "\n"
        "Draws frames at a fixed rate, alone and while the engine streams (without a disk, unless\n"
        "FILEs are given or --read is) by copy commands and by shader, in alternating rounds, and\n"
        "prints how long the frames take, from when each was due to its end.\n",
    [COMMAND_REPORT] =
        "usage: dsbench report IN... -o OUT.html\n"
        "\n"
        "Draws saved results (of sweep --out, and of run, compare, demo --json) as one HTML page\n"
        "that loads nothing: throughput and latency by size and depth, ratios to peers, frame\n"
        "times, codecs, and what the stages did over time where --timeline was given.\n",
    [COMMAND_DIFF] =
        "usage: dsbench diff [OPTION...] A B\n"
        "\n"
        "Compares two files of saved results, configuration by configuration: B over A.\n",
};

#define AT(field) offsetof(struct options, field)

const struct option_row option_rows[] = {
    {"peers", OPTION_WORDS, COMPARE, AT(peers), 0, 0, peer_words, "LIST",
     "of fio (when installed), naive (pread, copy, wait per\n"
     "request; without the pread where --read nil), raw (io_uring\n"
     "alone, nothing is copied on), pread (alone, one at a time);\n"
     "default fio,naive,raw"},
    {"rounds", OPTION_COUNT, COMPARE | MARKS | SWEEP | CODEC | FRAMES, AT(rounds), 1, 1000, NULL,
     "N",
     "runs of each peer, each beside one of the engine (default\n"
     "9; sweep, frametime: 3, codec: 5)"},
    {"out", OPTION_TEXT, SWEEP | REPORT, AT(out), 0, 0, NULL, "FILE",
     "(or -o) sweep: where the points go, one JSON object a line;\n"
     "those that stand there already are not measured again.\n"
     "report: the page, - for stdout"},
    {"fail-below", OPTION_REAL, DIFF, AT(fail_below), 0.001, 1000, NULL, "R",
     "exit status 1 when a ratio of requests/s is below R"},
    {"fps", OPTION_REAL, FRAMES, AT(fps), 1, 1000, NULL, "N", "frames a second (default 120)"},
    {"frame-work-ms", OPTION_REAL, FRAMES, AT(frame_work_ms), 0.1, 1000, NULL, "MS",
     "what a frame takes when nothing else runs (default 3)"},
    {"copy-paths", OPTION_WORDS, FRAMES, AT(copy_paths), 0, 0, copy_path_words, "LIST",
     "of auto, copy and scatter, see --copy-path of run (default\n"
     "copy,scatter)"},
    {"scatter-groups", OPTION_NUMBERS, STREAM, AT(scatter_groups), 0, 65535, NULL, "N",
     "the most workgroups that copy by shader at once (default 0:\n"
     "as the engine does; frametime: a list)"},
    {"sizes", OPTION_SIZES, SWEEP | FRAMES, AT(sizes), 1, SIZE_MAX_BYTES, NULL, "LIST",
     "of a request (default 4K,16K,64K,256K,1M; frametime:\n"
     "64K,4K)"},
    {"depths", OPTION_NUMBERS, SWEEP, AT(depths), 1, DEPTH_MAX, NULL, "LIST",
     "requests in flight (default 1,4,16,64,256)"},
    {"topologies", OPTION_WORDS, SWEEP, AT(topologies), 0, 0, topology_words, "LIST",
     "of auto, dedicated, shared and hybrid (default auto)"},
    {"reads", OPTION_WORDS, SWEEP, AT(reads), 0, 0, read_words, "LIST",
     "of auto, uring, pread and nil: no disk, so that what is\n"
     "left is the way to the GPU (default auto,nil)"},
    {"kinds", OPTION_WORDS, CODEC, AT(kinds), 0, 0, kind_words, "LIST",
     "of text, bc7 and mesh: generated data (default all; not\n"
     "where FILEs are given)"},
    {"codecs", OPTION_WORDS, CODEC | SWEEP, AT(codecs), 0, 0, codec_words, "LIST",
     "codec: of gdeflate, zstd, lz4 and libdeflate (default all\n"
     "that are in this build); sweep: of none, gdeflate, zstd and\n"
     "lz4 (default none), see --codec of run"},
    {"paths", OPTION_WORDS, CODEC, AT(paths), 0, 0, path_words, "LIST",
     "of gdeflate: auto, scalar, avx2 and avx512, on the GPU from\n"
     "and to host memory gpu (a shader: the better one of\n"
     "gpu-portable and gpu-subgroup) and nv (the driver's\n"
     "VK_NV_memory_decompression). Default all that this machine\n"
     "has, but no software GPU"},
    {"threads", OPTION_NUMBERS, CODEC, AT(threads), 1, DS_CODEC_THREADS_MAX, NULL, "LIST",
     "that share the work (default 1)"},
    {"codec", OPTION_WORD, DEMO | RUN | COMPARE, AT(codec), 0, 0, stream_codec_words, "C",
     "none, gdeflate, zstd or lz4: each block is packed for\n"
     "itself beforehand, and decoded on its way; rates are of\n"
     "what comes out (default none). compare: the peers read the\n"
     "same content as it is; demo: only this one, or none, where\n"
     "it measures all of them after the plain runs"},
    {"level", OPTION_COUNT, DEMO | RUN | COMPARE | SWEEP | CODEC, AT(level), 1, 12, NULL, "N",
     "of compression (default 1; codec: 9)"},
    {"chunk", OPTION_SIZE, CODEC, AT(chunk_bytes), 4096, 64 << 20, NULL, "BYTES",
     "of a piece, packed for itself (default 64K, which is what\n"
     "gdeflate's tiles have always)"},
    {"size", OPTION_SIZE, CHOSEN, AT(size), 1, SIZE_MAX_BYTES, NULL, "BYTES",
     "of one request, at most 1G (default 64K; demo: the four)"},
    {"depth", OPTION_COUNT, CHOSEN | FRAMES, AT(depth), 1, DEPTH_MAX, NULL, "N",
     "requests in flight (default 32; demo, frametime: by size)"},
    {"clients", OPTION_COUNT, RUN, AT(clients), 1, CLIENTS_MAX, NULL, "N",
     "threads that enqueue and poll, each on a queue of its own,\n"
     "and share the depth; without it completion callbacks enqueue\n"
     "what follows, on the thread that completes"},
    {"seconds", OPTION_REAL, STREAM | CODEC, AT(seconds), 0.01, 86400, NULL, "S",
     "of one run (default 1; run: 3; without where --requests is\n"
     "given; demo: repeat each size so long, at most ten times)"},
    {"requests", OPTION_NUMBER, CHOSEN | SWEEP, AT(requests), 1, UINT64_END, NULL, "N",
     "end after N requests"},
    {"pattern", OPTION_WORD, CHOSEN | SWEEP, AT(sequential), 0, 0, pattern_words, "P",
     "random or sequential (default random)"},
    {"priority", OPTION_WORD, RUN, AT(priority), 0, 0, priority_words, "P",
     "low, normal, high or realtime (default normal)"},
    {"background", OPTION_ON, RUN, AT(background), 0, 0, NULL, NULL,
     "beside random reads of 64K at low priority, as many as the\n"
     "disk takes; the measured ones are realtime then, unless\n"
     "--priority is given"},
    {"rate", OPTION_REAL, RUN, AT(rate), 0.1, 1e8, NULL, "R",
     "send R requests a second, whether earlier ones are complete\n"
     "or not; latency counts from when a request was to be sent,\n"
     "and --depth is the most in flight (default 1024 then)"},
    {"arrival", OPTION_WORD, RUN, AT(poisson), 0, 0, arrival_words, "A",
     "fixed or poisson: the intervals of --rate (default fixed)"},
    {"timeline", OPTION_COUNT, RUN, AT(timeline_ms), 10, 60000, NULL, "MS",
     "look at the counters at this interval and put what passed\n"
     "in each into the JSON"},
    {"verify", OPTION_ON, DEMO | RUN, AT(verify), 0, 0, NULL, NULL,
     "read into a destination as large as the file (or 1 GiB of\n"
     "it), each block once, and compare (demo always does)"},
    {"dest", OPTION_WORD, CHOSEN | SWEEP, AT(dest), 0, 0, dest_words, "D",
     "gpu, host, or nil for no copy (default gpu; host without a\n"
     "device)"},
    {"read", OPTION_WORD, CHOSEN | FRAMES, AT(read), 0, 0, read_words, "R",
     "auto, uring, pread, or nil for no disk (default auto;\n"
     "frametime: nil without FILEs)"},
    {"direct", OPTION_WORD, CHOSEN | SWEEP | FRAMES, AT(direct), 0, 0, direct_words, "M",
     "auto, on or off: O_DIRECT (default auto)"},
    {"topology", OPTION_WORD, CHOSEN | FRAMES, AT(topology), 0, 0, topology_words, "T",
     "auto, dedicated, shared or hybrid: threads of the engine\n"
     "(default auto)"},
    {"uring-poll", OPTION_WORD, CHOSEN | SWEEP, AT(uring_poll), 0, 0, uring_poll_words, "P",
     "none, sqpoll (a kernel thread submits) or iopoll (direct\n"
     "reads are polled for; the device must) (default none)"},
    {"device", OPTION_TEXT, STREAM | CODEC, AT(device), 0, 0, NULL, "NAME",
     "the first Vulkan device whose name contains NAME"},
    {"copy-path", OPTION_WORD, STREAM & ~FRAMES, AT(copy_path), 0, 0, copy_path_words, "PATH",
     "auto, copy (commands only) or scatter (a shader for all): how\n"
     "bytes get from staging to GPU buffers (default auto)"},
    {"mapped", OPTION_ON, STREAM & ~FRAMES, AT(mapped), 0, 0, NULL, NULL,
     "GPU buffers are in host-visible memory, and read into directly\n"
     "where that can be done"},
    {"mapped-path", OPTION_WORD, STREAM & ~FRAMES, AT(mapped_path), 0, 0, mapped_path_words,
     "PATH",
     "auto (as the engine finds), never or always: which requests use\n"
     "the mapping that --mapped gives them (default always)"},
    {"spin", OPTION_COUNT, STREAM & ~FRAMES, AT(spin_us), 1, 1000000, NULL, "US",
     "the engine's threads spin so long before they sleep"},
    {"flush", OPTION_COUNT, STREAM & ~FRAMES, AT(flush_us), 1, 1000000, NULL, "US",
     "a copy waits at most so long for others (default 100)"},
    {"batches", OPTION_COUNT, STREAM & ~FRAMES, AT(batches), 1, 16, NULL, "N",
     "GPU submissions in flight, 1 to 16 (default 4)"},
    {"decode", OPTION_WORD, STREAM & ~FRAMES, AT(decode_path), 0, 0, decode_words, "PATH",
     "auto, cpu, gpu (by shader), nv (VK_NV_memory_decompression),\n"
     "balanced (each request by whoever is done with it sooner) or\n"
     "measure (auto, with all rates told): who decodes gdeflate for\n"
     "the GPU; all but auto and cpu need one (default auto)"},
    {"decode-backlog", OPTION_SIZE, STREAM & ~FRAMES, AT(decode_backlog_bytes), 1, 64 * GIBI, NULL,
     "BYTES",
     "balanced: what may be queued for the CPU's threads, decoded,\n"
     "before the GPU is asked (default as the engine finds)"},
    {"lanes", OPTION_COUNT, STREAM, AT(lanes), 1, DS_READ_LANES_MAX, NULL, "N",
     "threads that read, 1 to 8 (default 1)"},
    {"arena", OPTION_SIZE, STREAM, AT(arena_bytes), 1 << 20, 64 * GIBI, NULL, "BYTES",
     "staging memory of the engine (default 64M)"},
    {"warm", OPTION_ON, STREAM, AT(warm), 0, 0, NULL, NULL,
     "read the files once before (default)"},
    {"no-warm", OPTION_OFF, STREAM, AT(warm), 0, 0, NULL, NULL, "do not"},
    {"register", OPTION_ON, STREAM & ~FRAMES, AT(registers), 0, 0, NULL, NULL,
     "a destination in host memory is registered with\n"
     "io_uring, as fio's buffers are (default)"},
    {"no-register", OPTION_OFF, STREAM & ~FRAMES, AT(registers), 0, 0, NULL, NULL, "it is not"},
    {"dir", OPTION_TEXT, STREAM, AT(dir), 0, 0, NULL, "DIR",
     "where to make files (default $TMPDIR or /var/tmp)"},
    {"bytes", OPTION_SIZE, STREAM | CODEC, AT(make_bytes), 4096, 16384 * GIBI, NULL, "BYTES",
     "how much to make (default 512M; with a codec or without a\n"
     "disk 64M; less when room is short;\n"
     "codec: how much to generate or to read of each file,\n"
     "default 8M)"},
    {"keep", OPTION_ON, STREAM, AT(keep), 0, 0, NULL, NULL, "do not remove what was made"},
    {"seed", OPTION_NUMBER, STREAM, AT(seed), 0, UINT64_END, NULL, "N",
     "of the random order (default 1)"},
    {"json", OPTION_TEXT, CHOSEN | MARKS | CODEC | FRAMES, AT(json), 0, 0, NULL, "PATH",
     "write the result as JSON; - for stdout, then nothing else\n"
     "is printed"},
    {"verbose", OPTION_ON, STREAM, AT(verbose), 0, 0, NULL, NULL, "print what the engine logs"},
};

const uint32_t option_rows_n = sizeof(option_rows) / sizeof(option_rows[0]);

_Static_assert(sizeof(option_rows) / sizeof(option_rows[0]) < 64, "options.given is a mask");
_Static_assert(sizeof(command_texts) / sizeof(command_texts[0]) == COMMAND_COUNT,
               "each command has its help");

const char *command_text(enum command command)
{
    return command_texts[command];
}

uint32_t option_find(const char *name)
{
    uint32_t i = 0;

    while (i < option_rows_n && strcmp(option_rows[i].name, name) != 0)
        i++;
    return i;
}

const char *option_word(const char *option, int value)
{
    return word_name(option_rows[option_find(option)].words, value);
}

const char *word_name(const struct word *words, int value)
{
    for (; words->name != NULL; words++) {
        if (words->value == value)
            return words->name;
    }
    return "?";
}
