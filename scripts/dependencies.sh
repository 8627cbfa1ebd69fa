#!/usr/bin/env bash
# What quantbench needs from Debian 12, why, and how it gets there. Sourced by the other scripts; run it alone to install.
#
#   scripts/dependencies.sh            install what building and running need
#   scripts/dependencies.sh --full     also the tools that some tests look for

quantbench_required=(
  "g++:compiles C++20"
  "cmake:configures the build"
  "ninja-build:runs the build"
  "pkg-config:finds libraries"
  "libbenchmark-dev:Google Benchmark, for quantbench-kernels"
  "libboost-dev:Asio and Beast, for coordinator and workers"
  "libcli11-dev:reads command lines"
  "libeigen3-dev:Eigen, linear algebra of quantizers that learn from samples"
  "libfmt-dev:formats text"
  "libhdf5-dev:writes and reads run files"
  "libprotobuf-dev:reads ONNX models"
  "protobuf-compiler:generates the ONNX reader"
  "libsqlite3-dev:keeps the journal of a run"
  "libssl-dev:SHA-256 digests and TLS"
  "nlohmann-json3-dev:reads and writes JSON"
  "zlib1g-dev:reads gzipped data files"
  "doctest-dev:the tests"
)
quantbench_optional=(
  "ccache:makes a second build quick"
  "curl:talks to the coordinator in a test"
  "hdf5-tools:h5dump opens run files in a test"
  "libdnnl-dev:oneDNN, a peer that quantbench-kernels measures beside ours"
  "libopenblas-dev:OpenBLAS, a peer that quantbench-kernels measures beside ours"
  "python3-h5py:opens run files in a test"
  "python3-pandas:opens run files in a test"
  "python3-tables:opens run files in a test"
)
quantbench_arm=(  # scripts/arm.sh; without them no test for ARM runs
  "g++-aarch64-linux-gnu:compiles the kernels for ARM"
  "qemu-user:runs their tests on this machine"
)

package_is_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# install_packages NAME:REASON...: installs what is missing, or prints the one command that would.
install_packages() {
  local missing=() entry
  for entry in "$@"; do
    if ! package_is_installed "${entry%%:*}"; then
      [ ${#missing[@]} -eq 0 ] && echo "Missing Debian packages:"
      printf '  %-22s %s\n' "${entry%%:*}" "${entry#*:}"
      missing+=("${entry%%:*}")
    fi
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local install=(apt-get install -y --no-install-recommends "${missing[@]}")
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    else
      echo "No rights to install them. Run this, then start again:"
      echo "  sudo apt-get update && sudo ${install[*]}"
      return 1
    fi
  fi
  echo "Installing ${#missing[@]} packages..."
  "${as_root[@]}" apt-get update -qq || return 1
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}" >/dev/null || {
    echo "apt-get could not install them; the command was: ${install[*]}"
    return 1
  }
}

install_dependencies() {  # [--full]
  if ! command -v dpkg-query >/dev/null; then
    echo "This script installs Debian packages; here there is no dpkg. Install the equivalents of:"
    printf '  %s\n' "${quantbench_required[@]}"
    return 1
  fi
  install_packages "${quantbench_required[@]}" || return 1
  if [ "${1:-}" = --full ]; then
    install_packages "${quantbench_optional[@]}" || echo "Going on without them; tests that look for one say so."
  fi
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  install_dependencies "$@"
fi
