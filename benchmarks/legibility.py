"""Quality against bits per pixel of explanation: the learned policy beside rules made by hand, on validation pictures.

    python benchmarks/legibility.py BSDS500/GRAY/TRAIN -o docs/legibility.json [--policy "name=FILE" ...]

For every way of choosing operations it plays episodes of five steps on the middle of validation pictures, towards the
same estimate, that of `denoise-gray`, and keeps what is lost to the estimate (dB) and the bits per pixel of the maps:

- *schedule*: the mean distance to the estimate over w x w pixels, plus lambda for the share of a pixel's 24 neighbours
  that choose otherwise, in eight rounds of iterated conditional modes; w and lambda for every step at random. With the
  fifteen operations the policy had before, and with all twenty.
- *modes*: the same with w = 1 and one lambda for all steps: iterated conditional modes on the greedy costs.
- *majority*: the maps of legibility 0, each pixel of which takes what most of its neighbours in a window chose.
- *untrained*: the policy that consults, its judge silent and its factors as they are made.
- *without the judge*: the shipped policy, its judge silent.
- every policy file that is named.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.checkpoint import find_policy, load_policy
from pixelrl.imaging.filters import box
from pixelrl.imaging.metrics import bits_per_pixel, psnr
from pixelrl.policies import Consulting
from pixelrl.rl.choice import best
from pixelrl.rl.neighbours import choices, votes
from pixelrl.rollout import Decision, episode, rollout
from pixelrl.training.data import load_photos, split

SIGMAS, STEPS, ROUNDS = (15.0, 25.0, 50.0), 5, 8
SIDE, PICTURES = 192, 3
LEGIBILITIES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0)
AT = (0.8, 2.0, 2.5, 3.0)
"""Bits per pixel at which ways are compared."""
LARGER = ("Gaussian 3", "line 0", "line 45", "line 90", "line 135")

Point = tuple[float, float]
"""Bits per pixel, and what is lost to the estimate in dB."""
Choose = Callable[[int, Tensor, Tensor], Tensor]
"""From the step, outcomes ``(1, n, 1, h, w)`` and the estimate to actions ``(1, 1, h, w)``."""


class Case:
    """A noisy picture, its clean one and the estimate."""

    def __init__(self, clean: Tensor, sigma: float, policy: Consulting, generator: torch.Generator) -> None:
        self.clean, self.condition = clean, torch.full((1, 1, 1, 1), sigma / 255)
        self.noisy = clean + self.condition * torch.randn(clean.shape, generator=generator)
        self.estimate = policy.estimate(policy.perceive(self.noisy, self.condition), self.noisy)

    def point(self, final: Tensor, maps: Tensor) -> Point:
        lost = psnr(self.estimate, self.clean).item() - psnr(final, self.clean).item()
        return float(bits_per_pixel(maps)), lost


def by_rule(case: Case, actions: ActionSet, choose: Choose) -> Point:
    """What a rule for each step comes to."""

    def act(t: int, image: Tensor, outcomes: Tensor) -> Decision:
        return Decision(choose(t, outcomes, case.estimate))

    steps = list(episode(case.noisy, actions, act, STEPS))
    return case.point(steps[-1].after, torch.stack([step.decision.actions for step in steps]))


def modes(windows: list[int], prices: list[float]) -> Choose:
    """Iterated conditional modes, with a window and a price for every step."""

    def choose(t: int, outcomes: Tensor, estimate: Tensor) -> Tensor:
        miss = 255 * (outcomes[:, :, 0] - estimate).abs()
        costs = (miss if windows[t] == 1 else box(miss, windows[t]))[:, :, None]
        chosen = best(-costs)
        for _ in range(ROUNDS if prices[t] else 0):
            chosen = best(prices[t] * votes(choices(chosen, outcomes.shape[1])) - costs)
        return chosen

    return choose


def majority(window: int) -> Choose:
    """What most of the neighbours and the pixel itself would choose greedily."""

    def choose(t: int, outcomes: Tensor, estimate: Tensor) -> Tensor:
        greedy = best(-(outcomes - estimate[:, None]).abs())
        return best(box(choices(greedy, outcomes.shape[1])[:, :, 0], window)[:, :, None])

    return choose


def schedules(generator: torch.Generator, number: int) -> Iterator[Choose]:
    """Random schedules: windows of 1 or 7 pixels, wide ones first, and prices of up to 60 grey levels."""
    for _ in range(number):
        wide = int(torch.randint(0, 4, (), generator=generator))
        prices = (60 * torch.rand(STEPS, generator=generator).square()).tolist()
        yield modes([7 if t < wide else 1 for t in range(STEPS)], prices)


def mean(points: list[Point]) -> Point:
    bits, lost = zip(*points, strict=True)
    return sum(bits) / len(bits), sum(lost) / len(lost)


def lost_at(points: list[Point], bits: float) -> float | None:
    """The least loss at so many bits: on straight lines between points, of which those that another one beats are left
    out; None beyond them."""
    front: list[Point] = []
    for point in sorted(points):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    for (left, upper), (right, lower) in itertools.pairwise(front):
        if left <= bits <= right:
            return upper + (lower - upper) * (bits - left) / (right - left)
    return front[-1][1] if front and bits >= front[-1][0] else None


def untrained(policy: Consulting, fresh: Consulting) -> Consulting:
    """The policy as it was before it learned: its encoder, and all else as it is made."""
    fresh.encoder, fresh.to_residual = policy.encoder, policy.to_residual
    return fresh.eval()


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the training photographs; those set aside for validation are used")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--policy", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--schedules", type=int, default=24)
    given = parser.parse_args()
    torch.set_num_threads(1)
    shipped, card = load_policy(find_policy("denoise-gray"))
    assert isinstance(shipped, Consulting)
    without = load_policy(find_policy("denoise-gray"))[0]
    without.judge.leave.zero_()  # type: ignore[union-attr]
    policies = {"untrained": untrained(shipped, card.build()), "without the judge": without, "trained": shipped}
    for name, file in (each.split("=", 1) for each in given.policy):
        policies[name] = load_policy(Path(file))[0]
    everything = ActionSet(card.action_names)
    before = ActionSet([name for name in card.action_names if name not in LARGER])
    photos = split(load_photos(given.folder, 1), PICTURES)[1]
    found: dict[str, dict[str, object]] = {}
    for sigma in SIGMAS:
        generator = torch.Generator().manual_seed(1)
        cases = [Case(middle(photo.pixels), sigma, shipped, generator) for photo in photos]
        ways: dict[str, list[Point]] = {}
        for name, actions in (("schedule, 15 operations", before), ("schedule, 20 operations", everything)):
            rules = schedules(torch.Generator().manual_seed(2), given.schedules)
            ways[name] = [mean([by_rule(case, actions, rule) for case in cases]) for rule in rules]
        lambdas = (0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0)
        ways["modes"] = [
            mean([by_rule(case, everything, modes([1] * STEPS, [price] * STEPS)) for case in cases])
            for price in lambdas
        ]
        ways["majority"] = [
            mean([by_rule(case, everything, majority(window)) for case in cases]) for window in (1, 3, 5, 7, 11)
        ]
        for name, policy in policies.items():
            ways[name] = []
            for legibility in LEGIBILITIES:
                points = []
                for case in cases:
                    played, final = rollout(
                        policy, everything, case.noisy, case.condition, STEPS, legibility=legibility
                    )
                    points.append(case.point(final, played.actions))
                ways[name].append(mean(points))
        for name, points in ways.items():
            row = {"points": [[round(x, 3) for x in point] for point in sorted(points)]}
            row |= {f"lost at {bits}": rounded(lost_at(points, bits)) for bits in AT}
            found.setdefault(name, {})[f"{sigma:.0f}"] = row
            print(f"{sigma:.0f} {name:26}", *(row[f"lost at {bits}"] for bits in AT), flush=True)
        given.output.write_text(json.dumps(found, indent=1) + "\n")


def middle(pixels: Tensor) -> Tensor:
    top, left = (max(0, (n - SIDE) // 2) for n in pixels.shape[-2:])
    return pixels[None, :, top : top + SIDE, left : left + SIDE].float() / 255


def rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(value, 3)


if __name__ == "__main__":
    main()
