// A tile, from its first block to its verdict.
void tile_begin(Tile tile)
{
    output_bytes = Bytes(tile.destination);
    output_n = tile.destination_bytes;
    output_at = 0;
    hole_at = 0;
    hole_n = 0;
    owing_lanes = 0;
    queue_n = 0;
}

#ifndef GROUP_TILE

bool lanes_decode()
{
    return true;
}

uint tile_decode(Tile tile)
{
    uint error = ERROR_NONE;
    bool last = false, symbols = false;

    if (tile.source_bytes < 4 * LANES)
        return ERROR_TILE_SHORT;
    tile_begin(tile);
    input_begin(tile.source, tile.source_bytes);
    // Each block takes three bits of lane 0 at least, so the input bounds the number of blocks.
    while (error == ERROR_NONE && !last) {
        error = block_begin(last, symbols);
        if (symbols)
            symbols_begin();
        while (symbols && error == ERROR_NONE) {
            error = symbols_decode();
            if (error == ERROR_NONE)
                queue_drain();
            symbols = !symbols_over();
        }
    }
    return error == ERROR_NONE && output_at != output_n ? ERROR_OUTPUT_UNDERRUN : error;
}

#else

// The workgroup goes in turns. In each the subgroup that decodes fills one side of the queue, and the
// others copy the matches of the other side, which was filled the turn before.
shared uint side_matches[2];
shared uint side_last[2];

bool lanes_decode()
{
    return gl_SubgroupID == 0;
}

// Of the subgroup that decodes.
bool tile_over;
bool tile_last;
bool tile_symbols; // in the middle of a block
uint tile_error;

void decode_begin(Tile tile)
{
    tile_over = tile.source_bytes < 4 * LANES;
    tile_error = tile_over ? ERROR_TILE_SHORT : ERROR_NONE;
    tile_last = false;
    tile_symbols = false;
    if (!tile_over)
        input_begin(tile.source, tile.source_bytes);
}

// Up to where the queue is full, or the end.
void decode_turn()
{
    bool full = false;

    queue_n = 0;
    while (!tile_over && !full) {
        if (!tile_symbols) {
            tile_error = block_begin(tile_last, tile_symbols);
            if (tile_symbols)
                symbols_begin();
        } else {
            tile_error = symbols_decode();
            tile_symbols = !symbols_over();
            full = tile_symbols;
        }
        tile_over = tile_error != ERROR_NONE || (tile_last && !tile_symbols);
    }
    if (lane == 0) {
        side_matches[queue_side] = tile_error == ERROR_NONE ? queue_n : 0;
        side_last[queue_side] = tile_over ? 1 : 0;
    }
}

void copy_turn()
{
    queue_n = side_matches[queue_side];
    queue_drain();
}

uint tile_decode(Tile tile)
{
    uint turn = 0;
    bool more = true;

    tile_begin(tile);
    if (lanes_decode())
        decode_begin(tile);
    // Each turn but the last takes input.
    while (more) {
        queue_side = (lanes_decode() ? turn : turn + 1) & 1;
        if (lanes_decode())
            decode_turn();
        else if (turn > 0)
            copy_turn();
        group_sync();
        more = side_last[turn & 1] == 0 || side_matches[turn & 1] != 0;
        turn++;
    }
    return tile_error == ERROR_NONE && output_at != output_n ? ERROR_OUTPUT_UNDERRUN : tile_error;
}

#endif
