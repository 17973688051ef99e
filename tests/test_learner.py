"""The learner: segments, rewards and gradients, on policies and rewards worked by hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from pixelrl.errors import UsageError
from pixelrl.policies import FCN, Lookahead, Policy, PolicyOutput
from pixelrl.rl.returns import identity_kernel
from pixelrl.rollout import Actor, episode
from pixelrl.tasks import Episode, Task
from pixelrl.training.learner import Learner
from pixelrl.training.recipe import LearnerSettings
from pixelrl.training.sampling import sampler

GRADIENTS = ("all-action", "sampled")
Randomise = Callable[[nn.Module], None]
UP = (0.0, 0.0, 100.0)
"""Logits of a policy that always brightens."""


class Table(Policy):
    """The same logits and the same value for every agent, whatever the image: two parameters."""

    stride = alignment = 1
    reach = 0
    takes_condition = False

    def __init__(self, logits: tuple[float, ...], value: float = 0.0, agents: int = 1, convolve: bool = False) -> None:
        super().__init__()
        self.logits, self.value = nn.Parameter(torch.tensor(logits)), nn.Parameter(torch.tensor(value))
        self.agents = agents
        self.reward_kernel = nn.Parameter(identity_kernel()) if convolve else None

    def perceive(self, image: Tensor, condition: Tensor) -> Tensor:
        return image.new_zeros(image.shape[0], 0, *image.shape[2:])

    def forward(self, image: Tensor, outcomes: Tensor, memory: Tensor) -> PolicyOutput:
        b, _, h, w = image.shape
        logits = self.logits.view(1, -1, 1, 1, 1).expand(b, -1, self.agents, h, w)
        return PolicyOutput(logits, self.value.expand(b, self.agents, h, w), memory)

    def estimate(self, memory: Tensor, image: Tensor) -> None:
        return None


class Levels(Task):
    """Up or down by one grey level, or not: from 0 to a target of 10, steps up earn 19, 17, 15 ... / 255."""

    action_names = ("grey level -1", "do nothing", "grey level +1")
    levels = (0.0,)

    def __init__(self, num_steps: int) -> None:
        self.num_steps = num_steps

    def degrade(self, clean: Tensor, level: float, generator: torch.Generator) -> Episode:
        return start(clean)

    def begin(self, clean: Tensor, generator: torch.Generator) -> Episode:
        return start(clean)


def start(target: Tensor, image: Tensor | None = None) -> Episode:
    nothing = target.new_zeros(len(target), 1, 1, 1)
    return Episode(torch.zeros_like(target) if image is None else image, target, nothing, nothing[..., 0, 0] + 1)


def ten(*shape: int) -> Episode:
    return start(torch.full(shape or (1, 1, 2, 3), 10 / 255))


def settings(gradient: str = "all-action", t_max: int = 5, **others: float) -> LearnerSettings:
    return LearnerSettings(**{"gradient": gradient, "t_max": t_max, "gamma": 0.5, **others})


def play(policy: Policy, steps: int, how: LearnerSettings, begun: Episode) -> list[dict[str, float]]:
    """What is logged of an episode's updates."""
    learner = Learner(policy.train(), Levels(steps), how)
    return [logged for _, logged in learner.updates(begun, torch.Generator().manual_seed(0))]


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize(("steps", "t_max", "updates"), [(5, 2, 3), (4, 2, 2), (5, 1, 5), (3, 5, 1), (1, 1, 1)])
def test_number_of_updates(gradient: str, steps: int, t_max: int, updates: int) -> None:
    assert len(play(Table(UP), steps, settings(gradient, t_max), ten())) == updates


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_returns_are_bootstrapped_by_hand(gradient: str) -> None:
    """Three steps up, an update after two and one at the end; V is 1/4 everywhere and gamma 1/2.

    With the all-action gradient V is that of the future alone, so what the third step brings is added for the rest.
    """
    first, last = play(Table(UP, value=0.25), 3, settings(gradient, t_max=2), ten())
    r0, r1, r2 = 19 / 255, 17 / 255, 15 / 255
    rest = 0.25 if gradient == "sampled" else r2 + 0.25
    futures = (r1 + rest / 2) / 2, rest / 2
    targets = futures if gradient == "all-action" else (r0 + futures[0], r1 + futures[1])
    assert first["reward"] == pytest.approx(r0 + r1, rel=1e-5)
    assert first["value_loss"] == pytest.approx(sum((0.25 - target) ** 2 for target in targets) / 2 / 2, rel=1e-5)
    assert last["reward"] == pytest.approx(r2, rel=1e-5)
    target = 0 if gradient == "all-action" else r2  # nothing comes after the end
    assert last["value_loss"] == pytest.approx((0.25 - target) ** 2 / 2, rel=1e-5)


