#include "sequence.h"

#include "base.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

int sequence_open(struct sequence *sequence, const struct inputs *inputs,
                  const struct workload *workload, bool tails)
{
    char size[SIZE_TEXT_BYTES];

    *sequence = (struct sequence){.inputs = inputs,
                                  .size = workload->size,
                                  .random = workload->seed,
                                  .sequential = workload->sequential};
    sequence->first = calloc(inputs->n + 1, sizeof(*sequence->first));
    if (sequence->first == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < inputs->n; i++) {
        uint64_t bytes = inputs->list[i].bytes + (tails ? workload->size - 1 : 0);

        if (bytes < workload->size) {
            complain("%s: %" PRIu64 " bytes are less than one request of %s; use a smaller --size",
                     inputs->list[i].path, bytes, size_text(size, workload->size));
            sequence_close(sequence);
            return -EINVAL;
        }
        sequence->first[i] = sequence->blocks_n;
        sequence->blocks_n += bytes / workload->size;
    }
    sequence->first[inputs->n] = sequence->blocks_n;
    return 0;
}

void sequence_close(struct sequence *sequence)
{
    free(sequence->first);
    sequence->first = NULL;
}

/* The file whose blocks include `index`. */
static uint32_t file_find(const struct sequence *sequence, uint64_t index)
{
    uint32_t low = 0;
    uint32_t high = sequence->inputs->n;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (sequence->first[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    return low;
}

struct block sequence_block(const struct sequence *sequence, uint64_t index)
{
    struct block block = {.index = index, .file = file_find(sequence, index)};

    block.offset = (index - sequence->first[block.file]) * sequence->size;
    block.bytes = min_u64(sequence->size, sequence->inputs->list[block.file].bytes - block.offset);
    return block;
}

struct block sequence_next(struct sequence *sequence)
{
    uint64_t index;

    if (sequence->order != NULL) {
        index = sequence->order_base + sequence->order[sequence->next++];
    } else if (sequence->sequential) {
        index = sequence->next++;
        if (sequence->next == sequence->blocks_n)
            sequence->next = 0;
    } else {
        index = random_below(&sequence->random, sequence->blocks_n);
    }
    return sequence_block(sequence, index);
}

void order_shuffle(uint32_t *order, uint32_t n, bool sequential, uint64_t *random)
{
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    if (sequential)
        return;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = (uint32_t)random_below(random, i);
        uint32_t swapped = order[i - 1];

        order[i - 1] = order[j];
        order[j] = swapped;
    }
}
