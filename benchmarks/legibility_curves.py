"""What plain maps cost every policy that can be told: its task's metric and the bits per pixel, on validation pictures.

    python benchmarks/legibility_curves.py BSDS500 -o docs/legibility-curves.json [--only NAME]

BSDS500 holds ``gray/train`` and ``color/train``. Three of the pictures that training sets aside, their middle, at the
levels at which training validates.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from pixelrl.actions import ActionSet
from pixelrl.checkpoint import find_policy, load_policy
from pixelrl.imaging.metrics import bits_per_pixel
from pixelrl.rollout import rollout
from pixelrl.tasks import Task, build_task
from pixelrl.training.data import load_photos, split
from pixelrl.training.recipe import read_recipe
from pixelrl.training.shipped import find_recipe

POLICIES = (
    "denoise-gray",
    "poisson-gray",
    "saltpepper-gray",
    "restore-gray",
    "denoise-color",
    "poisson-color",
    "saltpepper-color",
    "denoise-photo",
    "restore-color",
)
LEGIBILITIES = (0.0, 0.05, 0.2, 0.5, 1.0)
SIDE, PICTURES, SET_ASIDE = 160, 3, 6


def task_of(name: str) -> Task:
    table = read_recipe(find_recipe(f"{name}-legible")).task
    arguments = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items() if key != "kind"}
    return build_task(str(table["kind"]), arguments)


@torch.no_grad()
def curve(name: str, folder: Path) -> dict[str, Any]:
    """For every level, ``[legibility, bits per pixel, metric]`` of each legibility, the default among them."""
    policy, card = load_policy(find_policy(name))
    task, actions = task_of(name), ActionSet(card.action_names)
    channels = int(str(card.arguments.get("num_channels", 1)))
    photos = load_photos(folder / ("color" if channels == 3 else "gray") / "train", channels)
    clean = [middle(photo.pixels) for photo in split(photos, SET_ASIDE)[1][:PICTURES]]
    rows: dict[str, Any] = {"default": policy.default_legibility}
    for level in task.levels:
        starts = [task.degrade(each, level, torch.Generator().manual_seed(i)) for i, each in enumerate(clean)]
        points = []
        for legibility in sorted({*LEGIBILITIES, policy.default_legibility}):
            bits, metric = [], []
            for start in starts:
                played, final = rollout(
                    policy, actions, start.image, start.condition, card.num_steps, legibility=legibility
                )
                bits.append(float(bits_per_pixel(played.actions)))
                metric.append(task.metric(final, start).item())
            points.append([legibility, round(sum(bits) / len(bits), 2), round(sum(metric) / len(metric), 3)])
        rows[f"{level:g}"] = points
        print(name, level, points, flush=True)
    return rows


def middle(pixels: torch.Tensor) -> torch.Tensor:
    top, left = (max(0, (n - SIDE) // 2) for n in pixels.shape[-2:])
    return pixels[None, :, top : top + SIDE, left : left + SIDE].float() / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", action="append", choices=POLICIES, help="this policy; the others stay as they are")
    given = parser.parse_args()
    torch.set_num_threads(1)
    before = json.loads(given.output.read_text()) if given.only else {}
    measured = {name: curve(name, given.folder) for name in given.only or POLICIES}
    found = {name: {**before, **measured}[name] for name in POLICIES if name in {**before, **measured}}
    given.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
