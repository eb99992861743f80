"""Every option is read by the rooms that its declaration names, or by nobody and says why. Proven on the source."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from simpletuner.config.describe import bounds
from simpletuner.config.lenient import allowed_values
from simpletuner.config.option import REQUIRED, facts_of, option, refuse_later, spelled
from simpletuner.config.run import OPTIONS, Option

SOURCE = Path(__file__).parents[2] / "src" / "simpletuner"
NAMES = Path(__file__).with_name("option_names.txt")
# Rooms that hand a section's values on to others.
HANDS_ON = ("assemble", "cli")
# Read while the run is loaded, and handed on as a field of it.
FOLLOWED = {"validation_input": {"inputs"}}


@dataclass(frozen=True)
class Module:
    """One source file: its room, the attributes and names that it reads, its plain words, the rooms it imports from.

    ``inside`` are the attributes that each of its functions reads.
    """

    room: str
    attributes: frozenset[str]
    names: frozenset[str]
    words: frozenset[str]
    imports: frozenset[str]
    inside: Mapping[str, frozenset[str]]


def attributes_of(nodes: Iterable[ast.AST]) -> frozenset[str]:
    return frozenset(node.attr for node in nodes if isinstance(node, ast.Attribute))


def module(room: str, text: str) -> Module:
    nodes = list(ast.walk(ast.parse(text)))
    imported = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    words = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return Module(
        room=room,
        attributes=attributes_of(nodes),
        names=frozenset(node.id for node in nodes if isinstance(node, ast.Name)),
        words=frozenset(word for text in words for word in text.split()),
        imports=frozenset(name.split(".")[1] for name in imported if name.startswith("simpletuner.")),
        inside={node.name: attributes_of(ast.walk(node)) for node in nodes if isinstance(node, ast.FunctionDef)},
    )


def modules() -> list[Module]:
    paths = sorted(SOURCE.rglob("*.py"))
    return [module(path.relative_to(SOURCE).parts[0], path.read_text(encoding="utf-8")) for path in paths]


def is_read(name: str, room: str, found: Sequence[Module]) -> bool:
    """Whether ``room`` reads it itself, or gets it from a module of a higher floor that both reads it and knows it."""
    names = names_of(name, found)
    readers = [one for one in found if name in one.attributes or not names.isdisjoint(one.names | one.attributes)]
    return any(one.room == room or (one.room in HANDS_ON and room in one.imports) for one in readers)


def names_of(name: str, found: Iterable[Module]) -> frozenset[str]:
    """What `config` calls that which follows from an option: its functions and properties that read it."""
    ours = [one.inside for one in found if one.room == "config"]
    follows = {function for inside in ours for function, read in inside.items() if name in read}
    return frozenset({function for function in follows if not function.startswith("_")} | FOLLOWED.get(name, set()))


def is_read_by_config(given: Option, found: Iterable[Module]) -> bool:
    """A rule reads it by its name, or it has but one value that is not refused, so that checking it is reading it."""
    declared = given.declared
    facts = facts_of(declared)
    allowed = {value for value in allowed_values(declared.annotation) if value not in facts.refused}
    limits = bounds(declared)
    is_settled = len(allowed) == 1 or bool(facts.refused) or limits.get("ge", 0) == limits.get("le")
    return is_settled or any(given.name in one.attributes | one.words for one in found if one.room == "config")


@pytest.fixture(scope="module")
def found() -> list[Module]:
    return modules()


def test_who_is_said_to_read_an_option_does(found: list[Module]) -> None:
    wrong = []
    for name, given in OPTIONS.items():
        for room in facts_of(given.declared).reads:
            read = is_read_by_config(given, found) if room == "config" else is_read(name, room, found)
            if not read:
                wrong.append((name, room))
    assert wrong == [], "said to be read there, and is not"


def test_what_nobody_reads_says_why_and_is_read_by_nobody(found: list[Module]) -> None:
    unread = [name for name, given in OPTIONS.items() if not facts_of(given.declared).reads]
    assert len(unread) > 40
    wrong = [name for name in unread for one in found if name in one.attributes and one.room != "config"]
    assert wrong == []
    assert [name for name in unread if not facts_of(OPTIONS[name].declared).unread] == []


def test_the_proof_sees_an_option_that_is_not_read() -> None:
    engine = module("training", "from simpletuner.core import x\nrate = config.optimizer.learning_rate")
    hand = module("assemble", "from simpletuner.training.update import U\nU(ema.ema_decay)")
    assert is_read("learning_rate", "training", [engine])
    assert is_read("ema_decay", "training", [hand])
    assert not is_read("ema_decay", "validation", [hand])
    rule = module("config", "def is_averaged(ema):\n    return ema.ema_decay > 0")
    picture = module("validation", "from simpletuner.config.rules.together import is_averaged\nis_averaged(ema)")
    assert is_read("ema_decay", "validation", [rule, picture])
    assert not is_read("ema_device", "training", [engine, hand])
    nobody = Option("gone", "x", option(None, reads=("config",)))
    assert not is_read_by_config(nobody, [engine, hand])


def test_a_new_option_is_a_decision() -> None:
    """After adding or removing one on purpose, change the list beside this test."""
    assert sorted(OPTIONS) == NAMES.read_text(encoding="utf-8").split()


def test_a_declaration_keeps_what_it_says() -> None:
    declared = option(REQUIRED, reads=("data",), refused=refuse_later("b"), respelled={"A": "a"}, ge=1)
    facts = facts_of(declared)
    assert (facts.reads, facts.respelled) == (("data",), {"A": "a"})
    assert declared.is_required()
    said: Mapping[str, str] = facts.refused
    assert list(said) == ["b"]
    assert (spelled(True), spelled(16), spelled("x")) == ("true", "16", "x")
