#include "options.h"

#include "base.h"

#include <ds/ds.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct word {
    const char *name;
    int value;
};

static const struct word command_words[] = {
    {"demo", COMMAND_DEMO}, {"run", COMMAND_RUN}, {"compare", COMMAND_COMPARE}, {NULL, 0}};
static const struct word pattern_words[] = {{"random", 0}, {"sequential", 1}, {NULL, 0}};
static const struct word dest_words[] = {
    {"auto", DEST_AUTO}, {"gpu", DEST_GPU}, {"host", DEST_HOST}, {"nil", DEST_NIL}, {NULL, 0}};
static const struct word read_words[] = {{"auto", DS_READ_AUTO},
                                         {"uring", DS_READ_URING},
                                         {"pread", DS_READ_PREAD},
                                         {"nil", DS_READ_NIL},
                                         {NULL, 0}};
static const struct word direct_words[] = {
    {"auto", DS_DIRECT_AUTO}, {"on", DS_DIRECT_ON}, {"off", DS_DIRECT_OFF}, {NULL, 0}};
static const struct word topology_words[] = {{"auto", DS_TOPOLOGY_AUTO},
                                             {"dedicated", DS_TOPOLOGY_DEDICATED},
                                             {"shared", DS_TOPOLOGY_SHARED},
                                             {NULL, 0}};
static const struct word priority_words[] = {{"low", DS_PRIORITY_LOW},
                                             {"normal", DS_PRIORITY_NORMAL},
                                             {"high", DS_PRIORITY_HIGH},
                                             {"realtime", DS_PRIORITY_REALTIME},
                                             {NULL, 0}};
static const struct word peer_words[] = {
    {"fio", PEER_FIO}, {"naive", PEER_NAIVE}, {"raw", PEER_RAW}, {NULL, 0}};

enum option_id {
    OPTION_SIZE = 256,
    OPTION_DEPTH,
    OPTION_PATTERN,
    OPTION_SECONDS,
    OPTION_REQUESTS,
    OPTION_DEST,
    OPTION_READ,
    OPTION_DIRECT,
    OPTION_TOPOLOGY,
    OPTION_PRIORITY,
    OPTION_BACKGROUND,
    OPTION_DEVICE,
    OPTION_LANES,
    OPTION_ARENA,
    OPTION_WARM,
    OPTION_NO_WARM,
    OPTION_VERIFY,
    OPTION_JSON,
    OPTION_ROUNDS,
    OPTION_PEERS,
    OPTION_DIR,
    OPTION_BYTES,
    OPTION_KEEP,
    OPTION_SEED,
    OPTION_VERBOSE,
    OPTION_HELP,
};

static const struct option long_options[] = {
    {"size", required_argument, NULL, OPTION_SIZE},
    {"depth", required_argument, NULL, OPTION_DEPTH},
    {"pattern", required_argument, NULL, OPTION_PATTERN},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"requests", required_argument, NULL, OPTION_REQUESTS},
    {"dest", required_argument, NULL, OPTION_DEST},
    {"read", required_argument, NULL, OPTION_READ},
    {"direct", required_argument, NULL, OPTION_DIRECT},
    {"topology", required_argument, NULL, OPTION_TOPOLOGY},
    {"priority", required_argument, NULL, OPTION_PRIORITY},
    {"background", no_argument, NULL, OPTION_BACKGROUND},
    {"device", required_argument, NULL, OPTION_DEVICE},
    {"lanes", required_argument, NULL, OPTION_LANES},
    {"arena", required_argument, NULL, OPTION_ARENA},
    {"warm", no_argument, NULL, OPTION_WARM},
    {"no-warm", no_argument, NULL, OPTION_NO_WARM},
    {"verify", no_argument, NULL, OPTION_VERIFY},
    {"json", required_argument, NULL, OPTION_JSON},
    {"rounds", required_argument, NULL, OPTION_ROUNDS},
    {"peers", required_argument, NULL, OPTION_PEERS},
    {"dir", required_argument, NULL, OPTION_DIR},
    {"bytes", required_argument, NULL, OPTION_BYTES},
    {"keep", no_argument, NULL, OPTION_KEEP},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static const char usage_text[] =
    "usage: dsbench COMMAND [OPTION...] [FILE...]\n"
    "\n"
    "  demo      stream files to the GPU at several request sizes and verify every byte\n"
    "  run       one workload through the engine\n"
    "  compare   the same workload through the engine and its peers, in turn\n"
    "\n"
    "dsbench COMMAND --help lists the options, dsbench --version prints the version.\n";

