# shellcheck shell=bash
# Sourced by train.sh and test.sh. `setup_venv EXTRAS` leaves $VENV ready: an environment holding this checkout,
# installed in place (so an edit needs no new install), with EXTRAS ("" or "test") of pyproject.toml.
# It is the caller's folder that stays current. Everything it says goes to stderr.

HOUSE="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="${VENV_PATH:-$HOUSE/.venv}"
case "$VENV" in /*) ;; *) VENV="$PWD/$VENV" ;; esac

_fits() {
    # Can it make an environment, and is it a version that pyproject.toml allows?
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1
}

_find_python() {
    # 3.11 first because constraints.txt is tested on it; 3.12 and 3.13 are allowed. A bare `python3.11` may be a
    # pyenv shim that points nowhere, hence the search below ~/.pyenv too.
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} \
        python3.11 "$HOME"/.pyenv/versions/3.11*/bin/python \
        python3.12 "$HOME"/.pyenv/versions/3.12*/bin/python \
        python3.13 "$HOME"/.pyenv/versions/3.13*/bin/python \
        python3 python; do
        if _fits "$candidate"; then
            command -v -- "$candidate"
            return 0
        fi
    done
    return 1
}

_say() { printf '%s\n' "$*" >&2; }

_stamp_of() {
    # What the installation depends on. The folder is part of it: the environment points at this checkout.
    { printf '%s\n' "$HOUSE" "$1"; cat "$HOUSE/pyproject.toml" "$HOUSE/constraints.txt"; } | cksum
}

_make_venv() {
    local python
    if [ -d "$VENV" ] && [ -n "$(ls -A "$VENV")" ] && [ ! -f "$VENV/pyvenv.cfg" ]; then
        _say "$VENV is a folder with something else in it; set VENV_PATH to a new one"
        return 2
    fi
    if [ -n "${PYTHON:-}" ] && ! _fits "$PYTHON"; then
        _say "PYTHON=$PYTHON cannot be used: simpletuner needs Python 3.11, 3.12 or 3.13 with venv"
        return 2
    fi
    if ! python="$(_find_python)"; then
        _say "simpletuner needs Python 3.11, 3.12 or 3.13 with venv (python3 here: $(python3 --version 2>/dev/null || echo none)); install one (apt install python3.11 python3.11-venv) or set PYTHON=/path/to/python3.11"
        return 2
    fi
    _say "Making $VENV with $("$python" --version) ($python)"
    "$python" -m venv "$VENV"
}

_install() {
    # The status is handed on by hand: inside `f || ...`, as test.sh calls it, `set -e` is not in force.
    local target="$HOUSE${1:+[$1]}" pip=("$VENV/bin/python" -m pip --disable-pip-version-check install -c "$HOUSE/constraints.txt")
    _say "Installing into $VENV: a minute or some the first time, then only when pyproject.toml or constraints.txt changes"
    # torch first and pinned: a package that pulls torch without a version would bring several GB of CUDA where a
    # CPU build is offered to pip.
    "${pip[@]}" torch >&2 && "${pip[@]}" -e "$target" >&2
}

_is_ready() { [ -f "$1" ] && [ "$(cat "$1")" = "$(_stamp_of "$2")" ]; }

_write_stamp() {
    # Renamed into place, so that half a stamp cannot exist.
    _stamp_of "$2" >"$1.partial" && mv "$1.partial" "$1"
}

_set_up_alone() {
    local extras="$1" stamp="$VENV/.simpletuner-installed"
    # Another call may have finished the work while this one waited for it.
    if _is_ready "$stamp${extras:+-$extras}" "$extras"; then return 0; fi
    # pip is the last thing that venv installs, so without it the environment is half made.
    if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        _make_venv || return
    fi
    # All stamps go before pip starts: an interrupted installation leaves none, whatever it was for.
    rm -f "$stamp" "$stamp"-*
    _install "$extras" || return
    _write_stamp "$stamp" "" || return
    if [ -n "$extras" ]; then _write_stamp "$stamp-$extras" "$extras"; fi
}

setup_venv() {
    local status=0
    if _is_ready "$VENV/.simpletuner-installed${1:+-$1}" "$1"; then return 0; fi
    mkdir -p -- "$VENV" || return
    # Two calls at once take turns. The folder itself is the lock, so no lock file is left.
    exec 9<"$VENV"
    if command -v flock >/dev/null 2>&1; then flock 9; fi
    _set_up_alone "$1" || status=$?
    exec 9<&-
    # Leave no empty folder behind a refusal.
    if [ "$status" -ne 0 ]; then rmdir -- "$VENV" 2>/dev/null || true; fi
    return "$status"
}
