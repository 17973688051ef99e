"""Saliency: models, objects, what agents are paid for, and masks."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from skimage.color import rgb2lab
from skimage.measure import label

from pixelrl import load
from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard
from pixelrl.errors import InputError, UsageError
from pixelrl.imaging.color import lab_distance, length, opponent, srgb_to_lab
from pixelrl.imaging.objects import salient_object
from pixelrl.imaging.saliency import MODELS, find_model, object_planes
from pixelrl.policies import build_policy
from pixelrl.tasks import Episode, SaliencyEditing
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


def test_contrast_is_blind_to_the_texture_of_single_pixels() -> None:
    image = scene(128)
    board = (torch.arange(128)[:, None] + torch.arange(128)) % 2 * 0.2 - 0.1
    textured = MODELS["contrast"](image + board)
    assert (textured.mean() / MODELS["contrast"](image).mean()).item() == pytest.approx(1, abs=0.03)


def test_a_model_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("my_saliency")
    module.red = lambda rgb: rgb[..., 0]
    module.wrong = lambda rgb: rgb
    module.words = lambda rgb: "red"
    module.thing = 3
    monkeypatch.setitem(sys.modules, "my_saliency", module)
    image = scene()
    torch.testing.assert_close(find_model("my_saliency:red")(image), image[:, :1].clamp(0, 1))
    with pytest.raises(UsageError, match=r"gave \(64, 64, 3\) for an image of \(64, 64\)"):
        find_model("my_saliency:wrong")(image)
    with pytest.raises(UsageError, match=r"gave an object of type str; it must give an array \(64, 64\) of numbers"):
        find_model("my_saliency:words")(image)
    with pytest.raises(UsageError, match="is not a function"):
        find_model("my_saliency:thing")
    with pytest.raises(UsageError, match="there is no module no_such_module"):
        find_model("no_such_module:red")
    with pytest.raises(UsageError, match="unknown; known are contrast, frequency-tuned"):
        find_model("itti")


def test_a_model_in_onnx(tmp_path: Path) -> None:
    """Its map is the red channel: a slice of the input, ``(1, 1, h, w)``."""
    bounds = [helper.make_tensor(n, TensorProto.INT64, [1], [v]) for n, v in (("from", 0), ("to", 1), ("axis", 1))]
    graph = helper.make_graph(
        [helper.make_node("Slice", ["rgb", "from", "to", "axis"], ["map"])],
        "red",
        [helper.make_tensor_value_info("rgb", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, 1, "h", "w"])],
        bounds,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "red.onnx").write_bytes(model.SerializeToString())
    image = scene().repeat(2, 1, 1, 1)[..., :50]
    torch.testing.assert_close(find_model(f"onnx:{tmp_path / 'red.onnx'}")(image), image[:, :1].clamp(0, 1))
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(UsageError, match=r"broken\.onnx cannot be read as ONNX"):
        find_model(f"onnx:{tmp_path / 'broken.onnx'}")
    with pytest.raises(UsageError, match=r"none\.onnx does not exist"):
        find_model(f"onnx:{tmp_path / 'none.onnx'}")
    task = SaliencyEditing(saliency=f"onnx:{tmp_path / 'red.onnx'}")
    start = task.degrade(image, 0.5, torch.Generator().manual_seed(0))
    assert task.action_rewards(start, image, image[:, None]).abs().max() < 1e-6


def test_random_objects_are_connected_patches(generator: torch.Generator) -> None:
    for _ in range(4):
        mask = random_object(scene()[0], generator)
        assert mask.shape == (64, 64)
        assert 0.005 < mask.double().mean() < 0.6
        assert label(mask.numpy(), connectivity=1).max() == 1


def shared(saliency: torch.Tensor) -> torch.Tensor:
    """The mean saliency of the object for its pixels, and of the rest for the others."""
    return torch.where(INSIDE, saliency[..., INSIDE].mean(), saliency[..., ~INSIDE].mean())


def test_the_reward_is_the_change_of_saliency_less_the_cost_in_lab() -> None:
    task = SaliencyEditing(least=0.2, cost=0.05)
    image = scene()
    planes = object_planes(image, INSIDE[None, None], torch.tensor([[-0.8]]))
    start = Episode(image, image, planes, torch.ones(1, 1))
    after = (image - 0.5) * 1.1 + 0.5
    model = MODELS["contrast"]
    one, other = (rgb2lab(x[0].movedim(0, -1).double().numpy()) for x in (after, image))
    moved = torch.from_numpy(np.linalg.norm(one - other, axis=-1))[None, None]
    gained = planes[:, :1] * shared(model(after) - model(image))
    expected = (gained - 0.8 * 0.2 * moved - 0.05 * moved.square()) / 10
    torch.testing.assert_close(task.step_reward(start, image, after), expected.float(), rtol=1e-3, atol=5e-4)
    assert task.metric(image, start).item() == 0


def test_an_action_earns_what_one_pixel_among_many_brings_by_it() -> None:
    """A few pixels of the object take an action of their own: what all earn by that is their actions' rewards."""
    task = SaliencyEditing(least=0.2, cost=0.05, share=0)
    image = scene()
    planes = object_planes(image, INSIDE[None, None], torch.tensor([[0.8]]))
    start = Episode(image, image, planes, torch.ones(1, 1))
    outcomes = torch.stack([image, (image - 0.5) * 1.1 + 0.5, image + 0.02], 1)
    after = torch.where(INSIDE, outcomes[:, 1], image)
    few = torch.zeros(64, 64, dtype=torch.bool)
    few[28:32, 30:36] = True
    for others, rewards in (
        (image, task.action_rewards(start, image, outcomes)),
        (after, task.joint_rewards(start, image, outcomes, after)),
    ):
        assert rewards.shape == (1, 3, 1, 64, 64)
        assert rewards[:, 0].abs().max() < 1e-5  # waiting earns nothing
        waiting, acting = (torch.where(few, outcomes[:, n], others) for n in (0, 2))
        earned = task.step_reward(start, waiting, acting).sum().item()
        assert rewards[0, 2, 0][few].sum().item() == pytest.approx(earned, rel=0.15)


