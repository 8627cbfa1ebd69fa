#!/usr/bin/env bash
# Installs what is missing, builds with warnings as errors, runs all tests but the long ones; ends with ctest's summary.
#   --full     also installs the optional tools that some tests look for and runs the kernels' tests for ARM under an
#              emulator (so does CI=true)
#   --quick    leaves out the sanitizer builds
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/dependencies.sh

full=
quick=
[ "${CI:-}" = true ] && full=--full
for argument in "$@"; do
  case "$argument" in
    --full) full=--full ;;
    --quick) quick=yes ;;
    *) echo "test.sh: unknown argument '$argument'; known are --full and --quick"; exit 2 ;;
  esac
done
install_dependencies $full || exit 1

build() {  # PRESET TARGET...
  cmake --preset "$1" --log-level=WARNING && cmake --build --preset "$1" --target "${@:2}"
}

failed=0
build ci all || exit 1
if [ -z "$quick" ]; then
  # Address and undefined behaviour where bytes of strangers and raw memory are handled.
  build sanitize sanitized-tests && ctest --preset sanitize -j2 -L sanitized || failed=1
  # Data races where threads meet.
  build threads threaded-tests && ctest --preset threads -L threaded || failed=1
fi
if [ -n "$full" ]; then
  scripts/arm.sh --install
  case $? in 0 | 77) ;; *) failed=1 ;; esac  # 77: it has said why nothing ran
fi
ctest --preset ci -j2 -LE long || failed=1
exit $failed
