"""Noise that a file has clipped at black and white: what that does to the mean is undone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import pixelrl
from pixelrl.imaging.color import from_space, to_space
from pixelrl.imaging.metrics import psnr
from pixelrl.noise.poisson_gaussian import clipped_space
from pixelrl.tasks.conditioning import Sigma


def stored(clean: Tensor, sigma: float, seed: int = 0) -> Tensor:
    """As a file of 8 bits holds it."""
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    return (255 * (clean + sigma / 255 * noise).clamp(0, 1)).round() / 255


@pytest.mark.parametrize("sigma", [5.0, 25.0, 50.0])
@pytest.mark.parametrize("mean", [0.02, 0.1, 0.5, 0.95])
def test_the_way_back_is_unbiased(sigma: float, mean: float) -> None:
    """The mean of what is clipped, brought back, is the mean of what was not."""
    space = str(clipped_space(sigma / 255))
    values = stored(torch.full((1, 1, 600, 600), mean), sigma)
    seen = to_space(values, space)
    assert (seen - values).abs().max() < 2e-3
    back = from_space(seen.mean().view(1, 1, 1, 1), space).item()
    assert back == pytest.approx(mean, abs=0.5 / 255)


@pytest.mark.parametrize("policy", ["denoise-gray", "denoise-color", "denoise-photo"])
@pytest.mark.parametrize("mean", [0.03, 0.97])
def test_dark_and_bright_pictures_keep_their_mean(policy: str, mean: float) -> None:
    channels = 1 if policy == "denoise-gray" else 3
    rows = torch.linspace(-0.01, 0.01, 96)[:, None].expand(1, channels, 96, 96)
    clean = mean + rows
    noisy = stored(clean, 25)
    agent = pixelrl.load(policy, "cpu")
    result = agent((255 * noisy[0]).round().byte().permute(1, 2, 0).squeeze(-1).numpy(), sigma=25)
    bias = np.asarray(result.image, np.float64).mean() - 255 * clean.mean().item()
    assert abs(bias) < 2
    assert abs(255 * (noisy.mean() - clean.mean()).item()) > 5, "the noisy picture's own is far off"
    assert "anscombe(" in result.trajectory.space
    again = torch.from_numpy(result.trace().replay())
    assert torch.equal(again, torch.from_numpy(result.image)), "a trace knows the way back"


def test_what_was_not_clipped_is_as_it_was() -> None:
    """Values inside, values beyond the range, and black areas without noise have no such way back."""
    middle = stored(torch.full((1, 1, 64, 64), 0.5), 10)
    told = {"sigma": 10.0}
    assert Sigma().space(middle, told) is None
    beyond = middle - 0.6
    assert Sigma().space(beyond, told) is None
    painted = middle.clone()
    painted[..., :20] = 0
    assert Sigma().space(painted, {"sigma": 40.0}) is None, "so much noise is not there"
    assert Sigma().space(stored(torch.full((1, 1, 64, 64), 0.02), 10), told) is not None
    assert Sigma().space(stored(torch.full((1, 1, 64, 64), 0.02), 10), {"sigma": 0.0}) is None


def test_pictures_with_shadows_come_out_better() -> None:
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 96), torch.linspace(0, 1, 96), indexing="ij")
    clean = (0.02 + 0.25 * (rows > 0.5) * columns)[None, None]
    noisy = stored(clean, 25)
    agent = pixelrl.load("denoise-gray", "cpu")
    _, plain = agent.run(noisy, agent.condition(noisy, {"sigma": 25.0}))
    found = torch.from_numpy(agent(noisy[0, 0].numpy(), sigma=25).image)[None, None]
    assert psnr(found.clamp(0, 1), clean).item() > psnr(plain.clamp(0, 1), clean).item() + 2
