# The two libraries, and how they are installed. Included by the root CMakeLists.txt.
#
#   ds_runtime_static   libds_runtime_static.a: one object whose only global symbols are ds_*
#   ds_runtime          libds_runtime.so: exports ds_* under a version node
include(CMakePackageConfigHelpers)

function(ds_public_target target export_name)
  target_include_directories(${target} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${export_name})
  add_library(ds_runtime::${export_name} ALIAS ${target})
  install(TARGETS ${target} EXPORT ds-runtime
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()

if(DS_BUILD_STATIC)
  # An archive of plain objects would leak names such as ring_open into the program that links it.
  # So the objects are linked into one, and all names but ds_* are made local to it. Sanitizers put
  # names of their own into every object, which must stay global.
  if(DS_SANITIZE)
    add_library(ds_runtime_static STATIC $<TARGET_OBJECTS:ds_objects>)
  else()
    set(single_object ${CMAKE_CURRENT_BINARY_DIR}/ds_runtime_static.o)
    # The compiler as the linker, so that a flag such as -m32 is heeded. No link-time optimisation:
    # its intermediate code would keep all names.
    target_compile_options(ds_objects PRIVATE -fno-lto)
    separate_arguments(link_flags NATIVE_COMMAND "${CMAKE_C_FLAGS}")
    add_custom_command(OUTPUT ${single_object}
      COMMAND ${CMAKE_C_COMPILER} ${link_flags} -fno-lto -r -nostdlib -o ${single_object}.tmp
              $<TARGET_OBJECTS:ds_objects>
      COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=ds_*
              ${single_object}.tmp ${single_object}
      DEPENDS ds_objects $<TARGET_OBJECTS:ds_objects>
      COMMAND_EXPAND_LISTS VERBATIM COMMENT "Linking the objects into one, ds_* global")
    add_library(ds_runtime_static STATIC ${single_object})
    set_source_files_properties(${single_object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  endif()
  set_target_properties(ds_runtime_static PROPERTIES LINKER_LANGUAGE C)
  # By name, not by imported target: an installed package must not know this machine's paths
  target_link_libraries(ds_runtime_static INTERFACE
    $<BUILD_INTERFACE:ds_options>
    $<BUILD_INTERFACE:PkgConfig::URING> $<INSTALL_INTERFACE:uring>
    $<BUILD_INTERFACE:${ds_codec_libraries}> $<INSTALL_INTERFACE:${ds_codec_names}>
    Threads::Threads ${CMAKE_DL_LIBS})
  ds_public_target(ds_runtime_static static)
endif()

if(DS_BUILD_SHARED)
  set(symbol_map ${CMAKE_CURRENT_LIST_DIR}/ds_runtime.map)
  add_library(ds_runtime SHARED $<TARGET_OBJECTS:ds_objects>)
  set_target_properties(ds_runtime PROPERTIES
    LINKER_LANGUAGE C VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
    LINK_DEPENDS ${symbol_map})
  target_link_libraries(ds_runtime PRIVATE
    $<BUILD_INTERFACE:ds_options> $<BUILD_INTERFACE:PkgConfig::URING>
    $<BUILD_INTERFACE:${ds_codec_libraries}> Threads::Threads ${CMAKE_DL_LIBS})
  target_link_options(ds_runtime PRIVATE LINKER:--version-script=${symbol_map}
    LINKER:--as-needed)
  if(NOT DS_SANITIZE)
    # A sanitizer's run-time library is in the program, not in this one
    target_link_options(ds_runtime PRIVATE LINKER:-z,defs)
  endif()
  ds_public_target(ds_runtime shared)
endif()

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ds DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h")

# find_package(ds-runtime): ds_runtime::shared and ds_runtime::static, whichever were built
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ds-runtime)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/ds-runtimeConfig.cmake.in
  ds-runtimeConfig.cmake INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(ds-runtimeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT ds-runtime NAMESPACE ds_runtime:: FILE ds-runtimeTargets.cmake
  DESTINATION ${package_dir})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/ds-runtimeConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/ds-runtimeConfigVersion.cmake DESTINATION ${package_dir})

# pkg-config: the prefix is found from where the file lies, so the tree can be moved
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(pc_prefix ${CMAKE_INSTALL_PREFIX})
  set(pc_libdir ${CMAKE_INSTALL_LIBDIR})
else()
  file(RELATIVE_PATH pc_up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  string(REGEX REPLACE "/$" "" pc_up "${pc_up}")
  set(pc_prefix "\${pcfiledir}/${pc_up}")
  set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(pc_includedir ${CMAKE_INSTALL_INCLUDEDIR})
else()
  set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
set(pc_system_libs "-pthread")
if(CMAKE_DL_LIBS)
  string(APPEND pc_system_libs " -l${CMAKE_DL_LIBS}")
endif()

# ds_write_pc(name requires libs): what a shared library needs is its own affair; a static one tells
# its users.
function(ds_write_pc pc_name pc_requires pc_libs)
  configure_file(${PROJECT_SOURCE_DIR}/tools/cmake/ds-runtime.pc.in ${pc_name}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${pc_name}.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

string(REPLACE ";" " " pc_packages "liburing;${ds_codec_packages}")
string(STRIP "${pc_packages}" pc_packages)
set(pc_shared_libs "Libs: -L\${libdir} -lds_runtime\nLibs.private: ${pc_system_libs}")
set(pc_static_libs "Libs: -L\${libdir} -lds_runtime_static ${pc_system_libs}")
if(DS_BUILD_SHARED)
  ds_write_pc(ds-runtime "Requires.private: ${pc_packages}" "${pc_shared_libs}")
else()
  ds_write_pc(ds-runtime "Requires: ${pc_packages}" "${pc_static_libs}")
endif()
if(DS_BUILD_STATIC)
  ds_write_pc(ds-runtime-static "Requires: ${pc_packages}" "${pc_static_libs}")
endif()
