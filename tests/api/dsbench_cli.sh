#!/usr/bin/env bash
# dsbench: bad arguments and bad files end with one clear line, JSON is valid and adds up, a wrong
# byte is found, and nothing is left behind.
# usage: dsbench_cli.sh DSBENCH MAN_PAGE
set -u
dsbench=$1 page=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tmp"
export TMPDIR=$work/tmp
passed=0 failed=0 skipped=0
small=(--bytes 1M --seconds 0.1)

pass() {
    passed=$((passed + 1))
}

fail() { # what...
    failed=$((failed + 1))
    echo "FAILED: $*"
    head -n 5 "$work/err"
}

skip() { # why...
    skipped=$((skipped + 1))
    echo "skipped: $*"
}

run() { # arguments...: sets status, fills out and err
    timeout -k 5 120 "$dsbench" "$@" >"$work/out" 2>"$work/err"
    status=$?
}

# Refused with this status and exactly one line, which says this.
refused() { # status text arguments...
    local expected=$1 text=$2
    shift 2
    run "$@"
    if [ "$status" -eq "$expected" ] && [ "$(wc -l <"$work/err")" -eq 1 ] &&
        grep -q '^dsbench: ' "$work/err" && grep -qF -- "$text" "$work/err" &&
        [ ! -s "$work/out" ]; then
        pass
    else
        fail "status $status (expected $expected with \"$text\"): dsbench $*"
    fi
}

bad_arguments() {
    refused 2 'none of demo, run, compare, marks, sweep, report, diff, codec, frametime' stroll
    refused 2 'unknown option' run --bogus
    refused 2 'unknown option' run -z
    refused 2 'value is missing' run --size
    refused 2 'takes no value' run --verify=yes
    refused 2 'not a size' run --size 64X
    refused 2 'not a size' run --size -1
    refused 2 'not a size' run --size ''
    refused 2 'not within' run --size 0
    refused 2 'not within' run --size 2G
    refused 2 'not within' run --size 99999999999999999999
    refused 2 'not within' run --depth 0
    refused 2 'whole number' run --depth 4K
    refused 2 'not within' run --lanes 9
    refused 2 'needs --dest gpu' run --mapped --dest host
    refused 2 'needs --mapped' run --mapped-path auto
    refused 2 '--decode nv needs --dest gpu' run --decode nv --dest host
    refused 2 '--decode measure needs --dest gpu' run --decode measure --dest nil
    refused 2 '--decode balanced needs --dest gpu' run --decode balanced --dest host
    refused 2 '--decode-backlog goes with' run --decode cpu --decode-backlog 1M
    refused 2 'not within' run --batches 17
    refused 2 'not within' run --arena 1K
    refused 2 'number of seconds' run --seconds nan
    refused 2 'number of seconds' run --seconds 0
    refused 2 'none of random, sequential' run --pattern zigzag
    refused 2 'none of' run --dest moon
    refused 2 'none of' run --read tape
    refused 2 'none of' run --direct perhaps
    refused 2 'none of' run --topology manual
    refused 2 'none of fio, naive, raw' compare --peers fio,none
    refused 2 'no peer' compare --peers ''
    refused 2 'for compare' run --rounds 3
    refused 2 'none of fio, naive, raw, pread' compare --peers rawr
    refused 2 '--size is for' marks --size 4K
    refused 2 'not a number within 0.1 to' run --rate 0
    refused 2 'not a number within 0.1 to' run --rate fast
    refused 2 'none of fixed, poisson' run --rate 5 --arrival late
    refused 2 'needs --rate' run --arrival fixed
    refused 2 'choose one' run --rate 5 --verify
    refused 2 'neither --verify nor --rate' run --clients 2 --verify
    refused 2 'neither --verify nor --rate' run --clients 2 --rate 5
    refused 2 'is not within 1 to 16' run --clients 17
    refused 2 'not within' run --timeline 1
    refused 2 'needs --out' sweep
    refused 2 'it is for sweep' codec --codecs none
    refused 2 'no such codec' sweep --out x --codecs libdeflate
    refused 2 'nothing for --codecs' sweep --out x --codecs lz4 --reads nil
    refused 2 'nothing for --codec' run --codec lz4 --read nil
    refused 2 'none of none, gdeflate' run --codec zip
    refused 2 'report needs' report x
    refused 2 'report needs' report -o x
    refused 2 'not a number within' diff a b --fail-below high
    refused 2 'not within' codec --threads 65
    refused 2 'none of text, bc7, mesh' codec --kinds music
    refused 2 'none of auto, scalar' codec --paths neon
    refused 2 'not a size' sweep --out x --sizes 4K,,8K
    refused 2 'not within' sweep --out x --depths 1,0
    refused 2 'no depth is named' sweep --out x --depths ''
    refused 2 'none of auto, dedicated' sweep --out x --topologies shared,manual
    refused 2 'more than 32' sweep --out x --depths "$(seq -s, 40)"
    refused 2 '--json is for' sweep --out x --json y
    refused 2 'none of low, normal' run --priority urgent
    refused 2 'for run' compare --background
    refused 2 'for run' demo --priority low
    refused 2 'not a number within 1 to' frametime --fps 0
    refused 2 'not a number within 0.1 to' frametime --frame-work-ms 0
    refused 2 'none of auto, copy, scatter' frametime --copy-paths copy,shader
    refused 2 'no copy-path is named' frametime --copy-paths ''
    refused 2 'not within' frametime --scatter-groups 1,65536
    refused 2 'a list is for frametime' run --scatter-groups 1,2
    refused 2 '--copy-path is for' frametime --copy-path copy
    refused 2 'nothing can be verified' run --verify --read nil
    refused 2 'nothing can be verified' demo --dest nil
    refused 2 '--device needs' run --device x --dest host
    refused 2 'FILEs are given' run --keep "$work/file"
    run
    if [ "$status" -eq 2 ]; then pass; else fail "no command: status $status"; fi
    for command in '' demo run compare marks sweep report diff codec frametime; do
        # shellcheck disable=SC2086
        run $command --help
        if [ "$status" -eq 0 ] && grep -q '^usage: dsbench' "$work/out"; then
            pass
        else
            fail "$command --help: status $status"
        fi
    done
}

