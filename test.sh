#!/usr/bin/env bash
# ./test.sh [--all] [pytest arguments]: lint, types, house rules, spelling, then the CPU tests.
#   --all            the long forms too
#   REQUIRE_TOOLS=1  a test that lacks a system program (tmux, strace, chromium) fails instead of being skipped
#   TEST_WORKERS=N   pytest processes (default: one a core, at most 4; 0 runs them in one process, for a debugger)
set -euo pipefail
# shellcheck source=scripts/setup-venv.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/scripts/setup-venv.sh"

# One thread a process: on a busy 2-core machine torch's default threads make the suite several times slower.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false

# nproc obeys OMP_NUM_THREADS, which was just set.
cores="$(env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2)"
workers="${TEST_WORKERS:-$((cores < 4 ? cores : 4))}"
summary=()
failed=0

phase() {
    # Every phase runs even after one failed, so that one call shows all there is to mend.
    local name="$1" began=$SECONDS result=ok
    shift
    printf '\n== %s\n' "$name"
    "$@" || { result=FAILED; failed=1; }
    summary+=("$(printf '%-12s %5ds  %s' "$name" "$((SECONDS - began))" "$result")")
}

phase set-up setup_venv test
if [ "$failed" -ne 0 ]; then exit 2; fi
cd -- "$HOUSE"
python="$VENV/bin/python"

phase lint "$python" -m ruff check .
phase format "$python" -m ruff format --check --quiet .
phase types "$python" -m mypy
phase floors "$VENV/bin/lint-imports"
phase spelling "$python" -m codespell_lib src tests docs scripts benchmarks -- *.md *.sh *.toml
phase tests "$python" -m pytest -n "$workers" --dist loadfile --no-loadscope-reorder --durations 10 --durations-min 1 "$@"

printf '\n== summary\n'
printf '%s\n' "${summary[@]}"
exit "$failed"
