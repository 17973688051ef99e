"""What a user holds: types in, the same types out, and clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

import pixelrl
from pixelrl.actions import PAPER_NINE
from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard, load_policy, save_policy
from pixelrl.edits import Edit
from pixelrl.errors import InputError, UsageError
from pixelrl.evaluate import evaluate
from pixelrl.imaging.metrics import agreement, bits_per_pixel
from pixelrl.imaging.noise import estimate_sigma
from pixelrl.imaging.saliency import MODELS
from pixelrl.importers import import_chainer
from pixelrl.pictures.masks import read_mask
from pixelrl.pictures.values import array_to_tensor
from pixelrl.report.animation import draw
from pixelrl.tasks import GaussianDenoising
from pixelrl.training.data import load_pairs, load_photos
from pixelrl.training.recipe import read_recipe
from pixelrl.training.shipped import find_recipe

SMALL = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4}


@pytest.fixture
def agent(tmp_path: Path, randomise) -> Agent:
    card = PolicyCard("small", "lookahead", SMALL, PAPER_NINE, 3, "sigma", {})
    policy = card.build()
    randomise(policy)
    save_policy(tmp_path / "small.safetensors", policy, card)
    return pixelrl.load(tmp_path / "small.safetensors", "cpu")


def picture(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = np.random.default_rng(0).random(shape)
    scale = {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    return (values * scale).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(12, 17), (12, 17, 1), (12, 17, 3), (9, 5, 4), (1, 1), (1, 9)])
def test_arrays_come_back_as_they_came(agent: Agent, shape: tuple[int, ...], dtype: str) -> None:
    image = picture(shape, dtype)
    before = image.copy()
    result = agent(image, sigma=25)
    channels = 1 if len(shape) == 2 else min(3, shape[2])  # the fourth is alpha
    assert result.image.shape == shape
    assert result.image.dtype == image.dtype
    assert result.trajectory.actions.shape == (3, 1, channels, *shape[:2])
    assert result.trajectory.action_names == PAPER_NINE
    assert np.array_equal(image, before)
    assert np.array_equal(result.trace().replay(), result.image if shape[-1] != 4 else result.image[..., :3])
    assert channels != 3 or np.array_equal(result.image[..., 3:], image[..., 3:])
    if image.size > 100:
        assert not np.array_equal(result.image, image)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "F"])
def test_pillow_images_come_back_with_their_alpha(agent: Agent, mode: str) -> None:
    channels = {"LA": 2, "RGB": 3, "RGBA": 4}.get(mode, 1)
    dtype = {"I;16": "uint16", "F": "float32"}.get(mode, "uint8")
    array = picture((14, 11, channels) if channels > 1 else (14, 11), dtype)
    image = PillowImage.fromarray(array)
    image.info["dpi"] = (300, 300)
    result = agent(image, sigma=25).image
    assert isinstance(result, PillowImage.Image)
    assert (result.mode, result.size, result.info["dpi"]) == (mode, (11, 14), (300, 300))
    if mode in ("LA", "RGBA"):
        assert np.array_equal(np.asarray(result)[..., -1], array[..., -1])


def test_batches_of_tensors(agent: Agent, generator: torch.Generator) -> None:
    batch = torch.rand((2, 3, 16, 20), generator=generator, dtype=torch.float64)
    result = agent(batch, sigma=25)
    assert result.image.shape == batch.shape
    assert result.image.dtype == torch.float64
    assert result.trajectory.actions.shape == (3, 2, 3, 16, 20)
    one = agent(batch[1:, 2:], sigma=25)
    assert torch.equal(one.image, result.image[1:, 2:])
    with pytest.raises(UsageError, match="one image, not a batch of 2"):
        result.trace()


def test_a_result_says_how_plain_its_maps_are(agent: Agent) -> None:
    """Of every image; one operation everywhere, by a person's edits, needs no bits."""
    result = agent(np.random.default_rng(1).random((2, 1, 20, 24), np.float32), sigma=25)
    maps = result.trajectory.actions
    assert result.bits_per_pixel == tuple(bits_per_pixel(maps).tolist())
    assert len(result.bits_per_pixel) == 2
    assert min(result.bits_per_pixel) > 0
    assert result.agreement == tuple(tuple(image) for image in agreement(maps).T.tolist())
    assert [len(image) for image in result.agreement] == [len(maps)] * 2
    plain = result.edited(Edit(force="do nothing"))
    assert plain.bits_per_pixel == (0, 0)
    assert plain.agreement == ((1,) * len(maps),) * 2


