#!/usr/bin/env bash
# Builds the library and streams files to the GPU: installs what is missing, builds into build/,
# runs `dsbench demo`. Arguments go to it: files to stream, or see `tools/demo.sh --help`.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tools/packages.sh
. "$root/tools/packages.sh"

need_packages build
log=$root/build/demo-build.log
mkdir -p "$root/build"
# A build folder that was made with another generator keeps it
generator=()
[ -e "$root/build/CMakeCache.txt" ] || generator=(-G Ninja)
if ! { cmake "${generator[@]}" -S "$root" -B "$root/build" -DCMAKE_BUILD_TYPE=Release \
    -DDS_BUILD_BENCH=ON "${cmake_arguments[@]}" &&
    cmake --build "$root/build" --parallel "$(nproc)" --target dsbench; } >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "demo.sh: the build failed; all of it is in $log" >&2
    exit 1
fi
exec "$root/build/bench/dsbench" demo "$@"
