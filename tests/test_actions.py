"""The contract of every action, the choice of outcomes, and the colours."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch
from skimage.color import rgb2hsv, rgb2lab
from torch import Tensor
from torch.nn import functional as F

from pixelrl.actions import ACTIONS, PAPER_NINE, Action, ActionSet
from pixelrl.actions.table import ROWS
from pixelrl.errors import UsageError
from pixelrl.tasks.rewarded import ACTIONS as REWARDED
from pixelrl.tasks.saliency import ACTIONS as SALIENCY
from pixelrl.training.recipe import read_recipe
from pixelrl.training.shipped import find_recipe

every_action = pytest.mark.parametrize("name", ACTIONS)


def random_image(*shape: int, seed: int = 0) -> Tensor:
    # Beyond [0, 1] on both sides, as noise makes them.
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.3


def test_no_name_is_given_twice() -> None:
    """The later row would silently take the place of the former, in policies that were trained with that."""
    assert len(ACTIONS) == len(ROWS)


@every_action
@pytest.mark.parametrize("shape", [(2, 1, 9, 11), (1, 3, 9, 11), (1, 1, 1, 1), (2, 3, 2, 1)])
def test_keeps_shape_dtype_and_input(name: str, shape: tuple[int, ...]) -> None:
    image = random_image(*shape)
    before = image.clone()
    result = ACTIONS[name].apply(image)
    assert result.shape == image.shape
    assert result.dtype == torch.float32
    assert result.device == image.device
    assert torch.equal(image, before)
    result.fill_(7)
    assert torch.equal(image, before)


@every_action
def test_keeps_device(name: str) -> None:
    assert ACTIONS[name].apply(torch.empty(1, 3, 6, 6, device="meta")).device.type == "meta"


@every_action
def test_reach_bounds_what_a_pixel_depends_on(name: str) -> None:
    action = ACTIONS[name]
    image = random_image(1, 3, 23, 29)
    result = action.apply(image)
    changed_at_reach = False
    for seed, (y, x) in enumerate([(11, 14), (0, 0), (1, 27), (22, 9), (6, 5), (17, 22), (14, 8), (5, 19)]):
        # Inside each plane's range: on some machines the last bits of OpenCV's bilateral depend on that.
        low, high = image.amin((2, 3)), image.amax((2, 3))
        pixel = random_image(1, 3, 1, 1, seed=seed + 1)[..., 0, 0].clamp(low, high)
        other = image.clone()
        other[..., y, x] = pixel
        rows = (torch.arange(23) - y).abs()[:, None]
        columns = (torch.arange(29) - x).abs()
        distance = torch.maximum(rows, columns)
        changed = (action.apply(other) != result).any(1)[0]
        assert not changed[distance > action.reach].any()
        changed_at_reach |= bool(changed[distance == action.reach].any())
    assert changed_at_reach, f"a reach of {action.reach} is more than {name} needs"


@every_action
def test_row_is_well_formed(name: str) -> None:
    action = ACTIONS[name]
    assert action.name == name
    assert len(action.color) == 7
    assert action.color[0] == "#"
    int(action.color[1:], 16)
    assert re.fullmatch(r"[A-Z].*\.", action.explanation)  # a sentence for people, no formula
    assert len(action.explanation) <= 100
    with pytest.raises(dataclasses.FrozenInstanceError):
        action.reach = 9  # type: ignore[misc]


@pytest.mark.parametrize("levels", [-64, -16, -4, -1, 1, 4, 16, 64])
def test_grey_level_steps(levels: int) -> None:
    image = torch.tensor([0.0, 0.5, 1.0, -0.25]).reshape(1, 1, 2, 2)
    expected = torch.tensor([v + levels / 255 for v in (0.0, 0.5, 1.0, -0.25)]).reshape(1, 1, 2, 2)
    torch.testing.assert_close(ACTIONS[f"grey level {levels:+d}"].apply(image), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("contrast x0.95", [0.785, 0.405, 0.215]),  # 0.95 I + 0.025
        ("contrast x1.05", [0.815, 0.395, 0.185]),
        ("saturation x0.95", [0.8, 0.42, 0.23]),  # HSV: the value stays, the others come nearer to it
        ("saturation x1.05", [0.8, 0.38, 0.17]),
        ("brightness -0.025", [0.775, 0.375, 0.175]),
        ("brightness +0.025", [0.825, 0.425, 0.225]),
        ("red and green x0.95", [0.76, 0.38, 0.2]),
        ("red and green x1.05", [0.84, 0.42, 0.2]),
        ("green and blue x0.95", [0.8, 0.38, 0.19]),
        ("green and blue x1.05", [0.8, 0.42, 0.21]),
        ("red and blue x0.95", [0.76, 0.4, 0.19]),
        ("red and blue x1.05", [0.84, 0.4, 0.21]),
        ("brightness -0.005", [0.795, 0.395, 0.195]),
        ("brightness +0.005", [0.805, 0.405, 0.205]),
        ("red x0.8", [0.64, 0.4, 0.2]),
        ("red x1.25", [1.0, 0.4, 0.2]),
        ("red x0.99", [0.792, 0.4, 0.2]),
        ("red x1.01", [0.808, 0.4, 0.2]),
        ("blue x0.9", [0.8, 0.4, 0.18]),
        ("blue x1.1", [0.8, 0.4, 0.22]),
        ("blue x0.99", [0.8, 0.4, 0.198]),
        ("blue x1.01", [0.8, 0.4, 0.202]),
    ],
)
def test_tone_actions_by_hand(name: str, expected: list[float]) -> None:
    pixel = torch.tensor([0.8, 0.4, 0.2]).view(1, 3, 1, 1)
    result = ACTIONS[name].apply(pixel)
    torch.testing.assert_close(result, torch.tensor(expected).view(1, 3, 1, 1), rtol=0, atol=1e-6)
    if "saturation" in name:
        before, after = (rgb2hsv(x[0, :, 0].T.numpy()) for x in (pixel, result))
        assert after[0, [0, 2]] == pytest.approx(before[0, [0, 2]], abs=1e-6)
        assert after[0, 1] == pytest.approx(before[0, 1] * float(name[-4:]), abs=1e-6)


def test_fill_from_unlike_by_hand() -> None:
    image = torch.full((1, 1, 9, 9), 0.3)
    image[..., 4, 3:6] = 1.0  # a stroke
    result = ACTIONS["fill from unlike"].apply(image)
    torch.testing.assert_close(result[..., 4, 3:6], torch.full((1, 1, 3), 0.3))
    assert torch.equal(result[..., 0, :], image[..., 0, :])  # sees only its like


def test_sharpen_moves_away_from_the_blur() -> None:
    image = random_image(1, 1, 9, 9)
    blurred = ACTIONS["Gaussian 1.5"].apply(image)
    torch.testing.assert_close(ACTIONS["sharpen"].apply(image), image + 0.5 * (image - blurred))


def test_local_actions_by_hand() -> None:
    rows = torch.arange(40.0).view(1, 1, 1, 40).expand(1, 1, 40, 40).contiguous() / 100
    inside = (..., slice(17, 23), slice(17, 23))  # where the windows lie inside
    torch.testing.assert_close(ACTIONS["even light"].apply(rows)[inside], torch.full((1, 1, 6, 6), 0.5))
    torch.testing.assert_close(ACTIONS["black or white"].apply(rows)[inside], torch.full((1, 1, 6, 6), 0.5))
    striped = torch.tensor([0.4, 0.6]).repeat(20).expand(1, 1, 40, 40).contiguous()
    for name, dark, bright in (("local contrast", 0.25, 0.75), ("black or white", 0.0, 1.0)):
        shown = ACTIONS[name].apply(0.5 * striped + 0.2)[inside]  # the same in any light
        assert shown.amin().item() == pytest.approx(dark, abs=0.04)
        assert shown.amax().item() == pytest.approx(bright, abs=0.04)
    flat = torch.full((1, 1, 40, 40), 0.3) + 0.001 * striped
    assert (ACTIONS["local contrast"].apply(flat)[inside] - 0.5).abs().max() < 0.01  # nothing is made of nothing


def test_specks_vanish_by_hand() -> None:
    image = torch.full((1, 1, 15, 15), 0.5)
    image[..., 2:4, 2:4] = 0.9  # a bright speck, a dark one, and squares of three pixels
    image[..., 2:4, 8:10] = 0.1
    image[..., 10:13, 2:5] = 0.8
    image[..., 10:13, 8:11] = 0.2
    for name, gone in (("open", (slice(2, 4), slice(2, 4))), ("close", (slice(2, 4), slice(8, 10)))):
        expected = image.clone()
        expected[(..., *gone)] = 0.5
        assert torch.equal(ACTIONS[name].apply(image), expected)


def test_do_nothing() -> None:
    image = random_image(1, 3, 5, 5)
    assert torch.equal(ACTIONS["do nothing"].apply(image), image)


def test_the_paper_nine_carry_out_what_their_names_say() -> None:
    # An impulse of height 0.2, at its place, after each action, by hand. Gaussian: times the squared centre
    # of the kernel, see test_filters.py. Bilateral: over 1 + k others with k = exp(-0.02 / sigma_color^2),
    # where others is the sum of the other 12 spatial weights.
    image = torch.zeros(1, 1, 7, 7)
    image[..., 3, 3] = 0.2
    others = 4 * (np.exp(-1 / 50) + np.exp(-2 / 50) + np.exp(-4 / 50))
    expected = [
        *(0.2 - 1 / 255, 0.2, 0.2 + 1 / 255),
        *(0.2 / 1.27134149**2, 0.2 / (1 + np.exp(-2) * others), 0),
        *(0.2 / 3.42369938**2, 0.2 / (1 + np.exp(-0.02) * others), 0.2 / 25),
    ]
    outcomes = ActionSet(PAPER_NINE).outcomes(image)
    assert outcomes[0, :, 0, 3, 3].tolist() == pytest.approx(expected, abs=5e-7)


def test_action_set_keeps_the_order_it_is_given() -> None:
    actions = ActionSet(["median", "do nothing", "box"])
    assert actions.names == ("median", "do nothing", "box")
    assert actions.actions == (ACTIONS["median"], ACTIONS["do nothing"], ACTIONS["box"])
    assert all(isinstance(action, Action) for action in actions.actions)
    assert len(actions) == 3
    assert actions.reach == 2
    assert ActionSet(["grey level +1", "do nothing"]).reach == 0
    assert len(ActionSet(PAPER_NINE)) == 9


def test_outcomes_are_each_action_in_turn() -> None:
    actions = ActionSet(tuple(ACTIONS))
    image = random_image(2, 3, 8, 6).requires_grad_()
    outcomes = actions.outcomes(image)
    assert outcomes.shape == (2, len(ACTIONS), 3, 8, 6)
    assert outcomes.dtype == torch.float32
    assert outcomes.is_contiguous()
    assert not outcomes.requires_grad
    for i, action in enumerate(actions.actions):
        assert torch.equal(outcomes[:, i], action.apply(image.detach()))


def test_refuses_wrong_lists() -> None:
    with pytest.raises(UsageError, match=r"action 'blur' is unknown; known are .*do nothing.*box"):
        ActionSet(["do nothing", "blur"])
    with pytest.raises(UsageError, match="'box' is listed twice"):
        ActionSet(["box", "median", "box"])
    with pytest.raises(UsageError, match="empty"):
        ActionSet([])


@pytest.mark.parametrize("g", [1, 3])
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
def test_select_against_a_loop(g: int, dtype: torch.dtype) -> None:
    b, n, c, h, w = 2, 4, 3, 3, 5
    outcomes = random_image(b, n, c, h, w)
    action_map = torch.randint(n, (b, g, h, w), generator=torch.Generator().manual_seed(1)).to(dtype)
    expected = torch.empty(b, c, h, w)
    for i in range(b):
        for j in range(c):
            for y in range(h):
                for x in range(w):
                    action = int(action_map[i, 0 if g == 1 else j, y, x])
                    expected[i, j, y, x] = outcomes[i, action, j, y, x]
    assert torch.equal(ActionSet.select(outcomes, action_map), expected)


@pytest.mark.parametrize(
    ("action_map", "match"),
    [
        (torch.zeros(2, 2, 4, 5, dtype=torch.int64), r"\(2, 1, 4, 5\) or \(2, 3, 4, 5\), not \(2, 2, 4, 5\)"),
        (torch.zeros(1, 1, 4, 5, dtype=torch.int64), r"not \(1, 1, 4, 5\)"),
        (torch.zeros(2, 1, 5, 4, dtype=torch.int64), r"not \(2, 1, 5, 4\)"),
        (torch.zeros(2, 4, 5, dtype=torch.int64), r"not \(2, 4, 5\)"),
        (torch.zeros(2, 1, 4, 5), "float32"),
        (torch.zeros(2, 1, 4, 5, dtype=torch.bool), "bool"),
        (torch.full((2, 1, 4, 5), 6), "0 to 5, not 6 to 6"),
        (torch.full((2, 1, 4, 5), -1), "0 to 5, not -1 to -1"),
    ],
)
def test_select_refuses_wrong_maps(action_map: Tensor, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ActionSet.select(torch.zeros(2, 6, 3, 4, 5), action_map)


# Machado, Oliveira and Fernandes 2009, severity 1, applied to linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}

LOOKS = tuple(read_recipe(find_recipe("enhance")).task["actions"])
FIFTEEN = (*PAPER_NINE, *(f"grey level {levels:+d}" for levels in (-64, -16, -4, 4, 16, 64)))


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(
    ("names", "floor"),
    [
        (PAPER_NINE, 36.0),
        (FIFTEEN, 19.0),
        ((*FIFTEEN, "fill from unlike"), 17.0),
        (SALIENCY, 13.0),
        (LOOKS, 13.0),
        ((*REWARDED, "even light"), 13.0),
    ],
    ids=["nine", "fifteen", "restoration", "saliency", "looks", "codes"],
)
def test_colours_stay_apart(vision: str, names: tuple[str, ...], floor: float) -> None:
    """The least distance of two colours in CIELAB; 2.3 is just noticeable."""
    rgb = np.array([[int(ACTIONS[name].color[i : i + 2], 16) / 255 for i in (1, 3, 5)] for name in names])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ VISION[vision].T, 0, 1)
    lab = rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055))
    distance = np.linalg.norm(lab[:, None] - lab, axis=-1)
    assert distance[np.triu_indices(len(names), 1)].min() >= floor


def test_do_nothing_is_a_light_neutral_grey() -> None:
    color = ACTIONS["do nothing"].color
    assert color[1:3] == color[3:5] == color[5:7]
    assert int(color[1:3], 16) > 200


def test_another_default_dtype_changes_no_outcome(generator: torch.Generator) -> None:
    actions = ActionSet(list(ACTIONS))
    image = torch.rand((1, 3, 20, 26), generator=generator)
    image[:, :, 4:9, 4:9] = 1.0  # something to fill
    before = actions.outcomes(image)
    torch.set_default_dtype(torch.float64)
    try:
        after = actions.outcomes(image)
    finally:
        torch.set_default_dtype(torch.float32)
    assert after.dtype == torch.float32
    differing = [name for i, name in enumerate(ACTIONS) if not torch.equal(before[:, i], after[:, i])]
    assert differing == []


BAD = {
    "smaller": lambda image: image[..., ::2, ::2],
    "one_channel": lambda image: image[:, :1],
    "whole": lambda image: (255 * image).to(torch.uint8),
    "nothing": lambda image: None,
    "array": lambda image: image.numpy(),
}
smaller, one_channel, whole, nothing, array = (
    Action(name, function, 0, "#000000")
    for name, function in BAD.items()  # type: ignore[arg-type]
)


@pytest.mark.parametrize(
    ("name", "returned"),
    [
        ("smaller", "(1, 3, 4, 5) of float32"),
        ("one_channel", "(1, 1, 8, 10) of float32"),
        ("whole", "(1, 3, 8, 10) of uint8"),
        ("nothing", "None"),
        ("array", "an object of type ndarray"),
    ],
)
def test_an_operation_that_returns_no_such_image_is_named(name: str, returned: str) -> None:
    actions, image = ActionSet(("do nothing", f"{__name__}:{name}")), random_image(1, 3, 8, 10)
    wanted = "(1, 3, 8, 10) of float32"
    words = f"action '{__name__}:{name}' returns {returned} for images {wanted}; it must return a tensor {wanted}"
    for carry_out in (actions.outcomes, lambda image: actions.carried_out(image, torch.ones(1, 1, 8, 10).int())):
        with pytest.raises(UsageError, match=re.escape(words)):
            carry_out(image)


def test_an_operation_may_compute_in_the_numbers_of_a_training() -> None:
    """Where a training asks for bfloat16, PyTorch's own layers return it."""
    actions, image = ActionSet((f"{__name__}:blurred",)), random_image(1, 1, 8, 10)
    with torch.autocast("cpu", torch.bfloat16):
        assert actions.outcomes(image).dtype == torch.float32


def test_an_operation_may_compute_in_double_precision() -> None:
    actions, image = ActionSet((f"{__name__}:halved",)), random_image(1, 1, 8, 10)
    assert torch.equal(actions.outcomes(image)[:, 0], image / 2)
    assert torch.equal(actions.carried_out(image, torch.zeros(1, 1, 8, 10).int()), image / 2)


halved = Action("halved", lambda image: torch.from_numpy(image.numpy() * np.float64(0.5)).double(), 0, "#000000")
blurred = Action("blurred", lambda image: F.conv2d(image, torch.ones(1, 1, 3, 3) / 9, padding=1), 1, "#000000")
