# Which shaders there are, and their forms.
set(shaders engine/vulkan/shaders)
ds_embed_shader(ds_objects scatter_spv ${shaders}/scatter.comp)
foreach(part IN ITEMS lanes input codes match symbols block tile)
  list(APPEND gdeflate_parts ${shaders}/gdeflate_${part}.glsl)
endforeach()
ds_embed_shader(ds_objects gdeflate_portable_spv ${shaders}/gdeflate.comp
  DEFINES OUTPUT_COHERENCE=coherent DEPENDS ${gdeflate_parts})
ds_embed_shader(ds_objects gdeflate_subgroup_spv ${shaders}/gdeflate.comp
  DEFINES OUTPUT_COHERENCE=coherent SUBGROUP_32=1 DEPENDS ${gdeflate_parts})
ds_embed_shader(ds_objects gdeflate_group_spv ${shaders}/gdeflate.comp
  DEFINES OUTPUT_COHERENCE=coherent SUBGROUP_32=1 GROUP_TILE=1 DEPENDS ${gdeflate_parts})
