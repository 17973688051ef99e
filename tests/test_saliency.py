"""Saliency: models, objects, what agents are paid for, and masks."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from pixelrl import load
from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard
from pixelrl.errors import InputError, UsageError
from pixelrl.policies import build_policy
from pixelrl.saliency import MODELS, find_model, salient_object, wanted
from pixelrl.tasks import SaliencyEditing
from pixelrl.tasks.saliency import ACTIONS, random_object
from pixelrl.trace import load_trace, save_trace


def scene(side: int = 64) -> torch.Tensor:
    """A reddish square, not in the middle, before grey-green with a little texture."""
    noise = torch.rand((1, 3, side, side), generator=torch.Generator().manual_seed(3)) * 0.06
    image = torch.tensor([0.4, 0.5, 0.4]).view(1, 3, 1, 1) + noise
    image[..., 20:40, 24:48] += torch.tensor([0.25, -0.15, -0.1]).view(3, 1, 1)
    return image


INSIDE = torch.zeros(64, 64, dtype=torch.bool)
INSIDE[20:40, 24:48] = True


@pytest.mark.parametrize("name", MODELS)
def test_what_differs_is_salient(name: str) -> None:
    image = scene()
    saliency = MODELS[name](image)
    assert saliency.shape == (1, 1, 64, 64)
    assert saliency[0, 0][INSIDE].mean() > 2 * saliency[0, 0][~INSIDE].mean()
    flat = torch.full((1, 3, 30, 41), 0.3)
    assert MODELS[name](flat).max() < 0.01


def test_the_most_salient_object() -> None:
    found = salient_object(scene())
    assert (found == INSIDE).double().mean() > 0.95


def test_a_model_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("my_saliency")
    module.red = lambda rgb: rgb[..., 0]
    module.wrong = lambda rgb: rgb
    module.thing = 3
    monkeypatch.setitem(sys.modules, "my_saliency", module)
    image = scene()
    torch.testing.assert_close(find_model("my_saliency:red")(image), image[:, :1].clamp(0, 1))
    with pytest.raises(UsageError, match=r"gave \(64, 64, 3\) for an image of \(64, 64\)"):
        find_model("my_saliency:wrong")(image)
    with pytest.raises(UsageError, match="is not a function"):
        find_model("my_saliency:thing")
    with pytest.raises(UsageError, match="cannot be imported"):
        find_model("no_such_module:red")
    with pytest.raises(UsageError, match="unknown; known are contrast, frequency-tuned"):
        find_model("itti")


def test_random_objects_are_connected_patches(generator: torch.Generator) -> None:
    for _ in range(4):
        mask = random_object(scene()[0], generator)
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        assert 0.005 < mask.mean() < 0.6


def test_the_reward_is_the_change_of_saliency_less_the_cost_in_lab(generator: torch.Generator) -> None:
    task = SaliencyEditing(cost=0.5)
    image = scene()
    told = wanted(INSIDE.float()[None, None], torch.tensor([[0.8]]))
    start = task._episode(image, told)
    after = (image - 0.5) * 1.1 + 0.5
    model = MODELS["contrast"]
    one, other = (rgb2lab(x[0].movedim(0, -1).double().numpy()) for x in (after, image))
    moved = np.linalg.norm(one - other, axis=-1)
    expected = told * (model(after) - model(image)) - 0.5 * torch.from_numpy(moved).square()[None, None]
    torch.testing.assert_close(task.step_reward(start, image, after), expected.float(), rtol=1e-3, atol=5e-3)
    assert task.metric(image, start).item() == 0
    # Each action is tried on one side at a time.
    rewards = task.action_rewards(start, image, torch.stack([image, after], 1))
    assert rewards.shape == (1, 2, 1, 64, 64)
    assert rewards[:, 0].abs().max() < 1e-4
    inner = torch.where(INSIDE, after, image)
    torch.testing.assert_close(rewards[0, 1][:, INSIDE], task.step_reward(start, image, inner)[0][:, INSIDE])


def test_episodes_go_both_ways(generator: torch.Generator) -> None:
    start = SaliencyEditing(strength=(0.5, 1.0)).begin(scene().repeat(12, 1, 1, 1), generator)
    assert start.condition.shape == (12, 1, 64, 64)
    ways = set()
    for told in start.condition:
        low, high = told.min().item(), told.max().item()
        assert -6 <= low < -0.25
        assert 0.25 < high <= 6
        ways.add(high > -low)
    assert ways == {True, False}
    plain = SaliencyEditing(most=0).degrade(scene(), 0.7, generator).condition
    assert plain.unique().tolist() == pytest.approx([-0.7, 0.7])


def test_object_and_surroundings_weigh_the_same() -> None:
    mask = torch.zeros(2, 1, 10, 10)
    mask[0, :, :5, :6] = 1  # 30 %
    mask[1, :, 0, :2] = 1  # 2 %
    told = wanted(mask, torch.tensor([[1.0], [-0.5]]))
    assert told[0].sum().item() == pytest.approx(0, abs=1e-4)
    assert told[0].max().item() == pytest.approx(0.5 / 0.3)
    assert told[1].min().item() == -3  # six times a half
    assert told[1].max().item() == pytest.approx(0.25 / 0.98)


@pytest.fixture(scope="module")
def agent() -> Agent:
    arguments = {
        "num_channels": 3, "estimates": False, "width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4,
    }  # fmt: skip
    torch.manual_seed(0)
    policy = build_policy("lookahead", {**arguments, "num_actions": len(ACTIONS)}).eval()
    torch.nn.init.normal_(policy.get_parameter("to_logits.weight"))
    card = PolicyCard("tiny", "lookahead", dict(arguments), ACTIONS, 3, "strength", {})
    return Agent(policy, card, torch.device("cpu"))


def test_mask_and_strength_reach_the_policy(agent: Agent, tmp_path: Path) -> None:
    image = (scene()[0].movedim(0, -1) * 255).byte().numpy()
    result = agent(image, mask=INSIDE.numpy(), strength=-0.5)
    assert result.condition == {"strength": -0.5}
    assert torch.equal(result.mask, INSIDE)
    other = agent(image, mask=INSIDE.numpy(), strength=0.5)
    assert not torch.equal(result.trajectory.actions, other.trajectory.actions)
    assert result.trajectory.actions.shape == (3, 1, 1, 64, 64)
    tiled = agent(image, mask=INSIDE.numpy(), strength=-0.5, tile=32)
    assert (tiled.trajectory.actions != result.trajectory.actions).double().mean() < 0.01
    assert agent(image).mask is not None  # found by itself
    save_trace(tmp_path / "t.npz", result.trace())
    back = load_trace(tmp_path / "t.npz")
    assert np.array_equal(back.mask, INSIDE.numpy())
    assert np.array_equal(back.replay(), result.image)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.ones((64, 64)), "the mask is the whole image"),
        (np.zeros((64, 64)), "the mask is empty"),
        (np.ones((10, 20)), "the mask is 20 x 10 pixels, the image 64 x 64"),
    ],
)
def test_bad_masks_are_refused(agent: Agent, mask: np.ndarray, words: str) -> None:
    image = (scene()[0].movedim(0, -1) * 255).byte().numpy()
    with pytest.raises(InputError, match=words):
        agent(image, mask=mask)


def test_what_does_not_fit_is_refused(agent: Agent) -> None:
    image = (scene()[0].movedim(0, -1) * 255).byte().numpy()
    for strength in (0, 1.5, -2.0, True, "strong"):
        with pytest.raises(UsageError, match="is not a strength"):
            agent(image, strength=strength)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="takes 3 channels, the image has 1"):
        agent(image[..., 0])
    denoiser = load("denoise-color")
    with pytest.raises(UsageError, match="a mask cannot be used: policy denoise-color takes none"):
        denoiser(image, mask=INSIDE.numpy())
    with pytest.raises(UsageError, match=r"strength = 0\.5 cannot be used"):
        denoiser(image, strength=0.5)


@pytest.mark.parametrize(
    "arguments", [{"strength": (0.0, 1.0)}, {"strength": (1.0, 0.5)}, {"cost": -1.0}, {"most": -1.0}, {"num_steps": 0}]
)
def test_bad_settings_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        SaliencyEditing(**arguments)  # type: ignore[arg-type]
