/* The record of a queue's first failure. The lock is taken by the complete stage only when a
 * request has failed, and by who asks. */
#include "engine/file.h"
#include "engine/queue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void record_fill(struct ds_error_record *record, const struct request *r)
{
    record->request = (struct ds_request){
        .struct_size = sizeof(record->request),
        .op = r->kind == REQUEST_WRITE   ? DS_OP_WRITE
              : r->kind == REQUEST_FLUSH ? DS_OP_FLUSH
                                         : DS_OP_READ,
        .flags = r->flags,
        .file = r->file,
        .fd = r->fd,
        .offset = r->offset,
        .size = r->size,
        .host = request_is_mapped(r) ? NULL : r->host,
        .gpu_buffer = r->gpu_buffer,
        .gpu_offset = r->gpu_offset,
        .gpu_address = r->image == NULL ? r->gpu_address : 0,
        .user_data = r->user_data,
        .source = r->source,
        .cancel_tag = r->cancel_tag,
        .name = r->name,
        .codec = r->codec,
        .transform = r->transform,
        .uncompressed_size = r->codec != DS_CODEC_NONE ? r->unpacked_bytes : 0,
        .destination_bytes = r->codec != DS_CODEC_NONE ? r->kept_bytes : 0,
    };
    request_result(r, &record->result);
    snprintf(record->file_name, sizeof(record->file_name), "%s",
             r->file != NULL ? r->file->name : "");
    snprintf(record->request_name, sizeof(record->request_name), "%s",
             r->name != NULL ? r->name : "");
}

void queue_record_error(struct ds_queue *queue, const struct request *r)
{
    struct ds_error_record *record = &queue->error_record;
    int fd;

    pthread_mutex_lock(&queue->error_lock);
    if (record->failures == 0 || (int32_t)(r->sequence - queue->error_sequence) < 0) {
        record_fill(record, r);
        queue->error_sequence = r->sequence;
    }
    record->failures++;
    fd = atomic_load_explicit(&queue->error_fd, memory_order_acquire);
    pthread_mutex_unlock(&queue->error_lock);
    if (fd >= 0)
        eventfd_add(fd);
}

int ds_queue_take_error(struct ds_queue *queue, struct ds_error_record *record)
{
    struct ds_error_record ours;

    if (record->struct_size == 0)
        return -EINVAL; /* before the record is taken */
    pthread_mutex_lock(&queue->error_lock);
    ours = queue->error_record;
    memset(&queue->error_record, 0, sizeof(queue->error_record));
    pthread_mutex_unlock(&queue->error_lock);
    return copy_struct_out(record, &ours, sizeof(ours));
}

int ds_queue_error_eventfd(struct ds_queue *queue)
{
    bool exists;
    int fd;

    pthread_mutex_lock(&queue->error_lock);
    exists = atomic_load_explicit(&queue->error_fd, memory_order_relaxed) >= 0;
    fd = eventfd_get(&queue->error_fd);
    if (!exists && fd >= 0 && queue->error_record.failures > 0)
        eventfd_add(fd); /* failures before the eventfd existed count too */
    pthread_mutex_unlock(&queue->error_lock);
    return fd;
}
