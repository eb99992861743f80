"""The conversation: question after question, what follows from each answer at once, and the files at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from simpletuner.assemble.configure import screens
from simpletuner.assemble.configure.answers import ALIASES, NAMES, Answers, parse
from simpletuner.assemble.configure.door import Door
from simpletuner.assemble.configure.existing import Existing, merged
from simpletuner.assemble.configure.guards import all_warnings, problem_with, require_sound, warnings
from simpletuner.assemble.configure.more import ask_more
from simpletuner.assemble.configure.saving import Change, changes
from simpletuner.assemble.configure.steps import STEPS, Choice, Step
from simpletuner.assemble.configure.suggest import Facts, complete
from simpletuner.assemble.configure.trial import Trial, folder_of
from simpletuner.core.errors import ConfigError, SimpletunerError
from simpletuner.data.report.report import DatasetReport

_BEFORE_SIZES = ("pictures", "captions")
_BY_NAME = {step.name: step for step in STEPS}
_END = (
    Choice("write", "write the files"),
    Choice("change", "change an answer"),
    Choice("more", "more options", "every option, by section"),
    Choice("leave", "leave", "nothing is written"),
)


@dataclass
class Wizard:
    """What is known so far. ``before`` are the answers of the configuration that is edited, None for a new one."""

    trial: Trial
    existing: Existing
    facts: Facts
    given: dict[str, Any]
    more: dict[str, Any] = field(default_factory=dict)
    before: Answers | None = None

    def answers(self) -> Answers:
        """All of them, suggestions where nothing was answered."""
        return complete(self.given, self.facts, self.more)

    def files(self) -> dict[str, Any]:
        """What would be written."""
        return merged(self.answers(), self.before, self.existing)

    def look(self) -> Sequence[DatasetReport]:
        """Look at the pictures under the answers so far. Raises ConfigError or DataError when none can be used."""
        found = self.trial.look(self.files())
        self.facts = replace(self.facts, folder=folder_of(found))
        return found.report.datasets

    def require_valid(self) -> None:
        """Read the files as `train` would. Raises ConfigError."""
        require_sound(self.answers(), self.trial.cwd)
        self.trial.load(self.files())

    def changes(self) -> tuple[Change, ...]:
        """The files that would be written."""
        return changes(self.files(), self.existing.paths)


def settle(wizard: Wizard) -> Sequence[DatasetReport]:
    """Answer every question as suggested, as `--yes` does; what is known of the pictures afterwards.

    Raises ConfigError or DataError where the answers do not go together.
    """
    require_sound(wizard.answers(), wizard.trial.cwd)
    wizard.look()
    # Now sizes and captions are known, which decide what is suggested; then the buckets.
    wizard.look()
    reports = wizard.look()
    wizard.require_valid()
    return reports


def converse(wizard: Wizard, door: Door) -> tuple[Change, ...] | None:
    """Ask everything; the changes that the user agreed to, or None when they leave."""
    if wizard.before is not None:
        _first_look(wizard)
    for step in STEPS:
        if step.applies(vars(wizard.answers()), wizard.facts):
            _ask(wizard, door, step)
    return _end(wizard, door)


def _first_look(wizard: Wizard) -> None:
    """Pictures that are gone are told when they are asked for."""
    try:
        wizard.look()
    except SimpletunerError:
        return


def _ask(wizard: Wizard, door: Door, step: Step) -> None:
    """One question, until its answer goes with the others."""
    trouble: SimpletunerError | None = None
    while True:
        values = vars(wizard.answers())
        door.screen(step.title, _place(step, values, wizard.facts))
        if trouble is not None:
            door.show(screens.problem(trouble))
        for line in step.about(values, wizard.facts):
            door.show(line)
        wizard.given[step.name] = _answer(door, step, values, wizard.facts)
        trouble, is_kept = _judged(wizard, door, step)
        if is_kept:
            return


def _judged(wizard: Wizard, door: Door, step: Step) -> tuple[SimpletunerError | None, bool]:
    """Why an answer cannot stay, if it cannot; whether it stays."""
    trouble = problem_with(step.name, wizard.answers(), wizard.trial.cwd)
    if trouble is not None:
        return trouble, False
    try:
        return None, _is_kept(wizard, door, step)
    except SimpletunerError as error:
        return error, False


def _place(step: Step, values: Mapping[str, Any], facts: Facts) -> str:
    asked = [one.name for one in STEPS if one.applies(values, facts)]
    return f"{asked.index(step.name) + 1} of {len(asked)}"


def _answer(door: Door, step: Step, values: Mapping[str, Any], facts: Facts) -> Any:
    default = _spelled(values[step.name])
    if step.choices is not None:
        return parse(step.name, door.choose(step.question, list(step.choices(values, facts)), default))

    def complaint(text: str) -> str:
        try:
            parse(step.name, text)
        except ConfigError as error:
            return f"{error.reason}: {error.cure}"
        return ""

    return parse(step.name, door.write(step.question, default, complaint, folder=step.is_folder))


def _spelled(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_kept(wizard: Wizard, door: Door, step: Step) -> bool:
    """Show what follows from an answer; whether the user keeps it. Raises ConfigError or DataError."""
    looks = step.looks and bool(wizard.given[step.name])
    if looks:
        door.show("[dim]looking at the pictures ...[/]")
        door.show(screens.looked_at(wizard.look(), with_sizes=step.name not in _BEFORE_SIZES))
    told = warnings(step.name, wizard.answers(), wizard.facts, wizard.trial.cwd)
    if told:
        door.show(screens.worth(told))
    return not (looks or told) or door.agree("Go on with this?", default=not told)


def _end(wizard: Wizard, door: Door) -> tuple[Change, ...] | None:
    """Everything at a glance, until it is written or left."""
    trouble: SimpletunerError | None = None
    while True:
        _show_all(wizard, door, trouble)
        chosen, trouble = door.choose("What now?", _END, "write"), None
        if chosen == "leave":
            return None
        if chosen == "change":
            _change(wizard, door)
        elif chosen == "more":
            ask_more(wizard.trial, door, wizard.more, wizard.files)
        else:
            try:
                made = _valid_changes(wizard)
            except SimpletunerError as error:
                trouble = _led_back(wizard, door, error)
                continue
            if _agreed(door, made):
                return made


def _show_all(wizard: Wizard, door: Door, trouble: SimpletunerError | None) -> None:
    answers = wizard.answers()
    door.screen("All of it", str(wizard.trial.target.file))
    door.show(screens.summary(answers, wizard.facts))
    if told := all_warnings(answers, wizard.facts, wizard.trial.cwd):
        door.show(screens.worth(told))
    if trouble is not None:
        door.show(screens.problem(trouble))


def _valid_changes(wizard: Wizard) -> tuple[Change, ...]:
    wizard.require_valid()
    return wizard.changes()


def _led_back(wizard: Wizard, door: Door, error: SimpletunerError) -> SimpletunerError | None:
    """Ask again what an error is about; the error itself where no question is."""
    key = str(error.key or "").rpartition(": ")[2]
    name = ALIASES.get(key, key)
    if name not in NAMES or name in wizard.more:
        return error
    door.show(screens.problem(error))
    if door.agree(f"Answer '{name}' again?", default=True):
        _ask(wizard, door, _BY_NAME.get(name, STEPS[0]))
        return None
    return error


def _change(wizard: Wizard, door: Door) -> None:
    values = vars(wizard.answers())
    asked = [step for step in STEPS if step.applies(values, wizard.facts)]
    choices = [Choice(step.name, step.name, _spelled(values[step.name])) for step in asked]
    door.screen("Change an answer", "")
    _ask(wizard, door, _BY_NAME[door.choose("Which one?", choices, choices[0].value)])


def _agreed(door: Door, made: Sequence[Change]) -> bool:
    """Whether every file that is there may be replaced."""
    for one in made:
        if not one.is_new:
            door.screen("A file is there already", "")
            door.show(f"[bold]{one.path}[/]")
            door.show(screens.change(one))
            if not door.agree("Replace it? The former one is kept as .bak", default=True):
                return False
    return True
