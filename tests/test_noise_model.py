"""The noise model: levels by brightness from maps of the noise, and what is said of it."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image as PillowImage
from skimage import data
from torch import Tensor

import pixelrl
from conftest import Run
from pixelrl.auto import choose_for
from pixelrl.noise.model import ChannelNoise, NoiseModel, fit
from pixelrl.noise.spectrum import spectrum
from pixelrl.tasks.conditioning import NoiseMap


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


def white_noise(sigma: float, generator: torch.Generator, channels: int = 3) -> Tensor:
    """A smooth picture with white noise, as a file of 8 bits holds it."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 192), torch.linspace(0, 1, 256), indexing="ij")
    clean = (0.2 + 0.5 * x + 0.1 * torch.sin(5 * y)).expand(1, channels, -1, -1)
    noisy = clean + sigma / 255 * torch.randn(clean.shape, generator=generator)
    return (255 * noisy.clamp(0, 1)).round() / 255


def test_the_noise_of_what_people_hold(generator: torch.Generator) -> None:
    noisy = white_noise(20, generator)
    array = (255 * noisy[0]).round().byte().permute(1, 2, 0).numpy()
    model = pixelrl.estimate_noise(array)
    assert model.rms == pytest.approx(20, rel=0.15)
    assert [channel.name for channel in model.channels] == ["red", "green", "blue"]
    assert pixelrl.estimate_noise(noisy[0]).rms == pytest.approx(model.rms, rel=1e-3)
    assert pixelrl.estimate_noise(PillowImage.fromarray(array)).rms == model.rms
    assert pixelrl.estimate_noise(array.astype(np.uint16) * 16, white=4080).rms == pytest.approx(model.rms, rel=1e-3)
    assert pixelrl.estimate_noise(array[..., 0]).channels[0].name == "grey"
    with pytest.raises(pixelrl.InputError, match="2 images have no common noise"):
        pixelrl.estimate_noise(noisy.expand(2, -1, -1, -1))
    with pytest.raises(pixelrl.UsageError, match="white"):
        pixelrl.estimate_noise(array, white=-1)


def test_noise_in_one_channel_is_seen_there(generator: torch.Generator) -> None:
    noisy = white_noise(2, generator)
    noisy[:, 2] = white_noise(30, generator)[:, 2]
    levels = [channel.rms for channel in pixelrl.estimate_noise(noisy).channels]
    assert levels == pytest.approx([2, 2, 30], rel=0.3)
    choice = choose_for(noisy)
    assert choice.policy == "denoise-color"  # told the root mean square it does better than one that is told a map
    assert choice.told["sigma"] == pytest.approx(30 / 3**0.5, rel=0.1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [25, 50])
def test_white_noise_beyond_black_and_white_has_one_level(
    sigma: float, channels: int, generator: torch.Generator
) -> None:
    """Floats keep it. Nothing was clipped, so the noise of what is dark or bright is no stronger than it looks."""
    clean = torch.linspace(0, 1, 256).expand(1, channels, 192, 256)
    noisy = clean + sigma / 255 * torch.randn(clean.shape, generator=generator)
    model = pixelrl.estimate_noise(noisy)
    for channel in model.channels:
        assert max(channel.sigma) < 1.1 * min(channel.sigma)
        assert channel.rms == pytest.approx(sigma, rel=0.2)
    assert model.white
    assert not model.signal_dependent
    choice = choose_for(noisy)
    assert choice.policy == ("denoise-gray" if channels == 1 else "denoise-color")
    assert choice.told["sigma"] == pytest.approx(sigma, rel=0.05)
    hot = noisy.clone()
    hot[..., 90, 90] = 20
    assert pixelrl.estimate_noise(hot, white=1).rms == pytest.approx(model.rms, rel=0.05)


@pytest.mark.parametrize(("sigma", "least", "most"), [(0, 0, 0), (2, 1.8, 2.3), (5, 4.7, 5.3)])
def test_in_a_grey_photograph_texture_is_no_noise(sigma: float, least: float, most: float) -> None:
    """No colours tell the one from the other; its finest details do. In RGB it is the same picture."""
    noisy = data.camera() + np.random.default_rng(1).normal(0, sigma, (512, 512))
    pixels = np.rint(noisy).clip(0, 255).astype(np.uint8)
    for picture in (pixels, np.stack([pixels] * 3, 2)):
        choice = pixelrl.choose(picture)
        assert choice.policy == "denoise-gray"
        assert least <= choice.told["sigma"] <= most
        assert choice.noise.rms < most + 1


