/* What fragments of code in the documents take for granted (tools/check_docs.py). */
#ifndef API_DOCS_PRELUDE_H
#define API_DOCS_PRELUDE_H

#include <ds/ds.h>
#include <ds/vulkan.h>
#include <ds/vulkan_image.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern struct ds_vulkan_backend *backend;
extern struct ds_engine *engine;
extern struct ds_queue *queue;
extern struct ds_file *file;
extern struct ds_image *image;
extern struct ds_status_array *array;
extern struct ds_result results[64];
extern VkImage vk_image;
extern VkBuffer vk_buffer, buffer;
extern struct ds_request requests[64];
enum { MAX = 64 };
extern VkSemaphore semaphore;
extern uint64_t at, size, value, timeout_ns;
extern uint32_t max, n;
extern void *memory;
extern int fd, rc;

#endif
