/* Which names an archive may hold: safe to make a file of below any folder, and to print. */
#include "engine/archive/format.h"

#include <string.h>

/* The part of a path from `part` to `end`. */
static bool part_good(const uint8_t *part, const uint8_t *end)
{
    size_t bytes = (size_t)(end - part);

    return bytes != 0 && !(bytes == 1 && part[0] == '.') &&
           !(bytes == 2 && part[0] == '.' && part[1] == '.');
}

/* Bytes of the UTF-8 character at `at`, which is not ASCII; 0: none begins here (cut off, longer
 * than need be, a surrogate, over U+10FFFF), or it is a control (U+0080 to U+009F). */
static size_t wide_bytes(const uint8_t *at, const uint8_t *end)
{
    static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000};
    size_t bytes = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    uint32_t value = at[0] & (0x7fu >> bytes);

    if (at[0] < 0xc0 || at[0] > 0xf4 || (size_t)(end - at) < bytes)
        return 0;
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (at[i] & 0x3fu);
    }
    if (value < least[bytes] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    return bytes;
}

bool name_valid(const uint8_t *name, size_t bytes)
{
    const uint8_t *part = name, *end = name + bytes;

    if (bytes == 0 || bytes > DS_ARCHIVE_NAME_BYTES_MAX)
        return false;
    for (const uint8_t *at = name; at < end;) {
        size_t step = *at < 0x80 ? 1 : wide_bytes(at, end);

        if (step == 0 || *at < 0x20 || *at == 0x7f || *at == '\\')
            return false;
        if (*at == '/') {
            if (!part_good(part, at))
                return false;
            part = at + 1;
        }
        at += step;
    }
    return part_good(part, end);
}

bool ds_archive_name_valid(const char *name)
{
    return name_valid((const uint8_t *)name, strnlen(name, DS_ARCHIVE_NAME_BYTES_MAX + 1));
}
