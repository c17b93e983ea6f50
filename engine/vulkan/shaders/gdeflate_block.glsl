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
        tables[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : i < 288 ? 8 : 5;
    lanes_sync();
}

// The code of the code lengths: three bits of each lane.
uint precode_lengths(uint precode_n)
{
    bool acts = lane < precode_n;

    if (lane < PRECODE_SYMBOLS)
        tables[precode_order[lane]] = acts ? lane_peek() & 7 : 0;
    if (acts)
        lane_consume(3);
    return lanes_step(acts, ERROR_NONE);
}

// One code length symbol of every lane. `done`: how many lengths there are; `last`: the last one.
uint lengths_round(uint lengths_n, inout uint done, inout uint last)
{
    uint peek = lane_peek();
    uint entry = tables[LITLEN_ENTRIES + (peek & 127)];
    uint kind = entry_kind(entry);
    uint value = entry_value(entry, peek);
    uint n = kind == KIND_LITERAL ? 1 : value;
    uint grown;
    uint at = done + lanes_sum_before(n, grown);
    bool acts = at < lengths_n;
    // A repeat takes the length that the nearest lane below gave, or the round before.
    uint given_lanes = lanes_ballot(kind != KIND_REPEAT) & lanes_below;
    uint given = kind == KIND_LITERAL ? value : 0;
    uint before = lanes_read(given, given_lanes != 0 ? uint(findMSB(given_lanes)) : 0);
    uint length = kind != KIND_REPEAT ? given : given_lanes != 0 ? before : last;
    uint error = ERROR_NONE;

    if (acts && kind == KIND_REPEAT && at == 0)
        error = ERROR_REPEAT_FIRST;
    else if (acts && at + n > lengths_n)
        error = ERROR_LENGTHS_OVERRUN;
    for (uint i = at; acts && i < min(at + n, lengths_n); i++)
        tables[i] = length;
    if (acts)
        lane_consume(entry_bits(entry));
    done += grown;
    last = lanes_read(length, LANES - 1); // if there is another round, all lanes acted in this
    return lanes_step(acts, error);
}

uint lengths_read(uint lengths_n)
{
    uint done = 0, last = 0, error = ERROR_NONE;

    while (error == ERROR_NONE && done < lengths_n)
        error = lengths_round(lengths_n, done, last);
    lanes_sync();
    return error;
}

// What comes after a code was put in order. `empty`: only a distance code may be.
uint code_use(uint code, bool empty, uint lengths_n)
{
    if (code == CODE_PRECODE) {
        table_fill(1, LITLEN_ENTRIES, PRECODE_BITS);
        lanes_sync();
        return lengths_read(lengths_n);
    }
    if (code == CODE_DIST) { // the last one: now scratch is free
        table_fill(0, 0, LITLEN_BITS);
        if (empty)
            dist_fill_empty();
        else
            table_fill(1, LITLEN_ENTRIES, DIST_BITS);
        lanes_sync();
    }
    return ERROR_NONE;
}

// Builds the codes of a block: from the header's 14 bits, or the fixed ones.
uint codes_build(bool dynamic, uint header)
{
    uint litlen_n = dynamic ? 257 + (header & 31) : LITLEN_SYMBOLS;
    uint dist_n = dynamic ? 1 + (header >> 5 & 31) : DIST_SYMBOLS;
    uint error = ERROR_NONE;

    if (dynamic)
        error = precode_lengths(4 + (header >> 10));
    else
        fixed_lengths();
    for (uint i = dynamic ? 0 : 1; i < 3 && error == ERROR_NONE; i++) {
        uint code = i == 0 ? CODE_PRECODE : i == 1 ? CODE_LITLEN : CODE_DIST;
        uint begin = i == 2 ? litlen_n : 0;
        uint symbols_n = i == 0 ? PRECODE_SYMBOLS : i == 1 ? litlen_n : dist_n;

        if (code == CODE_LITLEN && tables[256] == 0)
            error = ERROR_NO_END_OF_BLOCK;
        else
            error = code_order(code, begin, symbols_n);
        if (error == ERROR_NONE || (error == ERROR_CODE_EMPTY && code == CODE_DIST))
            error = code_use(code, error == ERROR_CODE_EMPTY, litlen_n + dist_n);
    }
    return error;
}

// What a lane's symbol is wrong in, if anything. `at` is where its n bytes go.
uint symbol_error(bool acts, bool owes, uint kind, uint value, uint at, uint n)
{
    if (owes)
        return kind == KIND_BAD     ? ERROR_NO_DISTANCE_CODE
               : value > hole_at    ? ERROR_DISTANCE
                                    : ERROR_NONE;
    if (acts && kind == KIND_BAD)
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
    uint peek = lane_peek();
    uint entry = entry_find(owes, peek);
    uint kind = entry_kind(entry);
    uint value = entry_value(entry, peek);
    uint end_lanes = draining ? 1 : lanes_ballot(!owes && kind == KIND_END);
    uint end_bit = end_lanes & -end_lanes; // of the lowest such lane
    uint symbol_lanes = draining ? 0 : ~owing_lanes & end_bit - 1;
    bool symbol = (symbol_lanes >> lane & 1) != 0;
    bool acts = owes || symbol || (!draining && end_bit == 1u << lane);
    bool is_length = symbol && kind == KIND_LENGTH;
    uint length_lanes = lanes_ballot(is_length);
    uint literal_lanes = symbol_lanes & ~length_lanes;
    uint at = output_at + bitCount(literal_lanes & lanes_below);
    uint grown = 0;
    uint error;

    if (length_lanes != 0)
        at += lanes_sum_before(is_length ? value : 0, grown);
    error = symbol_error(acts, owes, kind, value, at, !symbol ? 0 : is_length ? value : 1);
    if (acts)
        lane_consume(entry_bits(entry));
    error = lanes_step(acts, error);
    if (error != ERROR_NONE)
        return error;
    holes_fill(owing_lanes, value);
    if (symbol && !is_length)
        output_bytes.at[at] = uint8_t(value);
    if (is_length) {
        hole_at = at;
        hole_n = value;
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

    // Each round takes a bit of a lane at least: the input bounds their number.
    while (error == ERROR_NONE && !(ended && owing_lanes == 0))
        error = symbols_round(ended);
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