# What was asked for by name is not replaced by host memory where it is missing.
named_decoders() {
    local -x VK_ICD_FILENAMES=/nonexistent VK_DRIVER_FILES=/nonexistent
    for path in gpu nv measure; do
        refused 1 'no usable Vulkan device' run "${small[@]}" --decode "$path"
    done
    run run "${small[@]}" --decode cpu
    if [ "$status" -eq 0 ] && grep -q '^device  *none, copying to host memory' "$work/out"; then
        pass
    else
        fail "--decode cpu without Vulkan: status $status"
    fi
}

# The same of a device that is there.
missing_decoder() {
    run run "${small[@]}" --dest gpu
    if [ "$status" -ne 0 ]; then
        skip "no Vulkan device"
        return
    fi
    run run "${small[@]}" --decode nv
    if [ "$status" -eq 0 ]; then
        skip "the device has VK_NV_memory_decompression"
    else
        refused 1 'no VK_NV_memory_decompression with GDeflate' run "${small[@]}" --decode nv
    fi
}

# The man page knows every command and every option.
man_page() {
    local command option missing=
    for command in demo run compare marks sweep report diff codec frametime; do
        grep -q "^\.B dsbench $command\$" "$page" || missing="$missing $command"
        run "$command" --help
        for option in $(grep -o '^  --[a-z-]*' "$work/out"); do
            grep -qF -- "${option//-/\\-}" "$page" || missing="$missing $option"
        done
    done
    if [ -z "$missing" ]; then pass; else fail "the man page lacks$missing"; fi
}

bad_files() {
    : >"$work/empty"
    echo hello >"$work/short"
    mkfifo "$work/fifo"
    refused 1 'No such file' run "$work/missing"
    refused 1 'Is a directory' run "$work"
    refused 1 'empty' run "$work/empty"
    refused 1 'neither a regular file nor a block device' run "$work/fifo"
    refused 1 'use a smaller --size' run "$work/short"
    run run --bytes 1M --requests 1 --dest host --json "$work/results"
    refused 1 'dsbench diff' compare "$work/results" "$work/results"
    refused 1 'No such file' run --dir "$work/missing"
    refused 1 'no usable Vulkan device' run --device "no such device" --bytes 1M
    refused 1 'No such file' run --json "$work/missing/result" --seconds 0.1 "$work/short"
}

# begin arguments...: in the background, as $begun; returns once its engine has a thread, and a file
# of that name is open (any, without --open)
begin() { # [--open NAME] arguments...
    local name='' i
    if [ "$1" = --open ]; then name=$2 && shift 2; fi
    "$dsbench" "$@" >"$work/out" 2>"$work/err" &
    begun=$!
    for ((i = 0; i < 6000; i++)); do
        # shellcheck disable=SC2010,SC2012 # numbers and a name of our own
        if [ "$(ls "/proc/$begun/task" 2>/dev/null | wc -l)" -ge 2 ] &&
            ls -l "/proc/$begun/fd" 2>/dev/null | grep -q "$name"; then
            return
        fi
        kill -0 "$begun" 2>/dev/null || return
        sleep 0.01
    done
}

