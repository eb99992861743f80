"""The usual mistakes: those that no configuration may hold, and those that are worth a question. Pure but for paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from simpletuner.assemble.configure.answers import Answers
from simpletuner.assemble.configure.cards import CARDS, OWN_NEED, counted, most_pictures
from simpletuner.assemble.configure.suggest import Facts, usual_rate
from simpletuner.config.rules.folders import Refusal, held_out_refused, output_refused
from simpletuner.core.errors import ConfigError
from simpletuner.observe.progress import plural

_FAR = 4
_FEW_STEPS = 200
_Refusal = Refusal | None


def require_sound(answers: Answers, cwd: Path) -> None:
    """Refuse what cannot be meant. Raises ConfigError with the answer's name as its key."""
    for name in _REFUSALS:
        if (problem := problem_with(name, answers, cwd)) is not None:
            raise problem


def problem_with(name: str, answers: Answers, cwd: Path) -> ConfigError | None:
    """What cannot be meant by the answer ``name`` beside the others; None when it may be."""
    found = _REFUSALS.get(name)
    refused = found(answers, cwd) if found else None
    return ConfigError(refused[0], key=name, cure=refused[1]) if refused else None


def _full(folder: str, cwd: Path) -> Path:
    return (cwd / Path(folder).expanduser()).resolve()


def _no_pictures(answers: Answers, cwd: Path) -> _Refusal:
    if answers.pictures and _full(answers.pictures, cwd).is_dir():
        return None
    there = f"there is no folder '{answers.pictures}'" if answers.pictures else "is missing"
    return there, "name the folder of your pictures"


def _no_words(answers: Answers, _cwd: Path) -> _Refusal:
    if answers.captions == "instanceprompt" and not answers.words:
        return "is missing: it is the caption of every picture", "for instance blip"
    return None


def _not_held_out(answers: Answers, cwd: Path) -> _Refusal:
    pictures, held_out = _full(answers.pictures, cwd), _full(answers.held_out, cwd)
    if not answers.held_out:
        return None
    if not held_out.is_dir():
        return f"there is no folder '{answers.held_out}'", "name a folder of other pictures, or nothing"
    return held_out_refused(held_out, pictures)


def _no_output(answers: Answers, cwd: Path) -> _Refusal:
    pictures, output = _full(answers.pictures, cwd), _full(answers.output, cwd)
    if not answers.output:
        return "is missing", "name a folder for results, for instance output/first"
    if output.exists() and not output.is_dir():
        return f"'{answers.output}' is a file", "name a folder"
    return output_refused(output, pictures)


_REFUSALS: dict[str, Callable[[Answers, Path], _Refusal]] = {
    "pictures": _no_pictures,
    "words": _no_words,
    "held_out": _not_held_out,
    "output": _no_output,
}


def warnings(name: str, answers: Answers, facts: Facts, cwd: Path) -> tuple[str, ...]:
    """What is worth a second look in the answer ``name``, together with those before it."""
    found = _WARNINGS.get(name)
    return tuple(found(answers, facts, cwd)) if found else ()


def all_warnings(answers: Answers, facts: Facts, cwd: Path) -> tuple[str, ...]:
    """The same for every answer."""
    return tuple(text for name in _WARNINGS for text in warnings(name, answers, facts, cwd))


def _of_card(answers: Answers, _facts: Facts, _cwd: Path) -> Iterator[str]:
    card = CARDS[answers.card]
    if card.flavour and answers.more.get("model_flavour", card.flavour) != card.flavour:
        yield "A step of the real model takes minutes on a CPU. model_flavour=tiny tries the files."
    if card.precision.endswith("quanto") and find_spec("optimum") is None:
        yield f"{card.precision} needs a package that is not here: pip install '.[quantise]' in the checkout."


def _of_captions(answers: Answers, facts: Facts, _cwd: Path) -> Iterator[str]:
    folder = facts.folder
    if folder is None:
        return
    if answers.captions == "textfile" and (missing := folder.without_text) > 0:
        yield f"{plural(missing, 'picture')} without a text file: left out."
    if answers.captions == "filename" and folder.named * 2 < folder.pictures:
        yield "Most names say nothing (IMG_1234): the model would learn them as captions."


def _of_resolution(answers: Answers, facts: Facts, _cwd: Path) -> Iterator[str]:
    folder, edge = facts.folder, answers.edges[0]
    if folder and folder.edge and folder.edge < edge * 0.9:
        yield f"The pictures have about {folder.edge} px: at {edge} px they are enlarged, blur and all."


def _of_batch(answers: Answers, facts: Facts, _cwd: Path) -> Iterator[str]:
    card, edge = CARDS[answers.card], max(answers.edges)
    need = counted(card.precision, edge, answers.batch) + OWN_NEED
    if card.gigabytes and need > card.gigabytes and answers.batch > most_pictures(card, edge):
        most = most_pictures(card, edge)
        yield f"Counted: {need:.1f} GB, and the card has {card.gigabytes}. Up to {most} should fit."
    update = answers.batch * answers.devices
    if 0 < facts.pictures < update:
        yield f"{plural(facts.pictures, 'picture')} for updates of {update}: each is used several times in one update."


def _of_steps(answers: Answers, facts: Facts, _cwd: Path) -> Iterator[str]:
    if 0 < answers.steps < _FEW_STEPS:
        yield f"{plural(answers.steps, 'step')} will hardly be seen."
    uses = answers.steps * answers.batch * answers.devices
    if facts.pictures and uses > 1000 * facts.pictures:
        yield f"Each picture is used {uses // facts.pictures:,} times: it may be learnt by heart."


def _of_rate(answers: Answers, _facts: Facts, _cwd: Path) -> Iterator[str]:
    optimizer = str(answers.more.get("optimizer", CARDS[answers.card].recipe["optimizer"]))
    usual = usual_rate(optimizer, CARDS[answers.card])
    if usual and not usual / _FAR <= answers.learning_rate <= usual * _FAR:
        side = "above" if answers.learning_rate > usual else "below"
        yield f"{answers.learning_rate:g} is far {side} what LoKr likes with {optimizer}: {usual:g}."


def _of_output(answers: Answers, _facts: Facts, cwd: Path) -> Iterator[str]:
    if any(_full(answers.output, cwd).glob("checkpoint-*/")):
        yield f"'{answers.output}' holds a run: training goes on from its checkpoint, or refuses other settings."


_WARNINGS: dict[str, Callable[[Answers, Facts, Path], Iterator[str]]] = {
    "card": _of_card,
    "captions": _of_captions,
    "resolution": _of_resolution,
    "batch": _of_batch,
    "steps": _of_steps,
    "learning_rate": _of_rate,
    "output": _of_output,
}
