"""Time per 481x321 grey picture on this CPU: the shipped policy beside the paper's convGRU agent, and where it goes.

Pairs are repeated in one process, so that what else the machine does falls on both alike. The paper's network has
the released model's shapes with random weights: its time does not depend on them.
"""

import statistics
import time
from collections.abc import Callable

import torch

import pixelrl
from pixelrl.actions import PAPER_NINE, ActionSet
from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard
from pixelrl.rollout import Actor, episode, greedy

HEIGHT, WIDTH, PAIRS = 321, 481, 7


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def paper_agent() -> Agent:
    card = PolicyCard("paper convGRU", "fcn", {"recurrent": True}, PAPER_NINE, 5, None, {})
    return Agent(card.build().eval(), card, torch.device("cpu"))


@torch.no_grad()
def parts(agent: Agent, image: torch.Tensor, condition: torch.Tensor) -> dict[str, float]:
    """One episode, step by step as `rollout` plays it, with a clock around each part."""
    spent = {"encoder (once)": 0.0, "filters": 0.0, "step network": 0.0, "selection": 0.0}

    class Clocked(ActionSet):
        def outcomes(self, image: torch.Tensor) -> torch.Tensor:
            began = time.perf_counter()
            result = super().outcomes(image)
            spent["filters"] += time.perf_counter() - began
            return result

        def select(self, outcomes: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
            began = time.perf_counter()
            result = super().select(outcomes, actions)
            spent["selection"] += time.perf_counter() - began
            return result

    began = time.perf_counter()
    memory = agent.policy.perceive(image, condition)
    spent["encoder (once)"] = time.perf_counter() - began
    actor = Actor(agent.policy, greedy, memory)

    def act(t: int, image: torch.Tensor, outcomes: torch.Tensor) -> object:
        began = time.perf_counter()
        decision = actor(t, image, outcomes)
        spent["step network"] += time.perf_counter() - began
        return decision

    for _ in episode(image, Clocked(agent.actions.names), act, agent.card.num_steps):
        pass
    return spent


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((1, 1, HEIGHT, WIDTH), generator=generator)
    condition = torch.full((1, 1), 25 / 255)
    ours, paper = pixelrl.load("denoise-gray", "cpu"), paper_agent()
    pairs, shares = [], []
    for agent in (ours, paper):
        agent.run(image, condition)  # the first run prepares the convolutions
    for _ in range(PAIRS):
        pairs.append((seconds(lambda: ours.run(image, condition)), seconds(lambda: paper.run(image, condition))))
        shares.append(parts(ours, image, condition))
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"{WIDTH}x{HEIGHT}, CPU, {torch.get_num_threads()} threads, median of {PAIRS} pairs in one process\n")
    print("| policy | s / image |\n|---|---|")
    print(f"| denoise-gray, {ours.card.num_steps} steps | {mine:.3f} |")
    print(f"| the paper's convGRU, 5 steps | {theirs:.3f} |")
    print(f"\nRatio: {ratio:.1f} (smallest {min(b / a for a, b in pairs):.1f})\n")
    print("| part of denoise-gray | ms | share |\n|---|---|---|")
    medians = {name: statistics.median(s[name] for s in shares) for name in shares[0]}
    total = sum(medians.values())
    for name, value in medians.items():
        print(f"| {name} | {1000 * value:.0f} | {100 * value / total:.0f} % |")


if __name__ == "__main__":
    main()
