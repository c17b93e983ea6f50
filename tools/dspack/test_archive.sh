#!/usr/bin/env bash
# dspack pack, list, verify and extract as a user would run them: test_archive.sh DSPACK. Exit
# status 0 when all is well.
set -u

dspack=$(realpath "$1") || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# expect STATUS PATTERN ARGUMENT...: the exit status, and one line on stderr that matches; '' for
# none
expect() {
    local status=$1 pattern=$2 got lines
    shift 2
    "$dspack" "$@" >out.txt 2>err.txt
    got=$?
    lines=$(wc -l <err.txt)
    if [ "$got" -ne "$status" ]; then
        fail "dspack $*: exit status $got, expected $status: $(cat err.txt)"
    elif [ -z "$pattern" ] && [ "$lines" -ne 0 ]; then
        fail "dspack $*: unexpected: $(cat err.txt)"
    elif [ -n "$pattern" ] && { [ "$lines" -ne 1 ] || ! grep -q -e "$pattern" err.txt; }; then
        fail "dspack $*: expected one line with '$pattern': $(cat err.txt)"
    fi
}

# says PATTERN: the last command's output
says() { grep -q -e "$1" out.txt || fail "no '$1' in: $(cat out.txt)"; }

same_trees() { diff -r "$1" "$2" >diff.txt || fail "$1 and $2 differ: $(head -n 3 diff.txt)"; }

