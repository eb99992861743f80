"""The tiny CLIP and its loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from .clip_data import Batch
from .clip_scores import MAX_TOKENS, embed_pictures, embed_texts
from .vae_data import SIZE

EMBEDDING = 128
# Patches of 8 px and d = 144: steps twice as long, and after 2.5 minutes 10 of 100 pictures recognised instead of 36.
PATCH = 16
WIDTH, LAYERS = 192, 6
TEXT_WIDTH, TEXT_LAYERS = 128, 3

_HEAD = 64
_TEXT_HEAD = 32
_PHRASE_WEIGHT = 0.5
_MAX_LOG_SCALE = 4.6


def new_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    """Build the network for the vocabulary of `tokenizer`."""
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 4 * TEXT_WIDTH,
        "num_hidden_layers": TEXT_LAYERS,
        "num_attention_heads": TEXT_WIDTH // _TEXT_HEAD,
        "max_position_embeddings": MAX_TOKENS,
        "projection_dim": EMBEDDING,
        "hidden_act": "gelu",
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": WIDTH // _HEAD,
        "image_size": SIZE,
        "patch_size": PATCH,
        "projection_dim": EMBEDDING,
        "hidden_act": "gelu",
    }
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=EMBEDDING)
    model = CLIPModel(config)
    # On a CPU, torch's fused attention takes twice as long as the plain one for sequences this short.
    model.set_attn_implementation("eager")
    return model


def loss_of_batch(model: CLIPModel, batch: Batch) -> Tensor:
    """Contrast the pictures with the names and, with less weight, with the phrases; returns ()."""
    pictures = embed_pictures(model, batch.pictures)
    scale = model.logit_scale.clamp(max=_MAX_LOG_SCALE).exp()
    by_name, by_phrase = (
        contrast(scale * pictures @ embed_texts(model, trimmed(ids, model)).T, same_text(ids))
        for ids in (batch.names, batch.phrases)
    )
    return by_name + _PHRASE_WEIGHT * by_phrase


def contrast(logits: Tensor, same: Tensor) -> Tensor:
    """Cross-entropy of logits (B, B) in both directions; all captions that are the `same` share the target."""
    target = same / same.sum(dim=1, keepdim=True)
    return 0.5 * (cross_entropy(logits, target) + cross_entropy(logits.T, target))


def same_text(ids: Tensor) -> Tensor:
    """Tell which captions of ids (B, T) are equal, as 0 or 1 (B, B): subjects may share a phrase."""
    return (ids[:, None] == ids[None]).all(dim=-1).float()


def trimmed(ids: Tensor, model: CLIPModel) -> Tensor:
    """Cut ids (B, T) after the longest caption's end token."""
    ends = (ids == model.config.text_config.eos_token_id).int().argmax(dim=1)
    return ids[:, : int(ends.max()) + 1]
