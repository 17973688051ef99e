"""Work and time per 481x321 grey picture on this CPU: the shipped policy beside the paper's convGRU agent and DnCNN-S.

Rounds are repeated in one process, so that what else the machine does falls on all alike. The other two networks have
the shapes of the released ones with random weights: their time does not depend on them.

    python benchmarks/speed.py [--threads N]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import pixelrl
from pixelrl.actions import PAPER_NINE, ActionSet
from pixelrl.agent import Agent
from pixelrl.checkpoint import PolicyCard
from pixelrl.rollout import Actor, episode, greedy

HEIGHT, WIDTH, ROUNDS = 321, 481, 7


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def paper_agent() -> Agent:
    card = PolicyCard("paper convGRU", "fcn", {"recurrent": True}, PAPER_NINE, 5, None, {})
    return Agent(card.build().eval(), card, torch.device("cpu"))


def dncnn() -> nn.Module:
    """DnCNN-S (Zhang et al., IEEE TIP 2017): 17 layers of 64 channels, its batch normalisation folded into them."""
    layers: list[nn.Module] = [nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(inplace=True)]
    for _ in range(15):
        layers += [nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(inplace=True)]
    network = nn.Sequential(*layers, nn.Conv2d(64, 1, 3, padding=1))
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the faster layout


@torch.no_grad()
def multiply_adds(run: Callable[[], object]) -> float:
    """Multiply-adds of all convolutions and matrix products in ``run``, per pixel of a HEIGHT x WIDTH picture."""
    with FlopCounterMode(display=False) as counted:
        run()
    return counted.get_total_flops() / 2 / (HEIGHT * WIDTH)


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
    memory = agent.policy.told(agent.policy.perceive(image, condition), agent.policy.default_legibility)
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


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description="Multiply-adds and seconds per picture.")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    threads = parser.parse_args().threads
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((1, 1, HEIGHT, WIDTH), generator=generator)
    condition = torch.full((1, 1, 1, 1), 25 / 255)
    ours, paper, supervised = pixelrl.load("denoise-gray", "cpu"), paper_agent(), dncnn()
    name = f"denoise-gray, {ours.precision}"
    runs: dict[str, Callable[[], object]] = {
        f"{name}, legibility {ours.legibility:g}": lambda: ours.run(image, condition),
        f"{name}, legibility 0": lambda: ours.run(image, condition, legibility=0),
        "the paper's convGRU": lambda: paper.run(image, condition),
        "DnCNN-S": lambda: supervised(image),
    }
    work = [multiply_adds(run) for run in runs.values()]  # this also prepares the convolutions
    times, shares = [], []
    for _ in range(ROUNDS):
        times.append([seconds(run) for run in runs.values()])
        shares.append(parts(ours, image, condition))
    print(f"{WIDTH}x{HEIGHT}, CPU, {threads} threads, median of {ROUNDS} rounds in one process\n")
    print("| network | multiply-adds per pixel | of ours | s / image | of ours |\n|---|---|---|---|---|")
    for k, name in enumerate(runs):
        ratio = statistics.median(row[k] / row[0] for row in times)
        median = statistics.median(row[k] for row in times)
        print(f"| {name} | {work[k] / 1e6:.4f} M | {work[k] / work[0]:.1f} x | {median:.3f} | {ratio:.1f} x |")
    print("\n| part of denoise-gray | ms | share |\n|---|---|---|")
    medians = {name: statistics.median(s[name] for s in shares) for name in shares[0]}
    total = sum(medians.values())
    for name, value in medians.items():
        print(f"| {name} | {1000 * value:.0f} | {100 * value / total:.0f} % |")


if __name__ == "__main__":
    main()
