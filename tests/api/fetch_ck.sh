#!/usr/bin/env bash
# Where Concurrency Kit is not installed, configuring takes its headers from its repository; where
# that is out of reach it says what to install.
# usage: fetch_ck.sh SOURCE_DIR CK_INCLUDE_DIR VULKAN_INCLUDE_DIR
set -u
source=$1 ck=$2 vulkan=$3
command -v git >/dev/null || { echo "skipped: git is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Their repository, as far as it matters: ck_md.h is made by configure
repository() {
    mkdir -p "$work/repository/include" && cp -r "$ck"/ck_*.h "$work/repository/include" &&
        mv "$work/repository/include/ck_md.h" "$work/repository/ck_md.h.in" || return 1
    [ ! -d "$ck/gcc" ] || cp -r "$ck/gcc" "$work/repository/include"
    printf '#!/bin/sh\ncp ck_md.h.in include/ck_md.h\n' >"$work/repository/configure"
    chmod +x "$work/repository/configure"
    (cd "$work/repository" && git init -q . && git add -A &&
        git -c user.name=x -c user.email=x@localhost commit -q -m x && git tag 0.7.1)
}

configure() { # folder repository
    "${CMAKE:-cmake}" -S "$source" -B "$work/$1" -DCMAKE_IGNORE_PATH="$ck" \
        -DVULKAN_INCLUDE_DIR="$vulkan" -DDS_CK_REPOSITORY="file://$2" -DDS_BUILD_SHARED=OFF \
        -DDS_BUILD_STATIC=ON >"$work/log" 2>&1
}

fail() {
    echo "FAILED: $*"
    tail -n 30 "$work/log"
    exit 1
}

repository >"$work/log" 2>&1 || fail "no repository"
configure build "$work/repository" || fail "it does not configure"
grep -q "^CK_INCLUDE_DIR:PATH=$work/build/ck/include$" "$work/build/CMakeCache.txt" ||
    fail "these are not the headers of the repository"
rm -rf "$work/repository"
configure build "$work/repository" || fail "it takes them twice"
configure other "$work/repository" && fail "it configures without headers"
grep -q 'libck-dev' "$work/log" || fail "it does not say what to install"
echo "4 passed, 0 failed, 0 skipped"
