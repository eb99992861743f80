"""docs/options.md: every option and every key of the other files, by section."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from simpletuner.config.datasets.blocks import CaptionShuffle, CompositeImages, HubColumns, HubFilter, ParquetTable
from simpletuner.config.datasets.dataset import RENAMED_KEYS, IdentityKeys
from simpletuner.config.datasets.pictures import CaptionKeys, PictureKeys
from simpletuner.config.datasets.storage import StorageKeys
from simpletuner.config.datasets.text_caches import TextCache
from simpletuner.config.datasets.use import CacheKeys, UseKeys
from simpletuner.config.describe import Description, descriptions, keys_of
from simpletuner.config.files.lycoris import LycorisOptions, Preset
from simpletuner.config.files.lycoris_rules import LAYER_KEYS
from simpletuner.config.option import Section
from simpletuner.config.reading.names import DATASET_ONLY
from simpletuner.config.run import SECTIONS

_HEAD = """# Every option

<!-- Written by `python -m scripts.options` from the declarations in src/simpletuner/config/. -->

`config.json` is one flat object. A name may be written with or without `--`, with `-` or `_`; numbers and switches may
be texts (`"20"`, `"4e-5"`, `"true"`, `"on"`); `null` and `""` mean *not given*; `{env:NAME}` is replaced by a variable
of the environment; keys that begin with `__` or `$` are notes. What is given on the command line (`key=value`,
`--key value`) wins over the file. Where the file is looked for, TOML, `config.env` and variables:
[where a configuration is found](configuration.md).

- An option that nothing reads is accepted, and told in one line when the run starts.
- An unknown name is an error that says what may have been meant.
- What other programs have and this one has not: [not-here.md](not-here.md).
- An editor completes and checks these files with the JSON Schemas in `src/simpletuner/config/schemas/`: write
  `"$schema": "PATH/config.schema.json"` into `config.json` (`lycoris.schema.json` into the LyCORIS file). The
  dataloader file is a list and has no place for it: name `dataloader.schema.json` in the editor's settings, in VS Code
  under `json.schemas`.
- In a shell, `eval "$(simpletuner completion bash)"` (or `zsh`; for fish: `simpletuner completion fish | source`)
  completes commands, options and their values: `simpletuner train lear<TAB>`.
"""
_TABLE = "| Option | Value | Default | Meaning |\n| --- | --- | --- | --- |\n"
_DATASET = """
# Keys of a data set

The dataloader file is a list of objects, one for each data set or cache; how they work together: [data.md](data.md).
"""
_DATASET_PARTS: tuple[tuple[str, type[Section]], ...] = (
    ("What it is", IdentityKeys),
    ("Where its pictures lie", StorageKeys),
    ("How they are cut", PictureKeys),
    ("Their captions", CaptionKeys),
    ("How often and when they are used", UseKeys),
    ("Their cache", CacheKeys),
    ("`caption_shuffle`", CaptionShuffle),
    ("`parquet`", ParquetTable),
    ("`huggingface`", HubColumns),
    ("`huggingface.filter_func`", HubFilter),
    ("`huggingface.composite_image_config`", CompositeImages),
    ("Entries of `dataset_type` `text_embeds` and `image_embeds`", TextCache),
)
_LYCORIS = """
# Keys of the LyCORIS file

The file that `lycoris_config` names; beside these it holds `apply_preset`, which says which layers are adapted.
"""
_TITLES = {
    "ema": "EMA",
    "text_encoder": "Text encoder",
    "data": "Data: defaults of the data sets",
}


def options_page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for section, found in groupby(descriptions(), key=lambda described: described.section):
        parts.append(_part(_TITLES.get(section, section.capitalize()), SECTIONS[section], found))
    renamed = ", ".join(f"`{old}` is `{new}`" for old, new in RENAMED_KEYS.items())
    only = ", ".join(f"`{key}`" for key in sorted(DATASET_ONLY))
    parts.append(f"{_DATASET}Other spellings: {renamed}. Not read in `config.json`, where they are told: {only}.\n")
    parts += [_part(title, kind, keys_of(kind)) for title, kind in _DATASET_PARTS]
    parts.append(_LYCORIS)
    parts.append(_part("The method", LycorisOptions, keys_of(LycorisOptions)))
    parts.append(_preset())
    return "".join(parts)


def _preset() -> str:
    rows = "\n".join(
        f"| `{name}` | {' '.join((field.description or '').split())} |" for name, field in Preset.model_fields.items()
    )
    overrides = ", ".join(f"`{key}`" for key in sorted(LAYER_KEYS))
    last = f"\nSettings of some layers only: {overrides}.\n"
    return f"\n## `apply_preset`\n\n| Key | Meaning |\n| --- | --- |\n{rows}\n{last}"


def _part(title: str, kind: type[Section], found: Iterable[Description]) -> str:
    intro = " ".join((kind.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")
    rows = "\n".join(_row(described) for described in found)
    return f"\n## {title}\n\n{intro}\n\n{_TABLE}{rows}\n"


def _row(described: Description) -> str:
    default = "**required**" if described.default is None else f"`{described.default}`" if described.default else ""
    cells = (f"`{described.name}`", _value(described), default, " ".join(_meaning(described)))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _value(described: Description) -> str:
    if described.allowed:
        return ", ".join(f"`{value}`" for value in described.allowed)
    return ", ".join([described.kind, *described.limits])


def _meaning(described: Description) -> Iterator[str]:
    yield described.meaning
    if described.examples and not described.default:
        yield f"Example: `{described.examples[0]}`."
    if described.reads:
        yield f"*Read by {' and '.join(described.reads)}.*"
    else:
        yield f"*Not read: {described.unread}.*"
    by_reason: dict[str, list[str]] = {}
    for value, reason in described.refused.items():
        by_reason.setdefault(reason, []).append(f"`{value}`")
    yield from (f"{', '.join(values)}: {reason}." for reason, values in by_reason.items())
    if described.respelled:
        yield f"Also: {', '.join(f'`{word}` for `{ours}`' for word, ours in described.respelled.items())}."
    if described.former:
        yield f"Formerly {' and '.join(f'`{name}`' for name in described.former)}."
    if described.variables:
        yield f"In the environment: {', '.join(f'`{name}`' for name in described.variables)}."
