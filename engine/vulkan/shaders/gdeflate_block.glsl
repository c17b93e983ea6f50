// Blocks: headers, stored bytes, code lengths, and the rounds of symbols.

const uint precode_order[PRECODE_SYMBOLS] =
    uint[](16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15);

// The bytes of a stored block.
uint stored_decode(uint n)
{
    uint error = n > output_n - output_at ? ERROR_OUTPUT_OVERRUN : ERROR_NONE;

    for (uint i = 0; i < n && error == ERROR_NONE; i += LANES) {
        bool acts = i + lane < n;

        if (acts) {
            output_bytes.at[output_at + i + lane] = uint8_t(lane_peek() & 255);
            lane_consume(8);
        }
        error = lanes_step(acts, ERROR_NONE);
    }
    output_at += n;
    return error;
}

void fixed_lengths()
{
    for (uint i = lane; i < LITLEN_SYMBOLS + DIST_SYMBOLS; i += LANES)
        length_set(i, i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : i < 288 ? 8 : 5);
    lanes_sync();
}

// The code of the code lengths: three bits of each lane.
uint precode_lengths(uint precode_n)
{
    bool acts = lane < precode_n;

    if (acts)
        length_set(precode_order[min(lane, PRECODE_SYMBOLS - 1)], lane_peek() & 7);
    if (acts)
        lane_consume(3);
    return lanes_step(acts, ERROR_NONE);
}

// One code length symbol of every lane. `done`: how many lengths there are; `last`: the last one.
uint lengths_round(uint lengths_n, inout uint done, inout uint last)
{
    uint peek = lane_peek();
    uint bits = reversed_15(peek);
    uint word_bits = word_length(CODE_DIST, bits);
    uint symbol = word_symbol(CODE_DIST, bits, word_bits);
    uint extra = symbol < 16 ? 0 : symbol == 16 ? 2 : symbol == 17 ? 3 : 7;
    uint repeats = (symbol == 18 ? 11 : 3) + (peek >> word_bits & (1u << extra) - 1);
    uint n = symbol < 16 ? 1 : repeats;
    uint grown;
    uint at = done + lanes_sum_before(n, grown);
    bool acts = at < lengths_n;
    // A repeat takes the length that the nearest lane below gave, or the round before.
    uint given_lanes = lanes_ballot(symbol != 16) & lanes_below;
    uint given = symbol < 16 ? symbol : 0;
    uint before = lanes_read(given, given_lanes != 0 ? uint(findMSB(given_lanes)) : 0);
    uint length = symbol != 16 ? given : given_lanes != 0 ? before : last;
    uint error = ERROR_NONE;

    if (acts && symbol == 16 && at == 0)
        error = ERROR_REPEAT_FIRST;
    else if (acts && at + n > lengths_n)
        error = ERROR_LENGTHS_OVERRUN;
    for (uint i = at; acts && length != 0 && i < min(at + n, lengths_n); i++)
        length_set(i, length);
    if (acts)
        lane_consume(word_bits + extra);
    done += grown;
    last = lanes_read(length, LANES - 1); // if there is another round, all lanes acted in this
    return lanes_step(acts, error);
}

uint lengths_read(uint lengths_n)
{
    uint done = 0, last = 0, error = ERROR_NONE;

    lengths_clear();
    while (error == ERROR_NONE && done < lengths_n)
        error = lengths_round(lengths_n, done, last);
    lanes_sync();
    return error;
}

// Builds the codes of a block: from the header's 14 bits, or the fixed ones.
uint codes_build(bool dynamic, uint header)
{
    uint litlen_n = dynamic ? 257 + (header & 31) : LITLEN_SYMBOLS;
    uint dist_n = dynamic ? 1 + (header >> 5 & 31) : DIST_SYMBOLS;
    uint error = ERROR_NONE;

    lengths_clear();
    if (dynamic)
        error = precode_lengths(4 + (header >> 10));
    else
        fixed_lengths();
    for (uint i = dynamic ? 0 : 1; i < 3 && error == ERROR_NONE; i++) {
        uint code = i == 0 ? CODE_PRECODE : i == 1 ? CODE_LITLEN : CODE_DIST;
        uint begin = i == 2 ? litlen_n : 0;
        uint symbols_n = i == 0 ? PRECODE_SYMBOLS : i == 1 ? litlen_n : dist_n;

        if (code == CODE_LITLEN && length_get(256) == 0)
            error = ERROR_NO_END_OF_BLOCK;
        else
            error = code_make(code, begin, symbols_n);
        if (error == ERROR_NONE && code == CODE_PRECODE)
            error = lengths_read(litlen_n + dist_n);
        dist_empty = error == ERROR_CODE_EMPTY && code == CODE_DIST;
        if (dist_empty) // any use of it is an error
            error = ERROR_NONE;
    }
    return error;
}

// What a lane read from its stream.
struct Step {
    uint bits;  // that it takes
    uint symbol;
    uint value; // the literal, length or distance
};

