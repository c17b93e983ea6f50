#!/usr/bin/env bash
# Runs dspack as a user would: test.sh DSPACK. Exit status 0 when all is well.
set -u

dspack=$(realpath "$1") || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

# expect STATUS PATTERN ARGUMENT...: the exit status, and one line on stderr that matches; '' for
# none
expect() {
    local status=$1 pattern=$2 got lines
    shift 2
    "$dspack" "$@" >out.txt 2>err.txt
    got=$?
    lines=$(wc -l <err.txt)
    if [ "$got" -ne "$status" ]; then
        echo "FAIL: dspack $*: exit status $got, expected $status: $(cat err.txt)"
        failures=$((failures + 1))
    elif [ -z "$pattern" ] && [ "$lines" -ne 0 ]; then
        echo "FAIL: dspack $*: unexpected: $(cat err.txt)"
        failures=$((failures + 1))
    elif [ -n "$pattern" ] && { [ "$lines" -ne 1 ] || ! grep -q -e "$pattern" err.txt; }; then
        echo "FAIL: dspack $*: expected one line with '$pattern': $(cat err.txt)"
        failures=$((failures + 1))
    fi
}

same() {
    if ! cmp -s "$1" "$2"; then
        echo "FAIL: $1 and $2 differ"
        failures=$((failures + 1))
    fi
}

seq 1 40000 >content
for level in 0 1 6 9 12; do
    expect 0 '' encode --codec gdeflate --level $level --threads 2 content packed
    for path in auto scalar; do
        expect 0 '' decode --codec gdeflate --path $path packed back
        same content back
    done
done
expect 0 '' encode --codec gdeflate --transform bc3 content packed
expect 0 '' decode --codec gdeflate --transform bc3 packed back
same content back

# A frame of the lz4 program's: 70000 zeros in two blocks, of which the second needs the first, with
# their number and a checksum. A bare block has no number.
lz4_frames() {
    base64 -d >frame <<'END'
BCJNGExAcBEBAAAAAABkCwEAAB8AAQD/////////////////////////////////////////////////////////////
////////////////////////////////////////////////////////////////////////////////////////////
////////////////////////////////////////////////////////////////////////////////////////////
////////////////////////////////////////////////////////////////////////////////////////////
////51AAAAAAABwAAAAfAAEA//////////////////////9oUAAAAAAAAAAAAOQxu9E=
END
    head -c 70000 /dev/zero >zeros
    expect 0 '' decode --codec lz4 frame back
    same zeros back
    expect 0 '' decode --codec lz4 --size 70000 frame back
    expect 1 'bad lz4 frame: .*--size' decode --codec lz4 --size 70001 frame none
    head -c 300 frame >cut
    expect 1 'bad lz4 frame: cut off' decode --codec lz4 cut none
    { head -c 322 frame && printf 'sum!'; } >spoilt
    expect 1 'bad lz4 frame: .*[Cc]hecksum' decode --codec lz4 spoilt none
    { cat frame && printf 'more'; } >longer
    expect 1 'bad lz4 frame: .*more behind' decode --codec lz4 longer none
    expect 2 'bare lz4 block .*give --size' decode --codec lz4 other none
}

for codec in zstd lz4; do
    if "$dspack" encode --codec $codec --level 9 content other 2>/dev/null; then
        expect 0 '' decode --codec $codec --size "$(stat -c %s content)" other back
        same content back
        head -c 1000 other >cut
        expect 1 "bad $codec stream" decode --codec $codec --size 1000000 cut back
        [ $codec = zstd ] || lz4_frames
    else
        echo "skipped: $codec: left out of this build"
    fi
done

# On the GPU the same. Where a path cannot run, one line says why.
gpu_lacks='no such Vulkan device\|lacks\|has no\|no VK_NV\|no shaders'
for path in gpu gpu-portable gpu-subgroup nv; do
    for check in auto none cpu; do
        if "$dspack" decode --codec gdeflate --path $path --check $check --threads 2 packed raw \
            2>err.txt; then
            expect 0 '' decode --codec gdeflate packed back
            same raw back
            rm raw
        else
            expect 1 "$gpu_lacks" decode --codec gdeflate --path $path --check $check packed none
            echo "skipped: $(cat err.txt)"
        fi
    done
done
for path in gpu nv; do
    VK_ICD_FILENAMES=/nowhere VK_DRIVER_FILES=/nowhere expect 1 \
        "path $path: no such Vulkan device here" decode --codec gdeflate --path $path packed none
done

# Bad streams: one clear line, exit status 1, and no output file.
head -c 5000 packed >cut
expect 1 'bad gdeflate stream: .*past the end' decode --codec gdeflate cut none
expect 1 'bad gdeflate stream: .*past the end' decode --codec gdeflate --path gpu cut none
{ head -c 400 packed && head -c 600 /dev/zero && tail -c +1001 packed; } >spoilt
for path in scalar gpu nv; do
    expect 1 "bad gdeflate stream: tile 0\|$gpu_lacks" decode --codec gdeflate --path $path \
        spoilt none
done
expect 1 'bad gdeflate stream: .*magic' decode --codec gdeflate content none
: >empty
expect 1 'bad gdeflate stream: .*short header' decode --codec gdeflate empty none
expect 1 'cannot be packed' encode --codec gdeflate empty none
expect 1 'No such file' decode --codec gdeflate missing none
expect 1 'No such file' decode --codec gdeflate packed missing/none
expect 1 'not a regular file' decode --codec gdeflate . none
if [ -e none ] || [ -e none.partial ]; then
    echo "FAIL: a failed run left a file behind"
    failures=$((failures + 1))
fi

# Bad arguments: exit status 2.
expect 2 'needed' decode --codec gdeflate packed
expect 2 'too many' decode --codec gdeflate packed back more
expect 2 '--codec is needed' decode packed back
expect 2 'unknown name' decode --codec gzip packed back
expect 2 'unknown name' decode --codec gdeflate --path sse packed back
expect 2 'decodes gdeflate, and nothing else' encode --codec gdeflate --path gpu content back
expect 2 'decodes gdeflate, and nothing else' decode --codec zstd --path nv packed back
expect 2 'unknown name' decode --codec gdeflate --path gpu --check all packed back
expect 2 'go with a --path of the GPU' decode --codec gdeflate --check cpu packed back
expect 2 'unknown command' unpack --codec gdeflate packed back
expect 2 'unknown option' decode --codec gdeflate --fast packed back
expect 2 'not a number' encode --codec gdeflate --level high content packed
expect 2 'no level 13' encode --codec gdeflate --level 13 content packed
expect 0 '' --help
expect 0 '' --version

[ "$failures" -eq 0 ] || exit 1
echo "dspack: all as expected"
