/* One bare tile: two bytes give the expected size, the rest is the tile. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes < 2)
        return 0;
    tile_fuzz(data + 2, bytes - 2, ((size_t)data[0] | (size_t)data[1] << 8) + 1);
    return 0;
}
