"""What a shell offers when TAB is pressed behind a command that selects a run: options, their values, configurations.

click finds the command and asks; ``simpletuner completion SHELL`` prints what joins the shell to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from simpletuner.cli.words import CACHE, CHECK, PLAN, TRAIN, Extras
from simpletuner.config.lenient import allowed_values, plain_type
from simpletuner.config.reading.find import BACKENDS, example_names
from simpletuner.config.reading.names import bare_name
from simpletuner.config.run import OPTIONS
from simpletuner.core.errors import ConfigError

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_SIMPLETUNER_COMPLETE"
_EXTRAS: Mapping[str, Extras] = {"train": TRAIN, "check": CHECK, "plan": PLAN, "cache": CACHE}
_SELECTORS = ("env", "config", "example", "config_backend")
# Instead of click's own for bash, to which a word with "=" is three. Dashes go before asking, because click takes what
# follows on "--name=" for a word of its own; what stands in quotes may hold anything, and nothing depends on it.
_BASH = r"""_simpletuner_completion() {
    local line word dashes asked kind value reply prefix
    line="${COMP_LINE:0:COMP_POINT}"
    line="${line//\"*\"/x}"
    line="${line//\'*\'/x}"
    local -a words
    read -r -a words <<< "$line"
    [[ "$line" == *" " ]] && words+=("")
    word="${words[-1]}"
    asked="$word"
    dashes=""
    prefix=""
    if [[ "$word" == *=* ]]; then
        dashes="${word%%[!-]*}"
        asked="${word#"$dashes"}"
        [[ "$COMP_WORDBREAKS" == *=* ]] && prefix="${asked%%=*}=" && dashes=""
    fi
    reply=$(
        COMP_WORDS="${line%"$word"}$asked" COMP_CWORD=$((${#words[@]} - 1)) \
            _SIMPLETUNER_COMPLETE=bash_complete "$1"
    )
    COMPREPLY=()
    while IFS="," read -r kind value; do
        case "$kind" in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$dashes${value#"$prefix"}") ;;
        esac
    done <<< "$reply"
    [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *= ]] && compopt -o nospace
    return 0
}
complete -o nosort -F _simpletuner_completion simpletuner
"""


def script(shell: str, command: click.Command) -> str:
    """What ``shell`` evaluates to complete ``command``. Raises ConfigError for an unknown shell."""
    if shell == "bash":
        return _BASH
    known = get_completion_class(shell)
    if known is None:
        raise ConfigError(f"'{shell}' is not known", key="completion", cure=f"one of: {', '.join(SHELLS)}")
    return known(command, {}, "simpletuner", VARIABLE).source()


def complete(command: str, words: Sequence[str], incomplete: str, cwd: Path) -> list[CompletionItem]:
    """What may follow on ``incomplete``, a word behind ``simpletuner COMMAND WORDS...``."""
    name, equals, value = incomplete.partition("=")
    waiting = words[-1] if words and words[-1].startswith("-") and "=" not in words[-1] else ""
    if waiting and not incomplete.startswith("-") and not equals and (found := _values(bare_name(waiting), cwd)):
        return [CompletionItem(word) for word in found if word.startswith(incomplete)]
    if not equals:
        return [CompletionItem(word) for word in _names(command, incomplete)]
    if bare_name(name) == "config":
        return [CompletionItem(value, type="file")]
    return [CompletionItem(f"{name}={word}") for word in _values(bare_name(name), cwd) if word.startswith(value)]


def _names(command: str, incomplete: str) -> Iterator[str]:
    """Names that are told apart by dashes: options and selectors with as many as were typed, switches with two."""
    dashes = incomplete[: len(incomplete) - len(incomplete.lstrip("-"))]
    wanted = bare_name(incomplete)
    extras = _EXTRAS.get(command, TRAIN)
    if dashes:
        yield from (f"--{name.replace('_', '-')}" for name in sorted(extras.switches) if name.startswith(wanted))
        yield from (f"--{name.replace('_', '-')}=" for name in sorted(extras.valued) if name.startswith(wanted))
    yield from (f"{dashes}{name}=" for name in (*_SELECTORS, *OPTIONS) if name.startswith(wanted))


def _values(name: str, cwd: Path) -> tuple[str, ...]:
    if name == "env":
        return _environments(cwd)
    if name in ("example", "e"):
        return example_names()
    if name == "config_backend":
        return (*BACKENDS, "cmd")
    if name not in OPTIONS:
        return ()
    annotation = OPTIONS[name].declared.annotation
    return ("true", "false") if plain_type(annotation) is bool else allowed_values(annotation)


def _environments(cwd: Path) -> tuple[str, ...]:
    """The folders below `config/` that hold a configuration."""
    found = {file.parent.name for kind in BACKENDS for file in cwd.glob(f"config/*/config.{kind}")}
    return tuple(sorted(found))
