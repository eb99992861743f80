"""`simpletuner plan`, once the configuration is loaded. Importing this imports torch."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime

import click
from rich.console import Console

from simpletuner.assemble.planning.alternatives import candidates, in_order_of_cost, measure_alternative
from simpletuner.assemble.planning.estimate import plan_run, stoppable
from simpletuner.assemble.planning.figures import Alternative, RunPlan
from simpletuner.cli.plan_words import plan_json, show
from simpletuner.cli.words import Words
from simpletuner.config.load import LoadedRun
from simpletuner.core.errors import ExitCode
from simpletuner.core.events import Emit, StageProgress
from simpletuner.core.memory import give_back
from simpletuner.observe.build import build_console
from simpletuner.observe.console import PlainConsole


def plan(loaded: LoadedRun, parsed: Words, words: Sequence[str]) -> int:
    """Measure the run that ``words`` select, tell what was found and return the exit code. Raises SimpletunerError."""
    switches = parsed.switches
    is_quiet, only_largest = "json" in switches, "largest" in switches
    listener = PlainConsole(sys.stderr) if is_quiet else build_console()
    try:
        with stoppable():
            found = plan_run(loaded, listener.hear, only_largest=only_largest)
            # The model is gone by now; what torch keeps of a card would be missing in the next process.
            give_back()
            is_wanted = "alternatives" in switches or (found.is_tight and not only_largest)
            others = _alternatives(loaded, found, words, listener.hear) if is_wanted else ()
    finally:
        listener.close()
    if is_quiet:
        click.echo(json.dumps(plan_json(found, others), indent=2))
    else:
        show(Console(highlight=False), found, others, datetime.now().astimezone())
    return ExitCode.MEMORY if found.nothing_fits else ExitCode.OK


def _alternatives(loaded: LoadedRun, found: RunPlan, words: Sequence[str], emit: Emit) -> tuple[Alternative, ...]:
    """Other options for the largest shape, each measured alone, the cheapest first."""
    wanted = candidates(loaded, found.machine.kind, found.shapes[0].shape)
    measured: list[Alternative] = []
    for changes in wanted:
        emit(StageProgress("plan", f"measuring {' '.join(changes)}", len(measured), len(wanted)))
        measured.append(measure_alternative(words, changes, os.environ))
    if wanted:
        emit(StageProgress("plan", "measuring alternatives", len(wanted), len(wanted)))
    return in_order_of_cost(measured)
