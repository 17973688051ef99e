"""Values in, values and maps out: planes, stacks, channels, colours, replay of what is painted, cancelling."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari_pixelrl")

import pixelrl
from napari_pixelrl._work import BY_NOISE, Run, Settings, Stopped, parse_numbers, run

pytestmark = pytest.mark.filterwarnings("default")
SIGMA = Settings("denoise-gray", {"sigma": 25.0}, steps=2)


def noisy(*shape: int, sigma: float = 25, seed: int = 0) -> np.ndarray:
    clean = np.full(shape, 120.0)
    return np.clip(np.random.default_rng(seed).normal(clean, sigma), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def grey() -> tuple[np.ndarray, Run]:
    values = noisy(24, 32)
    return values, run(values, False, SIGMA)


def test_a_plane_is_cleaned_as_by_the_package(grey: tuple[np.ndarray, Run]) -> None:
    values, done = grey
    direct = pixelrl.load("denoise-gray")(values, sigma=25, steps=2)
    assert np.array_equal(done.image, direct.image)
    assert (done.num_steps, done.agents, done.shape) == (2, 1, ())
    assert np.array_equal(done.labels(1), direct.trajectory.actions[1, 0, 0].numpy() + 1)
    assert done.labels(0).shape == (24, 32)
    assert done.image.std() < values.std() / 2


def test_painted_operations_are_carried_out_and_erased_ones_are_the_policys(grey: tuple[np.ndarray, Run]) -> None:
    values, done = grey
    maps = [done.labels(step) for step in range(2)]
    nothing = done.operations.index("do nothing") + 1
    for labels in maps:
        labels[:, :16] = nothing
        labels[0, 20] = 200  # is no operation
    told: list[float] = []
    protected = done.replayed(maps, told.append)
    assert np.array_equal(protected.image[:, :16], values[:, :16])
    assert np.array_equal(protected.image[:, 28:], done.image[:, 28:])
    assert not np.array_equal(protected.image, done.image)
    assert (protected.labels(0)[:, :16] == nothing).all()
    assert protected.labels(0)[0, 20] == done.labels(0)[0, 20]
    assert told == [1.0]
    again = protected.replayed([np.zeros_like(labels) for labels in maps])
    assert np.array_equal(again.image, done.image)
    assert np.array_equal(again.labels(1), done.labels(1))
    with pytest.raises(ValueError, match=r"2 arrays of labels of shape \(24, 32\) are needed"):
        done.replayed(maps[:1])


def test_channels_of_a_stack_have_a_noise_of_their_own() -> None:
    values = np.stack([noisy(2, 48, 48, sigma=6), noisy(2, 48, 48, sigma=40, seed=1)], axis=1)  # (time, channel, y, x)
    done = run(values, False, Settings("denoise-gray", steps=1, channel_axis=1))
    told = {index: trace.condition["sigma"] for index, trace in done.traces.items()}
    assert told[0, 0] == told[1, 0] == pytest.approx(6, abs=2)
    assert told[0, 1] == told[1, 1] == pytest.approx(40, abs=8)
    assert done.image.shape == values.shape
    assert done.labels(0).shape == values.shape
    together = run(values, False, Settings("denoise-gray", steps=1))
    assert len({trace.condition["sigma"] for trace in together.traces.values()}) == 1
    with pytest.raises(pixelrl.UsageError, match="axis 2 counts no channels; the layer has 2 axes"):
        run(values, False, Settings("denoise-gray", channel_axis=2))


@pytest.mark.parametrize("colours", [3, 4])
def test_colours_have_a_map_each_and_transparency_stays(colours: int) -> None:
    values = noisy(2, 16, 20, colours)
    done = run(values, True, Settings("denoise-color", {"sigma": 25.0}, steps=1))
    assert (done.agents, done.image.shape, done.labels(0).shape) == (3, values.shape, (3, 2, 16, 20))
    if colours == 4:
        assert np.array_equal(done.image[..., 3], values[..., 3])
    maps = done.labels(0)
    maps[:, 1] = done.operations.index("do nothing") + 1
    after = done.replayed([maps])
    assert np.array_equal(after.image[1], values[1])
    assert np.array_equal(after.image[0], done.image[0])


def test_the_noise_says_which_policy() -> None:
    done = run(noisy(64, 64), False, Settings(BY_NOISE, steps=1))
    assert done.policy == pixelrl.choose(noisy(64, 64)).policy == "denoise-gray"


def test_salt_and_pepper_is_seen_and_said() -> None:
    rng = np.random.default_rng(0)
    clean = np.broadcast_to(np.linspace(60, 180, 64), (64, 64))
    specks = np.where(rng.random((3, 64, 64)) < 0.3, 255 * rng.integers(0, 2, (3, 64, 64)), clean).astype(np.uint8)
    done = run(specks, False, Settings(BY_NOISE, steps=1))
    assert done.policy == "saltpepper-gray"
    assert done.remarks == ("salt & pepper: specks of exactly black and white: saltpepper-gray",)
    # One plane of three is clean, which does not count; told apart, each channel has what is seen in it.
    specks[1] = clean
    assert run(specks, False, Settings(BY_NOISE, steps=1)).policy == "saltpepper-gray"
    apart = run(specks, False, Settings(BY_NOISE, steps=1, channel_axis=0))
    assert apart.policy == "saltpepper-gray"
    assert "channel 0: salt & pepper: specks of exactly black and white" in apart.remarks
    assert np.array_equal(apart.image[1], specks[1])
    # A number says which kind of noise is meant, as in `pixelrl.denoise`.
    assert run(specks, False, Settings(BY_NOISE, {"sigma": 25.0}, steps=1)).policy == "denoise-gray"
    assert run(specks, False, Settings(BY_NOISE, {"peak": 30.0}, steps=0)).policy == "poisson-gray"


def test_a_clean_layer_stays_as_it_is() -> None:
    clean = np.broadcast_to(np.linspace(60, 180, 64), (2, 64, 64)).astype(np.uint8)
    done = run(clean, False, Settings(BY_NOISE, steps=1))
    assert np.array_equal(done.image, clean)
    assert "the picture is left as it is" in done.remarks[0]


def test_progress_rises_and_what_it_raises_ends_the_work() -> None:
    shares: list[float] = []
    values = noisy(2, 16, 16)
    run(values, False, SIGMA, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1

    def stop(share: float) -> None:
        if share >= 0.5:
            raise Stopped

    with pytest.raises(Stopped):
        run(values, False, SIGMA, stop)


def test_numbers_are_read_as_they_are_typed() -> None:
    assert parse_numbers("sigma=25, strength = 0.5") == {"sigma": 25.0, "strength": 0.5}
    assert parse_numbers(" ") == {}
    with pytest.raises(pixelrl.UsageError, match="'sigma' is not a name and a number"):
        parse_numbers("sigma")
    with pytest.raises(pixelrl.UsageError, match="peak"):
        run(noisy(16, 16), False, Settings("denoise-gray", {"peak": 3.0}))
