#!/usr/bin/env bash
# What dspack packs, an independent decoder unpacks: gdeflate_check.py of the vectors. It is strict,
# and tells of words that no decoder reads. And what is damaged there, dspack refuses; where damage
# cannot be noticed, it makes of it what is told by malformed.tsv: the first 16 digits of a SHA-256.
# usage: test_check.sh DSPACK VECTORS. Exit status 0 when all is well, 77 when there are no vectors.
set -u

dspack=$(realpath "$1") || exit 1
vectors=$2
checker=$vectors/gdeflate_check.py
skip() {
    echo "skipped: $1"
    exit 77
}
[ -f "$checker" ] || skip "no gdeflate_check.py in $vectors"
command -v python3 >/dev/null || skip "no python3"
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

packed=0
# pack LEVEL RAW
pack() {
    local name
    name=$(basename "$2" .raw)
    [ -e "$folder/$name.raw" ] || cp "$2" "$folder/$name.raw"
    "$dspack" encode --codec gdeflate --level "$1" "$2" "$folder/$name.lvl$1.gdef" || exit 1
    packed=$((packed + 1))
}

for raw in "$vectors"/*.raw; do
    [ "$(stat -c %s "$raw")" -le 2000 ] || continue
    for level in 0 1 9 12; do
        pack $level "$raw"
    done
done
for name in bc7_64k mesh_56k skew_60k text_70001; do
    pack 1 "$vectors/$name.raw"
    pack 6 "$vectors/$name.raw"
    pack 12 "$vectors/$name.raw"
done
for raw in "$vectors"/encoder_stress/*.raw; do
    pack 1 "$raw"
    pack 12 "$raw"
done

# check_damaged NAME VERDICT HASH
check_damaged() {
    local out=$folder/out hash
    rm -f "$out"
    if ! "$dspack" decode --codec gdeflate "$vectors/malformed/$1.gdef" "$out" 2>/dev/null; then
        [[ $2 == reject* ]] || { echo "FAILED: $1: refused, but: $2" && return 1; }
        return 0
    fi
    hash=$(sha256sum "$out" 2>/dev/null | cut -c1-16)
    [[ $2 != reject* && ($3 == - || $hash == "$3") ]] ||
        { echo "FAILED: $1: $2, $3, but it made $hash" && return 1; }
}
damaged=0 wrong=0
while IFS=$'\t' read -r name _ _ verdict _ hash _; do
    [ -f "$vectors/malformed/$name.gdef" ] || continue
    damaged=$((damaged + 1))
    check_damaged "$name" "$verdict" "$hash" || wrong=$((wrong + 1))
done <"$vectors/malformed/malformed.tsv"
echo "$damaged damaged streams, $wrong judged otherwise"
[ $damaged -gt 100 ] && [ $wrong -eq 0 ] || exit 1

said=$(python3 "$checker" --all "$folder")
status=$?
echo "$said"
[ $status -eq 0 ] && [ "$packed" -gt 100 ] &&
    [[ $said == "$packed files, 0 bad; tiles whose size != bytes consumed: 0;"* ]]
