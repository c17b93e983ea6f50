/* What a request must look like, and what its result looks like. */
#include "engine/codec/codec.h"
#include "engine/file.h"
#include "engine/image/split.h"
#include "engine/packed.h"
#include "engine/queue.h"

#include <errno.h>
#include <fcntl.h>

_Static_assert((int)REQUEST_READ == (int)DS_OP_READ && (int)REQUEST_WRITE == (int)DS_OP_WRITE &&
                   (int)REQUEST_FLUSH == (int)DS_OP_FLUSH,
               "an op is a kind of request");

static int fd_check(int fd, bool write, uint8_t *direct)
{
    int flags = fcntl(fd, F_GETFL);
    int mode = flags & O_ACCMODE;

    if (flags < 0 || (flags & O_PATH) != 0 || mode == (write ? O_RDONLY : O_WRONLY))
        return -EBADF;
    *direct = (flags & O_DIRECT) != 0;
    return 0;
}

static int file_check(const struct queue_port *port, const struct ds_request *request,
                      uint8_t *direct)
{
    bool write = request->op != DS_OP_READ;

    *direct = 0;
    if (request->source != NULL)
        return 0;
    if (request->file == NULL) {
        if (!port->file_checked)
            return 0;
        return fd_check(request->fd, write, direct);
    }
    if (request->file->engine != port->engine)
        return -EINVAL;
    return write && !request->file->writable ? -EBADF : 0;
}

/* What an image as destination rules out; image_target_init checks the rest. */
static int image_check(const struct queue_port *port, const struct ds_request *request)
{
    const struct ds_image *image = request->image_target->image;

    if (request->op != DS_OP_READ || (request->flags & DS_REQUEST_ALLOW_SHORT) != 0 ||
        request->host != NULL || request->gpu_buffer != 0 || request->gpu_address != 0)
        return -EINVAL;
    if (!port->gpu_allowed)
        return -ENODEV;
    return image == NULL || image->engine != port->engine ? -EINVAL : 0;
}

/* What the destination receives. */
static uint64_t memory_bytes(const struct ds_request *request)
{
    if (request->codec == DS_CODEC_NONE)
        return request->size;
    return request->destination_bytes != 0 ? request->destination_bytes
                                           : request->uncompressed_size;
}

static int memory_check(const struct queue_port *port, const struct ds_request *request)
{
    uint64_t end;

    if (request->image_target != NULL)
        return image_check(port, request);
    if (request->host != NULL)
        return 0;
    if (request->gpu_buffer == 0 && request->gpu_address == 0)
        return port->memory_checked ? -EINVAL : 0;
    if (!port->gpu_allowed)
        return -ENODEV;
    if (__builtin_add_overflow(request->gpu_offset, memory_bytes(request), &end) ||
        end > UINT64_MAX - request->gpu_address)
        return -EINVAL;
    if (request->gpu_buffer == 0 && !port->address_allowed)
        return -ENOTSUP;
    return request->gpu_buffer_bytes != 0 && end > request->gpu_buffer_bytes ? -ERANGE : 0;
}

static int flush_check(const struct ds_request *request)
{
    return request->size != 0 || request->offset != 0 || request->host != NULL ||
                   request->gpu_buffer != 0 || request->gpu_address != 0 ||
                   request->source != NULL || request->image_target != NULL ||
                   request->codec != DS_CODEC_NONE || request->destination_bytes != 0
               ? -EINVAL
               : 0;
}

/* Is it one of the application's? */
static bool codec_is_custom(uint32_t codec)
{
    return codec >= DS_CODEC_CUSTOM_0 && codec <= DS_CODEC_CUSTOM_LAST;
}

static int custom_check(const struct queue_port *port)
{
    if (port->custom_codecs)
        return 0;
    host_log(port->host, DS_LOG_ERROR,
             "a codec of the application's, but ds_engine_config.custom_codecs is 0: nobody would "
             "decode it");
    return -ENOTSUP;
}

/* Decoded bytes are dropped only where they are copied to their destination. */
static bool kept_valid(const struct ds_request *request)
{
    uint64_t bytes = request->destination_bytes;

    if (bytes == 0 || bytes == request->uncompressed_size)
        return true;
    return bytes < request->uncompressed_size && request->codec != DS_CODEC_NONE &&
           request->host == NULL && request->image_target == NULL &&
           (request->gpu_buffer != 0 || request->gpu_address != 0);
}

