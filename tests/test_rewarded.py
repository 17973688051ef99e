"""A reward that no gradient reaches: the task, the groups of episodes, the regions, and that it learns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.errors import UsageError
from pixelrl.policies import Policy, PolicyOutput, build_policy
from pixelrl.policies.tiling import tiled_forward
from pixelrl.rollout import greedy, rollout
from pixelrl.tasks import build_task
from pixelrl.tasks.rewarded import Rewarded
from pixelrl.training.groups import GroupLearner, Regions, mean_of_others, random_regions, repeated
from pixelrl.training.learner import Learner
from pixelrl.training.recipe import LearnerSettings, recipe_from_dict


def brightness(pictures: Tensor) -> Tensor:
    return pictures.mean((1, 2, 3))


def brightness_of_pixels(pictures: Tensor) -> list[list[list[float]]]:
    return pictures.mean(1).tolist()  # what is no tensor is welcome, too


def left_dark_right_bright(pictures: Tensor) -> Tensor:
    """One number a picture; the two halves want opposite things."""
    half = pictures.shape[-1] // 2
    return pictures[..., half:].mean((1, 2, 3)) - pictures[..., :half].mean((1, 2, 3))


def nothing_of_the_kind(pictures: Tensor) -> Tensor:
    return pictures.mean()


def not_a_number(pictures: Tensor) -> Tensor:
    return torch.full((len(pictures),), math.nan)


def none_at_all(pictures: Tensor) -> None:
    return None


def words(pictures: Tensor) -> list[str]:
    return ["good"] * len(pictures)


THREE = ("grey level -64", "do nothing", "grey level +64")


def task(score: str = "brightness", **more: object) -> Rewarded:
    made = build_task("rewarded", {"score": f"{__name__}:{score}", "actions": THREE, "num_steps": 2, **more})
    assert isinstance(made, Rewarded)
    return made


def test_pictures_are_used_as_they_are(generator: torch.Generator) -> None:
    picture = torch.rand((2, 1, 8, 8), generator=generator)
    start = task().begin(picture, generator)
    assert torch.equal(start.image, picture)
    torch.testing.assert_close(task().metric(picture, start), picture.mean((1, 2, 3)))


@pytest.mark.parametrize("score", ["brightness", "brightness_of_pixels"])
def test_a_step_earns_its_gain_less_the_price(score: str, generator: torch.Generator) -> None:
    before = torch.full((1, 3, 4, 4), 0.5)
    after = before.clone()
    after[..., 0, 0] = 0.9
    rewards = task(score, price=0.25).step_reward(task().begin(before, generator), before, after)
    assert rewards.shape == (1, 3, 4, 4)
    shared = 0.4 / 16
    expected = torch.full((4, 4), shared) if score == "brightness" else torch.zeros(4, 4)
    expected[0, 0] = (shared if score == "brightness" else 0.4) - 0.25
    torch.testing.assert_close(rewards, expected.expand(1, 3, 4, 4))


def test_an_episode_is_scored_once_at_its_end(generator: torch.Generator) -> None:
    images = [torch.full((1, 1, 2, 2), value) for value in (0.1, 0.3, 0.3)]
    first, last = task(price=0.02).episode_rewards(task().begin(images[0], generator), images)
    torch.testing.assert_close(first, torch.full((1, 1, 2, 2), -0.02))
    torch.testing.assert_close(last, torch.full((1, 1, 2, 2), 0.3))


@pytest.mark.parametrize(
    ("score", "match"),
    [
        ("nothing_of_the_kind", r"returns \(\) for pictures \(2, 1, 4, 4\); it must return \(2,\), a number a picture"),
        ("none_at_all", r"returns None for pictures \(2, 1, 4, 4\); it must return \(2,\), a number a picture"),
        (
            "words",
            r"returns no numbers, but an object of type list, for pictures \(2, 1, 4, 4\); it must return \(2,\)",
        ),
        ("not_a_number", "returns numbers that are not finite"),
    ],
)
def test_refuses_what_is_no_score(score: str, match: str, generator: torch.Generator) -> None:
    picture = torch.zeros((2, 1, 4, 4))
    with pytest.raises(UsageError, match=match):
        task(score).metric(picture, task().begin(picture, generator))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"score": "brightness"}, "score 'brightness' is unknown; known are , and module:name"),
        ({"score": f"{__name__}:missing"}, "has no missing"),
        ({"score": f"{__name__}:THREE"}, "is not a function"),
        ({"score": f"{__name__}:brightness", "price": -1.0}, "price = -1.0 is not a price"),
        ({"score": f"{__name__}:brightness", "price": math.nan}, "price = nan is not a price"),
        ({}, r"task\.score is missing; it must be a string"),
    ],
)
def test_refuses_wrong_arguments(arguments: dict[str, object], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        build_task("rewarded", arguments)


def test_refuses_the_gradient_that_needs_every_action_s_reward() -> None:
    policy = build_policy("regional", {"num_actions": 3, "width": 4, "dilations": []})
    with pytest.raises(UsageError, match=r'set learner.gradient = "sampled"'):
        Learner(policy, task(), LearnerSettings(gradient="all-action"))
    picture = torch.zeros((1, 1, 4, 4))
    with pytest.raises(UsageError, match=r'set learner.gradient = "sampled"'):
        task().action_rewards(task().begin(picture, torch.Generator()), picture, ActionSet(THREE).outcomes(picture))


@pytest.mark.parametrize(
    ("learner", "match"),
    [
        ({"rollouts": 4}, 'are for learner.gradient = "sampled"'),
        ({"region": [8, 8]}, 'are for learner.gradient = "sampled"'),
        ({"gradient": "sampled", "region": [9, 8]}, r"learner.region = \[9, 8\] must be two sides"),
        ({"gradient": "sampled", "rollouts": 2, "disagreement": 0.1}, "learner.disagreement is no price where"),
        ({"gradient": "sampled", "rollouts": 0}, "learner.rollouts = 0 must be a whole number"),
    ],
)
def test_a_recipe_refuses_groups_that_cannot_be(learner: dict[str, object], match: str) -> None:
    content = {"name": "x", "task": {"kind": "x"}, "policy": {"kind": "x"}, "warm_start": {"iterations": 1}}
    with pytest.raises(UsageError, match=match):
        recipe_from_dict({**content, "learner": learner}, "it")


def test_groups_need_whole_episodes() -> None:
    policy = build_policy("regional", {"num_actions": 3, "width": 4, "dilations": []})
    with pytest.raises(UsageError, match=r"set learner.t_max = 2 or more"):
        GroupLearner(policy, task(), LearnerSettings(gradient="sampled", rollouts=2, t_max=1))


# --- Regions --------------------------------------------------------------------------------------


def test_regions_against_a_loop(generator: torch.Generator) -> None:
    regions = Regions(7, 9, side=4, top=1, left=2, device=torch.device("cpu"))
    maps = torch.rand((2, 3, 7, 9), generator=generator)
    mean = regions.mean(maps)
    assert mean.shape == (2, 3, 2, 3)
    for i in range(2):
        for j in range(3):
            square = maps[..., max(0, 4 * i - 1) : 4 * i + 3, max(0, 4 * j - 2) : 4 * j + 2]
            torch.testing.assert_close(mean[..., i, j], square.mean((-2, -1)))
            spread = regions.spread(mean)[..., max(0, 4 * i - 1) : 4 * i + 3, max(0, 4 * j - 2) : 4 * j + 2]
            torch.testing.assert_close(spread, square.mean((-2, -1))[..., None, None].expand_as(spread))


def test_regions_are_of_every_side_and_place(generator: torch.Generator) -> None:
    drawn = [random_regions((12, 12), (1, 24), generator) for _ in range(200)]
    squares = [len(one.rows.unique()) * len(one.columns.unique()) for one in drawn]
    assert max(squares) == 144
    assert min(squares) == 1
    alone = random_regions((5, 6), (1, 1), generator)
    maps = torch.rand((1, 1, 5, 6), generator=generator)
    torch.testing.assert_close(alone.mean(maps), maps)


def test_the_baseline_is_the_mean_of_the_others() -> None:
    returns = torch.tensor([1.0, 2.0, 6.0, 10.0, 10.0, 40.0]).view(6, 1, 1, 1)
    expected = torch.tensor([4.0, 3.5, 1.5, 25.0, 25.0, 10.0]).view(6, 1, 1, 1)
    torch.testing.assert_close(mean_of_others(returns, 3), expected)


def test_episodes_of_a_picture_follow_each_other(generator: torch.Generator) -> None:
    start = task().begin(torch.rand((2, 1, 3, 3), generator=generator), generator)
    images = repeated(start, 2).image
    assert torch.equal(images, start.image[[0, 0, 1, 1]])


class OwnLogits(Policy):
    """Every agent has logits of its own, whatever it sees: a policy of which the expected return can be enumerated."""

    reward_kernel, stride, alignment, reach, takes_condition = None, 1, 1, 0, False

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(0.3 * torch.randn(shape, generator=torch.Generator().manual_seed(3)))

    def perceive(self, image: Tensor, condition: Tensor) -> Tensor:
        return image[:, :1]

    def forward(self, image: Tensor, outcomes: Tensor, memory: Tensor) -> PolicyOutput:
        b = len(image)
        value = image.new_zeros((b, 1, *image.shape[-2:]))
        return PolicyOutput(self.logits.expand(b, -1, -1, -1, -1), value, memory)

    def estimate(self, memory: Tensor, image: Tensor) -> None:
        return None


def uneven(pictures: Tensor) -> Tensor:
    """Agents interact: what one does is worth something only with the other."""
    left, right = pictures[:, 0, 0, 0], pictures[:, 0, 0, -1]
    return 4 * left * right + left - 0.5 * right


def test_the_gradient_is_that_of_the_expected_score(generator: torch.Generator) -> None:
    """Against enumeration, on two squares of two agents each whose joint choice is scored."""
    policy = OwnLogits((1, 2, 1, 1, 4))
    two = ("do nothing", "grey level +64")
    goal = build_task("rewarded", {"score": f"{__name__}:uneven", "actions": two, "num_steps": 1})
    picture = torch.full((1, 1, 1, 4), 0.25)
    settings = LearnerSettings(gradient="sampled", rollouts=4000, t_max=1, ent_coef=0.0, vf_coef=0.0, gamma=1.0)
    learner = GroupLearner(policy, goal, settings)
    regions = Regions(1, 4, 2, 0, 0, torch.device("cpu"))
    log_pi = regions.mean(policy.logits).log_softmax(1)[0, :, 0, 0]  # action, square
    values = (0.25, 0.25 + 64 / 255)
    expected = sum(
        (log_pi[i, 0] + log_pi[j, 1]).exp() * (4 * values[i] * values[j] + values[i] - 0.5 * values[j])
        for i in range(2)
        for j in range(2)
    )
    (-expected).backward()
    wanted = policy.logits.grad.clone()
    policy.logits.grad = None
    fixed = pytest.MonkeyPatch()
    with fixed.context() as patch:
        patch.setattr("pixelrl.training.groups.random_regions", lambda *_: regions)
        ((loss, _),) = list(learner.updates(goal.begin(picture, generator), generator))
    (2 * loss).backward()  # a loss is the mean over the squares, of which there are two
    torch.testing.assert_close(policy.logits.grad, wanted, rtol=0.1, atol=0.004)


def test_everything_tried_is_the_best_policy(generator: torch.Generator) -> None:
    """Two steps against enumeration: the loss is the cross-entropy of the policy and the softmax of the returns."""
    policy = OwnLogits((1, 2, 1, 1, 4))
    two = ("do nothing", "grey level +64")
    goal = build_task("rewarded", {"score": f"{__name__}:uneven", "actions": two, "num_steps": 2, "price": 0.1})
    start = goal.begin(torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 1, 1, 4), generator)
    settings = LearnerSettings(gradient="sampled", exhaustive=2, t_max=2, ent_coef=0.2, gamma=0.5)
    losses = [loss for loss, _ in GroupLearner(policy, goal, settings).updates(start, generator)]
    assert len(losses) == 2
    log_pi = policy.logits.mean((0, 2, 3, 4)).log_softmax(0)
    step, returns, log_pis = 64 / 255, [], []
    for first in range(2):
        for second in range(2):
            left, right = (value + (first + second) * step for value in (0.1, 0.4))
            returns.append(-0.1 * first + 0.5 * (4 * left * right + left - 0.5 * right - 0.1 * second))
            log_pis.append(log_pi[first] + log_pi[second])
    expected = -((torch.tensor(returns) / 0.2).softmax(0) * torch.stack(log_pis)).sum()
    torch.testing.assert_close(losses[0], expected)
    gradients = [torch.autograd.grad(each, policy.logits, retain_graph=True)[0] for each in (losses[1], expected)]
    torch.testing.assert_close(*gradients)


def test_too_much_cannot_be_tried() -> None:
    policy = build_policy("regional", {"num_actions": 3, "width": 4, "dilations": []})
    settings = LearnerSettings(gradient="sampled", exhaustive=1, t_max=9)
    with pytest.raises(UsageError, match=r"needs a learner\.ent_coef above 0"):
        GroupLearner(policy, task(), LearnerSettings(gradient="sampled", exhaustive=1, ent_coef=0.0))
    with pytest.raises(UsageError, match="3 actions in 9 steps are too many to try every sequence"):
        GroupLearner(policy, task(num_steps=9), settings)


def test_learns_where_to_do_what(generator: torch.Generator) -> None:
    """From one number a picture: dark on the left, bright on the right. An untrained policy earns nothing."""
    torch.manual_seed(0)
    goal = task("left_dark_right_bright", price=0.01, num_steps=1)
    policy = build_policy("regional", {"num_actions": 3, "width": 8, "dilations": [1]}).train()
    settings = LearnerSettings(
        gradient="sampled", rollouts=8, region=(8, 48), t_max=1, gamma=1.0, ent_coef=0.02, vf_coef=0.0
    )
    learner = GroupLearner(policy, goal, settings)
    optimiser = torch.optim.Adam(policy.parameters(), lr=2e-3)
    side = torch.linspace(0.2, 0.8, 48).view(1, 1, 1, 48).expand(4, 1, 48, 48)

    def pictures() -> Tensor:
        return side + 0.05 * torch.randn((4, 1, 48, 48), generator=generator)

    for _ in range(150):
        for loss, _ in learner.updates(goal.begin(pictures(), generator), generator):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    start = goal.begin(pictures(), generator)
    _, final = rollout(policy.eval(), ActionSet(THREE), start.image, start.condition, 1)
    gain = goal.metric(final, start) - goal.metric(start.image, start)
    assert gain.mean() > 0.8 * 2 * 64 / 255


def test_several_processes_draw_alike(generator: torch.Generator) -> None:
    """The second half of a batch explores as the second of two processes would."""
    from pixelrl.training.parallel import Processes

    goal = task(num_steps=1)
    picture = torch.rand((2, 1, 16, 16), generator=generator)
    settings = LearnerSettings(gradient="sampled", rollouts=2, region=(4, 8), t_max=1)
    losses = []
    for processes, batch in ((Processes(), picture), (Processes(0, 2), picture[:1]), (Processes(1, 2), picture[1:])):
        torch.manual_seed(0)
        policy = build_policy("regional", {"num_actions": 3, "width": 4, "dilations": []}).train()
        learner = GroupLearner(policy, goal, settings, processes)
        own = torch.Generator().manual_seed(5)
        ((loss, _),) = list(learner.updates(goal.begin(batch, own), own))
        losses.append(loss.item())
    assert losses[0] == pytest.approx((losses[1] + losses[2]) / 2, abs=1e-6)


def test_trains_from_a_recipe_whose_module_lies_beside_it(
    tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch, generator: torch.Generator
) -> None:
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    for i in range(3):
        pixels = (torch.rand((40, 40), generator=generator) * 255).byte().numpy()
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{i}.png")
    (tmp_path / "my_brightness.py").write_text("def score(pictures):\n    return pictures.mean((1, 2, 3))\n")
    (tmp_path / "mine.toml").write_text(
        """name = "mine"
