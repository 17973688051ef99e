"""What each part of the method contributes: small trainings of equal time, three seeds each.

    python benchmarks/ablation.py FOLDER_OF_TRAINING_PHOTOGRAPHS [--minutes 10] [--seeds 3]

Every variant changes one thing of the recipe `ablation` and trains for the same minutes of one processor. The 16
validation photographs are cut from the training folder. Runs are kept in docs/ablation.json, so that an interrupted
measurement goes on; the table is printed, for docs/ablation.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import torch

from pixelrl.pictures.atomic import written_whole
from pixelrl.training.recipe import read_recipe
from pixelrl.training.shipped import shipped_recipes
from pixelrl.training.trainer import Trainer

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "docs" / "ablation.json"

GREEDY = ["reinforcement.iterations=0", "warm_start.iterations=1000000"]
PAPER = ['policy={kind="fcn", recurrent=true}', "warm_start.iterations=0"]
VARIANTS: dict[str, tuple[str, list[str]]] = {
    "base": ("lookahead, all-action gradient, T = 5", []),
    "greedy": ("without reinforcement learning: greedy towards the estimate", GREEDY),
    "sampled": ("sampled A2C instead of the all-action gradient", ['learner.gradient="sampled"']),
    "rmc": ("with reward map convolution", ["policy.reward_map_convolution=true"]),
    "ten": ("T = 10", ["task.num_steps=10"]),
    "fcn": ("the paper's network (fcn + GRU), all-action", PAPER),
    "fcn-sampled": ("the paper's network, sampled A2C", [*PAPER, 'learner.gradient="sampled"']),
}


def run(name: str, seed: int, data: Path, minutes: float) -> dict[str, object]:
    """Train one variant with one seed; its validation PSNRs in dB."""
    settings = [f"data.folder={data}", f"seed={seed}", *VARIANTS[name][1]]
    recipe = read_recipe(shipped_recipes()["ablation"], settings)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, Path(folder), torch.device("cpu"), validate_every=10**9)
        start = trainer.validate()
        # Processor time, which what else the machine does hardly changes.
        end = time.process_time() + 60 * minutes
        while trainer.iteration < recipe.iterations and time.process_time() < end:
            trainer.step()
        scores = trainer.validate()
    warm = min(trainer.iteration, recipe.warm_start.iterations)
    done = {"warm_start": warm, "reinforcement": trainer.iteration - warm}
    return {"variant": name, "seed": seed, "minutes": minutes, **done, "untrained": start["psnr"], **scores}


def table(runs: list[dict[str, object]]) -> str:
    """Means over the seeds, as Markdown."""
    lines = ["| variant | PSNR | spread | of the estimate | lost by acting | iterations: supervised + RL |"]
    lines += ["|---|---|---|---|---|---|"]
    for name, (words, _) in VARIANTS.items():
        mine = [entry for entry in runs if entry["variant"] == name]
        if not mine:
            continue
        result = [float(str(entry["psnr"])) for entry in mine]
        spread = f"{min(result):.2f} - {max(result):.2f}"
        estimates = [float(str(entry["psnr_estimate"])) for entry in mine if "psnr_estimate" in entry]
        estimate, lost = "-", "-"
        if estimates:
            estimate = f"{statistics.fmean(estimates):.3f}"
            lost = f"{statistics.fmean(estimates) - statistics.fmean(result):.3f}"
        counts = " + ".join(
            str(round(statistics.fmean(float(str(entry[phase])) for entry in mine)))
            for phase in ("warm_start", "reinforcement")
        )
        lines.append(f"| {words} | {statistics.fmean(result):.3f} | {spread} | {estimate} | {lost} | {counts} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train every variant for the same time.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # of several threads, processor time would count the waiting too
    cv2.setNumThreads(1)
    runs: list[dict[str, object]] = json.loads(RUNS.read_text()) if RUNS.exists() else []
    runs = [entry for entry in runs if entry["minutes"] == arguments.minutes]
    known = {(entry["variant"], entry["seed"]) for entry in runs}
    for seed in range(arguments.seeds):
        for name in VARIANTS:
            if (name, seed) not in known:
                runs.append(run(name, seed, arguments.data, arguments.minutes))
                print(runs[-1], flush=True)
                with written_whole(RUNS) as temporary:
                    temporary.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    print(table(runs))


if __name__ == "__main__":
    main()
