"""Policies and training states on disk: safetensors with JSON in the header. Nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.errors import UsageError
from pixelrl.imaging.color import OPPONENT, opponent_of
from pixelrl.pictures.atomic import written_whole
from pixelrl.policies import Policy, build_policy
from pixelrl.policy_files import FORMAT, HEADER, Info, read_header, weights_file
from pixelrl.policy_files import find_policy as find_policy
from pixelrl.policy_files import shipped_policies as shipped_policies
from pixelrl.tasks import find_conditioning
from pixelrl.tasks.base import checked_steps
from pixelrl.validation import as_path


@dataclass(frozen=True)
class PolicyCard:
    """What a policy file says of itself.

    Attributes:
        name: a short name, for instance ``denoise-gray``.
        kind: key of `pixelrl.policies.POLICIES`, or ``module:Class``.
        arguments: that class's constructor arguments, without ``num_actions``.
        action_names: the operations, in the order of the network's outputs.
        num_steps: T it was trained for.
        condition: what it is told beside the image (`pixelrl.tasks.Conditioning.reference`), None for nothing.
        training: how it came about, for people: recipe, iterations, minutes, or the file it was imported from.
        space: of the values that its agents work on (`pixelrl.tasks.Task.space`).
    """

    name: str
    kind: str
    arguments: Info
    action_names: tuple[str, ...]
    num_steps: int
    condition: str | None
    training: Info
    space: str = "srgb"

    @property
    def told_space(self) -> str:
        """The space of the values that its condition holds for: of opponent colours, those that they are made of."""
        return "srgb" if self.space == OPPONENT else self.space

    def space_for(self, told: str | None) -> str:
        """The space of the values that its agents work on, where its condition asks for a space, or for none."""
        return opponent_of(told or "srgb") if self.space == OPPONENT else told or self.space

    def trained(self, quantity: str) -> tuple[float, float] | None:
        """Between what a number that the policy is told lay in its training; None where the file does not say it."""
        recipe = self.training.get("recipe")
        task = recipe.get("task") if isinstance(recipe, Mapping) else None
        limits = task.get(quantity) if isinstance(task, Mapping) else None
        if not isinstance(limits, list | tuple) or len(limits) != 2:
            return None
        low, high = limits
        return (float(low), float(high)) if isinstance(low, int | float) and isinstance(high, int | float) else None

    @property
    def reinforced(self) -> bool:
        """Whether the policy was trained by reinforcement: not where its file says that this phase never began.

        What it was given of another policy that was, its judge or factors (`tools/judge.py`), counts as well.
        """
        if self.training.keys() & {"judge", "factors"}:
            return True
        recipe, done = self.training.get("recipe"), self.training.get("iterations")
        if not isinstance(recipe, Mapping) or not isinstance(done, int):
            return True
        phases = [recipe.get(name) for name in ("warm_start", "reinforcement")]
        warm_start, reinforcement = (phase.get("iterations") if isinstance(phase, Mapping) else 0 for phase in phases)
        return reinforcement != 0 and (not isinstance(warm_start, int) or done > warm_start)

    def build(self, may_import: bool = False) -> Policy:
        """The policy with fresh weights; see `pixelrl.policies.build_policy`."""
        return build_policy(self.kind, {**self.arguments, "num_actions": len(self.action_names)}, may_import)


def save_policy(path: str | Path, policy: Policy, card: PolicyCard) -> None:
    """Write a policy file (in one piece: to a temporary name, then renamed)."""
    header = {"format": FORMAT, "content": "policy", **asdict(card)}
    write_tensors(as_path(path, "policy file"), policy.state_dict(), header)


def load_policy(path: str | Path, device: torch.device | None = None) -> tuple[Policy, PolicyCard]:
    """Read a policy file; the policy is in evaluation mode.

    Raises:
        UsageError: not a policy file, truncated, made by a newer version, with unknown actions or weights, or with
            code of a user's own that is not imported (`pixelrl.plugins`).
    """
    path = as_path(path, "policy file")
    tensors, header = read_tensors(path, "policy")
    try:
        card = PolicyCard(
            name=str(header["name"]),
            kind=str(header["kind"]),
            arguments=dict(header["arguments"]),  # type: ignore[call-overload]
            action_names=tuple(str(name) for name in header["action_names"]),  # type: ignore[attr-defined]
            num_steps=checked_steps(int(header["num_steps"])),  # type: ignore[call-overload]
            condition=None if header["condition"] is None else str(header["condition"]),
            training=dict(header["training"]),  # type: ignore[call-overload]
            space=str(header.get("space", "srgb")),
        )
    except UsageError as error:
        raise UsageError(f"policy file {path}: {error}") from error
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"policy file {path} has a damaged header: {error!r}") from error
    ActionSet(card.action_names)  # refuses names that this version does not know
    policy = card.build()
    load_weights(policy, tensors, path)
    find_conditioning(card.condition)  # likewise
    return policy.to(device, torch.float32).eval(), card


def load_weights(policy: Policy, tensors: dict[str, Tensor], path: Path) -> None:
    """Fill a policy with tensors of the same names and shapes; half precision becomes float32.

    Raises:
        UsageError: they do not fit; the first difference is named.
    """
    expected = policy.state_dict()
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors:
            raise UsageError(f"policy file {path} lacks the weight {name}")
        if name not in expected:
            raise UsageError(f"policy file {path} has the weight {name}, which its kind of policy does not have")
        if tensors[name].shape != expected[name].shape:
            shapes = f"{tuple(tensors[name].shape)}, not {tuple(expected[name].shape)}"
            raise UsageError(f"policy file {path}: the weight {name} has the shape {shapes}")
        if not torch.isfinite(tensors[name]).all():
            raise UsageError(f"policy file {path}: the weight {name} is not finite")
    policy.load_state_dict(tensors)


def write_tensors(path: Path, tensors: dict[str, Tensor], header: Info) -> None:
    """Write named tensors and a JSON header, atomically.

    Raises:
        UsageError: the place cannot be written.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = save(contiguous, {HEADER: json.dumps(header, sort_keys=True)})
        with written_whole(path) as temporary, temporary.open("xb") as file:  # save_file's own would be private
            file.write(content)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path} cannot be written: {error}") from error


def read_tensors(path: Path, content: str) -> tuple[dict[str, Tensor], Info]:
    """Read a file of `write_tensors` whose header says ``content``.

    Raises:
        UsageError: missing, truncated, or something else.
    """
    header = read_header(path, content)
    try:
        with safe_open(weights_file(path, header), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UsageError(f"{path} is not a {content} file of pixelrl, or is truncated: {error}") from error
    return tensors, header
