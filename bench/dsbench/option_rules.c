/* Which options do not go together, and what those are that are not given. */
#include "option_table.h"

#include "base.h"
#include "coder.h"

#include <ds/vulkan.h>
#include <errno.h>
#include <string.h>

#define CODEC_NONE (1u << CODER_NONE)

/* What is about the GPU, and about mappings of its memory. */
static int device_check(const struct options *o)
{
    bool none = o->dest == DEST_HOST || o->dest == DEST_NIL;

    if (option_given(o, "mapped-path") && !o->mapped) {
        complain("--mapped-path needs --mapped");
        return -EINVAL;
    }
    if (none && options_decode_needs_gpu(o)) {
        complain("--decode %s needs --dest gpu", option_word("decode", o->decode_path));
        return -EINVAL;
    }
    if (none && (o->mapped || o->device != NULL)) {
        complain("%s needs --dest gpu", o->mapped ? "--mapped" : "--device");
        return -EINVAL;
    }
    return 0;
}

/* One side alone has no balance. */
static bool decode_has_one_side(const struct options *o)
{
    return o->decode_path == DS_VULKAN_DECODE_CPU || o->decode_path == DS_VULKAN_DECODE_GPU ||
           o->decode_path == DS_VULKAN_DECODE_NV;
}

bool options_decode_needs_gpu(const struct options *o)
{
    return o->decode_path != DS_VULKAN_DECODE_AUTO && o->decode_path != DS_VULKAN_DECODE_CPU;
}

int options_check(const struct options *o)
{
    if (o->verify && (o->dest == DEST_NIL || o->read == DS_READ_NIL)) {
        complain("nothing can be verified with %s nil: it moves no data",
                 o->dest == DEST_NIL ? "--dest" : "--read");
        return -EINVAL;
    }
    if (o->rate > 0 && o->verify) {
        complain("--verify reads each block once, --rate as many as are due: choose one");
        return -EINVAL;
    }
    if (o->command == COMMAND_CODEC && (o->codecs & CODEC_NONE) != 0) {
        complain("--codecs none packs nothing: it is for sweep");
        return -EINVAL;
    }
    if (o->command == COMMAND_SWEEP && (o->codecs >> CODER_DEFLATE & 1) != 0) {
        complain("--codecs libdeflate is a yardstick of codec: the engine has no such codec");
        return -EINVAL;
    }
    if (o->command == COMMAND_SWEEP && o->codecs != 0 && (o->codecs & CODEC_NONE) == 0 &&
        o->reads == 1u << DS_READ_NIL) {
        complain("--reads nil reads nothing, so there is nothing for --codecs to unpack");
        return -EINVAL;
    }
    if (o->clients > 0 && (o->verify || o->rate > 0)) {
        complain("--clients goes with neither --verify nor --rate");
        return -EINVAL;
    }
    if (o->codec != 0 && o->read == DS_READ_NIL) {
        complain("--read nil reads nothing, so there is nothing for --codec to unpack");
        return -EINVAL;
    }
    if (o->decode_backlog_bytes != 0 && decode_has_one_side(o)) {
        complain("--decode-backlog goes with --decode auto, balanced or measure");
        return -EINVAL;
    }
    if (option_given(o, "arrival") && o->rate == 0) {
        complain("--arrival needs --rate");
        return -EINVAL;
    }
    if (o->command != COMMAND_CODEC && o->files_n > 0 &&
        (o->dir != NULL || o->make_bytes != 0 || o->keep)) {
        complain("--dir, --bytes and --keep are about made files, but FILEs are given");
        return -EINVAL;
    }
    if (o->command == COMMAND_SWEEP && o->out == NULL) {
        complain("sweep needs --out FILE: it is the result, and the state from which it goes on");
        return -EINVAL;
    }
    if (o->command == COMMAND_REPORT && (o->out == NULL || o->files_n == 0)) {
        complain("report needs what to draw and where to: dsbench report IN.jsonl... -o OUT.html");
        return -EINVAL;
    }
    if (o->command == COMMAND_DIFF && o->files_n != 2) {
        complain("diff compares two files, %u %s given", o->files_n,
                 o->files_n == 1 ? "is" : "are");
        return -EINVAL;
    }
    if (o->command != COMMAND_FRAMETIME && o->scatter_groups.n > 1) {
        complain("--scatter-groups: a list is for frametime, here it is one number");
        return -EINVAL;
    }
    return device_check(o);
}

