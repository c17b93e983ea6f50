#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test there is.
#
# usage: tools/test.sh              all parts
#        tools/test.sh PART...      some of them:
#
#   style       house rules, documents and headers
#   unit        all tests, built by gcc as a release with debug information
#   package     install, then build against it: find_package, pkg-config, C, C++
#   bench       dsbench: options, JSON, a small verified run
#   nouring     all tests with io_uring denied by seccomp
#   novulkan    all tests with no Vulkan driver to be found
#   validation  GPU tests under the Khronos validation layer, with no message
#   asan        all tests under Address-, Leak- and UndefinedBehaviorSanitizer
#   ubsan       all tests under UndefinedBehaviorSanitizer alone, built by clang
#   tsan        all tests under ThreadSanitizer
#   msan        the fuzz corpora under MemorySanitizer, zstd and LZ4 left out
#   fuzz        each fuzz target for DS_FUZZ_SECONDS (120), two at a time
#   clang       all tests, built by clang
#   shared      the build with only the shared and with only the static library
#
# Builds lie in build/test (DS_TEST_BUILD_DIR). The last line counts the tests of all parts; the
# exit status is 0 only when none failed and each part ran at least what tests/minimum.txt demands.
# shellcheck disable=SC2317 # its parts are called by name
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
work=${DS_TEST_BUILD_DIR:-$root/build/test}
jobs=$(nproc)
# shellcheck source=tools/packages.sh
. "$root/tools/packages.sh"

all_parts=(style unit package bench nouring novulkan validation asan ubsan tsan msan fuzz clang
    shared)
passed=0 failed=0 skipped=0
part=""
part_passed=0 part_failed=0 part_skipped=0
summary=()

note() { printf '%s\n' "$*"; }
pass() { part_passed=$((part_passed + 1)); }
fail() {
    part_failed=$((part_failed + 1))
    note "  FAILED $*"
}
skip() {
    part_skipped=$((part_skipped + 1))
    note "  skipped: $*"
}

# build NAME CMAKE_ARGUMENT...; build_only=(--target ...) for a part of it
build_only=()
build() {
    local name=$1 log=$work/$1.log
    shift
    if [ -e "$work/$name/built" ]; then
        return 0 # an earlier part of this run made it
    fi
    mkdir -p "$work"
    if { cmake -G Ninja -S "$root" -B "$work/$name" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DDS_BUILD_TESTS=ON -DDS_BUILD_BENCH=ON -DDS_WERROR=ON "${cmake_arguments[@]}" "$@" &&
        cmake --build "$work/$name" --parallel "$jobs" "${build_only[@]}"; } >"$log" 2>&1; then
        touch "$work/$name/built"
        return 0
    fi
    grep -E -A3 'error|Error|FAILED' "$log" | head -n 40
    fail "build $name; all of it is in $log"
    return 1
}

# run_tests NAME [CTEST_ARGUMENT...]; $launcher stands before ctest
launcher=()
run_tests() {
    local build=$work/$1 junit=$work/$part.xml log=$work/$part.tests.log counts
    shift
    rm -f "$junit"
    "${launcher[@]}" ctest --test-dir "$build" -j "$jobs" --output-junit "$junit" \
        --test-output-size-passed 1000000 --test-output-size-failed 1000000 \
        --output-on-failure "$@" >"$log" 2>&1
    if [ ! -s "$junit" ]; then
        tail -n 20 "$log"
        fail "ctest did not run; see $log"
        return
    fi
    counts=$(python3 "$root/tools/count_tests.py" "$junit")
    note "$counts" | sed '$d' | sort -u
    read -r p f s <<<"$(tail -n 1 <<<"$counts")"
    part_passed=$((part_passed + p)) part_failed=$((part_failed + f))
    part_skipped=$((part_skipped + s))
    if [ "$f" -ne 0 ]; then
        sed -n '/^The following tests FAILED/,$p' "$log"
        note "  all output is in $log"
        tail -n 200 "$log" | head -n 190
    fi
}

# check NAME COMMAND...: one more test
check() {
    local name=$1 log=$work/$part.check.log
    shift
    if "$@" >"$log" 2>&1; then
        pass
    else
        tail -n 30 "$log"
        fail "$name: $*"
    fi
}

# Reports of sanitizers are files, because a test driver may swallow both text and exit status.
check_no_reports() { # folder
    local reports
    reports=$(find "$1" -type f | sort)
    if [ -n "$reports" ]; then
        head -n 60 "$(head -n 1 <<<"$reports")"
        fail "$(wc -l <<<"$reports") sanitizer reports in $1"
    else
        pass
    fi
}

reports_folder() {
    rm -rf "$work/$part.reports"
    mkdir -p "$work/$part.reports"
    echo "$work/$part.reports"
}

