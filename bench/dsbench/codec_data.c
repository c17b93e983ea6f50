#include "codec_data.h"

#include "base.h"

#include <math.h>
#include <string.h>

#define WORDS      2048
#define WORD_BYTES 12
#define ROW        256 /* vertices in a row of the height field */

struct word_list {
    char text[WORDS][WORD_BYTES];
    uint8_t length[WORDS];
};

/* Syllables make words; a word's rank makes it longer. */
static void words_make(struct word_list *words, uint64_t *random)
{
    static const char consonants[] = "tnshrdlcmwfgpbvk";
    static const char vowels[] = "eaoiu";

    for (uint32_t i = 0; i < WORDS; i++) {
        uint32_t length = 2 + (i > 8) * 2 + (uint32_t)random_below(random, i < 64 ? 3 : 7);

        for (uint32_t k = 0; k < length; k++)
            words->text[i][k] = k % 2 == 0 ? consonants[random_below(random, 16)]
                                           : vowels[random_below(random, 5)];
        words->length[i] = (uint8_t)length;
    }
}

static void text_fill(uint8_t *data, uint64_t bytes)
{
    struct word_list words = {0};
    uint64_t random = 1;
    uint64_t at = 0;

    words_make(&words, &random);
    while (at < bytes) {
        /* the rank falls off as in natural text: uniform in its logarithm */
        double uniform = (double)(random_next(&random) >> 11) * 0x1p-53;
        uint32_t word = (uint32_t)(exp(uniform * log(WORDS)) - 1);
        uint64_t n = min_u64(words.length[word], bytes - at);

        memcpy(data + at, words.text[word], n);
        at += n;
        if (at < bytes)
            data[at++] = random_below(&random, 12) == 0 ? '\n' : ' ';
    }
}

static void bc7_fill(uint8_t *data, uint64_t bytes)
{
    uint8_t ends[7] = {90, 110, 130, 60, 80, 100, 200};
    uint64_t random = 2;

    for (uint64_t at = 0; at < bytes; at += 16) {
        uint8_t block[16] = {0x40}; /* mode 6 */
        uint64_t noise = random_next(&random);
        uint64_t indices = random_next(&random);

        for (uint32_t i = 0; i < 7; i++) {
            ends[i] = (uint8_t)(ends[i] + (noise >> (4 * i) & 3) - 1);
            block[1 + i] = ends[i];
        }
        if ((noise >> 40 & 7) != 0) /* most blocks are smooth: few different indices */
            indices = (indices & 0x1111111111111111u) * ((noise >> 44 & 3) + 1);
        memcpy(block + 8, &indices, sizeof(indices));
        memcpy(data + at, block, min_u64(sizeof(block), bytes - at));
    }
}

static float height_at(uint32_t x, uint32_t y)
{
    return sinf((float)x * 0.07f) * cosf((float)y * 0.05f) * 8 + sinf((float)(x + y) * 0.31f);
}

static void vertex_make(uint32_t index, uint8_t vertex[24])
{
    uint32_t x = index % ROW, y = index / ROW;
    float position[3] = {(float)x * 0.5f, height_at(x, y), (float)y * 0.5f};
    int8_t normal[4] = {0, 0, 0, 127};
    uint16_t uv[4] = {(uint16_t)(x * 256), (uint16_t)(y * 256), 0, 0};

    normal[0] = (int8_t)((height_at(x, y) - height_at(x + 1, y)) * 90);
    normal[2] = (int8_t)((height_at(x, y) - height_at(x, y + 1)) * 90);
    memcpy(vertex, position, sizeof(position));
    memcpy(vertex + 12, normal, sizeof(normal));
    memcpy(vertex + 16, uv, sizeof(uv));
}

static void mesh_fill(uint8_t *data, uint64_t bytes)
{
    uint64_t vertices_bytes = bytes / 2;
    uint64_t triangle = 0;

    for (uint64_t at = 0; at < vertices_bytes; at += 24) {
        uint8_t vertex[24];

        vertex_make((uint32_t)(at / 24), vertex);
        memcpy(data + at, vertex, min_u64(sizeof(vertex), vertices_bytes - at));
    }
    for (uint64_t at = vertices_bytes; at < bytes; at += 12, triangle++) {
        uint32_t corner = (uint32_t)(triangle / (ROW - 1) * ROW + triangle % (ROW - 1));
        uint16_t quad[6] = {(uint16_t)corner,         (uint16_t)(corner + 1),
                            (uint16_t)(corner + ROW), (uint16_t)(corner + ROW),
                            (uint16_t)(corner + 1),   (uint16_t)(corner + ROW + 1)};

        memcpy(data + at, quad, min_u64(sizeof(quad), bytes - at));
    }
}

void codec_data_fill(enum data_kind kind, uint8_t *data, uint64_t bytes)
{
    switch (kind) {
    case DATA_TEXT:
        text_fill(data, bytes);
        break;
    case DATA_BC7:
        bc7_fill(data, bytes);
        break;
    default:
        mesh_fill(data, bytes);
    }
}