# A file that is cut while it is read: an error, an early end.
shrinking_file() {
    head -c 8M /dev/zero >"$work/shrinking"
    begin --open shrinking run --dest host --seconds 60 "$work/shrinking"
    sleep 0.2
    truncate -s 4096 "$work/shrinking"
    wait "$begun"
    status=$?
    if [ "$status" -eq 1 ] && grep -q 'the file ended' "$work/err"; then
        pass
    else
        fail "a file that shrinks: status $status"
    fi
}

interrupted() {
    begin run --bytes 4M --seconds 60 --dest host
    kill -INT "$begun"
    wait "$begun"
    status=$?
    if [ "$status" -eq 130 ] && grep -q interrupted "$work/err"; then
        pass
    else
        fail "SIGINT: status $status"
    fi
}

# Every line of the output is one object of the schema, and `condition` holds for r (all of them are
# in rs).
json_holds() { # name condition arguments...
    local name=$1 condition=$2
    shift 2
    run "$@" --json -
    if [ "$status" -ne 0 ]; then
        fail "$name: status $status"
    elif ! python3 - "$work/out" "$condition" <<'PYTHON'
import json, sys
rs = [json.loads(line) for line in open(sys.argv[1])]
assert rs, "no object"
for r in rs:
    assert r["schema"] == "dsbench/1"
    assert set(r) - {"timeline"} == {"schema", "command", "config", "path", "result", "stages",
                                     "peers"}, set(r)
    for key in "device", "read", "direct", "topology":
        assert r["path"][key], key
    q = r["result"]
    assert ("open_loop" in q) == (r["config"]["rate"] > 0)
    assert ("packed_ratio" in q) == (r["config"]["codec"] != "none")
    fields = {"seconds", "requests", "bytes", "requests_per_s", "requests_per_s_min",
              "requests_per_s_max", "rounds", "bytes_per_s", "cpu_us_per_request", "errors",
              "latency_us", "background", "verify"}
    assert ("client_cpu_us_per_request" in q) == (r["config"]["clients"] > 0)
    assert ("gpu_decoded_tiles" in q) == ("gpu_decode_batches" in q)
    assert set(q) - {"open_loop", "packed_ratio", "client_cpu_us_per_request", "gpu_decoded_tiles",
                     "gpu_decode_batches", "cpu_decoded_tiles"} == fields, set(q)
    assert q["errors"] == 0 and q["requests"] > 0 and q["seconds"] > 0
    if r["command"] != "compare":
        assert abs(q["requests_per_s"] * q["seconds"] / q["requests"] - 1) < 0.01
        assert abs(q["bytes_per_s"] * q["seconds"] / q["bytes"] - 1) < 0.01
    order = [q["latency_us"][k] for k in ("p50", "p90", "p99", "p999", "max")]
    assert order == sorted(order) and order[0] > 0, order
    names = [s["name"] for s in r["stages"] if s["name"] != "decode"]
    assert names == ["submit", "read", "copy", "complete"], names
    for s in r["stages"]:
        assert abs(s["busy"] + s["idle"] + s["waiting"] - 1) < 0.001, s
        assert min(s["busy"], s["idle"], s["waiting"]) >= -0.001, s
        assert s["items"] > 0 or q["requests"] == 0 or s["name"] == "decode", s
        assert s["in_flight"] >= 0 and s["batches"] >= 0 and s["parks"] >= 0, s
    assert eval(f"({sys.argv[2]})"), (sys.argv[2], r)
PYTHON
    then
        fail "$name: the JSON does not hold: $condition"
    else
        pass
    fi
}

# Every line of the output is JSON, and `condition` holds for r (all of them are in rs).
lines_hold() { # name condition file
    if python3 - "$3" "$2" <<'PYTHON'
import json, sys
rs = [json.loads(line) for line in open(sys.argv[1])]
assert rs, "no object"
for r in rs:
    assert r["schema"] == "dsbench/1"
    assert eval(f"({sys.argv[2]})"), (sys.argv[2], r)
PYTHON
    then
        pass
    else
        fail "$1: the JSON does not hold: $2"
    fi
}

marks() {
    run marks --rounds 1 --seconds 0.02 --bytes 4M --json -
    # on a busy machine a mark may be missed; what matters here is that the verdicts are right
    if [ "$status" -gt 1 ]; then fail "marks: status $status"; fi
    lines_hold "marks" 'r["command"] == "marks" and len(r["marks"]) == 18 and
all("skipped" in m or (m["value"] > 0 and m["goal"] > 0 and
m["met"] == (m["value"] >= m["goal"] if m["goal_is"] == "least" else m["value"] <= m["goal"]))
for m in r["marks"]) and sum("skipped" not in m for m in r["marks"]) >= 4' "$work/out"
    lines_hold "the exit status of marks" "($status == 0) == all(m.get(\"met\", True)
for m in r[\"marks\"])" "$work/out"
    # a run of 20 ms may be too short for fio to see its CPU time: no ratio is made of that
    mkdir "$work/hasty"
    cat >"$work/hasty/fio" <<'FIO'
#!/bin/sh
echo '{"jobs": [{"error": 0, "usr_cpu": 0, "sys_cpu": 0, "job_runtime": 20,
"read": {"runtime": 20, "total_ios": 100, "io_bytes": 409600}}]}'
FIO
    chmod +x "$work/hasty/fio"
    PATH=$work/hasty:$PATH run marks --rounds 1 --seconds 0.02 --bytes 4M --json -
    lines_hold "marks beside a fio without CPU time" 'sum("too short" in m.get("skipped", "")
