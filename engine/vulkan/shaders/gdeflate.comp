#version 460
// Decodes GDeflate tiles: 32 invocations, the lanes, for each tile. Three forms:
//
//   portable       the lanes are a workgroup, whatever its subgroups are
//   SUBGROUP_32    they are a subgroup, one of TILES in a workgroup
//   GROUP_TILE too a workgroup has one tile: a subgroup decodes it, and COPIERS others copy its
//                  matches meanwhile. The fastest for a few tiles, not for many.
//
// Nothing in a tile is trusted. Words are read by an index below their number, bytes written at a
// position below the size of the output, and copied from positions before that. Every loop is
// bounded by the words of the tile or by a constant. The verdict goes to the tile's status.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_GOOGLE_include_directive : require
#ifdef SUBGROUP_32
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif

#define LANES 32u
#define LITLEN_SYMBOLS 288u
#define DIST_SYMBOLS 32u
#define PRECODE_SYMBOLS 19u
#define END_OF_BLOCK 256u
#define LENGTH_LAST 285u // the symbols behind it stand for nothing
#define BLOCK_STORED 0u
#define BLOCK_DYNAMIC 2u

// No encoder needs more than 65800 bytes for a tile. A longer one may consist of empty blocks
// without end, and a GPU must not be kept busy with that.
#define TILE_WORDS_MAX 32768u

// enum ds_codec_error
#define ERROR_NONE 0u
#define ERROR_TILE_SHORT 10u
#define ERROR_INPUT_END 20u
#define ERROR_BLOCK_TYPE 21u
#define ERROR_CODE_OVERSUBSCRIBED 22u
#define ERROR_CODE_INCOMPLETE 23u
#define ERROR_CODE_EMPTY 24u
#define ERROR_NO_END_OF_BLOCK 25u
#define ERROR_REPEAT_FIRST 26u
#define ERROR_LENGTHS_OVERRUN 27u
#define ERROR_SYMBOL 28u
#define ERROR_NO_DISTANCE_CODE 29u
#define ERROR_DISTANCE 30u
#define ERROR_OUTPUT_OVERRUN 31u
#define ERROR_OUTPUT_UNDERRUN 32u
#define ERROR_DEVICE 41u

#ifdef GROUP_TILE
#define COPIERS 3u // GDEFLATE_GPU_COPIERS
#define TILES 1u
#define tile_in_group 0
layout(local_size_x = 32 * (1 + COPIERS)) in;
#elif defined(SUBGROUP_32)
#define TILES 4u // of a workgroup; GDEFLATE_GPU_SUBGROUP_TILES
layout(local_size_x = 32 * TILES) in;
uint tile_in_group;
#else
#define TILES 1u
#define tile_in_group 0
layout(local_size_x = 32) in;
#endif

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Words {
    uint at[];
};
layout(buffer_reference, std430, buffer_reference_align = 1) OUTPUT_COHERENCE buffer Bytes {
    uint8_t at[];
};
layout(buffer_reference, std430, buffer_reference_align = 4) writeonly buffer Statuses {
    uint at[];
};

// struct gdeflate_gpu_tile
struct Tile {
    uint64_t source;
    uint64_t destination;
    uint source_bytes;
    uint destination_bytes;
    uint status;
    uint reserved;
};
layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer Tiles {
    Tile at[];
};

layout(push_constant) uniform Push {
    Tiles tiles;
    Statuses statuses;
    uint tiles_n;
    uint three; // 3, which the compiler must not know
}
push;

uint lane;
uint lanes_below; // a bit for each lane below this one

#include "gdeflate_lanes.glsl"
#include "gdeflate_input.glsl"
#include "gdeflate_codes.glsl"

Bytes output_bytes;
uint output_n;  // room
uint output_at; // where the next symbol's bytes go; may pass output_n only together with an error

// A lane that yielded a match length owes the distance, which it yields in the next round. The hole
// is where the match's bytes will go.
uint owing_lanes;
uint hole_at;
uint hole_n;

#include "gdeflate_match.glsl"
#include "gdeflate_symbols.glsl"
#include "gdeflate_block.glsl"
#include "gdeflate_tile.glsl"

// llvmpipe allows an invocation 65535 turns of loops in all, and then leaves every loop after its
// first turn. What was decoded by then is nobody's business.
bool loops_work()
{
    uint turns = 0;

    while (turns < push.three)
        turns++;
    return turns == push.three;
}

void main()
{
    uint i = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;

#if defined(SUBGROUP_32) && !defined(GROUP_TILE)
    tile_in_group = gl_SubgroupID;
    i = i * TILES + tile_in_group;
#endif
    if (i >= push.tiles_n)
        return;
    lane = lane_index();
    lanes_below = (1u << lane) - 1;
    lanes_begin();

    Tile tile = push.tiles.at[i];
    uint error = tile_decode(tile);

    if (!loops_work())
        error = ERROR_DEVICE;
    if (lane == 0 && lanes_decode())
        push.statuses.at[tile.status] = error;
}
