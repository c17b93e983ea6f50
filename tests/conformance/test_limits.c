/* What is refused for its size says in the log which limit that was, and which knob moves it. */
#include "conformance/rig.h"

#include <ds/vulkan_image.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static char log_text[4096];

static void log_append(void *ctx, enum ds_log_level level, const char *message)
{
    (void)ctx;
    if (level == DS_LOG_ERROR)
        strncat(log_text, message, sizeof(log_text) - strlen(log_text) - 2);
}

/* Something was logged since the last time, and it has these words. */
static void must_say(const char *knob, const char *bound)
{
    cr_assert_not_null(strstr(log_text, knob), "\"%s\" does not name %s", log_text, knob);
    cr_assert_not_null(strstr(log_text, bound), "\"%s\" does not tell %s", log_text, bound);
    log_text[0] = '\0';
}

static void engine_refused(struct ds_engine_config config, const char *knob, const char *bound)
{
    struct ds_engine *engine = NULL;

    config.struct_size = sizeof(config);
    config.log = log_append;
    cr_assert_eq(ds_engine_create(&config, &engine), -EINVAL);
    cr_assert_null(engine);
    must_say(knob, bound);
}

#define ENGINE_REFUSED(knob, bound, ...)                                                           \
    engine_refused((struct ds_engine_config){__VA_ARGS__}, knob, bound)

Test(limits, of_an_engine)
{
    ENGINE_REFUSED("arena_bytes is 4096;", "1 MiB to 64 GiB", .arena_bytes = 4096);
    ENGINE_REFUSED("arena_granularity_bytes is 100;", "power of two",
                   .arena_granularity_bytes = 100);
    ENGINE_REFUSED("chunk_bytes is 8388608;", "half of arena_bytes", .arena_bytes = 8 << 20,
                   .chunk_bytes = 8 << 20);
    ENGINE_REFUSED("chunks_max is 1;", "8 to 65536", .chunks_max = 1);
    ENGINE_REFUSED("io_depth_max is 9999;", "4096", .io_depth_max = 9999);
    ENGINE_REFUSED("read_lanes is 9;", "DS_READ_LANES_MAX", .read_lanes = 9);
    ENGINE_REFUSED("pread_threads is 65;", "64", .pread_threads = 65);
    ENGINE_REFUSED("decode_threads is 65;", "DS_DECODE_THREADS_MAX", .decode_threads = 65);
    ENGINE_REFUSED("topology is 77;", "enum ds_topology", .topology = (enum ds_topology)77);
}

static void rig_logging(struct rig *rig, const struct ds_engine_config *config)
{
    struct ds_engine_config ours = *config;

    ours.log = log_append;
    rig_open(rig, DS_TOPOLOGY_MANUAL, &ours);
    log_text[0] = '\0';
}

Test(limits, of_queues_and_files)
{
    struct ds_queue *queues[64], *more = NULL;
    struct ds_file *files[1024], *another = NULL;
    uint32_t n = 0;
    struct rig rig;
    int fd;

    rig_logging(&rig, ds_engine_config(.arena_bytes = 1 << 20));
    fd = open(rig.path, O_RDONLY | O_CLOEXEC);
    for (uint32_t i = 0; i < 63; i++) /* the rig has one */
        queues[i] = rig_queue(&rig, ds_queue_config(.capacity = 1));
    cr_assert_eq(ds_queue_create(rig.engine, NULL, &more), -ENOSPC);
    must_say("64 queues", "another engine");
    for (uint32_t i = 0; i < 63; i++)
        ds_queue_destroy(&queues[i]);
    for (; n < 1023; n++) /* one descriptor, so that it is the engine's limit that is met */
        cr_assert_eq(ds_file_adopt(rig.engine, fd, ds_file_config(.direct = DS_DIRECT_OFF),
                                   &files[n]), 0);
    cr_assert_eq(ds_file_adopt(rig.engine, fd, NULL, &another), -EMFILE);
    must_say("1024 files", "another engine");
    while (n > 0)
        ds_file_close(&files[--n]);
    close(fd);
    rig_close(&rig);
}

/* A request with a codec is moved and decoded as a whole. */
Test(limits, of_a_request_with_a_codec)
{
    static uint8_t memory[64];
    struct ds_request request;
    struct rig rig;

    rig_logging(&rig, ds_engine_config(.arena_bytes = 2 << 20));
    request = rig_read(&rig, 0, 3 << 20, memory, 0);
    request.codec = DS_CODEC_GDEFLATE;
    request.uncompressed_size = (uint64_t)8 << 20;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -EFBIG);
    must_say("arena_bytes is 2097152", "raise it");
    rig_close(&rig);
}

/* A row of blocks is copied at once. The engine that moves no data knows the same rules. */
Test(limits, of_a_request_on_an_image)
{
    struct ds_image_shape shape = {VK_FORMAT_R32G32B32A32_UINT, VK_IMAGE_TYPE_2D, {16384, 4, 1}, 1,
                                   1};
    struct ds_image *image;
    struct ds_queue *queue;
    struct ds_request request;
    struct rig rig;

    rig_logging(&rig, ds_engine_config(.arena_bytes = 2 << 20, .chunk_bytes = 64 << 10,
                                       .read_backend = DS_READ_NIL, .copy_backend = DS_COPY_NIL));
    queue = rig_queue(&rig, ds_queue_config(.flags = DS_QUEUE_IMAGES));
    cr_assert_eq(ds_vulkan_image_create(rig.engine,
                                        ds_image_config(.image = (VkImage)1, .shape = shape),
                                        &image), 0);
    request = rig_read(&rig, 0, 4 * 16384 * 16, NULL, 0);
    request.image_target = ds_image_target(.kind = DS_IMAGE_SUBRESOURCES, .image = image,
                                           .range = {.n = 1});
    cr_assert_eq(ds_queue_enqueue(queue, &request), -EFBIG);
    must_say("262144 bytes must be copied at once", "raise chunk_bytes");
    ds_queue_destroy(&queue);
    ds_vulkan_image_destroy(&image);
    rig_close(&rig);
}
