"""What the learned head of each policy that consults is worth, on validation pictures.

    python benchmarks/learned_head.py BSDS500 [--only POLICY ...]

BSDS500 and the pictures are those of `legibility_curves`. Prints a table: the task's metric and the bits per pixel of
the maps at the policy's default legibility, and what is lost to its estimate at two numbers of bits per pixel (between
the legibilities that were played, on straight lines; a dash beyond them). Means over the levels of training, for the
policy before it learned to choose, with its judge silent, and as it is shipped.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean

import torch
from legibility import Point, lost_at, untrained
from legibility_curves import PICTURES, POLICIES, SET_ASIDE, middle, task_of
from pages import table

from pixelrl.actions import ActionSet
from pixelrl.checkpoint import find_policy, load_policy
from pixelrl.imaging.metrics import bits_per_pixel
from pixelrl.policies import Consulting
from pixelrl.rollout import rollout
from pixelrl.training.data import load_photos, split

LEGIBILITIES = (0.1, 0.25, 0.5, 0.75, 1.0)
AT = {1: (2.0, 3.0), 3: (4.0, 8.0)}
"""Bits per pixel at which variants are compared, by the channels of the pictures."""


@torch.no_grad()
def rows(name: str, folder: Path) -> list[list[str]]:
    """A row for each variant of a policy."""
    shipped, card = load_policy(find_policy(name))
    without = load_policy(find_policy(name))[0]
    fresh = card.build()
    assert isinstance(shipped, Consulting)
    assert isinstance(without, Consulting)
    assert isinstance(fresh, Consulting)
    without.judge.leave.zero_()
    torch.manual_seed(0)
    task, actions = task_of(name), ActionSet(card.action_names)
    channels = int(str(card.arguments.get("num_channels", 1)))
    photos = load_photos(folder / ("color" if channels == 3 else "gray") / "train", channels)
    clean = [middle(photo.pixels) for photo in split(photos, SET_ASIDE)[1][:PICTURES]]
    starts = [
        task.degrade(each, level, torch.Generator().manual_seed(i))
        for level in task.levels
        for i, each in enumerate(clean)
    ]
    estimated = fmean(
        task.metric(shipped.estimate(shipped.perceive(start.image, start.condition), start.image), start).item()
        for start in starts
    )
    found = []
    variants = {"untrained": untrained(shipped, fresh), "without the learned head": without, "trained": shipped}
    for variant, policy in variants.items():
        points: list[Point] = []
        for legibility in (shipped.default_legibility, *LEGIBILITIES):
            played = [
                rollout(policy, actions, start.image, start.condition, card.num_steps, legibility=legibility)
                for start in starts
            ]
            metric = fmean(task.metric(final, start).item() for (_, final), start in zip(played, starts, strict=True))
            bits = fmean(float(bits_per_pixel(way.actions)) for way, _ in played)
            points.append((bits, estimated - metric))
        bits, lost = points[0]
        lost_there = [lost_at(points, each) for each in AT[channels]]
        cells = ["-" if each is None else f"{each:.3f}" for each in lost_there]
        found.append(
            [f"`{name}`, {shipped.default_legibility:g}", variant, f"{estimated - lost:.3f} / {bits:.2f}", *cells]
        )
        print(found[-1], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", choices=POLICIES)
    given = parser.parse_args()
    torch.set_num_threads(1)
    measured = [row for name in given.only or POLICIES for row in rows(name, given.folder)]
    print(table(["policy and its default", "", "at the default", "lost at 2 or 4 bits", "at 3 or 8"], measured))


if __name__ == "__main__":
    main()
