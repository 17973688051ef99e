"""The state of a training in one file, from which it goes on bit for bit."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from pixelrl.checkpoint import load_weights, read_tensors, write_tensors
from pixelrl.errors import UsageError
from pixelrl.policies import Policy
from pixelrl.training.recipe import DataSettings, LearnerSettings, Recipe

CONTENT = "training state"
FIXED = ("task", "policy", "learner", "seed", "data")
PLACES = {"folder": "", "more": "", "more_validation": ""}
PHASES = ("warm_start", "reinforcement")

Weights = dict[str, Tensor]


def write_state(
    path: Path,
    policy: Policy,
    ema: Weights,
    optimiser: torch.optim.Optimizer,
    generators: dict[str, torch.Generator],
    header: dict[str, object],
) -> None:
    """Write weights, their moving average, the optimiser's moments and generators; ``header`` says of which recipe.

    Raises:
        UsageError: the place cannot be written.
    """
    tensors = {f"policy.{name}": tensor for name, tensor in policy.state_dict().items()}
    tensors |= {f"ema.{name}": tensor for name, tensor in ema.items()}
    names = [name for name, _ in policy.named_parameters()]
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{names[index]}.{key}": tensor for key, tensor in moments.items()}
    tensors |= {name: generator.get_state() for name, generator in generators.items()}
    write_tensors(path, tensors, {"format": 1, "content": CONTENT, **header})


def read_state(path: Path, recipe: Recipe) -> tuple[Weights, dict[str, object], list[str]]:
    """Read a state to go on from with ``recipe``: its tensors, its header and the phases that have changed since.

    Only the phases may change, where the photographs lie, and what no longer matters (name and initial weights).

    Raises:
        UsageError: no state there, or one of another task, policy, learner, seed or data.
    """
    tensors, header = read_tensors(path, CONTENT)
    theirs, ours = header.get("recipe"), json.loads(json.dumps(recipe.as_dict()))
    if not isinstance(theirs, dict):
        raise UsageError(f"{path} does not say which recipe it was trained with; start a new folder")
    # A setting that is newer than the state had the effect of its default.
    defaults = json.loads(json.dumps({"data": asdict(DataSettings()), "learner": asdict(LearnerSettings())}))
    for key in FIXED:
        before, now = ({**defaults.get(key, {}), **_table(r.get(key)), **PLACES} for r in (theirs, ours))
        if before != now:
            raise UsageError(f"{path} was trained with another {key} ({theirs.get(key)}); start a new folder")
    return tensors, header, [phase for phase in PHASES if theirs.get(phase) != ours[phase]]


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
    device = next(policy.parameters()).device
    return {name: tensor.to(device) for name, tensor in _under(tensors, "ema.").items()}


def _under(tensors: Weights, prefix: str) -> Weights:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {"": value}
