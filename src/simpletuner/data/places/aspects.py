"""Which shape a picture is cropped to where a data set names several: the crop aspects closest and random."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

from simpletuner.core.keyed import keyed_random
from simpletuner.data.entries import Refusal
from simpletuner.data.places.geometry import GeometrySpec, Size, WeightedAspect, bucket_of
from simpletuner.data.places.limits import aspect_refusal, edge_refusal, enlargement, upscale_refusal


def choose_aspect(
    size: Size,
    spec: GeometrySpec,
    *parts: object,
    known: Mapping[str, Size] | None = None,
    maximum_edge: int | None = None,
) -> float | Refusal | None:
    """The shape for one picture; None where its own shape, or a square, decides.

    ``parts`` key a random draw: (seed, data set id, relative path, epoch); closest ignores them. Shapes beyond the
    aspect limits or ``maximum_edge``, and those that need more enlargement than ``max_upscale``, are no candidates; a
    Refusal says that none is left, whatever ``parts`` are. ``known`` is the resolution map, as in
    :func:`~simpletuner.data.places.geometry.place`. ``spec.aspects`` holds at least one shape.
    """
    if not chooses_aspect(spec):
        return None
    if not (wanted := _wanted(spec)):
        return aspect_refusal(_buckets(spec)[0][0], spec)
    shapes = [(item, (known or {}).get(key, own)) for item, (key, own) in wanted]
    refusals = [edge_refusal(size, target, maximum_edge) or upscale_refusal(size, target, spec) for _, target in shapes]
    candidates = [item for (item, _), refusal in zip(shapes, refusals, strict=True) if refusal is None]
    if not candidates:
        return refusals[min(range(len(shapes)), key=lambda place: enlargement(size, shapes[place][1]))]
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


@lru_cache(maxsize=64)
def _wanted(spec: GeometrySpec) -> tuple[tuple[WeightedAspect, tuple[str, Size]], ...]:
    """The shapes whose buckets are within the aspect limits, with their buckets."""
    shapes = zip(spec.aspects, _buckets(spec), strict=True)
    return tuple((item, (key, own)) for item, (key, own) in shapes if aspect_refusal(key, spec) is None)


def _closest(size: Size, candidates: Sequence[WeightedAspect]) -> float:
    """The least change of shape: 1:2 is as far from 1:1 as 2:1 is. The first of equals."""
    own = size.width / size.height
    return min((item.aspect for item in candidates), key=lambda aspect: round(abs(math.log(aspect / own)), 9))


def _drawn(candidates: Sequence[WeightedAspect], *parts: object) -> float:
    weights = [item.weight for item in candidates]
    return keyed_random(*parts, "crop aspect").choices(candidates, weights)[0].aspect