# The clang that Debian 12 has, else whatever is called clang
clang_name() { # clang|clang++
    local name
    for name in "$1-14" "$1"; do
        has_command "$name" && echo "$name" && return 0
    done
    return 1
}
clang_arguments() {
    echo "-DCMAKE_C_COMPILER=$(clang_name clang)" "-DCMAKE_CXX_COMPILER=$(clang_name clang++)"
}

build_base() { build base -DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++; }
not_these='style|package|bench'
# Ten million requests run once, in `unit` (and fewer, with the sanitizers)
long='^requests_small$'

part_style() { build_base && run_tests base -L style; }
part_unit() { build_base && run_tests base -LE "$not_these"; }
part_package() { build_base && run_tests base -L package; }

part_bench() {
    build_base || return
    run_tests base -L bench
    check "a small demo verifies all bytes" timeout 300 "$work/base/bench/dsbench" demo \
        --bytes 64M --dir "$work"
}

part_nouring() {
    build_base || return
    launcher=("$work/base/tests/deny_io_uring")
    if "${launcher[@]}" true; then
        run_tests base -LE "$not_these" -E "$long"
        check "dsbench without io_uring" "${launcher[@]}" timeout 300 \
            "$work/base/bench/dsbench" demo --bytes 16M --dir "$work"
    else
        skip "seccomp filters are not allowed here"
    fi
    launcher=()
}

part_novulkan() {
    build_base || return
    launcher=(env VK_ICD_FILENAMES=/nonexistent VK_DRIVER_FILES=/nonexistent)
    run_tests base -LE "$not_these" -E "$long"
    check "dsbench without Vulkan" "${launcher[@]}" timeout 300 \
        "$work/base/bench/dsbench" demo --bytes 16M --dir "$work"
    launcher=()
}

# A message that reaches no messenger of the program's is printed by the layer. The one left out is
# the layer's word about itself (tests/gpu/vk_util.c says more).
check_no_messages() { # log
    local marks='Validation (Error|Warning)|VUID-|SYNC-HAZARD|UNASSIGNED-'
    local own_fault='UNASSIGNED-VkSemaphore-state-timeout|-RACING-(READ|WRITE)'
    if grep -E "$marks" "$1" | grep -Ev "$own_fault" | sort -u | head | grep .; then
        fail "messages of the validation layer in $1"
    else
        pass
    fi
}

part_validation() {
    build_base || return
    if ! has_layer; then
        skip "the Khronos validation layer is not installed"
        return
    fi
    local sync=VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT
    local queue_submit=VALIDATION_CHECK_ENABLE_SYNCHRONIZATION_VALIDATION_QUEUE_SUBMIT
    # the last two are for layers from 1.3.268 on
    launcher=(env VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation
        "VK_LAYER_ENABLES=$sync:$queue_submit" VK_KHRONOS_VALIDATION_VALIDATE_SYNC=1
        VK_KHRONOS_VALIDATION_SYNCVAL_SUBMIT_TIME_VALIDATION=1)
    run_tests base -L gpu -E "$long"
    check_no_messages "$work/$part.tests.log"
    check "dsbench under the layer" "${launcher[@]}" timeout 300 \
        "$work/base/bench/dsbench" demo --bytes 16M --dir "$work"
    check_no_messages "$work/$part.check.log"
    launcher=()
}

part_asan() {
    local reports
    build asan -DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++ -DDS_SANITIZE=address,undefined ||
        return
    reports=$(reports_folder)
    launcher=(env
        "ASAN_OPTIONS=log_path=$reports/asan:detect_leaks=1:detect_stack_use_after_return=1"
        "LSAN_OPTIONS=suppressions=$root/tests/support/asan/suppressions.txt:print_suppressions=0"
        "UBSAN_OPTIONS=log_path=$reports/ubsan:print_stacktrace=1")
    run_tests asan -LE "$not_these"
    launcher=()
    check_no_reports "$reports"
}

part_ubsan() {
    local reports
    # shellcheck disable=SC2046
    build ubsan $(clang_arguments) -DDS_SANITIZE=undefined || return
    reports=$(reports_folder)
    launcher=(env "UBSAN_OPTIONS=log_path=$reports/ubsan:print_stacktrace=1")
    run_tests ubsan -LE "$not_these"
    launcher=()
    check_no_reports "$reports"
}

