#!/usr/bin/env bash
# The README's program, as it stands there: compiled, linked, run on a file, and on one that is not.
# usage: readme_example.sh README.md INCLUDE_DIR LIBRARY LINK_FLAG...
set -eu
readme=$1 include=$2 library=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# the first one; what follows it are fragments, which check_docs.py compiles
awk '/^```/ && inside {exit} inside {print} /^```c$/ {inside = 1}' "$readme" >"$work/example.c"
grep -q 'int main' "$work/example.c" || { echo "FAILED: the README has no program"; exit 1; }
"${CC:-cc}" -std=gnu11 -Wall -Wextra -Werror -I"$include" "$work/example.c" "$library" "$@" \
    -o "$work/example"

head -c 300001 /dev/urandom >"$work/data"
"$work/example" "$work/data" >"$work/out" 2>"$work/log"
grep -q '^OK: 300001 bytes' "$work/out" || { echo "FAILED: it says:"; cat "$work/out"; exit 1; }
[ -s "$work/log" ] || { echo "FAILED: no line of the log"; exit 1; }
if "$work/example" "$work/missing" >/dev/null 2>&1; then
    echo "FAILED: it reads what is not there"
    exit 1
fi
echo "3 passed, 0 failed, 0 skipped"
