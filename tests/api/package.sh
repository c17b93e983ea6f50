#!/usr/bin/env bash
# Installs the build, moves the installed tree, and builds a small program against it: with CMake's
# find_package and with pkg-config, in C and in C++, with the static and with the shared library.
# usage: package.sh BUILD_DIR SOURCE_DIR
set -u
build=$1
source=$2
consumer=$source/tests/api/consumer
cmake=${CMAKE:-cmake}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

check() { # name command...
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
        tail -n 30 "$work/log"
    fi
}

"$cmake" --install "$build" --prefix "$work/first" >"$work/log" 2>&1 || {
    cat "$work/log"
    exit 1
}
mv "$work/first" "$work/moved" # both kinds of package find their files from where they lie
prefix=$work/moved
libdir=$(dirname "$(find "$prefix" -name 'libds_runtime*' | head -n 1)")
export PKG_CONFIG_PATH=$libdir/pkgconfig
export LD_LIBRARY_PATH=$libdir
unset DESTDIR

check "no path of this machine in the package" \
    bash -c "! grep -rnF -e '$build' -e '$source' -e '$work/first' \
        '$libdir/pkgconfig' '$libdir/cmake' '$prefix/include'"

run_cmake() { # kind
    "$cmake" -S "$consumer" -B "$work/$1" -DKIND="$1" -DCMAKE_PREFIX_PATH="$prefix" \
        -DCMAKE_BUILD_TYPE=Release &&
        "$cmake" --build "$work/$1" && "$work/$1/consumer_c" && "$work/$1/consumer_cpp"
}

run_pkg_config() { # package compiler standard source
    # shellcheck disable=SC2046
    $2 -std="$3" -Wall -Wextra -Werror "$4" -o "$work/by_pkg_config" \
        $(pkg-config --cflags --libs "$1") && "$work/by_pkg_config"
}

for kind in static shared; do
    case $kind in
    static) library=libds_runtime_static.a package=ds-runtime-static ;;
    shared) library=libds_runtime.so package=ds-runtime ;;
    esac
    if [ ! -e "$libdir/$library" ]; then
        echo "skipped: $kind: this build has no $library"
        skipped=$((skipped + 4))
        continue
    fi
    check "find_package, $kind" run_cmake "$kind"
    check "pkg-config, $kind, C" run_pkg_config "$package" "${CC:-cc}" gnu11 "$consumer/main.c"
    check "pkg-config, $kind, C++" run_pkg_config "$package" "${CXX:-c++}" gnu++17 \
        "$consumer/main.cpp"
    check "version of $package" \
        bash -c "[ \"\$(pkg-config --modversion $package)\" = \"\$($work/by_pkg_config)\" ]"
done

# The README's example is a program that compiles and runs.
if [ -e "$source/README.md" ]; then
    # the first one; what follows it are fragments
    awk '/^```/ && inside {exit} inside {print} /^```c$/ {inside = 1}' "$source/README.md" \
        >"$work/example.c"
    head -c 100000 /dev/urandom >"$work/asset"
    package=ds-runtime
    run_example() {
        # shellcheck disable=SC2046
        "${CC:-cc}" -std=gnu11 -Wall -Wextra -Werror "$work/example.c" -o "$work/example" \
            $(pkg-config --cflags --libs "$package") && "$work/example" "$work/asset"
    }
    check "the README's example" run_example
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -ge 5 ]