static int codec_shape_check(const struct queue_port *port, const struct ds_request *request)
{
    if (LIKELY((request->codec | request->transform | request->uncompressed_size |
                request->destination_bytes) == 0))
        return 0;
    if (request->transform > DS_CODEC_TRANSFORM_BC5 || !kept_valid(request))
        return -EINVAL;
    if (request->codec == DS_CODEC_NONE)
        return request->transform != DS_CODEC_TRANSFORM_NONE ||
                       (request->uncompressed_size != 0 &&
                        request->uncompressed_size != request->size)
                   ? -EINVAL
                   : 0;
    if (request->op != DS_OP_READ || (request->flags & DS_REQUEST_ALLOW_SHORT) != 0 ||
        request->uncompressed_size == 0)
        return -EINVAL;
    return codec_is_custom(request->codec) ? custom_check(port) : codec_check(request->codec);
}

/* A memory source is the only one, and is only read. */
static bool source_valid(const struct ds_request *request)
{
    return request->source == NULL || (request->op == DS_OP_READ && request->file == NULL);
}

static int shape_check(const struct queue_port *port, const struct ds_request *request)
{
    uint64_t end;
    int rc;

    if (request->struct_size != sizeof(*request) || request->op > DS_OP_FLUSH ||
        (request->flags & ~DS_REQUEST_ALLOW_SHORT) != 0 || request->reserved != 0 ||
        !source_valid(request))
        return -EINVAL;
    if (request->op == DS_OP_FLUSH)
        return flush_check(request);
    if (request->size == 0 || request->size > REQUEST_BYTES_MAX ||
        __builtin_add_overflow(request->offset, request->size, &end) || end > INT64_MAX)
        return -EINVAL;
    rc = codec_shape_check(port, request);
    return rc != 0 ? rc : memory_check(port, request);
}

/* A mapping is that of GPU memory which the request names, and holds all of the destination. */
static bool mapping_valid(const struct ds_request *request)
{
    uint64_t end;

    return request->op != DS_OP_FLUSH && request->host == NULL && request->image_target == NULL &&
           (request->gpu_buffer != 0 || request->gpu_address != 0) &&
           !__builtin_add_overflow((uintptr_t)request->gpu_mapped, request->gpu_offset, &end) &&
           !__builtin_add_overflow(end, memory_bytes(request), &end);
}

/* The strictest alignment that a request's disk transfers may need. */
static uint32_t align_max(const struct ds_request *request, uint8_t fd_direct)
{
    if (request->source != NULL)
        return 1;
    if (request->file == NULL)
        return fd_direct ? REQUEST_FD_DIRECT_ALIGN : 1;
    return request->file->direct_fd >= 0 ? request->file->offset_align : 1;
}

/* The image half of a request. */
static int image_target_check(const struct ds_queue *queue, const struct ds_request *request,
                              struct request_checked *checked)
{
    const struct queue_port *port = &queue->port;
    struct image_limits limits = {
        .offset = request->offset,
        .bytes_max = port->chunk_bytes - IMAGE_SHIFT_BYTES,
        .align = align_max(request, checked->fd_direct),
    };

    if (queue->images == NULL)
        return -EINVAL;
    if (request->codec != DS_CODEC_NONE)
        limits = image_limits_none;
    return image_target_init(&checked->target, request->image_target, memory_bytes(request),
                             &limits, port->host);
}

/* Does the GPU decode it? */
static bool goes_to_gpu(const struct queue_port *port, const struct ds_request *request,
                        struct request_checked *checked)
{
    bool image = request->image_target != NULL;
    struct request r = {
        .codec = (uint8_t)request->codec,
        .transform = (uint8_t)(request->transform & 15),
        .host = request->host,
        .size = request->size,
        .unpacked_bytes = request->uncompressed_size,
        .kept_bytes = (uint32_t)request->destination_bytes,
        .gpu_buffer = request->gpu_buffer,
        .gpu_offset = request->gpu_offset,
        .image = image ? &checked->target : NULL,
    };