// The value of x, a distance symbol or the number of a length symbol: 2 or 4 symbols have the same
// number of extra bits, and the 29th length has 16.
void value_read(bool owes, uint x, uint peek, inout Step step)
{
    uint group_bits = owes ? 1 : 2;
    uint group = x >> group_bits;
    uint in_group = 1u << group_bits;
    uint extra = group > 1 ? group - 1 : 0;
    uint base = group == 0 ? x : (x & in_group - 1 | in_group) << extra;

    if (!owes && x == 28) {
        extra = 16;
        base = 0;
    }
    step.value = base + (owes ? 1 : 3) + (peek >> step.bits & (1u << extra) - 1);
    step.bits += extra;
}

Step step_read(bool owes)
{
    uint row = owes ? CODE_DIST : CODE_LITLEN;
    uint peek = lane_peek();
    uint bits = reversed_15(peek);
    Step step;

    step.bits = word_length(row, bits);
    step.symbol = word_symbol(row, bits, step.bits);
    step.value = step.symbol;
    if (owes || step.symbol > END_OF_BLOCK)
        value_read(owes, owes ? step.symbol : step.symbol - END_OF_BLOCK - 1, peek, step);
    return step;
}

// What a lane's symbol is wrong in, if anything. `at` is where its n bytes go.
uint symbol_error(bool acts, bool owes, Step step, uint at, uint n)
{
    if (owes)
        return dist_empty ? ERROR_NO_DISTANCE_CODE
               : step.value > hole_at ? ERROR_DISTANCE : ERROR_NONE;
    if (acts && step.symbol > LENGTH_LAST)
        return ERROR_SYMBOL;
    return n > 0 && (at > output_n || n > output_n - at) ? ERROR_OUTPUT_OVERRUN : ERROR_NONE;
}

// One step of every lane: a literal or length, or for lanes that owe it, a distance. When the end of
// the block comes up, the lanes above it only pay what they owe, and one more round, the draining
// one, is for what those below it owe from this.
uint symbols_round(inout bool ended)
{
    bool owes = (owing_lanes >> lane & 1) != 0;
    bool draining = ended;
    Step step = step_read(owes);
    uint end_lanes = draining ? 1 : lanes_ballot(!owes && step.symbol == END_OF_BLOCK);
    uint end_bit = end_lanes & -end_lanes; // of the lowest such lane
    uint symbol_lanes = draining ? 0 : ~owing_lanes & end_bit - 1;
    bool symbol = (symbol_lanes >> lane & 1) != 0;
    bool acts = owes || symbol || (!draining && end_bit == 1u << lane);
    bool is_length = symbol && step.symbol > END_OF_BLOCK;
    uint length_lanes = lanes_ballot(is_length);
    uint literal_lanes = symbol_lanes & ~length_lanes;
    uint at = output_at + bitCount(literal_lanes & lanes_below);
    uint grown = 0;
    uint error;

    if (length_lanes != 0)
        at += lanes_sum_before(is_length ? step.value : 0, grown);
    error = symbol_error(acts, owes, step, at, !symbol ? 0 : is_length ? step.value : 1);
    if (acts)
        lane_consume(step.bits);
    error = lanes_step(acts, error);
    if (error != ERROR_NONE)
        return error;
    queue_put(owing_lanes, step.value);
    if (symbol && !is_length)
        output_bytes.at[at] = uint8_t(step.value);
    if (is_length) {
        hole_at = at;
        hole_n = step.value;
    }
    owing_lanes = length_lanes;
    output_at += grown + bitCount(literal_lanes);
    ended = end_lanes != 0;
    return ERROR_NONE;
}

uint symbols_decode()
{
    uint error = ERROR_NONE;
    bool ended = false;

    queue_n = 0;
    // Each round takes a bit of a lane at least: the input bounds their number.
    while (error == ERROR_NONE && !(ended && owing_lanes == 0))
        error = symbols_round(ended);
    if (error == ERROR_NONE)
        queue_drain();
    return error;
}

// The header is within the first 19 bits of lane 0.
uint block_decode(out bool last)
{
    uint header = lanes_read(lane_peek(), 0);
    uint type = header >> 1 & 3;
    uint error;

    last = (header & 1) != 0;
    header >>= 3;
    if (lane == 0)
        lane_consume(type == BLOCK_STORED ? 19 : type == BLOCK_DYNAMIC ? 17 : 3);
    error = lanes_step(lane == 0, ERROR_NONE);
    if (error != ERROR_NONE)
        return error;
    if (type == BLOCK_STORED)
        return stored_decode(header & 0xffff);
    if (type > BLOCK_DYNAMIC)
        return ERROR_BLOCK_TYPE;
    error = codes_build(type == BLOCK_DYNAMIC, header & 0x3fff);
    return error != ERROR_NONE ? error : symbols_decode();
}