static const char demo_text[] =
    "usage: dsbench demo [OPTION...] [FILE...]\n"
    "\n"
    "Streams FILEs, or files made for the purpose, to the GPU at 4K, 64K, 1M and 16M a request,\n"
    "compares every byte with a plain read, and prints what it measured, which path was taken and\n"
    "what held it up. Exit status 0 only with no mismatch and no error.\n"
    "\n"
    "  --size BYTES       this request size only\n"
    "  --seconds S        repeat each size for at least S seconds, at most 10 S (default 1)\n";

static const char run_text[] =
    "usage: dsbench run [OPTION...] [FILE...]\n"
    "\n"
    "Runs one workload over FILEs, or over a file made for the purpose.\n"
    "\n"
    "  --size BYTES       of one request (default 64K, at most 1G)\n"
    "  --seconds S        end after S seconds (default 3 unless --requests is given)\n"
    "  --priority P       low, normal, high or realtime (default normal)\n"
    "  --background       beside random reads of 64K at low priority, as many as the disk takes;\n"
    "                     the measured ones are realtime then, unless --priority is given\n"
    "  --verify           read into a destination as large as the file (or 1 GiB of it), each\n"
    "                     block once, and compare\n";

static const char compare_text[] =
    "usage: dsbench compare [OPTION...] [FILE...]\n"
    "\n"
    "Runs one workload through the engine and through each peer in turn, and prints the median of\n"
    "the ratios of neighbouring runs.\n"
    "\n"
    "  --peers LIST       of fio (when installed), naive (pread, copy, wait per request) and raw\n"
    "                     (io_uring alone, nothing is copied on); default all\n"
    "  --rounds N         runs of each peer, each beside one of the engine (default 9)\n"
    "  --size BYTES       of one request (default 64K, at most 1G)\n"
    "  --seconds S        of one run (default 1 unless --requests is given)\n";

static const char common_text[] =
    "  --requests N       end after N requests\n"
    "  --depth N          requests in flight (default 32; in demo by size)\n"
    "  --pattern P        random or sequential (default random)\n"
    "  --dest D           gpu, host, or nil for no copy (default gpu; host without a device)\n"
    "  --read R           auto, uring, pread, or nil for no disk (default auto)\n"
    "  --direct M         auto, on or off: O_DIRECT (default auto)\n"
    "  --topology T       auto, dedicated or shared: threads of the engine (default auto)\n"
    "  --device NAME      the first Vulkan device whose name contains NAME\n"
    "  --lanes N          threads that read, 1 to 8 (default 1)\n"
    "  --arena BYTES      staging memory of the engine (default 64M)\n"
    "  --warm, --no-warm  read the files once before (default) or not\n"
    "  --dir DIR          where to make files (default $TMPDIR or /var/tmp)\n"
    "  --bytes BYTES      how much to make (default 512M, less when room is short)\n"
    "  --keep             do not remove what was made\n"
    "  --seed N           of the random order (default 1)\n"
    "  --json PATH        write the result as JSON; - for stdout, then nothing else is printed\n"
    "  --verbose          print what the engine logs\n"
    "BYTES take the suffixes K, M and G (1024, 1024^2, 1024^3).\n";

static const char *word_name(const struct word *words, int value)
{
    for (; words->name != NULL; words++) {
        if (words->value == value)
            return words->name;
    }
    return "?";
}

const char *command_name(enum command command)
{
    return word_name(command_words, (int)command);
}

const char *priority_name(uint32_t priority)
{
    return word_name(priority_words, (int)priority);
}

const char *dest_name(enum dest dest)
{
    return word_name(dest_words, (int)dest);
}

static int word_parse(const char *option, const char *text, const struct word *words, int *value)
{
    char choices[128] = "";

    for (const struct word *word = words; word->name != NULL; word++) {
        if (strcmp(word->name, text) == 0) {
            *value = word->value;
            return 0;
        }
        snprintf(choices + strlen(choices), sizeof(choices) - strlen(choices), "%s%s",
                 word == words ? "" : ", ", word->name);
    }
    complain("%s: \"%s\" is none of %s", option, text, choices);
    return -EINVAL;
}

