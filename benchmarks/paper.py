"""Is our learner the paper's? Measurements whose numbers go to docs/paper.json, tables and a figure to docs/paper.md.

    python benchmarks/paper.py critics WEIGHTS PHOTOS     what the released critics say of the returns of our equations
    python benchmarks/paper.py train WEIGHTS PHOTOS RUNS  short trainings, from the released weights and from nothing
    python benchmarks/paper.py page                       tables into docs/paper.md, docs/paper.png (needs Matplotlib)

WEIGHTS is the folder of the authors' files (.npz), PHOTOS that of the grey training photographs of BSDS500. Everything
is measured on photographs of that folder; for the trainings 16 of them are set aside for validation.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch

from pixelrl.actions import ActionSet
from pixelrl.checkpoint import save_policy
from pixelrl.importers import import_chainer
from pixelrl.pictures.atomic import written_whole
from pixelrl.rl.returns import n_step_returns
from pixelrl.rollout import Actor, episode
from pixelrl.tasks import GaussianDenoising, SaltPepperDenoising, Task
from pixelrl.training import trainer
from pixelrl.training.data import Crops, load_photos
from pixelrl.training.recipe import Recipe, read_recipe
from pixelrl.training.sampling import sampler
from pixelrl.training.shipped import shipped_recipes
from pixelrl.training.trainer import Trainer

DOCS = Path(__file__).parents[1] / "docs"
STORE, PAGE, FIGURE = DOCS / "paper.json", DOCS / "paper.md", DOCS / "paper.png"
CPU = torch.device("cpu")

RELEASED = [f"gaussian-{kind}-{sigma}" for kind in ("fcn", "gru", "gru-rmc") for sigma in (15, 25, 50)]
RELEASED.append("saltpepper-gru-50")
GAMMA, SEEDS = 0.95, 3

GOING_ON = ["data.crop=48", "data.batch=2", "data.tilt=0", "reinforcement.lr=1e-4"]
SMALL = ["data.crop=40", "data.batch=4", "data.tilt=0", "policy.width=16", "reinforcement.iterations=400", "initial="]
VALIDATION_SIDE = 128
EVERY, VALIDATED = 20, 80  # iterations between rows, and between validations


def continued(iterations: int) -> list[str]:
    return [*GOING_ON, f"reinforcement.iterations={iterations}"]


RUNS: dict[str, tuple[str, str, list[str]]] = {
    "gaussian-25-plain": ("paper/gaussian-25-plain", "gaussian-fcn-25", continued(80)),
    "gaussian-25-gru": ("paper/gaussian-25-gru", "gaussian-gru-25", continued(80)),
    "gaussian-25-rmc": ("paper/gaussian-25-rmc", "gaussian-gru-25", continued(80)),
    "saltpepper-50-gru": ("paper/saltpepper-50-gru", "saltpepper-gru-50", continued(240)),
    "saltpepper-50-rmc": ("paper/saltpepper-50-rmc", "saltpepper-gru-50", continued(240)),
    **{
        f"scratch-{stage}-{seed}": (f"paper/saltpepper-50-{stage}", "", [*SMALL, f"seed={seed}"])
        for seed in range(SEEDS)
        for stage in ("gru", "rmc")
    },
}
"""Recipe, released weights to start from, and what is changed in the recipe."""


def critics(weights: Path, photos: Path) -> dict[str, Any]:
    """For each released model: the mean value and return of every step, and the error of the value by kernel."""
    crops = Crops(load_photos(photos), 70, 16, CPU)
    found = {}
    for name in RELEASED:
        found[name] = critic(weights / f"{name}.npz", task_of(name), crops)
        print(name, found[name], flush=True)
    return found


def task_of(name: str) -> Task:
    level = float(name.rpartition("-")[2])
    if name.startswith("gaussian"):
        return GaussianDenoising(sigma=(level, level), balanced=False)
    return SaltPepperDenoising(density=(level / 100, level / 100), balanced=False)


@torch.no_grad()
def critic(file: Path, task: Task, crops: Crops) -> dict[str, Any]:
    policy = import_chainer(file)[0].train()
    start = task.begin(crops.sample(torch.Generator().manual_seed(1)), torch.Generator().manual_seed(2))
    choose = sampler(torch.Generator().manual_seed(3))
    actor = Actor(policy, choose, policy.perceive(start.image, start.condition))
    steps = list(episode(start.image, ActionSet(task.action_names), actor, task.num_steps))
    rewards = [task.step_reward(start, step.before, step.after) for step in steps]
    values = torch.stack([step.decision.value for step in steps])

    def inner(maps: torch.Tensor) -> torch.Tensor:
        """Without what the crop's border can reach, once through the network."""
        return maps[..., 16:-16, 16:-16]

    def returns(kernel: torch.Tensor | None, gamma: float = GAMMA) -> torch.Tensor:
        return torch.stack(n_step_returns(rewards, None, gamma, kernel))

    def error(of: torch.Tensor) -> float:
        return (inner(values) - inner(of)).square().mean().item() / 2

    own, kernel = returns(policy.reward_kernel), policy.reward_kernel
    found: dict[str, Any] = {
        "value": [inner(value).mean().item() for value in values],
        "return": [inner(each).mean().item() for each in own],
        "reward": [inner(each).mean().item() for each in rewards],
        "explained": 1 - 2 * error(own) / inner(own).var().item(),
        "value_loss": error(own),
    }
    if kernel is not None:
        delta = torch.zeros_like(kernel)
        delta[0, 0, 16, 16] = 1
        way = {
            f"{share:g}": error(returns(delta + share * (kernel - delta))) for share in (0, 0.5, 0.8, 1, 1.2, 1.5, 2)
        }
        found |= {"kernel": numbers_of(kernel), "value_loss_on_the_way": way}
    return found


