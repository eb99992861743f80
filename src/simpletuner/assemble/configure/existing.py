"""A configuration that is there already: the answers it holds, and what is kept of it under other answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simpletuner.assemble.configure.answers import Answers
from simpletuner.assemble.configure.cards import CARDS, usual_batch
from simpletuner.assemble.configure.files import CONFIG, DATALOADER, LYCORIS, entries_of, files_of
from simpletuner.assemble.configure.suggest import edge_of
from simpletuner.assemble.configure.target import Target
from simpletuner.config.load import LoadedRun
from simpletuner.config.reading.fill import Source
from simpletuner.config.reading.names import name_options
from simpletuner.config.reading.read import read_json, read_object
from simpletuner.core.errors import ConfigError


@dataclass(frozen=True)
class Existing:
    """The content of files as it stands in them, and where they lie; ``unknown`` are options that are left out.

    ``entries`` is None without a dataloader file, and ``lycoris`` without a LyCORIS file.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    entries: Sequence[dict[str, Any]] | None = None
    lycoris: Mapping[str, Any] | None = None
    paths: Mapping[str, Path] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


def read_existing(target: Target, cwd: Path) -> Existing:
    """What is there. Raises ConfigError for a file that is no JSON of the right kind."""
    if not target.file.is_file():
        return Existing(paths=_paths({}, target, cwd))
    written = read_object(target.file)
    problems = name_options(written, Source(str(target.file))).problems
    unknown = tuple(str(problem.key) for problem in problems if problem.reason == "unknown option")
    options = {key: value for key, value in written.items() if key not in unknown}
    paths = _paths(options, target, cwd)
    return Existing(options, _entries(paths[DATALOADER]), _lycoris(paths[LYCORIS]), paths, unknown)


def _paths(options: Mapping[str, Any], target: Target, cwd: Path) -> dict[str, Path]:
    """The files by our names for them: those that ``options`` name, else beside ``config.json``."""
    found = {CONFIG: target.file}
    for name, key in ((DATALOADER, "data_backend_config"), (LYCORIS, "lycoris_config")):
        given = options.get(key) or options.get(f"--{key}")
        places = [target.folder / str(given), cwd / str(given)] if given else []
        # Also the one that is named and not there yet.
        found[name] = next((place for place in places if place.is_file()), (*places, target.folder / name)[0])
    return found


def _entries(file: Path) -> list[dict[str, Any]] | None:
    if not file.is_file():
        return None
    content = read_json(file)
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise ConfigError("must hold a list of objects: [ { ... }, ... ]", file=file, cure="mend it, or move it away")
    return content


def _lycoris(file: Path) -> dict[str, Any] | None:
    return read_object(file) if file.is_file() else None


def files_held(existing: Existing, cwd: Path, stand_in: Path) -> dict[str, Any]:
    """The files that are there, by their names; in place of folders of pictures that are gone is ``stand_in``."""
    entries = [_with_folder(entry, cwd, stand_in) for entry in existing.entries or ()]
    held = {CONFIG: existing.options, DATALOADER: entries or existing.entries, LYCORIS: existing.lycoris}
    return {name: content for name, content in held.items() if content is not None}


def _with_folder(entry: dict[str, Any], cwd: Path, stand_in: Path) -> dict[str, Any]:
    given = entry.get("instance_data_dir")
    is_gone = isinstance(given, str) and "{" not in given and not (cwd / Path(given).expanduser()).is_dir()
    return entry | {"instance_data_dir": str(stand_in)} if is_gone else entry