[task]
kind = "rewarded"
score = "my_brightness:score"
price = 0.01
num_steps = 2
actions = ["do nothing", "grey level +16"]
[policy]
kind = "regional"
width = 4
dilations = [1]
[data]
folder = "pictures"
crop = 32
batch = 2
validation = 1
[learner]
gradient = "sampled"
rollouts = 3
region = [8, 32]
t_max = 2
[reinforcement]
iterations = 2
"""
    )
    monkeypatch.chdir(tmp_path)
    code, _, err = run("train", "mine.toml", "-o", "run")
    assert code == 0, err
    code, _, err = run("restore", "pictures/0.png", "-o", "out.png", "--policy", "run/policy.safetensors")
    assert code == 0, err
    assert (tmp_path / "out.png").exists()


def test_a_scale_of_rewards_counts(generator: torch.Generator) -> None:
    goal = task(num_steps=1)
    policy = build_policy("regional", {"num_actions": 3, "width": 4, "dilations": []}).train()
    settings = LearnerSettings(gradient="sampled", rollouts=4, t_max=1, ent_coef=0.0, vf_coef=0.0)
    learner = GroupLearner(policy, goal, settings)
    start = goal.begin(torch.rand((1, 1, 8, 8), generator=generator), generator)
    rewards = []
    for scale in (1.0, 2.0):
        own = torch.Generator().manual_seed(1)
        ((_, logged),) = list(learner.updates(replace(start, reward_scale=torch.full((1, 1), scale)), own))
        rewards.append(logged["reward"])
    assert rewards[1] == pytest.approx(2 * rewards[0], rel=1e-5)


@torch.no_grad()
def test_agents_that_decide_alike_follow_the_mean_of_what_they_would_do(
    randomise: Callable[[torch.nn.Module], None],
) -> None:
    """The same weights, each place for itself and alike; also in tiles, and anew at every step."""
    sizes = {"num_actions": 3, "width": 4, "dilations": [1]}
    apart, alike = (build_policy("regional", {**sizes, "alike": each}).eval() for each in (False, True))
    randomise(apart)
    alike.load_state_dict(apart.state_dict())
    image = torch.rand((2, 1, 64, 96), generator=torch.Generator().manual_seed(0))
    outcomes, nowhere = ActionSet(THREE).outcomes(image), torch.zeros((2, 1, 1, 1))
    logits, _, _ = apart(image, outcomes, apart.perceive(image, nowhere))
    assert alike.surveys  # a block of a picture would not do
    assert not apart.surveys
    memory = alike.survey(image, alike.perceive(image, nowhere))
    common, _, later = alike(image, outcomes, memory)
    assert logits.std((-2, -1)).min() > 1e-4
    torch.testing.assert_close(common, logits.mean((-2, -1), keepdim=True).expand_as(logits))
    chosen, _ = tiled_forward(alike, greedy, image, outcomes, memory, 16)
    assert torch.equal(chosen, greedy(common))
    again, _, _ = alike(1 - image, outcomes, alike.survey(1 - image, later))
    assert not torch.allclose(again, common)


def test_agents_that_decide_alike_learn_together(generator: torch.Generator) -> None:
    policy = build_policy("regional", {"num_actions": 3, "width": 4, "dilations": [], "alike": True}).train()
    settings = LearnerSettings(
        gradient="sampled", t_max=2, gamma=1.0, exhaustive=1, rollouts=2, region=(8, 8), ent_coef=0.1
    )
    learner = GroupLearner(policy, task(), settings)
    start = task().begin(torch.full((2, 1, 16, 16), 0.5), generator)
    optimiser = torch.optim.Adam(policy.parameters(), lr=0.02)
    earned = []
    for _ in range(20):
        for loss, logged in learner.updates(start, generator):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            earned.append(logged["reward"])
    assert earned[-1] > earned[0] + 0.1
