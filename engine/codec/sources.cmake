# The codec library: ds_codec_sources, and what they need, for ds_objects.
#   include(engine/codec/sources.cmake)
# zstd and lz4 are taken when pkg-config finds them; without, ds_codec_create answers -ENOTSUP.
set(ds_codec_sources
  engine/codec/block.c
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
  engine/codec/split.c)
