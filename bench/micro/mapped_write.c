/* How fast the CPU writes to memory of the GPU's that the host can map, and to memory like staging:
 * by each kind of store, and by the kernel out of the page cache.
 *
 *   mapped_write [DEVICE] [SECONDS]
 *
 * DEVICE: part of a name; SECONDS: for all, default 2. GB/s of the best piece; and of reading it
 * back, which is why nothing is decoded there. */
#include "engine/staging.h"
#include "engine/vulkan/backend.h"
#include "engine/vulkan/buffer.h"

#include <ds/ds.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define PLACE_BYTES ((uint64_t)16 << 20)
#define PIECE_BYTES_MAX ((uint64_t)1 << 20)

static int source_file;
static uint8_t *source; /* PIECE_BYTES_MAX: the file's pages */
static uint8_t sink[PIECE_BYTES_MAX];

static void must(bool fine, const char *what)
{
    if (fine)
        return;
    perror(what);
    exit(1);
}

static double now_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The ways; false: not on this machine, or refused. ------------------------------------------- */

static bool by_memcpy(uint8_t *to, size_t bytes)
{
    memcpy(to, source, bytes);
    return true;
}

static bool by_kernel(uint8_t *to, size_t bytes)
{
    return pread(source_file, to, bytes, 0) == (ssize_t)bytes;
}

#if defined(__x86_64__)
static bool by_streaming(uint8_t *to, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64) {
        for (size_t k = 0; k < 64; k += 16)
            _mm_stream_si128((__m128i *)(void *)(to + i + k),
                             _mm_load_si128((const __m128i *)(const void *)(source + i + k)));
    }
    _mm_sfence();
    return true;
}

static bool by_string(uint8_t *to, size_t bytes)
{
    const uint8_t *from = source;

    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
    return true;
}
#endif

static bool reading(uint8_t *to, size_t bytes)
{
    memcpy(sink, to, bytes);
    return true;
}

static const struct way {
    const char *name;
    bool (*run)(uint8_t *to, size_t bytes);
} ways[] = {
    {"memcpy", by_memcpy},
#if defined(__x86_64__)
    {"streaming stores", by_streaming},
    {"rep movsb", by_string},
#endif
    {"pread, page cache", by_kernel},
    {"read back, memcpy", reading},
};

/* One piece to each place in turn, so that both meet the same disturbances. best_s 0: it cannot. */
static void measure(const struct way *way, uint8_t *const places[2], size_t bytes, double seconds,
                    double best_s[2])
{
    double end = now_seconds() + seconds;

    best_s[0] = best_s[1] = 0;
    for (uint64_t i = 0; now_seconds() < end; i++) {
        for (uint32_t place = 0; place < 2; place++) {
            double begun = now_seconds(), took;

            if (!way->run(places[place] + i % (PLACE_BYTES / bytes) * bytes, bytes))
                return;
            took = now_seconds() - begun;
            best_s[place] = best_s[place] == 0 || took < best_s[place] ? took : best_s[place];
        }
    }
}

static void tell(const struct way *way, size_t bytes, const double best_s[2])
{
    printf("%-18s %8zu", way->name, bytes);
    for (uint32_t place = 0; place < 2; place++) {
        if (best_s[place] == 0)
            printf("   cannot");
        else
            printf(" %8.2f", (double)bytes / best_s[place] / 1e9);
    }
    putchar('\n');
}

static void source_open(void)
{
    source_file = memfd_create("mapped_write", MFD_CLOEXEC);
    must(source_file >= 0 && ftruncate(source_file, (off_t)PIECE_BYTES_MAX) == 0, "memfd_create");
    source = mmap(NULL, PIECE_BYTES_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, source_file, 0);
    must(source != MAP_FAILED, "mmap");
    memset(source, 0x5a, PIECE_BYTES_MAX);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {4 << 10, 64 << 10, 1 << 20};
    double seconds = (argc > 2 ? atof(argv[2]) : 2) / (double)(ARRAY_LENGTH(sizes) *
                                                               ARRAY_LENGTH(ways));
    struct ds_vulkan_backend *backend;
    struct vulkan_buffer window;
    struct staging staging;
    uint8_t *places[2];

    must(ds_vulkan_backend_create(
             ds_vulkan_backend_config(.device_name = argc > 1 ? argv[1] : NULL), &backend) == 0,
         "a Vulkan device");
    must(vulkan_buffer_open(&window, &backend->device, &backend->host, VULKAN_BUFFER_WINDOW,
                            PLACE_BYTES) == 0, "memory of the GPU's that can be mapped");
    must(staging_map(&staging, PLACE_BYTES) == 0, "memory like staging");
    source_open();
    places[0] = window.mapped;
    places[1] = staging.memory;
    for (uint32_t place = 0; place < 2; place++)
        memset(places[place], 1, PLACE_BYTES); /* page faults now */
    printf("%s (%s memory), GB/s\n%-18s %8s %8s %8s\n", backend->device.properties.deviceName,
           backend->device.unified_memory ? "unified" : "discrete", "", "bytes", "mapping",
           "staging");
    for (uint32_t w = 0; w < ARRAY_LENGTH(ways); w++) {
        for (uint32_t s = 0; s < ARRAY_LENGTH(sizes); s++) {
            double best_s[2];

            measure(&ways[w], places, sizes[s], seconds, best_s);
            tell(&ways[w], sizes[s], best_s);
        }
    }
    staging_unmap(&staging);
    vulkan_buffer_close(&window, &backend->device);
    ds_vulkan_backend_destroy(&backend);
    return 0;
}
