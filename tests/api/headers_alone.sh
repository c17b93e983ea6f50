#!/usr/bin/env bash
# Each public header compiles alone, twice over, as C11 and as C++17, without a warning.
# usage: headers_alone.sh INCLUDE_DIR
set -u
include=$1
passed=0 failed=0 skipped=0
warnings=(-Wall -Wextra -pedantic -Werror)

has_header() { # header
    echo "#include <$1>" | "${CC:-cc}" -E -x c - >/dev/null 2>&1
}

compile() { # header language standard compiler
    printf '#include <ds/%s>\n#include <ds/%s>\n' "$1" "$1" |
        $4 -x "$2" "-std=$3" "${warnings[@]}" -I"$include" -fsyntax-only -
}

for path in "$include"/ds/*.h; do
    header=$(basename "$path")
    needs=""
    case $header in vulkan*.h) needs=vulkan/vulkan_core.h ;; esac
    [ "$header" = jemalloc.h ] && needs=jemalloc/jemalloc.h
    if [ -n "$needs" ] && ! has_header "$needs"; then
        echo "skipped: ds/$header: $needs is not installed"
        skipped=$((skipped + 1))
        continue
    fi
    for how in "c c11 ${CC:-cc}" "c++ c++17 ${CXX:-c++}"; do
        # shellcheck disable=SC2086
        if compile "$header" $how; then
            passed=$((passed + 1))
        else
            echo "FAILED: ds/$header as ${how% *}"
            failed=$((failed + 1))
        fi
    done
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -ge 10 ]