def test_the_loss_by_hand() -> None:
    """One step; probabilities 1/4, 1/4, 1/2 of the rewards -21/255, 0 and 19/255, and V = 2."""
    how = settings(ent_coef=0.1, vf_coef=3.0)
    learner = Learner(Table((0.0, 0.0, math.log(2)), value=2.0).train(), Levels(1), how)
    ((loss, logged),) = learner.updates(ten(), torch.Generator().manual_seed(0))
    expected = (-21 / 4 + 0 + 19 / 2) / 255
    entropy = math.log(4) / 2 + math.log(2) / 2
    assert logged["policy_loss"] == pytest.approx(-expected, rel=1e-4)
    assert logged["entropy"] == pytest.approx(entropy, rel=1e-5)
    assert loss.item() == pytest.approx(-expected + 3 * logged["value_loss"] - 0.1 * entropy, rel=1e-5)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("t_max", [1, 2])
def test_two_steps_by_hand(gradient: str, t_max: int) -> None:
    """One agent, uniform over three actions, V = 0.3, gamma = 1/2: plain arithmetic on what it happens to do."""
    how = settings(gradient, t_max, vf_coef=0.0, ent_coef=0.0)
    policy = Table((0.0, 0.0, 0.0), value=0.3)
    learner = Learner(policy.train(), Levels(2), how)
    random, same = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    losses = [loss.item() for loss, _ in learner.updates(ten(1, 1, 1, 1), random)]

    def reward(level: int, way: int) -> float:
        return ((10 - level) ** 2 - (10 - level - way) ** 2) / 255

    draw = sampler(same)
    first, second = (int(draw(torch.zeros(1, 3, 1, 1, 1)).long()) - 1 for _ in range(2))
    r0, r1 = reward(0, first), reward(first, second)
    mean0, mean1 = (sum(reward(level, way) for way in (-1, 0, 1)) / 3 for level in (0, first))
    surprise = math.log(3)  # -log pi of every action
    if gradient == "sampled":
        expected = [surprise * (r0 + (0.3 if t_max == 1 else r1) / 2 - 0.3), surprise * (r1 - 0.3)]
    else:
        # The future's advantage: what came after the step, less what V promised of it. The value alone does not stand
        # for the rest, so the second action is drawn before the update, too; the weights being the same, it is r1.
        future = (r1 + 0.3 if t_max == 1 else r1) / 2
        expected = [-mean0 + surprise * (future - 0.3), -mean1]
    assert losses == pytest.approx(expected if t_max == 1 else [sum(expected)], rel=1e-4)


def test_without_a_future_nothing_is_sampled() -> None:
    """With gamma 0 the policy's loss is minus the expected rewards, whatever value and chance say."""
    learner = Learner(Table((0.0, 0.0, math.log(2)), value=7.0).train(), Levels(3), settings(gamma=0.0))
    begun = ten()
    _, logged = next(learner.updates(begun, torch.Generator().manual_seed(0)))
    memory = learner.policy.perceive(begun.image, begun.condition)
    actor = Actor(learner.policy, sampler(torch.Generator().manual_seed(0)), memory)
    expected = 0.0
    for step in episode(begun.image, learner.actions, actor, 3):
        rewards = learner.task.action_rewards(begun, step.before, step.outcomes)
        expected += (rewards * torch.tensor([0.25, 0.25, 0.5]).view(1, 3, 1, 1, 1)).sum(1).mean().item()
    assert logged["policy_loss"] == pytest.approx(-expected, rel=1e-5)


