"""What is asked of the official model: prompts, input pictures and sizes."""

from __future__ import annotations

from dataclasses import dataclass, field

ORIGINAL_POSITIONS = 112
"""Rows of more positions take the long rotary factors; 4096 in the real model."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Row:
    """One prompt, the size (h, w) of its latents and of those of its input pictures."""

    prompt: str
    size: Size = (8, 8)
    pictures: tuple[Size, ...] = ()


@dataclass(frozen=True)
class Case:
    """A batch. ``trains`` asks for loss and gradient too; ``mixes`` for the road of pictures of unequal size."""

    rows: tuple[Row, ...]
    trains: bool = False
    mixes: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class Guided:
    """A guided sample of one prompt: ``size`` and ``pictures`` in latent cells."""

    prompt: str
    size: Size
    pictures: tuple[Size, ...] = ()
    steps: int = 20
    guidance: float = 2.5
    picture_guidance: float = 1.6
    seed: int = 7


_SHORT = "a red apple"
_LONGER = "a low-poly fox, photo-realistic, 1024px, in a café (3D), the sun behind it"
_LONG = " and ".join([_LONGER] * 4)
_TWO = "put the hat of <img><|image_2|></img> on the fox of <img><|image_1|></img>, like <img><|image_1|></img>"
_ONE = "<img><|image_1|></img> make it blue"
# With 16 image tokens and a time token these fill 112 and 113 positions exactly.
_AT_THE_EDGE = "a" + " a" * 77
_PAST_THE_EDGE = "a" + " a" * 78

CASES = {
    "one-length": Case((Row(_SHORT), Row("a blue hat"))),
    "ragged": Case((Row(_SHORT), Row(_LONGER), Row("<cfg>"))),
    "pictures": Case((Row(_ONE, pictures=((6, 4),)), Row(_SHORT), Row(_TWO, pictures=((4, 4), (2, 6))))),
    "at-the-edge": Case((Row(_AT_THE_EDGE),)),
    "past-the-edge": Case((Row(_PAST_THE_EDGE),)),
    "beside-a-long-row": Case((Row(_SHORT), Row(_LONG))),
    # No row passes the border; the longest prompt and the largest picture of the batch would together.
    "wide-beside-long": Case((Row(_LONGER, (4, 4)), Row(_SHORT, (16, 16))), mixes=True),
    "step": Case((Row(_SHORT), Row(_LONGER)), trains=True),
    "step-of-mixed-sizes-with-pictures": Case(
        (
            Row(_ONE, (6, 12), ((6, 4),)),
            Row("<cfg>", (8, 8)),
            Row(_TWO, (4, 4), ((4, 4), (2, 6))),
            Row(_LONGER, (12, 6)),
        ),
        trains=True,
        mixes=True,
    ),
}

GUIDED = {
    "text": Guided(_SHORT, (12, 8)),
    "pictures": Guided(_TWO, (8, 8), ((4, 4), (2, 6))),
}
