// The 32 bit streams of a tile. Between steps a lane holds 32 to 63 bits; after a step each lane
// that fell below 32 takes the tile's next word, in the order of the lanes.
uint64_t lane_bits;
uint lane_held;

Words input_words;
uint input_shift; // bits by which the tile's words lie across those of memory
uint input_words_n;
uint input_next; // the first word that no lane has

// The words of memory in which a word of the tile lies. Behind its end they are of its last one: who
// takes such a word fails.
struct Pair {
    uint low;
    uint high;
};

Pair input_fetch(uint i)
{
    uint at = min(i, input_words_n - 1);

    return Pair(input_words.at[at], input_words.at[at + (input_shift != 0 ? 1 : 0)]);
}

uint input_word(Pair pair)
{
    return uint((uint64_t(pair.high) << 32 | pair.low) >> input_shift);
}

uint input_load(uint i)
{
    return input_word(input_fetch(i));
}

#ifdef SUBGROUP_32
// The next words are in registers before they are due: lane i has words i and 32 + i counted from
// the last multiple of 32, and 64 + i is on its way, so that nothing is done with it yet.
uint window_low;
uint window_high;
Pair window_coming;

void window_begin()
{
    window_low = input_load(LANES + lane);
    window_high = input_load(2 * LANES + lane);
    window_coming = input_fetch(3 * LANES + lane);
}

// Of the 32 words from input_next on, each is at another lane.
uint window_read(uint rank)
{
    uint at = input_next & (LANES - 1);

    return lanes_read(lane >= at ? window_low : window_high, at + rank & (LANES - 1));
}

void window_advance(uint words_n)
{
    uint before = input_next;

    input_next = before + words_n;
    if (((before ^ input_next) & LANES) != 0) {
        window_low = window_high;
        window_high = input_word(window_coming);
        window_coming = input_fetch((input_next & ~(LANES - 1)) + 2 * LANES + lane);
    }
}
#else
void window_begin()
{
}

uint window_read(uint rank)
{
    return input_load(input_next + rank);
}

void window_advance(uint words_n)
{
    input_next += words_n;
}
#endif

void input_begin(uint64_t address, uint bytes)
{
    input_words = Words(address & ~uint64_t(3));
    input_shift = (uint(address) & 3) * 8;
    input_words_n = min(bytes / 4, TILE_WORDS_MAX);
    lane_bits = input_load(lane);
    lane_held = 32;
    input_next = LANES;
    window_begin();
}

uint lane_peek()
{
    return uint(lane_bits);
}

void lane_consume(uint bits_n)
{
    lane_bits >>= bits_n;
    lane_held -= bits_n;
}

// A step of the lanes that act is over: gives them their words. Was there none for this one?
bool lanes_refill(bool acts)
{
    bool due = acts && lane_held < 32;
    uint due_lanes = lanes_ballot(due);
    uint rank = bitCount(due_lanes & lanes_below);
    uint word = window_read(rank);
    bool starves = due && input_next + rank >= input_words_n;

    lane_bits |= uint64_t(due ? word : 0) << lane_held;
    lane_held += due ? 32 : 0;
    window_advance(bitCount(due_lanes));
    return starves;
}

// The same, and the tile's error, if a lane had one, or if there was no word for it.
uint lanes_step(bool acts, uint error)
{
    bool starves = lanes_refill(acts);

    return lanes_error(starves && error == ERROR_NONE ? ERROR_INPUT_END : error);
}
