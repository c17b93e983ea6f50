// Copies of matches. The matches of one round are done together: a match is ready when all that it
// copies from lies before the first hole that is still open, and the first one always is. The bytes
// of all ready matches are numbered through and shared among the lanes.
shared uvec4 matches[LANES]; // the number of its first byte, where it goes, distance, nothing

// The match to which byte k belongs: the last one of matches_n that begins at or before it.
uint match_find(uint k, uint matches_n)
{
    uint low = 0;

    [[unroll]] for (uint step = LANES / 2; step != 0; step >>= 1) {
        uint middle = low + step;

        if (middle < matches_n && matches[middle].x <= k)
            low = middle;
    }
    return low;
}

void match_byte(uint match, uint k)
{
    uvec4 it = matches[match];
    uint i = k - it.x;
    uint from = i < it.z ? i : i % it.z;

    output_bytes.at[it.y + i] = output_bytes.at[it.y - it.z + from];
}

// Fills the holes of the lanes in open_lanes. Every hole lies in the output, and the distance in
// front of it: distance <= hole_at.
void holes_fill(uint open_lanes, uint distance)
{
    while (open_lanes != 0) {
        uint first = uint(findLSB(open_lanes));
        uint complete = lanes_read(hole_at, first);
        bool open = (open_lanes >> lane & 1) != 0;
        bool ready =
            open && (lane == first || hole_at - distance + min(distance, hole_n) <= complete);
        uint ready_lanes = lanes_ballot(ready);
        uint matches_n = bitCount(ready_lanes);
        uint total;
        uint begin = lanes_sum_before(ready ? hole_n : 0, total);

        // The barriers above are between these writes and the reads of the turn before.
        if (ready)
            matches[bitCount(ready_lanes & lanes_below)] = uvec4(begin, hole_at, distance, 0);
        output_sync();
        for (uint k = lane; k < total; k += LANES)
            match_byte(match_find(k, matches_n), k);
        open_lanes &= ~ready_lanes;
    }
}
