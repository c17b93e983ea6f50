#include "verify.h"

#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct verifier {
    const struct sequence *sequence;
    struct target *target;
    struct verdict *verdict;
    uint8_t *read;     /* one flag a block of the window */
    uint8_t *expected; /* TARGET_VIEW_BYTES */
    uint8_t poison;
    uint32_t file; /* that fd is open on; UINT32_MAX = none */
    int fd;
};

/* Where the expectation comes from: the file, or the poison for a block that was never read. */
static int expectation_load(struct verifier *v, uint32_t file, uint64_t offset, uint64_t bytes,
                            bool was_read)
{
    const char *path = v->sequence->inputs->list[file].path;
    int error;

    if (!was_read) {
        memset(v->expected, v->poison, bytes);
        return 0;
    }
    if (v->file != file) {
        if (v->fd >= 0)
            close(v->fd);
        v->fd = open(path, O_RDONLY | O_CLOEXEC);
        v->file = v->fd < 0 ? UINT32_MAX : file;
    }
    error = v->fd < 0 ? -errno : file_read_exactly(v->fd, v->expected, bytes, offset);
    if (error != 0)
        file_complain(path, error);
    return error;
}

static void difference_tell(const struct verifier *v, uint32_t file, uint64_t offset,
                            uint8_t expected, uint8_t found)
{
    complain("%s: byte %" PRIu64 " is 0x%02x, and 0x%02x arrived",
             v->sequence->inputs->list[file].path, offset, expected, found);
}

static int bytes_compare(struct verifier *v, uint32_t file, uint64_t offset, uint64_t at,
                         uint64_t bytes, bool was_read)
{
    const uint8_t *found;
    int error = expectation_load(v, file, offset, bytes, was_read);

    if (error != 0)
        return error;
    found = target_view(v->target, at, bytes);
    if (found == NULL)
        return -EIO;
    if (was_read)
        v->verdict->bytes += bytes;
    if (memcmp(found, v->expected, bytes) == 0)
        return 0;
    for (uint64_t i = 0; i < bytes; i++) {
        if (found[i] == v->expected[i])
            continue;
        if (v->verdict->mismatches++ == 0)
            difference_tell(v, file, offset + i, v->expected[i], found[i]);
    }
    return 0;
}

/* Blocks [first, end) of the window: of one file, and all read or none. */
static int run_compare(struct verifier *v, uint32_t first, uint32_t end)
{
    const struct sequence *s = v->sequence;
    struct block from = sequence_block(s, s->order_base + first);
    struct block last = sequence_block(s, s->order_base + end - 1);
    uint64_t bytes = last.offset + last.bytes - from.offset;
    bool was_read = v->read[first] != 0;
    int error = 0;

    for (uint64_t done = 0; error == 0 && done < bytes;) {
        uint64_t n = min_u64(TARGET_VIEW_BYTES, bytes - done);

        error =
            bytes_compare(v, from.file, from.offset + done, first * s->size + done, n, was_read);
        done += n;
    }
    return error;
}

static int window_compare(struct verifier *v, uint32_t window_n)
{
    const struct sequence *s = v->sequence;
    int error = 0;

    for (uint32_t first = 0, end; error == 0 && first < window_n; first = end) {
        uint32_t file = sequence_block(s, s->order_base + first).file;

        end = first + 1;
        while (end < window_n && v->read[end] == v->read[first] &&
               sequence_block(s, s->order_base + end).file == file)
            end++;
        error = run_compare(v, first, end);
    }
    return error;
}

int verify_window(const struct sequence *sequence, struct target *target, uint32_t window_n,
                  uint64_t n, uint8_t poison, struct verdict *verdict)
{
    struct verifier v = {.sequence = sequence,
                         .target = target,
                         .verdict = verdict,
                         .poison = poison,
                         .file = UINT32_MAX,
                         .fd = -1};
    int error = -ENOMEM;

    v.read = calloc(window_n, 1);
    v.expected = malloc(TARGET_VIEW_BYTES);
    if (v.read != NULL && v.expected != NULL) {
        for (uint64_t i = 0; i < n; i++)
            v.read[sequence->order[i]] = 1;
        error = window_compare(&v, window_n);
    }
    if (v.fd >= 0)
        close(v.fd);
    free(v.read);
    free(v.expected);
    return error;
}