def test_floats_are_not_clipped_and_integers_are(agent: Agent) -> None:
    image = np.full((8, 8), 1.5, np.float32)
    assert agent(image, sigma=0, steps=0).image.max() == 1.5
    assert agent(image, sigma=0, steps=0).trajectory.num_steps == 0
    bright = agent(np.full((8, 8), 255, np.uint8), sigma=50)
    assert bright.image.dtype == np.uint8  # +1 level on white stays white instead of wrapping to black
    assert bright.image.min() > 200


def test_a_reused_buffer_changes_neither_trace_nor_trajectory(agent: Agent) -> None:
    array, tensor = picture((12, 17), "uint8"), torch.rand(1, 1, 12, 17)
    first, second = agent(array, sigma=25), agent(tensor, sigma=25)
    replayed = second.trajectory.final()
    array[:] = 0
    tensor.zero_()
    assert np.array_equal(first.trace().replay(), first.image)
    assert torch.equal(second.trajectory.final(), replayed)


def test_sixteen_bit_depth_is_used(agent: Agent) -> None:
    image = picture((16, 16), "uint16")
    assert len(np.unique(agent(image, sigma=25).image % 257)) > 50


def test_tiles_and_batches_do_not_change_the_result(agent: Agent) -> None:
    image = picture((70, 90, 3), "float32")
    agent = Agent(agent.policy, agent.card, torch.device("cpu"), "fp32")
    whole = agent(image, sigma=25, tile=None)
    # Another size may mean another order of summation, and a tie between two actions may then go the other way. In
    # bfloat16 that is frequent with layers as narrow as these, and does not happen to what ships (test_tiling.py).
    assert np.mean(agent(image, sigma=25, tile=32).image != whole.image) < 0.005
    assert np.mean(agent(np.ascontiguousarray(image[..., 1]), sigma=25).image != whole.image[..., 1]) < 0.005


def test_sigma_is_told_estimated_or_refused(agent: Agent, tmp_path: Path) -> None:
    noisy = np.float32(0.5) + np.random.default_rng(0).normal(0, 20 / 255, (128, 128)).astype(np.float32)
    assert agent(noisy).condition["sigma"] == pytest.approx(20, rel=0.1)
    assert agent(noisy, sigma=7).condition == {"sigma": 7.0}
    assert not np.array_equal(agent(noisy, sigma=0).image, agent(noisy, sigma=55).image)
    for wrong in (-3, float("nan"), float("inf"), "much", True):
        with pytest.raises(UsageError, match="sigma"):
            agent(noisy, sigma=wrong)
    card = PolicyCard("blind", "fcn", {"width": 4}, PAPER_NINE, 2, None, {})
    blind = Agent(card.build().eval(), card, torch.device("cpu"))
    assert blind(noisy).condition == {}
    with pytest.raises(UsageError, match="takes no noise level; leave sigma out"):
        blind(noisy, sigma=7)
    with pytest.raises(UsageError, match="takes sigma; leave peak out"):
        agent(noisy, peak=7)


def test_the_ensemble_is_the_mean_over_the_eight_symmetries(agent: Agent) -> None:
    image = picture((20, 27), "float32")
    total = np.zeros(image.shape)
    for turns in range(4):
        for axis in (None, 1):
            seen = np.rot90(image if axis is None else np.flip(image, axis), turns).copy()
            back = np.rot90(agent(seen, sigma=25).image, -turns)
            total += back if axis is None else np.flip(back, axis)
    result, told = agent.ensemble(image, sigma=25)
    assert told == {"sigma": 25.0}
    np.testing.assert_allclose(result, total / 8, atol=1e-5)
    # It does not matter which way the picture is held.
    turned, _ = agent.ensemble(np.rot90(image).copy(), sigma=25)
    np.testing.assert_allclose(turned, np.rot90(result), atol=1e-5)


def test_estimates_of_tiny_images(generator: torch.Generator) -> None:
    assert estimate_sigma(torch.rand(1, 1, 1, 9, generator=generator)) == 0.0
    for size in ((2, 2), (2, 9), (9, 3), (4, 4), (5, 2)):
        assert 0 <= estimate_sigma(torch.rand(2, 3, *size, generator=generator)) < 255
    assert estimate_sigma(torch.zeros(1, 1, 8, 8)) == 0.0


