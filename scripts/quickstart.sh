#!/usr/bin/env bash
# From a fresh machine to a first table: installs what is missing, builds, runs configs/quickstart.json.
# Arguments are passed on to `quantbench run`, e.g. --workers 1 or --csv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/dependencies.sh
install_dependencies

cmake --preset release --log-level=WARNING
cmake --build --preset release --target quantbench quantbench-worker
exec build/release/bin/quantbench run configs/quickstart.json --fresh "$@"
