"""`simpletuner export`: an adapter in another layout, written only when it proves to be the same adapter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import torch
from safetensors import safe_open
from torch import Tensor, nn

from simpletuner.adapters.export.effect import weight_with
from simpletuner.adapters.export.layers import Layers, layers_of, method_of
from simpletuner.adapters.export.names import Viewer, key_map, named, unnamed
from simpletuner.adapters.export.peft_layout import peft_layout
from simpletuner.adapters.initial import AdapterFile
from simpletuner.adapters.peft import read_file, read_folder
from simpletuner.assemble.commands.adapted_model import adapted, read_adapter
from simpletuner.assemble.commands.arguments import ExportArguments
from simpletuner.assemble.commands.comparison import Answers, answer, answers, distance
from simpletuner.assemble.commands.merged import copy_rest, merged_weights, put_into
from simpletuner.assemble.commands.official_adapter import fused_layers, parts_of
from simpletuner.core.errors import ConfigError, DataError
from simpletuner.core.files import commit_folder, commit_into, remove_folder
from simpletuner.models.family import ModelFamily
from simpletuner.models.official import Whole
from simpletuner.models.registry import family as find_family
from simpletuner.models.registry import official_layout
from simpletuner.training.tensor_file import write_tensors

Tell = Callable[[str], None]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_READ = ("lora", "loha", "lokr", "full")
_UNREAD = {
    "tlora": "a T-LoRA's ranks follow the noise, which no viewer tells it",
    "ia3": "viewers have no IA3",
    "glora": "GLoRA is read by too few viewers, each in its own way",
    "oft": "OFT and BOFT are read by viewers each in their own way",
    "unknown": "its tensors are of no method that viewers read",
}
_FINE = "{what} equals the adapter over {base}: forward pass within {error:.0e} of the largest value"
_NO_VIEWER = "no viewer was run: names and shapes are those its loader looks for, and its formulas give the adapter"


@dataclass(frozen=True)
class _Case:
    """One export: what is asked for, the adapter as read, and what the model answers with it."""

    arguments: ExportArguments
    family: ModelFamily
    file: AdapterFile
    layers: Layers
    paths: tuple[str, ...]
    wholes: tuple[Whole, ...]
    answers: Answers
    merged: dict[str, Tensor]

    def base(self) -> nn.Module:
        return self.family.load_denoiser(self.arguments.base.origin, torch.float32)


def export(arguments: ExportArguments, tell: Tell) -> None:
    """Convert, reload, compare; refuse to leave a file that differs. ``tell`` is for the user.

    Raises ConfigError for what cannot be held in that layout, DataError when the comparison fails.
    """
    _require_free(arguments)
    case = _read(arguments)
    if case.answers.effect == 0:
        tell("the adapter changes nothing: it was never trained")
    writers = {"diffusers": _diffusers, "merged": _merged}
    error = writers.get(arguments.to, _for_viewer)(case, tell)
    tell(f"wrote {arguments.output}")
    tell(_FINE.format(what=arguments.output.name, base=arguments.base.name, error=error))
    if arguments.to in ("comfyui", "kohya"):
        tell(_NO_VIEWER)


def _require_free(arguments: ExportArguments) -> None:
    if arguments.output.exists() and not arguments.force:
        raise ConfigError("exists", file=arguments.output, key="--output", cure="choose another name, or add --force")
    is_file = arguments.output.suffix == ".safetensors"
    if arguments.to in ("comfyui", "kohya") and not is_file:
        cure = f"for example {arguments.output}.safetensors"
        raise ConfigError("must be a .safetensors file", file=arguments.output, key="--output", cure=cure)
    if arguments.to == "merged" and is_file:
        raise ConfigError("must be a folder: it holds a whole model", file=arguments.output, key="--output")
    _require_read_words(arguments)
    if arguments.adapter.resolve().is_relative_to(arguments.output.resolve()):
        cure = "choose a name of its own"
        raise ConfigError(
            "would be replaced, and the adapter with it", file=arguments.output, key="--output", cure=cure
        )


def _require_read_words(arguments: ExportArguments) -> None:
    """Refuse words that this format would not heed."""
    if arguments.to != "merged" and arguments.strength != 1.0:
        cure = "set the strength in the viewer"
        raise ConfigError("only a merged model has a strength", key="--strength", cure=cure)
    if arguments.to != "merged" and arguments.dtype != "fp32":
        reason = "only a merged model is rounded: an adapter keeps the numbers that its file has"
        raise ConfigError(reason, key="--dtype", cure="remove it")
    if arguments.to == "diffusers" and arguments.layout != "diffusers":
        reason, cure = "--format diffusers has diffusers' names", "remove it, or --format comfyui, kohya or merged"
        raise ConfigError(reason, key="--layout", cure=cure)


def _read(arguments: ExportArguments) -> _Case:
    family = find_family(arguments.base.family)
    file = read_adapter(arguments.adapter)
    denoiser = family.load_denoiser(arguments.base.origin, torch.float32)
    paths = tuple(path for path, module in denoiser.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d)))
    layers = layers_of(file, paths)
    _require_read(layers, own_words=arguments.to in ("comfyui", "kohya"))
    config: dict[str, object] = dict(denoiser.config)  # type: ignore[arg-type]
    model = adapted(family, denoiser, file)
    model.adapter.narrow(torch.float32)
    seen = answers(family, denoiser, model.adapter, arguments.strength)
    merged = merged_weights(denoiser, model.adapter, arguments.strength) if arguments.to == "merged" else {}
    return _Case(
        arguments, family, file, layers, paths, official_layout(arguments.base.family).wholes(config), seen, merged
    )


def _require_read(layers: Layers, *, own_words: bool) -> None:
    """Refuse methods for which viewers have no words, with ``own_words``, and one that is no weight at all."""
    for path, leaves in layers.items():
        method = method_of(leaves)
        if method == "tlora" or (own_words and method not in _READ):
            cure = "draw with simpletuner generate" if method == "tlora" else "use --format merged"
            raise ConfigError(f"{path}: {_UNREAD[method]}", key="--format", cure=cure)


@contextmanager
def _partial(output: Path) -> Iterator[Path]:
    """A hidden folder beside ``output`` that is gone afterwards."""
    folder = output.absolute().parent / f".{uuid4().hex}.partial"
    try:
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        raise DataError(f"cannot be written: {error}", file=output) from error
    finally:
        remove_folder(folder)


def _for_viewer(case: _Case, tell: Tell) -> float:
    """ComfyUI or kohya: every tensor comes back as it was, and the file alone gives the same forward pass."""
    viewer: Viewer = "comfyui" if case.arguments.to == "comfyui" else "kohya"
    is_official = case.arguments.layout == "official"
    layers = fused_layers(case.layers, case.wholes) if is_official else case.layers
    names = key_map(viewer, (whole.path for whole in case.wholes) if is_official else case.paths)
    with _partial(case.arguments.output) as partial:
        written = partial / case.arguments.output.name
        write_tensors(written, named(layers, names), case.file.metadata)
        tensors, _ = read_back(written)
        back = unnamed(tensors, names)
        ours = parts_of(back, case.wholes, case.layers) if is_official else back
        require_equal(case.layers, ours)
        model = case.base()
        put_into(model, {f"{path}.weight": weight_with(_weight(model, path), ours[path]) for path in ours})
        error = case.answers.require(answer(case.family, model), case.arguments.to)
        commit_into(partial, written.parent.parent)
    del tell
    return error


def _weight(model: nn.Module, path: str) -> Tensor:
    return model.get_submodule(path).get_parameter("weight")


def read_back(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file."""
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def require_equal(wanted: Layers, found: Layers) -> None:
    """Refuse layers that are not those ``wanted``, tensor for tensor. Raises DataError."""
    flat, own = (
        {(path, leaf): one for path, its in each.items() for leaf, one in its.items()} for each in (wanted, found)
    )
    for key in sorted({*flat, *own}):
        if key not in flat or key not in own or not torch.equal(flat[key], own[key]):
            raise DataError(
                f"{'.'.join(key)} did not come back as it was; nothing was written", cure="please report this"
            )