static void list_default(struct number_list *list, const uint64_t *values, uint32_t n)
{
    if (list->n != 0)
        return;
    list->n = n;
    memcpy(list->at, values, n * sizeof(*values));
}

static void sweep_default(struct options *o)
{
    static const uint64_t sizes[] = {4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20};
    static const uint64_t depths[] = {1, 4, 16, 64, 256};

    list_default(&o->sizes, sizes, sizeof(sizes) / sizeof(sizes[0]));
    list_default(&o->depths, depths, sizeof(depths) / sizeof(depths[0]));
    if (o->codecs == 0)
        o->codecs = CODEC_NONE;
    if (o->topologies == 0)
        o->topologies = 1u << DS_TOPOLOGY_AUTO;
    if (o->reads == 0)
        o->reads = 1u << DS_READ_AUTO | 1u << DS_READ_NIL;
    if (o->rounds == 0)
        o->rounds = 3;
    if (o->peers == 0)
        o->peers = 1u << PEER_RAW;
}

static void codec_default(struct options *o)
{
    static const uint64_t one = 1;

    list_default(&o->threads, &one, 1);
    if (o->kinds == 0)
        o->kinds = ~0u;
    if (o->codecs == 0)
        o->codecs = CODEC_NONE - 1;
    o->software = o->paths != 0;
    if (o->paths == 0) /* each, but for "auto", and of the shader's forms the better one */
        o->paths = ~(1u << DS_CODEC_PATH_AUTO | 1u << CODER_PATH_GPU_PORTABLE |
                     1u << CODER_PATH_GPU_SUBGROUP);
    if (o->chunk_bytes == 0)
        o->chunk_bytes = 64 << 10;
    if (o->rounds == 0)
        o->rounds = 5;
}

static void frametime_default(struct options *o)
{
    static const uint64_t sizes[] = {64 << 10, 4 << 10};
    static const uint64_t groups = 0;

    list_default(&o->sizes, sizes, sizeof(sizes) / sizeof(sizes[0]));
    list_default(&o->scatter_groups, &groups, 1);
    if (o->copy_paths == 0)
        o->copy_paths = 1u << DS_VULKAN_PATH_COPY | 1u << DS_VULKAN_PATH_SCATTER;
    if (!option_given(o, "read") && o->files_n == 0)
        o->read = DS_READ_NIL;
    if (o->fps == 0)
        o->fps = 120;
    if (o->frame_work_ms == 0)
        o->frame_work_ms = 3;
    if (o->rounds == 0)
        o->rounds = 3;
}

void options_default(struct options *o)
{
    bool demo = o->command == COMMAND_DEMO;

    if (o->command == COMMAND_MARKS && o->seconds == 0)
        o->seconds = 1;
    if (o->command == COMMAND_SWEEP)
        sweep_default(o);
    if (o->command == COMMAND_CODEC)
        codec_default(o);
    if (o->command == COMMAND_FRAMETIME)
        frametime_default(o);
    if (o->seconds == 0 && (demo || o->requests == 0))
        o->seconds = o->command == COMMAND_RUN ? 3 : 1;
    if (o->mapped && !option_given(o, "mapped-path"))
        o->mapped_path = DS_VULKAN_MAPPED_ALWAYS;
    if (o->background && !option_given(o, "priority"))
        o->priority = DS_PRIORITY_REALTIME;
    o->packs = o->codec != 0 || (o->command == COMMAND_SWEEP && (o->codecs & ~CODEC_NONE) != 0);
    if (o->level == 0)
        o->level = o->command == COMMAND_CODEC ? 9 : 1;
    if (o->rounds == 0)
        o->rounds = 9;
    if (o->peers == 0)
        o->peers = PEERS_USUAL;
    if (o->size == 0 && !demo)
        o->size = 64 << 10;
    if (o->depth == 0 && !demo && o->command != COMMAND_FRAMETIME)
        o->depth = o->rate > 0 ? 1024 : 32;
}
