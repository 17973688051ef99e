"""Colour enhancement: pairs, rewards in Lab, and a look that can be learned."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from pixelrl import load
from pixelrl.edits import Edit
from pixelrl.errors import UsageError
from pixelrl.imaging.color import lab_distance, prophoto_to_srgb, srgb_to_lab, to_space
from pixelrl.tasks import ColorEnhancement
from pixelrl.training.data import load_pairs
from pixelrl.training.recipe import recipe_from_dict
from pixelrl.training.trainer import Trainer


def pair(generator: torch.Generator) -> torch.Tensor:
    return torch.rand((2, 6, 8, 9), generator=generator)


def test_a_pair_is_before_and_after(generator: torch.Generator) -> None:
    both = pair(generator)
    start = ColorEnhancement(files="prophoto").begin(both, generator)
    assert torch.equal(start.image, both[:, :3])
    assert torch.equal(start.target, both[:, 3:])
    start = ColorEnhancement(files="srgb").begin(both, generator)
    torch.testing.assert_close(prophoto_to_srgb(start.target), both[:, 3:], rtol=0, atol=1e-5)


def test_metric_and_reward_are_distances_in_lab(generator: torch.Generator) -> None:
    both, task = pair(generator), ColorEnhancement()
    start = task.begin(both, generator)
    before, after = (rgb2lab(half.double().movedim(1, -1).numpy()) for half in both.chunk(2, 1))
    distance = np.linalg.norm(before - after, axis=-1)
    torch.testing.assert_close(
        task.metric(start.image, start).double(), torch.from_numpy(distance.mean((1, 2))), rtol=0, atol=0.01
    )
    reward = task.reward(start.image, start.target, start.target)
    assert reward.shape == (2, 1, 8, 9)
    assert reward[:, 0].numpy() == pytest.approx(distance / 10, abs=0.002)
    outcomes = torch.stack([start.image, start.target], 1)
    rewards = task.action_rewards(start, start.image, outcomes)
    assert rewards.shape == (2, 2, 1, 8, 9)
    torch.testing.assert_close(rewards[:, 1], reward)
    assert rewards[:, 0].abs().max() < 1e-4


def test_unknown_space() -> None:
    with pytest.raises(UsageError, match="files = 'adobe' is unknown; known are srgb, prophoto"):
        ColorEnhancement(files="adobe")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A look that makes pictures darker and more reddish."""
    before, after = tmp_path / "before", tmp_path / "after"
    random = np.random.default_rng(0)
    for folder in (before, after):
        folder.mkdir()
    for i in range(3):
        pixels = cv2.resize(random.integers(40, 220, (6, 5, 3), dtype=np.uint8), (40, 48))
        cv2.imwrite(str(before / f"{i}.png"), pixels)
        look = np.clip(pixels * [0.85, 0.9, 1.0] - 6, 0, 255).astype(np.uint8)  # blue, green, red
        cv2.imwrite(str(after / f"{i}.webp"), look, [cv2.IMWRITE_WEBP_QUALITY, 101])
    return before, after


def test_pairs_are_matched_by_name(folders: tuple[Path, Path], tmp_path: Path) -> None:
    before, after = folders
    pairs = load_pairs(before, after)
    assert [tuple(photo.pixels.shape) for photo in pairs] == [(6, 48, 40)] * 3
    names = tmp_path / "names.txt"
    names.write_text("2\n0\n")
    assert torch.equal(load_pairs(before, after, names)[0].pixels, pairs[2].pixels)


def test_what_is_wrong_with_pairs_is_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    before, after = folders
    with pytest.raises(UsageError, match=r"data\.after = .*nowhere is not a folder"):
        load_pairs(before, tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"data\.names = .* cannot be read"):
        load_pairs(before, after, tmp_path / "no.txt")
    (after / "1.webp").rename(after / "one.webp")
    with pytest.raises(UsageError, match=r"1 has no picture in data\.after"):
        load_pairs(before, after)
    cv2.imwrite(str(after / "1.png"), np.zeros((48, 30, 3), np.uint8))
    with pytest.raises(UsageError, match=r"the pictures of 1 are of 40x48 and 30x48 pixels"):
        load_pairs(before, after)
    (after / "1.png").write_text("no picture")
    with pytest.raises(UsageError, match=r"1\.png cannot be read as a picture"):
        load_pairs(before, after)


def test_a_look_is_learned_from_pairs(folders: tuple[Path, Path], tmp_path: Path) -> None:
    before, after = folders
    recipe = recipe_from_dict(
        {
            "name": "my-look",
            "task": {"kind": "color-enhancement", "num_steps": 8},
            "policy": {
                "kind": "lookahead", "num_channels": 3, "lab": True,
                "width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 8,
            },
            "data": {"before": str(before), "after": str(after), "crop": 32, "batch": 4, "validation": 1},
            "warm_start": {"iterations": 120, "lr": 3e-3},
            "reinforcement": {"iterations": 2, "lr": 1e-3},
        },
        "the test",
    )  # fmt: skip
    trainer = Trainer(recipe, tmp_path / "run", torch.device("cpu"))
    assert trainer.run()
    agent = load(tmp_path / "run" / "policy.safetensors")
    assert agent.card.space == "prophoto"
    images = [cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) for path in (before / "1.png", after / "1.webp")]
    photo, wanted = (torch.from_numpy(np.moveaxis(image, -1, 0).copy())[None].float() / 255 for image in images)
    result = agent(images[0])
    assert result.image.dtype == np.uint8
    final = torch.from_numpy(np.moveaxis(result.image, -1, 0).copy())[None].float() / 255
    distances = [lab_distance(srgb_to_lab(x), srgb_to_lab(wanted)).mean().item() for x in (photo, final)]
    assert distances[1] < 0.6 * distances[0]
    # One agent per pixel; the trace rebuilds the result bit for bit, and protecting everything gives the input back.
    trace = result.trace()
    assert trace.actions.shape == (8, 1, 48, 40)
    assert trace.space == "prophoto"
    assert np.array_equal(trace.replay(), result.image)
    protected = agent(images[0], edits=[Edit(force="do nothing")])
    assert np.array_equal(protected.image, images[0])
    shown = list(result.trajectory.images())
    assert torch.equal(shown[0], result.trajectory.initial)
    assert to_space(shown[0], "prophoto").shape == shown[-1].shape
