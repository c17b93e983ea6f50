# The codec library: sets ds_codec_sources, and what they need on the build line.
#   include(engine/codec/sources.cmake)
# zstd and lz4 are taken when pkg-config finds them; without, ds_codec_create answers -ENOTSUP.
option(DS_CODEC_ZSTD "Decode zstd where libzstd is found" ON)
option(DS_CODEC_LZ4 "Decode lz4 where liblz4 is found" ON)

set(DS_VECTORS_DIR "${PROJECT_SOURCE_DIR}/../shared/gdeflate-vectors" CACHE PATH
  "GDeflate test vectors; tests that need them are skipped without")

set(ds_codec_sources
  engine/codec/block.c
  engine/codec/codec.c
  engine/codec/codec_gdeflate.c
  engine/codec/gdeflate_cpu.c
  engine/codec/gdeflate_encode.c
  engine/codec/gdeflate_rounds_avx2.c
  engine/codec/gdeflate_rounds_avx512.c
  engine/codec/gdeflate_rounds_scalar.c
  engine/codec/gdeflate_stream.c
  engine/codec/gdeflate_table.c
  engine/codec/gdeflate_tile.c
  engine/codec/huffman.c
  engine/codec/parse.c
  engine/codec/parse_optimal.c
  engine/codec/shuffle.c
  engine/codec/split.c
  engine/codec/tile_pool.c)
set(ds_codec_definitions "")
set(ds_codec_libraries "")
set(ds_codec_names "")    # what an installed static library asks the linker for
set(ds_codec_packages "") # the same for ds-runtime.pc

if(DS_CODEC_ZSTD)
  pkg_check_modules(ZSTD IMPORTED_TARGET libzstd)
  if(ZSTD_FOUND)
    list(APPEND ds_codec_sources engine/codec/codec_zstd.c)
    list(APPEND ds_codec_definitions HAVE_ZSTD)
    list(APPEND ds_codec_libraries PkgConfig::ZSTD)
    list(APPEND ds_codec_names zstd)
    list(APPEND ds_codec_packages libzstd)
  endif()
endif()
if(DS_CODEC_LZ4)
  pkg_check_modules(LZ4 IMPORTED_TARGET liblz4)
  if(LZ4_FOUND)
    list(APPEND ds_codec_sources engine/codec/codec_lz4.c)
    list(APPEND ds_codec_definitions HAVE_LZ4)
    list(APPEND ds_codec_libraries PkgConfig::LZ4)
    list(APPEND ds_codec_names lz4)
    list(APPEND ds_codec_packages liblz4)
  endif()
endif()
