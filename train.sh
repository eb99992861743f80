#!/usr/bin/env bash
# From a fresh clone: make the environment (.venv beside this file, or VENV_PATH), install what constraints.txt
# names, then `simpletuner train ARGS` in the folder it was called from. `ENV=name ./train.sh` picks config/name.
set -euo pipefail
# shellcheck source=scripts/setup-venv.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/scripts/setup-venv.sh"
setup_venv ""
exec "$VENV/bin/simpletuner" train "$@"
