"""Plain functions in scikit-image's manner: what they take and give back, and scikit-image's own judge."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from skimage import data, util
from skimage.metrics import peak_signal_noise_ratio as psnr
from skimage.restoration import calibrate_denoiser, estimate_sigma

import pixelrl
from pixelrl.errors import InputError, UsageError


def photograph(*, color: bool = False, side: int = 64) -> np.ndarray:
    """Floats from 0 to 1, ``(side, side)`` or ``(side, side, 3)``."""
    pixels = util.img_as_float(data.astronaut())[20 : 20 + side, 180 : 180 + side]
    return pixels if color else pixels.mean(-1)


def noisy(clean: np.ndarray, sigma: float) -> np.ndarray:
    return clean + np.random.default_rng(0).normal(0, sigma, clean.shape)


@pytest.mark.parametrize("color", [False, True])
def test_scikit_image_calibrates_it(color: bool) -> None:
    clean = photograph(color=color)
    image = noisy(clean, 0.1)
    parameters = {"sigma": [0.02, 0.1, 0.3], **({"channel_axis": [-1]} if color else {})}
    best, (tried, losses) = calibrate_denoiser(image, pixelrl.denoise, parameters, extra_output=True)
    assert tried[int(np.argmin(losses))]["sigma"] == 0.1  # which it saw in the noisy picture alone
    mask = (slice(None, None, 4),) * 2  # a sixteenth of what the calibrated denoiser does, which is J-invariant
    kwargs = {**best.keywords, "masks": [mask]}
    result = functools.partial(best.func, **kwargs)(image)[mask]
    assert psnr(clean[mask], result, data_range=1) > psnr(clean[mask], image[mask], data_range=1) + 5


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64"])
def test_floats_come_out_as_in_scikit_image(dtype: str) -> None:
    white = {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    image = (np.clip(noisy(photograph(side=32), 0.1), 0, 1) * white).astype(dtype)
    before = image.copy()
    result = pixelrl.denoise(image, 0.1 * white)
    as_float = util.img_as_float(image)
    assert result.dtype == ("float32" if dtype in ("float16", "float32") else "float64")
    assert result.shape == image.shape
    assert 0.02 < np.abs(result - as_float).mean() < 0.1  # in the same units, and noise is gone
    assert np.array_equal(image, before)
    agents = pixelrl.load("denoise-gray")(as_float.astype("float32"), sigma=25.5, white=1, legibility=0).image
    np.testing.assert_allclose(result, agents, atol=2e-3)


def test_sigma_counts_as_the_image_does() -> None:
    image = noisy(photograph(), 0.1)
    by_scikit_image = pixelrl.denoise(image, estimate_sigma(image))
    assert psnr(photograph(), by_scikit_image, data_range=1) > psnr(photograph(), image, data_range=1) + 5
    counts = (np.clip(image, 0, 1) * 4095).round().astype("uint16")
    of_counts = pixelrl.denoise(counts, 409.5, white=4095)
    of_floats = pixelrl.denoise(counts / 4095, 0.1)
    np.testing.assert_allclose(of_counts * 65535 / 4095, of_floats, atol=1e-3)
    # Values in other units keep them: 0 to 255 in floats.
    np.testing.assert_allclose(pixelrl.denoise(counts / 4095 * 255, 25.5), of_floats * 255, atol=0.1)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_channels_may_stand_anywhere(axis: int) -> None:
    image = noisy(photograph(color=True, side=32), 0.1)
    usual = pixelrl.denoise(image, 0.1, channel_axis=-1)
    moved = pixelrl.denoise(np.moveaxis(image, -1, axis), 0.1, channel_axis=axis)
    assert np.array_equal(moved, np.moveaxis(usual, -1, axis))


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_channels_that_are_no_colours_are_grey_pictures(channels: int) -> None:
    image = np.stack([noisy(photograph(side=32), 0.02 * i) for i in range(channels)], axis=-1)
    result = pixelrl.denoise(image, 0.05, channel_axis=-1)
    for i in range(channels):  # of four, the last is no alpha here
        assert np.array_equal(result[..., i], pixelrl.denoise(image[..., i], 0.05))


def test_the_kind_of_noise_is_seen_or_said() -> None:
    clean = photograph()
    rng = np.random.default_rng(0)
    white, photons = noisy(clean, 0.1), rng.poisson(30 * clean) / 30
    salted = np.where(rng.random(clean.shape) < 0.3, rng.integers(0, 2, clean.shape), clean)
    for image, given in (
        (white, {}),
        (white, {"noise": "gaussian"}),
        (white, {"strength": 1}),
        (photons, {"peak": 30}),
        (photons, {"noise": "poisson"}),
        (photons, {"gain": 1 / 30, "read": 0, "offset": 0}),
        (salted, {"noise": "saltpepper"}),
    ):
        result = pixelrl.denoise(image, **given)
        assert psnr(clean, result, data_range=1) > psnr(clean, image, data_range=1) + 3, given
    counts = rng.poisson(30 * clean).astype("uint16")
    by_counts = pixelrl.denoise(counts, gain=1, read=0, offset=0, white=30)  # the gain is one count
    assert psnr(clean, by_counts * 65535 / 30, data_range=1) > psnr(clean, photons, data_range=1) + 3


def test_text_looks_and_the_eye() -> None:
    image = photograph(color=True)
    assert np.array_equal(pixelrl.restore(image[..., 0]).shape, image.shape[:2])
    assert pixelrl.restore(image, channel_axis=-1).shape == image.shape
    plain = (60 + 100 * image[..., 0]).astype(np.uint8)
    assert pixelrl.restore(plain) * 255 == pytest.approx(plain)  # no text: `restore-color` leaves every bit
    look = pixelrl.enhance(np.moveaxis(image, -1, 0), "local-xpro", channel_axis=0)
    assert look.shape == (3, 64, 64)
    assert np.abs(np.moveaxis(look, 0, -1) - image).mean() > 0.02
    assert np.array_equal(look, pixelrl.enhance(np.moveaxis(image, -1, 0), "enhance-local-xpro", channel_axis=0))
    mask = np.zeros(image.shape[:2], bool)
    mask[16:48, 16:48] = True
    towards, away = (pixelrl.edit_saliency(image, mask, strength) for strength in (1.0, -1.0))
    assert towards.dtype == away.dtype == "float64"
    assert not np.allclose(towards, away)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: pixelrl.denoise(np.zeros((8, 8, 3))), InputError, "channel_axis=-1"),
        (lambda: pixelrl.denoise(np.zeros((8, 8)), channel_axis=-1), InputError, "axis -1"),
        (lambda: pixelrl.denoise(np.zeros((8, 8, 3)), channel_axis=3), InputError, "axis 3"),
        (lambda: pixelrl.denoise(np.zeros((8, 8), bool)), InputError, "bool"),
        (lambda: pixelrl.denoise(np.zeros((0, 8))), InputError, "no pixels"),
        (lambda: pixelrl.denoise(np.full((8, 8), np.nan)), InputError, "NaN"),
        (lambda: pixelrl.denoise(np.zeros((8, 8)), noise="film"), UsageError, "saltpepper"),
        (lambda: pixelrl.denoise(np.zeros((8, 8)), sigma="much"), UsageError, "sigma"),
        (lambda: pixelrl.denoise(np.zeros((8, 8)), sigma=-1), UsageError, "sigma"),
        (lambda: pixelrl.denoise(np.zeros((8, 8)), sigma=0.1, peak=3), UsageError, "peak"),
        (lambda: pixelrl.denoise(np.zeros((8, 8)), peak=3, noise="gaussian"), UsageError, "peak"),
        (lambda: pixelrl.enhance(np.zeros((8, 8, 3)), "sepia"), UsageError, "local-xpro"),
        (lambda: pixelrl.enhance(np.zeros((8, 8, 4)), "watercolor"), InputError, "three channels"),
        (lambda: pixelrl.edit_saliency(np.zeros((8, 8, 3)), strength=2), UsageError, "strength"),
    ],
)
def test_refusals_say_the_way_out(call, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
