"""The best linear denoiser, against what is known of Gaussian latents and against a dense solution."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from simpletuner.core.batch import Latents
from simpletuner.core.seeds import generator
from simpletuner.diffusion.quadrature import midpoints
from simpletuner.diffusion.references.linear import LinearReference, Spectrum, linear_loss
from simpletuner.diffusion.timesteps import LogitNormal

SIDE, CHANNELS = 16, 4


def steep(side: int) -> Tensor:
    """A power law like that of pictures, (side, side), of mean 1."""
    waves = torch.fft.fftfreq(side, dtype=torch.float64)
    power: Tensor = 1 / (0.02 + waves[:, None].square() + waves[None, :].square()) ** 1.5
    return power / power.mean()


MIXING = torch.randn(CHANNELS, CHANNELS, generator=generator("mixing"), dtype=torch.float64) / 2


def gaussian(count: int, logvar: float = -60.0) -> list[Latents]:
    """Pictures whose channels are mixed, with a known power spectrum and a mean."""
    white = torch.randn(count, CHANNELS, SIDE, SIDE, generator=generator("gaussian", count), dtype=torch.float64)
    fields = torch.fft.ifft2(torch.fft.fft2(white) * steep(SIDE).sqrt()).real
    mixed = torch.einsum("dc,nchw->ndhw", MIXING, fields) + 0.7
    return [Latents(row.float(), torch.full(row.shape, logvar)) for row in mixed]


def known(sigmas: Tensor, white: float = 0.0) -> Tensor:
    """The analytic loss: the fields' spectrum times the covariance of the mixing, and ``white`` beside it."""
    covariance = torch.linalg.eigvalsh(MIXING @ MIXING.T)
    powers = (steep(SIDE)[..., None] * covariance + white).flatten()
    return torch.stack([(powers / ((1 - s) ** 2 * powers + s**2)).mean() for s in sigmas])


def spectrum(pictures: list[Latents], weight: float = 1.0) -> Spectrum:
    found = Spectrum()
    for latents in pictures:
        found.add(latents, weight)
    return found


@pytest.mark.parametrize("logvar", [-60.0, -1.5])
def test_gaussian_latents_reach_the_analytic_value_within_a_percent(logvar: float) -> None:
    points = torch.tensor(midpoints(LogitNormal(), 28), dtype=torch.float64)
    found = linear_loss(spectrum(gaussian(600, logvar)).eigenvalues(), points)
    expected = known(points, white=torch.tensor(logvar).exp().item())
    assert torch.allclose(found, expected, rtol=0.01)
    assert float(found.mean()) == pytest.approx(float(expected.mean()), rel=0.005)


def test_it_is_the_error_of_a_dense_wiener_filter() -> None:
    """One channel on a ring of cells: the covariance matrix written out, and the filter solved for."""
    side, sigma = 12, torch.tensor(0.4, dtype=torch.float64)
    powers = 2 / (1 + torch.fft.fftfreq(side, d=0.1, dtype=torch.float64).square())
    row = torch.fft.ifft(powers).real
    covariance = torch.stack([row.roll(shift) for shift in range(side)])
    one = torch.eye(side, dtype=torch.float64)
    shown = (1 - sigma) ** 2 * covariance + sigma**2 * one
    across = sigma * one - (1 - sigma) * covariance
    left = one + covariance - across @ torch.linalg.solve(shown, across.T)
    found = linear_loss(powers.reshape(1, side, 1), sigma[None])
    assert float(found) == pytest.approx(float(left.trace() / side), rel=1e-10)


def test_a_denoiser_that_applies_the_filter_has_this_loss() -> None:
    sigma, pictures = 0.6, torch.stack([latents.mean for latents in gaussian(200)]).double()
    covariance = steep(SIDE)[..., None, None] * (MIXING @ MIXING.T)
    seen = (1 - sigma) ** 2 * covariance + sigma**2 * torch.eye(CHANNELS)
    gain = (sigma * torch.eye(CHANNELS) - (1 - sigma) * covariance) @ torch.linalg.inv(seen)
    noise = torch.randn(pictures.shape, generator=generator("filter"), dtype=torch.float64)
    centred = (1 - sigma) * (pictures - 0.7) + sigma * noise
    waves = torch.einsum("hwdc,nchw->ndhw", gain.to(torch.complex128), torch.fft.fft2(centred))
    predicted = torch.fft.ifft2(waves).real - 0.7
    error = float((predicted - (noise - pictures)).square().mean())
    assert error == pytest.approx(float(known(torch.tensor([sigma]))), rel=0.01)


def test_the_ends_are_hidden_noise_and_the_hidden_picture() -> None:
    powers = torch.tensor([0.5, 2.0, 0.0], dtype=torch.float64)
    found = linear_loss(powers, torch.tensor([0.0, 1.0]))
    assert found.tolist() == pytest.approx([2 / 3, 2.5 / 3])


def test_how_often_all_pictures_count_changes_nothing() -> None:
    pictures = gaussian(20)
    assert torch.allclose(spectrum(pictures, 3.0).eigenvalues(), spectrum(pictures).eigenvalues())


def test_the_table_is_close_to_the_formula_between_its_points() -> None:
    found = spectrum(gaussian(40))
    reference = LinearReference.of({(SIDE, SIDE): found})
    sigmas = torch.linspace(0.003, 0.997, 41, dtype=torch.float64)
    exact = linear_loss(found.eigenvalues(), sigmas)
    read = [reference.at((SIDE, SIDE), float(sigma)) for sigma in sigmas]
    assert read == pytest.approx(exact.tolist(), rel=2e-3)
    assert reference.at((SIDE, SIDE), 1.0) == pytest.approx(float(linear_loss(found.eigenvalues(), torch.ones(1))))


def test_the_table_of_large_latents_is_as_close() -> None:
    """A spectrum as steep as that of pictures, with more values than are kept."""
    found = Spectrum()
    size = (56, 42)
    waves = [torch.fft.fftfreq(side, dtype=torch.float64) for side in size]
    power = 1 / (1e-3 + waves[0][:, None].square() + waves[1][None, :].square()) ** 1.2
    for place in range(16):
        white = torch.randn(CHANNELS, *size, generator=generator("large", place), dtype=torch.float64)
        row = torch.fft.ifft2(torch.fft.fft2(white) * (power / power.mean()).sqrt()).real.float()
        found.add(Latents(row, torch.full_like(row, -60.0)))
    reference = LinearReference.of({size: found})
    sigmas = torch.linspace(0.01, 0.99, 15, dtype=torch.float64)
    read = [reference.at(size, float(sigma)) for sigma in sigmas]
    assert read == pytest.approx(linear_loss(found.eigenvalues(), sigmas).tolist(), rel=3e-3)


def test_a_size_that_few_pictures_have_is_not_known() -> None:
    reference = LinearReference.of({(SIDE, SIDE): spectrum(gaussian(20)), (8, 8): spectrum(gaussian(15))})
    assert reference.at((8, 8), 0.5) is None
    assert reference.mean([((SIDE, SIDE), 0.5), ((8, 8), 0.5)]) is None
    assert reference.mean([]) is None
    both = reference.mean([((SIDE, SIDE), 0.2), ((SIDE, SIDE), 0.8)])
    assert both == pytest.approx(sum(reference.at((SIDE, SIDE), sigma) or 0 for sigma in (0.2, 0.8)) / 2)
