"""How much the velocity depends on each token of a long prompt.

On the model's own way from noise to picture, a few tokens are replaced by others of the same prompt; and so is all
that follows. The length stays: a model may heed where a prompt ends as much as what it says. What the velocity changes
by is told as a share of what the whole prompt does to it: the distance to the velocity without words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from simpletuner.core.batch import Prompt
from simpletuner.core.seeds import generator
from simpletuner.diffusion.sampler import euler_step, sigmas
from simpletuner.models.family import TextReader
from simpletuner.validation.render import Predict

_PLACES = 16
_STEPS = 10
# The steps before which the velocity is asked for: at the first the words decide most, later the picture stands.
_ASKED = (0, 4)
_ROWS = 16
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|(?<=,)\s+")


@dataclass(frozen=True)
class Written:
    """A prompt as token ids (L,), of which those from ``start`` to ``stop`` are its words; ``other`` (L,) has words of
    the same prompt, drawn at random, in their place.
    """

    ids: Tensor
    other: Tensor
    start: int
    stop: int

    @property
    def words(self) -> int:
        """How many tokens its words are."""
        return self.stop - self.start

    def replaced(self, first: int, count: int) -> Tensor:
        """With other words in the place of ``count`` of them, from number ``first`` on."""
        part = slice(self.start + first, min(self.start + first + count, self.stop))
        ids = self.ids.clone()
        ids[part] = self.other[part]
        return ids


@dataclass(frozen=True, eq=False)
class Answers:
    """What was found at each place (its number of words before it), averaged over prompts, ways and noise levels.

    ``length`` is the longest prompt's. ``replaced`` is the change when the next ``width`` tokens are others, ``rest``
    when all that follow are; both as a share of what the whole prompt does, which is ``effect`` of the velocity's own
    length.
    """

    length: int
    width: int
    places: tuple[int, ...]
    replaced: tuple[float, ...]
    rest: tuple[float, ...]
    effect: float

    def rest_at(self, token: int) -> float:
        """The change when all words from ``token`` on are others, found at the first place from there; 0 at the end."""
        return next((value for place, value in zip(self.places, self.rest, strict=True) if place >= token), 0.0)

    def enough(self, share: float) -> int:
        """The least number of words after which all that follows changes less than ``share``."""
        found = self.length
        for place, value in zip(reversed(self.places), reversed(self.rest), strict=True):
            if value >= share:
                break
            found = place
        return found


def arrangements(prompt: str, count: int) -> tuple[str, ...]:
    """``prompt`` with its sentences (or what commas part) in turned orders, at most ``count`` of them.

    So a place is not taken for the words that happen to stand there.
    """
    parts = [part for part in _SENTENCE.split(prompt.strip()) if part]
    turns = sorted({number * len(parts) // count for number in range(count)})
    return tuple(" ".join((*parts[turn:], *parts[:turn])) for turn in turns)


def written(text: TextReader, prompt: str) -> Written:
    """The tokens of ``prompt``; what stands around every prompt is none of its words."""
    ids, bare = text.tokenize(prompt), text.tokenize("")
    start = _alike(ids, bare)
    stop = len(ids) - _alike(ids.flip(0), bare[start:].flip(0))
    words = ids[start:stop]
    other = ids.clone()
    other[start:stop] = words[torch.randint(len(words), (len(words),), generator=generator("tokens", prompt))]
    return Written(ids, other, start, stop)


def _alike(one: Tensor, other: Tensor) -> int:
    """How many values two rows begin with in common."""
    count = min(len(one), len(other))
    same = (one[:count] == other[:count]).long().cumprod(dim=0)
    return int(same.sum())


@torch.no_grad()
def ask(predict: Predict, text: TextReader, prompts: Sequence[str], noise: Tensor) -> Answers:
    """Probe ``predict`` with each prompt, on the way that begins at ``noise`` (N, C, h, w), one way a row."""
    every = [written(text, prompt) for prompt in prompts]
    width = max(1, math.ceil(max(one.words for one in every) / _PLACES))
    bare = text.unconditional()
    found = [_one(predict, one, (bare, width), noise[row : row + 1]) for one in every for row in range(len(noise))]
    places = max((one.places for one in found), key=len)
    reaching = [[one for one in found if number < len(one.places)] for number in range(len(places))]
    return Answers(
        max(one.words for one in every),
        width,
        places,
        tuple(_mean([one.replaced[number] for one in some]) for number, some in enumerate(reaching)),
        tuple(_mean([one.rest[number] for one in some]) for number, some in enumerate(reaching)),
        _mean([one.effect for one in found]),
    )


def _one(predict: Predict, prompt: Written, beside: tuple[Tensor, int], noise: Tensor) -> Answers:
    """Of one prompt; ``beside`` it the prompt without words, and how many tokens are replaced at once."""
    bare, width = beside
    places = range(0, prompt.words, width)
    asked = [prompt.ids, bare, *(prompt.replaced(place, width) for place in places)]
    asked += [prompt.replaced(place, prompt.words) for place in places]
    shares, effects = [], []
    for state, sigma in _states(predict, prompt, noise):
        told = _velocities(predict, state, sigma, asked)
        effect = (told[1] - told[0]).norm()
        shares.append((told[2:] - told[0]).flatten(1).norm(dim=1) / effect)
        effects.append(float(effect / told[0].norm()))
    values = torch.stack(shares).mean(dim=0).tolist()
    count = len(places)
    return Answers(prompt.words, width, tuple(places), tuple(values[:count]), tuple(values[count:]), _mean(effects))


def _states(predict: Predict, prompt: Written, noise: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Where the way from ``noise`` is at the noise levels asked for."""
    state, states = noise, []
    for step, (sigma, after) in enumerate(pairwise(sigmas(_STEPS).to(noise.device)[:, None])):
        if step in _ASKED:
            states.append((state, sigma))
        if step == _ASKED[-1]:
            break
        state = euler_step(state, predict(state, sigma, [Prompt(prompt.ids)]), sigma, after)
    return states


def _velocities(predict: Predict, state: Tensor, sigma: Tensor, asked: Sequence[Tensor]) -> Tensor:
    """At one ``state`` (1, C, h, w), one row a prompt."""
    told = []
    for first in range(0, len(asked), _ROWS):
        some = [Prompt(ids) for ids in asked[first : first + _ROWS]]
        told.append(predict(state.expand(len(some), -1, -1, -1), sigma.expand(len(some)), some).float())
    return torch.cat(told)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