for m in r["marks"] if m["mark"].startswith("CPU a request") and m["mark"].endswith("fio")) == 2 and
sum(m.get("value", 0) > 0 for m in r["marks"] if m["mark"] == "4K random to host / fio") == 1' \
        "$work/out"
}

# The output of a sweep is its state: nothing is measured twice, a cut line is measured again.
sweep() {
    local state=$work/sweep.jsonl
    local options=(sweep --out "$state" --bytes 2M --seconds 0.02 --rounds 2 --dest host)
    run "${options[@]}" --sizes 4K,64K --depths 1,8 --topologies shared,dedicated
    lines_hold "sweep" 'len(rs) == 16 and len({x["id"] for x in rs}) == 16 and
{(x["config"]["size"], x["config"]["depth"]) for x in rs} == {(4096, 1), (4096, 8), (65536, 1),
(65536, 8)} and {x["path"]["topology"] for x in rs} == {"shared", "dedicated"} and
r["result"]["rounds"] == 2 and
r["result"]["requests_per_s_min"] <= r["result"]["requests_per_s"] and
(r["path"]["read"] == "nil") == (not r["peers"])' "$state"
    cp "$state" "$work/whole.jsonl"
    head -c -20 "$work/whole.jsonl" >"$state"
    run "${options[@]}" --sizes 4K,64K --depths 1,8 --topologies shared,dedicated
    if [ "$status" -eq 0 ] && grep -q '^15 of 16 points are in' "$work/out" &&
        [ "$(wc -l <"$state")" -eq 16 ] &&
        cmp -s <(head -n 15 "$state") <(head -n 15 "$work/whole.jsonl"); then
        pass
    else
        fail "a sweep goes on after a cut line: status $status, $(wc -l <"$state") lines"
    fi
    cp "$state" "$work/whole.jsonl"
    run "${options[@]}" --sizes 4K,64K --depths 1,8 --topologies shared,dedicated
    if [ "$status" -eq 0 ] && cmp -s "$state" "$work/whole.jsonl"; then
        pass
    else
        fail "a finished sweep measures nothing: status $status"
    fi
    run "${options[@]}" --sizes 4K --depths 1 --seconds 0.03 --reads auto
    if [ "$status" -eq 0 ] && [ "$(wc -l <"$state")" -eq 17 ]; then
        pass
    else
        fail "another --seconds is another point: status $status, $(wc -l <"$state") lines"
    fi
    run "${options[@]}" --out "$work/codecs.jsonl" --sizes 64K --depths 8 --codecs none,gdeflate
    lines_hold "a sweep of codecs" 'sorted((x["config"]["codec"],
x["path"]["read"] == "nil") for x in rs) == [("gdeflate", False), ("none", False),
("none", True)]' "$work/codecs.jsonl"
    printf 'a text\nof somebody' >"$work/foreign"
    refused 1 'foreign:1: no result of dsbench' sweep --out "$work/foreign" --bytes 1M
    printf 'somebody' >"$work/foreign"
    refused 1 'foreign:1: no result of dsbench' sweep --out "$work/foreign" --bytes 1M
    if [ "$(cat "$work/foreign")" = somebody ]; then pass; else fail "sweep wrote to it"; fi
    refused 1 'Is a directory' sweep --out "$work" --bytes 1M
    echo '{"schema": 1}' >"$work/foreign"
    refused 1 'foreign:1: no result of dsbench' sweep --out "$work/foreign" --bytes 1M
    begin "${options[@]}" --out "$work/cut.jsonl" --seconds 5 --sizes 4K --depths 1,2,3,4 \
        --reads auto
    kill -INT "$begun"
    wait "$begun"
    status=$?
    if [ "$status" -eq 130 ] && grep -q 'goes on from here' "$work/err"; then
        pass
    else
        fail "SIGINT in a sweep: status $status"
    fi
}

