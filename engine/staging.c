/* Maps the arena's memory. */
#include "engine/staging.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* since Linux 5.14 */
#endif

/* A page that is first touched while requests flow costs a fault each; pay here. */
static int populate(uint8_t *memory, uint64_t bytes)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    int rc;

    do
        rc = madvise(memory, bytes, MADV_POPULATE_WRITE);
    while (rc != 0 && errno == EINTR);
    if (rc == 0)
        return 0;
    if (errno != EINVAL) /* not "unknown advice": no memory, or a cgroup limit */
        return -ENOMEM;
    for (uint64_t i = 0; i < bytes; i += page)
        ((volatile uint8_t *)memory)[i] = 0;
    return 0;
}

/* map_aligned maps with room to spare and gives back what lies outside the aligned range. */
static uint8_t *map_aligned(uint64_t bytes)
{
    uint64_t spare = bytes + STAGING_ALIGN;
    uint8_t *map =
        mmap(NULL, spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t head, tail;

    if (map == MAP_FAILED)
        return NULL;
    head = align_up_u64((uintptr_t)map, STAGING_ALIGN) - (uintptr_t)map;
    tail = spare - head - bytes;
    if (head != 0)
        munmap(map, head);
    if (tail != 0)
        munmap(map + head + bytes, tail);
    return map + head;
}

int staging_map(struct staging *staging, uint64_t bytes)
{
    uint8_t *memory;

    DS_ASSERT(bytes != 0);
    if (bytes > (uint64_t)PTRDIFF_MAX - 2 * STAGING_ALIGN)
        return -ENOMEM;
    bytes = align_up_u64(bytes, STAGING_ALIGN);
    memory = map_aligned(bytes);
    if (memory == NULL)
        return -ENOMEM;
    *staging = (struct staging){
        .memory = memory,
        .bytes = bytes,
        .kind = "host",
        .huge_pages = madvise(memory, bytes, MADV_HUGEPAGE) == 0,
    };
    if (madvise(memory, bytes, MADV_DONTFORK) != 0 || populate(memory, bytes) != 0) {
        staging_unmap(staging);
        return -ENOMEM;
    }
    return 0;
}

void staging_unmap(struct staging *staging)
{
    if (staging->memory != NULL)
        munmap(staging->memory, staging->bytes);
    *staging = (struct staging){0};
}