def roles_of(entries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Which entry has which role of :func:`~simpletuner.assemble.configure.files.entries_of`, by its place."""
    roles: dict[str, int] = {}
    for place, entry in enumerate(entries):
        kind = entry.get("dataset_type", "image")
        if kind == "text_embeds":
            roles.setdefault("text", place)
        elif entry.get("type", "local") == "local" and kind == "eval":
            roles.setdefault("held_out", place)
        elif entry.get("type", "local") == "local" and kind == "image" and not entry.get("is_regularisation_data"):
            _give(roles, entries, place)
    return roles


def _give(roles: dict[str, int], entries: Sequence[Mapping[str, Any]], place: int) -> None:
    """The first set of pictures is the main one, and another of the same folder the second."""
    if "main" not in roles:
        roles["main"] = place
    elif entries[place].get("instance_data_dir") == entries[roles["main"]].get("instance_data_dir"):
        roles.setdefault("second", place)


def given_by(loaded: LoadedRun, existing: Existing) -> dict[str, Any]:
    """The answers that a checked configuration holds; what it does not say is left out."""
    config = loaded.config
    drawing = config.validation
    given: dict[str, Any] = {
        "devices": config.machine.num_processes,
        "batch": config.length.train_batch_size,
        "adapter": _adapter(loaded),
        "rank": config.adapter.lora_rank,
        "steps": config.length.max_train_steps,
        "learning_rate": config.optimizer.learning_rate,
        "prompt": drawing.validation_prompt or "",
        "previews": 0 if drawing.validation_disable else drawing.validation_step_interval,
        "draw": drawing.validation_resolution,
        "output": config.report.output_dir,
        "reports": config.report.report_to,
        "hub": (config.publishing.hub_model_id or "") if config.publishing.push_to_hub else "",
    }
    if loaded.lycoris is not None and loaded.lycoris.algo == "lokr":
        given["factor"] = _factor(loaded.lycoris.raw)
    given |= _given_by_entries(existing.entries or ())
    return given | {"card": _card(loaded, edge_of({"resolution": given.get("resolution", "1024")}))}


def _card(loaded: LoadedRun, edge: int) -> str:
    """The card that its recipe is for, as far as it can be told: the smallest whose usual batch is as large."""
    config, batch = loaded.config, loaded.config.length.train_batch_size
    if config.precision.base_model_precision != "no_change":
        swaps = config.memory.musubi_blocks_to_swap
        return "6" if swaps else "8" if batch <= usual_batch(CARDS["8"], edge) else "10"
    if config.model.mixed_precision == "no":
        return "cpu"
    names = ("12", "16", "24") if config.model.vae_enable_tiling else ("16", "24")
    return next((name for name in names if batch <= usual_batch(CARDS[name], edge)), "48")


def _adapter(loaded: LoadedRun) -> str:
    if loaded.config.model.model_type == "full" or loaded.config.adapter.init_lora:
        return "other"
    if loaded.lycoris is None:
        return "lora"
    return "lokr" if loaded.lycoris.algo == "lokr" else "other"


def _factor(raw: Mapping[str, Any]) -> str:
    usual = raw.get("factor") or -1
    of_class = raw.get("apply_preset", {}).get("module_algo_map", {})
    attention = of_class.get("Attention", {}).get("factor", usual)
    feed_forward = of_class.get("FeedForward", of_class.get("OmniGenFeedForward", {})).get("factor", usual)
    # As square as possible is about the 64 of OmniGen's widths.
    found = [factor if factor > 0 else 64 for factor in (attention, feed_forward)]
    return f"{found[0]}/{found[1]}" if found[0] != found[1] else str(found[0])


def _given_by_entries(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    roles = roles_of(entries)
    if "main" not in roles:
        return {}
    main = entries[roles["main"]]
    words = main.get("instance_prompt") or ""
    edge = int(float(main.get("resolution") or 1024))
    given = {
        "pictures": str(main.get("instance_data_dir") or ""),
        "captions": {"instance_prompt": "instanceprompt"}.get(
            main.get("caption_strategy", ""), main.get("caption_strategy", "filename")
        ),
        "words": words if isinstance(words, str) else "",
        "resolution": "both" if "second" in roles and edge == 1024 else str(edge),
        "crop": "square" if str(main.get("crop", False)).lower() == "true" else "keep",
        "repeats": int(main.get("repeats") or 0),
        "held_out": str(entries[roles["held_out"]].get("instance_data_dir") or "") if "held_out" in roles else "",
    }
    given["teach"] = "subject" if given["captions"] == "instanceprompt" else "style"
    return given


def merged(answers: Answers, before: Answers | None, existing: Existing) -> dict[str, Any]:
    """The files under ``answers``, by their names.

    What is there stays, but for what differs from the answers ``before``; without these the files are those of
    :func:`files_of`.
    """
    files = files_of(answers)
    if before is None:
        return files
    former = files_of(before)
    made: dict[str, Any] = {CONFIG: _changed(existing.options, former[CONFIG], files[CONFIG])}
    made[DATALOADER] = _merged_entries(existing.entries or (), entries_of(before), entries_of(answers))
    if LYCORIS in files:
        made[LYCORIS] = _changed(existing.lycoris or files[LYCORIS], former.get(LYCORIS, {}), files[LYCORIS])
    # A new file is named where it is looked up.
    keys = {"data_backend_config": DATALOADER, **({"lycoris_config": LYCORIS} if LYCORIS in files else {})}
    dashless = {key.lstrip("-") for key in made[CONFIG]}
    missing = {key: name for key, name in keys.items() if key not in dashless}
    return made | {CONFIG: made[CONFIG] | missing}


def _changed(there: Mapping[str, Any], before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """``there`` with what differs between ``before`` and ``now``; keys that are written with dashes keep them."""
    dashed = {key.lstrip("-"): key for key in there}
    changes = {dashed.get(key, key): value for key, value in now.items() if before.get(key) != value}
    gone = {dashed.get(key, key) for key in before if key not in now}
    return {key: value for key, value in there.items() if key not in gone} | changes


def _merged_entries(
    there: Sequence[dict[str, Any]], before: Mapping[str, dict[str, Any]], now: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    roles = roles_of(there)
    made: dict[int, dict[str, Any] | None] = dict(enumerate(there))
    added = []
    for role, entry in now.items():
        if role in roles:
            made[roles[role]] = _changed(there[roles[role]], before.get(role, {}), entry)
        else:
            added.append(entry)
    for role in before.keys() - now.keys():
        if role in roles:
            made[roles[role]] = None
    return [*(entry for entry in made.values() if entry is not None), *added]
