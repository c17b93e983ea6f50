/* A table with a place for each open file; numbers of descriptors share places by their value. */
#include "engine/failures.h"

#include "engine/file.h"
#include "engine/request.h"

#include <errno.h>

#define DESCRIPTORS 64
#define ENTRIES (FILES_MAX + DESCRIPTORS)
#define KEY_SEVERAL UINT32_MAX /* descriptors in one place: it cannot be told whose news are told */

int failures_open(struct failures *failures, const struct host *host)
{
    failures->table = host_calloc(host, ENTRIES, sizeof(*failures->table));
    return failures->table != NULL ? 0 : -ENOMEM;
}

void failures_close(struct failures *failures, const struct host *host)
{
    host_free(host, failures->table, ENTRIES * sizeof(*failures->table));
}

static struct write_failure *failure_of(struct failures *failures, const struct request *r)
{
    return &failures->table[r->file != NULL ? r->file->slot
                                            : FILES_MAX + (uint32_t)r->fd % DESCRIPTORS];
}

/* Generations and descriptors have places apart, so that their keys may be alike. */
static uint32_t failure_key(const struct request *r)
{
    return r->file != NULL ? r->file->generation : (uint32_t)r->fd + 1;
}

static bool is_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

void failures_add(struct failures *failures, const struct request *r)
{
    struct write_failure *f = failure_of(failures, r);
    uint32_t key = failure_key(r);

    if (f->key == 0 || (r->file != NULL && f->key != key)) { /* that file is gone */
        *f = (struct write_failure){key, r->sequence, r->sequence, r->status, r->error};
        return;
    }
    if (f->key != key)
        f->key = KEY_SEVERAL;
    if (is_before(r->sequence, f->first)) {
        f->first = r->sequence;
        f->status = r->status;
        f->error = r->error;
    }
    if (is_before(f->last, r->sequence))
        f->last = r->sequence;
}

void failures_tell(struct failures *failures, struct request *r)
{
    struct write_failure *f = failure_of(failures, r);

    if ((f->key != failure_key(r) && f->key != KEY_SEVERAL) || f->key == 0 ||
        is_before(r->sequence, f->first) || r->status == DS_STATUS_CANCELLED)
        return;
    if (r->status == DS_STATUS_OK) {
        r->status = (uint8_t)f->status;
        r->error = f->error;
    }
    if (f->key == KEY_SEVERAL)
        return;
    if (is_before(r->sequence, f->last))
        f->first = r->sequence + 1;
    else
        f->key = 0;
}