def _diffusers(case: _Case, tell: Tell) -> float:
    """A file of diffusers for a LoRA, or a folder of PEFT; read again by PEFT."""
    layout = peft_layout(case.layers, case.paths)
    model = case.base()
    with _partial(case.arguments.output) as partial:
        if case.arguments.output.suffix == ".safetensors":
            written = partial / case.arguments.output.name
            tensors, metadata = layout.for_diffusers()
            write_tensors(written, tensors, {**case.file.metadata, **metadata})
            read_file(model, *read_back(written))
            error = case.answers.require(answer(case.family, model), "the file")
            commit_into(partial, written.parent.parent)
            return error
        write_tensors(partial / "adapter_model.safetensors", layout.for_peft(), {"format": "pt"})
        text = json.dumps({"task_type": None, **layout.config}, indent=2) + "\n"
        (partial / "adapter_config.json").write_text(text, encoding="utf-8")
        read_folder(model, partial)
        error = case.answers.require(answer(case.family, model), "the folder")
        commit_folder(partial, case.arguments.output)
    tell(f'load it with PeftModel.from_pretrained(pipe.transformer, "{case.arguments.output}")')
    return error


def _merged(case: _Case, tell: Tell) -> float:
    """A whole model, loaded again by the class that will load it."""
    official = official_layout(case.arguments.base.family)
    is_official, dtype = case.arguments.layout == "official", _DTYPES[case.arguments.dtype]
    model = case.base()
    put_into(model, case.merged)
    with _partial(case.arguments.output) as partial:
        if is_official:
            official.save(model, partial, dtype)
            state = official.load(partial, dict(model.config))  # type: ignore[arg-type]
        else:
            case.family.save_denoiser(model, partial / "transformer", dtype)
            state = case.family.load_denoiser(partial, torch.float32).state_dict()
        rounded = {name: value.to(dtype).float() for name, value in model.state_dict().items()}
        require_equal({"": rounded}, {"": {name: value.float() for name, value in state.items()}})
        model.load_state_dict(state)
        found = answer(case.family, model)
        wide = dtype == torch.float32
        error = case.answers.require(found, "the model") if wide else distance(case.answers.adapted, found)
        copy_rest(case.arguments.base.origin, partial, official=is_official)
        commit_folder(partial, case.arguments.output)
    if not wide:
        tell(f"the weights were rounded to {case.arguments.dtype}, and nothing else")
    return error
