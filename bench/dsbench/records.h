/* Saved results: files of JSON lines. */
#ifndef DSBENCH_RECORDS_H
#define DSBENCH_RECORDS_H

#include "json_read.h"

struct record {
    struct json_document document;
    const char *path; /* of its file, as given */
};

struct records {
    struct record *list;
    uint32_t n;
    uint64_t whole_bytes; /* of the file read last: up to the end of its last whole line */
};

/* records_load appends what the file holds: each line an object with "schema": "dsbench/1". A last
 * line without its newline was cut off while it was written, and is left out with `cut_allowed`.
 * 0, or -errno after a complaint. `path` must outlive the records. */
int records_load(const char *path, bool cut_allowed, struct records *records);
void records_free(struct records *records);

/* record_key writes what two results must share to be comparable: "run 64K depth 32 random host
 * io_uring direct shared normal". Returns buffer. */
#define RECORD_KEY_BYTES 256
const char *record_key(char *buffer, const struct record *record);

#endif
