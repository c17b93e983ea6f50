// Canonical codes: from code lengths to tables in shared memory, by all lanes together.
//
// A table is indexed by the next bits of a lane. Words longer than the table's index are found by
// their numerical order instead: `limits` are, for each length, the first 15-bit value past the
// words of that length.
//
// An entry: bits 0-4 how much is consumed with the extra bits, 5-8 the length of the code word,
// 9-10 the kind, 16-31 the base value. Never 0, which means a longer word.
#define KIND_LITERAL 0u
#define KIND_LENGTH 1u
#define KIND_END 2u
#define KIND_BAD 3u
// of a code length code
#define KIND_REPEAT 1u
#define KIND_ZEROS 2u

#define CODE_LITLEN 0u
#define CODE_DIST 1u
#define CODE_PRECODE 2u // lies where CODE_DIST will

#define LITLEN_ENTRIES (1u << LITLEN_BITS)
#define DIST_ENTRIES (1u << DIST_BITS)

shared uint tables[LITLEN_ENTRIES + DIST_ENTRIES];
shared uint sorted[LITLEN_SYMBOLS + DIST_SYMBOLS]; // entries by length, then by symbol
shared uint limits[2][16];
shared uint firsts[2][16]; // index in `sorted` of a word = firsts[length] + the word

// While codes are built the main table is not yet in use: it holds the code lengths, a bit set of
// symbols for each length, and where each length begins in `sorted`.
#define SCRATCH_SETS 320u
#define SCRATCH_SET_WORDS 9u
#define SCRATCH_OFFSETS (SCRATCH_SETS + 16u * SCRATCH_SET_WORDS)

uint entry_kind(uint entry)
{
    return entry >> 9 & 3;
}

uint entry_bits(uint entry)
{
    return entry & 31;
}

// The base and the extra bits that follow the code word.
uint entry_value(uint entry, uint peek)
{
    uint length = entry >> 5 & 15;
    uint extra = (entry & 31) - length;

    return (entry >> 16) + (peek >> length & (1u << extra) - 1);
}

uint entry_make(uint length, uint kind, uint extra, uint base)
{
    return base << 16 | kind << 9 | length << 5 | length + extra;
}

uint litlen_entry(uint symbol, uint length)
{
    uint i = symbol - 257;
    uint extra = (i >> 2) - 1;

    if (symbol < 256)
        return entry_make(length, KIND_LITERAL, 0, symbol);
    if (symbol == 256)
        return entry_make(length, KIND_END, 0, 0);
    if (i < 8)
        return entry_make(length, KIND_LENGTH, 0, 3 + i);
    if (i < 28)
        return entry_make(length, KIND_LENGTH, extra, 3 + (4 + (i & 3) << extra));
    return i == 28 ? entry_make(length, KIND_LENGTH, 16, 3) : entry_make(length, KIND_BAD, 0, 0);
}

uint dist_entry(uint symbol, uint length)
{
    uint extra = (symbol >> 1) - 1;

    if (symbol < 4)
        return entry_make(length, KIND_LITERAL, 0, 1 + symbol);
    return entry_make(length, KIND_LITERAL, extra, 1 + (2 + (symbol & 1) << extra));
}

uint precode_entry(uint symbol, uint length)
{
    if (symbol < 16)
        return entry_make(length, KIND_LITERAL, 0, symbol);
    if (symbol == 16)
        return entry_make(length, KIND_REPEAT, 2, 3);
    return entry_make(length, KIND_ZEROS, symbol == 17 ? 3 : 7, symbol == 17 ? 3 : 11);
}

uint symbol_entry(uint code, uint symbol, uint length)
{
    if (code == CODE_LITLEN)
        return litlen_entry(symbol, length);
    return code == CODE_DIST ? dist_entry(symbol, length) : precode_entry(symbol, length);
}

