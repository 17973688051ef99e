"""Is our learner the paper's? Measurements whose numbers go to docs/paper.json, tables and a figure to docs/paper.md.

    python benchmarks/paper.py critics WEIGHTS PHOTOS     what the released critics say of the returns of our equations
    python benchmarks/paper.py pull WEIGHTS PHOTOS        whether our gradient pulls the released weights anywhere
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
from paper_page import draw, render

from pixelrl.actions import ActionSet
from pixelrl.checkpoint import save_policy
from pixelrl.importers import import_chainer
from pixelrl.pictures.atomic import written_whole
from pixelrl.policies import Policy
from pixelrl.rl.losses import entropy, sampled_policy_loss, value_loss
from pixelrl.rl.returns import n_step_returns
from pixelrl.rollout import Actor, Step, episode
from pixelrl.tasks import GaussianDenoising, SaltPepperDenoising, Task
from pixelrl.training import pictures
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


def played(
    policy: Policy, task: Task, crops: Crops, generators: list[torch.Generator]
) -> tuple[list[Step], list[torch.Tensor]]:
    """An episode as in training, and its rewards. The generators are of crops, of noise and of actions."""
    start = task.begin(crops.sample(generators[0]), generators[1])
    actor = Actor(policy, sampler(generators[2]), policy.perceive(start.image, start.condition))
    steps = list(episode(start.image, ActionSet(task.action_names), actor, task.num_steps))
    return steps, [task.step_reward(start, step.before, step.after) for step in steps]


@torch.no_grad()
def critic(file: Path, task: Task, crops: Crops) -> dict[str, Any]:
    policy = import_chainer(file)[0].train()
    steps, rewards = played(policy, task, crops, [torch.Generator().manual_seed(seed) for seed in (1, 2, 3)])
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


PULLED = ["gaussian-gru-25", "saltpepper-gru-50"]
LOSSES = {"the paper's": GAMMA, "with gamma = 0": 0.0}
LAYERS = {"actor": ("actor", "gru", "to_logits"), "critic": ("critic", "to_value"), "shared": ("enter", "shared")}


def pull(weights: Path, photos: Path, batches: int = 12) -> dict[str, Any]:
    """Of the mean square of the gradients of batches, the share that is their mean: unbiased, so perhaps below 0."""
    everything, found = load_photos(photos), {}
    for name in PULLED:
        policy, task = import_chainer(weights / f"{name}.npz")[0].train(), task_of(name)
        crops, generators = (
            Crops(everything, 64, 2, CPU),
            [torch.Generator().manual_seed(seed) for seed in (11, 12, 13)],
        )
        parameters = dict(policy.named_parameters())
        gradients: dict[str, dict[str, list[torch.Tensor]]] = {loss: {kind: [] for kind in LAYERS} for loss in LOSSES}
        for _ in range(batches):
            steps, rewards = played(policy, task, crops, generators)
            for loss, gamma in LOSSES.items():
                value = paper_loss(steps, n_step_returns(rewards, None, gamma))
                parts = torch.autograd.grad(value, list(parameters.values()), retain_graph=True)
                for kind, layers in LAYERS.items():
                    own = [part for each, part in zip(parameters, parts, strict=True) if each.startswith(layers)]
                    gradients[loss][kind].append(torch.cat([part.flatten() for part in own]))
        found[name] = {
            loss: {kind: shared_square(torch.stack(each)) for kind, each in kinds.items()}
            for loss, kinds in gradients.items()
        }
        print(name, found[name], flush=True)
    return found


def paper_loss(steps: list[Step], returns: list[torch.Tensor]) -> torch.Tensor:
    total = torch.zeros(())
    for step, future in zip(steps, returns, strict=True):
        actions, logits, value = step.decision
        total = total + sampled_policy_loss(logits, actions, future - value)
        total = total + 0.5 * value_loss(value, future) - 0.01 * entropy(logits).mean()
    return total


def shared_square(gradients: torch.Tensor) -> dict[str, float]:
    return {"share": mean_share(gradients), "square": gradients.square().sum(1).mean().item()}


def mean_share(gradients: torch.Tensor) -> float:
    """Of ``(n, weights)``: the mean product of two different gradients, over the mean product of one with itself."""
    squares, n = gradients.square().sum(), len(gradients)
    return ((gradients.sum(0).square().sum() - squares) / (n - 1) / squares).item()


def recipe_of(name: str, photos: Path, released: dict[str, Path]) -> Recipe:
    recipe, start, settings = RUNS[name]
    initial = [f"initial={released[start]}"] if start else []
    return read_recipe(shipped_recipes()[recipe], [*settings, *initial, f"data.folder={photos}"])


def train(name: str, weights: Path, photos: Path, runs: Path) -> list[dict[str, float]]:
    """One short training: means over 20 iterations, and now and then the validation."""
    pictures.VALIDATION_SIDE = VALIDATION_SIDE
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("critics", "pull", "train"):
        places = commands.add_parser(command)
        places.add_argument("weights", type=Path)
        places.add_argument("photos", type=Path)
        if command == "train":
            places.add_argument("runs", type=Path)
            places.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    commands.add_parser("page")
    given = parser.parse_args()
    measured: dict[str, Any] = {"critics": {}, "pull": {}, "runs": {}}
    if STORE.exists():
        measured |= json.loads(STORE.read_text())
    if given.command == "critics":
        measured["critics"] = critics(given.weights, given.photos)
        keep(measured)
    elif given.command == "pull":
        measured["pull"] = pull(given.weights, given.photos)
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
    pull = json.dumps(exact["pull"])
    return f'{{\n "critics": {{\n{critics}\n }},\n "pull": {pull},\n "runs": {{\n{logs}\n }}\n}}'


if __name__ == "__main__":
    main()
