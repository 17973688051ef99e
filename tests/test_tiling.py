"""Tiles change nothing beyond rounding, and no pixel is influenced from beyond a policy's reach."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

import pixelrl
from pixelrl.actions import PAPER_NINE, ActionSet
from pixelrl.policies import FCN, Lookahead, Policy
from pixelrl.policies.tiling import even_side, tiled_forward, tiled_perceive, tiles
from pixelrl.rollout import rollout
from pixelrl.types import Logits

ACTIONS = ActionSet(PAPER_NINE)
BUILD: dict[str, Callable[[], Policy]] = {
    "lookahead": lambda: Lookahead(9, width=8, deep_width=12, depths=(1, 1, 1), head_width=4),
    "deepest lookahead": lambda: Lookahead(9, 1, 8, 12, (1, 1, 1), 4, deepest=1, deepest_width=12),
    "shipped lookahead": lambda: Lookahead(9),
    "shipped deepest": lambda: Lookahead(9, deepest=3),
    "lookahead with impulses": lambda: Lookahead(9, 1, 8, 12, (1, 1, 1), 4, estimator="impulses"),
    "fcn": lambda: FCN(9, width=8),
    "recurrent fcn": lambda: FCN(9, width=8, recurrent=True),
}
SMALL = ("lookahead", "deepest lookahead", "fcn", "recurrent fcn")

Make = Callable[[str], Policy]


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3)) * 0.3 + 0.5


@pytest.fixture
def make(randomise: Callable[[torch.nn.Module], None]) -> Make:
    def build(name: str) -> Policy:
        policy = BUILD[name]()
        randomise(policy)
        return policy.eval()

    return build


def bits(action: int) -> Callable[[Logits], Tensor]:
    """In the place of a choice: the very bits of one action's logits."""
    return lambda logits: logits[:, action].contiguous().view(torch.int32)


@pytest.mark.parametrize("alignment", [1, 4])
@pytest.mark.parametrize("length", [1, 3, 4, 17, 40])
@pytest.mark.parametrize("side", [1, 4, 7, 16, 100])
def test_tiles_cover_an_axis_once(length: int, side: int, alignment: int) -> None:
    reach, position = 6, 0
    for tile in tiles(length, side, reach, alignment):
        assert tile.start == position < tile.stop
        assert tile.start % alignment == tile.halo_start % alignment == 0
        assert tile.halo_start <= max(0, tile.start - reach)
        assert tile.halo_stop >= min(length, tile.stop + reach)
        assert tile.stop - tile.start <= max(side, alignment)
        position = tile.stop
    assert position == length


@pytest.mark.parametrize(
    ("length", "expected"), [(0, 0), (1, 1), (64, 64), (72, 72), (73, 37), (144, 72), (145, 49), (200, 67)]
)
def test_no_small_rest_becomes_a_tile_of_its_own(length: int, expected: int) -> None:
    assert even_side(length, 64) == expected


def test_black_and_white_areas_are_the_same_in_tiles(make: Make) -> None:
    policy, condition = make("lookahead with impulses"), torch.zeros(1, 1, 1, 1)
    image = noise(1, 1, 75, 90).clamp(0, 1)
    image[..., 20:40, :], image[..., 60:, 30:38] = 1.0, 0.0  # over the edges of tiles, and 75 is padded to 76
    image[..., 25:35:4, ::9] = 0.0
    with torch.no_grad():
        whole = policy.perceive(image, condition)
        torch.testing.assert_close(tiled_perceive(policy, image, condition, 16), whole, rtol=1e-5, atol=1e-5)
    trusted = image[..., 20:40, :] == 1
    assert torch.allclose(policy.estimate(whole, image)[..., 20:40, :][trusted], torch.tensor(1.0))  # type: ignore[index]


@pytest.mark.parametrize("side", [8, 61])
@pytest.mark.parametrize("size", [(75, 90), (61, 33), (1, 100), (62, 7)])
@pytest.mark.parametrize("name", ["lookahead", "deepest lookahead"])
def test_tiled_rollouts_are_the_same_bits(make: Make, name: str, size: tuple[int, int], side: int) -> None:
    policy, image, condition = make(name), noise(1, 1, *size), torch.full((1, 1, 1, 1), 0.1)
    whole, final = rollout(policy, ACTIONS, image, condition, 3)
    tiled, tiled_final = rollout(policy, ACTIONS, image, condition, 3, tile=side)
    assert len(whole.actions.unique()) > 3
    assert torch.equal(tiled.actions, whole.actions)
    assert torch.equal(tiled_final, final)


def perceived(policy: Policy, image: Tensor, condition: Tensor) -> Tensor:
    """A memory with something in it, from a whole image."""
    memory = policy.perceive(image, condition)
    return policy(image, ACTIONS.outcomes(image), memory).memory


@pytest.mark.parametrize(
    ("name", "size", "side"),
    [
        ("lookahead", (119, 158), 13),
        ("lookahead", (45, 160), 32),
        ("shipped lookahead", (119, 158), 64),
        ("shipped lookahead", (16, 281), 32),  # thin: small tensors, for which PyTorch has convolutions of their own
        ("shipped lookahead", (281, 5), 32),
        ("shipped deepest", (239, 318), 64),
        ("shipped deepest", (16, 561), 32),
    ],
)
@torch.no_grad()
def test_lookahead_has_the_same_memory_and_logits(make: Make, name: str, size: tuple[int, int], side: int) -> None:
    policy, image, condition = make(name), noise(1, 1, *size), torch.full((1, 1, 1, 1), 0.1)
    memory, outcomes = policy.perceive(image, condition), ACTIONS.outcomes(image)
    close = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-5)
    close(tiled_perceive(policy, image, condition, side), memory)
    for action in (0, 8):
        logits, _, after = policy(image, outcomes, memory)
        tiled, tiled_after = tiled_forward(policy, bits(action), image, outcomes, memory, side)
        assert logits.std() > 0.1
        # Logits are distances in grey levels, so their own rounding is that much coarser.
        torch.testing.assert_close(tiled.view(torch.float32), logits[:, action], rtol=1e-5, atol=1e-3)
        close(tiled_after, after)