# Frames beside a stream, by command and by shader; how long they take is for real devices to tell.
frametime() {
    local options=(frametime --seconds 0.05 --rounds 2 --fps 100 --frame-work-ms 0.5)
    run "${options[@]}" --sizes 4K,16K --depth 8 --copy-paths copy,scatter --scatter-groups 0,2 \
        --bytes 1M --json -
    if [ "$status" -eq 1 ] && grep -q 'no usable Vulkan device\|which this build lacks' "$work/err"
    then
        skip "frametime: $(cat "$work/err")"
        return
    fi
    lines_hold "frametime" 'r["command"] == "frametime" and r["result"]["frames"] >= 10 and
[(x["config"].get("copy_path"), x["config"].get("scatter_groups"), x["config"].get("size"))
for x in rs] == [(None, None, None)] + [(p, g, s) for p, g in (("copy", 0), ("scatter", 0),
("scatter", 2)) for s in (4096, 16384)] and
r["result"]["frame_ms"]["p50"] <= r["result"]["frame_ms"]["p99"] and
r["result"]["frame_ms"]["p99"] <= r["result"]["frame_ms"]["max"] and
r["result"]["missed"] <= r["result"]["frames"] and
(r["config"]["load"] == "idle" or (r["result"]["bytes_per_s"] > 0 and abs(
r["result"]["p99_above_idle_ms"] - r["result"]["frame_ms"]["p99"] +
rs[0]["result"]["frame_ms"]["p99"]) < 0.001 * (1 + r["result"]["frame_ms"]["p99"])))' "$work/out"
    head -c 1M /dev/zero >"$work/zeros"
    run "${options[@]}" --sizes 64K --depth 4 --copy-paths copy "$work/zeros"
    if [ "$status" -eq 0 ] && grep -q '^data  *from the disk' "$work/out" &&
        grep -q '^copy  *64K' "$work/out" && ! grep -q '^scatter' "$work/out"; then
        pass
    else
        fail "frametime of a file: status $status"
    fi
}

codec() {
    local each='r["command"] == "codec" and ("skipped" in r or
0 < r["result"]["packed_bytes"] < 262144 and r["result"]["unpack_bytes_per_s"] > 0 and
r["result"]["unpack_bytes_per_s_min"] <= r["result"]["unpack_bytes_per_s"] <=
r["result"]["unpack_bytes_per_s_max"] and r["result"]["rounds"] == 2)'
    run codec --bytes 256K --seconds 0.02 --rounds 2 --threads 1,2 --json -
    if [ "$status" -ne 0 ]; then fail "codec: status $status"; fi
    lines_hold "codec" "$each"' and {x["config"]["data"] for x in rs} == {"text", "bc7", "mesh"} and
{x["config"]["codec"] for x in rs} == {"gdeflate", "zstd", "lz4", "libdeflate"} and
{x["config"]["threads"] for x in rs} == {1, 2} and
sum(x["config"]["path"] == "scalar" for x in rs) == 6' "$work/out"
    run codec --bytes 70000 --seconds 0.02 --rounds 1 --codecs gdeflate --kinds bc7 \
        --paths scalar,gpu,nv --json -
    lines_hold "codec on a GPU" 'len(rs) == 3 and
(r["config"]["path"] == "scalar" or len(r.get("skipped", "")) > 10 or
(r["config"]["path"] in ("nv", "gpu-portable", "gpu-subgroup") and
r["result"]["unpack_bytes_per_s"] > 0 and r["result"].get("unpack_bytes_per_gpu_s", 1) > 0))' \
        "$work/out"
    head -c 200000 /dev/zero >"$work/zeros"
    run codec --seconds 0.02 --rounds 1 --codecs gdeflate --paths scalar --json - "$work/zeros"
    lines_hold "codec of a file" 'len(rs) == 1 and r["config"]["data"] == "zeros" and
r["config"]["bytes"] == 200000 and r["result"]["packed_bytes"] < 20000' "$work/out"
}

