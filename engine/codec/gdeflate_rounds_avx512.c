/* Whole rounds with AVX-512: 16 lanes to a vector, table lookups by gather, refills by expand (the
 * lanes that are due take consecutive words, in lane order). See gdeflate_rounds_scalar.c for how a
 * round is tried and only then taken. */
#include "engine/codec/gdeflate_decoder.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET                                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,"             \
                          "avx2,bmi,bmi2,popcnt")))
#define INLINE static inline __attribute__((always_inline)) TARGET

/* 16 lanes. The next 32 bits of a lane are in low; high holds the spare - 0..31 - bits after them.
 */
struct half {
    __m512i low;
    __m512i high;
    __m512i spare;
};

struct decoded {
    __m512i entries;
    __m512i values;
};

INLINE struct half half_load(const struct tile_decoder *decoder, uint32_t lane)
{
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    __m512i first = _mm512_loadu_si512(decoder->bits + lane);
    __m512i second = _mm512_loadu_si512(decoder->bits + lane + 8);

    return (struct half){
        .low = _mm512_permutex2var_epi32(first, even, second),
        .high = _mm512_permutex2var_epi32(first, odd, second),
        .spare = _mm512_sub_epi32(_mm512_loadu_si512(decoder->held + lane), _mm512_set1_epi32(32)),
    };
}

INLINE void half_store(struct tile_decoder *decoder, uint32_t lane, struct half half)
{
    const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));

    _mm512_storeu_si512(decoder->bits + lane,
                        _mm512_permutex2var_epi32(half.low, first, half.high));
    _mm512_storeu_si512(decoder->bits + lane + 8,
                        _mm512_permutex2var_epi32(half.low, second, half.high));
    _mm512_storeu_si512(decoder->held + lane, _mm512_add_epi32(half.spare, _mm512_set1_epi32(32)));
}

/* entry_value for 16 lanes. Shift counts of 32 give 0, as the formula needs. */
INLINE __m512i values_of(__m512i entries, __m512i low)
{
    __m512i bits = _mm512_and_si512(entries, _mm512_set1_epi32(31));
    __m512i code_bits = _mm512_and_si512(_mm512_srli_epi32(entries, 5), _mm512_set1_epi32(15));
    __m512i unused = _mm512_sub_epi32(_mm512_set1_epi32(32), bits);
    __m512i extra =
        _mm512_srlv_epi32(_mm512_sllv_epi32(low, unused), _mm512_add_epi32(unused, code_bits));

    return _mm512_add_epi32(_mm512_srli_epi32(entries, ENTRY_BASE_SHIFT), extra);
}

INLINE struct decoded half_decode(const uint32_t *table, struct half half, __mmask16 owing)
{
    const __m512i litlen_mask = _mm512_set1_epi32((1 << LITLEN_TABLE_BITS) - 1);
    const __m512i dist_mask = _mm512_set1_epi32((1 << DIST_TABLE_BITS) - 1);
    __m512i index =
        _mm512_and_si512(half.low, _mm512_mask_mov_epi32(litlen_mask, owing, dist_mask));
    struct decoded decoded;
    __mmask16 sub;

    index = _mm512_mask_add_epi32(index, owing, index, _mm512_set1_epi32(DIST_TABLE_AT));
    decoded.entries = _mm512_i32gather_epi32(index, table, 4);
    decoded.values = values_of(decoded.entries, half.low);
    sub = _mm512_test_epi32_mask(decoded.entries, _mm512_set1_epi32(ENTRY_SUB));
    if (sub != 0) {
        decoded.entries =
            _mm512_mask_i32gather_epi32(decoded.entries, sub, decoded.values, table, 4);
        decoded.values = values_of(decoded.entries, half.low);
    }
    return decoded;
}

/* Consumes what was decoded and refills the lanes that are due from *next. */
INLINE struct half half_advance(struct half half, __m512i entries, const uint8_t **next)
{
    __m512i bits = _mm512_and_si512(entries, _mm512_set1_epi32(31));
    __m512i spare = _mm512_sub_epi32(half.spare, bits);
    __mmask16 due = _mm512_movepi32_mask(spare);
    __m512i words = _mm512_maskz_expand_epi32(due, _mm512_loadu_si512(*next));
    __m512i low = _mm512_shrdv_epi32(half.low, half.high, bits);
    __m512i high = _mm512_srlv_epi32(half.high, bits);
    __m512i room = _mm512_sub_epi32(_mm512_setzero_si512(), spare); /* of low, in due lanes */

    *next += 4 * (size_t)_mm_popcnt_u32(due);
    return (struct half){
        .low = _mm512_or_si512(
            low, _mm512_sllv_epi32(words, _mm512_sub_epi32(_mm512_set1_epi32(32), room))),
        .high = _mm512_or_si512(high, _mm512_srlv_epi32(words, room)),
        .spare = _mm512_mask_add_epi32(spare, due, spare, _mm512_set1_epi32(32)),
    };
}

INLINE uint32_t lanes_with(struct decoded first, struct decoded second, int kind)
{
    __m512i kinds = _mm512_set1_epi32(kind);

    return (uint32_t)_mm512_test_epi32_mask(first.entries, kinds) |
           (uint32_t)_mm512_test_epi32_mask(second.entries, kinds) << 16;
}

INLINE void round_store(struct round *round, struct decoded first, struct decoded second)
{
    __m256i bytes =
        _mm256_set_m128i(_mm512_cvtepi32_epi8(second.values), _mm512_cvtepi32_epi8(first.values));

    round->literal_lanes = lanes_with(first, second, ENTRY_LITERAL);
    round->match_lanes = lanes_with(first, second, ENTRY_LENGTH);
    round->literal_count = (uint32_t)_mm_popcnt_u32(round->literal_lanes);
    _mm512_store_si512(round->values, first.values);
    _mm512_store_si512(round->values + 16, second.values);
    _mm256_storeu_si256((void *)round->literals,
                        _mm256_maskz_compress_epi8(round->literal_lanes, bytes));
}

TARGET enum ds_codec_error rounds_avx512(struct tile_decoder *decoder)
{
    const uint8_t *limit = decoder->out_end - ROUND_OUTPUT_SLOP;
    struct half first = half_load(decoder, 0);
    struct half second = half_load(decoder, 16);
    struct round rounds[2];
    uint32_t now = 0;

    memset(rounds, 0, sizeof(rounds));
    while (decoder->out <= limit &&
           (decoder->next <= decoder->read_limit || decoder_use_tail(decoder))) {
        const struct round *waiting = &rounds[now];
        struct round *fresh = &rounds[now ^ 1];
        const uint8_t *next = decoder->next;
        uint32_t owing = waiting->match_lanes;
        struct decoded low = half_decode(decoder->table, first, (__mmask16)owing);
        struct decoded high = half_decode(decoder->table, second, (__mmask16)(owing >> 16));
        struct half first_after = half_advance(first, low.entries, &next);
        struct half second_after = half_advance(second, high.entries, &next);

        if (UNLIKELY(lanes_with(low, high, ENTRY_STOP) != 0 || next > decoder->end))
            break;
        round_store(fresh, low, high);
        if (!round_emit(waiting, fresh->values, decoder->out_begin, limit, &decoder->out, false))
            break;
        first = first_after;
        second = second_after;
        decoder->next = next;
        now ^= 1;
    }
    half_store(decoder, 0, first);
    half_store(decoder, 16, second);
    return round_flush(decoder, &rounds[now]);
}
#endif
