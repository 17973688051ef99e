"""The lookahead policy: sizes, where it starts, and what it looks at."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import pixelrl
from pixelrl.actions import PAPER_NINE, ActionSet
from pixelrl.errors import UsageError
from pixelrl.policies import Lookahead, build_policy
from pixelrl.policies.encoder import mirror_to_multiple, pad_to_multiple
from pixelrl.policies.estimators import ESTIMATORS, LabViews, filled, near_marks
from pixelrl.rl.returns import identity_kernel

ACTIONS = ActionSet(PAPER_NINE)


def noise(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.3 + 0.5


def tiny(channels: int = 1, reward_map_convolution: bool = False) -> Lookahead:
    torch.manual_seed(0)  # initial weights, which PyTorch draws from its global generator
    return Lookahead(9, channels, 8, 8, (1, 1, 1), 4, reward_map_convolution)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("height", [1, 2, 3, 4, 7])
def test_every_size(height: int, width: int, channels: int) -> None:
    policy, image = tiny(channels), noise(2, channels, height, width)
    outcomes = ACTIONS.outcomes(image)
    memory = policy.perceive(image, torch.full((2, 1, 1, 1), 0.1))
    assert memory.shape[2:] == (-(-height // policy.stride), -(-width // policy.stride))
    assert policy.estimate(memory, image).shape == image.shape
    logits, value, after = policy(image, outcomes, memory)
    assert logits.shape == (2, 9, channels, height, width)
    assert value is not None
    assert value.shape == (2, channels, height, width)
    assert after.shape == memory.shape
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 9), (8, 16), (33, 41), (1, 9)])
def test_images_are_mirrored_to_a_multiple(size: tuple[int, int]) -> None:
    image = noise(2, 3, *size)
    missing = [(0, 0), (0, 0), *((0, -side % 8) for side in size)]
    assert np.array_equal(mirror_to_multiple(image, 8), np.pad(image.numpy(), missing, mode="symmetric"))


@pytest.mark.parametrize("estimator", ["plain", "marks", "impulses"])
def test_an_image_whose_size_is_filled_up_is_seen_as_the_filled_one(
    estimator: str, randomise: Callable[..., None]
) -> None:
    """An image full of noise is mirrored; of another one, the last row is repeated."""
    policy = Lookahead(9, 1, 8, 8, (1, 1, 1), 4, estimator=estimator, deepest=1, deepest_width=8)
    randomise(policy)
    image, condition = noise(1, 1, 21, 42), torch.rand(1, 1, 21, 42)
    fill = mirror_to_multiple if estimator == "plain" else pad_to_multiple
    whole = policy.perceive(fill(image, 8), fill(condition, 8))
    torch.testing.assert_close(policy.perceive(image, condition), whole[..., :11, :21])


def hit(density: float, channels: int = 1, side: int = 32) -> tuple[Tensor, Tensor]:
    """A clean ramp strictly between 0 and 1, and the same with salt & pepper."""
    ramp = torch.linspace(0.2, 0.8, side).expand(1, channels, side, side).contiguous()
    uniform = torch.rand(ramp.shape, generator=torch.Generator().manual_seed(1))
    return ramp, torch.where(uniform < density, (uniform < density / 2).float(), ramp)


@pytest.mark.parametrize("channels", [1, 3])
def test_with_impulses_other_pixels_are_trusted(channels: int, randomise: Callable[..., None]) -> None:
    torch.manual_seed(0)
    policy = Lookahead(9, channels, 8, 8, (1, 1, 1), 4, estimator="impulses")
    randomise(policy)
    clean, image = hit(0.4, channels)
    estimate = policy.estimate(policy.perceive(image, torch.zeros(1, 1, 1, 1)), image)
    kept = image == clean
    assert 0.5 < kept.double().mean() < 0.7
    assert torch.equal(estimate[kept], clean[kept])
    assert not torch.equal(estimate[~kept], image[~kept])


def test_with_impulses_a_white_sky_is_trusted_and_its_specks_are_not(randomise: Callable[..., None]) -> None:
    torch.manual_seed(0)
    policy = Lookahead(9, 1, 8, 8, (1, 1, 1), 4, estimator="impulses")
    randomise(policy)
    _, image = hit(0.1)
    image[..., :16, :] = 1.0
    image[..., 8, 8] = 0.0
    estimate = policy.estimate(policy.perceive(image, torch.zeros(1, 1, 1, 1)), image)[..., :16, :]
    sky = image[..., :16, :] == 1
    assert torch.allclose(estimate[sky], torch.tensor(1.0), rtol=0, atol=1e-5)
    assert estimate[~sky].item() > 0.5


@pytest.mark.parametrize("density", [0.0, 0.1])
def test_the_shipped_policy_leaves_a_white_sky(density: float) -> None:
    """One once came back wrong by up to 239 grey levels, of a picture without any noise."""
    from skimage import data

    clean = torch.from_numpy(data.camera()[200:264, :64].copy()).float()[None, None] / 255
    clean[..., :24, :] = 1.0
    uniform = torch.rand(clean.shape, generator=torch.Generator().manual_seed(1))
    image = torch.where(uniform < density, (uniform < density / 2).float(), clean)
    result = pixelrl.load("saltpepper-gray", "cpu")(image)
    assert (result.image - clean)[..., :20, :].abs().max() < 20 / 255
    assert (result.remark is None) == (density > 0.05)


def test_filled_from_what_is_around() -> None:
    clean, image = hit(0.5)
    assert (filled(image) - clean).abs().max() < 0.08
    assert torch.equal(filled(clean), clean)
    white = torch.ones(1, 1, 30, 30)
    assert torch.allclose(filled(white), white)  # nothing is known: the scene itself is white


@pytest.mark.parametrize("channels", [1, 3])
def test_starts_greedy_towards_the_estimate(channels: int) -> None:
    policy, image = tiny(channels), noise(1, channels, 11, 14)
    with torch.no_grad():  # an estimate that is not simply the image: the residual starts at zero
        policy.to_residual.bias.copy_(torch.linspace(-0.1, 0.1, 4 * channels))
    outcomes = ACTIONS.outcomes(image)
    memory = policy.perceive(image, torch.zeros(1, 1, 1, 1))
    estimate = policy.estimate(memory, image)
    assert not torch.equal(estimate, image)
    nearest = (outcomes - estimate[:, None]).abs().argmin(1)
    assert len(nearest.unique()) > 3
    assert torch.equal(policy(image, outcomes, memory).logits.argmax(1), nearest)


def test_the_estimate_starts_as_the_image() -> None:
    policy, image = tiny(), noise(2, 1, 9, 6)
    assert torch.equal(policy.estimate(policy.perceive(image, torch.zeros(2, 1, 1, 1)), image), image)


def test_one_level_of_distance_is_worth_one_logit_at_first() -> None:
    policy, image = tiny(), torch.full((1, 1, 4, 4), 0.5)
    logits = policy(image, ACTIONS.outcomes(image), policy.perceive(image, torch.zeros(1, 1, 1, 1))).logits
    by_name = dict(zip(PAPER_NINE, logits[0, :, 0, 2, 2].tolist(), strict=True))
    assert by_name["do nothing"] == pytest.approx(0, abs=1e-4)
    assert by_name["grey level +1"] == pytest.approx(-1, abs=1e-4)
    assert by_name["grey level -1"] == pytest.approx(-1, abs=1e-4)


def test_the_condition_is_used(randomise: Callable[[torch.nn.Module], None]) -> None:
    policy, image = tiny(), noise(1, 1, 8, 8).repeat(2, 1, 1, 1)
    randomise(policy)
    quiet, loud = policy.estimate(policy.perceive(image, torch.tensor([0.0, 0.2]).view(2, 1, 1, 1)), image)
    assert policy.takes_condition
    assert (quiet - loud).abs().max() > 1e-3


def test_the_step_number_is_used(randomise: Callable[[torch.nn.Module], None]) -> None:
    policy, image = tiny(), noise(1, 1, 8, 8)
    randomise(policy)
    outcomes, memory = ACTIONS.outcomes(image), policy.perceive(image, torch.zeros(1, 1, 1, 1))
    first, _, memory = policy(image, outcomes, memory)
    second, _, _ = policy(image, outcomes, memory)
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize("shift", [(4, 0), (0, 4), (8, 12)])
def test_a_moved_image_gives_moved_logits(shift: tuple[int, int], randomise: Callable[[torch.nn.Module], None]) -> None:
    """Away from the border; whatever scrambles rows, columns, channels or actions breaks it."""
    policy = tiny(3).eval()
    randomise(policy)
    down, right = shift
    large = noise(1, 3, 96, 100)
    here, moved = large[..., :80, :80], large[..., down : down + 80, right : right + 80]
    logits = [policy(x, ACTIONS.outcomes(x), policy.perceive(x, torch.zeros(1, 1, 1, 1))).logits for x in (here, moved)]
    edge = policy.reach + 2
    inner = logits[0][..., edge + down : 80 - edge + down - 12, edge + right : 80 - edge + right - 12]
    same = logits[1][..., edge : 80 - edge - 12, edge : 80 - edge - 12]
    assert inner.shape == same.shape
    assert inner.numel() > 0
    assert inner.std() > 0.1
    torch.testing.assert_close(inner, same, rtol=1e-5, atol=1e-5)


def test_marks_are_taken_away_and_nothing_else() -> None:
    torch.manual_seed(0)
    marks, plain = (Lookahead(9, 3, 8, 8, (1, 1, 1), 4, estimator=name) for name in ("marks", "plain"))
    image, condition = noise(1, 3, 160, 160), torch.zeros(1, 1, 160, 160)
    answer = torch.full((1, 12, 80, 80), 0.02)  # a little everywhere, as of any encoder
    kept, taken = (policy.estimator.estimate(image, policy.estimator.inputs(image, condition), answer)
                   for policy in (marks, plain))  # fmt: skip
    assert torch.equal(F.pixel_shuffle(kept, 2), image)
    assert not torch.allclose(taken, kept)
    answer[:, 3, 10, 70] = 0.5  # a speck
    assert not near_marks(answer).any()
    answer[:, 3, 10:12, 68:72] = 0.5  # a thing of its own
    assert not near_marks(answer).any()
    answer[:, 3, 32:36, 55:68] = 0.5  # with 8 + 51 cells there is not yet enough of it ...
    answer[:, 3, 35, 55] = 0.02
    assert not near_marks(answer).any()
    answer[:, 3, 35, 55] = 0.5  # ... and with 60 it is text
    near = near_marks(answer)
    assert near[0, 0, 10, 52]
    assert not near[0, 0, 10, 51]
    estimate = marks.estimator.estimate(image, marks.estimator.inputs(image, condition), answer)
    kept, changed = (F.pixel_shuffle(x.expand(1, 12, 80, 80).float(), 2) > 0 for x in (near == 0, near))
    whole = F.pixel_shuffle(estimate, 2)
    assert torch.equal(whole[kept], image[kept])
    assert (whole != image)[changed].all()
    assert marks.reach >= plain.reach + 32


def looking(estimator: str, randomise: Callable[..., None]) -> Lookahead:
    """A policy for looks, with random weights."""
    policy = Lookahead(9, 3, 8, 8, (1, 1, 1), 4, estimator=estimator).eval()
    randomise(policy)
    return policy


def estimated(policy: Lookahead, image: Tensor) -> Tensor:
    return policy.estimate(policy.perceive(image, torch.full((1, 1, 1, 1), 0.1)), image)


def test_eight_views_by_hand() -> None:
    """Three more of the image and four of half the size, turned; each answer is turned back before the mean."""
    views, seen = LabViews(3, 1), []
    small = noise(1, 3, 16, 16)
    inputs = torch.cat([F.pixel_unshuffle(small, 2), torch.full((1, 1, 8, 8), 0.1)], 1)

    def ask(given: Tensor) -> Tensor:
        """What it is given, and how often it was asked."""
        seen.append(given)
        times = torch.full_like(given[:, :1], len(seen))
        return torch.cat([F.avg_pool2d(F.pixel_shuffle(given[:, :12], 2), 2), times], 1)

    first = torch.cat([F.avg_pool2d(small, 2), torch.zeros(1, 1, 8, 8)], 1)
    mean = views.agreed(inputs, first, ask)
    assert [tuple(given.shape) for given in seen] == [(1, 13, 8, 8)] * 3 + [(1, 13, 4, 4)] * 4
    assert torch.equal(F.pixel_shuffle(seen[0][:, :12], 2), torch.rot90(small, 1, (2, 3)))
    torch.testing.assert_close(F.pixel_shuffle(seen[3][:, :12], 2), F.avg_pool2d(small, 2))
    assert mean[:, 3] == pytest.approx(28 / 8)  # 0 + 1 + ... + 7
    half = F.interpolate(F.avg_pool2d(small, 4), (8, 8), mode="bilinear")
    torch.testing.assert_close(mean[:, :3], (F.avg_pool2d(small, 2) + half) / 2)


def test_with_views_a_turned_image_has_a_turned_estimate(randomise: Callable[..., None]) -> None:
    image = noise(1, 3, 64, 96)
    for estimator, alike in (("lab-views", True), ("lab", False)):
        policy = looking(estimator, randomise)
        for turns in (1, 2, 3):
            straight, turned = estimated(policy, image), estimated(policy, torch.rot90(image, turns, (2, 3)))
            apart = (torch.rot90(straight, turns, (2, 3)) - turned).abs().max()
            assert (apart < 1e-3 * (straight - image).abs().max()) == alike


def test_training_looks_once(randomise: Callable[..., None]) -> None:
    image = noise(1, 3, 32, 32)
    once, views = (looking(estimator, randomise) for estimator in ("lab", "lab-views"))
    assert not torch.equal(estimated(once, image), estimated(views, image))
    assert torch.equal(estimated(once.train(), image), estimated(views.train(), image))


def test_the_reach_of_views(randomise: Callable[..., None]) -> None:
    """Nothing beyond it counts, and what is beyond that of one view does."""
    once, views = (looking(estimator, randomise) for estimator in ("lab", "lab-views"))
    image = noise(1, 3, 32, 320)
    other = image.clone()
    other[..., :4] += 1
    changed = (estimated(views, image) != estimated(views, other)).any(1)[0].any(0)
    assert changed[once.reach + 4 : views.reach + 4].any()
    assert not changed[views.reach + 4 :].any()


@pytest.mark.parametrize("estimator", ["plain", "marks"])
def test_a_policy_for_grey_starts_as_one_for_colours_on_grey_pictures(
    estimator: str, randomise: Callable[..., None]
) -> None:
    colors, grey = (Lookahead(9, channels, 8, 8, (1, 1, 1), 4, estimator=estimator).eval() for channels in (3, 1))
    randomise(colors)
    own = grey.state_dict()
    theirs = {name: grey.adapted(name, weight) for name, weight in colors.state_dict().items()}
    grey.load_state_dict({name: theirs[name] if theirs[name].shape == w.shape else w for name, w in own.items()})
    image, condition = noise(2, 1, 40, 48), torch.full((2, 1, 1, 1), 0.1)
    three = image.expand(-1, 3, -1, -1)
    wanted = colors.estimate(colors.perceive(three, condition), three).mean(1, keepdim=True)
    assert (wanted - image).abs().mean() > 0.01
    torch.testing.assert_close(grey.estimate(grey.perceive(image, condition), image), wanted, rtol=1e-4, atol=1e-5)


def test_only_training_needs_values() -> None:
    policy, image = tiny(), noise(1, 1, 4, 4)
    outcomes, memory = ACTIONS.outcomes(image), policy.perceive(image, torch.zeros(1, 1, 1, 1))
    assert policy.train()(image, outcomes, memory).value is not None
    assert policy.eval()(image, outcomes, memory).value is None


def test_reward_map_convolution_starts_as_the_identity() -> None:
    assert tiny().reward_kernel is None
    kernel = tiny(reward_map_convolution=True).reward_kernel
    assert kernel is not None
    assert torch.equal(kernel, identity_kernel())
    assert kernel.requires_grad


SIZES = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4}


@pytest.mark.parametrize(("old", "new", "channels"), [("impulses", "impulses", 1), ("lab", "lab", 3), ("", "plain", 1)])
def test_files_from_before_estimators_had_names_give_the_same_bits(
    old: str, new: str, channels: int, randomise: Callable[[torch.nn.Module], None]
) -> None:
    """Their headers say ``impulses`` or ``lab``; the weights have the same names and shapes."""
    common = {**SIZES, "num_channels": channels, "num_actions": 9}
    flags = {name: name == old for name in ("impulses", "lab")}
    before, now = (
        build_policy("lookahead", {**common, **flags}),
        build_policy("lookahead", {**common, "estimator": new}),
    )
    assert type(before.estimator) is type(now.estimator) is ESTIMATORS[new]
    randomise(now)
    before.load_state_dict(now.state_dict())
    image = noise(1, channels, 21, 18)
    told = torch.full((1, 1, 1, 1), 0.1)
    assert torch.equal(before.perceive(image, told), now.perceive(image, told))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"impulses": True, "lab": True, "num_channels": 3}, "impulses and lab are two estimators; give one"),
        ({"lab": True, "estimator": "plain"}, "impulses and lab are two estimators; give one"),
        ({"estimator": "lab"}, "the estimator 'lab' sees colours; num_channels must be 3, not 1"),
        ({"lab": True}, "the estimator 'lab' sees colours; num_channels must be 3, not 1"),
        ({"estimator": "median"}, "estimator = 'median' is unknown; known are plain, marks, impulses, lab, lab-views"),
        ({"width": 0}, "width = 0 must be a whole number from 1 to 4096"),
        ({"width": True}, "width = true must be a whole number"),
        ({"head_width": 10**400}, "head_width = 1.* must be a whole number"),
        ({"num_channels": 0}, "num_channels = 0 must be a whole number"),
        ({"depths": 3}, r"policy\.depths = 3 must be a list of whole numbers, for instance \[2, 3, 2\]$"),
        ({"depths": [1, 2]}, r"depths = \[1, 2\] must be three whole numbers"),
        ({"depths": [1, -1, 2]}, "must be three whole numbers"),
        ({"deepest": -1}, "deepest = -1 must be a whole number from 0 to 100"),
        ({"deepest": True}, "deepest = true must be a whole number"),
        ({"deepest": 1, "deepest_width": 0}, "deepest_width = 0 must be a whole number from 1 to 4096"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        build_policy("lookahead", {**SIZES, "num_actions": 9, **arguments})
    assert len(str(refused.value)) < 1000


def test_steering_has_no_convolved_reward() -> None:
    """An older recipe or file may say that it has none; it never had one where it was trained."""
    arguments = {**SIZES, "num_channels": 3, "num_actions": 9}
    assert build_policy("steering", {**arguments, "reward_map_convolution": False}).reward_kernel is None
    with pytest.raises(UsageError, match="no reward_map_convolution any more; leave it out"):
        build_policy("steering", {**arguments, "reward_map_convolution": True})


@pytest.mark.parametrize("kind", ["fcn", "steering"])
def test_sizes_of_other_policies_are_checked_too(kind: str) -> None:
    with pytest.raises(UsageError, match="width = 0 must be a whole number from 1"):
        build_policy(kind, {"num_actions": 9, "num_channels": 3, "width": 0})


@pytest.mark.parametrize(
    ("least_gain", "chosen"), [(0.0, "grey level -1"), (0.003, "grey level -1"), (0.005, "do nothing")]
)
def test_an_operation_that_gains_too_little_is_spared(least_gain: float, chosen: str) -> None:
    """The estimate is the image less 1/255: one grey level gains 0.0039, and no other operation is nearer."""
    torch.manual_seed(0)
    policy, image = Lookahead(9, 1, 8, 8, (1, 1, 1), 4, least_gain=least_gain).eval(), torch.full((1, 1, 8, 8), 0.5)
    with torch.no_grad():
        policy.to_residual.bias.fill_(1 / 255)
        logits = policy(image, ACTIONS.outcomes(image), policy.perceive(image, torch.zeros(1, 1, 1, 1))).logits
    assert {ACTIONS.names[i] for i in logits.argmax(1).unique().tolist()} == {chosen}


def test_a_gain_is_a_number() -> None:
    with pytest.raises(UsageError, match="least_gain = -1 must be a finite number of at least 0"):
        build_policy("lookahead", {"num_actions": 9, "least_gain": -1})