# poke FILE OFFSET: another byte there
poke() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\x$(printf %02x $((byte ^ 0x55)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

mkdir -p in/textures/deep in/text
seq 1 60000 >in/text/numbers.txt
seq 1 100 >in/text/short.txt
: >in/empty
head -c 300000 /dev/urandom >in/noise.bin
seq 1 30000 >in/textures/a.dds
seq 5 9000 >in/textures/deep/b.dds
printf 'x' >"in/a \"name\" ä"
head -c 65536 /dev/zero >in/zeros

# The same bytes whatever the threads, the order of the inputs and the clock.
rules=(--rule 'textures/*=gdeflate:12:shuffle=bc3' --rule '*.bin=none' --rule 'zeros=gdeflate:0')
for threads in 1 2 5; do
    touch -d "@$threads" in/empty
    expect 0 '' pack --threads $threads --chunk-size 16K "${rules[@]}" one$threads.dsa in
done
cmp one1.dsa one2.dsa && cmp one1.dsa one5.dsa || fail "archives differ"
expect 0 '' pack two.dsa in/text/numbers.txt in/empty
expect 0 '' pack three.dsa in/empty in/text/numbers.txt
cmp two.dsa three.dsa || fail "the order of the inputs shows"

expect 0 '' list one1.dsa
says 'gdeflate 12 bc3 textures/deep/b.dds'
says 'none *noise.bin'
expect 0 '' list --json one1.dsa
python3 - out.txt one1.dsa <<'PYTHON' || fail "list --json"
import json, os, sys
report = json.load(open(sys.argv[1], encoding="utf-8"))
names = [e["name"] for e in report["entries"]]
assert report["schema"] == "dspack-list/1"
assert names == sorted(names, key=str.encode) and 'a "name" ä' in names and len(names) == 8
assert report["archive_bytes"] == os.path.getsize(sys.argv[2])
for e in report["entries"]:
    assert e["content_bytes"] == os.path.getsize("in/" + e["name"])
    assert e["content_bytes"] == sum(c["content_bytes"] for c in e["chunks"])
    assert all(c["offset"] % 4096 == 0 for c in e["chunks"])
    assert len(e["chunks"]) == (e["content_bytes"] + 16383) // 16384
by_name = {e["name"]: e for e in report["entries"]}
numbers = by_name["text/numbers.txt"]
assert numbers["stored_bytes"] < numbers["content_bytes"] / 2
assert all(c["codec"] == "none" for c in by_name["noise.bin"]["chunks"])
assert by_name["textures/a.dds"]["transform"] == "bc3"
PYTHON
expect 0 '' verify --threads 3 one1.dsa
says 'good'

mkdir out
for codec in gdeflate none zstd lz4; do
    if ! "$dspack" pack --quiet --codec $codec all.dsa in 2>err.txt; then
        grep -q 'left out of this build' err.txt || fail "pack --codec $codec: $(cat err.txt)"
        echo "skipped: $codec: left out of this build"
        continue
    fi
    expect 0 '' verify all.dsa
    rm -rf out && mkdir out
    expect 0 '' extract --to out all.dsa
    same_trees in out
done
rm -rf out && mkdir out
expect 0 '' extract --to out --threads 4 one1.dsa
same_trees in out
rm -rf out && mkdir out
expect 0 '' extract --quiet --to out one1.dsa textures empty
[ "$(find out -type f | sort | tr '\n' ' ')" = \
    "out/empty out/textures/a.dds out/textures/deep/b.dds " ] || fail "extract by name"
expect 1 'no such file or folder' extract --to out one1.dsa text/numbers
expect 0 '' pack --align 1 --quiet packed.dsa in
[ "$(stat -c %s packed.dsa)" -lt "$(stat -c %s one1.dsa)" ] || fail "--align 1 saves nothing"
expect 0 '' verify packed.dsa

# An archive within its own input is not packed.
cp -r in again
expect 0 '' pack again/self.dsa again
expect 0 '' pack again/self.dsa again
"$dspack" list again/self.dsa | grep -q self.dsa && fail "the archive packed itself"

# What extract must never do: leave its folder, or follow a symbolic link.
rm -rf out outside && mkdir out outside
ln -s "$folder/outside" out/textures
expect 1 'symbolic link or file' extract --to out one1.dsa
[ -z "$(ls outside)" ] || fail "extract went through a symbolic link"
rm -rf out && mkdir out
echo keep >outside/target
ln -s "$folder/outside/target" out/noise.bin
expect 0 '' extract --to out one1.dsa
[ "$(cat outside/target)" = keep ] || fail "extract wrote through a symbolic link"
same_trees in out
sed 's|text/short.txt|text/../../sh|' one1.dsa >evil.dsa 2>/dev/null
expect 1 'bad archive' extract --to out evil.dsa

# Damage: a typed line, exit status 1, no damaged file.
cp one1.dsa bad.dsa
poke bad.dsa 70
expect 1 'checksum of the tables' verify bad.dsa
expect 1 'checksum of the tables' list bad.dsa
cp one1.dsa bad.dsa
offset=$("$dspack" list --json one1.dsa | python3 -c '
import json, sys
noise = [e for e in json.load(sys.stdin)["entries"] if e["name"] == "noise.bin"][0]
print(noise["chunks"][3]["offset"])')
poke bad.dsa "$offset"
expect 1 'noise.bin: chunk 3 of 19: the checksum of the stored bytes' verify bad.dsa
rm -rf out && mkdir out
expect 1 'noise.bin: chunk 3' extract --to out bad.dsa
[ ! -e out/noise.bin ] && cmp -s in/text/numbers.txt out/text/numbers.txt ||
    fail "a damaged file came out, or a good one did not"
[ -z "$(find out . -name '.dspack*')" ] || fail "a temporary file was left behind"
head -c 3000 one1.dsa >bad.dsa
expect 1 'cut off' verify bad.dsa
: >bad.dsa
expect 1 'fewer bytes than a header' verify bad.dsa
expect 1 'bad magic' verify in/noise.bin
expect 1 'No such file' verify missing.dsa
expect 1 'No such file' pack new.dsa missing
expect 1 'No such file' pack missing/new.dsa in
expect 1 'not a regular file' pack /dev/null in
expect 1 'would be called numbers.txt' pack new.dsa in/text/numbers.txt in/text
expect 1 'No such file' extract --to missing one1.dsa
mkdir links && ln -s ../in/empty links/link && echo x >links/file
expect 0 'links/link: left out: a symbolic link' pack new.dsa links
printf 'x' >"links/bad\\name"
expect 1 'not fit for an archive' pack --quiet newer.dsa links
[ ! -e newer.dsa ] || fail "a failed pack left an archive"

# Bad arguments: exit status 2.
expect 2 'at least one' pack
expect 2 'at least one' pack new.dsa
expect 2 'unknown option' pack --fast new.dsa in
expect 2 'unknown name' pack --codec gzip new.dsa in
expect 2 'no level 13' pack --level 13 new.dsa in
expect 2 'not a size' pack --chunk-size 1K new.dsa in
expect 2 'not a size' pack --chunk-size 128M new.dsa in
expect 2 'not a power of two' pack --chunk-size 100000 new.dsa in
expect 2 'not a size' pack --align 1X new.dsa in
expect 2 'not a number' pack --threads 0 new.dsa in
expect 2 'is not GLOB' pack --rule gdeflate new.dsa in
expect 2 'unknown name' pack --rule '*=gzip' new.dsa in
expect 2 'unknown name' pack --rule '*=zstd:9:shuffle=bc7' new.dsa in
expect 2 'no level 13' pack --rule '*=gdeflate:13' new.dsa in
expect 2 'cannot be shuffled' pack --rule '*=none:shuffle=bc1' new.dsa in
expect 2 'archive is needed' verify
expect 2 'too many' verify one1.dsa two.dsa
expect 2 'unknown option' verify --to out one1.dsa
expect 2 'one archive' list
expect 2 'unknown option' list --xml one1.dsa

[ "$failures" -eq 0 ] || exit 1
echo "dspack archives: all as expected"