def test_the_sampled_loss_by_hand() -> None:
    """One agent, three equally likely actions: -log pi(a) A, whose gradient is A (pi - one_hot(a))."""
    policy = Table((0.0, 0.0, 0.0), value=-1.0)
    ((loss, logged),) = Learner(policy.train(), Levels(1), settings("sampled", ent_coef=0.0, vf_coef=0.0)).updates(
        ten(1, 1, 1, 1), torch.Generator().manual_seed(0)
    )
    advantage = logged["reward"] + 1
    assert loss.item() == pytest.approx(math.log(3) * advantage, rel=1e-5)
    loss.backward()
    gradient = policy.logits.grad
    assert gradient is not None
    taken = int(gradient.argmin())
    one_hot = torch.nn.functional.one_hot(torch.tensor(taken), 3)
    torch.testing.assert_close(gradient, advantage * (torch.full((3,), 1 / 3) - one_hot))


def test_one_agent_earns_the_mean_over_channels() -> None:
    """Up by one level towards targets of 1, 2 and 4: rewards of 1, 3 and 7 / 255."""
    target = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2) / 255
    (single,) = play(Table(UP, agents=1), 1, settings("sampled"), start(target))
    assert single["reward"] == pytest.approx(11 / 3 / 255, rel=1e-4)
    assert single["value_loss"] == pytest.approx((11 / 3 / 255) ** 2 / 2, rel=1e-4)
    (each,) = play(Table(UP, agents=3), 1, settings("sampled"), start(target))
    assert each["reward"] == pytest.approx(11 / 3 / 255, rel=1e-4)
    assert each["value_loss"] == pytest.approx((1 + 9 + 49) / 3 / 255**2 / 2, rel=1e-4)
    for agents in (1, 3):
        (exact,) = play(Table(UP, agents=agents), 1, settings(), start(target))
        assert exact["policy_loss"] == pytest.approx(-11 / 3 / 255, rel=1e-4)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_rewards_are_scaled_per_image(gradient: str) -> None:
    begun = replace(ten(2, 1, 2, 2), reward_scale=torch.tensor([[1.0], [3.0]]))
    (logged,) = play(Table(UP), 1, settings(gradient), begun)
    assert logged["reward"] == pytest.approx(19 / 255 * 2, rel=1e-5)
    if gradient == "sampled":
        assert logged["value_loss"] == pytest.approx((19 / 255) ** 2 * (1 + 9) / 2 / 2, rel=1e-5)
    else:
        assert logged["policy_loss"] == pytest.approx(-19 / 255 * 2, rel=1e-5)


