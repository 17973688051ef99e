"""The noise model: levels by brightness from maps of the noise, and what is said of it."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor

from pixelrl.noise.model import ChannelNoise, NoiseModel, fit


def ramp(channels: int = 1) -> Tensor:
    """From dark to bright."""
    return torch.linspace(0.02, 0.98, 240).expand(1, channels, 200, 240).contiguous()


def flat(rms: float, name: str = "grey") -> ChannelNoise:
    return ChannelNoise(name, (128.0,), (rms,), (1.0,), rms)


def test_the_level_is_found_by_brightness() -> None:
    image = ramp(3)
    factors = torch.tensor([1.0, 2.0, 3.0])[:, None, None]
    model = fit(image, factors * (1e-4 + 4e-4 * image).sqrt(), 0.0)
    for channel, factor in zip(model.channels, (1, 2, 3), strict=True):
        assert len(channel.sigma) >= 10
        assert sum(channel.share) == pytest.approx(1)
        for brightness, sigma in zip(channel.brightness, channel.sigma, strict=True):
            assert sigma == pytest.approx(factor * 255 * math.sqrt(1e-4 + 4e-4 * brightness / 255), rel=0.01)
        # The mean of the brightness is 1/2, so the mean of the variance is 3e-4.
        assert channel.rms == pytest.approx(factor * 255 * math.sqrt(3e-4), rel=0.01)
    assert model.rms == pytest.approx(255 * math.sqrt(3e-4 * 14 / 3), rel=0.01)
    assert model.signal_dependent
    assert model.shadows < 0.7 * model.highlights


def test_a_constant_level_is_one_and_few_wild_pixels_do_not_count(generator: torch.Generator) -> None:
    image = ramp()
    sigma = torch.full_like(image, 10 / 255)
    sigma[torch.rand(image.shape, generator=generator) < 0.05] = 0.8
    model = fit(image, sigma, 0.05)
    assert model.rms == pytest.approx(10, abs=0.01)
    assert not model.signal_dependent
    assert model.white
    assert model.words() == "white noise of about 10.0 grey levels"


def test_clipped_and_transparent_areas_are_left_out_and_said() -> None:
    image = ramp()
    image[..., :, 60:120] = 1
    sigma = torch.full_like(image, 8 / 255)
    sigma[..., :, 60:120] = 0
    model = fit(image, sigma, 0.0)
    assert model.clipped == pytest.approx(0.25, abs=0.02)
    assert min(model.channels[0].sigma) == pytest.approx(8, abs=0.01)
    assert model.words().endswith("; 25 % of the picture is black, white or transparent and shows none")
    alpha = torch.ones_like(image)
    alpha[..., 100:, :] = 0
    sigma[..., 100:, :] = 90 / 255
    assert fit(image, sigma, 0.0, alpha).rms == pytest.approx(8, abs=0.01)
    assert fit(image, sigma, 0.0).rms > 20


def test_of_a_black_picture_nothing_is_known() -> None:
    model = fit(torch.zeros(1, 3, 20, 30), torch.zeros(1, 3, 20, 30), 0.0)
    assert (model.rms, model.clipped, model.channels[0].sigma) == (0, 1, ())
    assert "no noise to be seen" in model.words()
    json.dumps(model.as_dict())


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3)])
def test_tiny_pictures_have_a_model(size: tuple[int, int]) -> None:
    assert fit(torch.full((1, 1, *size), 0.5), torch.full((1, 1, *size), 0.1), 0.3).rms == pytest.approx(25.5)


def test_blotches_are_as_wide_as_the_autocorrelation_at_half_its_height(generator: torch.Generator) -> None:
    assert NoiseModel((flat(5),), 0.0).correlation_length == 1
    assert NoiseModel((flat(5),), -0.3).correlation_length == 1
    assert NoiseModel((flat(5),), 0.5).correlation_length == pytest.approx(2)  # half the height one pixel away
    assert NoiseModel((flat(5),), 0.5**0.25).correlation_length == pytest.approx(4)  # exp(-a) and exp(-4a) = 1/2
    assert NoiseModel((flat(5),), 1.0).correlation_length < math.inf


def test_words() -> None:
    assert NoiseModel((flat(0.4),), 0.7).words() == "next to no noise (0.4 grey levels)"
    camera = ChannelNoise("grey", (20.0, 120.0, 220.0), (7.8, 6.2, 4.1), (0.34, 0.32, 0.34), 6.2)
    model = NoiseModel((camera,), 0.5)
    levels = "6.2 grey levels (7.8 in shadows, 4.1 in highlights)"
    assert model.words() == f"noise of about {levels}, in blotches of about 2 pixels"
    blue = NoiseModel((flat(3, "red"), flat(3, "green"), flat(40, "blue")), 0.0)
    assert "3.0 in red, 3.0 in green, 40.0 in blue" in blue.words()
    hill = ChannelNoise("grey", (20.0, 120.0, 220.0), (3.0, 9.0, 3.0), (0.3, 0.4, 0.3), 6.2)
    assert "from 3.0 to 9.0 by brightness" in NoiseModel((hill,), 0.5).words()


def test_as_dict_is_json_with_all_of_it() -> None:
    found = json.loads(json.dumps(fit(ramp(3), 0.02 + 0.02 * ramp(3), 0.6).as_dict()))
    assert found["white"] is False
    assert found["signal_dependent"] is True
    assert [channel["name"] for channel in found["channels"]] == ["red", "green", "blue"]
    nodes = found["channels"][0]
    assert len(nodes["brightness"]) == len(nodes["sigma"]) == len(nodes["share"])