part_tsan() {
    local reports
    # shellcheck disable=SC2046
    build tsan $(clang_arguments) -DDS_SANITIZE=thread || return
    reports=$(reports_folder)
    local suppressions=$root/tests/support/tsan/suppressions.txt
    local options=log_path=$reports/tsan:suppressions=$suppressions
    # What the Vulkan layers and drivers do among themselves is not ours to judge
    launcher=(env "TSAN_OPTIONS=$options:ignore_noninstrumented_modules=1")
    # The run-time library cannot place its shadow where the kernel shuffles addresses too widely
    setarch -R true 2>/dev/null && launcher=(setarch -R "${launcher[@]}")
    run_tests tsan -LE "$not_these"
    launcher=()
    check_no_reports "$reports"
}

# Libraries that are not instrumented give false alarms: the decoder does without them.
part_msan() {
    local reports
    build_only=(--target replay_all)
    # shellcheck disable=SC2046
    build msan $(clang_arguments) -DDS_SANITIZE=memory -DDS_CODEC_ZSTD=OFF -DDS_CODEC_LZ4=OFF
    build_only=()
    [ -e "$work/msan/built" ] || return
    reports=$(reports_folder)
    launcher=(env "MSAN_OPTIONS=log_path=$reports/msan")
    run_tests msan -R '^replay_'
    launcher=()
    check_no_reports "$reports"
}

# fuzz_run TARGET SECONDS: starts from the corpus, and leaves it as it is. What made it fail lies
# beside its log.
fuzz_run() {
    local at=$work/fuzz.runs/$1
    rm -rf "$at"
    mkdir -p "$at/found"
    "$work/fuzz/tests/fuzz/fuzz_$1" -max_total_time="$2" -max_len=1024 -timeout=20 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$at/" "$at/found" \
        "$root/tests/fuzz/corpus/$1" >"$at/log" 2>&1
    echo $? >"$at/status"
}

part_fuzz() {
    local seconds=${DS_FUZZ_SECONDS:-120} target running=0 executions
    local targets=(archive request gdeflate_tile gdeflate_stream gdeflate_encode)
    build_only=(--target fuzz_all)
    # shellcheck disable=SC2046
    build fuzz $(clang_arguments) -DDS_BUILD_FUZZ=ON -DDS_SANITIZE=address,undefined
    build_only=()
    [ -e "$work/fuzz/built" ] || return
    for target in "${targets[@]}"; do
        fuzz_run "$target" "$seconds" &
        running=$((running + 1))
        [ $((running % 2)) -ne 0 ] || wait
    done
    wait
    for target in "${targets[@]}"; do
        executions=$(awk '/number_of_executed_units/ {print $2}' "$work/fuzz.runs/$target/log")
        note "  $target: ${executions:-no} executions"
        if [ "$(cat "$work/fuzz.runs/$target/status")" = 0 ]; then
            pass
        else
            tail -n 30 "$work/fuzz.runs/$target/log"
            fail "fuzz_$target; all is in $work/fuzz.runs/$target"
        fi
    done
}

part_clang() {
    # shellcheck disable=SC2046
    build clang $(clang_arguments) && run_tests clang -LE "$not_these" -E "$long"
}

part_shared() {
    build shared_only -DDS_BUILD_STATIC=OFF && run_tests shared_only -L api -LE style
    build static_only -DDS_BUILD_SHARED=OFF && run_tests static_only -L api -LE style
}

check_minimum() {
    local minimum
    minimum=$(awk -v part="$part" '$1 == part {print $2}' "$root/tests/minimum.txt")
    if [ -z "$minimum" ]; then
        fail "tests/minimum.txt has no line for $part"
    elif [ $((part_passed + part_failed)) -lt "$minimum" ] && [ "$part_failed" -eq 0 ]; then
        fail "only $part_passed tests ran, at least $minimum must"
    fi
}

run_part() {
    local begin=$SECONDS
    part=$1
    part_passed=0 part_failed=0 part_skipped=0
    note "== $part"
    "part_$part"
    check_minimum
    passed=$((passed + part_passed)) failed=$((failed + part_failed))
    skipped=$((skipped + part_skipped))
    summary+=("$(printf '%-11s %5d passed %4d failed %4d skipped %5d s' "$part" "$part_passed" \
        "$part_failed" "$part_skipped" $((SECONDS - begin)))")
    note "${summary[-1]}"
}

main() {
    local parts=("$@") name
    [ ${#parts[@]} -gt 0 ] || parts=("${all_parts[@]}")
    for name in "${parts[@]}"; do
        if [[ " ${all_parts[*]} " != *" $name "* ]]; then
            sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'
            [ "$name" = --help ] && exit 0
            echo "test.sh: no part is called $name" >&2
            exit 2
        fi
    done
    need_packages test || exit 1
    rm -f "$work"/*/built
    for name in "${parts[@]}"; do
        run_part "$name"
    done
    note "== summary"
    printf '%s\n' "${summary[@]}"
    note "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
}

main "$@"; exit # bash reads a script as it goes: nothing after this line is ever run
