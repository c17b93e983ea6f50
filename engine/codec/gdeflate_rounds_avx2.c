/* Whole rounds with AVX2 and BMI2: 8 lanes to a vector, table lookups by gather. BMI2's bit deposit
 * and extract stand in for AVX-512's expand and compress. See gdeflate_rounds_scalar.c for how a
 * round is tried and only then taken. */
#include "engine/codec/gdeflate_decoder.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { QUARTERS = 4, QUARTER_LANES = 8 };

/* 8 lanes. The next 32 bits of a lane are in low; high holds the spare - 0..31 - bits after them.
 */
struct quarter {
    __m256i low;
    __m256i high;
    __m256i spare;
};

struct decoded {
    __m256i entries;
    __m256i values;
};

INLINE struct quarter quarter_load(const struct tile_decoder *decoder, uint32_t lane)
{
    uint32_t low[QUARTER_LANES], high[QUARTER_LANES];
    struct quarter quarter;

    for (uint32_t i = 0; i < QUARTER_LANES; i++) {
        low[i] = (uint32_t)decoder->bits[lane + i];
        high[i] = (uint32_t)(decoder->bits[lane + i] >> 32);
    }
    quarter.low = _mm256_loadu_si256((const void *)low);
    quarter.high = _mm256_loadu_si256((const void *)high);
    quarter.spare = _mm256_sub_epi32(_mm256_loadu_si256((const void *)(decoder->held + lane)),
                                     _mm256_set1_epi32(32));
    return quarter;
}

INLINE void quarter_store(struct tile_decoder *decoder, uint32_t lane, struct quarter quarter)
{
    uint32_t low[QUARTER_LANES], high[QUARTER_LANES];

    _mm256_storeu_si256((void *)low, quarter.low);
    _mm256_storeu_si256((void *)high, quarter.high);
    _mm256_storeu_si256((void *)(decoder->held + lane),
                        _mm256_add_epi32(quarter.spare, _mm256_set1_epi32(32)));
    for (uint32_t i = 0; i < QUARTER_LANES; i++)
        decoder->bits[lane + i] = low[i] | (uint64_t)high[i] << 32;
}

/* entry_value for 8 lanes. Shift counts of 32 give 0, as the formula needs. */
INLINE __m256i values_of(__m256i entries, __m256i low)
{
    __m256i bits = _mm256_and_si256(entries, _mm256_set1_epi32(31));
    __m256i code_bits = _mm256_and_si256(_mm256_srli_epi32(entries, 5), _mm256_set1_epi32(15));
    __m256i unused = _mm256_sub_epi32(_mm256_set1_epi32(32), bits);
    __m256i extra =
        _mm256_srlv_epi32(_mm256_sllv_epi32(low, unused), _mm256_add_epi32(unused, code_bits));

    return _mm256_add_epi32(_mm256_srli_epi32(entries, ENTRY_BASE_SHIFT), extra);
}

/* All ones in the lanes whose entry has the bit `kind`. */
INLINE __m256i kind_lanes(__m256i entries, int kind)
{
    return _mm256_srai_epi32(_mm256_slli_epi32(entries, __builtin_clz((uint32_t)kind)), 31);
}

INLINE uint32_t lanes_mask(__m256i lanes)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(lanes));
}

INLINE struct decoded quarter_decode(const uint32_t *table, struct quarter quarter, __m256i owing)
{
    const __m256i litlen_mask = _mm256_set1_epi32((1 << LITLEN_TABLE_BITS) - 1);
    const __m256i dist_mask = _mm256_set1_epi32((1 << DIST_TABLE_BITS) - 1);
    __m256i index =
        _mm256_and_si256(quarter.low, _mm256_blendv_epi8(litlen_mask, dist_mask, owing));
    struct decoded decoded;
    __m256i sub;

    index = _mm256_add_epi32(index, _mm256_and_si256(owing, _mm256_set1_epi32(DIST_TABLE_AT)));
    decoded.entries = _mm256_i32gather_epi32((const int *)table, index, 4);
    decoded.values = values_of(decoded.entries, quarter.low);
    sub = kind_lanes(decoded.entries, ENTRY_SUB);
    if (lanes_mask(sub) != 0) {
        decoded.entries = _mm256_mask_i32gather_epi32(decoded.entries, (const int *)table,
                                                      decoded.values, sub, 4);
        decoded.values = values_of(decoded.entries, quarter.low);
    }
    return decoded;
}

/* One byte of ones for each bit of an 8-bit mask. */
INLINE uint64_t mask_bytes(uint32_t mask)
{
    return _pdep_u64(mask, 0x0101010101010101) * 0xff;
}

/* Consumes what was decoded and refills the lanes that are due from *next: the n-th due lane takes
 * the n-th word. */
