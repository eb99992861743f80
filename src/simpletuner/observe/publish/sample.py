"""Code that draws with an uploaded result, for its model card. The tests run it."""

from __future__ import annotations

import shlex

from simpletuner.observe.publish.facts import Base, Facts

_PIPELINE = """\
import torch
from diffusers import OmniGenPipeline
{imports}

pipeline = OmniGenPipeline.from_pretrained({base})
"""
_FORMAT = "torch_dtype=torch.bfloat16"
_ADAPTER = "pytorch_lora_weights.safetensors"
_FETCH = "file = hf_hub_download({repository!r}, {name!r})\n"
_LYCORIS = """\
network, _ = create_lycoris_from_weights(1.0, file, pipeline.transformer)
network.merge_to({strength:g})
"""
_LORA = """\
with safe_open(file, 'pt') as opened:
    written = json.loads(opened.metadata()['lora_adapter_metadata'])
    tensors = {name.removeprefix('transformer.'): opened.get_tensor(name) for name in opened.keys()}
settings = LoraConfig(**{key.removeprefix('transformer.'): value for key, value in written.items()})
inject_adapter_in_model(settings, pipeline.transformer)
set_peft_model_state_dict(pipeline.transformer, tensors)
"""
_FULL = """\
pipeline.transformer = OmniGenTransformer2DModel.from_pretrained(
    {repository!r}, subfolder={folder!r}, torch_dtype=torch.bfloat16
)
"""
_DRAW = """\
pipeline.to('cuda' if torch.cuda.is_available() else 'cpu')

image = pipeline(
    {prompt!r},
    width={width},
    height={height},
    num_inference_steps={steps},
    guidance_scale={guidance:g},
    generator=torch.Generator('cpu').manual_seed({seed}),
).images[0]
image.save('picture.png')
"""
_TINY = "from simpletuner.models.omnigen.layers import TINY_FOLDER"
_IMPORTS = {
    "lycoris": "from huggingface_hub import hf_hub_download\nfrom lycoris import create_lycoris_from_weights",
    "lora": "from huggingface_hub import hf_hub_download\n"
    "from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict\n"
    "from safetensors import safe_open",
    "full": "from diffusers import OmniGenTransformer2DModel",
}


def can_be_merged(facts: Facts) -> bool:
    """Whether the adapter is one difference for all shares of noise, so that other programs can lay it on."""
    return facts.algo != "tlora"


def loading(facts: Facts) -> str:
    """The lines that put the result into ``pipeline``."""
    fetch = _FETCH.format(repository=facts.repository, name=facts.drawn_with + _ADAPTER)
    if facts.kind == "lora":
        return f"{fetch}\n{_LORA}"
    if facts.kind == "full":
        return _FULL.format(repository=facts.repository, folder=f"{facts.drawn_with}transformer")
    return f"{fetch}\n{_LYCORIS.format(strength=facts.shown.strength)}"


def sample_code(facts: Facts) -> str:
    """A whole program for diffusers."""
    shown = facts.shown
    imports = _IMPORTS[facts.kind] if facts.base.source else f"{_IMPORTS[facts.kind]}\n{_TINY}"
    head = _PIPELINE.format(base=_base(facts.base), imports=imports)
    draw = _DRAW.format(
        prompt=shown.prompt,
        width=shown.size[0],
        height=shown.size[1],
        steps=shown.steps,
        guidance=shown.guidance,
        seed=shown.seed,
    )
    return f"{'import json' if facts.kind == 'lora' else ''}\n{head}\n{loading(facts)}\n{draw}".lstrip()


def _base(base: Base) -> str:
    """The arguments that name the model, at the commit that was trained over where that is known."""
    if base.commit is None:
        return f"{repr(base.source) if base.source else 'TINY_FOLDER'}, {_FORMAT}"
    return f"\n    {base.source!r},\n    revision={base.commit!r},\n    {_FORMAT},\n"


def command(facts: Facts) -> str:
    """The same with simpletuner's own sampler."""
    shown, base, file = facts.shown, facts.base, facts.drawn_with + _ADAPTER
    model = "" if base.is_default or not base.source else f" --model {base.source}"
    strength = f" --strength {shown.strength:g}" if shown.strength != 1 else ""
    return (
        f"hf download {facts.repository} {file} --local-dir adapter\n"
        f"simpletuner generate{model} --adapter adapter/{file} --output pictures \\\n"
        f"    --prompt {shlex.quote(shown.prompt)} --resolution {shown.size[0]}x{shown.size[1]} --steps {shown.steps} "
        f"--guidance {shown.guidance:g} --seed {shown.seed}{strength}\n"
    )