# Nothing in the page is loaded from elsewhere, and what the results hold cannot break out of it.
report() {
    local page=$work/report.html
    run run --timeline 20 --seconds 0.2 --bytes 4M --dest host --json "$work/timeline.jsonl"
    run compare "${small[@]}" --rounds 2 --peers naive,raw --dest host --json "$work/compare.jsonl"
    sed 's/"device":"[^"]*"/"device":"<script>alert(1)<\/script>"/' "$work/sweep.jsonl" \
        >"$work/hostile.jsonl"
    run codec --bytes 64K --seconds 0.01 --rounds 1 --codecs gdeflate --json "$work/codec.jsonl"
    {
        echo '{"schema":"dsbench/1","command":"frametime","config":{"load":"idle"},' \
            '"result":{"frame_ms":{"p50":3,"p99":4,"max":5}}}'
        echo '{"schema":"dsbench/1","command":"frametime","config":{"load":"stream",' \
            '"copy_path":"<script>","size":65536,"depth":9,"scatter_groups":8},' \
            '"result":{"frame_ms":{"p50":3,"p99":4.25,"max":9},"p99_above_idle_ms":0.25,' \
            '"bytes_per_s":1e9}}'
    } >"$work/frames.jsonl"
    run report "$work/hostile.jsonl" "$work/timeline.jsonl" "$work/compare.jsonl" \
        "$work/codec.jsonl" "$work/frames.jsonl" -o "$page"
    if [ "$status" -eq 0 ] && python3 - "$page" <<'PYTHON'
import re, sys
from html.parser import HTMLParser
text = open(sys.argv[1], encoding="utf-8").read()
assert not re.search(r"https?:|<script|<link|@import|url\(|\bnan\b|\binf\b", text, re.I)
for title in ("Throughput by request size", "p99 latency by depth", "disk alone (raw)",
              "copy alone (nil)", "Beside its peers", "Frames beside a stream",
              "depth 9, 8 groups", "p99 4.25 ms, +0.25 above idle", "Codecs in memory", ">mesh<",
              "Stage: read", "All points as a table",
              "prefers-color-scheme:dark", "&lt;script"):
    assert title in text, title
class Parser(HTMLParser):
    stack = []
    def handle_starttag(self, tag, attributes):
        if tag not in ("meta",):
            self.stack.append(tag)
    def handle_startendtag(self, tag, attributes):
        pass
    def handle_endtag(self, tag):
        assert self.stack.pop() == tag, tag
parser = Parser()
parser.feed(text)
assert not parser.stack, parser.stack
# each point of the sweep is in the table, and lines stay within their chart
rows = text.split("Codecs in memory")[0].count("<tr><td>")
assert rows == 17 + 2, rows
for x in re.findall(r'<circle[^>]* cx="([-0-9.]+)"', text):
    assert 0 <= float(x) <= 1200
PYTHON
    then
        pass
    else
        fail "report: status $status"
    fi
    : >"$work/nothing.jsonl"
    refused 1 'no results' report "$work/nothing.jsonl" -o "$page"
    refused 1 'File too large' report /dev/zero -o "$page"
    refused 1 'File too large' sweep --out /dev/full --dest host
    refused 1 'No such file' report "$work/missing.jsonl" -o "$page"
    refused 1 'no result of dsbench' report "$0" -o "$page"
    refused 1 'No such file' report "$work/compare.jsonl" -o "$work/missing/page.html"
    refused 1 'No space left' report "$work/compare.jsonl" -o /dev/full
}

difference() {
    local whole=$work/sweep.jsonl slow=$work/slow.jsonl
    run diff "$whole" "$whole" --fail-below 0.999
    if [ "$status" -eq 0 ] && grep -q '^least  *1.000: sweep' "$work/out"; then
        pass
    else
        fail "diff of a file with itself: status $status"
    fi
    python3 - "$whole" >"$slow" <<'PYTHON'
import json, sys
for i, line in enumerate(open(sys.argv[1])):
    r = json.loads(line)
    r["result"]["requests_per_s"] *= 0.8 if i == 3 else 1.1
    if i != 5:
        print(json.dumps(r))
PYTHON
    run diff "$whole" "$slow" --fail-below 0.9
    if [ "$status" -eq 1 ] && grep -q '^least  *0.800: ' "$work/out" &&
        grep -q 'a ratio of 0.800 is below 0.9' "$work/err" &&
        grep -q '^unmatched  *1 only in A, 0 only in B' "$work/out"; then
        pass
    else
        fail "diff of a slower file: status $status"
    fi
    run diff "$whole" "$slow"
    if [ "$status" -eq 0 ]; then pass; else fail "diff without --fail-below: status $status"; fi
    refused 2 'two files, 1 is given' diff "$whole"
    run diff "$whole" "$work/compare.jsonl"
    if [ "$status" -eq 1 ] && grep -q 'no configuration in common' "$work/err"; then
        pass
    else
        fail "diff of strangers: status $status"
    fi
}