@pytest.mark.parametrize("name", ["denoise-gray", "denoise-color"])
@pytest.mark.parametrize(("size", "side"), [((119, 158), 64), ((16, 281), 32), ((281, 5), 32), ((300, 451), 100)])
@torch.no_grad()
def test_in_bfloat16_shipped_policies_perceive_the_same_bits(name: str, size: tuple[int, int], side: int) -> None:
    agent = pixelrl.load(name, "cpu", "bf16")
    image = noise(1, 3 if name == "denoise-color" else 1, *size)
    condition = agent.condition(image, {"sigma": 50.0})
    whole = agent.policy.perceive(image, condition)
    assert torch.equal(tiled_perceive(agent.policy, image, condition, side), whole)


@pytest.mark.parametrize("name", ["fcn", "recurrent fcn"])
@pytest.mark.parametrize(("size", "side"), [((119, 158), 64), ((70, 45), 16)])
@torch.no_grad()
def test_fcn_has_the_same_logits(make: Make, name: str, size: tuple[int, int], side: int) -> None:
    """To rounding: the order of summation in dilated convolutions depends on the size on some machines."""
    policy, image, condition = make(name), noise(2, 1, *size), torch.tensor([0.1, 0.2]).view(2, 1, 1, 1)
    memory, outcomes = perceived(policy, image, condition), ACTIONS.outcomes(image)
    for action in (0, 8):
        logits, _, after = policy(image, outcomes, memory)
        tiled, tiled_after = tiled_forward(policy, bits(action), image, outcomes, memory, side)
        assert logits.std() > 0.1
        torch.testing.assert_close(tiled.view(torch.float32), logits[:, action], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(tiled_after, after, rtol=1e-5, atol=1e-5)


def distances(size: tuple[int, int], y: int, x: int) -> Tensor:
    rows, columns = (torch.arange(n) for n in size)
    return torch.maximum((rows - y).abs()[:, None], (columns - x).abs())


@pytest.mark.parametrize("place", [(60, 60), (61, 63), (0, 2), (118, 119)])
@pytest.mark.parametrize("name", SMALL)
def test_nothing_beyond_the_reach_matters(make: Make, name: str, place: tuple[int, int]) -> None:
    policy, size, (y, x) = make(name), (119, 120), place
    image = noise(1, 1, *size)
    other = image.clone()
    other[..., y, x] += 1
    distance, condition = distances(size, y, x), torch.full((1, 1, 1, 1), 0.1)
    far = distance > policy.reach
    assert far.any()
    s = policy.stride

    @torch.no_grad()
    def look(x: Tensor, outcomes: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        logits, _, after = policy(x, outcomes, memory)
        at_pixels = after.repeat_interleave(s, 2).repeat_interleave(s, 3)[..., : size[0], : size[1]]
        return logits, at_pixels

    # What forward sees of one pixel of the image and of its outcomes, memory being equal ...
    outcomes, changed = ACTIONS.outcomes(image), ACTIONS.outcomes(image)
    changed[..., y, x] += 1
    with torch.no_grad():
        memory = policy.perceive(image, condition)
        other_memory = policy.perceive(other, condition)
    before, after = look(image, outcomes, memory), look(other, changed, memory)
    for one, two in zip(before, after, strict=True):
        assert torch.equal(one[..., far], two[..., far])
    assert not torch.equal(before[0][..., y, x], after[0][..., y, x])
    # ... and what perceive sees of it.
    memories = [
        m.repeat_interleave(s, 2).repeat_interleave(s, 3)[..., : size[0], : size[1]] for m in (memory, other_memory)
    ]
    assert torch.equal(memories[0][..., far], memories[1][..., far])


@pytest.mark.parametrize(
    ("name", "slack"), [("lookahead", 2 * 4), ("deepest lookahead", 2 * 8), ("fcn", 0), ("recurrent fcn", 0)]
)
def test_the_reach_is_used(make: Make, name: str, slack: int) -> None:
    """By the gradient of one place, which sees even influences that vanish in rounding."""
    policy, size = make(name).train(), (119, 120)
    image = noise(1, 1, *size).requires_grad_()
    memory = policy.perceive(image, torch.full((1, 1, 1, 1), 0.1))
    memory = memory + torch.randn(memory.shape, generator=torch.Generator().manual_seed(4))  # no gate sees zeros only
    if "lookahead" in name:
        memory[..., 29, 30].sum().backward()
    else:
        policy(image, ACTIONS.outcomes(image.detach()), memory).logits[..., 58, 60].sum().backward()
    assert image.grad is not None
    seen = distances(size, 58, 60)[image.grad[0, 0] != 0]
    assert policy.reach - slack <= seen.max() <= policy.reach


def test_no_pixels_cannot_be_tiled(make: Make) -> None:
    policy, nothing = make("lookahead"), torch.zeros(1, 1, 0, 5)
    with pytest.raises(ValueError, match="no pixels"):
        tiled_perceive(policy, nothing, torch.zeros(1, 1, 1, 1), 8)
