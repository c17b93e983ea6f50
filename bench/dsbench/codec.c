/* dsbench codec: how fast the codecs pack and unpack, side by side. */
#include "codec_data.h"
#include "coder.h"
#include "commands.h"
#include "json.h"
#include "option_table.h"
#include "report.h"
#include "series.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define METHODS_MAX 16 /* codecs by paths */

/* What is packed: a kind of generated data, or a file. */
struct material {
    char name[64];
    uint8_t *data;
    uint64_t bytes;
};

struct row {
    const struct material *material;
    struct coder_config config;
    struct coder *coder;
    char path[16];
    char why[CODER_WHY_BYTES]; /* skipped */
    double pack_bytes_per_s;
    double unpack_bytes_per_s; /* the median */
    double unpack_least, unpack_most;
    double unpack_bytes_per_gpu_s; /* without the ways to the GPU and back; 0 = not known */
    double unpack_bytes_per_cpu_s; /* all rounds together */
    uint64_t unpacked_bytes;       /* of them */
    uint64_t cpu_ns;
    uint64_t gpu_ns;
    uint64_t packed_bytes;
    uint32_t rounds;
    double *times; /* bytes/s of each round */
    bool skipped;
};

struct rows {
    struct row *list;
    uint32_t n;
    uint32_t room;
};

static int generate(struct material *m, enum data_kind kind, uint64_t bytes)
{
    snprintf(m->name, sizeof(m->name), "%s", option_word("kinds", (int)kind));
    m->bytes = bytes;
    m->data = memory_map(bytes, true);
    if (m->data == NULL)
        return -ENOMEM;
    codec_data_fill(kind, m->data, bytes);
    return 0;
}

static int load(struct material *m, const struct input *input, uint64_t most)
{
    const char *slash = strrchr(input->path, '/');
    int fd = open(input->path, O_RDONLY | O_CLOEXEC);
    int error = fd < 0 ? -errno : 0;

    snprintf(m->name, sizeof(m->name), "%s", slash == NULL ? input->path : slash + 1);
    m->bytes = min_u64(input->bytes, most);
    m->data = memory_map(m->bytes, true);
    if (error == 0 && m->data == NULL)
        error = -ENOMEM;
    if (error == 0)
        error = file_read_exactly(fd, m->data, m->bytes, 0);
    if (fd >= 0)
        close(fd);
    if (error != 0)
        file_complain(input->path, error);
    return error;
}

/* The rows of one material: each codec on each path with each number of threads. */
static void rows_fill(const struct options *o, const struct coder_gpu *gpu,
                      const struct material *m, struct rows *rows)
{
    for (uint32_t t = 0; t < o->threads.n; t++) {
        for (uint32_t kind = 0; kind < CODER_KIND_COUNT; kind++) {
            for (uint32_t path = 0; path < CODER_PATH_COUNT; path++) {
                bool asked = kind == CODER_GDEFLATE ? (o->paths >> path & 1) != 0 : path == 0;

                if ((o->codecs >> kind & 1) == 0 || !asked || rows->n == rows->room)
                    continue;
                rows->list[rows->n++] = (struct row){
                    .material = m,
                    .config = {.kind = (enum coder_kind)kind,
                               .path = path,
                               .gpu = gpu,
                               .threads = (uint32_t)o->threads.at[t],
                               .level = (int)o->level,
                               .chunk_bytes = o->chunk_bytes,
                               .data = m->data,
                               .bytes = m->bytes}};
            }
        }
    }
}

static int row_complain(const struct row *r, const char *what, int error)
{
    complain("%s: %s %s with %u threads: %s", r->material->name,
             option_word("codecs", (int)r->config.kind), what, r->config.threads,
             error == -EBADMSG ? "what comes out is not what went in" : strerror(-error));
    return error;
}

static int row_pack(struct row *r, const struct row *sibling)
{
    uint64_t ns = 0;
    int error;

    if (sibling != NULL) {
        coder_pack_from(r->coder, sibling->coder);
        r->pack_bytes_per_s = sibling->pack_bytes_per_s;
        return 0;
    }
    error = coder_pack(r->coder, &ns);
    r->pack_bytes_per_s = (double)r->config.bytes * NS_PER_S / (double)(ns > 0 ? ns : 1);
    return error;
}

/* Packs, unless a sibling on another path has done so, and unpacks once to see that it is right. */
static int row_open(struct row *r, const struct row *sibling, uint32_t rounds)
{
    uint64_t ns;
    int error = coder_open(&r->config, r->why, &r->coder);

    if (error == -ENOTSUP) {
        r->skipped = true;
        return 0;
    }
    r->times = calloc(rounds, sizeof(*r->times));
    if (error == 0 && r->times == NULL)
        error = -ENOMEM;
    if (error == 0)
        error = row_pack(r, sibling);
    if (error != 0)
        return row_complain(r, "packing", error);
    snprintf(r->path, sizeof(r->path), "%s", coder_path(r->coder));
    r->packed_bytes = coder_packed_bytes(r->coder);
    error = coder_unpack(r->coder, &ns);
    if (error == 0)
        error = coder_verify(r->coder);
    return error == 0 ? 0 : row_complain(r, "unpacking", error);
}

