"""What holds of every task, conditioning and policy that is registered: a new one is covered without a test of its own.

(Every action is covered by tests/test_actions.py in the same way.)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pixelrl.actions import PAPER_THIRTEEN, ActionSet
from pixelrl.checkpoint import PolicyCard, load_policy, save_policy
from pixelrl.errors import UsageError
from pixelrl.policies import POLICIES, Policy, build_policy
from pixelrl.policies.estimators import ESTIMATORS
from pixelrl.policies.tiling import tiled_forward, tiled_perceive
from pixelrl.tasks import CONDITIONINGS, TASKS, Conditioning, Task, find_conditioning
from pixelrl.tasks.base import checked_steps
from pixelrl.training.learner import Learner
from pixelrl.training.recipe import LearnerSettings

Randomise = Callable[[torch.nn.Module], None]

BATCH, SIDE = 2, 24


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(channels: int, *size: int) -> Tensor:
    """Smooth ones with an edge: something that a filter, an estimate and a search for objects can work on."""
    height, width = size or (SIDE, SIDE)
    rows, columns = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    base = 0.2 + 0.3 * rows + 0.3 * columns * (columns > 0.4)
    shades = torch.tensor([1.0, 0.8, 0.9, 0.7, 1.0, 0.8])[:channels].view(1, channels, 1, 1)
    noise = 0.02 * torch.randn((BATCH, channels, height, width), generator=seeded(7))
    return (base * shades + noise).clamp(0.01, 0.99)


# --- Tasks ----------------------------------------------------------------------------------------


def evenness(shown: Tensor) -> Tensor:
    return -shown.diff(dim=-1).abs().mean((1, 2, 3))


NEEDED: dict[str, dict[str, object]] = {"rewarded": {"score": f"{__name__}:evenness"}}
"""Arguments without which a task cannot be built."""


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS[request.param](**NEEDED.get(request.param, {}))


def clean_for(task: Task) -> Tensor:
    return pictures(6 if task.from_pairs else 3)


def test_a_task_names_actions_that_are_there(task: Task) -> None:
    assert len(ActionSet(task.action_names)) >= 2
    assert task.num_steps >= 1
    assert task.levels
    assert isinstance(task.metric_name, str)
    assert find_conditioning(task.conditioning.reference) is not None


@pytest.mark.parametrize("how", ["begin", "degrade"])
def test_a_task_s_episodes_are_whole(task: Task, how: str) -> None:
    clean = clean_for(task)
    kept = clean.clone()

    def start(seed: int):
        if how == "begin":
            return task.begin(clean, seeded(seed))
        return task.degrade(clean, task.levels[0], seeded(seed))

    one, same = start(1), start(1)
    assert torch.equal(clean, kept)
    assert one.image.shape == one.target.shape == (BATCH, 3, SIDE, SIDE)
    batch, planes, *size = one.condition.shape
    assert (batch, planes) == (BATCH, task.conditioning.num_planes)
    assert tuple(size) in ((1, 1), (SIDE, SIDE))
    assert one.reward_scale.shape == (BATCH, 1)
    assert (one.reward_scale > 0).all()
    for name in ("image", "target", "condition", "reward_scale"):
        assert getattr(one, name).dtype == torch.float32
        assert getattr(one, name).isfinite().all()
        assert torch.equal(getattr(one, name), getattr(same, name))  # nothing but the generator decides
    measured = task.metric(one.image, one)
    assert measured.shape == (BATCH,)
    assert measured.isfinite().all()


def test_a_task_pays_every_action(task: Task) -> None:
    start, actions = task.begin(clean_for(task), seeded()), ActionSet(task.action_names)
    outcomes = actions.outcomes(start.image)
    if not task.pays_actions:
        with pytest.raises(UsageError, match=r'set learner.gradient = "sampled"'):
            task.action_rewards(start, start.image, outcomes)
        return
    earned = task.action_rewards(start, start.image, outcomes)
    assert earned.shape[:2] == (BATCH, len(actions))
    assert earned.shape[2] in (1, 3)
    assert earned.shape[3:] == (SIDE, SIDE)
    assert earned.isfinite().all()
    assert earned.std() > 0
    if "do nothing" in actions.names:
        assert earned[:, actions.names.index("do nothing")].abs().max() < 1e-5
    step = task.step_reward(start, start.image, outcomes[:, 1])
    assert step.shape == earned[:, 1].shape


@pytest.mark.parametrize("num_steps", [2.5, float("nan"), "5", None, 10**400])
def test_lengths_of_episodes_are_whole_numbers(num_steps: object) -> None:
    """Called itself, because the types of tasks' arguments are checked in the tests, but not for people."""
    with pytest.raises(UsageError, match=r"num_steps = .* is not an episode's length"):
        checked_steps(num_steps)


