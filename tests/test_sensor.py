"""The raw data of a camera, cleaned: on the sensor's own pixels and on the developed picture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage import data

import pixelrl
from dng import dng
from pixelrl.pictures.files import decode, read_picture
from pixelrl.pictures.raw import Sensor
from pixelrl.sensor import clean_raw

pytest.importorskip("rawpy")

GAIN, READ, BLACK, WHITE = 160.0, 60.0, 512, 16383
"""Of the made-up sensor, as its files count."""


def photographed() -> tuple[bytes, bytes]:
    """A scene of 96 x 96 as files of the sensor, with noise and without."""
    scene = (data.astronaut()[64:160, 168:264] / 255) ** 2.2
    seen = scene * (0.5, 1.0, 0.625) * 0.9
    mosaic = seen[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = seen[::2, ::2, 0], seen[1::2, 1::2, 2]
    random, light = np.random.default_rng(0), (WHITE - BLACK) * mosaic
    noisy = GAIN * random.poisson(light / GAIN) + random.normal(BLACK, READ, mosaic.shape)
    return tuple(dng(np.rint(np.clip(m, 0, WHITE)).astype(np.uint16)) for m in (noisy, light + BLACK))


NOISY, CLEAN = photographed()


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((one / 65535.0 - other / 65535.0) ** 2)))


@pytest.fixture(scope="module")
def agents() -> tuple[pixelrl.Agent, pixelrl.Agent]:
    names = ("poisson-gaussian-gray", "denoise-photo")
    return tuple(pixelrl.load(name, device="cpu", precision="fp32") for name in names)


def test_both_ways_together_are_better_than_each(agents: tuple[pixelrl.Agent, pixelrl.Agent]) -> None:
    planes, photo = agents
    sensor = Sensor.of(NOISY)
    assert sensor is not None
    clean, noisy = decode(CLEAN, "clean").pixels, decode(NOISY, "noisy").pixels
    shares: list[float] = []
    both = clean_raw(sensor, planes, photo, progress=shares.append)
    before = clean_raw(sensor, planes, None)
    after = photo(noisy, white=65535, legibility=0.0).image
    quality = {
        name: psnr(p, clean) for name, p in (("noisy", noisy), ("before", before.picture.pixels), ("after", after))
    }
    assert min(quality["before"], quality["after"]) > quality["noisy"] + 2
    assert psnr(both.picture.pixels, clean) > max(quality.values())
    assert both.noise == before.noise
    assert both.noise.offset == 0
    assert both.noise.gain * (WHITE - BLACK) == pytest.approx(GAIN, rel=0.5)
    assert (before.sigma, before.idle) == (None, False)
    assert both.sigma is not None
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_the_noise_may_be_told_and_the_ensemble_taken(agents: tuple[pixelrl.Agent, pixelrl.Agent]) -> None:
    planes, photo = agents
    sensor = Sensor.of(NOISY)
    assert sensor is not None
    idle = clean_raw(sensor, planes, None, {"gain": 0.0, "read": 0.0})
    assert idle.idle
    assert np.quantile(np.abs(idle.picture.pixels.astype(int) - decode(NOISY, "noisy").pixels), 0.99) <= 64
    small = replace(sensor, mosaic=sensor.mosaic[:32, :32], data=dng(np.full((32, 32), 3000, np.uint16)))
    once, eight = (clean_raw(small, planes, photo, steps=1, ensemble=many).picture.pixels for many in (False, True))
    assert not np.array_equal(once, eight)


def test_raw_data_on_the_command_line(run, tmp_path: Path) -> None:
    source = tmp_path / "photo.dng"
    source.write_bytes(NOISY)
    code, out, err = run("denoise", source, "-o", tmp_path / "a.tif", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["policy"] == "poisson-gaussian-gray and denoise-photo"
    assert report["condition"]["offset"] == BLACK
    assert report["condition"]["gain"] == pytest.approx(GAIN, rel=0.5)
    assert report["estimated"] == ["gain", "read", "sigma"]
    assert report["notes"] == ["raw data, cleaned before they were developed and after, and the mean"]
    clean, noisy, result = decode(CLEAN, "clean"), decode(NOISY, "noisy"), read_picture(tmp_path / "a.tif")
    assert result.pixels.dtype == np.uint16
    assert psnr(result.pixels, clean.pixels) > psnr(noisy.pixels, clean.pixels) + 2
    code, out, _ = run(
        "denoise", source, "-o", tmp_path / "b.jpg", "--bit-depth", 8, "--gain", GAIN, "--read", READ, "--json"
    )
    told = json.loads(out)
    assert (code, told["policy"], told["estimated"]) == (0, "poisson-gaussian-gray", [])
    assert told["condition"] == pytest.approx({"gain": GAIN, "read": READ, "offset": BLACK})
    assert read_picture(tmp_path / "b.jpg").pixels.dtype == np.uint8
    code, out, _ = run(
        "denoise", source, "-o", tmp_path / "c.png", "--policy", "denoise-photo", "--trace", tmp_path / "t.npz"
    )
    assert code == 0
    assert "raw data" not in out


def test_what_does_not_fit_raw_data_is_refused(run, tmp_path: Path) -> None:
    source = tmp_path / "photo.dng"
    source.write_bytes(NOISY)
    for option in (("--trace", tmp_path / "t.npz"), ("--legibility", 1)):
        code, _, err = run("denoise", source, "-o", tmp_path / "a.tif", *option)
        assert code == 2
        assert f"{option[0]} is for one policy, and raw data are cleaned by two" in err
    code, _, err = run("denoise", source, "-o", tmp_path / "a.tif", "--white", 4095)
    assert code == 2
    assert "--white cannot be used: raw data say themselves which value is white" in err
    code, _, err = run("denoise", source, "-o", tmp_path / "a.jpg")
    assert code == 2
    assert "JPEG cannot hold this 16-bit picture of 96 x 96; PNG or TIFF can" in err