def test_rewards_telescope(generator: torch.Generator) -> None:
    """Their sum over the steps is 255 times what the squared error fell from start to end."""
    image, target = torch.rand(2, 2, 1, 6, 7, generator=generator)
    policy, task = Table((0.0, 0.0, 0.0)), Levels(4)
    learner = Learner(policy.train(), task, settings(t_max=3))
    same = torch.Generator().manual_seed(5)
    logged = [entry["reward"] for _, entry in learner.updates(start(target, image), same.clone_state())]
    assert len(logged) == 2
    actor = Actor(policy, sampler(same), policy.perceive(image, torch.zeros(2, 1)))
    *_, last = episode(image, learner.actions, actor, 4)
    fallen = 255 * ((image - target).square() - (last.after - target).square())
    assert not torch.equal(last.after, image)
    assert sum(logged) == pytest.approx(fallen.mean().item(), abs=1e-5)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_the_policys_loss_trains_neither_critic_nor_kernel(gradient: str) -> None:
    policy = Table((0.0, 0.0, 0.0), value=0.3, convolve=True)
    ((loss, _),) = Learner(policy.train(), Levels(3), settings(gradient, vf_coef=0.0)).updates(
        ten(), torch.Generator().manual_seed(0)
    )
    loss.backward()
    assert policy.logits.grad is not None
    assert policy.logits.grad.any()
    for weight in (policy.value, policy.reward_kernel):
        assert weight is not None
        assert weight.grad is None or not weight.grad.any()


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_the_values_loss_trains_critic_and_kernel_alone(gradient: str) -> None:
    policy = Table(UP, value=0.3, convolve=True)
    ((loss, _),) = Learner(policy.train(), Levels(2), settings(gradient, ent_coef=0.0)).updates(
        ten(1, 1, 1, 1), torch.Generator().manual_seed(0)
    )
    loss.backward()
    r0, r1 = 19 / 255, 17 / 255
    # vf_coef 1/2 times (V - R_0)^2 / 2, and R_0 = r_0 + gamma w r_1 on a single pixel, where only w's centre counts.
    # With the all-action gradient V is that of the future alone, and the kernel adds what r_0 was expected to be.
    misses = (0.3 - r0 - r1 / 2, 0.3 - r1) if gradient == "sampled" else (0.3 - r1 / 2, 0.3)
    assert policy.reward_kernel is not None
    assert policy.reward_kernel.grad is not None
    assert policy.reward_kernel.grad.count_nonzero() == 1
    assert policy.reward_kernel.grad[0, 0, 16, 16].item() == pytest.approx(-misses[0] * r1 / 2 / 2, rel=1e-4)
    assert policy.value.grad is not None
    assert policy.value.grad.item() == pytest.approx(sum(misses) / 2, rel=1e-4)
    assert policy.logits.grad is not None
    assert policy.logits.grad.abs().max() < 1e-6  # a certain action has nothing to learn


POLICIES = {
    "lookahead": lambda: Lookahead(3, width=8, deep_width=8, depths=(1, 1, 1), head_width=4),
    "lookahead, rmc": lambda: Lookahead(3, 1, 8, 8, (1, 1, 1), 4, reward_map_convolution=True),
    "fcn": lambda: FCN(3, width=4),
    "recurrent fcn, rmc": lambda: FCN(3, width=4, recurrent=True, reward_map_convolution=True),
}