    if (!image)
        r.gpu_address = request->gpu_address;
    return gpu_decode_takes(&port->decode, &r) && (!image || image_whole_plain(&checked->target));
}

/* The way of a request with a codec, and the staging that it needs. To go either way takes the most
 * of it: what does not fit so is the GPU's alone, or the CPU's. */
static uint64_t way_choose(const struct queue_port *port, struct request *worst, uint64_t io_bytes,
                           bool gpu, uint8_t *way)
{
    static const uint8_t ways[] = {SPECIAL_EITHER, SPECIAL_ON_GPU, 0};
    uint32_t first = !gpu ? 2 : port->decode.balanced ? 0 : 1;
    uint32_t last = gpu && !port->decode.balanced ? 1 : 2;
    uint64_t needed = UINT64_MAX;

    for (uint32_t i = first; i <= last && needed > port->arena_bytes; i++) {
        *way = worst->special = ways[i];
        needed = packed_run_for(worst, io_bytes).bytes;
    }
    return needed;
}

/* Does a request with a codec fit into an empty arena, at the worst alignment of its transfers? */
static int codec_size_check(const struct queue_port *port, const struct ds_request *request,
                            struct request_checked *checked)
{
    uint64_t room = request->image_target != NULL ? image_whole_room(&checked->target) : 0;
    uint64_t align = align_max(request, checked->fd_direct);
    uint64_t needed = 0;

    checked->way = 0;
    if (request->size <= PACKED_BYTES_MAX && request->uncompressed_size <= PACKED_BYTES_MAX &&
        room <= PACKED_BYTES_MAX) {
        struct request worst = {
            .source = request->source,
            .size = request->size,
            .transform = (uint8_t)request->transform,
            .unpacked_bytes = request->uncompressed_size,
            .image = request->image_target != NULL ? &checked->target : NULL,
            .room_bytes = (uint32_t)room,
            .in_place = request->host != NULL && port->memory_checked,
        };

        needed = way_choose(port, &worst, request->size + 2 * (align - 1),
                            port->decode.on && goes_to_gpu(port, request, checked),
                            &checked->way);
        checked->room_bytes = (uint32_t)room;
        if (needed <= port->arena_bytes)
            return 0;
    }
    host_log(port->host, DS_LOG_ERROR,
             "a request of %llu compressed and %llu decoded bytes needs as much staging at once, "
             "and arena_bytes is %llu; raise it (both sizes must be below 4 GiB)",
             (unsigned long long)request->size, (unsigned long long)request->uncompressed_size,
             (unsigned long long)port->arena_bytes);
    return -EFBIG;
}

/* What most requests do not have. */
static int extras_check(const struct ds_queue *queue, const struct ds_request *request,
                        struct request_checked *checked)
{
    int rc = 0;

    if (request->gpu_mapped != NULL && !mapping_valid(request))
        return -EINVAL;
    if (request->image_target != NULL)
        rc = image_target_check(queue, request, checked);
    if (rc == 0 && request->codec != DS_CODEC_NONE)
        rc = codec_size_check(&queue->port, request, checked);
    return rc;
}

int request_check(const struct ds_queue *queue, const struct ds_request *request,
                  struct request_checked *checked)
{
    int rc = shape_check(&queue->port, request);

    checked->extras = ((uintptr_t)request->gpu_mapped | (uintptr_t)request->image_target |
                       request->codec) != 0;
    checked->room_bytes = 0;
    if (rc == 0)
        rc = file_check(&queue->port, request, &checked->fd_direct);
    if (UNLIKELY(checked->extras) && rc == 0)
        rc = extras_check(queue, request, checked);
    return rc;
}

void request_result(const struct request *request, struct ds_result *result)
{
    bool vulkan =
        request->status == DS_STATUS_DEVICE_LOST || request->status == DS_STATUS_VULKAN_ERROR;

    *result = (struct ds_result){
        .user_data = request->user_data,
        .bytes = request->bytes_done,
        .status = request->status,
        .error = vulkan ? 0 : request->error,
        .vk_result = vulkan ? request->error : 0,
        .latency_ns = request->enqueued_ns,
    };
}
