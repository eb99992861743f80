"""Training with reference pictures: what they teach, which picture each belongs to, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from torch import Tensor

from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.assemble.data.datasets import TrainingData
from simpletuner.config.files.lycoris import read_lycoris
from simpletuner.core.batch import Prompt
from simpletuner.core.samples import Use
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import FACTS, TINY_FOLDER
from simpletuner.training.batches import BatchMaker
from simpletuner.training.model import TrainedModel
from simpletuner.training.step import row_losses
from simpletuner.validation.save import read_facts
from tests.runs.conftest import DOCUMENT, Train, metrics
from tests.runs.data_words import (
    adapter,
    command,
    dataloader,
    dataset,
    entries,
    folder,
    picture,
    report,
    same,
    training_data,
)

CPU = torch.device("cpu")
NAMES = ("a.png", "b.png", "c.png", "d.png")
QUIET = {"use_ema": "false", "checkpoint_step_interval": 100}


def partner(name: str = "references", kind: str = "reference_strict", **keys: Any) -> dict[str, Any]:
    """A conditioning data set in a folder of its own name."""
    own = {"id": name, "instance_data_dir": name, "cache_dir_vae": f"cache/{name}", "conditioning_type": kind}
    return dataset(dataset_type="conditioning", **own, **keys)


def edits(**keys: Any) -> dict[str, Any]:
    """Pictures that no caption tells apart, and that have references."""
    words = {"caption_strategy": "instanceprompt", "instance_prompt": "invert the colours"}
    return dataset(**({"conditioning_data": "references"} | words | keys))


def inverted(size: tuple[int, int] = (64, 64)) -> None:
    """Pictures that are the inverse of their references."""
    folder("references", dict.fromkeys(NAMES, size))
    folder("pictures", {})
    for name in NAMES:
        with Image.open(Path("references") / name) as image:
            ImageOps.invert(image).save(Path("pictures") / name)


def uses(data: TrainingData) -> list[Use]:
    """One use of each picture, in the order of their names."""
    return sorted((use for update in data.plan(0) for use in update.uses), key=lambda use: use.sample)


def losses(data: TrainingData, trained: Path | None, turn: int) -> Tensor:
    """The loss of every picture on noise that training never draws, and the reference ``turn`` places further."""
    nothing = torch.tensor([1])
    maker = BatchMaker(1, data.latents, data.masks, data.references, data.captions, data.tokens, nothing, 0.0)
    batch = maker.make(uses(data))
    seen = [prompt.pictures for prompt in batch.prompts]
    prompts = [Prompt(own.ids, seen[(row + turn) % len(seen)]) for row, own in enumerate(batch.prompts)]
    family, made = OmniGen(), None
    denoiser = family.load_denoiser(TINY_FOLDER, torch.float32)
    if trained is not None:
        made = attach_lycoris(denoiser, read_lycoris(DOCUMENT / "lycoris_config.json"), FACTS.class_aliases, seed=0)
        made.load_tensors(load_file(trained / "pytorch_lora_weights.safetensors"))
    model = TrainedModel(family, denoiser, made)
    with torch.no_grad():
        return row_losses(lambda noisy, sigma, _, sizes: model(noisy, sigma, prompts, sizes), batch, CPU)


def test_training_learns_what_the_references_show(train: Train) -> None:
    inverted()
    dataloader(edits(), partner())
    how = {"learning_rate": "5e-3", "train_batch_size": 4, "caption_dropout_probability": 0}
    assert train(max_train_steps=60, **how, **QUIET) == 0
    data = training_data(output_dir="output")
    (right, before), (swapped, other) = (
        [float(losses(data, trained, turn).mean()) for trained in (Path("output"), None)] for turn in (0, 1)
    )
    assert other == pytest.approx(before, rel=0.1), "the base model does not know what a reference is for"
    assert right < 0.3 * before
    assert right < 0.5 * swapped


def test_a_strict_reference_has_the_size_of_its_picture_and_a_loose_one_its_own(train: Train) -> None:
    sizes = {"tall.png": (64, 128), "wide.png": (128, 64)}
    folder("pictures", sizes)
    folder("references", {name: (width // 2, height // 2) for name, (width, height) in sizes.items()})
    for kind, shapes in (("reference_strict", [(16, 8), (8, 16)]), ("reference_loose", [(32, 16), (16, 32)])):
        dataloader(edits(crop=False), partner(kind=kind, crop=False, resolution=128))
        data = training_data(output_dir=kind)
        found = [reference.mean.shape for use in uses(data) for reference in data.references(use)]
        assert [tuple(shape) for shape in found] == [(4, *shape) for shape in shapes]


def several(sampling: str, **keys: Any) -> TrainingData:
    """Pictures with two data sets of references, declared in the order of neither name nor place."""
    inverted()
    folder("more", dict.fromkeys(NAMES, (64, 64)))
    for place, name in enumerate(NAMES):
        picture(Path("more") / name, (64, 64), 50 + place)
    dataloader(partner("references"), edits(conditioning_data=["references", "more"], **keys), partner("more"))
    return training_data(conditioning_multidataset_sampling=sampling)


def means(data: TrainingData, use: Use) -> list[Tensor]:
    return [reference.mean for reference in data.references(use)]


def alone(name: str) -> TrainingData:
    dataloader(edits(conditioning_data=name), partner(name))
    return training_data()


def test_several_sets_stand_together_in_the_order_they_are_declared_or_take_turns(train: Train) -> None:
    together, turns = several("combined"), several("random")
    sets = [alone(name) for name in ("references", "more")]
    for use in uses(together):
        expected = [means(data, use)[0] for data in sets]
        assert all(one.equal(other) for one, other in zip(means(together, use), expected, strict=True))
        (drawn,) = means(turns, use)
        assert any(drawn.equal(one) for one in expected)
    visits = [Use(uses(turns)[0].sample, visit) for visit in range(20)]
    assert len({float(means(turns, use)[0].sum()) for use in visits}) == 2
    assert [token for token in together.tokens("invert the colours", 2).tolist() if token < 0] == [-1, -2]


@pytest.mark.parametrize(
    ("kind", "sampling", "keys"),
    [
        ("reference_strict", "combined", {"crop_style": "random"}),
        ("reference_loose", "random", {"bucket_mixing": "pad", "crop": False}),
    ],
)
def test_a_resumed_run_is_the_unbroken_one_to_the_bit(
    train: Train, kind: str, sampling: str, keys: dict[str, Any]
) -> None:
    inverted((96, 64))
    picture(Path("pictures/d.png"), (64, 96), 9)
    picture(Path("references/d.png"), (64, 96), 10)
    folder("more", {name: (64, 96) if name == "d.png" else (96, 64) for name in NAMES})
    dataloader(
        edits(conditioning_data=["references", "more"], **keys),
        partner(kind=kind, crop_style="random"),
        partner("more", kind, resolution=32 if kind == "reference_loose" else 64),
    )
    how = {"conditioning_multidataset_sampling": sampling, **QUIET}
    assert train(max_train_steps=7, output_dir="whole", **how) == 0
    # Windows of former epochs are cleared.
    assert len(entries("cache/references")) <= len(NAMES)
    for steps in (3, 7):
        assert train(max_train_steps=steps, output_dir="parts", **how) == 0
    assert same(adapter("whole"), adapter("parts"))


def test_latents_made_on_demand_and_kept_nowhere_are_those_of_the_cache(train: Train) -> None:
    for way in ("cached", "vae_cache_ondemand", "vae_cache_disable"):
        inverted()
        keys = {} if way == "cached" else {way: True}
        dataloader(edits(cache_dir_vae=f"{way}/flat", **keys), partner(**keys) | {"cache_dir_vae": f"{way}/references"})
        assert train(max_train_steps=3, output_dir=f"{way}/output", caption_dropout_probability=0, **QUIET) == 0
    assert len(entries("vae_cache_ondemand/references")) == len(NAMES)
    assert not (entries("vae_cache_disable/references") or entries("vae_cache_disable/flat"))
    for way in ("vae_cache_ondemand", "vae_cache_disable"):
        assert same(adapter("cached/output"), adapter(f"{way}/output"))


def test_masks_and_prior_preservation_go_with_references(train: Train) -> None:
    inverted()
    Path("masks").mkdir()
    for name in NAMES:
        Image.new("L", (64, 64), 0).save(Path("masks") / name)
    how = {"max_train_steps": 1, **QUIET}
    dataloader(edits(conditioning_data=["masks", "references"]), partner("masks", "mask"), partner())
    assert train(output_dir="masked", **how) == 0
    dataloader(
        edits(is_regularisation_data=True, probability=1e6),
        partner(),
        dataset(id="other", cache_dir_vae="cache/other", instance_data_dir="references", probability=1e-6),
    )
    assert train(output_dir="prior", **how) == 0
    # A mask of nothing counts nothing; an adapter that has not learned is the base model.
    (masked,), (prior,) = metrics(Path("masked")), metrics(Path("prior"))
    assert masked["train_loss"] == 0
    assert prior["regularisation_loss"] == pytest.approx(0, abs=1e-6)


def test_a_missing_reference_ends_the_run_and_is_named(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    inverted()
    dataloader(edits(), partner())
    Path("references/c.png").unlink()
    for name in ("check", "train"):
        assert command(name) == 3
        heard = capsys.readouterr()
        told = " ".join((heard.out + heard.err).split())
        assert '1 pictures have no partner in data set "references": c.png' in told


def test_a_picture_whose_reference_cannot_be_decoded_is_left_out(train: Train) -> None:
    inverted((160, 160))
    reference = Path("references/b.png")
    content = reference.read_bytes()
    # Its end is in place, so that only decoding finds out.
    middle = len(content) // 2
    reference.write_bytes(content[:middle] + bytes(40) + content[middle + 40 :])
    dataloader(edits(), partner())
    assert train(max_train_steps=1, **QUIET) == 0
    (found,) = report()
    assert found["used"] == 3
    ((file, reason),) = [(item["file"], item["reason"]) for item in found["dropped"]]
    assert file == "b.png"
    assert reason.startswith('its partner b.png in data set "references"')


def test_a_caption_may_say_where_its_references_stand_and_names_all_of_them(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    inverted()
    dataloader(edits(instance_prompt="like <img><|image_1|></img> but inverted"), partner())
    data = training_data()
    (caption,) = data.captions(uses(data)[0])
    ids, words = data.tokens(caption, 1).tolist(), OmniGen().load_text(TINY_FOLDER, builtin_negative=False)
    assert ids.count(-1) == 1
    assert ids.index(-1) > words.pictures_alone(1).tolist().index(-1), "behind a word"
    dataloader(edits(instance_prompt="like <img><|image_2|></img>"), partner())
    assert train(max_train_steps=1) == 3
    assert "1 input pictures and names <|image_2|>" in capsys.readouterr().err


SHOWN = {
    "validation_disable": "false",
    "validation_step_interval": 1,
    "validation_num_inference_steps": 1,
    "validation_resolution": "64",
    "validation_disable_unconditional": "true",
    "max_train_steps": 1,
}


def pictures(output: str) -> list[Path]:
    return sorted(Path(output, "validation_images").iterdir())


def test_validation_draws_with_references_of_the_data_sets(train: Train) -> None:
    inverted((128, 64))
    dataloader(edits(crop=False), partner(crop=False))
    assert train(validation_using_datasets="true", num_eval_images=2, **SHOWN, **QUIET) == 0
    one, other = pictures("output")
    assert one.name == "step_1_flat_a_0_128x64.png"
    assert other.name == "step_1_flat_c_0_128x64.png"
    facts = read_facts(one)
    assert facts["input_pictures"].startswith("references/a.png 128x64 ")
    assert facts["image_guidance"] == "1.6"
    with Image.open(one) as stitched, Image.open("references/a.png") as reference:
        assert stitched.width == 3 * 256 + 2 * 5, "input, base model, step"
        shown = reference.resize((256, 128), Image.Resampling.NEAREST).tobytes()
        assert any(stitched.crop((0, top, 256, top + 128)).tobytes() == shown for top in range(60))


def test_validation_draws_the_prompts_with_files_that_the_user_names(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    inverted()
    dataloader(edits(), partner())
    shown = {**SHOWN, "validation_prompt": "invert", "disable_benchmark": "true", **QUIET}
    drawn = {}
    for name in ("a", "b"):
        assert train(output_dir=name, validation_input=f"references/{name}.png", **shown) == 0
        (drawn[name],) = pictures(name)
        assert read_facts(drawn[name])["input_pictures"].startswith(f"{name}.png 64x64 ")
    assert drawn["a"].read_bytes() != drawn["b"].read_bytes()
    assert "validates without" not in capsys.readouterr().out
    assert train(output_dir="c", **shown) == 0
    assert "trains with input pictures and validates without" in capsys.readouterr().out
    shown["validation_prompt"] = "<img><|image_2|></img>"
    assert train(output_dir="d", validation_input="references/a.png", **shown) == 3
    assert "names <|image_2|>" in capsys.readouterr().err
    assert train(output_dir="e", validation_input="references/z.png", **shown) == 2
    assert "there is no file 'references/z.png'" in capsys.readouterr().err