def test_in_a_grey_picture_noise_that_neighbours_share_is_that_of_cameras(generator: torch.Generator) -> None:
    """And white noise is not, however its level depends on the brightness."""
    coarse = torch.nn.functional.avg_pool2d(torch.randn(1, 1, 194, 258, generator=generator), 3, 1)
    noisy = ((127 + 20 * coarse / coarse.std()).round() / 255).clamp(0, 1)
    for channels in (1, 3):
        choice = choose_for(noisy.expand(1, channels, -1, -1))
        assert choice.policy == "denoise-photo"
        assert choice.noise.correlation > 0.4
    falling = torch.linspace(0.3, 0.7, 258) + torch.linspace(0.1, 0.02, 258) * torch.randn(
        1, 1, 192, 258, generator=generator
    )
    choice = choose_for(falling)
    assert choice.noise.signal_dependent
    assert choice.policy == "denoise-gray"


def test_a_black_and_white_picture_in_rgb_is_a_grey_one(run: Run, tmp_path: Path, generator: torch.Generator) -> None:
    noisy = (255 * white_noise(25, generator, 1)[0, 0]).round().byte().numpy()
    PillowImage.fromarray(noisy).save(tmp_path / "grey.png")
    PillowImage.fromarray(np.stack([noisy] * 3, 2)).save(tmp_path / "rgb.png")
    for options in ((), ("--sigma", 25), ("--noise", "poisson", "--peak", 100)):
        results = []
        for name in ("grey.png", "rgb.png"):
            line = ("denoise", tmp_path / name, "-o", tmp_path / "out.png", "--json", "--overwrite", *options)
            code, out, err = run(*line)
            assert code == 0, err
            assert json.loads(out)["policy"].endswith("-gray")
            results.append(np.asarray(PillowImage.open(tmp_path / "out.png")))
        assert (results[1] == results[0][..., None]).all()
    floats = noisy / np.float32(255)
    by_array = [
        pixelrl.denoise(x, sigma=25 / 255, channel_axis=axis)
        for x, axis in ((floats, None), (np.stack([floats] * 3, 2), -1))
    ]
    assert np.abs(by_array[1] - by_array[0][..., None]).max() < 1e-6


def test_salt_and_pepper_is_seen_by_itself(generator: torch.Generator) -> None:
    """And nothing else is taken for it: neither strong noise as files hold it, nor drawings, nor stars."""
    ramp = torch.linspace(0.1, 0.9, 96).expand(1, 3, 96, 96).clone()
    struck, white = (torch.rand(ramp.shape, generator=generator) < share for share in (0.2, 0.5))
    specks = torch.where(struck, white.float(), ramp)
    choice = choose_for(specks)
    assert (choice.policy, dict(choice.told)) == ("saltpepper-color", {})
    assert choice.words == "salt & pepper: specks of exactly black and white"
    assert choose_for(specks[:, :1]).policy == "saltpepper-gray"
    noisy = (ramp + 0.5 * torch.randn(ramp.shape, generator=generator)).clamp(0, 1)
    stars = torch.where(struck & white, 1.0, ramp)
    for other in (ramp, noisy, stars, white.float()):
        assert not choose_for(other).policy.startswith("saltpepper")


def test_noise_that_is_transparent_does_not_count(generator: torch.Generator) -> None:
    noisy, wild = white_noise(10, generator), white_noise(60, generator)
    noisy[..., :128] = wild[..., :128]
    alpha = torch.ones(1, 1, 192, 256)
    alpha[..., :128] = 0
    model = pixelrl.estimate_noise(torch.cat([noisy, alpha], 1))
    assert model.rms == pytest.approx(10, rel=0.2)
    assert model.clipped == pytest.approx(0.5, abs=0.05)
    assert pixelrl.estimate_noise(noisy).rms > 1.4 * model.rms


