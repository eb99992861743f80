"""Which layers a standard LoRA means: as PEFT has it, by class, by path, by expression; and what means nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer

from simpletuner.adapters.targets import LoraSettings, lora_paths, lora_settings, parse_targets
from simpletuner.config.sections.adapter import AdapterConfig
from simpletuner.core.errors import ConfigError
from simpletuner.models.omnigen.layers import FACTS
from tests.models.omnigen.tiny_model import random_omnigen

SHAPES = FACTS.linear_shapes(
    {
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "intermediate_size": 128,
        "num_layers": 12,
    }
)
ENDS = ("to_q", "to_k", "to_v", "to_out.0", "gate_up_proj", "down_proj")


def paths(*targets: str) -> tuple[str, ...]:
    return lora_paths(targets, SHAPES, FACTS.class_aliases)


@pytest.mark.parametrize(
    ("targets", "count", "only"),
    [
        (("to_q",), 12, "to_q"),
        (("to_out.0",), 12, "to_out.0"),
        (("self_attn.to_v",), 12, "to_v"),
        (("Attention",), 48, "self_attn"),
        (("FeedForward",), 24, "mlp"),
        (("OmniGenFeedForward",), 24, "mlp"),
        (("OmniGenBlock",), 72, ""),
        (("all-linear",), 72, ""),
        (("layers.1.mlp.down_proj",), 1, "layers.1.mlp.down_proj"),
        ((r"layers\.\d\..*",), 60, ""),
        ((r".*\.to_[qk]",), 24, "self_attn.to_"),
        (("to_q", "Attention", r".*to_q"), 48, "self_attn"),
    ],
)
def test_a_target_means(targets: tuple[str, ...], count: int, only: str) -> None:
    found = paths(*targets)
    assert len(found) == len(set(found)) == count
    assert all(only in path for path in found)


def test_no_target_means_all_in_order() -> None:
    assert lora_paths(None, SHAPES, {}) == tuple(shape.path for shape in SHAPES)
    assert paths("down_proj", "to_q")[:3] == (
        "layers.0.self_attn.to_q",
        "layers.0.mlp.down_proj",
        "layers.1.self_attn.to_q",
    )


@pytest.mark.parametrize("target", ENDS)
def test_a_layers_name_means_what_it_means_to_peft(target: str) -> None:
    model = random_omnigen()
    inject_adapter_in_model(LoraConfig(r=2, target_modules=[target]), model)
    theirs = {path for path, module in model.named_modules() if isinstance(module, LoraLayer)}
    assert theirs == set(lora_paths((target,), FACTS.linear_shapes(model.config), FACTS.class_aliases))


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("to_out", "did you mean 'to_out.0'?"),
        ("FeedFoward", "did you mean 'FeedForward'?"),
        ("gate_up", "did you mean 'gate_up_proj'?"),
        ("o_q", "did you mean 'to_q'?"),
        ("layers.12.mlp.down_proj", "use some of OmniGenBlock, Attention, OmniGenFeedForward, FeedForward, to_q"),
        ("[", "full paths or regular expressions"),
        ("", "full paths or regular expressions"),
        ("proj_out", "peft_lora_target_modules: no linear layer of this model is meant by 'proj_out'"),
    ],
)
def test_a_target_that_means_nothing_is_refused_with_near_names(target: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        paths("to_q", target)
    assert told in caught.value.message()


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ('["to_q", "to_out.0"]', ("to_q", "to_out.0")),
        ("to_q, to_out.0,", ("to_q", "to_out.0")),
        ("Attention", ("Attention",)),
        (r"layers\.\d{1,2}\.mlp\..*,to_q", (r"layers\.\d{1,2}\.mlp\..*", "to_q")),
        ("[a-z]+_proj", ("[a-z]+_proj",)),
        ("[0]", ("[0]",)),
    ],
)
def test_lists_are_read_as_people_write_them(text: str, targets: tuple[str, ...]) -> None:
    assert parse_targets(text) == targets


@pytest.mark.parametrize("text", ["[]", ",", '[""]'])
def test_an_empty_list_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="names no layer"):
        lora_settings(AdapterConfig(peft_lora_target_modules=text))


@given(st.sets(st.sampled_from([shape.path for shape in SHAPES]), min_size=1))
def test_full_paths_mean_themselves(chosen: set[str]) -> None:
    assert set(paths(*chosen)) == chosen


def test_alpha_is_the_rank_unless_given() -> None:
    assert lora_settings(AdapterConfig()) == LoraSettings(rank=16, alpha=16, dropout=0.0, targets=None)
    given = AdapterConfig(lora_rank=8, lora_alpha=4, lora_dropout=0.1, peft_lora_target_modules="to_q,to_k")
    assert lora_settings(given) == LoraSettings(8, 4.0, 0.1, ("to_q", "to_k"))
