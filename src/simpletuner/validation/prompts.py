"""Which prompts a validation run renders, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simpletuner.validation.names import safe_nicknames

UNCONDITIONAL = "unconditional"
MAIN = "validation"


@dataclass(frozen=True)
class PromptSpec:
    """A prompt and its nickname, which is safe in file names and different from every other one's."""

    nickname: str
    prompt: str


def collect(
    validation_prompt: str | None, library: Sequence[tuple[str, str]], *, unconditional: bool
) -> tuple[PromptSpec, ...]:
    """The empty prompt, then ``library`` (nickname, prompt) in file order, then the main prompt.

    Without a main prompt and a library there is nothing to validate, the empty prompt included.
    """
    if not (validation_prompt or library):
        return ()
    names = safe_nicknames([nickname for nickname, _ in library], reserved=(UNCONDITIONAL, MAIN))
    first = (PromptSpec(UNCONDITIONAL, ""),) if unconditional else ()
    own = tuple(PromptSpec(name, prompt) for name, (_, prompt) in zip(names, library, strict=True))
    last = (PromptSpec(MAIN, validation_prompt),) if validation_prompt else ()
    return first + own + last