json() {
    if ! command -v python3 >/dev/null; then
        skip "JSON: python3 is not installed"
        return
    fi
    head -c 1000003 /dev/urandom >"$work/odd"
    json_holds "background" \
        'q["background"]["requests"] > 0 and r["config"]["priority"] == "realtime"' \
        run --background --depth 1 --seconds 0.5 --bytes 4M --dest host
    json_holds "priority" \
        'q["background"]["requests"] == 0 and r["config"]["priority"] == "low"' \
        run --priority low --seconds 0.2 --bytes 4M --dest host
    # fixed intervals: as many as fit, sent or not; a rate out of reach shows in the latency, which
    # counts from the moment that was meant
    json_holds "a fixed rate" 'abs(q["requests"] + q["open_loop"]["unsent"] - 600) <= 1 and
q["open_loop"]["offered_per_s"] == 2000 and r["config"]["arrival"] == "fixed"' \
        run --rate 2000 --seconds 0.3 --size 4K --bytes 4M --dest host
    json_holds "Poisson arrivals" '1500 < q["requests"] + q["open_loop"]["unsent"] < 2500' \
        run --rate 10000 --arrival poisson --seconds 0.2 --size 4K --bytes 4M --dest host
    json_holds "a rate out of reach" 'q["open_loop"]["unsent"] > 1000 and
q["latency_us"]["p50"] > 20000 and q["requests_per_s"] < 5e6' \
        run --rate 50000000 --seconds 0.2 --size 64K --bytes 4M --dest host --depth 8
    json_holds "a number of requests at a rate" \
        'q["requests"] == 50 and q["open_loop"]["unsent"] == 0' \
        run --rate 5000 --requests 50 --size 4K --bytes 4M --dest host
    json_holds "clients" 'q["requests"] == 1003 and q["bytes"] == 1003 * 4096 and
r["config"]["clients"] == 3 and 0 < q["client_cpu_us_per_request"] < q["cpu_us_per_request"]' \
        run --clients 3 --requests 1003 --depth 64 --size 4K --bytes 4M --dest host
    json_holds "a destination that is registered" \
        'r["path"]["registered"] or not r["path"]["fixed_buffers"]' \
        run --requests 100 --size 4K --bytes 4M --dest host
    json_holds "a destination that is not registered" 'not r["path"]["registered"]' \
        run --no-register --requests 100 --size 4K --bytes 4M --dest host
    json_holds "one that no read reaches" 'not r["path"]["registered"]' \
        run --read pread --requests 100 --size 4K --bytes 4M --dest host
    json_holds "more clients than requests in flight" 'q["requests"] == 100' \
        run --clients 4 --requests 100 --depth 2 --size 4K --bytes 4M --dest host \
        --pattern sequential
    json_holds "a timeline" 'len(r["timeline"]["samples"]) >= 3 and
all(len(s["busy"]) == len(s["waiting"]) == len(r["stages"]) and
all(0 <= x <= 1 for x in s["busy"] + s["waiting"]) for s in r["timeline"]["samples"]) and
[s["t"] for s in r["timeline"]["samples"]] == sorted(s["t"] for s in r["timeline"]["samples"]) and
sum(s["requests_per_s"] for s in r["timeline"]["samples"]) > 0' \
        run --timeline 20 --seconds 1 --bytes 4M --dest host
    json_holds "a number of requests" \
        'q["requests"] == 500 and q["bytes"] == 500 * 4096 and not r["peers"] and
0 < sum(s["in_flight"] for s in r["stages"]) < 33 and r["stages"][1]["batches"] > 0' \
        run --bytes 1M --size 4K --requests 500 --dest host
    json_holds "fewer requests than depth" 'q["requests"] == 3' \
        run --bytes 1M --size 4K --requests 3 --depth 64 --dest host
    json_holds "a number of seconds" '0.05 < q["seconds"] < 100' run "${small[@]}" --dest host
    json_holds "nil moves nothing" 'r["path"]["read"] == "nil" and r["path"]["device"] == "nil"' \
        run "${small[@]}" --read nil --dest nil
    json_holds "odd sizes and the tail are verified" \
        'q["verify"]["bytes"] == q["bytes"] == 1000003 and q["verify"]["mismatches"] == 0' \
        run --verify --requests 1288 --size 777 --dest host "$work/odd"
    json_holds "a part of a pass is verified" \
        'q["verify"]["bytes"] == q["bytes"] == 100 * 512 and q["verify"]["mismatches"] == 0' \
        run --verify --requests 100 --size 512 --dest host --bytes 1M
    json_holds "several files" 'r["config"]["files_bytes"] == 2 * 1000003 and
q["verify"]["bytes"] == q["bytes"] == 2 * 1000003' \
        run --verify --requests 202 --size 10000 "$work/odd" "$work/odd"
    json_holds "buffered, pread, sequential" \
        'r["path"]["direct"] == "buffered" and r["path"]["read"] == "pread" and
r["config"]["pattern"] == "sequential"' \
        run "${small[@]}" --direct off --read pread --pattern sequential --dest host
    json_holds "dedicated threads" 'r["path"]["topology"] == "dedicated"' \
        run "${small[@]}" --topology dedicated --dest host
    json_holds "a poll that is refused goes on" \
        'r["path"]["uring_poll"] in ("none", "iopoll") and r["result"]["errors"] == 0' \
        run "${small[@]}" --uring-poll iopoll --dest host
    json_holds "two threads" 'r["path"]["topology"] == "hybrid" and r["path"]["threads"] >= 2' \
        run "${small[@]}" --topology hybrid --dest host
    json_holds "the demo" \
        '[x["config"]["size"] for x in rs[:4]] == [4096, 65536, 1 << 20, 1 << 24] and
[x["config"]["codec"] for x in rs[4:6]] == ["none", "gdeflate"] and
("packed_ratio" in q) == (r["config"]["codec"] != "none") and
q["verify"]["bytes"] == q["bytes"] == 16 * min(r["config"]["size"], 1 << 18) and
q["verify"]["mismatches"] == 0' demo --bytes 1M --requests 16
    json_holds "a comparison" \
        '[p["name"] for p in r["peers"]] == ["naive", "raw"] and
all("skipped" in p or (p["ratio"] > 0 and p["rounds"] == 2 and
p["cpu_ratio"] > 0 and p["ratio_min"] <= p["ratio"] <= p["ratio_max"]) for p in r["peers"])' \
        compare "${small[@]}" --rounds 2 --peers naive,raw
    json_holds "packed blocks beside raw reads of what they hold" \
        'r["config"]["codec"] == "gdeflate" and q["packed_ratio"] > 1.1 and
"skipped" in r["peers"][0] or r["peers"][0]["ratio"] > 0' \
        compare "${small[@]}" --rounds 1 --peers raw --codec gdeflate
    json_holds "one at a time beside pread" \
        '[p["name"] for p in r["peers"]] == ["pread"] and r["peers"][0]["ratio"] > 0' \
        compare "${small[@]}" --rounds 1 --peers pread --depth 1 --size 4K --dest host
    json_holds "peers without the disk" \
        '"skipped" not in r["peers"][0] and "reads nothing" in r["peers"][1]["skipped"] and
"reads nothing" in r["peers"][2]["skipped"]' \
        compare "${small[@]}" --rounds 1 --peers naive,raw,pread --read nil --dest host
    for codec in gdeflate zstd lz4; do
        json_holds "verified blocks of $codec" \
            'q["verify"]["bytes"] == q["bytes"] == 4 << 20 and q["verify"]["mismatches"] == 0 and
r["config"]["codec"] == "'$codec'" and 1.1 < q["packed_ratio"] < 10' \
            run --codec $codec --verify --requests 70 --size 60000 --bytes 4M
    done
    json_holds "the demo with a codec" \
        'q["verify"]["bytes"] == q["bytes"] == 16 * min(r["config"]["size"], 1 << 18) and
q["verify"]["mismatches"] == 0 and q["packed_ratio"] > 1.1' \
        demo --codec lz4 --bytes 1M --requests 16
    json_holds "a codec on a given file, to host memory" \
        'q["verify"]["bytes"] == q["bytes"] == 1000003 and q["verify"]["mismatches"] == 0' \
        run --codec zstd --verify --requests 129 --size 7777 --dest host "$work/odd"
    marks
    sweep
    codec
    frametime
    report
    difference
    if command -v fio >/dev/null; then
        json_holds "fio" 'r["peers"][0]["name"] == "fio" and r["peers"][0]["requests_per_s"] > 0' \
            compare "${small[@]}" --rounds 1 --peers fio --size 4K
    else
        skip "fio is not installed"
    fi
}

