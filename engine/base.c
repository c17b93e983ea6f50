/* Assertions, version, status names, versioned structs. */
#include "engine/base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "ds-runtime: %s:%d: assertion failed: %s\n", file, line, expression);
    abort();
}

uint32_t ds_version(void)
{
    return (DS_VERSION_MAJOR << 16) | (DS_VERSION_MINOR << 8) | DS_VERSION_PATCH;
}

const char *ds_status_name(int32_t status)
{
    switch (status) {
#define STATUS_NAME(name, value, text)                                                             \
    case value:                                                                                    \
        return #name;
        DS_STATUS_TABLE(STATUS_NAME)
#undef STATUS_NAME
    default:
        return "UNKNOWN";
    }
}

const char *ds_status_text(int32_t status)
{
    switch (status) {
#define STATUS_TEXT(name, value, text)                                                             \
    case value:                                                                                    \
        return text;
        DS_STATUS_TABLE(STATUS_TEXT)
#undef STATUS_TEXT
    default:
        return "unknown status";
    }
}

int copy_struct_out(void *caller, const void *ours, size_t ours_bytes)
{
    uint32_t caller_bytes;

    memcpy(&caller_bytes, caller, sizeof(caller_bytes));
    if (caller_bytes < sizeof(caller_bytes))
        return -EINVAL;
    memset(caller, 0, caller_bytes);
    memcpy(caller, ours, min_u64(caller_bytes, ours_bytes));
    memcpy(caller, &caller_bytes, sizeof(caller_bytes));
    return 0;
}

int copy_struct_in(void *ours, size_t ours_bytes, const void *caller)
{
    const uint8_t *bytes = caller;
    uint32_t caller_bytes;

    memcpy(&caller_bytes, caller, sizeof(caller_bytes));
    if (caller_bytes < sizeof(caller_bytes))
        return -EINVAL;
    for (size_t i = ours_bytes; i < caller_bytes; i++) {
        if (bytes[i] != 0)
            return -EINVAL;
    }
    memset(ours, 0, ours_bytes);
    memcpy(ours, caller, min_u64(caller_bytes, ours_bytes));
    return 0;
}
