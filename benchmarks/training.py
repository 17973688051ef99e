"""Crops per second in both phases of a training, and where the time goes.

    python benchmarks/training.py RECIPE.toml [--iterations N] [--device auto|cpu|cuda] [--set a.b=c]

The photographs are random: nothing that is timed depends on what they show. Iterations that are not timed come first,
in which convolutions are prepared. On a GPU, every part waits for the one before.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from msgspec.structs import replace

from pixelrl.agent import choose_device
from pixelrl.training.recipe import Recipe, read_recipe
from pixelrl.training.shipped import find_recipe
from pixelrl.training.trainer import Trainer

HEIGHT, WIDTH, PHOTOS, UNTIMED = 321, 481, 40, 3
PHASES = ("warm_start", "reinforcement")


class Clock:
    """Seconds spent in calls of some methods."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, 0.0

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def watch(self, owner: object, *names: str) -> None:
        for name in names:
            setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, call: Callable[..., object]) -> Callable[..., object]:
        def timed(*arguments: object) -> object:
            began = self.now()
            result = call(*arguments)
            self.seconds += self.now() - began
            return result

        return timed


def measure(recipe: Recipe, phase: str, iterations: int, device: torch.device) -> dict[str, float]:
    """Crops per second of one phase, and the shares of time."""
    phases = {
        name: replace(getattr(recipe, name), iterations=(UNTIMED + iterations) * (name == phase), cooldown=0)
        for name in PHASES
    }
    with tempfile.TemporaryDirectory() as folder:
        random = np.random.default_rng(0)
        for i in range(PHOTOS):
            cv2.imwrite(f"{folder}/{i}.png", random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
        data = replace(recipe.data, folder=folder, validation=1)
        trainer = Trainer(replace(recipe, data=data, **phases), Path(folder), device)
    for _ in range(UNTIMED):
        trainer.step()
    filters, crops = Clock(device), Clock(device)
    filters.watch(trainer.learner.actions, "outcomes", "select")
    for each in trainer.crops.values():
        crops.watch(each, "sample")
    crops.watch(trainer.task, "begin")
    began = crops.now()
    for _ in range(iterations):
        trainer.step()
    total = crops.now() - began
    # Forward, losses, backward, optimiser and the moving average of the weights: all that is left.
    network = total - filters.seconds - crops.seconds
    shares = {"network": network, "filters": filters.seconds, "data": crops.seconds}
    speed = iterations * recipe.data.batch / total
    return {"speed": speed, **{name: 100 * seconds / total for name, seconds in shares.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    recipe, device = read_recipe(find_recipe(arguments.recipe), arguments.overrides), choose_device(arguments.device)
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    batch = f"batches of {recipe.data.batch} crops of {recipe.data.crop}x{recipe.data.crop}"
    print(f"{recipe.name}: {arguments.iterations} {batch} in each phase, {recipe.learner.precision}, {place}\n")
    print("| phase | crops / s | network | filters | data |\n|---|---|---|---|---|")
    for phase in PHASES:
        if getattr(recipe, phase).iterations:
            row = measure(recipe, phase, arguments.iterations, device)
            shares = " | ".join(f"{row[part]:.0f} %" for part in ("network", "filters", "data"))
            print(f"| {phase} | {row['speed']:.1f} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
