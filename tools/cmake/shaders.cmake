# ds_embed_shader(TARGET name source [DEFINES X=1 ...] [DEPENDS file ...])
#
# Compiles a GLSL compute shader to SPIR-V 1.5 while building, and embeds it: the sources of TARGET
# may then #include "shaders/<name>.h", which defines `const uint32_t <name>[]`. In one file only.
# DEPENDS are the files that the shader includes.
#
# Needs glslangValidator (Debian and Arch: glslang-tools, glslang). Where it is missing nothing is
# embedded, DS_HAVE_SHADERS is 0, and the back end reports what it then cannot do.
find_program(GLSLANG_VALIDATOR glslangValidator)
if(GLSLANG_VALIDATOR)
  set(DS_HAVE_SHADERS 1)
else()
  set(DS_HAVE_SHADERS 0)
  message(STATUS "No glslangValidator (package glslang-tools): no compute shaders, "
    "so copies to the GPU go by copy commands alone, and the CPU decodes")
endif()

function(ds_embed_shader target name source)
  cmake_parse_arguments(PARSE_ARGV 3 arg "" "" "DEFINES;DEPENDS")
  if(NOT DS_HAVE_SHADERS)
    return()
  endif()
  set(defines ${arg_DEFINES})
  list(TRANSFORM defines PREPEND "-D")
  set(header ${PROJECT_BINARY_DIR}/generated/shaders/${name}.h)
  get_filename_component(source ${source} ABSOLUTE BASE_DIR ${PROJECT_SOURCE_DIR})
  list(TRANSFORM arg_DEPENDS PREPEND ${PROJECT_SOURCE_DIR}/)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/generated/shaders)
  add_custom_command(OUTPUT ${header}
    COMMAND ${GLSLANG_VALIDATOR} --quiet --target-env vulkan1.2 ${defines} --vn ${name}
      -o ${header} ${source}
    DEPENDS ${source} ${arg_DEPENDS} VERBATIM COMMENT "Compiling shader ${name}")
  target_sources(${target} PRIVATE ${header})
  target_include_directories(${target} PRIVATE ${PROJECT_BINARY_DIR}/generated)
endfunction()
