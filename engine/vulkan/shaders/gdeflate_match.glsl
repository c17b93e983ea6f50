// Copies of matches. Where symbols go does not depend on what the output holds, so matches wait in a
// queue until there is one for each lane or so, and are copied together: their bytes are numbered
// through and shared among the lanes.
//
// A match copies its first bytes, as many as its distance at most, from its source, and repeats them.
// A source may lie in the hole of an earlier match of the queue. No byte waits for that one: it is
// followed to where that one's byte comes from, until it is in no hole. To have less to follow,
// sources that are a part of what one earlier match copies are moved there first, all at once.
//
// Positions, lengths and distances have 16 bits: holes end at 65536 at most, and begin at 1.
#define FOLLOWS_MAX 5u // each doubles what a chain is shortened by

uint queue_n;

// Of match i, in the order of the output: its hole is length, begin << 16, its source is distance,
// begin << 16. Whoever copies moves sources, and numbers the bytes: a match's first one has its number.
#ifdef GROUP_TILE
shared uint queue_of[2][2][LANES];        // two sides: one is filled, the other one is copied
shared uint copier_of[COPIERS][2][LANES]; // every subgroup that copies moves and numbers for itself
uint queue_side;
#define COPIER (gl_SubgroupID - 1)
#define QUEUE_HOLE(i) queue_of[queue_side][0][i]
#define QUEUE_GIVEN(i) queue_of[queue_side][1][i]
#define QUEUE_SOURCE(i) copier_of[COPIER][0][i]
#define QUEUE_NUMBER(i) copier_of[COPIER][1][i]
#else
#define COPIERS 1u
#define COPIER 0u
#define QUEUE_HOLE(i) scratch[i]
#define QUEUE_GIVEN(i) scratch[LANES + (i)]
#define QUEUE_SOURCE(i) QUEUE_GIVEN(i)
#define QUEUE_NUMBER(i) scratch[2 * LANES + (i)]
#endif

// The last match whose hole begins at a position or before it. The first one does.
uint hole_find(uint position)
{
    uint i = 0;

    [[unroll]] for (uint step = LANES / 2; step != 0; step >>= 1) {
        if (i + step < queue_n && QUEUE_HOLE(i + step) <= (position << 16 | 0xffff))
            i += step;
    }
    return i;
}

// Byte i of what has a period.
uint period_place(uint i, uint period)
{
    return i < period ? i : i % period;
}

// Where the n bytes from `from` on come from themselves, if from one source; else the same.
uint source_before(uint from, uint n)
{
    uint i = hole_find(from);
    uint hole = QUEUE_HOLE(i);
    uint source = QUEUE_SOURCE(i);
    uint offset = from - (hole >> 16);

    if (offset + n > (hole & 0xffff))
        return from;
    offset = period_place(offset, source & 0xffff);
    return offset + n <= (source & 0xffff) ? (source >> 16) + offset : from;
}

// Moves the source of the lane's match to where its bytes come from.
void source_follow(bool follows, uint n, uint holes_begin)
{
    for (uint i = 0; i < FOLLOWS_MAX; i++) {
        uint source = QUEUE_SOURCE(lane);
        uint from = source >> 16;
        bool inside = follows && from >= holes_begin;
        uint before = inside ? source_before(from, n) : from;

        if (lanes_ballot(inside && before != from) == 0)
            break;
        if (inside)
            QUEUE_SOURCE(lane) = source & 0xffff | before << 16;
        lanes_sync();
    }
}

// Where the byte at a position comes from. It lies in a hole no more than once for each match.
uint byte_follow(uint position, uint holes_begin)
{
    for (uint i = 0; i < LANES && position >= holes_begin; i++) {
        uint at = hole_find(position);
        uint hole = QUEUE_HOLE(at);
        uint source = QUEUE_SOURCE(at);
        uint offset = position - (hole >> 16);

        if (offset >= (hole & 0xffff))
            break;
        position = (source >> 16) + period_place(offset, source & 0xffff);
    }
    return position;
}

// The match to which the lane's byte of the 32 from k on belongs. `number` is the lane's own match's,
// begun_n how many began before k.
#if defined(SUBGROUP_32) && !defined(GROUP_TILE)
uint copy_find(uint k, bool copies, uint number, inout uint begun_n)
{
    uint offset = number - k;
    uint begins = subgroupOr(copies && offset < LANES ? 1u << offset : 0);
    uint copy = begun_n + bitCount(begins & (lanes_below << 1 | 1)) - 1;

    begun_n += bitCount(begins);
    return min(copy, LANES - 1);
}
#else
uint copy_find(uint k, bool copies, uint number, inout uint begun_n)
{
    uint i = 0; // by a search, which needs no barrier

    [[unroll]] for (uint step = LANES / 2; step != 0; step >>= 1) {
        if (i + step < queue_n && QUEUE_NUMBER(i + step) <= k + lane)
            i += step;
    }
    return i;
}
#endif

// Fills the holes of the queue, or a copier's share of their bytes.
void queue_copy()
{
    bool copies = lane < queue_n;
    uint bytes_n = copies ? QUEUE_HOLE(lane) & 0xffff : 0;
    uint holes_begin = QUEUE_HOLE(0) >> 16;
    uint begun_n = 0;
    uint total;
    uint number = lanes_sum_before(bytes_n, total);

    if (copies)
        QUEUE_NUMBER(lane) = number;
    source_follow(copies, min(QUEUE_SOURCE(lane) & 0xffff, bytes_n), holes_begin);
    output_sync();
    for (uint k = COPIER * LANES; k < total; k += COPIERS * LANES) {
        uint copy = copy_find(k, copies, number, begun_n);
        uint i = k + lane - QUEUE_NUMBER(copy);

        if (k + lane < total) {
            uint period = QUEUE_SOURCE(copy);
            uint from = (period >> 16) + period_place(i, period & 0xffff);

            output_bytes.at[(QUEUE_HOLE(copy) >> 16) + i] =
                output_bytes.at[byte_follow(from, holes_begin)];
        }
    }
    queue_n = 0;
}

void queue_drain()
{
    if (queue_n == 0)
        return;
    lanes_sync();
#ifdef GROUP_TILE
    QUEUE_SOURCE(lane) = QUEUE_GIVEN(lane);
    lanes_sync();
#endif
    queue_copy();
    lanes_sync();
}

// The holes of the lanes in new_lanes have a distance now, and there is room for them. Every hole lies
// in the output, and the distance in front of it, distance <= hole_at: unless a lane has failed.
void queue_put(uint new_lanes, uint distance)
{
    if ((new_lanes >> lane & 1) != 0) {
        uint i = queue_n + bitCount(new_lanes & lanes_below);

        QUEUE_HOLE(i) = hole_n | hole_at << 16;
        QUEUE_GIVEN(i) = distance | hole_at - distance << 16;
    }
    queue_n += bitCount(new_lanes);
}