@pytest.mark.parametrize("batch", [False, True])
def test_policies_are_told_of_what_is_seen(batch: bool, generator: torch.Generator) -> None:
    """Noise under transparency, and what a policy estimates."""
    noisy, wild = white_noise(10, generator, 1), white_noise(60, generator, 1)
    noisy[..., :128] = wild[..., :128]
    alpha = torch.ones(1, 1, 192, 256)
    alpha[..., :128] = 0
    image = torch.cat([noisy, alpha], 1)
    agent = pixelrl.load("denoise-gray", "cpu")
    result = agent(image.expand(2, -1, -1, -1) if batch else image, steps=0)
    assert [one["sigma"] for one in result.conditions] == pytest.approx([10] * (1 + batch), rel=0.1)
    assert torch.equal(result.image[:1], image)


def test_a_border_and_what_is_transparent_change_nothing_of_what_a_policy_is_told(generator: torch.Generator) -> None:
    noisy = torch.nn.functional.avg_pool2d(white_noise(60, generator), 3, 1)
    framed = torch.nn.functional.pad(noisy, (160, 160, 160, 160), value=1.0)
    alone, inside = choose_for(noisy), choose_for(framed)
    assert alone.policy == inside.policy == "denoise-photo"
    assert inside.told["sigma"] == pytest.approx(alone.told["sigma"], rel=0.15)
    kind = NoiseMap()
    planes = [kind.condition(image, one.told) for image, one in ((noisy, alone), (framed, inside))]
    middle = planes[1][..., 190:-190, 190:-190].mean()
    assert middle.item() == pytest.approx(planes[0][..., 30:-30, 30:-30].mean().item(), rel=0.1)
    assert kind.estimate(framed)["sigma"] == pytest.approx(inside.told["sigma"])
    wild = torch.where(framed == 1, torch.rand(framed.shape, generator=generator), framed)
    opacity = (framed != 1).any(1, keepdim=True).float()
    assert choose_for(wild, opacity=opacity).told["sigma"] == pytest.approx(alone.told["sigma"], rel=0.15)


def test_garbage_under_transparency_changes_nothing_of_a_picture(
    run: Run, tmp_path: Path, generator: torch.Generator
) -> None:
    noisy, wild = white_noise(15, generator), torch.rand(1, 3, 192, 256, generator=generator)
    alpha = torch.ones(1, 1, 192, 256)
    alpha[..., :128] = 0
    image = torch.cat([torch.where(alpha == 0, wild, noisy), alpha], 1)
    pixels = (255 * image[0]).round().byte().permute(1, 2, 0).numpy()
    PillowImage.fromarray(pixels).save(tmp_path / "a.png")
    told = ("denoise", tmp_path / "a.png", "-o", tmp_path / "b.png", "--policy", "denoise-color", "--json")
    code, out, _ = run(*told, "--steps", 1)
    assert code == 0
    assert json.loads(out)["sigma"] == pytest.approx(15, rel=0.1)
    result = np.asarray(PillowImage.open(tmp_path / "b.png"))
    assert (result[..., 3] == pixels[..., 3]).all()
    assert (result[:, 128:, :3] != pixels[:, 128:, :3]).any()


def test_white_noise_has_a_flat_spectrum(generator: torch.Generator) -> None:
    frequencies, amplitude = spectrum(white_noise(20, generator)) or (None, None)
    assert frequencies is not None
    assert frequencies[-1] == 0.5
    assert amplitude.shape == (3, len(frequencies))
    assert (amplitude / 20 - 1).abs().max() < 0.2
    blurred = torch.nn.functional.avg_pool2d(white_noise(20, generator), 3, 1)
    frequencies, amplitude = spectrum(blurred) or (None, None)
    assert (amplitude[:, -3:] < 0.5 * amplitude[:, :3]).all()


def test_of_clipped_and_small_pictures_there_is_no_spectrum(generator: torch.Generator) -> None:
    assert spectrum(torch.ones(1, 3, 100, 100)) is None
    assert spectrum(torch.full((1, 3, 100, 100), 0.5)) is None
    assert spectrum(torch.rand(1, 1, 31, 100, generator=generator)) is None
    assert spectrum(torch.rand(1, 1, 100, 100, generator=generator), torch.zeros(1, 1, 100, 100)) is None


@pytest.fixture
def pictures(tmp_path: Path, generator: torch.Generator) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, channels, sigma in (("color.png", 3, 20), ("grey.png", 1, 12)):
        values = (255 * white_noise(sigma, generator, channels)[0]).round().byte().permute(1, 2, 0).numpy()
        PillowImage.fromarray(values[..., 0] if channels == 1 else values).save(folder / name)
    return folder