def numbers_of(kernel: torch.Tensor) -> dict[str, float]:
    return {"kernel_centre": kernel[0, 0, 16, 16].item(), "kernel_sum": kernel.sum().item()}


def recipe_of(name: str, photos: Path, released: dict[str, Path]) -> Recipe:
    recipe, start, settings = RUNS[name]
    initial = [f"initial={released[start]}"] if start else []
    return read_recipe(shipped_recipes()[recipe], [*settings, *initial, f"data.folder={photos}"])


def train(name: str, weights: Path, photos: Path, runs: Path) -> list[dict[str, float]]:
    """One short training: means over 20 iterations, and now and then the validation."""
    trainer.VALIDATION_SIDE = VALIDATION_SIDE
    start, released = RUNS[name][1], {}
    if start:
        runs.mkdir(parents=True, exist_ok=True)
        released[start] = runs / f"{start}.safetensors"
        save_policy(released[start], *import_chainer(weights / f"{start}.npz"))
    training = Trainer(recipe_of(name, photos, released), runs / name, CPU)
    rows = [{"iteration": 0.0, "psnr": training.validate()["psnr"]}]
    sums: dict[str, list[float]] = {}
    while training.iteration < training.recipe.iterations:
        for key, value in training.step()[2].items():
            sums.setdefault(key, []).append(value)
        if training.iteration % EVERY:
            continue
        row = {"iteration": float(training.iteration)}
        row |= {key: statistics.fmean(values) for key, values in sums.items()}
        sums = {}
        if training.iteration % VALIDATED == 0:
            row["psnr"] = training.validate()["psnr"]
        kernel = training.policy.reward_kernel
        rows.append(row | ({} if kernel is None else numbers_of(kernel.detach())))
        print(name, rows[-1], flush=True)
    return rows


def tables(measured: dict[str, Any]) -> dict[str, str]:
    """The tables of the page by their names."""
    found, runs = measured["critics"], measured["runs"]
    return {"critics": critics_table(found), "kernels": kernels_table(found), "runs": runs_table(runs)}


def critics_table(found: dict[str, dict[str, Any]]) -> str:
    rows = [
        "| released file | step 1: value, return, reward | step 2: value, return, reward | explained |",
        "|---|---|---|---|",
    ]
    for name, numbers in found.items():
        steps = zip(numbers["value"], numbers["return"], numbers["reward"], strict=True)
        first, second, *_ = (", ".join(f"{number:.3f}" for number in step) for step in steps)
        rows.append(f"| {name} | {first} | {second} | {100 * numbers['explained']:.1f} % |")
    return "\n".join(rows)


def kernels_table(found: dict[str, dict[str, Any]]) -> str:
    kernels = {name: numbers for name, numbers in found.items() if "kernel" in numbers}
    rows = [f"| | {' | '.join(kernels)} |", "|---" * (1 + len(kernels)) + "|"]

    def row(label: str, cells: list[str]) -> None:
        rows.append(f"| {label} | {' | '.join(cells)} |")

    row("kernel's centre (delta: 1)", [f"{numbers['kernel']['kernel_centre']:.2f}" for numbers in kernels.values()])
    row("kernel's sum (delta: 1)", [f"{numbers['kernel']['kernel_sum']:.2f}" for numbers in kernels.values()])
    words = {"0": "value loss with the delta", "1": "with the released kernel"}
    for share in ("0", "0.5", "0.8", "1", "1.2", "1.5"):
        losses = [f"{numbers['value_loss_on_the_way'][share]:.4f}" for numbers in kernels.values()]
        row(words.get(share, f"at {share} of the way from the one to the other"), losses)
    return "\n".join(rows)


