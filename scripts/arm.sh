#!/usr/bin/env bash
# Compiles the kernels for 64-bit ARM and runs their tests under qemu-aarch64. Ends with ctest's summary, or with one line
# that says why nothing ran.
#
#   scripts/arm.sh               needs the packages of quantbench_arm in scripts/dependencies.sh
#   scripts/arm.sh --install     installs them first
#
# Exit status: 0 all tests passed, 1 something failed, 77 compiler, emulator or libraries cannot be had here.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/dependencies.sh

# Debian's packages for arm64, unpacked side by side: to install them, this machine would need a second architecture.
packages=(doctest-dev libbenchmark-dev libbenchmark1debian libfmt-dev libfmt9 libssl-dev libssl3 nlohmann-json3-dev)
folder="$PWD/build/arm-packages"

skip() {
  echo "ARM tests: SKIPPED, $1"
  exit 77
}

# apt-get with lists of its own, so that neither the lists nor the packages of this machine change. Needs no rights.
apt_arm64() {
  apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User="$(id -un)" \
    -o Dir::State="$folder/apt" -o Dir::State::status="$folder/apt/status" -o Dir::Cache="$folder/apt/cache" "$@"
}

fetch_packages() {
  [ "$(cat "$folder/unpacked" 2>/dev/null)" = "${packages[*]}" ] && return 0
  rm -rf "$folder"
  mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" && : >"$folder/apt/status" &&
    apt_arm64 update && (cd "$folder/apt" && apt_arm64 download "${packages[@]}") || return 1
  local package
  for package in "$folder"/apt/*.deb; do
    dpkg-deb --extract "$package" "$folder" || return 1
  done
  rm -rf "$folder/apt"
  echo "${packages[*]}" >"$folder/unpacked"
}

[ "${1:-}" = --install ] && { install_packages "${quantbench_arm[@]}" || skip "compiler and emulator cannot be installed"; }
for tool in aarch64-linux-gnu-g++ qemu-aarch64; do
  command -v $tool >/dev/null || skip "there is no $tool; scripts/arm.sh --install installs it"
done
fetch_packages || skip "the libraries for arm64 cannot be fetched: ${packages[*]}"
cmake --preset arm --log-level=WARNING && cmake --build --preset arm || exit 1
ctest --preset arm -j2 -LE long || exit 1
left_out=$(grep -oh "not run on this host: [a-z0-9_]*" build/arm/Testing/Temporary/LastTest.log | sort -u | cut -d: -f2 | tr -d '\n')
echo "ARM tests: passed under $(qemu-aarch64 --version | head -1); kernels that its processor could not run:${left_out:- none}"