/* A number with an optional suffix; the whole text must be used. */
static int number_parse(const char *option, const char *text, bool suffixes, uint64_t least,
                        uint64_t most, uint64_t *value)
{
    char *end;
    unsigned shift = 0;
    char least_text[SIZE_TEXT_BYTES], most_text[SIZE_TEXT_BYTES];

    errno = 0;
    *value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9')
        end = (char *)(uintptr_t)text;
    if (suffixes && end != text && *end != '\0') {
        shift = *end == 'K' || *end == 'k' ? 10 : *end == 'M' || *end == 'm' ? 20 : 0;
        shift = *end == 'G' || *end == 'g' ? 30 : shift;
        end += shift != 0;
    }
    if (end == text || *end != '\0') {
        complain("%s: \"%s\" is not a %s", option, text,
                 suffixes ? "size: digits and an optional K, M or G" : "whole number");
        return -EINVAL;
    }
    if (errno == ERANGE || *value > UINT64_MAX >> shift || *value << shift < least ||
        *value << shift > most) {
        complain("%s: \"%s\" is not within %s to %s", option, text, size_text(least_text, least),
                 size_text(most_text, most));
        return -EINVAL;
    }
    *value <<= shift;
    return 0;
}

static int count_parse(const char *option, const char *text, uint32_t most, uint32_t *value)
{
    uint64_t number;
    int error = number_parse(option, text, false, 1, most, &number);

    if (error == 0)
        *value = (uint32_t)number;
    return error;
}

static int seconds_parse(const char *text, double *seconds)
{
    char *end;

    *seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(*seconds) || *seconds < 0.01 || *seconds > 86400) {
        complain("--seconds: \"%s\" is not a number of seconds within 0.01 to 86400", text);
        return -EINVAL;
    }
    return 0;
}

static int peers_parse(const char *text, uint32_t *peers)
{
    *peers = 0;
    while (*text != '\0') {
        size_t length = strcspn(text, ",");
        char name[32];
        int peer;

        snprintf(name, sizeof(name), "%.*s", (int)length, text);
        if (word_parse("--peers", name, peer_words, &peer) != 0)
            return -EINVAL;
        *peers |= (uint32_t)peer;
        text += length + (text[length] == ',');
    }
    if (*peers == 0) {
        complain("--peers: no peer is named");
        return -EINVAL;
    }
    return 0;
}

static int choice_parse(struct options *o, int id, const char *text)
{
    int value = 0;
    int error;

    switch (id) {
    case OPTION_PATTERN:
        error = word_parse("--pattern", text, pattern_words, &value);
        o->sequential = value != 0;
        return error;
    case OPTION_DEST:
        error = word_parse("--dest", text, dest_words, &value);
        o->dest = (enum dest)value;
        return error;
    case OPTION_READ:
        error = word_parse("--read", text, read_words, &value);
        o->read = (enum ds_read_backend)value;
        return error;
    case OPTION_DIRECT:
        error = word_parse("--direct", text, direct_words, &value);
        o->direct = (enum ds_direct_mode)value;
        return error;
    case OPTION_PRIORITY:
        error = word_parse("--priority", text, priority_words, &value);
        o->priority = (uint32_t)value;
        o->has_priority = true;
        return error;
    default:
        error = word_parse("--topology", text, topology_words, &value);
        o->topology = (enum ds_topology)value;
        return error;
    }
}

static int value_parse(struct options *o, int id, const char *text)
{
    switch (id) {
    case OPTION_SIZE:
        return number_parse("--size", text, true, 1, SIZE_MAX_BYTES, &o->size);
    case OPTION_DEPTH:
        return count_parse("--depth", text, DEPTH_MAX, &o->depth);
    case OPTION_SECONDS:
        return seconds_parse(text, &o->seconds);
    case OPTION_REQUESTS:
        return number_parse("--requests", text, false, 1, UINT64_MAX, &o->requests);
    case OPTION_LANES:
        return count_parse("--lanes", text, DS_READ_LANES_MAX, &o->lanes);
    case OPTION_ARENA:
        return number_parse("--arena", text, true, 1 << 20, (uint64_t)64 << 30, &o->arena_bytes);
    case OPTION_ROUNDS:
        return count_parse("--rounds", text, 1000, &o->rounds);
    case OPTION_PEERS:
        return peers_parse(text, &o->peers);
    case OPTION_BYTES:
        return number_parse("--bytes", text, true, 4096, (uint64_t)1 << 44, &o->make_bytes);
    case OPTION_SEED:
        return number_parse("--seed", text, false, 0, UINT64_MAX, &o->seed);
    default:
        return choice_parse(o, id, text);
    }
}

