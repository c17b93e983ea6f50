// Canonical codes: from code lengths to words and symbols, by all lanes together.
//
// There is no table that is indexed by the stream's bits: what limits a GPU here is how many tiles
// its shared memory has room for. Instead 15 bits of the stream, the first one highest, are a number,
// and the words of each length take a range of these numbers, in the order of the lengths.
#define CODE_LITLEN 0u
#define CODE_DIST 1u
#define CODE_PRECODE 2u // lies where CODE_DIST will

#define LIMIT_NONE 32768u

#define SCRATCH_LENGTHS 0u
#define SCRATCH_LENGTHS_WORDS 40u
#define SCRATCH_PLACES SCRATCH_LENGTHS_WORDS
#define SCRATCH_WORDS 96u

// Shared memory: of each tile of the workgroup.
shared uvec4 limits_of[TILES][2][2];
shared uint firsts_of[TILES][2][16];
shared uint sorted_of[TILES][(LITLEN_SYMBOLS + DIST_SYMBOLS) / 2];
shared uint scratch_of[TILES][SCRATCH_WORDS];

// The first number past the words of length l, 1..14: 16 bits each, beginning with that of length 0
#define limits limits_of[tile_in_group]
// The place in `sorted` of a word = firsts[code][its length] + the word
#define firsts firsts_of[tile_in_group]
// Symbols by length, then by number; 16 bits each
#define sorted sorted_of[tile_in_group]
// While codes are built: the code lengths, 4 bits each, and the place in `sorted` of the next symbol
// of each length. While symbols are decoded: matches.
#define scratch scratch_of[tile_in_group]

bool dist_empty; // the block has no distance code

uint length_get(uint i)
{
    return scratch[SCRATCH_LENGTHS + (i >> 3)] >> (i & 7) * 4 & 15;
}

void length_set(uint i, uint length)
{
    atomicOr(scratch[SCRATCH_LENGTHS + (i >> 3)], length << (i & 7) * 4);
}

void lengths_clear()
{
    for (uint i = lane; i < SCRATCH_LENGTHS_WORDS; i += LANES)
        scratch[SCRATCH_LENGTHS + i] = 0;
    lanes_sync();
}

// The word with which 15 bits begin has one bit more than the lengths whose words all lie before. Two
// limits are subtracted at once: the highest bit stays where the limit is passed. The two that stand
// for no length are never passed.
uint word_length(uint row, uint bits)
{
    const uint high = 0x80008000u;
    uint both = bits << 16 | bits | high;
    uvec4 low = both - limits[row][0] & high;
    uvec4 up = both - limits[row][1] & high;
    uvec4 passed = low | up >> 4;

    return 1 + bitCount(passed.x | passed.y >> 1 | passed.z >> 2 | passed.w >> 3);
}

// The symbol of the word with which 15 bits begin. The index is bounded whatever the codes hold.
uint word_symbol(uint row, uint bits, uint length)
{
    uint first = row * LITLEN_SYMBOLS;
    uint last = row == 0 ? LITLEN_SYMBOLS - 1 : LITLEN_SYMBOLS + DIST_SYMBOLS - 1;
    uint at = clamp(firsts[row][length] + (bits >> 15 - length), first, last);

    return sorted[at >> 1] >> (at & 1) * 16 & 0xffff;
}

uint reversed_15(uint bits)
{
    return bitfieldReverse(bits) >> 17;
}

void symbol_place(uint place, uint symbol)
{
    atomicOr(sorted[place >> 1], symbol << (place & 1) * 16);
}

// How many symbols have each length: lane l gets it for length l.
uint lengths_count(uint begin, uint symbols_n)
{
    if (lane < 16)
        scratch[SCRATCH_PLACES + lane] = 0;
    lanes_sync();
    for (uint i = lane; i < symbols_n; i += LANES)
        atomicAdd(scratch[SCRATCH_PLACES + length_get(begin + i)], 1);
    lanes_sync();
    return lane >= 1 && lane < 16 ? scratch[SCRATCH_PLACES + lane] : 0;
}

// Writes symbols i of all lanes behind those that were written, for the lengths of which there are any.
void symbols_sort_some(uint i, uint length, uint lengths)
{
    uint rank = 0, written = 0;

    for (; lengths != 0; lengths &= lengths - 1) {
        uint l = uint(findLSB(lengths));
        uint same = lanes_ballot(length == l);

        rank = length == l ? bitCount(same & lanes_below) : rank;
        written = lane == l ? bitCount(same) : written;
    }
    if (length != 0)
        symbol_place(scratch[SCRATCH_PLACES + length] + rank, i);
    lanes_sync();
    if (lane < 16)
        scratch[SCRATCH_PLACES + lane] += written;
    lanes_sync();
}

// The limit of a length is where the words of the next one begin.
void limits_write(uint row, uint begin)
{
    uint even = lanes_read(begin, 2 * lane + 1 & LANES - 1);
    uint odd = lanes_read(begin, 2 * lane + 2 & LANES - 1);

    if (lane < 8)
        limits[row][lane >> 2][lane & 3] = even | odd << 16;
}

// Makes the code of the symbols_n lengths (0..15) from `begin` on.
uint code_make(uint code, uint begin, uint symbols_n)
{
    uint row = min(code, 1);
    uint row_n = row == 0 ? LITLEN_SYMBOLS : DIST_SYMBOLS;
    uint count = lengths_count(begin, symbols_n);
    uint lengths = lanes_ballot(count != 0);
    uint sums, totals, used, used_before;
    bool single;

    // Lane l is for length l. Two sums at once: of the words, and of the space that they use.
    sums = lanes_sum_before(count << 15 - min(lane, 15) << 9 | count, totals);
    used_before = sums >> 9;
    used = totals >> 9;
    // Half the space used by one word: the only incomplete code that encoders do write.
    single = used == 16384 && (totals & 511) == 1;
    if (used > 32768)
        return ERROR_CODE_OVERSUBSCRIBED;
    if (used == 0)
        return ERROR_CODE_EMPTY;
    if (used < 32768 && !single)
        return ERROR_CODE_INCOMPLETE;
    if (lane < 16) {
        uint place = row * LITLEN_SYMBOLS + (sums & 511);

        scratch[SCRATCH_PLACES + lane] = place;
        firsts[row][lane] = place - (used_before >> 15 - lane);
    }
    limits_write(row, lane < 2 || single ? LIMIT_NONE : used_before);
    for (uint i = lane; i < row_n / 2; i += LANES)
        sorted[row * LITLEN_SYMBOLS / 2 + i] = 0;
    lanes_sync();
    for (uint i = 0; i < symbols_n; i += LANES) {
        uint length = i + lane < symbols_n ? length_get(begin + i + lane) : 0;

        symbols_sort_some(i + lane, length, lengths);
        if (length != 0 && single) // both bits mean that symbol
            symbol_place(row * LITLEN_SYMBOLS + 1, i + lane);
    }
    lanes_sync();
    return ERROR_NONE;
}