def test_what_is_not_an_image_is_refused(agent: Agent) -> None:
    for wrong, words in (
        (np.zeros((4, 4), np.int32), "int32"),
        (np.zeros((4, 4), bool), "bool"),
        (np.zeros(4, np.uint8), "shape"),
        (np.zeros((0, 4), np.uint8), "no pixels"),
        (np.full((4, 4), np.nan, np.float32), "NaN"),
        (PillowImage.new("LAB", (4, 4)), "mode LAB"),
        (np.zeros((8, 9, 5), np.uint8), r"\(b, c, h, w\)"),
        (torch.full((1, 1, 2, 2), torch.inf), "infinite"),
        ("photo.png", "str"),
    ):
        with pytest.raises(InputError, match=words):
            agent(wrong, sigma=5)


def test_edited_results_are_given_back_as_they_came(agent: Agent, tmp_path: Path) -> None:
    content = [{"region": {"box": [0, 0, 6, 5]}, "do": {"force": "do nothing"}}]
    (tmp_path / "e.json").write_text(json.dumps(content))
    edits = pixelrl.load_edits(tmp_path / "e.json")
    rgba = picture((12, 17, 4), "uint8")
    for image in (rgba, PillowImage.fromarray(rgba), torch.from_numpy(rgba).movedim(-1, 0), [rgba, rgba]):
        result = agent(image, sigma=25)
        for given in (edits, tmp_path / "e.json", str(tmp_path / "e.json"), edits[0]):
            edited = result.edited(given)
            assert type(edited.image) is type(result.image)
        assert edited.condition == result.condition
        first = edited.image[0] if isinstance(image, list) else edited.image
        array = np.asarray(first if not isinstance(first, torch.Tensor) else first.movedim(0, -1))
        assert np.array_equal(array[:5, :6], rgba[:5, :6])
        assert np.array_equal(array[..., 3], rgba[..., 3])
        assert not np.array_equal(array[5:], rgba[5:])
    # Live, by the same file.
    live = agent(rgba, sigma=25, edits=str(tmp_path / "e.json")).image
    assert np.array_equal(live[:5, :6], rgba[:5, :6])
    assert np.array_equal(agent(rgba, sigma=25).edited(edits).trace().replay(), edited.image[0][..., :3])


def test_lists_and_other_orders_of_bytes(agent: Agent) -> None:
    images = [picture((12, 17), "uint16"), picture((12, 17), "uint16")[::-1]]
    both = agent(images, sigma=25).image
    assert [one.dtype for one in both] == [np.uint16, np.uint16]
    assert np.array_equal(both[1], agent(images[1], sigma=25).image)
    swapped = agent(images[0].astype(">u2"), sigma=25)
    assert swapped.image.dtype == np.dtype(">u2")
    assert np.array_equal(swapped.image, both[0])
    assert swapped.trace().pixels.dtype == np.uint16


def test_photos_of_pillow_keep_how_they_are_seen_in_traces(agent: Agent, tmp_path: Path) -> None:
    exif = PillowImage.Exif()
    exif[274] = 6
    PillowImage.fromarray(picture((12, 17, 3), "uint8")).save(tmp_path / "a.png", exif=exif)
    with PillowImage.open(tmp_path / "a.png") as image:
        assert agent(image, sigma=25).trace().orientation == 6


def test_numbers_of_numpy_are_numbers(agent: Agent) -> None:
    image = picture((12, 17), "uint8")
    expected = agent(image, sigma=25, steps=2).image
    given = {"sigma": np.float32(25), "steps": np.int64(2), "tile": np.int32(64)}
    assert np.array_equal(agent(image, **given).image, expected)
    for name, value in (("steps", 2.5), ("steps", True), ("steps", "2"), ("steps", -1), ("tile", 0), ("tile", 64.0)):
        with pytest.raises(UsageError, match=f"{name} = .* give a whole number (of at least|from) "):
            agent(image, sigma=25, **{name: value})
    with pytest.raises(UsageError, match="are not edits"):
        agent(image, sigma=25, edits=[{"do": "stop"}])


