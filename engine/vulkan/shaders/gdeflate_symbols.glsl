// The rounds of symbols of a block.
//
// What goes wrong in a lane is looked at only before matches are copied. What is decoded after it goes
// nowhere but into the tile's own output.
uint failed; // the lane's first failure in this block
uint round;  // of the block, below 2^19: each takes a bit of every lane, but for the last two
bool ended;  // the end of the block has come up

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
    uint distance_error = dist_empty ? ERROR_NO_DISTANCE_CODE
                          : step.value > hole_at ? ERROR_DISTANCE : ERROR_NONE;
    bool overruns = n > 0 && (at > output_n || n > output_n - at);

    return owes                                ? distance_error
           : acts && step.symbol > LENGTH_LAST ? ERROR_SYMBOL
           : overruns                          ? ERROR_OUTPUT_OVERRUN
                                               : ERROR_NONE;
}

// One step of every lane: a literal or length, or for lanes that owe it, a distance. When the end of
// the block comes up, the lanes above it only pay what they owe, and one more round, the draining
// one, is for what those below it owe from this.
void symbols_round()
{
    bool owes = (owing_lanes >> lane & 1) != 0;
    Step step = step_read(owes);
    uint end_lanes = ended ? 1 : lanes_ballot(!owes && step.symbol == END_OF_BLOCK);
    uint end_bit = end_lanes & -end_lanes; // of the lowest such lane
    uint symbol_lanes = ended ? 0 : ~owing_lanes & end_bit - 1;
    bool symbol = (symbol_lanes >> lane & 1) != 0;
    bool acts = owes || symbol || (!ended && end_bit == 1u << lane);
    bool is_length = symbol && step.symbol > END_OF_BLOCK;
    uint length_lanes = lanes_ballot(is_length);
    uint literal_lanes = symbol_lanes & ~length_lanes;
    uint at = output_at + bitCount(literal_lanes & lanes_below);
    uint grown = 0;
    uint error;

    if (length_lanes != 0)
        at += lanes_sum_before(is_length ? step.value : 0, grown);
    error = symbol_error(acts, owes, step, at, !symbol ? 0 : is_length ? step.value : 1);
    lane_consume(acts ? step.bits : 0);
    if (lanes_refill(acts) && error == ERROR_NONE)
        error = ERROR_INPUT_END;
    failed = error != ERROR_NONE ? min(failed, failure(round, error)) : failed;
    queue_put(owing_lanes, step.value);
    if (symbol && !is_length && error == ERROR_NONE)
        output_bytes.at[at] = uint8_t(step.value);
    hole_at = is_length ? at : hole_at;
    hole_n = is_length ? step.value : hole_n;
    owing_lanes = length_lanes;
    output_at += grown + bitCount(literal_lanes);
    ended = end_lanes != 0;
    round++;
}

void symbols_begin()
{
    failed = FAILED_NONE;
    round = 0;
    ended = false;
}

// The end of the block, or of what failures leave to do: each round takes input.
bool symbols_over()
{
    return (ended && owing_lanes == 0) || output_at > output_n || input_next > input_words_n;
}

// Goes on until the block is over or the queue of matches is full. Returns the error so far.
uint symbols_decode()
{
    while (!symbols_over() && queue_n + bitCount(owing_lanes) <= LANES)
        symbols_round();
    return failure_error(lanes_least(failed));
}
