// Blocks: headers, stored bytes and code lengths.

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

// Decodes a block, or to where its symbols begin. The header is within the first 19 bits of lane 0.
uint block_begin(out bool last, out bool symbols)
{
    uint header = lanes_read(lane_peek(), 0);
    uint type = header >> 1 & 3;
    uint error;

    last = (header & 1) != 0;
    symbols = false;
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
    symbols = error == ERROR_NONE;
    return error;
}