def test_masks_as_callers_hold_them() -> None:
    from skimage import data

    agent = pixelrl.load("saliency-edit", "cpu")
    photo = PillowImage.fromarray(data.astronaut()[20:84, 180:260])
    inside = np.zeros((64, 80), bool)
    inside[10:40, 20:50] = True
    expected = agent(photo, mask=inside).image
    cut = np.dstack([np.asarray(photo), inside * np.uint8(255)])
    for mask in (torch.from_numpy(inside), PillowImage.fromarray(inside * np.uint8(1)), PillowImage.fromarray(cut)):
        assert np.array_equal(np.asarray(agent(photo, mask=mask).image), np.asarray(expected))
    photo.getexif()[274] = 6  # lies on its side, so a mask that is painted on it stands upright
    painted = PillowImage.fromarray(np.rot90(inside, -1) * np.uint8(255))
    assert np.array_equal(np.asarray(agent(photo, mask=painted).image), np.asarray(expected))
    for wrong, words in (
        ("mask.png", "str is no mask; give an array"),
        (cut, r"a mask of shape \(64, 80, 4\) is no mask"),
        (PillowImage.new("L", (5, 5), 255), "the mask is 5 x 5 pixels, the image 80 x 64"),
    ):
        with pytest.raises(InputError, match=words):
            agent(photo, mask=wrong)


def test_load_names_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="denoise-gray"):
        pixelrl.load("denoise-grey")
    with pytest.raises(UsageError, match="auto, cpu or cuda"):
        pixelrl.load("denoise-gray", "tpu")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(UsageError, match="not a policy"):
        pixelrl.load(tmp_path / "text.safetensors")


def test_the_shipped_saliency_policy_goes_both_ways() -> None:
    """Of the signs alone, which fresh weights have right, too; tests/test_shipped.py looks at what was learned."""
    from skimage import data

    photo = data.astronaut()[20:148, 180:308]
    mask = np.zeros((128, 128), bool)
    mask[30:90, 40:100] = True
    agent = pixelrl.load("saliency-edit", "cpu")

    def saliency(image: np.ndarray) -> float:
        """Of the object, less that of the rest."""
        tensor = array_to_tensor(image)
        return sum((m := model(tensor)[0, 0].numpy())[mask].mean() - m[~mask].mean() for model in MODELS.values())

    up, plain, down = (
        saliency(picture)
        for picture in (agent(photo, mask=mask).image, photo, agent(photo, mask=mask, strength=-1).image)
    )
    assert up > plain + 0.3
    assert down < plain - 0.3


def test_progress_goes_from_0_to_1_over_groups_and_symmetries(agent: Agent) -> None:
    """A grey policy on the channels of colour, a plane at a time; and eight runs."""
    image = np.zeros((20, 20, 3), np.uint8)
    shares: list[float] = []
    agent(image, sigma=9, tile=20, progress=shares.append)
    assert shares == sorted(shares)
    assert len(shares) == 3 * (1 + agent.card.num_steps)
    assert shares[-1] == 1
    eight: list[float] = []
    agent.ensemble(image, sigma=9, tile=20, progress=eight.append)
    assert eight == sorted(eight)
    assert (len(eight), eight[-1]) == (8 * len(shares), 1)


def test_every_path_may_be_a_string(agent: Agent, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        PillowImage.fromarray(picture((24, 24), "uint8")).save(tmp_path / folder / "p.png")
    trace, policy, film, edits = (str(tmp_path / name) for name in ("t.npz", "p.safetensors", "f.gif", "e.json"))
    Path(edits).write_text('[{"do": {"force": "box"}}]')
    result = agent(picture((24, 24), "uint8"), sigma=9, edits=edits)
    pixelrl.save_trace(trace, result.trace())
    draw(film, pixelrl.load_trace(trace))
    assert result.trajectory.edited(pixelrl.load_edits(edits)).num_steps == agent.card.num_steps
    save_policy(policy, agent.policy, agent.card)
    assert load_policy(policy)[1] == pixelrl.load(policy, "cpu").card == agent.card
    for path in (trace, film):
        assert Path(path).exists()
    folders = str(tmp_path / "a"), str(tmp_path / "b")
    assert len(load_photos(folders[0])) == len(load_pairs(*folders)) == 1
    assert read_mask(f"{folders[0]}/p.png").inside.shape == (24, 24)
    assert len(list(evaluate(agent, folders[0], GaussianDenoising(), 25.0))) == 1
    assert read_recipe(str(find_recipe("denoise-gray"))).name == "denoise-gray"
    for read in (import_chainer, read_recipe):
        with pytest.raises(UsageError, match="nowhere"):
            read(f"{folders[0]}/nowhere")