# The reference is read wrongly on purpose, so what arrived must be called wrong.
wrong_byte() {
    cat >"$work/wrong.c" <<'C'
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>
ssize_t pread(int fd, void *memory, size_t bytes, off_t offset)
{
    ssize_t n = syscall(SYS_pread64, fd, memory, bytes, offset);

    if (offset <= 70000 && offset + n > 70000)
        ((char *)memory)[70000 - offset] ^= 1;
    return n;
}
C
    if ! "${CC:-cc}" -shared -fPIC -o "$work/wrong.so" "$work/wrong.c" 2>"$work/err"; then
        skip "a wrong byte: no compiler"
        return
    fi
    run run --bytes 1M --requests 1 --read uring --dest host
    if [ "$status" -ne 0 ]; then
        skip "a wrong byte: no io_uring, so the engine reads with pread too"
        return
    fi
    LD_PRELOAD=$work/wrong.so run run --bytes 1M --size 64K --requests 16 --verify --read uring \
        --dest host
    if [ "$status" -eq 1 ] && grep -q 'byte 70000 is' "$work/err" &&
        grep -q ' 1 bytes differ' "$work/out"; then
        pass
    else
        fail "a wrong byte: status $status"
    fi
}

bad_arguments
man_page
named_decoders
missing_decoder
bad_files
shrinking_file
interrupted
json
wrong_byte
if [ -n "$(ls -A "$work/tmp")" ]; then
    fail "files are left behind: $(ls -A "$work/tmp")"
else
    pass
fi
echo "dsbench: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