@pytest.mark.parametrize("num_steps", [0, -1, True, 1001])
def test_a_task_refuses_lengths_that_are_none(task: Task, num_steps: object) -> None:
    needed = next(NEEDED.get(kind, {}) for kind, built_in in TASKS.items() if type(task) is built_in)
    with pytest.raises(UsageError, match=r"num_steps = .* is not an episode's length"):
        type(task)(num_steps=num_steps, **needed)  # type: ignore[call-arg]


@pytest.mark.parametrize("gradient", ["all-action", "sampled"])
def test_a_task_can_be_learned(task: Task, gradient: str) -> None:
    """By a policy that takes what the task tells: the loss is finite, and its gradient reaches every logit."""
    if gradient == "all-action" and not task.pays_actions:
        pytest.skip("what every action would earn is not known")
    estimator = "lab" if task.space == "prophoto" else "plain"
    kind, more = "lookahead", {"estimator": estimator, "condition_planes": task.conditioning.num_planes}
    if task.conditioning.takes_mask:
        kind, more = "surveying", {}
    torch.manual_seed(0)  # initial weights, which PyTorch draws from its global generator
    policy = small(kind, len(task.action_names), **more).train()
    learner = Learner(policy, task, LearnerSettings(gradient=gradient, t_max=task.num_steps))
    for loss, logged in learner.updates(task.begin(clean_for(task), seeded()), seeded()):
        loss.backward()
        assert loss.isfinite()
        assert all(value == value for value in logged.values())
    gradient_of_logits = policy.get_parameter("to_logits.weight").grad
    assert gradient_of_logits is not None
    assert gradient_of_logits.any()


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("gaussian-denoising", {"sigma": (0.0, float("inf"))}),
        ("gaussian-denoising", {"sigma": (float("nan"), 5.0)}),
        ("poisson-denoising", {"peak": (1.0, float("inf"))}),
        ("saltpepper-denoising", {"density": (0.1, float("nan"))}),
        ("text-removal", {"jpeg_share": float("nan")}),
        ("camera-denoising", {"sigma": float("nan")}),
        ("saliency-editing", {"cost": float("inf")}),
        ("saliency-editing", {"least": float("nan")}),
        ("saliency-editing", {"strength": (0.1, float("inf"))}),
    ],
)
def test_a_task_refuses_numbers_without_a_meaning(kind: str, arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        TASKS[kind](**arguments)


# --- Conditionings --------------------------------------------------------------------------------


@pytest.fixture(params=CONDITIONINGS)
def conditioning(request: pytest.FixtureRequest) -> Conditioning:
    return CONDITIONINGS[request.param]()


def test_a_conditioning_is_found_by_its_reference(conditioning: Conditioning) -> None:
    assert type(find_conditioning(conditioning.reference)) is type(conditioning)


def test_a_conditioning_s_quantities_are_consistent(conditioning: Conditioning) -> None:
    names = [quantity.name for quantity in conditioning.quantities]
    assert len(set(names)) == len(names)
    for quantity in conditioning.quantities:
        low, high, step = quantity.slider
        assert quantity.low <= low < high <= quantity.high
        assert 0 < step <= high - low
        assert quantity.label
        assert quantity.help.endswith(".")
        for value in (low, high, quantity.default):
            if value is not None and not (quantity.nonzero and value == 0):
                assert quantity.parse(value) == value
        for nonsense in (float("nan"), float("inf"), -float("inf"), True, "much", None, 10**400, [1.0]):
            with pytest.raises(UsageError, match=rf"{quantity.name} = .* is not a {quantity.label}; give") as refused:
                quantity.parse(nonsense)
            assert len(str(refused.value)) < 200


def test_a_conditioning_becomes_planes(conditioning: Conditioning) -> None:
    image = pictures(3)
    mask = torch.zeros((SIDE, SIDE), dtype=torch.bool)
    mask[4:12, 5:15] = True
    mask_or_none = mask if conditioning.takes_mask else None
    values = conditioning.values(image, {})
    assert len(values) == BATCH
    assert all(list(one) == [quantity.name for quantity in conditioning.quantities] for one in values)
    planes = conditioning.condition(image, values, mask_or_none)
    assert planes.shape[:2] == (BATCH, conditioning.num_planes)
    assert tuple(planes.shape[2:]) in ((1, 1), (SIDE, SIDE))
    assert planes.dtype == torch.float32
    assert planes.isfinite().all()
    assert planes.abs().max() < 20
    for quantity in conditioning.quantities:  # each of them is told
        low, high, _ = quantity.slider
        told = [[{**each, quantity.name: value} for each in values] for value in (low or high / 2, high)]
        one, other = (conditioning.condition(image, each, mask_or_none) for each in told)
        # By the planes, or by the values on which the agents work.
        assert not torch.equal(one, other) or len({conditioning.space(image, each[0]) for each in told}) == 2


# --- Policies -------------------------------------------------------------------------------------

NAMES = PAPER_THIRTEEN
SIZES: dict[str, dict[str, object]] = {
    "fcn": {"width": 4, "recurrent": True},
    "lookahead": {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4},
    "regional": {"width": 4, "dilations": [1, 2]},
    "steering": {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4},
    "surveying": {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4},
}
"""Small networks, so that the tests are quick; a kind that is not here is built as it is."""
VARIANTS = [
    (kind, more)
    for kind in POLICIES
    for more in ([{"estimator": name} for name in ESTIMATORS] if kind == "lookahead" else [{}])
]


def small(kind: str, num_actions: int = len(NAMES), **more: object) -> Policy:
    return build_policy(kind, {"num_actions": num_actions, "num_channels": 3, **SIZES.get(kind, {}), **more})


@pytest.fixture(params=VARIANTS, ids=lambda variant: " ".join((variant[0], *map(str, variant[1].values()))))
def policy(request: pytest.FixtureRequest, randomise: Randomise) -> Policy:
    kind, more = request.param
    made = small(kind, **more)
    randomise(made)
    return made.eval()


def condition_for(policy: Policy, *size: int) -> Tensor:
    """What a built-in kind of that many planes tells."""
    if policy.condition_planes == 1:
        return torch.full((BATCH, 1, 1, 1), 0.1)
    kind = next(kind() for kind in CONDITIONINGS.values() if kind.num_planes == policy.condition_planes)
    mask = torch.zeros(size, dtype=torch.bool)
    mask[: max(1, size[0] // 2), : max(1, size[1] // 3)] = True
    image = pictures(3, *size)
    return kind.condition(image, kind.values(image, {}), mask)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (17, 30), (24, 24)])
@torch.no_grad()
def test_a_policy_takes_every_size(policy: Policy, size: tuple[int, int]) -> None:
    image, condition = pictures(3, *size), condition_for(policy, *size)
    outcomes = ActionSet(NAMES).outcomes(image)
    memory = policy.perceive(image, condition)
    assert memory.shape[0] == BATCH
    assert memory.shape[2:] == tuple(-(-n // policy.stride) for n in size)
    estimate = policy.estimate(memory, image)
    assert estimate is None or estimate.shape == image.shape
    for training in (True, False):
        logits, value, after = policy.train(training)(image, outcomes, memory)
        agents = policy.num_agents
        assert logits.shape == (BATCH, len(NAMES), agents, *size)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all()
        assert (value is not None) == (training and policy.has_values)
        assert value is None or value.shape == (BATCH, agents, *size)
        assert after.shape == memory.shape


@torch.no_grad()
def test_a_policy_works_in_tiles(policy: Policy) -> None:
    """Which is what its stride, alignment and reach promise."""
    size = (70, 90)
    image, condition = pictures(3, *size), condition_for(policy, *size)
    outcomes = ActionSet(NAMES).outcomes(image)
    memory = policy.perceive(image, condition)
    close = torch.testing.assert_close
    close(tiled_perceive(policy, image, condition, 32), memory, rtol=1e-4, atol=1e-4)
    logits, _, after = policy(image, outcomes, memory)

    def bits(shown: Tensor) -> Tensor:
        return shown[:, 3].contiguous().view(torch.int32)

    tiled, tiled_after = tiled_forward(policy, bits, image, outcomes, memory, 32)
    close(tiled.view(torch.float32), logits[:, 3], rtol=1e-4, atol=2e-3)
    close(tiled_after, after, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_policy_treats_images_of_a_batch_alone(policy: Policy) -> None:
    image, condition = pictures(3, 16, 20), condition_for(policy, 16, 20)
    whole = policy.perceive(image, condition)
    alone = policy.perceive(image[1:], condition[1:])
    torch.testing.assert_close(alone, whole[1:], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "more"), VARIANTS)
@torch.no_grad()
def test_a_policy_survives_its_file(kind: str, more: dict[str, object], randomise: Randomise, tmp_path: Path) -> None:
    arguments = {"num_channels": 3, **SIZES.get(kind, {}), **more}
    card = PolicyCard("it", kind, arguments, NAMES, 3, None, {})
    made = card.build()
    randomise(made)
    save_policy(tmp_path / "it.safetensors", made, card)
    again, read = load_policy(tmp_path / "it.safetensors")
    assert read == card
    image = pictures(3)
    condition = condition_for(made, SIDE, SIDE)
    assert torch.equal(again.perceive(image, condition), made.eval().perceive(image, condition))


@pytest.mark.parametrize("kind", POLICIES)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_chanels": 3}, r"policy\.num_chanels is unknown; known are policy\.num_channels, "),
        ({"num_agents": 3}, r"policy\.num_agents is unknown; known are policy\.num_channels, "),
        ({"width": 0}, "policy '.*' cannot be built: width = 0 must be a whole number from 1"),
        ({"width": 2.5}, r"policy\.width = 2.5 must be a whole number$"),
        ({"width": float("nan")}, r"policy\.width = NaN must be a whole number$"),
    ],
)
def test_a_policy_refuses_what_it_does_not_take(kind: str, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        small(kind, **arguments)


@torch.no_grad()
def test_a_policy_can_be_told_how_plain_its_maps_shall_be(policy: Policy) -> None:
    """The maps follow if it is legible, and nothing changes if it is not."""
    image, condition = pictures(3), condition_for(policy, SIDE, SIDE)
    memory, degrees = policy.perceive(image, condition), torch.linspace(0, 1, BATCH)
    each = policy.told(memory, degrees)
    for i, degree in enumerate(degrees.tolist()):
        assert torch.equal(policy.told(memory, degree)[i], each[i])
    price = policy.price(degrees, memory, image)
    assert price.shape[:2] == (BATCH, 1)
    assert not price[0].any()
    assert policy.legible == bool((price[1] > 0).all())
    assert 0 <= policy.default_legibility <= policy.legible
    assert policy.legible or each is memory
    estimate, told = policy.estimate(memory, image), policy.estimate(each, image)
    assert (estimate is None and told is None) or torch.equal(estimate, told)
