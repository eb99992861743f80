"""The VAE's scaling, both ways, and a fingerprint that sees every change."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL

from simpletuner.models.omnigen.codec import OmniGenCodec


def vae(scaling: float = 1.0, seed: int = 0) -> AutoencoderKL:
    torch.manual_seed(seed)
    blocks = ("DownEncoderBlock2D",) * 4, ("UpDecoderBlock2D",) * 4
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=blocks[0],
        up_block_types=blocks[1],
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
        scaling_factor=scaling,
        mid_block_add_attention=False,
    ).eval()


PIXELS = torch.rand(2, 3, 32, 48) * 2 - 1


def test_latents_are_an_eighth_and_scaled_with_their_spread() -> None:
    plain, scaled = OmniGenCodec(vae(1.0)).encode(PIXELS), OmniGenCodec(vae(0.25)).encode(PIXELS)
    assert plain.mean.shape == (2, 4, 4, 6)
    assert torch.allclose(scaled.mean, plain.mean * 0.25, atol=1e-6)
    assert torch.allclose((scaled.logvar / 2).exp(), (plain.logvar / 2).exp() * 0.25, atol=1e-6)


def test_decoding_undoes_the_scaling_and_stays_in_range() -> None:
    latents = torch.randn(1, 4, 4, 4)
    plain, scaled = OmniGenCodec(vae(1.0)).decode(latents), OmniGenCodec(vae(0.25)).decode(latents * 0.25)
    assert torch.allclose(plain, scaled, atol=1e-5)
    assert plain.shape == (1, 3, 32, 32)
    assert plain.abs().max() <= 1


@pytest.mark.parametrize("change", ["weights", "scaling", "dtype"])
def test_any_change_is_another_fingerprint(change: str) -> None:
    base, other = vae(), vae(0.5 if change == "scaling" else 1.0, seed=1 if change == "weights" else 0)
    if change == "dtype":
        other = other.to(torch.bfloat16)
    assert OmniGenCodec(base).fingerprint() == OmniGenCodec(vae()).fingerprint()
    assert OmniGenCodec(base).fingerprint() != OmniGenCodec(other).fingerprint()


def overflowing(seed: int = 0) -> AutoencoderKL:
    """A VAE whose latents are beyond float16 for bright pictures, and whose pictures are for large latents."""
    made = vae(seed=seed)
    for layer in (made.encoder.conv_in, made.decoder.conv_in):
        layer.weight.data *= 3e3
    return made


def test_a_picture_that_a_narrow_type_cannot_encode_is_encoded_in_float32() -> None:
    pixels = torch.cat((PIXELS[:1] * 1e-4, PIXELS[1:] * 300))
    narrow, wide = OmniGenCodec(overflowing().half()), OmniGenCodec(overflowing())
    with torch.no_grad():
        plain = overflowing().half().encode(pixels.half()).latent_dist.mean
    assert [bool(row.isfinite().all()) for row in plain] == [True, False], "the case is a real one"
    found, expected = narrow.encode(pixels), wide.encode(pixels)
    assert torch.equal(found.mean[0], plain[0].float())
    assert torch.allclose(found.mean[1], expected.mean[1], atol=2e-3)
    assert torch.allclose(found.logvar[1], expected.logvar[1], atol=2e-3)
    # It is as narrow as before, to the bit.
    assert torch.equal(narrow.encode(pixels).mean, found.mean)


def test_a_picture_that_a_narrow_type_cannot_decode_is_decoded_in_float32() -> None:
    latents = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(2)) * 300
    with torch.no_grad():
        assert not overflowing().half().decode(latents.half()).sample.isfinite().all()
    narrow, wide = (OmniGenCodec(made).decode(latents) for made in (overflowing().half(), overflowing()))
    assert narrow.isfinite().all()
    assert torch.allclose(narrow, wide, atol=2e-2)


def test_only_what_never_changes_its_type_is_used_by_several_threads() -> None:
    assert OmniGenCodec(vae()).threads() == torch.get_num_threads()
    assert OmniGenCodec(vae().to(torch.bfloat16)).threads() == 1