/* Again and again for its share of the time; the mean of the round. */
static int row_measure(struct row *r, uint64_t share_ns)
{
    uint64_t sum_ns = 0, turns = 0;
    uint64_t start_cpu_ns = cpu_now_ns(), start_gpu_ns = coder_gpu_ns(r->coder);

    do {
        uint64_t ns;
        int error = coder_unpack(r->coder, &ns);

        if (error != 0)
            return row_complain(r, "unpacking", error);
        sum_ns += ns;
        turns++;
    } while (sum_ns < share_ns && !interrupted);
    r->cpu_ns += cpu_now_ns() - start_cpu_ns;
    r->gpu_ns += coder_gpu_ns(r->coder) - start_gpu_ns;
    r->unpacked_bytes += turns * r->config.bytes;
    r->times[r->rounds++] = (double)turns * (double)r->config.bytes * NS_PER_S / (double)sum_ns;
    return 0;
}

static void row_finish(struct row *r)
{
    coder_close(&r->coder);
    if (r->rounds > 0) {
        r->unpack_bytes_per_s = median_take(r->times, r->rounds);
        r->unpack_least = r->times[0];
        r->unpack_most = r->times[r->rounds - 1];
        r->unpack_bytes_per_cpu_s =
            (double)r->unpacked_bytes * NS_PER_S / (double)(r->cpu_ns > 0 ? r->cpu_ns : 1);
    }
    if (r->gpu_ns > 0)
        r->unpack_bytes_per_gpu_s = (double)r->unpacked_bytes * NS_PER_S / (double)r->gpu_ns;
    free(r->times);
    r->times = NULL;
}

/* One material at one number of threads: all its rows in turn, so that a slow moment of the machine
 * meets them all. */
static int rows_measure(const struct options *o, struct row *list, uint32_t n)
{
    uint64_t share_ns = (uint64_t)(o->seconds * NS_PER_S / o->rounds);
    const struct row *packed = NULL;
    int error = 0;

    for (uint32_t i = 0; error == 0 && i < n; i++) {
        if (packed != NULL && packed->config.kind != list[i].config.kind)
            packed = NULL;
        error = row_open(&list[i], packed, o->rounds);
        if (error == 0 && !list[i].skipped)
            packed = &list[i];
    }
    for (uint32_t round = 0; error == 0 && round < o->rounds; round++) {
        for (uint32_t i = 0; error == 0 && i < n && !interrupted; i++) {
            if (!list[i].skipped)
                error = row_measure(&list[i], share_ns);
        }
    }
    for (uint32_t i = 0; i < n; i++)
        row_finish(&list[i]);
    return error == 0 && interrupted ? -EINTR : error;
}

static const struct row *libdeflate_find(const struct row *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (list[i].config.kind == CODER_DEFLATE && !list[i].skipped)
            return &list[i];
    }
    return NULL;
}

static void head_print(FILE *out)
{
    fprintf(out, "%-10s %-10s %-12s %7s %7s %10s %12s %9s %9s %13s\n", "data", "codec", "path",
            "threads", "ratio", "pack MB/s", "unpack GB/s", "GB/CPU s", "GB/GPU s", "/ libdeflate");
}

static const char *row_why(const struct row *r)
{
    return r->why[0] != '\0' ? r->why : "not in this build, or not on this CPU";
}

static void rows_print(FILE *out, const struct row *list, uint32_t n)
{
    const struct row *yardstick = libdeflate_find(list, n);

    for (uint32_t i = 0; i < n; i++) {
        const struct row *r = &list[i];

        fprintf(out, "%-10.10s %-10s ", r->material->name,
                option_word("codecs", (int)r->config.kind));
        if (r->skipped) {
            fprintf(out, "%-12s skipped: %s\n",
                    r->config.kind == CODER_GDEFLATE ? option_word("paths", (int)r->config.path)
                                                     : "", row_why(r));
            continue;
        }
        fprintf(out, "%-12s %7u %7.2f %10.1f %12.3f %9.3f", r->path, r->config.threads,
                (double)r->config.bytes / (double)r->packed_bytes, r->pack_bytes_per_s / 1e6,
                r->unpack_bytes_per_s / 1e9, r->unpack_bytes_per_cpu_s / 1e9);
        if (r->unpack_bytes_per_gpu_s > 0)
            fprintf(out, " %9.3f", r->unpack_bytes_per_gpu_s / 1e9);
        else
            fprintf(out, " %9s", "-");
        if (yardstick != NULL)
            fprintf(out, " %13.2f", r->unpack_bytes_per_s / yardstick->unpack_bytes_per_s);
        fputc('\n', out);
    }
    fflush(out);
}

