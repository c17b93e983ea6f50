/* Copies pieces of memory, each named by the addresses of its source and its target.
 *
 * A workgroup copies a piece. Its middle goes by vectors of 16 bytes, which are aligned on both
 * sides: where source and target are not aligned alike, two neighbouring vectors of the source are
 * shifted into one of the target. The bytes before and after the middle go one by one. Nothing
 * outside of a piece is read or written, so pieces may touch each other, and whatever memory. */
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_shader_8bit_storage : require

#define LANES 256u
#define EDGE_MAX 32u /* more than the bytes before the middle, or after it */

layout(local_size_x = LANES) in;

struct Piece {
    uvec2 source;
    uvec2 target;
    uint bytes;
    uint reserved;
};

layout(buffer_reference, std430, buffer_reference_align = 8) restrict readonly buffer Pieces {
    Piece at[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) restrict readonly buffer VectorsIn {
    uvec4 at[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) restrict writeonly buffer VectorsOut {
    uvec4 at[];
};
layout(buffer_reference, std430, buffer_reference_align = 1) restrict readonly buffer BytesIn {
    uint8_t at[];
};
layout(buffer_reference, std430, buffer_reference_align = 1) restrict writeonly buffer BytesOut {
    uint8_t at[];
};

layout(push_constant) uniform Arguments {
    uvec2 pieces;
    uint pieces_n;
} arguments;

uvec2 address_add(uvec2 address, uint bytes)
{
    uint carry;
    uint low = uaddCarry(address.x, bytes, carry);

    return uvec2(low, address.y + carry);
}

/* The 16 bytes from `shift` on, 1..15, of the 32 of low and high. */
uvec4 vector_shift(uvec4 low, uvec4 high, uint shift)
{
    uint bits = (shift & 3u) * 8u;
    uvec4 a, b;

    switch (shift >> 2) {
    case 0u:
        a = low;
        b = uvec4(low.yzw, high.x);
        break;
    case 1u:
        a = uvec4(low.yzw, high.x);
        b = uvec4(low.zw, high.xy);
        break;
    case 2u:
        a = uvec4(low.zw, high.xy);
        b = uvec4(low.w, high.xyz);
        break;
    default:
        a = uvec4(low.w, high.xyz);
        b = high;
        break;
    }
    return bits == 0u ? a : (a >> bits) | (b << (32u - bits));
}

void copy_middle(uvec2 source, uvec2 target, uint vectors, uint shift)
{
    VectorsOut to = VectorsOut(target);
    VectorsIn from = VectorsIn(source);

    if (shift == 0u) {
        for (uint i = gl_LocalInvocationID.x; i < vectors; i += LANES)
            to.at[i] = from.at[i];
    } else {
        for (uint i = gl_LocalInvocationID.x; i < vectors; i += LANES)
            to.at[i] = vector_shift(from.at[i], from.at[i + 1u], shift);
    }
}

void copy_piece(Piece piece)
{
    BytesIn from = BytesIn(piece.source);
    BytesOut to = BytesOut(piece.target);
    uint lane = gl_LocalInvocationID.x;
    uint shift = (piece.source.x - piece.target.x) & 15u;
    uint head = (0u - piece.target.x) & 15u;
    uint vectors = 0u;

    /* The first vector of the source begins `shift` bytes before the middle, but not before the
     * piece; likewise at the end. */
    if (head < shift)
        head += 16u;
    if (head >= piece.bytes)
        head = piece.bytes;
    else if (shift == 0u)
        vectors = (piece.bytes - head) / 16u;
    else
        vectors = max((piece.bytes - head + shift) / 16u, 1u) - 1u;

    copy_middle(address_add(piece.source, head - min(head, shift)),
                address_add(piece.target, head), vectors, shift);

    uint tail = head + vectors * 16u;

    if (lane < head)
        to.at[lane] = uint8_t(uint(from.at[lane]));
    else if (lane >= EDGE_MAX && lane - EDGE_MAX < piece.bytes - tail)
        to.at[tail + lane - EDGE_MAX] = uint8_t(uint(from.at[tail + lane - EDGE_MAX]));
}

void main()
{
    Pieces pieces = Pieces(arguments.pieces);

    for (uint i = gl_WorkGroupID.x; i < arguments.pieces_n; i += gl_NumWorkGroups.x)
        copy_piece(pieces.at[i]);
}
