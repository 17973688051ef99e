"""Pictures in other units: 12 bits in 16, counts of photons, floats in any unit. What comes in comes out.

A policy sees the same picture, whatever its units, so it must improve it as much.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image as PillowImage
from skimage import data

import pixelrl
from pixelrl.edits import Edit
from pixelrl.errors import UsageError
from pixelrl.pictures.arrays import unpack
from pixelrl.pictures.files import read_picture
from pixelrl.pictures.scale import Scale, scale_of

CLEAN = data.camera()[60:220, 160:320] / 255


@pytest.fixture(scope="module")
def grey() -> pixelrl.Agent:
    return pixelrl.load("denoise-gray", device="cpu")


@pytest.fixture(scope="module")
def poisson() -> pixelrl.Agent:
    return pixelrl.load("poisson-gray", device="cpu")


def noisy(sigma: float = 20) -> np.ndarray:
    return CLEAN + np.random.default_rng(0).normal(0, sigma / 255, CLEAN.shape)


def counts(peak: float = 60) -> np.ndarray:
    return np.random.default_rng(0).poisson(CLEAN * peak)


def psnr(image: np.ndarray, white: float = 1, black: float = 0) -> float:
    shares = (image.astype(np.float64) - black) / (white - black)
    return float(-10 * np.log10(np.mean((np.clip(shares, 0, 1) - CLEAN) ** 2)))


def whole(values: np.ndarray, white: float) -> np.ndarray:
    return np.rint(np.clip(values, 0, 1) * white).astype(np.uint16)


# --- Which values are black and white -------------------------------------------------------------


@pytest.mark.parametrize("white", [255, 1023, 4095, 16383])
def test_fewer_bits_in_16_are_seen(white: int) -> None:
    assert Scale.of(whole(noisy(), white)) == Scale(0, white)


def test_pictures_that_say_their_range_by_themselves() -> None:
    eight = whole(noisy(), 255)
    assert Scale.of(eight.astype(np.uint8) // 8) == Scale(0, 255)  # 8 bits are what they are
    assert Scale.of(whole(noisy(), 65535)) == Scale(0, 65535)
    assert Scale.of(eight // 8 * 257) == Scale(0, 65535)  # dark, and stretched from 8 bits
    dark = np.clip(0.03 + np.random.default_rng(0).normal(0, 25 / 255, CLEAN.shape), 0, 1)
    assert Scale.of(whole(dark, 65535)) == Scale(0, 65535)
    for flat in (0, 3, 65535):
        assert Scale.of(np.full((20, 20), flat, np.uint16)) == Scale(0, 65535)
    for sigma in (0, 25, 100):
        assert Scale.of(noisy(sigma)) == Scale(0, 1)
    assert Scale.of(dark.astype(np.float32)) == Scale(0, 1)
    assert Scale.of(np.zeros((9, 9), np.float32)) == Scale(0, 1)
    assert Scale.of(np.full((9, 9), 500, np.float32)) == Scale(0, 1)


@pytest.mark.parametrize(("unit", "white"), [(255, 255), (4095, 4095), (65535, 65535)])
@pytest.mark.parametrize("sigma", [0, 50])
def test_floats_of_a_camera(unit: float, white: float, sigma: float) -> None:
    assert Scale.of(noisy(sigma) * unit) == Scale(0, white)


def test_floats_of_other_units_are_taken_for_their_range() -> None:
    for black, white in ((-296, 603), (280, 320), (-3e-3, 2e-3), (0, 3e-3), (0, 17), (0, 3e6)):
        scale = Scale.of(black + (white - black) * noisy(5))
        assert abs(scale.black - black) < 0.1 * (white - black)
        assert abs(scale.white - white) < 0.1 * (white - black)


def test_few_counts_are_taken_for_their_range() -> None:
    white = Scale.of(counts(60).astype(np.uint16)).white
    assert 50 < white < 90
    one_hot_pixel = counts(60).astype(np.uint16)
    one_hot_pixel[7, 7] = 60000
    assert Scale.of(one_hot_pixel).white == white


def test_planes_have_one_scale_and_a_person_may_say_which() -> None:
    planes = [whole(CLEAN, 200), whole(CLEAN, 4000)]
    assert scale_of(planes) == Scale(0, 4095)
    assert scale_of(planes, 5000) == Scale(0, 5000)


# --- In Python ------------------------------------------------------------------------------------


def test_12_bits_in_16_are_denoised_as_well_as_stretched_over_16(grey: pixelrl.Agent) -> None:
    twelve = whole(noisy(), 4095)
    # Plain maps may differ where the noise is estimated a little differently.
    result, stretched = (grey(x, legibility=0) for x in (twelve, np.rint(twelve * (65535 / 4095)).astype(np.uint16)))
    assert result.image.dtype == np.uint16
    assert result.image.max() <= 4095
    assert psnr(twelve, 4095) < 23
    assert psnr(result.image, 4095) > 29
    assert psnr(result.image, 4095) == pytest.approx(psnr(stretched.image, 65535), abs=0.01)
    assert result.remark is not None
    assert "4095 (12 bits)" in result.remark
    assert stretched.remark is None


@pytest.mark.parametrize(("black", "white"), [(0, 255), (0, 4095), (-296, 603), (0, 0.004), (1e6, 2e6)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_in_any_unit(grey: pixelrl.Agent, black: float, white: float, dtype: type) -> None:
    came = (black + (white - black) * noisy()).astype(dtype)
    # The price of plain maps follows the noise, which is another share of another white.
    result = grey(came, legibility=0)
    assert result.image.dtype == dtype
    assert psnr(result.image, white, black) > psnr(grey(noisy(), legibility=0).image) - 0.15
    assert result.remark is not None
    assert "white is" in result.remark


def test_tensors_lists_and_pillow_images_in_other_units(grey: pixelrl.Agent) -> None:
    floats = torch.from_numpy(noisy() * 255)[None]
    assert psnr(grey(floats).image[0].numpy(), 255) > 29
    half = (floats / 255 * 4).to(torch.bfloat16)
    assert grey(half).image.dtype == torch.bfloat16
    assert psnr(grey(half).image[0].float().numpy(), 4) > 28
    twelve = whole(noisy(), 4095)
    result = grey([twelve, twelve // 16 * 257])
    assert psnr(result.image[0], 4095) == pytest.approx(psnr(result.image[1], 65535), abs=0.1)
    assert result.remark == "values scaled: white is 4095 (12 bits)"
    picture = PillowImage.fromarray((noisy() * 255).astype(np.float32))
    assert psnr(np.asarray(grey(picture).image), 255) > 29


def test_counts_of_photons(poisson: pixelrl.Agent) -> None:
    came = counts(60).astype(np.uint16)
    result = poisson(came)
    assert result.image.dtype == np.uint16
    # A count is a photon, so the peak is white itself, whichever it is.
    assert result.condition["peak"] == pytest.approx(unpack(came).scales[0].white, rel=0.2)
    assert psnr(came, 60) < 22
    assert psnr(result.image, 60) > 28
    given = poisson(came, peak=60, white=60)
    assert psnr(given.image, 60) > 28
    assert "white is 60" in str(given.remark)


def test_white_as_given(grey: pixelrl.Agent) -> None:
    twelve = whole(noisy(), 4095)
    assert np.array_equal(grey(twelve, white=4095).image, grey(twelve).image)
    assert np.array_equal(grey.ensemble(twelve, white=4095)[0], grey.ensemble(twelve)[0])
    # Nothing is cut off at a white that is too low, and one that is too high leaves all as it is, or better.
    assert psnr(grey(twelve, sigma=25, white=3500).image, 4095) > 28
    for wrong in (0, -1, float("nan"), float("inf"), "white", True):
        with pytest.raises(UsageError, match="is no value that stands for white"):
            grey(twelve, white=wrong)


@pytest.mark.parametrize("came", [whole(noisy(), 4095), (noisy() * 900 - 300), (noisy() * 255).astype(np.float32)])
def test_what_is_left_alone_comes_back_bit_for_bit(grey: pixelrl.Agent, came: np.ndarray) -> None:
    result = grey(came, edits=Edit(box=(0, 0, 80, 160), force="do nothing"))
    assert np.array_equal(result.image[:, :80], came[:, :80])
    assert not np.array_equal(result.image[:, 80:], came[:, 80:])
    again = result.edited(Edit(force="do nothing"))
    assert np.array_equal(again.image, came)


# --- Levels beyond the training -------------------------------------------------------------------


@pytest.mark.parametrize("peak", [1000, 10_000, 1e6])
def test_noise_weaker_than_in_training_is_never_made_worse(poisson: pixelrl.Agent, peak: float) -> None:
    came = (np.random.default_rng(0).poisson(CLEAN * peak) / peak).astype(np.float32)
    result = poisson(came, peak=peak)
    assert psnr(result.image) >= psnr(came)
    assert f"peak {peak:.0f} is beyond the 5 to 200 of the training" in str(result.remark)
    left = peak > 2000
    assert np.array_equal(result.image, came) == left
    assert ("left as it is" in str(result.remark)) == left
    assert np.array_equal(poisson.ensemble(came, peak=peak)[0], came) == left


def test_noise_stronger_than_in_training_is_said(grey: pixelrl.Agent, poisson: pixelrl.Agent) -> None:
    came = noisy(90)
    result = grey(came, sigma=90)
    assert result.remark == "sigma 90 is beyond the 0 to 55 of the training"
    assert psnr(result.image) > psnr(came) + 6
    few = np.random.default_rng(0).poisson(CLEAN * 2) / 2
    result = poisson(few, peak=2)
    assert result.remark == "peak 2 is beyond the 5 to 200 of the training"
    assert psnr(result.image) > psnr(few) + 6
    assert grey(came, sigma=55).remark is None
    assert grey(came, sigma=0).remark is None


def test_the_command_says_that_a_level_is_beyond_the_training(run, tmp_path) -> None:
    came = np.random.default_rng(0).poisson(CLEAN * 10_000).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", came)
    tifffile.imwrite(tmp_path / "s.tif", np.stack([came, came]), photometric="minisblack")
    for name, options in (("a.tif", []), ("a.tif", ["--ensemble"]), ("s.tif", [])):
        target = tmp_path / f"{name}-{len(options)}.tif"
        code, out, _ = run(
            "denoise", tmp_path / name, "-o", target, "--policy", "poisson-gray", "--peak", 10_000, *options
        )
        assert code == 0
        assert "peak 10000 is beyond the 5 to 200 of the training: so weak a noise is left as it is" in out
        assert np.array_equal(tifffile.imread(target), tifffile.imread(tmp_path / name))


# --- Traces and the command line ------------------------------------------------------------------


def test_a_trace_replays_in_the_same_units(grey, tmp_path) -> None:
    for name, came in (("12 bits", whole(noisy(), 4095)), ("floats", (noisy() * 900 - 300).astype(np.float32))):
        result = grey(came)
        pixelrl.save_trace(tmp_path / name, result.trace())
        trace = pixelrl.load_trace(tmp_path / name)
        assert trace.scale == unpack(came).scales[0]
        assert np.array_equal(trace.replay(), result.image)


@pytest.mark.parametrize("ensemble", [False, True])
def test_the_command_says_the_white_and_keeps_it(run, tmp_path, ensemble) -> None:
    tifffile.imwrite(tmp_path / "a.tif", whole(noisy(), 4095))
    options = ["--ensemble"] if ensemble else []
    code, out, _ = run("denoise", tmp_path / "a.tif", "-o", tmp_path / "b.tif", *options)
    assert code == 0
    assert "values scaled: white is 4095 (12 bits)" in out
    pixels = read_picture(tmp_path / "b.tif").pixels
    assert pixels.dtype == np.uint16
    assert psnr(pixels, 4095) > 29


def test_the_command_takes_a_white_and_other_depths_show_it(run, tmp_path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", whole(noisy(), 3000))
    for suffix, depth, white in ((".png", "8", 255), (".tif", "16", 3000), (".tif", "32", 1)):
        target = tmp_path / f"to-{depth}{suffix}"
        code, out, _ = run("denoise", tmp_path / "a.tif", "-o", target, "--white", 3000, "--bit-depth", depth)
        assert code == 0
        assert "white is 3000" in out
        assert psnr(read_picture(target).pixels, white) > 29
    floats = (noisy() * 255).astype(np.float32)
    tifffile.imwrite(tmp_path / "f.tif", floats)
    assert run("denoise", tmp_path / "f.tif", "-o", tmp_path / "f8.png", "--bit-depth", "8")[0] == 0
    assert psnr(read_picture(tmp_path / "f8.png").pixels, 255) > 29
    assert run("denoise", tmp_path / "f.tif", "-o", tmp_path / "c.tif", "--white", "0")[0] == 2


def test_the_command_on_counts(run, tmp_path) -> None:
    tifffile.imwrite(tmp_path / "counts.tif", counts(60).astype(np.uint16))
    code, out, _ = run("denoise", tmp_path / "counts.tif", "-o", tmp_path / "c.tif", "--noise", "poisson", "--json")
    assert code == 0
    report = json.loads(out)
    assert 40 < report["peak"] < 100
    assert psnr(read_picture(tmp_path / "c.tif").pixels, 60) > 28


def test_pictures_made_of_traces_show_the_picture(run, tmp_path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", whole(noisy(), 4095))
    assert run("denoise", tmp_path / "a.tif", "-o", tmp_path / "b.tif", "--trace", tmp_path / "a.npz")[0] == 0
    assert run("replay", tmp_path / "a.npz", "-o", tmp_path / "again.tif")[0] == 0
    assert np.array_equal(read_picture(tmp_path / "again.tif").pixels, read_picture(tmp_path / "b.tif").pixels)
    tifffile.imwrite(tmp_path / "clean.tif", whole(CLEAN, 4095))
    for command, target in (("show", "strip.png"), ("explain", "report.html")):
        code, _, err = run(command, tmp_path / "a.npz", "-o", tmp_path / target, "--reference", tmp_path / "clean.tif")
        assert (code, err) == (0, "")
    assert read_picture(tmp_path / "strip.png").pixels[..., 0].std() > 20
