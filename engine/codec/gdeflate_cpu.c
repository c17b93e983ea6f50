/* Which rounds code this CPU can run. */
#include "engine/codec/gdeflate_decoder.h"

#if defined(__x86_64__)
static bool cpu_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

static bool cpu_has_avx512(void)
{
    return cpu_has_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vbmi2");
}

/* Zen 1 and 2 do the bit deposits of the AVX2 path in microcode, a bit at a time. */
static bool cpu_deposits_slowly(void)
{
    return __builtin_cpu_is("znver1") || __builtin_cpu_is("znver2");
}
#endif

static enum ds_codec_path path_best(void)
{
#if defined(__x86_64__)
    if (cpu_has_avx512())
        return DS_CODEC_PATH_AVX512;
    if (cpu_has_avx2() && !cpu_deposits_slowly())
        return DS_CODEC_PATH_AVX2;
#endif
    return DS_CODEC_PATH_SCALAR;
}

rounds_fn gdeflate_rounds_for(enum ds_codec_path path, enum ds_codec_path *used)
{
    if (path == DS_CODEC_PATH_AUTO)
        path = path_best();
    if (used != NULL)
        *used = path;
    switch (path) {
    case DS_CODEC_PATH_SCALAR:
        return rounds_scalar;
#if defined(__x86_64__)
    case DS_CODEC_PATH_AVX2:
        return cpu_has_avx2() ? rounds_avx2 : NULL;
    case DS_CODEC_PATH_AVX512:
        return cpu_has_avx512() ? rounds_avx512 : NULL;
#endif
    default:
        return NULL;
    }
}