@pytest.mark.parametrize("t_max", [2, 5])
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("name", POLICIES)
def test_every_weight_moves(name: str, gradient: str, t_max: int, generator: torch.Generator) -> None:
    """Each loss is backpropagated, and the weights changed in place, before the next is asked for."""
    torch.manual_seed(0)  # initial weights, which PyTorch draws from its global generator
    policy = POLICIES[name]().train()
    before = {key: tensor.clone() for key, tensor in policy.state_dict().items()}
    learner = Learner(policy, Levels(4), settings(gradient, t_max))
    optimiser = torch.optim.Adam(policy.parameters(), lr=1e-2)
    for _ in range(3):
        target, noise = torch.rand(2, 2, 1, 8, 8, generator=generator)
        begun = start(target, target + noise / 9)
        # The lookahead policy's encoder learns from its estimate alone.
        supervised = [learner.estimate_loss(begun)] if "lookahead" in name else []
        for loss, _ in itertools.chain(supervised, learner.updates(begun, generator)):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    assert [key for key, tensor in policy.state_dict().items() if torch.equal(tensor, before[key])] == []


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_no_steps_gradient_reaches_the_encoder(gradient: str, generator: torch.Generator, randomise: Randomise) -> None:
    policy = POLICIES["lookahead"]().train()
    randomise(policy)
    image, target = torch.rand(2, 1, 1, 6, 6, generator=generator)
    ((loss, _),) = Learner(policy, Levels(2), settings(gradient)).updates(start(target, image), generator)
    loss.backward()
    reached = {name for name, weight in policy.named_parameters() if weight.grad is not None and weight.grad.any()}
    encoder = {name for name, _ in policy.named_parameters() if name.startswith(("encoder", "to_residual"))}
    assert reached == {name for name, _ in policy.named_parameters()} - encoder


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_the_policys_gradient_may_reach_the_encoder(gradient: str, randomise: Randomise) -> None:
    """It reaches features and estimate, and changes neither them nor the head's gradient."""
    image, target = torch.rand(2, 1, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    losses, gradients = [], []
    for scale in (0.0, 0.25, 1.0):
        policy = POLICIES["lookahead"]().train()
        randomise(policy)
        learner = Learner(policy, Levels(2), settings(gradient, encoder_gradient=scale))
        ((loss, _),) = learner.updates(start(target, image), torch.Generator().manual_seed(1))
        loss.backward()
        losses.append(loss.item())
        gradients.append({name: weight.grad for name, weight in policy.named_parameters()})
    assert losses[0] == losses[1] == losses[2]
    none, quarter, whole = gradients
    assert whole["to_residual.weight"].any()
    for name in none:
        if name.startswith(("encoder", "to_residual")):
            assert none[name] is None  # not zeros, which would cost as much time as a gradient
            torch.testing.assert_close(quarter[name], whole[name])
        else:
            torch.testing.assert_close(none[name], whole[name])


def test_a_policy_without_an_encoder_of_its_own() -> None:
    with pytest.raises(UsageError, match=r"encoder_gradient = 0\.5 cannot be used: this policy has no encoder"):
        Learner(Table(UP), Levels(1), settings(encoder_gradient=0.5))


def test_the_warm_starts_loss_by_hand(generator: torch.Generator) -> None:
    """A fresh lookahead policy's estimate is the image itself."""
    image, target = torch.rand(2, 1, 1, 6, 6, generator=generator)
    learner = Learner(POLICIES["lookahead"]().train(), Levels(2), settings())
    loss, logged = learner.estimate_loss(start(target, image))
    expected = (image - target).abs().mean().item()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert logged == {"estimate_loss": loss.item()}
    loss.backward()
    assert learner.policy.to_residual.weight.grad.any()


def test_norm_0_is_the_psnr(generator: torch.Generator) -> None:
    """Of every crop alike, whatever its noise; an error far below a grey level gains little more."""
    target = torch.rand((3, 1, 8, 8), generator=generator)
    errors = torch.tensor([0.1, 0.02, 0.0])[:, None, None, None]
    learner = Learner(POLICIES["lookahead"]().train(), Levels(2), settings(estimate_norm=0))
    loss, _ = learner.estimate_loss(start(target, target + errors))
    decibels = [10 * math.log10(1 / (error**2 + 1 / 255**2)) for error in (0.1, 0.02, 0)]
    assert loss.item() == pytest.approx(-0.1 * sum(decibels) / 3 * math.log(10) / 10, rel=1e-4)


def test_a_policy_without_estimate() -> None:
    learner = Learner(Table(UP).train(), Levels(1), settings())
    with pytest.raises(UsageError, match="forms no estimate"):
        learner.estimate_loss(ten())


def test_the_generator_decides() -> None:
    def rewards(seed: int) -> list[dict[str, float]]:
        learner = Learner(Table((0.0, 0.0, 0.0)).train(), Levels(3), settings())
        return [logged for _, logged in learner.updates(ten(1, 1, 9, 9), torch.Generator().manual_seed(seed))]

    assert rewards(1) == rewards(1)
    assert rewards(1) != rewards(2)


class Legible(Table):
    """It keeps what it was told of legibility."""

    legible = True

    def told(self, memory: Tensor, legibility: float | Tensor) -> Tensor:
        self.heard = legibility
        return memory


def test_every_image_of_a_batch_gets_a_legibility_of_its_own() -> None:
    policy = Legible((0.0, 0.0, 0.0))
    learner = Learner(policy.train(), Levels(1), settings())
    list(learner.updates(ten(400, 1, 1, 1), torch.Generator().manual_seed(0)))
    drawn = policy.heard
    assert isinstance(drawn, Tensor)
    assert drawn.shape == (400,)
    assert (drawn.min(), drawn.max()) == (pytest.approx(0, abs=0.02), pytest.approx(1, abs=0.02))
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_disagreement_has_its_price(gradient: str) -> None:
    """Two pixels, one step, uniform over three actions; V = 0.3. Each has the other as its one neighbour."""
    how = settings(gradient, vf_coef=0.0, ent_coef=0.0, disagreement=0.9)
    learner = Learner(Table((0.0, 0.0, 0.0), value=0.3).train(), Levels(1), how)
    ((loss, logged),) = learner.updates(ten(1, 1, 1, 2), torch.Generator().manual_seed(1))
    ways = sampler(torch.Generator().manual_seed(1))(torch.zeros(1, 3, 1, 1, 2)).long().flatten() - 1
    earned = (100 - (10 - ways) ** 2) / 255
    price = 0.9 * float(ways[0] != ways[1])
    assert logged["reward"] == pytest.approx(earned.mean().item(), rel=1e-4)
    assert logged["dissent"] == pytest.approx(price / 0.9)
    if gradient == "sampled":
        expected = (math.log(3) * (earned - price - 0.3)).mean().item()
    else:  # whatever an agent does, the other one is expected to do something else two times in three
        expected = -(-21 + 0 + 19) / 3 / 255 + 0.9 * 2 / 3
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_the_price_counts_in_what_comes_later() -> None:
    """A return that learned nothing of later prices would not make agents prepare maps that are plain."""
    how = settings("sampled", vf_coef=1.0, ent_coef=0.0, disagreement=0.5)
    policy = Table((0.0, 0.0, 0.0))
    learner = Learner(policy.train(), Levels(2), how)
    ((_, logged),) = learner.updates(ten(1, 1, 1, 2), torch.Generator().manual_seed(1))
    draw = sampler(torch.Generator().manual_seed(1))
    ways = [draw(torch.zeros(1, 3, 1, 1, 2)).long().flatten() - 1 for _ in range(2)]
    left = [torch.full((2,), 10), 10 - ways[0], 10 - ways[0] - ways[1]]
    rewards = [(left[t] ** 2 - left[t + 1] ** 2) / 255 - 0.5 * float(ways[t][0] != ways[t][1]) for t in range(2)]
    returns = [rewards[0] + rewards[1] / 2, rewards[1]]
    assert any(way[0] != way[1] for way in ways[1:])
    assert logged["value_loss"] == pytest.approx(sum(r.square().mean().item() / 2 for r in returns) / 2, rel=1e-4)


def test_nothing_is_logged_of_dissent_without_a_price() -> None:
    (logged,) = play(Table(UP), 1, settings(), ten())
    assert "dissent" not in logged


class Priced(Legible):
    """All neighbours that act otherwise cost a legible agent twice what it was told."""

    def price(self, legibility: Tensor, memory: Tensor, image: Tensor) -> Tensor:
        return 2 * legibility[:, None, None, None]


def test_a_legible_policy_pays_by_what_it_was_told() -> None:
    policy = Priced((0.0, 0.0, 0.0))
    how = settings(vf_coef=0.0, ent_coef=0.0)
    ((loss, _),) = Learner(policy.train(), Levels(1), how).updates(ten(40, 1, 3, 3), torch.Generator().manual_seed(0))
    # Counted in prices. Eight neighbours, each of which does something else two times in three.
    assert loss.item() == pytest.approx((2 / 3 / 255 / (2 * policy.heard)).mean().item() + 2 / 3, rel=1e-4)
    with pytest.raises(UsageError, match=r"disagreement = 0\.5 cannot be used: this policy is told how plain"):
        Learner(policy, Levels(1), settings(disagreement=0.5))
