// What the 32 lanes of a tile say to each other. Two forms of the same functions:
// SUBGROUP_32: the lanes are one subgroup. Otherwise nothing is assumed about subgroups: shared
// memory and barriers. All of them are to be called by all lanes (uniform control flow).
#define FAILED_NONE 0xffffffffu // more than any failure

#ifdef SUBGROUP_32

uint lane_index()
{
    return gl_SubgroupInvocationID;
}

// A bit for each lane.
uint lanes_ballot(bool yes)
{
    return subgroupBallot(yes).x;
}

// The value of another lane; its index is below 32.
uint lanes_read(uint value, uint from)
{
    return subgroupShuffle(value, from);
}

// The sum of the values of lower lanes, and of all.
uint lanes_sum_before(uint value, out uint total)
{
    uint sum = subgroupInclusiveAdd(value);

    total = subgroupBroadcast(sum, LANES - 1);
    return sum - value;
}

// The least of the lanes' values.
uint lanes_least(uint value)
{
    return subgroupMin(value);
}

// Shared memory written before is seen by all lanes after.
void lanes_sync()
{
    subgroupMemoryBarrierShared();
    subgroupBarrier();
}

// The tile's output written before is seen by all lanes after.
void output_sync()
{
    subgroupMemoryBarrierBuffer();
    subgroupBarrier();
}

#ifdef GROUP_TILE
// The same for output and shared memory and all subgroups of the workgroup.
void group_sync()
{
    memoryBarrierBuffer();
    memoryBarrierShared();
    barrier();
}
#endif

#else

// Compilers for CPUs pay dearly for every barrier in the text, so there is one in each function.
shared uint exchanged[2][LANES];
shared uint ballots[3];
shared uint leasts[3];
uint exchange_phase = 0;
uint ballot_phase = 0;
uint least_phase = 0;

uint lane_index()
{
    return gl_LocalInvocationIndex;
}

void lanes_sync()
{
    barrier();
}

void output_sync()
{
    memoryBarrierBuffer();
    barrier();
}

// Three words in turn: who clears the next one knows by the barrier of the last call that nobody
// reads it any more, and the barrier of this call keeps the next call from being early.
uint lanes_ballot(bool yes)
{
    uint now = ballot_phase;

    ballot_phase = now == 2 ? 0 : now + 1;
    if (gl_LocalInvocationIndex == 0)
        ballots[ballot_phase] = 0;
    if (yes)
        atomicOr(ballots[now], 1u << gl_LocalInvocationIndex);
    barrier();
    return ballots[now];
}

uint lanes_least(uint value)
{
    uint now = least_phase;

    least_phase = now == 2 ? 0 : now + 1;
    if (gl_LocalInvocationIndex == 0)
        leasts[least_phase] = FAILED_NONE;
    atomicMin(leasts[now], value);
    barrier();
    return leasts[now];
}

// Two rows in turn: the barrier of the next call separates this call's reads from the writes after.
uint lanes_read(uint value, uint from)
{
    uint now = exchange_phase;

    exchange_phase = now ^ 1;
    exchanged[now][gl_LocalInvocationIndex] = value;
    barrier();
    return exchanged[now][from];
}

uint lanes_sum_before(uint value, out uint total)
{
    uint now = exchange_phase;
    uint sum = 0;

    exchange_phase = now ^ 1;
    exchanged[now][gl_LocalInvocationIndex] = value;
    barrier();
    total = 0;
    for (uint i = 0; i < LANES; i++) {
        sum += i < gl_LocalInvocationIndex ? exchanged[now][i] : 0;
        total += exchanged[now][i];
    }
    return sum;
}

#endif

// What goes wrong in a lane is a number: the least one is what a decoder that goes lane by lane, round
// by round, would meet.
uint failure(uint round, uint error)
{
    return round << 13 | lane << 8 | error;
}

uint failure_error(uint failed)
{
    return failed == FAILED_NONE ? ERROR_NONE : failed & 255;
}

// The error of the lowest lane that has one.
uint lanes_error(uint error)
{
    return failure_error(lanes_least(error == ERROR_NONE ? FAILED_NONE : failure(0, error)));
}

void lanes_begin()
{
#ifndef SUBGROUP_32
    if (gl_LocalInvocationIndex == 0) {
        ballots[0] = 0;
        leasts[0] = FAILED_NONE;
    }
    barrier();
#endif
}