def runs_table(runs: dict[str, list[dict[str, float]]]) -> str:
    rows = ["| training | iterations | PSNR before | PSNR after | kernel: centre, sum |", "|---|---|---|---|---|"]
    for name, log in runs.items():
        scores = [row for row in log if "psnr" in row]
        first, last = scores[0], scores[-1]
        kernel = f"{last['kernel_centre']:.3f}, {last['kernel_sum']:.2f}" if "kernel_sum" in last else "-"
        rows.append(f"| {name} | {last['iteration']:.0f} | {first['psnr']:.3f} | {last['psnr']:.3f} | {kernel} |")
    return "\n".join(rows)


def put(page: str, name: str, table: str) -> str:
    """The page with this table between its marks."""
    before, begin, rest = page.partition(f"<!-- {name}: from paper.json -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    assert begin, f"{PAGE} has no place for {name}"
    assert end, f"{PAGE} has no end of {name}"
    return f"{before}{begin}{table}\n{end}{after}"


def render(measured: dict[str, Any], page: str) -> str:
    for name, table in tables(measured).items():
        page = put(page, name, table)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("critics", "train"):
        places = commands.add_parser(command)
        places.add_argument("weights", type=Path)
        places.add_argument("photos", type=Path)
        if command == "train":
            places.add_argument("runs", type=Path)
            places.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    commands.add_parser("page")
    given = parser.parse_args()
    measured: dict[str, Any] = {"critics": {}, "runs": {}}
    if STORE.exists():
        measured |= json.loads(STORE.read_text())
    if given.command == "critics":
        measured["critics"] = critics(given.weights, given.photos)
        keep(measured)
    elif given.command == "train":
        for name in given.only:
            measured["runs"][name] = train(name, given.weights, given.photos, given.runs)
            keep(measured)
    else:
        PAGE.write_text(render(measured, PAGE.read_text()))
        draw(measured, FIGURE)


def keep(measured: dict[str, Any]) -> None:
    """Into docs/paper.json, with five digits."""
    with written_whole(STORE) as temporary:
        temporary.write_text(dumped(measured) + "\n")


def dumped(measured: dict[str, Any]) -> str:
    """As JSON: one row of a log in a line."""
    exact = json.loads(json.dumps(measured), parse_float=lambda text: float(f"{float(text):.6g}"))
    runs = {name: [json.dumps(row) for row in exact["runs"][name]] for name in RUNS if name in exact["runs"]}
    logs = ",\n".join(f"  {json.dumps(name)}: [\n   " + ",\n   ".join(rows) + "\n  ]" for name, rows in runs.items())
    critics = ",\n".join(f"  {json.dumps(name)}: {json.dumps(numbers)}" for name, numbers in exact["critics"].items())
    return f'{{\n "critics": {{\n{critics}\n }},\n "runs": {{\n{logs}\n }}\n}}'


def draw(measured: dict[str, Any], file: Path) -> None:
    """The curves of all trainings: PSNR on the validation photographs, and the sum of the learned kernels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    panels = figure.subplots(2, 2).flatten()
    kinds = {
        "gaussian-25": "Gaussian, sigma 25, from the released weights",
        "saltpepper-50": "salt & pepper 0.5, from the released weights",
        "scratch": "salt & pepper 0.5, from nothing, 16 channels",
    }
    colors, words = {"plain": "#777777", "gru": "#2d5fc8", "rmc": "#c8372d"}, {"gru": "convGRU", "rmc": "convGRU + RMC"}
    for panel, (kind, title) in zip(panels, kinds.items(), strict=False):
        for name, log in measured["runs"].items():
            if not name.startswith(kind):
                continue
            stage, points = name.removeprefix(f"{kind}-"), [row for row in log if "psnr" in row]
            stage, _, seed = stage.partition("-")
            label = words.get(stage, stage) if seed in ("", "0") else None
            x, y = ([row[key] for row in points] for key in ("iteration", "psnr"))
            panel.plot(x, y, marker="o", markersize=3, color=colors[stage], label=label)
        panel.set(title=title, xlabel="iterations", ylabel="validation PSNR (dB)")
        if panel.lines:
            panel.legend()
    panels[2].set_ylim(bottom=15)  # the untrained policies lie far below
    for name, log in measured["runs"].items():
        points = [row for row in log if "kernel_sum" in row]
        if points:
            panels[3].plot(
                [0, *(row["iteration"] for row in points)], [1, *(row["kernel_sum"] for row in points)], label=name
            )
    for numbers in measured["critics"].values():
        if "kernel" in numbers:
            panels[3].axhline(numbers["kernel"]["kernel_sum"], color="#999999", linestyle=":", linewidth=1)
    panels[3].set(title="sum of the learned kernel (dotted: released)", xlabel="iterations")
    panels[3].legend(fontsize=7)
    figure.savefig(file, dpi=100)


if __name__ == "__main__":
    main()
