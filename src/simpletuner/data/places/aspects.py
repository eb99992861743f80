"""Which shape a picture is cropped to where a data set names several: the crop aspects closest and random."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import compress

from simpletuner.core.keyed import keyed_random
from simpletuner.data.entries import Refusal
from simpletuner.data.places.geometry import GeometrySpec, Size, WeightedAspect, bucket_of
from simpletuner.data.places.limits import enlargement, upscale_refusal


def choose_aspect(
    size: Size, spec: GeometrySpec, *parts: object, known: Mapping[str, Size] | None = None
) -> float | Refusal | None:
    """The shape for one picture; None where its own shape, or a square, decides.

    ``parts`` key a random draw: (seed, data set id, relative path, epoch); closest ignores them. Shapes that need more
    enlargement than ``max_upscale`` are no candidates; a Refusal says that none is left. ``known`` is the resolution
    map, as in :func:`~simpletuner.data.places.geometry.place`. ``spec.aspects`` holds at least one shape.
    """
    if not chooses_aspect(spec):
        return None
    targets = [(known or {}).get(key, own) for key, own in _buckets(spec)]
    fitting = [upscale_refusal(size, target, spec) is None for target in targets]
    if not any(fitting):
        return upscale_refusal(size, min(targets, key=lambda target: enlargement(size, target)), spec)
    candidates = list(compress(spec.aspects, fitting))
    return _drawn(candidates, *parts) if spec.crop_aspect == "random" else _closest(size, candidates)


def chooses_aspect(spec: GeometrySpec) -> bool:
    """Whether pictures get one of ``spec.aspects`` instead of their own shape or a square."""
    return spec.crop and spec.crop_aspect in ("closest", "random")


def nominal_sizes(spec: GeometrySpec, known: Mapping[str, Size] | None = None) -> dict[str, Size]:
    """One size a key, for all of ``spec.aspects``: ``known`` first, then the first shape in the list with that key.

    A map for every epoch: it does not depend on what was drawn.
    """
    found = dict(known or {})
    for key, size in _buckets(spec):
        found.setdefault(key, size)
    return found


@lru_cache(maxsize=64)
def _buckets(spec: GeometrySpec) -> tuple[tuple[str, Size], ...]:
    """The bucket of each shape, the same for every picture: asked for once a picture and epoch."""
    return tuple(bucket_of(Size(1, 1), spec, item.aspect) for item in spec.aspects)


def _closest(size: Size, candidates: Sequence[WeightedAspect]) -> float:
    """The least change of shape: 1:2 is as far from 1:1 as 2:1 is. The first of equals."""
    own = size.width / size.height
    return min((item.aspect for item in candidates), key=lambda aspect: round(abs(math.log(aspect / own)), 9))


def _drawn(candidates: Sequence[WeightedAspect], *parts: object) -> float:
    weights = [item.weight for item in candidates]
    return keyed_random(*parts, "crop aspect").choices(candidates, weights)[0].aspect
