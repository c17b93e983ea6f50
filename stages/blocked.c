/* Polling the semaphores that requests wait for. */
#include "stages/blocked.h"

static bool request_may_begin(struct blocked *blocked, struct request *r)
{
    uint64_t value = 0;
    int vk_result;

    if (request_is_cancelled(r))
        return true;
    vk_result = blocked->gpu->semaphore_value(blocked->gpu_self, r->wait_semaphore, &value);
    if (vk_result != 0 && r->status == DS_STATUS_OK) {
        r->status = DS_STATUS_DEVICE_LOST;
        r->error = vk_result;
    }
    return vk_result != 0 || value >= r->wait_value;
}

bool blocked_add(struct blocked *blocked, struct request *r)
{
    if (!r->special || r->wait_semaphore == 0 || r->status != DS_STATUS_OK ||
        request_may_begin(blocked, r))
        return false;
    r->newer = NULL;
    if (blocked->first == NULL)
        blocked->first = r;
    else
        blocked->last->newer = r;
    blocked->last = r;
    return true;
}

struct request *blocked_take(struct blocked *blocked)
{
    struct request *before = NULL;

    for (struct request *r = blocked->first; r != NULL; before = r, r = r->newer) {
        if (!request_may_begin(blocked, r))
            continue;
        if (before == NULL)
            blocked->first = r->newer;
        else
            before->newer = r->newer;
        if (blocked->last == r)
            blocked->last = before;
        r->bytes_done = 0; /* the link used its place */
        return r;
    }
    return NULL;
}
