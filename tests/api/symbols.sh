#!/usr/bin/env bash
# A library shows exactly the functions that the public headers declare.
# usage: symbols.sh LIBRARY
set -u
library=$1
headers=$(dirname "$0")/../../include/ds
case $library in
*.a) listing=$("${NM:-nm}" -g --defined-only "$library") ;;
*) listing=$("${NM:-nm}" -D --defined-only "$library") ;;
esac
# type A is the version node
shown=$(echo "$listing" | awk 'NF == 3 && $2 != "A" {sub(/@.*/, "", $3); print $3}' | sort)
declared=$(cat "$headers"/*.h | awk '/^DS_API/ {inside = 1} inside {print} /;/ {inside = 0}' |
    grep -o 'ds_[a-z0-9_]*(' | tr -d '(' | sort -u)

difference=$(diff <(echo "$declared") <(echo "$shown"))
if [ -n "$difference" ]; then
    echo "declared in the headers (<) against shown by $(basename "$library") (>):"
    echo "$difference"
    exit 1
fi
count=$(echo "$shown" | wc -l)
echo "$count symbols, all of them declared"
[ "$count" -ge 20 ]
