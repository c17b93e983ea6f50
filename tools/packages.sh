# Installs what the build, the demo and the tests need and the machine lacks. Sourced by demo.sh and
# test.sh: need_packages build|test; afterwards cmake_arguments holds what cmake must be told.
# Debian and its kin through apt-get, Arch and its kin through pacman; as root or through sudo.
# shellcheck shell=bash

ck_version=0.7.1
cmake_arguments=()

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "not root and no sudo: run as root: $*" >&2
        return 1
    fi
}

has_command() { command -v "$1" >/dev/null 2>&1; }
has_library() { has_command pkg-config && pkg-config --exists "$1"; }
has_header() { # header, searched as the compiler does
    has_command cc && echo "#include <$1>" | cc -E -x c - >/dev/null 2>&1
}

# Each line: what is missing if the check fails | Debian's package | Arch's package | check
build_needs() {
    cat <<'END'
build-essential|base-devel|has_command make && has_header stdio.h && has_command c++
cmake|cmake|has_command cmake
ninja-build|ninja|has_command ninja
pkg-config|pkgconf|has_command pkg-config
git|git|has_command git
liburing-dev|liburing|has_library liburing
libck-dev|concurrencykit|has_header ck_ring.h || [ -e "$ck_dir/include/ck_md.h" ]
libjemalloc-dev|jemalloc|has_library jemalloc
libvulkan-dev|vulkan-headers|has_header vulkan/vulkan_core.h
libvulkan1|vulkan-icd-loader|ldconfig_has libvulkan.so.1
glslang-tools|glslang|has_command glslangValidator
libzstd-dev|zstd|has_library libzstd
liblz4-dev|lz4|has_library liblz4
END
}

# The software driver, so that the whole path runs on machines without a GPU
driver_needs() {
    echo 'mesa-vulkan-drivers|vulkan-swrast|has_driver'
}

test_needs() {
    cat <<'END'
libcriterion-dev|criterion|has_library criterion
vulkan-validationlayers|vulkan-validation-layers|has_layer
clang|clang|has_command clang
python3|python|has_command python3
fio|fio|has_command fio
valgrind|valgrind|has_command valgrind
libdeflate-dev|libdeflate|has_library libdeflate
END
}

ldconfig_has() { /sbin/ldconfig -p 2>/dev/null | grep -qF "$1"; }
has_driver() {
    compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null ||
        compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null
}
has_layer() { [ -e /usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json ]; }

missing_packages() { # column; needs on stdin
    local debian arch check
    while IFS='|' read -r debian arch check; do
        eval "$check" && continue
        [ "$1" = debian ] && echo "$debian" || echo "$arch"
    done
}

install_debian() {
    local packages=("$@")
    echo "installing: ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${packages[@]}"
}

# Not every package of ours is in Arch's own repositories: those go on alone, and what they are for
# has a way out (take_ck below; the tests' stand-in for Criterion).
install_arch() {
    local package known=()
    for package in "$@"; do
        if pacman -Si "$package" >/dev/null 2>&1 || pacman -Sg "$package" >/dev/null 2>&1; then
            known+=("$package")
        else
            echo "skipped: pacman knows no package $package"
        fi
    done
    [ ${#known[@]} -eq 0 ] && return 0
    echo "installing: ${known[*]}"
    as_root pacman -S --needed --noconfirm "${known[@]}"
}

# Concurrency Kit's headers are all that the library needs of it.
take_ck() {
    has_header ck_ring.h && return 0
    if [ ! -e "$ck_dir/include/ck_md.h" ]; then
        echo "taking Concurrency Kit $ck_version from its repository into $ck_dir"
        rm -rf "$ck_dir"
        git clone -q --depth 1 --branch "$ck_version" https://github.com/concurrencykit/ck \
            "$ck_dir" && (cd "$ck_dir" && ./configure >/dev/null) || return 1
    fi
    cmake_arguments+=("-DCK_INCLUDE_DIR=$ck_dir/include")
}

need_packages() { # build|test
    local missing needs
    ck_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/build/ck
    needs=$(build_needs; driver_needs)
    [ "$1" = test ] && needs=$(echo "$needs"; test_needs)
    if has_command apt-get; then
        mapfile -t missing < <(missing_packages debian <<<"$needs")
        [ ${#missing[@]} -eq 0 ] || install_debian "${missing[@]}" || return 1
    elif has_command pacman; then
        mapfile -t missing < <(missing_packages arch <<<"$needs")
        [ ${#missing[@]} -eq 0 ] || install_arch "${missing[@]}" || return 1
        take_ck || return 1
    else
        mapfile -t missing < <(missing_packages debian <<<"$needs")
        [ ${#missing[@]} -eq 0 ] && return 0
        echo "neither apt-get nor pacman; please install what Debian calls: ${missing[*]}" >&2
        return 1
    fi
}