static int option_apply(struct options *o, int id, const char *text)
{
    switch (id) {
    case OPTION_DEVICE:
        o->device = text;
        return 0;
    case OPTION_JSON:
        o->json = text;
        return 0;
    case OPTION_DIR:
        o->dir = text;
        return 0;
    case OPTION_WARM:
    case OPTION_NO_WARM:
        o->warm = id == OPTION_WARM;
        return 0;
    case OPTION_VERIFY:
        o->verify = true;
        return 0;
    case OPTION_BACKGROUND:
        o->background = true;
        return 0;
    case OPTION_KEEP:
        o->keep = true;
        return 0;
    case OPTION_VERBOSE:
        o->verbose = true;
        return 0;
    default:
        return value_parse(o, id, text);
    }
}

/* What no single option can know. */
static int options_check(const struct options *o)
{
    if (o->verify && (o->dest == DEST_NIL || o->read == DS_READ_NIL)) {
        complain("nothing can be verified with %s nil: it moves no data",
                 o->dest == DEST_NIL ? "--dest" : "--read");
        return -EINVAL;
    }
    if (o->files_n > 0 && (o->dir != NULL || o->make_bytes != 0 || o->keep)) {
        complain("--dir, --bytes and --keep are about made files, but FILEs are given");
        return -EINVAL;
    }
    if (o->device != NULL && (o->dest == DEST_HOST || o->dest == DEST_NIL)) {
        complain("--device needs --dest gpu");
        return -EINVAL;
    }
    if (o->command != COMMAND_COMPARE && (o->rounds != 0 || o->peers != 0)) {
        complain("%s is for compare", o->rounds != 0 ? "--rounds" : "--peers");
        return -EINVAL;
    }
    if (o->command != COMMAND_RUN && (o->background || o->has_priority)) {
        complain("%s is for run", o->background ? "--background" : "--priority");
        return -EINVAL;
    }
    if (o->verify && o->command == COMMAND_COMPARE) {
        complain("--verify is for run and demo: peers are not verified");
        return -EINVAL;
    }
    return 0;
}

static void options_default(struct options *o)
{
    bool demo = o->command == COMMAND_DEMO;

    if (o->seconds == 0 && (demo || o->requests == 0))
        o->seconds = o->command == COMMAND_RUN ? 3 : 1;
    if (o->background && !o->has_priority)
        o->priority = DS_PRIORITY_REALTIME;
    if (o->rounds == 0)
        o->rounds = 9;
    if (o->peers == 0)
        o->peers = PEER_FIO | PEER_NAIVE | PEER_RAW;
    if (o->size == 0 && !demo)
        o->size = 64 << 10;
    if (o->depth == 0 && !demo)
        o->depth = 32;
}

static void help_print(enum command command)
{
    static const char *const texts[] = {demo_text, run_text, compare_text};

    fputs(texts[command], stdout);
    fputs(common_text, stdout);
}

static int option_refuse(const struct options *o, char **argv, int id)
{
    char letter[3] = {'-', (char)optopt, '\0'};
    bool is_letter = optopt > 0 && optopt < 256;
    const char *word = is_letter ? letter : argv[optind - 1];
    const char *why = "unknown option";

    if (id == ':')
        why = "a value is missing";
    else if (optopt >= 256)
        why = "takes no value";
    complain("%s: %s (see dsbench %s --help)", word, why, command_name(o->command));
    return EXIT_BAD_USAGE;
}

static int arguments_parse(int argc, char **argv, struct options *o)
{
    int id;

    opterr = 0;
    while ((id = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
        if (id == '?' || id == ':')
            return option_refuse(o, argv, id);
        if (id == OPTION_HELP) {
            help_print(o->command);
            return 0;
        }
        if (option_apply(o, id, optarg) != 0)
            return EXIT_BAD_USAGE;
    }
    return -1;
}

int options_parse(int argc, char **argv, struct options *options)
{
    int command;
    int status;

    *options = (struct options){.warm = true, .lanes = 1, .seed = 1};
    if (argc < 2) {
        complain("no command");
        fputs(usage_text, stderr);
        return EXIT_BAD_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        fputs(usage_text, stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        uint32_t version = ds_version();

        printf("dsbench %u.%u.%u\n", version >> 16, version >> 8 & 255, version & 255);
        return 0;
    }
    if (word_parse("command", argv[1], command_words, &command) != 0)
        return EXIT_BAD_USAGE;
    options->command = (enum command)command;
    status = arguments_parse(argc - 1, argv + 1, options);
    if (status >= 0)
        return status;
    options->files = (const char **)(argv + 1 + optind);
    options->files_n = (uint32_t)(argc - 1 - optind);
    if (options->command == COMMAND_DEMO)
        options->verify = true;
    if (options_check(options) != 0)
        return EXIT_BAD_USAGE;
    options_default(options);
    return -1;
}
