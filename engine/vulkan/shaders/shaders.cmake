# Which shaders there are, and their forms.
set(shaders engine/vulkan/shaders)
ds_embed_shader(ds_objects scatter_spv ${shaders}/scatter.comp)
set(gdeflate_parts ${shaders}/gdeflate_lanes.glsl ${shaders}/gdeflate_input.glsl
  ${shaders}/gdeflate_codes.glsl ${shaders}/gdeflate_match.glsl ${shaders}/gdeflate_block.glsl)
ds_embed_shader(ds_objects gdeflate_portable_spv ${shaders}/gdeflate.comp
  DEFINES OUTPUT_COHERENCE=coherent DEPENDS ${gdeflate_parts})
ds_embed_shader(ds_objects gdeflate_subgroup_spv ${shaders}/gdeflate.comp
  DEFINES OUTPUT_COHERENCE=coherent SUBGROUP_32=1 DEPENDS ${gdeflate_parts})