static void row_write(struct json *json, const struct row *r)
{
    json_object(json, NULL);
    json_string(json, "schema", "dsbench/1");
    json_string(json, "command", "codec");
    json_object(json, "config");
    json_string(json, "data", r->material->name);
    json_string(json, "codec", option_word("codecs", (int)r->config.kind));
    json_string(json, "path",
                r->skipped ? option_word("paths", (int)r->config.path) : r->path);
    json_integer(json, "threads", r->config.threads);
    json_integer(json, "level", (uint64_t)r->config.level);
    json_integer(json, "chunk_bytes", r->config.chunk_bytes);
    json_integer(json, "bytes", r->config.bytes);
    json_object_end(json);
    if (r->skipped) {
        json_string(json, "skipped", row_why(r));
    } else {
        json_object(json, "result");
        json_integer(json, "packed_bytes", r->packed_bytes);
        json_number(json, "pack_bytes_per_s", r->pack_bytes_per_s);
        json_number(json, "unpack_bytes_per_s", r->unpack_bytes_per_s);
        json_number(json, "unpack_bytes_per_s_min", r->unpack_least);
        json_number(json, "unpack_bytes_per_s_max", r->unpack_most);
        json_number(json, "unpack_bytes_per_cpu_s", r->unpack_bytes_per_cpu_s);
        if (r->unpack_bytes_per_gpu_s > 0)
            json_number(json, "unpack_bytes_per_gpu_s", r->unpack_bytes_per_gpu_s);
        json_integer(json, "rounds", r->rounds);
        json_object_end(json);
    }
    json_object_end(json);
}

static void rows_write(FILE *out, void *ctx)
{
    const struct rows *rows = ctx;

    for (uint32_t i = 0; i < rows->n; i++) {
        struct json json = {.out = out};

        row_write(&json, &rows->list[i]);
        fputc('\n', out);
    }
}

static int materials_measure(const struct options *o, const struct material *materials, uint32_t n)
{
    const uint32_t gpu_paths = ~0u << CODER_PATH_GPU;
    struct rows rows = {.room = n * METHODS_MAX * o->threads.n};
    struct coder_gpu gpu = {.backend = NULL};
    int error = 0;

    rows.list = calloc(rows.room, sizeof(*rows.list));
    if (rows.list == NULL)
        return -ENOMEM;
    if ((o->codecs >> CODER_GDEFLATE & 1) != 0 && (o->paths & gpu_paths) != 0)
        coder_gpu_open(&gpu, o->device, o->software);
    for (uint32_t i = 0; i < n; i++)
        rows_fill(o, &gpu, &materials[i], &rows);
    if (!report_is_quiet(o))
        head_print(stdout);
    for (uint32_t i = 0; error == 0 && i < rows.n;) {
        uint32_t end = i + 1;

        while (end < rows.n && rows.list[end].material == rows.list[i].material &&
               rows.list[end].config.threads == rows.list[i].config.threads)
            end++;
        error = rows_measure(o, &rows.list[i], end - i);
        if (error == 0 && !report_is_quiet(o))
            rows_print(stdout, &rows.list[i], end - i);
        i = end;
    }
    if (error == 0)
        error = json_out_write(o, rows_write, &rows);
    coder_gpu_close(&gpu);
    free(rows.list);
    return error;
}

int command_codec(const struct options *options)
{
    struct inputs inputs = {0};
    uint64_t bytes = options->make_bytes != 0 ? options->make_bytes : 8 << 20;
    uint32_t n = 0;
    struct material *materials;
    int error = options->files_n > 0 ? inputs_open(options, 0, &inputs) : 0;

    if (error != 0)
        return EXIT_FAILURE;
    materials = calloc(DATA_KIND_COUNT + inputs.n, sizeof(*materials));
    if (materials == NULL)
        error = -ENOMEM;
    for (uint32_t i = 0; error == 0 && i < inputs.n; i++)
        error = load(&materials[n++], &inputs.list[i], bytes);
    for (uint32_t i = 0; error == 0 && inputs.n == 0 && i < DATA_KIND_COUNT; i++) {
        if ((options->kinds >> i & 1) != 0)
            error = generate(&materials[n++], (enum data_kind)i, bytes);
    }
    if (error == 0)
        error = materials_measure(options, materials, n);
    if (error == -ENOMEM)
        complain("%s; use a smaller --bytes", strerror(ENOMEM));
    for (uint32_t i = 0; i < n; i++)
        memory_unmap(materials[i].data, materials[i].bytes);
    free(materials);
    inputs_close(&inputs);
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
