"""The questions, in the order a person thinks: title, what is worth knowing, and what may be chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from simpletuner.assemble.configure.cards import CARDS, OWN_NEED, counted, most_pictures, usual_batch
from simpletuner.assemble.configure.sizes import lokr_text, lora_values, size_text
from simpletuner.assemble.configure.suggest import TINY_EDGE, TINY_RATE, Facts, edge_of

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Choice:
    """One of several: the answer, what it is called, and a word about it."""

    value: str
    title: str
    note: str = ""


@dataclass(frozen=True)
class Step:
    """One screen. ``choices`` None takes a text, ``is_folder`` completes paths, ``looks`` looks at the pictures after.

    The functions take the answers so far, that of this step its default among them, and what is known.
    """

    name: str
    title: str
    question: str
    about: Callable[[Values, Facts], Iterator[str]]
    choices: Callable[[Values, Facts], Iterator[Choice]] | None = None
    applies: Callable[[Values, Facts], bool] = lambda _values, _facts: True
    is_folder: bool = False
    looks: bool = False


def _card(_values: Values, facts: Facts) -> Iterator[str]:
    found = f"Found here: {', '.join(facts.machine.cards)}."
    yield found if facts.machine.cards else "None is found here: choose the one that will train, or CPU for a try."
    yield "It decides number formats and batch, as docs/memory-and-speed.md counts them."


def _cards(_values: Values, _facts: Facts) -> Iterator[Choice]:
    for name, card in CARDS.items():
        formats = "bf16" if card.precision == "no_change" else card.precision
        yield Choice(
            name, card.title, "the tiny model, for trying" if name == "cpu" else f"{formats}, batch {card.batch}"
        )


def _devices(_values: Values, facts: Facts) -> Iterator[str]:
    yield f"{len(facts.machine.cards)} cards are here. Each takes a batch of its own in every update."


def _teach(_values: Values, _facts: Facts) -> Iterator[str]:
    yield "It decides what is suggested for captions and length."


def _teachings(_values: Values, _facts: Facts) -> Iterator[Choice]:
    yield Choice("subject", "a subject", "one person, animal, thing; 8 to 40 pictures")
    yield Choice("style", "a style", "how pictures look, whatever they show")
    yield Choice("general", "general improvement", "many pictures with captions")


def _pictures(_values: Values, _facts: Facts) -> Iterator[str]:
    yield "A folder; the folders below it are searched too. TAB completes."


def _captions(_values: Values, facts: Facts) -> Iterator[str]:
    if facts.folder:
        found = facts.folder
        yield f"Of {found.pictures} pictures {found.texts} have a text file, {found.named} a name with words in it."


def _captionings(_values: Values, _facts: Facts) -> Iterator[Choice]:
    yield Choice("textfile", "text files", "cat.txt beside cat.png")
    yield Choice("filename", "file names", 'red_apple.png is "red apple"')
    yield Choice("instanceprompt", "the same words for all", "the name of your subject")


def _words(values: Values, _facts: Facts) -> Iterator[str]:
    if values["captions"] == "instanceprompt":
        yield "The caption of every picture. Later you write the same words into a prompt."
        yield 'A name that the model does not know learns fastest: "blip" rather than "dog".'
    else:
        yield "They stand before every caption, and call up what was learnt. Empty is none."


def _resolution(values: Values, facts: Facts) -> Iterator[str]:
    if facts.folder:
        yield f"The pictures have about {facts.folder.edge} x {facts.folder.edge} pixels."
    if CARDS[values["card"]].flavour:
        yield f"The tiny model draws best at {TINY_EDGE}; larger is slower, to see that the files work."
    else:
        yield "OmniGen is a 1024 px model; 512 takes a quarter of the time. Or another edge."


def _crop(_values: Values, _facts: Facts) -> Iterator[str]:
    yield "Pictures of one shape share a bucket, and a batch is of one bucket."


def _crops(_values: Values, _facts: Facts) -> Iterator[Choice]:
    yield Choice("keep", "keep their shapes", "little is cut off")
    yield Choice("square", "cut squares from the middle", "one bucket, full batches")


def _batch(values: Values, _facts: Facts) -> Iterator[str]:
    card, edge = CARDS[values["card"]], edge_of(values)
    if card.gigabytes:
        usual = usual_batch(card, edge)
        need = counted(card.precision, edge, usual) + OWN_NEED
        most = most_pictures(card, edge)
        yield f"Counted for {edge} px: {usual} needs {need:.1f} GB of {card.gigabytes}; up to {most} should fit."
    yield "More pictures in a step: steadier and slower."


def _adapters(_values: Values, _facts: Facts) -> Iterator[Choice]:
    yield Choice("lokr", "LyCORIS LoKr", "as in the OmniGen quickstart; small and strong")
    yield Choice("lora", "standard LoRA", "the keys that every program reads")
    if _values.get("adapter") == "other":
        yield Choice("other", "as it is", "what the configuration has is kept")


def _adapter(_values: Values, _facts: Facts) -> Iterator[str]:
    yield "The real weights stay as they are; a small file beside them learns."


def _factor(values: Values, _facts: Facts) -> Iterator[str]:
    # In narrow layers the second factor grows as the first one shrinks: there 64 is larger than 16.
    narrow = CARDS[values["card"]].flavour
    smaller = "Fewer values are" if narrow else "A larger factor is"
    yield f"{smaller} a smaller adapter: it learns less and forgets less."
    yield "Both matrices of each layer are whole, so linear_alpha has no effect."
    yield "The last two numbers are the shares of attention and of feed-forward."


def _factors(values: Values, _facts: Facts) -> Iterator[Choice]:
    flavour = CARDS[values["card"]].flavour
    yield Choice("16/8", "16 and 8", f"{lokr_text(16, 8, flavour)}; as in the OmniGen quickstart")
    for factor in (4, 8, 16, 25, 32, 64):
        note = "; its recipe for the least memory" if factor == 25 else ""
        yield Choice(str(factor), str(factor), lokr_text(factor, factor, flavour) + note)


def _rank(values: Values, _facts: Facts) -> Iterator[str]:
    yield "The inner size of each pair of matrices."
    flavour = CARDS[values["card"]].flavour
    yield "; ".join(f"{rank}: {size_text(lora_values(rank, flavour))}" for rank in (4, 16, 64))


def _steps(values: Values, facts: Facts) -> Iterator[str]:
    if facts.pictures:
        each = values["steps"] * values["batch"] * values["devices"] / facts.pictures
        yield f"{values['steps']:,} steps use each of {facts.pictures} pictures {each:,.0f} times."
    yield "Stop whenever the pictures please: every checkpoint is an adapter."


def _rate(values: Values, _facts: Facts) -> Iterator[str]:
    if CARDS[values["card"]].flavour:
        yield f"The examples of the tiny model: {TINY_RATE:g}. Lower is slower and safer."
    else:
        yield "Usual for LoKr: 1e-4 with AdamW, 2e-5 with Lion. Lower is slower and safer."


def _prompt(values: Values, _facts: Facts) -> Iterator[str]:
    yield "Drawn before training and on the way, so that you see what is learnt. Empty draws nothing."


def _previews(_values: Values, _facts: Facts) -> Iterator[str]:
    yield "Steps between two drawings; 0 draws nothing."


def _draw(_values: Values, _facts: Facts) -> Iterator[str]:
    yield "Multiples of 16; several between commas: 1024x1024,1280x768"


def _held_out(_values: Values, _facts: Facts) -> Iterator[str]:
    yield "A folder of other pictures of the same kind, never trained on: their loss"
    yield "says when to stop. Captions as for the others. Empty is none."


def _output(_values: Values, _facts: Facts) -> Iterator[str]:
    yield "Checkpoints, drawings, logs. One folder holds one run."


def _reports(_values: Values, _facts: Facts) -> Iterator[str]:
    yield "metrics.jsonl is always written. wandb, comet_ml, swanlab want a login: docs/trackers.md."


def _reporting(values: Values, _facts: Facts) -> Iterator[Choice]:
    notes = {
        "tensorboard": "on this machine",
        "wandb": "wandb login",
        "comet_ml": "",
        "swanlab": "",
        "simpletuner": "a page in the folder of results",
    }
    yield from (Choice(name, name, note) for name, note in notes.items())
    yield Choice("none", "none")
    if values["reports"] not in (*notes, "none"):
        yield Choice(values["reports"], values["reports"])


def _hub(_values: Values, _facts: Facts) -> Iterator[str]:
    yield "owner/name of a repository, private when it is new; needs `hf auth login`."
    yield "Empty keeps the result here."


def _draws(values: Values, _facts: Facts) -> bool:
    return bool(values["prompt"])


STEPS = (
    Step("card", "Your GPU", "Which card trains?", _card, _cards),
    Step(
        "devices", "Several GPUs", "How many of them?", _devices, applies=lambda _, facts: len(facts.machine.cards) > 1
    ),
    Step("teach", "The aim", "What do you teach?", _teach, _teachings),
    Step("pictures", "Your pictures", "Where are they?", _pictures, is_folder=True, looks=True),
    Step("captions", "Captions", "What says what a picture shows?", _captions, _captionings, looks=True),
    Step("words", "Words", "Which words?", _words),
    Step("resolution", "Size", "How large, in pixels? (512, 1024, both)", _resolution, looks=True),
    Step("crop", "Shape", "What becomes of their shapes?", _crop, _crops, looks=True),
    Step("batch", "Batch", "Pictures in one step?", _batch),
    Step("adapter", "Adapter", "What is trained?", _adapter, _adapters),
    Step(
        "factor", "Size of the LoKr", "Which factor?", _factor, _factors, lambda values, _: values["adapter"] == "lokr"
    ),
    Step("rank", "Size of the LoRA", "Which rank?", _rank, applies=lambda values, _: values["adapter"] == "lora"),
    Step("steps", "Length", "How many steps?", _steps),
    Step("learning_rate", "Learning rate", "Which rate?", _rate),
    Step("prompt", "Drawings on the way", "Which prompt?", _prompt),
    Step("previews", "Drawings on the way", "How often?", _previews, applies=_draws),
    Step(
        "draw",
        "Drawings on the way",
        "Which sizes?",
        _draw,
        applies=lambda values, _: bool(values["prompt"] and values["previews"]),
    ),
    Step("held_out", "Pictures held out", "Where are they?", _held_out, is_folder=True, looks=True),
    Step("output", "Results", "Which folder?", _output, is_folder=True),
    Step("reports", "Charts", "Who shows them?", _reports, _reporting),
    Step("hub", "The hub", "Which repository?", _hub),
)