def test_the_command_says_what_the_noise_is_like(run: Run, pictures: Path) -> None:
    code, out, err = run("noise", pictures / "color.png")
    assert (code, err) == (0, "")
    assert out.startswith(f"{pictures / 'color.png'}: ")
    assert "noise of about" in out
    code, out, _ = run("noise", pictures, "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [Path(one["input"]).name for one in found] == ["color.png", "grey.png"]
    assert [len(one["channels"]) for one in found] == [3, 1]
    assert found[0]["rms"] == pytest.approx(20, rel=0.15)
    assert found[0]["plot"] is None


def test_the_command_names_what_fails_and_goes_on(run: Run, pictures: Path) -> None:
    (pictures / "bad.png").write_bytes(b"nothing")
    code, out, _ = run("noise", pictures / "none.png", pictures / "grey.png", "--json")
    assert (code, json.loads(out.splitlines()[0])["input"]) == (3, str(pictures / "none.png"))
    code, out, err = run("noise", pictures, pictures / "none.png")
    assert code == 3
    assert len(out.splitlines()) == 2
    assert "bad.png" in err
    assert "none.png: there is no such file" in err
    assert run("noise", pictures / "bad.png")[0] == 3
    assert run("noise", "-", pictures / "grey.png")[0] == 2


def test_of_a_stack_the_first_picture_is_looked_at_and_that_is_said(
    run: Run, tmp_path: Path, generator: torch.Generator
) -> None:
    planes = [white_noise(sigma, generator, 1)[0, 0].numpy() * 255 for sigma in (15, 40)]
    tifffile.imwrite(tmp_path / "stack.tif", np.stack(planes).round().astype(np.uint8), metadata={"axes": "TYX"})
    code, out, err = run("noise", tmp_path / "stack.tif", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["rms"] == pytest.approx(15, rel=0.2)
    assert "the first of 2 pictures" in json.loads(out)["notes"][0]


def test_the_command_draws(run: Run, pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "new" / "plot.png"
    code, out, err = run("noise", pictures / "color.png", "-o", plot)
    assert (code, err) == (0, "")
    assert f" -> {plot}: " in out
    before = np.asarray(PillowImage.open(plot).convert("RGB")).astype(int)
    for color in (0xC8372D, 0x2E8B3D, 0x2D5FC8):  # a line for each channel
        wanted = [color >> 16, color >> 8 & 255, color & 255]
        assert (np.abs(before - wanted).max(2) < 30).sum() > 200
    code, _, err = run("noise", pictures / "color.png", "-o", plot)
    assert code == 2
    assert "exists" in err
    assert run("noise", pictures / "color.png", "-o", plot, "--overwrite")[0] == 0
    assert run("noise", pictures, "-o", tmp_path / "plots")[0] == 0
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["color.png", "grey.png"]
    svg = tmp_path / "a.svg"
    assert run("noise", pictures / "grey.png", "-o", svg)[0] == 0
    assert svg.read_text().lstrip().startswith("<?xml")


@pytest.mark.parametrize("name", ["plot.bmp", "plot", "-"])
def test_what_cannot_be_drawn_is_refused_before_any_work(run: Run, pictures: Path, name: str) -> None:
    code, out, err = run("noise", pictures / "grey.png", "-o", name)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_drawings_need_places_of_their_own(run: Run, pictures: Path, tmp_path: Path) -> None:
    assert "several inputs" in run("noise", pictures, "-o", tmp_path / "plot.png")[2]
    (pictures / "grey.jpg").write_bytes((pictures / "grey.png").read_bytes())
    code, out, err = run("noise", pictures, "-o", tmp_path / "plots")
    assert (code, out) == (2, "")
    assert "draw one at a time" in err


def test_without_the_package_the_way_out_is_said(
    run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, err = run("noise", pictures / "grey.png", "-o", tmp_path / "plot.png")
    assert (code, out) == (2, "")
    assert 'pip install "pixelrl[plot]"' in err
    assert run("noise", pictures / "grey.png")[0] == 0


@pytest.mark.parametrize("shape", [(1, 64, 3), (96, 1, 3), (40, 1), *((side, side, 3) for side in (4, 6, 8, 10, 12))])
def test_noise_is_seen_in_however_few_pixels(shape: tuple[int, ...]) -> None:
    for seed in range(12):
        pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
        model = pixelrl.estimate_noise(pixels)
        assert math.isfinite(model.rms)
        assert model.rms > 1
