/* One pass of a made-up frame: every pixel is read with two neighbours, worked on, and written. */
#version 460

#define LANES 256u
#define ROW 2048u /* pixels */

layout(local_size_x = LANES) in;

layout(std430, binding = 0) restrict readonly buffer Source {
    vec4 at[];
} source;
layout(std430, binding = 1) restrict writeonly buffer Target {
    vec4 at[];
} target;
layout(push_constant) uniform Arguments {
    uint pixels;
    uint steps;
} arguments;

vec4 shade(uint pixel)
{
    vec4 color = source.at[pixel];
    vec4 right = source.at[(pixel + 1u) % arguments.pixels];
    vec4 below = source.at[(pixel + ROW) % arguments.pixels];

    for (uint i = 0u; i < arguments.steps; i++)
        color = color * 0.75 + right * below + 0.125;
    return fract(color);
}

void main()
{
    for (uint i = gl_GlobalInvocationID.x; i < arguments.pixels; i += gl_NumWorkGroups.x * LANES)
        target.at[i] = shade(i);
}
