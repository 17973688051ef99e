"""Noise of photons and of reading them out: its numbers, the values in which it has one level, and the way back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import torch
from click.testing import CliRunner
from PIL import Image as PillowImage
from skimage import data
from torch import Tensor

import pixelrl
from pixelrl.cli import cli
from pixelrl.edits import parse_edits
from pixelrl.errors import UsageError
from pixelrl.imaging.anscombe import Anscombe, stabilized
from pixelrl.imaging.color import from_space, outcome_in_srgb, to_space
from pixelrl.imaging.metrics import psnr
from pixelrl.noise.poisson_gaussian import (
    PoissonGaussian,
    estimate_peak,
    estimate_poisson_gaussian,
    photon_noise,
)
from pixelrl.pictures.scale import Scale
from pixelrl.report.asked import asked_again
from pixelrl.tasks.conditioning import PhotonNoise
from pixelrl.trace import load_trace, save_trace

NAME = "poisson-gaussian-gray"


def scene(size: int = 256) -> Tensor:
    """A photograph in grey, with all brightnesses."""
    camera = torch.from_numpy(data.camera()).float() / 255
    return camera[None, None, :size, -size:] if size > 256 else camera[None, None, 90 : 90 + size, 150 : 150 + size]


def noisy(clean: Tensor, gain: float, read: float = 0.0, offset: float = 0.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    photons = torch.poisson(clean / gain, generator) if gain else clean
    return (gain or 1) * photons + offset + read * torch.randn(clean.shape, generator=generator)


def as_file(image: Tensor) -> npt.NDArray[np.uint8]:
    return (255 * image[0, 0].clamp(0, 1)).round().to(torch.uint8).numpy()


def space(gain: float, read: float, offset: float, *, clipped: bool = False) -> Anscombe:
    high = stabilized(gain, read, offset, torch.tensor(1.0)).item()
    return Anscombe(gain, read, offset, 0.0, high, *((0.0, 1.0) if clipped else ()))


# --- The space of values ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "read", "offset", "clipped"),
    [(0.05, 0, 0, False), (0.05, 0.02, 0.1, False), (0.001, 0.01, 0.05, False), (0.01, 0.02, 0.1, True)],
)
@pytest.mark.parametrize("mean", [0.0, 0.03, 0.3, 0.8])
def test_the_mean_of_what_is_transformed_becomes_the_mean(
    gain: float, read: float, offset: float, clipped: bool, mean: float
) -> None:
    values = noisy(torch.full((1, 1, 500, 600), mean), gain, read, offset)
    there = space(gain, read, offset, clipped=clipped)
    transformed = there.to(values.clamp(0, 1) if clipped else values)
    assert there.back(transformed.mean().view(1)).item() == pytest.approx(mean + offset, abs=0.4 / 255)
    # The algebraic inverse misses by a quarter of a photon, which shows where that is much.
    root = transformed.double().mean().item() * (there.high - there.low) + there.low
    algebraic = gain * (root**2 / 4 - 3 / 8 - (read / gain) ** 2) + offset
    if mean >= 0.3 and gain == 0.05:
        assert algebraic - mean - offset == pytest.approx(-gain / 4, abs=0.2 * gain / 4)


@pytest.mark.parametrize("mean", [0.03, 0.97])
def test_what_a_file_has_clipped_is_not_lifted(mean: float) -> None:
    # Gaussian noise of 25 grey levels: the mean of what is left lies 6.7 levels above the one of black.
    values = noisy(torch.full((1, 1, 500, 600), mean), 0, 25 / 255).clamp(0, 1)
    there = PoissonGaussian(0.0, 25 / 255, 0.0).space(values)
    assert there.black == 0.0 if mean < 0.5 else there.white == 1.0
    assert abs(values.mean().item() - mean) > 5 / 255
    assert there.back(there.to(values).mean().view(1)).item() == pytest.approx(mean, abs=0.3 / 255)


def test_noise_has_one_level() -> None:
    there = space(0.01, 0.02, 0.1)
    for mean in (0.05, 0.3, 0.9):
        deviation = there.to(noisy(torch.full((1, 1, 300, 300), mean), 0.01, 0.02, 0.1)).std().item()
        assert deviation * (there.high - there.low) == pytest.approx(1, abs=0.05)


def test_a_space_is_written_with_its_numbers() -> None:
    there = Anscombe(1 / 3, 1e-7, -0.25, 0.5, 17.25, 0.0)
    assert Anscombe.parse(str(there)) == there
    assert str(there).startswith("anscombe(gain=0.3333333333333333,read=1e-07,offset=-0.25,")
    good = "anscombe(gain=0.1,read=0.0,offset=0.0,low=0.0,high=9.0)"
    assert Anscombe.parse(good).high == 9
    for bad in (
        "anscombe", "anscombe()", good + " ", good.replace("0.1", "0"), good.replace("9.0", "nan"),
        good.replace("gain", "gian"), good.replace("9.0", "-9"), good.replace("0.1", "1e999"), "lab",
    ):  # fmt: skip
        with pytest.raises(UsageError, match="no space of values"):
            to_space(scene(16), bad)


def test_what_no_operation_changed_is_as_it_was() -> None:
    start = noisy(scene(64), 0.1)
    there = str(PoissonGaussian(0.1, 0.0, 0.0).space(start))
    inside = to_space(start, there)
    changed = inside.clone()
    changed[..., :10] += 0.01
    after = outcome_in_srgb(changed, there, start)
    assert torch.equal(after[..., 10:], start[..., 10:])
    assert torch.equal(after[..., :10], from_space(changed, there)[..., :10])


# --- The estimate -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "read", "offset"), [(0.1, 0, 0), (0.01, 0, 0), (0.002, 0, 0), (0.01, 0.02, 0.1), (0.03, 0, 0.1)]
)
@pytest.mark.parametrize("stored", [False, True])
def test_the_line_of_the_variance_is_found(gain: float, read: float, offset: float, stored: bool) -> None:
    image = noisy(0.8 * scene(512), gain, read, offset)
    image = torch.from_numpy(as_file(image))[None, None] / 255 if stored else image
    found = estimate_poisson_gaussian(image)
    assert found.gain == pytest.approx(gain, rel=0.15)
    true = PoissonGaussian(gain, read, offset)
    for value in (0.1, 0.4, 0.7):
        assert found.deviation(value + offset) == pytest.approx(true.deviation(value + offset), rel=0.06)
    # Of read noise and offset only one can be seen.
    assert found.read == 0 or found.offset == 0


def test_what_is_known_is_kept_and_helps_with_the_rest() -> None:
    image = noisy(0.8 * scene(512), 0.01, 0.03, 0.1)
    found = estimate_poisson_gaussian(image, offset=0.1)
    assert (found.offset, found.read) == (0.1, pytest.approx(0.03, rel=0.1))
    found = estimate_poisson_gaussian(image, read=0.03)
    assert (found.read, found.offset) == (0.03, pytest.approx(0.1, abs=0.02))
    found = estimate_poisson_gaussian(image, read=0.03, offset=0.1)
    assert found.gain == pytest.approx(0.01, rel=0.08)
    assert estimate_poisson_gaussian(image, 0.5, 0.25, 0.125) == PoissonGaussian(0.5, 0.25, 0.125)


@pytest.mark.parametrize("dark", [True, False])
def test_gaussian_noise_that_a_file_has_clipped_is_seen_whole(dark: bool) -> None:
    clean = 0.06 * scene() if dark else 1 - 0.06 * scene()
    image = torch.from_numpy(as_file(noisy(clean, 0, 25 / 255)))[None, None] / 255
    found = estimate_poisson_gaussian(image)
    assert found.deviation(clean.mean().item()) == pytest.approx(25 / 255, rel=0.1)
    assert photon_noise(image) is None
    after = pixelrl.load(NAME)(image).image
    assert abs((image - clean).mean().item()) > 6 / 255
    assert abs((after - clean).mean().item()) < 1.2 / 255
    # With the noise told, too; the encoder has seen clipped noise, and corrects a little of it by itself.
    after = pixelrl.load(NAME)(image, condition={"gain": 0, "read": 25 / 255, "offset": 0}).image
    assert abs((after - clean).mean().item()) < 1.8 / 255
    assert psnr(after, clean).item() > 39


@pytest.mark.parametrize("peak", [3.0, 30.0, 300.0, 3000.0])
def test_peaks_are_estimated(peak: float) -> None:
    assert estimate_peak(noisy(scene(512), 1 / peak)) == pytest.approx(peak, rel=0.15)


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_a_border_does_not_count(value: float) -> None:
    framed = torch.full((1, 1, 512, 512), value)
    framed[..., 128:384, 128:384] = noisy(0.8 * scene(), 0.02)
    assert estimate_poisson_gaussian(framed).gain == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("image", [torch.zeros(1, 1, 64, 64), torch.ones(1, 1, 64, 64), torch.full((2, 3, 9, 9), 0.4)])
def test_without_noise_there_is_nothing_to_estimate(image: Tensor) -> None:
    assert estimate_poisson_gaussian(image) == PoissonGaussian(0.0, 0.0, 0.0)
    assert estimate_poisson_gaussian(image[..., :3, :5]) == PoissonGaussian(0.0, 0.0, 0.0)
    assert photon_noise(image) is None


def test_only_noise_that_is_white_and_grows_is_that_of_photons() -> None:
    clean = scene(512)
    assert photon_noise(noisy(clean, 0.02)) is not None
    assert photon_noise(noisy(clean, 0, 25 / 255).clamp(0, 1)) is None
    assert photon_noise(clean) is None
    neighbours = noisy(clean, 0.02)
    neighbours = (neighbours + neighbours.roll(1, -1) + neighbours.roll(1, -2) + neighbours.roll((1, 1), (-1, -2))) / 4
    assert photon_noise(neighbours) is None


# --- The policy -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gain", "read", "offset", "least"), [(0.1, 0, 0, 11), (0.01, 0.02, 0.1, 7), (0.001, 0, 0, 4)])
def test_pictures_get_better(gain: float, read: float, offset: float, least: float) -> None:
    clean = 0.8 * scene()
    image = noisy(clean, gain, read, offset)
    result = pixelrl.load(NAME)(image)
    before, after = (psnr(x - offset, clean).item() for x in (image, result.image))
    assert after > before + least
    bias = (result.image - offset - clean).mean().item()
    assert abs(bias) < 0.5 / 255 + 0.03 * gain


def test_files_keep_units_and_traces_everything(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(data.camera()[100:228, 150:278] / 8.0) * 50 + 200
    image = np.random.default_rng(1).normal(counts, 20).clip(0, 4095).astype(np.uint16)
    agent = pixelrl.load(NAME)
    result = agent(image, white=4095, condition={"offset": 200 / 4095})
    assert result.condition["gain"] == pytest.approx(50 / 4095, rel=0.15)
    assert result.trajectory.space.startswith("anscombe(")
    save_trace(tmp_path / "t.npz", result.trace())
    trace = load_trace(tmp_path / "t.npz")
    assert np.array_equal(trace.replay(), result.image)
    # Asked again, the policy chooses as it did.
    for t, answer in enumerate(asked_again(trace, agent, lambda logits: logits.argmax(1))):
        assert np.array_equal(answer[0].numpy(), trace.actions[t])
    # Other policies of the same operations refuse such traces.
    for other, fault in (
        ("poisson-gray", "on which the policy poisson-gray does not work"),
        ("denoise-gray", "does not say which sigma"),
    ):
        with pytest.raises(UsageError, match=fault):
            next(asked_again(trace, pixelrl.load(other), lambda logits: logits))
    save_trace(tmp_path / "bad.npz", replace(trace, space="anscombe(gain=0)"))
    with pytest.raises(UsageError, match="damaged"):
        load_trace(tmp_path / "bad.npz")


def test_protected_pixels_stay_bit_for_bit() -> None:
    image = noisy(scene(64), 0.1)[0, 0]
    edits = [{"do": {"force": "do nothing"}, "region": {"box": [0, 0, 32, 64]}}]
    result = pixelrl.load(NAME)(image, edits=parse_edits(edits, Path()))
    assert torch.equal(result.image[:, :32], image[:, :32])
    assert not torch.equal(result.image[:, 32:], image[:, 32:])


def test_ensembles_colours_and_batches() -> None:
    agent, clean = pixelrl.load(NAME), 0.8 * scene(64)
    image = noisy(clean, 0.05)
    mean, told = agent.ensemble(image, condition={"read": 0, "offset": 0})
    assert told["gain"] == pytest.approx(0.05, rel=0.3)
    assert psnr(mean, clean).item() > psnr(image, clean).item() + 6
    colour = noisy(clean.expand(2, 3, -1, -1), 0.05)
    result = agent(colour, condition={"gain": 0.05, "read": 0, "offset": 0})
    assert result.trajectory.actions.shape[1:3] == (2, 3)
    assert psnr(result.image, clean.expand(2, 3, -1, -1)).mean().item() > psnr(image, clean).item() + 6


def test_without_noise_nothing_is_done() -> None:
    image = torch.linspace(0, 1, 64 * 64).reshape(64, 64)
    result = pixelrl.load(NAME)(image)
    assert result.condition == {"gain": 0, "read": 0, "offset": 0}
    assert torch.equal(result.image, image)
    assert torch.equal(pixelrl.load(NAME).ensemble(image)[0], image)


def test_numbers_are_counted_in_the_units_of_the_picture() -> None:
    kind, scale = PhotonNoise(), Scale(100.0, 1100.0)
    shares = kind.in_shares({"gain": 20, "read": 5, "offset": 150}, scale)
    assert shares == pytest.approx({"gain": 0.02, "read": 0.005, "offset": 0.05})
    assert kind.in_units(shares, scale) == pytest.approx({"gain": 20, "read": 5, "offset": 150})


# --- The command ------------------------------------------------------------------------------------


def denoised(tmp_path: Path, image: npt.NDArray[np.generic], *options: str) -> tuple[Tensor, dict[str, object]]:
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    PillowImage.fromarray(image).save(source)
    command = ["denoise", str(source), "-o", str(target), "--overwrite", "--json", *options]
    result = CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False)
    assert not result.return_value, result.output
    report: dict[str, object] = json.loads(result.stdout)
    return torch.from_numpy(np.asarray(PillowImage.open(target)).astype(np.float32) / 255)[None, None], report


def test_the_command_estimates_and_takes_numbers_as_the_file_counts(tmp_path: Path) -> None:
    clean = 0.8 * scene(128)
    image = as_file(noisy(clean, 10 / 255, 0, 25 / 255))
    result, report = denoised(tmp_path, image, "--noise", "poisson-gaussian")
    assert report["policy"] == NAME
    assert report["gain"] == pytest.approx(10, rel=0.15)
    assert report["estimated"] == ["gain", "read", "offset"]
    assert psnr(result - 25 / 255, clean).item() > 24
    result, report = denoised(tmp_path, image, "--gain", "10", "--offset", "25")
    assert (report["gain"], report["offset"]) == (pytest.approx(10), pytest.approx(25))
    assert report["estimated"] == ["read"]
    # 65535 is 257 times 255: the same picture in 16 bits counts in other units.
    wide = image.astype(np.uint16) * 257
    again, report = denoised(tmp_path, wide, "--gain", "2570", "--offset", "6425")
    assert (report["gain"], report["offset"]) == (pytest.approx(2570), pytest.approx(6425))
    assert psnr(again / 257, result).item() > 45


def test_told_nothing_the_command_sees_photons(tmp_path: Path) -> None:
    clean = 0.8 * scene(128)
    image = as_file(noisy(clean, 8 / 255, 0, 20 / 255))
    result, report = denoised(tmp_path, image)
    assert (report["policy"], report["gain"]) == (NAME, pytest.approx(8, rel=0.15))
    assert report["estimated"] == ["gain", "read", "offset"]
    before = psnr(torch.from_numpy(image)[None, None] / 255 - 20 / 255, clean).item()
    assert psnr(result - 20 / 255, clean).item() > before + 7


@pytest.mark.parametrize("options", [(), ("--gain", "40"), ("--noise", "poisson"), ("--noise", "poisson-gaussian")])
def test_stacks_have_their_noise_in_common(tmp_path: Path, options: tuple[str, ...]) -> None:
    clean = 0.7 * scene(96)
    planes = [noisy(clean, 40 / 4095, seed=seed)[0, 0].clamp(0, 1) for seed in range(3)]
    counts = (4095 * torch.stack(planes)).round().numpy().astype(np.uint16)
    source, target = tmp_path / "in.tif", tmp_path / "out.tif"
    tifffile.imwrite(source, counts, photometric="minisblack")
    command = ["denoise", str(source), "-o", str(target), "--json", "--white", "4095", *options]
    result = CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False)
    report = json.loads(result.stdout)
    if options == ("--noise", "poisson"):
        assert (report["policy"], report["peak"]) == ("poisson-gray", pytest.approx(4095 / 40, rel=0.2))
    else:
        assert (report["policy"], report["gain"]) == (NAME, pytest.approx(40, rel=0.2))
    after = torch.from_numpy(tifffile.imread(target).astype(np.float32) / 4095)[:, None]
    assert psnr(after, clean.expand(3, -1, -1, -1)).min() > psnr(planes[0][None, None], clean).item() + 6


def test_the_command_takes_the_policy_for_the_peak(tmp_path: Path) -> None:
    for peak, bright, policy in ((60, 0.5, "poisson-gray"), (3000, 1, NAME), (30, 1, NAME)):
        clean = bright * scene(128)
        image = as_file(noisy(clean, 1 / peak))
        assert ((image == 255).mean() > 0.01) == (peak == 30)  # clipped
        for options in ((), ("--peak", str(peak))):
            result, report = denoised(tmp_path, image, "--noise", "poisson", *options)
            assert report["policy"] == policy
            assert report["condition"] == {"peak": pytest.approx(peak, rel=0.5)}
            assert report["estimated"] == ([] if options else ["peak"])
            before = psnr(torch.from_numpy(image)[None, None] / 255, clean).item()
            assert psnr(result, clean).item() > before + 1.5


def test_a_picture_without_noise_is_left_alone_and_that_is_said(tmp_path: Path) -> None:
    image = np.tile(np.arange(128, dtype=np.uint8), (96, 1))
    for noise in ("poisson", "poisson-gaussian"):
        result, report = denoised(tmp_path, image, "--noise", noise)
        assert np.array_equal(as_file(result), image)
        assert "left as it was" in str(report["notes"])


def test_numbers_that_another_policy_takes_are_refused(tmp_path: Path) -> None:
    PillowImage.fromarray(as_file(scene(32))).save(tmp_path / "in.png")
    for options, words in (
        (["--noise", "poisson", "--gain", "2"], "--gain 2 cannot be used"),
        (["--gain", "2", "--sigma", "10"], "--sigma 10 cannot be used"),
        (["--gain", "-1"], "'-1' is not"),
    ):
        command = ["denoise", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png"), *options]
        result = CliRunner().invoke(cli, command, standalone_mode=False)
        assert isinstance(result.exception, (UsageError, click.BadParameter))
        assert words in str(result.exception)


def test_deviations_by_hand() -> None:
    noise = PoissonGaussian(0.01, 0.03, 0.1)
    assert noise.deviation(0.5) == pytest.approx(math.sqrt(0.01 * 0.4 + 0.0009))
    assert noise.deviation(0.0) == pytest.approx(0.03)
