"""Proximal policy optimisation with an agent at every pixel, in one file: Gymnasium, PyTorch, and nothing to install
but the extra ``gym``.

    python examples/ppo_pixels.py --seed 1

The task is one whose best policy is known, so that what was learned can be told in per cent. Bright pixels should go
one grey level down and then up again, dark ones up and then down: the first step earns nothing, and only whoever took
it is paid for the second. Nothing says so but the rewards. All agents share one network, and each has a reward of its
own, ``info["reward_map"]``; the mean of it, which an environment has to return, would tell none what it did right.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.nn import functional as F

from pixelrl.envs import PixelVectorEnv
from pixelrl.tasks import Episode, Task

DOWN, UP = 0, 2


class Detour(Task):
    """Squares of 4x4 pixels, each bright or dark; the way back pays, but only who went the right way can come back."""

    action_names = ("grey level -1", "do nothing", "grey level +1")
    levels, num_steps = (0.0,), 2

    def begin(self, clean: Tensor, generator: torch.Generator) -> Episode:
        """``clean`` gives the shape alone."""
        b, c, h, w = clean.shape
        squares = torch.rand((b, c, h // 4, w // 4), generator=generator, device=clean.device)
        values = squares.repeat_interleave(4, 2).repeat_interleave(4, 3)
        image = torch.where(values < 0.5, 0.1 + 0.5 * values, 0.4 + 0.5 * values)  # 0.1 to 0.35, or 0.65 to 0.9
        return Episode(image, image, self.conditioning.condition(image, {}), clean.new_ones((b, 1)))

    def degrade(self, clean: Tensor, level: float, generator: torch.Generator) -> Episode:
        return self.begin(clean, generator)

    def reward(self, before: Tensor, after: Tensor, target: Tensor) -> Tensor:
        """1 for the step back: from one grey level off, on the side of mid-grey, to none."""
        was, now = (255 * (image - target) * torch.where(target > 0.5, -1, 1) for image in (before, after))
        return ((was.round() == 1) & (now.round() == 0)).float()


def best_actions(start: Tensor, step: int) -> Tensor:
    """What is best at step 0 or 1 for pixels that were so bright at the start."""
    return torch.where((start > 0.5) == (step == 0), DOWN, UP)


class Agent(nn.Module):
    """Logits ``(b, h, w, n)`` and a value ``(b, h, w)`` for every pixel, from observations ``(b, p, h, w)``."""

    def __init__(self, planes: int, actions: int, width: int = 32) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(planes, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU()
        )
        self.actor, self.critic = nn.Conv2d(width, actions, 1), nn.Conv2d(width, 1, 1)

    def forward(self, observation: Tensor) -> tuple[Categorical, Tensor]:
        hidden = self.trunk(observation)
        return Categorical(logits=self.actor(hidden).movedim(1, -1)), self.critic(hidden)[:, 0]


def advantages_of(rewards: Tensor, values: Tensor, dones: Tensor, gamma: float, gae_lambda: float) -> Tensor:
    """Generalised advantage estimation, all ``(t, b, h, w)`` but ``dones``, ``(t, b)``; it ends with an episode."""
    advantages, last = torch.zeros_like(rewards), torch.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        goes_on = 1 - dones[t].float()[:, None, None]
        following = values[t + 1] if t + 1 < len(values) else 0
        last = rewards[t] + goes_on * (gamma * following + gamma * gae_lambda * last) - values[t]
        advantages[t] = last
    return advantages


def best_share(agent: Agent, envs: PixelVectorEnv) -> float:
    """The share of agents that do what is best, on new pictures, at the step at which it is smaller."""
    observation, _ = envs.reset()
    start, shares = observation[:, 0], []
    for step in range(Detour.num_steps):
        actions = agent(observation)[0].probs.argmax(-1)
        shares.append((actions == best_actions(start, step)).float().mean().item())
        observation, *_ = envs.step(actions)
    return min(shares)


def train(args: argparse.Namespace) -> float:
    torch.manual_seed(args.seed)
    envs = PixelVectorEnv(args.num_envs, Detour(), size=args.size, device=args.device)
    agent = Agent(len(envs.planes), len(envs.action_names)).to(args.device)
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)
    observation, _ = envs.reset(seed=args.seed)
    start_time = time.time()

    for iteration in range(1, args.iterations + 1):
        steps = []
        for _ in range(args.episodes * Detour.num_steps):
            with torch.no_grad():
                policy, value = agent(observation)
            action = policy.sample()
            following, _, done, _, info = envs.step(action)
            steps.append((observation, action, policy.log_prob(action), value, info["reward_map"], done))
            observation = following
        observations, actions, log_probs, values, rewards, dones = (
            torch.stack(each) for each in zip(*steps, strict=True)
        )
        advantages = advantages_of(rewards, values, dones, args.gamma, args.gae_lambda)
        returns = advantages + values
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        batch = [each.flatten(0, 1) for each in (observations, actions, log_probs, advantages, returns)]

        for _ in range(args.epochs):
            for rows in torch.randperm(len(batch[0])).chunk(args.minibatches):
                seen, acted, before, advantage, goal = (each[rows] for each in batch)
                policy, value = agent(seen)
                ratio = (policy.log_prob(acted) - before).exp()
                clipped = ratio.clamp(1 - args.clip, 1 + args.clip)
                policy_loss = -torch.min(ratio * advantage, clipped * advantage).mean()
                loss = policy_loss + args.vf_coef * F.mse_loss(value, goal) - args.ent_coef * policy.entropy().mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
                optimizer.step()

        if iteration % 5 == 0:
            earned = rewards.sum(0).mean().item() / args.episodes
            print(f"{iteration:4} {time.time() - start_time:6.1f} s  earned {earned:.3f} an episode, of 1")
    return best_share(agent, envs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = {"seed": 1, "iterations": 20, "num_envs": 8, "size": 16, "episodes": 4, "epochs": 4, "minibatches": 4}
    rates = {"learning_rate": 5e-3, "gamma": 0.99, "gae_lambda": 0.95, "clip": 0.2, "vf_coef": 0.5}
    rates |= {"ent_coef": 0.01, "max_grad_norm": 0.5}
    for name, default in (numbers | rates).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--device", default="cpu")
    print(f"{100 * train(parser.parse_args()):.1f} % of the agents do what is best")


if __name__ == "__main__":
    main()