INLINE struct quarter quarter_advance(struct quarter quarter, __m256i entries, const uint8_t **next)
{
    __m256i bits = _mm256_and_si256(entries, _mm256_set1_epi32(31));
    __m256i spare = _mm256_sub_epi32(quarter.spare, bits);
    __m256i due = _mm256_srai_epi32(spare, 31);
    uint32_t due_mask = lanes_mask(due);
    uint64_t rank = _pdep_u64(0x0706050403020100, mask_bytes(due_mask));
    __m256i words = _mm256_and_si256(
        due, _mm256_permutevar8x32_epi32(_mm256_loadu_si256((const void *)*next),
                                         _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)rank))));
    __m256i low = _mm256_or_si256(
        _mm256_srlv_epi32(quarter.low, bits),
        _mm256_sllv_epi32(quarter.high, _mm256_sub_epi32(_mm256_set1_epi32(32), bits)));
    __m256i high = _mm256_srlv_epi32(quarter.high, bits);
    __m256i room = _mm256_sub_epi32(_mm256_setzero_si256(), spare); /* of low, in due lanes */

    *next += 4 * (size_t)_mm_popcnt_u32(due_mask);
    return (struct quarter){
        .low = _mm256_or_si256(
            low, _mm256_sllv_epi32(words, _mm256_sub_epi32(_mm256_set1_epi32(32), room))),
        .high = _mm256_or_si256(high, _mm256_srlv_epi32(words, room)),
        .spare = _mm256_add_epi32(spare, _mm256_and_si256(due, _mm256_set1_epi32(32))),
    };
}

INLINE uint32_t lanes_with(const struct decoded *decoded, int kind)
{
    uint32_t lanes = 0;

    for (uint32_t i = 0; i < QUARTERS; i++)
        lanes |= lanes_mask(kind_lanes(decoded[i].entries, kind)) << (QUARTER_LANES * i);
    return lanes;
}

/* Gathers the bytes of the literal lanes, 8 lanes at a time. */
INLINE void literals_store(struct round *round, const struct decoded *decoded)
{
    uint8_t *to = round->literals;

    for (uint32_t i = 0; i < QUARTERS; i++) {
        __m256i bytes = _mm256_and_si256(decoded[i].values, _mm256_set1_epi32(0xff));
        __m128i words =
            _mm_packus_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
        uint64_t eight = (uint64_t)_mm_cvtsi128_si64(_mm_packus_epi16(words, words));
        uint32_t mask = round->literal_lanes >> (QUARTER_LANES * i) & 0xff;

        eight = _pext_u64(eight, mask_bytes(mask));
        memcpy(to, &eight, sizeof(eight));
        to += _mm_popcnt_u32(mask);
    }
}

INLINE void round_store(struct round *round, const struct decoded *decoded)
{
    round->literal_lanes = lanes_with(decoded, ENTRY_LITERAL);
    round->match_lanes = lanes_with(decoded, ENTRY_LENGTH);
    round->literal_count = (uint32_t)_mm_popcnt_u32(round->literal_lanes);
    for (uint32_t i = 0; i < QUARTERS; i++)
        _mm256_storeu_si256((void *)(round->values + QUARTER_LANES * i), decoded[i].values);
    literals_store(round, decoded);
}

TARGET enum ds_codec_error rounds_avx2(struct tile_decoder *decoder)
{
    const uint8_t *limit = decoder->out_end - ROUND_OUTPUT_SLOP;
    struct quarter quarters[QUARTERS], after[QUARTERS];
    struct decoded decoded[QUARTERS];
    __m256i owing[QUARTERS];
    struct round rounds[2];
    uint32_t now = 0;

    memset(rounds, 0, sizeof(rounds));
    for (uint32_t i = 0; i < QUARTERS; i++) {
        quarters[i] = quarter_load(decoder, QUARTER_LANES * i);
        owing[i] = _mm256_setzero_si256();
    }
    while (decoder->out <= limit &&
           (decoder->next <= decoder->read_limit || decoder_use_tail(decoder))) {
        struct round *fresh = &rounds[now ^ 1];
        const uint8_t *next = decoder->next;

        for (uint32_t i = 0; i < QUARTERS; i++) {
            decoded[i] = quarter_decode(decoder->table, quarters[i], owing[i]);
            after[i] = quarter_advance(quarters[i], decoded[i].entries, &next);
        }
        if (UNLIKELY(lanes_with(decoded, ENTRY_STOP) != 0 || next > decoder->end))
            break;
        round_store(fresh, decoded);
        if (!round_emit(&rounds[now], fresh->values, decoder->out_begin, limit, &decoder->out,
                        false))
            break;
        for (uint32_t i = 0; i < QUARTERS; i++) {
            quarters[i] = after[i];
            owing[i] = kind_lanes(decoded[i].entries, ENTRY_LENGTH);
        }
        decoder->next = next;
        now ^= 1;
    }
    for (uint32_t i = 0; i < QUARTERS; i++)
        quarter_store(decoder, QUARTER_LANES * i, quarters[i]);
    return round_flush(decoder, &rounds[now]);
}
#endif
