"""The model card of a result: what the hub reads at its head, what people read below. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from simpletuner.observe.publish.card_tables import dataset_lines, metric_lines, setting_lines
from simpletuner.observe.publish.facts import Facts
from simpletuner.observe.publish.sample import can_be_merged, command, sample_code

_METHODS = {"lycoris": "a LyCORIS {algo} adapter", "lora": "a LoRA", "full": "a full fine-tune"}
_TAGS = {"lycoris": ("lora", "lycoris", "template:sd-lora"), "lora": ("lora", "template:sd-lora"), "full": ("full",)}


def model_card(facts: Facts) -> str:
    """The whole ``README.md``: YAML between two lines of dashes, then Markdown."""
    return "\n".join((*_head(facts), "", *_body(facts)))


def _head(facts: Facts) -> Iterator[str]:
    """JSON is YAML, too, and needs no thought about quoting."""
    yield "---"
    yield f"license: {facts.base.licence}"
    yield "library_name: diffusers"
    if facts.base.is_on_hub:
        yield f"base_model: {json.dumps(facts.base.source)}"
        yield f"base_model_relation: {'finetune' if facts.kind == 'full' else 'adapter'}"
    yield "pipeline_tag: text-to-image"
    yield "inference: true"
    yield f"tags: {json.dumps(_tags(facts))}"
    if facts.pictures:
        yield "widget:"
    for picture in facts.pictures:
        widget = {
            "text": picture.prompt or "unconditional (blank prompt)",
            "parameters": {"negative_prompt": picture.negative},
            "output": {"url": f"./{picture.name}"},
        }
        yield f"- {json.dumps(widget, ensure_ascii=False)}"
    yield "---"


def _tags(facts: Facts) -> list[str]:
    family = facts.loaded.config.model.model_family
    safe = facts.loaded.config.publishing.model_card_safe_for_work
    audience = "safe-for-work" if safe else "not-for-all-audiences"
    return [family, f"{family}-diffusers", "text-to-image", "diffusers", "simpletuner", *_TAGS[facts.kind], audience]


def _body(facts: Facts) -> Iterator[str]:
    yield f"# {facts.repository.rpartition('/')[2]}"
    yield ""
    yield f"This is {_METHODS[facts.kind].format(algo=facts.algo)} for {_base(facts)}, trained with simpletuner."
    yield ""
    note = facts.loaded.config.publishing.model_card_note
    if facts.loaded.config.validation.validation_prompt:
        yield from ("The main prompt of its validation pictures:", "", *_quoted(facts.shown.prompt), "")
    if note:
        yield from (note, "")
    yield from _validation(facts)
    yield from _gallery(facts)
    yield "The text encoder was not trained: OmniGen reads a prompt with the model itself."
    yield ""
    yield from ("## Training", "", *setting_lines(facts), "")
    yield from ("## How far it came", "", *metric_lines(facts), "")
    yield from ("## Data", "", *dataset_lines(facts))
    yield from _use(facts)
    yield from _average(facts)


def _base(facts: Facts) -> str:
    base = facts.base
    if not base.source:
        return "the tiny OmniGen that comes with simpletuner"
    if not base.is_on_hub:
        return f"`{base.source}`"
    link = f"[{base.source}](https://huggingface.co/{base.source})"
    if base.commit is None:
        return link
    return f"{link} at commit [{base.commit[:12]}](https://huggingface.co/{base.source}/tree/{base.commit})"


def _quoted(text: str) -> Iterator[str]:
    return (f"> {line}" for line in text.splitlines() or [""])


def _validation(facts: Facts) -> Iterator[str]:
    shown, config = facts.shown, facts.loaded.config.validation
    yield from ("## Pictures", "")
    yield f"- guidance {shown.guidance:g} without rescale, {shown.steps} steps"
    yield f"- sampler: Euler along the flow, seed {shown.seed}, {config.validation_resolution}"
    yield f"- strength of the adapter {shown.strength:g}" if facts.kind != "full" else "- all weights were trained"
    if shown.negative:
        yield f"- negative prompt: {' '.join(shown.negative.split())}"
    yield ""


def _gallery(facts: Facts) -> Iterator[str]:
    if not facts.pictures:
        yield from ("The run drew no pictures.", "")
        return
    if any(picture.has_inputs for picture in facts.pictures):
        yield from ("Where a prompt has input pictures, they stand beside what was drawn.", "")
    yield "<Gallery />"
    yield ""
    for picture in facts.pictures:
        prompt = " ".join(picture.prompt.split()) or "(blank prompt)"
        yield f"![{_plain(prompt)}](./{picture.name})"
        yield ""


def _plain(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "[]\\" else letter for letter in text)


def _use(facts: Facts) -> Iterator[str]:
    yield from ("## Use", "")
    if can_be_merged(facts):
        packages = {"lycoris": " and lycoris-lora", "lora": " and peft", "full": ""}[facts.kind]
        yield from (f"With diffusers{packages} (log in first if the repository is private):", "", "```python")
        yield from (sample_code(facts).rstrip(), "```", "")
    else:
        yield from ("Which ranks of this adapter act depends on the noise, which only simpletuner's sampler does.", "")
    if facts.kind != "full":
        yield from ("With simpletuner, as the pictures above were drawn:", "", "```bash")
        yield from (command(facts).rstrip(), "```", "")


def _average(facts: Facts) -> Iterator[str]:
    ema = facts.loaded.config.ema
    yield from ("## Averaged weights", "")
    if not ema.use_ema:
        yield "No average (EMA) was kept."
    else:
        every = f"every {ema.ema_update_interval} updates" if ema.ema_update_interval > 1 else "every update"
        yield f"`ema/` holds the average (EMA) of the weights: decay {ema.ema_decay:g}, {every}."
    yield ""
