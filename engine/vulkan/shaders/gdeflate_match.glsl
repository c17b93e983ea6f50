// Copies of matches. The matches of one round are done together: a match is ready when all that it
// copies from lies before the first hole that is still open, and the first one always is. The bytes
// of all ready matches are numbered through and shared among the lanes.
shared uint match_at[LANES];
shared uint match_distance[LANES];
shared uint match_begin[LANES]; // the number of its first byte

// The match to which byte k belongs: the last one of matches_n that begins at or before it.
uint match_find(uint k, uint matches_n)
{
    uint low = 0;

    [[unroll]] for (uint step = LANES / 2; step != 0; step >>= 1) {
        uint middle = low + step;

        if (middle < matches_n && match_begin[middle] <= k)
            low = middle;
    }
    return low;
}

void match_byte(uint match, uint k)
{
    uint at = match_at[match];
    uint distance = match_distance[match];
    uint i = k - match_begin[match];
    uint from = i < distance ? i : i % distance;

    output_bytes.at[at + i] = output_bytes.at[at - distance + from];
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
        if (ready) {
            uint i = bitCount(ready_lanes & lanes_below);

            match_at[i] = hole_at;
            match_distance[i] = distance;
            match_begin[i] = begin;
        }
        output_sync();
        for (uint k = lane; k < total; k += LANES)
            match_byte(match_find(k, matches_n), k);
        open_lanes &= ~ready_lanes;
    }
}
