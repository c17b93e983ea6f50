#!/usr/bin/env bash
# The shared library needs the C library, liburing and (unless built without) zstd and lz4 at load
# time, and nothing else: Vulkan is opened when it is used, and jemalloc would forbid dlopen (static
# TLS).
# usage: dependencies.sh LIBRARY
set -u
failed=0
for name in $("${READELF:-readelf}" -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
    case $name in
    libc.so.* | libm.so.* | libpthread.so.* | libdl.so.* | ld-linux*) ;;
    liburing.so.* | libzstd.so.* | liblz4.so.*) ;;
    *)
        echo "FAILED: $1 needs $name"
        failed=1
        ;;
    esac
    echo "needs $name"
done
if "${READELF:-readelf}" -d "$1" | grep -qE 'RPATH|RUNPATH|TEXTREL|STATIC_TLS'; then
    echo "FAILED: run-time path, text relocation or static TLS:"
    "${READELF:-readelf}" -d "$1" | grep -E 'RPATH|RUNPATH|TEXTREL|STATIC_TLS'
    failed=1
fi
exit $failed
