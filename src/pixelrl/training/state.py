"""The state of a training in one file, from which it goes on bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixelrl.checkpoint import load_weights, read_tensors, write_tensors
from pixelrl.errors import UsageError
from pixelrl.plugins import folders, look_in
from pixelrl.policies import Policy
from pixelrl.policy_files import read_header
from pixelrl.training.recipe import PLACES, Recipe, recipe_from_dict
from pixelrl.validation import shown

CONTENT = "training state"
FIXED = ("task", "policy", "learner", "seed", "data")
"""What must stay the same, but for where the data lies."""
PHASES = ("warm_start", "reinforcement")

Weights = dict[str, Tensor]


def write_state(
    path: Path,
    policy: Policy,
    ema: Weights,
    optimiser: torch.optim.Optimizer,
    generators: dict[str, torch.Generator],
    recipe: Recipe,
    header: dict[str, object],
) -> None:
    """Write weights, their moving average, the optimiser's moments and generators, and the recipe.

    Raises:
        UsageError: the place cannot be written.
    """
    tensors = {f"policy.{name}": tensor for name, tensor in policy.state_dict().items()}
    tensors |= {f"ema.{name}": tensor for name, tensor in ema.items()}
    names = [name for name, _ in policy.named_parameters()]
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{names[index]}.{key}": tensor for key, tensor in moments.items()}
    tensors |= {name: generator.get_state() for name, generator in generators.items()}
    plan = recipe.as_dict()
    # A run may be gone on with from another folder. Unlike a policy, its state stays on this machine.
    plan["data"] |= {key: str(Path(plan["data"][key]).resolve()) for key in PLACES if plan["data"][key]}
    write_tensors(path, tensors, {"format": 1, "content": CONTENT, "recipe": plan, "modules": folders(), **header})


def recipe_of(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe that a run remembers, with overrides as in `pixelrl.training.recipe.read_recipe`.

    Raises:
        UsageError: no state there, or one without a recipe, or overrides that are not valid.
    """
    header = read_header(path, CONTENT)
    plan, modules = header.get("recipe"), header.get("modules", [])
    if not isinstance(plan, dict):
        raise UsageError(f"{path} does not say which recipe it was trained with; give the recipe, too")
    for folder in modules if isinstance(modules, list) else []:
        look_in(Path(folder))
    return recipe_from_dict(plan, str(path), overrides)


def read_state(path: Path, recipe: Recipe) -> tuple[Weights, dict[str, object], list[str]]:
    """Read a state to go on from with ``recipe``: its tensors, its header and the phases that have changed since.

    Only the phases may change, where the photographs lie, and what no longer matters (name and initial weights).

    Raises:
        UsageError: no state there, or one of another task, policy, learner, seed or data.
    """
    tensors, header = read_tensors(path, CONTENT)
    theirs, ours = recipe_of(path).as_dict(), recipe.as_dict()
    for key, before in _settings(theirs).items():
        now = _settings(ours).get(key)
        if now != before:
            raise UsageError(
                f"{path} was trained with {key} = {shown(before)}, not {shown(now)}; leave that as it was, or start a "
                "new folder (only the phases may change, and where the photographs lie)"
            )
    return tensors, header, [phase for phase in PHASES if theirs[phase] != ours[phase]]


def _settings(recipe: dict[str, Any]) -> dict[str, object]:
    """What must stay the same, by dotted names."""
    fixed: dict[str, object] = {}
    for table in FIXED:
        value = recipe[table]
        if isinstance(value, dict):
            fixed |= {f"{table}.{key}": value[key] for key in value if not (table == "data" and key in PLACES)}
        else:
            fixed[table] = value
    return fixed


def restore(
    path: Path,
    tensors: Weights,
    policy: Policy,
    optimiser: torch.optim.Optimizer,
    generators: dict[str, torch.Generator],
) -> Weights:
    """Set weights, moments and generators to those of a state read from ``path``; its moving average of the weights.

    Raises:
        UsageError: the weights are not those of this policy.
    """
    load_weights(policy, _under(tensors, "policy."), path)
    moments = {i: _under(tensors, f"optimiser.{name}.") for i, (name, _) in enumerate(policy.named_parameters())}
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": {i: m for i, m in moments.items() if m}, "param_groups": groups})
    for name, generator in generators.items():
        generator.set_state(tensors[name])
    like = policy.state_dict()  # a state that was kept in half precision goes on in full
    return {name: tensor.to(like[name]) for name, tensor in _under(tensors, "ema.").items()}


def _under(tensors: Weights, prefix: str) -> Weights:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