def test_episodes_go_both_ways(generator: torch.Generator) -> None:
    start = SaliencyEditing(strength=(0.5, 1.0)).begin(scene().repeat(12, 1, 1, 1), generator)
    assert start.condition.shape == (12, 8, 64, 64)
    ways = set()
    for wanted, strength in start.condition[:, :2]:
        low, high = wanted.min().item(), wanted.max().item()
        assert -1 <= low < 0 < high <= 1
        assert 0.5 <= max(-low, high) == strength[0, 0]
        assert strength.unique().numel() == 1
        ways.add(high > -low)
    assert ways == {True, False}


def test_surroundings_weigh_no_more_than_the_object() -> None:
    image = torch.rand((3, 3, 10, 10), generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(3, 1, 10, 10, dtype=torch.bool)
    mask[0, :, :5, :6] = True  # 30 %
    mask[1, :, 0, :2] = True  # 2 %
    mask[2, :, :8] = True  # 80 %
    planes = object_planes(image, mask, torch.tensor([[1.0], [-0.5], [1.0]]))
    assert planes[0, 0].sum().item() == pytest.approx(0, abs=1e-4)
    assert planes[0, 0, 0, 0] == 1
    assert planes[1, 0, 0, 0] == -0.5
    assert planes[1, 0, 9, 9].item() == pytest.approx(0.5 * 2 / 98)
    assert planes[2, 0, 9, 9] == -1  # not more than the object's pixels, though there are fewer
    assert planes[:, 1, 0, 0].tolist() == [1, 0.5, 1]
    colors = opponent(image)
    for i in range(3):
        sides = torch.cat([colors[i][:, side].mean(1) for side in (~mask[i, 0], mask[i, 0])])
        torch.testing.assert_close(planes[i, 2:], sides[:, None, None].expand(6, 10, 10))


def test_an_object_that_fills_a_crop_is_told_in_numbers() -> None:
    image = torch.rand((1, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    planes = object_planes(image, torch.ones(1, 1, 8, 8, dtype=torch.bool), torch.tensor([[0.6]]))
    assert planes.isfinite().all()
    assert (planes[:, :2] == 0.6).all()
    task, start = SaliencyEditing(), Episode(image, image, planes, torch.ones(1, 1))
    assert task.action_rewards(start, image, torch.stack([image, image + 0.1], 1)).isfinite().all()


def test_opponent_colours_are_near_lab() -> None:
    patches = torch.rand((3, 400, 1), generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    near = patches + 0.05 * torch.randn((3, 400, 1), generator=torch.Generator().manual_seed(1))
    ours = 100 * length(opponent(patches) - opponent(near)).flatten()
    exact = lab_distance(srgb_to_lab(patches), srgb_to_lab(near)).flatten()
    assert torch.corrcoef(torch.stack([ours, exact]))[0, 1] > 0.85
    assert 0.5 < (ours.mean() / exact.mean()).item() < 2


@pytest.fixture(scope="module")
def agent() -> Agent:
    arguments = {"num_channels": 3, "width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4}
    torch.manual_seed(0)
    policy = build_policy("steering", {**arguments, "num_actions": len(ACTIONS)}).eval()
    torch.nn.init.normal_(policy.get_parameter("to_logits.weight"))
    card = PolicyCard("tiny", "steering", dict(arguments), ACTIONS, 3, "strength", {})
    return Agent(policy, card, torch.device("cpu"))


def test_mask_and_strength_reach_the_policy(agent: Agent, tmp_path: Path) -> None:
    image = (scene()[0].movedim(0, -1) * 255).byte().numpy()
    result = agent(image, mask=INSIDE.numpy(), strength=-0.5)
    assert result.condition == {"strength": -0.5}
    assert torch.equal(result.mask, INSIDE)
    other = agent(image, mask=INSIDE.numpy(), strength=0.5)
    assert not torch.equal(result.trajectory.actions, other.trajectory.actions)
    assert result.trajectory.actions.shape == (3, 1, 1, 64, 64)
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
    with pytest.raises(InputError, match="is for colour pictures, and this one is grey, or"):
        agent(image[..., 0])
    with pytest.raises(InputError, match="2 images have no common object; give a mask"):
        agent(torch.rand(2, 3, 20, 20))
    denoiser = load("denoise-color")
    with pytest.raises(UsageError, match="a mask cannot be used: policy denoise-color takes none"):
        denoiser(image, mask=INSIDE.numpy())
    with pytest.raises(UsageError, match=r"strength = 0\.5 cannot be used"):
        denoiser(image, strength=0.5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"strength": (0.0, 1.0)},
        {"strength": (1.0, 0.5)},
        {"cost": -1.0},
        {"least": -1.0},
        {"share": -1},
        {"num_steps": 0},
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        SaliencyEditing(**arguments)  # type: ignore[arg-type]
