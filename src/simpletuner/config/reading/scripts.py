"""Commands that a run starts, with places for values of the run. No shell ever reads one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from itertools import pairwise

CHECKPOINT_PLACES = (
    *("local_checkpoint_path", "global_step", "tracker_run_name", "tracker_project_name"),
    *("model_family", "model_type", "lora_type"),
)
"""What a script of a checkpoint may name; every ``validation_*`` option, too (SPEC 2.10)."""
OF_UPLOADS = ("remote_checkpoint_path", "huggingface_path")
_PLACE = re.compile(r"\{([a-z_]+)\}")
# `sh -c`, `bash -lc`, `python -c`: the next word is a program, and a value in it would be one, too.
_PROGRAM_FOLLOWS = re.compile(r"-[a-z]*c")


def script_problem(script: str, *, after_upload: bool = False) -> tuple[str, str] | None:
    """What is wrong with a command line and its cure; None when it can be started as far as can be seen.

    ``after_upload`` lets it name where things were uploaded to.
    """
    return _words_problem(script) or _place_problem(script, after_upload=after_upload)


def _words_problem(script: str) -> tuple[str, str] | None:
    try:
        words = shlex.split(script)
    except ValueError as error:
        return f"cannot be split into words: {error}", "close the quotes"
    if not words:
        return "names no program", "name one, or remove the option"
    for former, word in pairwise(words):
        if _PROGRAM_FOLLOWS.fullmatch(former) and _PLACE.search(word):
            cure = "write it as a word of its own behind the program, or read SIMPLETUNER_LOCAL_CHECKPOINT_PATH ..."
            return f"a value would become a part of the program after {former}", cure
    return None


def _place_problem(script: str, *, after_upload: bool) -> tuple[str, str] | None:
    for place in _PLACE.findall(script):
        if place in OF_UPLOADS and not after_upload:
            return f"{{{place}}} is known after an upload only", "write the command as post_upload_script"
        if place not in (*OF_UPLOADS, *CHECKPOINT_PLACES) and not place.startswith("validation_"):
            return f"nothing is called {{{place}}}", f"one of {', '.join(CHECKPOINT_PLACES)}, or a validation option"
    return None


def filled(script: str, facts: Mapping[str, str]) -> list[str]:
    """The words of ``script`` with each place filled; what nobody knows is empty. No value ever becomes two words."""
    return [_PLACE.sub(lambda match: facts.get(match[1], ""), word) for word in shlex.split(script)]
