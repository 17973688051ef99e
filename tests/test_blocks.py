"""Block by block, a picture becomes what it becomes as a whole, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

import pixelrl
from pixelrl.actions import ActionSet
from pixelrl.blocks.cut import Box, Reach, Span, cores
from pixelrl.blocks.plan import Layout, Plan
from pixelrl.blocks.play import play
from pixelrl.blocks.work import do_block
from pixelrl.errors import UsageError
from pixelrl.policies import Lookahead, Policy
from pixelrl.policies.consulting import Consulting
from pixelrl.rollout import rollout

NAMES = (
    "do nothing",
    "grey level -16",
    "grey level +16",
    "Gaussian 0.5",
    "median",
    "bilateral 0.1",
    "box",
    "Gaussian 3",
)
ACTIONS = ActionSet(NAMES)
SMALL = {"width": 8, "deep_width": 8, "depths": (1, 1, 1)}
BUILD: dict[str, Callable[[], Policy]] = {
    "lookahead": lambda: Lookahead(len(NAMES), head_width=4, **SMALL),  # type: ignore[arg-type]
    "consulting": lambda: Consulting(len(NAMES), head_width=4, num_steps=2, **SMALL),  # type: ignore[arg-type]
    "with impulses": lambda: Lookahead(len(NAMES), head_width=4, estimator="impulses", **SMALL),  # type: ignore[arg-type]
}


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3)) * 0.3 + 0.5


def photo(height: int, width: int) -> npt.NDArray[np.float32]:
    rows, columns = np.mgrid[:height, :width]
    scene = 0.5 + 0.3 * np.sin(rows / 17) * np.cos(columns / 23) + 0.2 * ((rows // 40 + columns // 60) % 2)
    generator = np.random.default_rng(2)
    return np.asarray(scene + generator.normal(0, 25 / 255, scene.shape), np.float32)


@pytest.mark.parametrize(("name", "legibility"), [(name, 0.0) for name in BUILD] + [("consulting", 0.6)])
def test_a_block_is_the_same_bits(name: str, legibility: float, randomise: Callable[[torch.nn.Module], None]) -> None:
    policy = BUILD[name]()
    randomise(policy)
    policy.eval()
    image, condition = noise(1, 1, 330, 1003), torch.full((1, 1, 1, 1), 0.1)
    reach = Reach.of(policy, ACTIONS, 2, legibility)
    trajectory, whole = rollout(policy, ACTIONS, image, condition, 2, legibility=legibility)
    assert len(trajectory.actions.unique()) > 2
    everything = Box.of(330, 1003)
    for core in (Box(Span(128, 192), Span(384, 448)), Box(Span(256, 330), Span(896, 1003))):
        window = core.grown(reach.halo, everything)
        assert window != everything
        crop = image[(..., *window.inside(everything))].contiguous()
        result = play(policy, ACTIONS, crop, window, core, condition, reach, legibility, 128)
        assert torch.equal(result, whole[(..., *core.inside(everything))])


def test_nothing_beyond_the_halo_counts_and_it_is_no_larger_than_that_takes(
    randomise: Callable[[torch.nn.Module], None],
) -> None:
    policy = BUILD["consulting"]()
    randomise(policy)
    policy.eval()
    assert Reach.of(policy, ACTIONS, 2, 0.0).halo == policy.reaches(0)[0] + 2 * 6
    assert Reach.of(policy, ACTIONS, 2, 0.6).halo == policy.reaches(0)[0] + 2 * (policy.reaches(0.6)[1] + 6)
    image, condition = noise(1, 1, 64, 900), torch.full((1, 1, 1, 1), 0.1)
    _, before = rollout(policy, ACTIONS, image, condition, 2, legibility=0.6)
    halo = Reach.of(policy, ACTIONS, 2, 0.6).halo
    image[..., 450:] = noise(1, 1, 64, 450).flip(-1)
    _, after = rollout(policy, ACTIONS, image, condition, 2, legibility=0.6)
    differing = (before != after)[0, 0].any(0).nonzero().flatten()
    assert 450 - halo <= differing.min() < 440


@pytest.mark.parametrize("legibility", [0.0, None])
def test_blocks_of_a_picture_are_the_whole(legibility: float | None, tmp_path: Path) -> None:
    agent, image = pixelrl.load("denoise-gray", "cpu"), photo(110, 150)
    whole = agent(image, sigma=25, steps=2, legibility=legibility).image
    target = np.lib.format.open_memmap(tmp_path / "clean.npy", "w+", np.float32, image.shape)
    shares: list[float] = []
    plan = agent.blocks(
        image, target, condition=25, steps=2, legibility=legibility, side=64, tile=128, progress=shares.append
    )
    assert np.array_equal(target, whole)
    assert plan.exact
    assert len(plan.blocks) == 6
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_noise_is_estimated_as_in_the_whole_of_a_small_picture_and_integers_come_back() -> None:
    agent = pixelrl.load("denoise-gray", "cpu")
    image = np.uint8(np.clip(photo(130, 140) * 180 + 30, 0, 255))
    whole, target = agent(image, steps=1, legibility=0.0), np.zeros_like(image)
    plan = agent.blocks(image, target, steps=1, legibility=0.0, side=64)
    assert plan.told[0].values == whole.condition
    assert np.array_equal(target, whole.image)


def test_channels_and_depths_are_pictures_of_their_own_and_colours_are_seen_together() -> None:
    grey, colour = pixelrl.load("denoise-gray", "cpu"), pixelrl.load("denoise-color", "cpu")
    planes = np.stack([photo(70, 80), photo(70, 80)[::-1], photo(70, 80) / 2])
    target = np.zeros_like(planes)
    assert len(grey.blocks(planes, target, condition=25, steps=1, legibility=0.0).told) == 3
    for plane, result in zip(planes, target, strict=True):
        assert np.array_equal(result, grey(plane, sigma=25, steps=1, legibility=0.0).image)
    for axes, array in (("cyx", planes), ("yxc", planes.transpose(1, 2, 0)), ("cxy", planes.transpose(0, 2, 1))):
        result = np.zeros_like(array)
        assert len(colour.blocks(array, result, axes, condition=25, steps=1, legibility=0.0, side=64).told) == 1
        whole = colour(planes, sigma=25, steps=1, legibility=0.0).image
        back = result if axes == "cyx" else result.transpose((2, 0, 1) if axes == "yxc" else (0, 2, 1))
        assert np.array_equal(back, whole)
    stack = planes[:, None]
    grey.blocks(stack, target[:, None], "zcyx", condition=25, steps=0)
    assert np.array_equal(target, planes)


@pytest.mark.parametrize(
    ("name", "width", "side", "halo"), [("enhance-watercolor", 460, 64, 300), ("enhance-local-xpro", 760, 192, 520)]
)
def test_a_look_is_local(name: str, width: int, side: int, halo: int) -> None:
    agent, plane = pixelrl.load(name, "cpu", "fp32"), photo(64, width)
    image = np.uint8(255 * np.clip(np.stack([plane, plane[::-1], plane / 2], -1), 0, 1))
    target = np.zeros_like(image)
    plan = agent.blocks(image, target, steps=1, side=side)
    assert plan.halo < halo
    assert np.array_equal(target, agent(image, steps=1).image)


def test_what_cannot_be_done_is_refused() -> None:
    grey, image = pixelrl.load("denoise-gray", "cpu"), photo(70, 80)
    for given, words in (
        ({"axes": "zyx"}, "do not fit"),
        ({"side": 100}, "multiple of 64"),
        ({"halo": -1}, "halo"),
        ({"condition": {"peak": 3}}, "peak"),
    ):
        with pytest.raises(UsageError, match=words):
            grey.blocks(image, image.copy(), **given)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="target"):
        grey.blocks(image, image.astype(np.float64))
    with pytest.raises(UsageError, match="cannot work block by block"):
        pixelrl.load("saliency-edit", "cpu").blocks(np.zeros((70, 80, 3), np.uint8), np.zeros((70, 80, 3), np.uint8))


def test_fewer_surroundings_are_said_to_be_fewer() -> None:
    agent, image = pixelrl.load("denoise-gray", "cpu"), photo(130, 140)
    assert not agent.plan_blocks(image, condition=25, halo=64).exact
    assert agent.plan_blocks(image, condition=25, halo=10000).halo == 108 + 5 * (84 + 6)


@pytest.mark.parametrize(("height", "width", "side"), [(1, 1, 64), (200, 130, 64), (128, 64, 64)])
def test_blocks_cover_a_picture_once(height: int, width: int, side: int) -> None:
    seen = np.zeros((height, width), int)
    for box in cores(height, width, side):
        seen[box.inside(Box.of(height, width))] += 1
    assert (seen == 1).all()
    assert Layout.of(np.zeros((height, width), np.uint8), None, False).axes == "yx"


def test_blocks_are_computed_in_the_numbers_of_the_plan() -> None:
    """On a cluster one processor may have instructions for bfloat16, and the next one none."""
    source = photo(40, 50)
    plan = pixelrl.load("denoise-gray", "cpu", "bf16").plan_blocks(source, steps=1, legibility=0)
    assert plan.precision == "bf16"
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan
    with pytest.raises(UsageError, match="computed in bf16, and policy denoise-gray was loaded for fp32; give it"):
        do_block(pixelrl.load("denoise-gray", "cpu", "fp32"), plan, plan.blocks[0], source, np.empty_like(source))