// The entry for 15 bits, first bit highest, of a word that has at least `length` bits. The loop and
// the index are bounded whatever the tables hold.
uint word_entry(uint row, uint bits, uint length)
{
    uint first = row * LITLEN_SYMBOLS;
    uint last = row == 0 ? LITLEN_SYMBOLS - 1 : LITLEN_SYMBOLS + DIST_SYMBOLS - 1;

    while (length < 15 && bits >= limits[row][length])
        length++;
    return sorted[clamp(firsts[row][length] + (bits >> 15 - length), first, last)];
}

uint reversed_15(uint bits)
{
    return bitfieldReverse(bits) >> 17;
}

// The entry for a lane's next bits. One lookup for both codes, so that lanes that want the one do not
// wait for lanes that want the other.
uint entry_find(bool is_dist, uint peek)
{
    uint at = is_dist ? LITLEN_ENTRIES + (peek & DIST_ENTRIES - 1) : peek & LITLEN_ENTRIES - 1;
    uint entry = tables[at];

    if (entry == 0)
        entry = word_entry(is_dist ? 1 : 0, reversed_15(peek),
                           is_dist ? DIST_BITS + 1 : LITLEN_BITS + 1);
    return entry;
}

// The sets of symbols with equal lengths, of the symbols_n lengths from scratch[begin] on.
void sets_make(uint begin, uint symbols_n)
{
    for (uint i = lane; i < 16 * SCRATCH_SET_WORDS; i += LANES)
        tables[SCRATCH_SETS + i] = 0;
    lanes_sync();
    for (uint i = lane; i < symbols_n; i += LANES)
        atomicOr(tables[SCRATCH_SETS + tables[begin + i] * SCRATCH_SET_WORDS + i / LANES],
                 1u << i % LANES);
    lanes_sync();
}

uint set_count(uint length, uint words_n)
{
    uint n = 0;

    for (uint i = 0; i < words_n; i++)
        n += bitCount(tables[SCRATCH_SETS + length * SCRATCH_SET_WORDS + i]);
    return n;
}

// Orders the symbols of a code and sets its limits. The lengths (0..15) begin at scratch[begin].
uint code_order(uint code, uint begin, uint symbols_n)
{
    uint row = min(code, 1);
    uint count, sums, totals, used, used_before;
    bool single;

    sets_make(begin, symbols_n);
    // Lane l is for length l. Two sums at once: of the words, and of the space that they use.
    count = lane >= 1 && lane < 16 ? set_count(lane, SCRATCH_SET_WORDS) : 0;
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
        uint offset = row * LITLEN_SYMBOLS + (sums & 511);

        tables[SCRATCH_OFFSETS + lane] = offset;
        firsts[row][lane] = offset - (used_before >> 15 - lane);
    }
    // The limit of length l is where the words of length l + 1 begin.
    if (lane >= 1 && lane < 17)
        limits[row][lane - 1] = single && lane >= 2 ? 32768 : used_before;
    lanes_sync();
    for (uint i = lane; i < symbols_n; i += LANES) {
        uint length = tables[begin + i];
        uint own = tables[SCRATCH_SETS + length * SCRATCH_SET_WORDS + i / LANES];
        uint rank = set_count(length, i / LANES) + bitCount(own & lanes_below);

        uint entry = symbol_entry(code, i, length);

        if (length != 0)
            sorted[tables[SCRATCH_OFFSETS + length] + rank] = entry;
        if (length != 0 && single) // both bits mean that symbol
            sorted[row * LITLEN_SYMBOLS + 1] = entry;
    }
    lanes_sync();
    return ERROR_NONE;
}

void table_fill(uint row, uint begin, uint index_bits)
{
    for (uint i = lane; i < 1u << index_bits; i += LANES) {
        uint bits = reversed_15(i);

        tables[begin + i] = bits < limits[row][index_bits] ? word_entry(row, bits, 1) : 0;
    }
}

// No distance code: any use of it is an error.
void dist_fill_empty()
{
    for (uint i = lane; i < DIST_ENTRIES; i += LANES)
        tables[LITLEN_ENTRIES + i] = entry_make(1, KIND_BAD, 0, 0);
}
