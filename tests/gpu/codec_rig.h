/* What tests of ds/vulkan_codec.h share: a back end below the validation layer, streams good and
 * damaged, and the CPU's codec to compare with. */
#ifndef TESTS_GPU_CODEC_RIG_H
#define TESTS_GPU_CODEC_RIG_H

#include "engine/vulkan/backend.h"
#include "unit/test_gdeflate.h"

#include <ds/ds.h>
#include <ds/vulkan_codec.h>

enum { PATH_COUNT = DS_VULKAN_CODEC_PATH_NV + 1 };

struct lines {
    uint32_t errors;
    char last[512];
};

/* codec_rig_log counts and keeps errors; ctx is struct lines. */
void codec_rig_log(void *ctx, enum ds_log_level level, const char *message);

/* codec_rig_backend makes a back end on a device of its own, or skips the test. codec_rig_end
 * asserts that the layer had nothing to say. */
struct ds_vulkan_backend *codec_rig_backend(void);
void codec_rig_end(struct ds_vulkan_backend *backend);

/* codec_rig_codec: NULL, and a line "skipped: why", when the device cannot. */
struct ds_vulkan_codec *codec_rig_codec(const struct ds_vulkan_codec_config *config);

struct packed {
    uint8_t *data, *bytes;
    size_t data_bytes, bytes_n;
};

struct packed codec_rig_pack(enum kind kind, size_t bytes, int level);
void codec_rig_pack_free(struct packed *packed);

/* codec_rig_decode decodes from and into walled memory, with a guard before the output, by the GPU
 * and by the CPU, which must be of one mind. Returns what they returned. */
int codec_rig_decode(struct ds_vulkan_codec *codec, const uint8_t *bytes, size_t bytes_n,
                     size_t content, struct ds_codec_report *report);

/* codec_rig_good_streams decodes 11 tiles in 6 streams. codec_rig_damaged_streams decodes n that
 * are damaged in the container and in tiles, most of them so that it is noticed: what is told is
 * the first damage of the stream, in whichever piece. */
void codec_rig_good_streams(struct ds_vulkan_codec *codec);
void codec_rig_damaged_streams(struct ds_vulkan_codec *codec, uint32_t n);

#endif
