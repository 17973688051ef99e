"""Policies as models of the Hugging Face Hub: ``save_pretrained``, ``from_pretrained`` and a model card.

A folder, or a repository, holds three files: ``model.safetensors``, which is a policy file that `pixelrl.load` takes as
it is; ``config.json`` with what the file says of itself; and ``README.md``, the model card. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pixelrl import __version__
from pixelrl.agent import Agent, choose_device
from pixelrl.checkpoint import PolicyCard, find_policy, load_policy, save_policy
from pixelrl.errors import UsageError
from pixelrl.policies import Policy
from pixelrl.policy_files import Measured, about_policies, shipped_policies

try:
    from huggingface_hub import ModelCard, ModelCardData, PyTorchModelHubMixin, hf_hub_download
except ImportError as error:
    words = 'models of the Hub need a package that is not installed: pip install "pixelrl[hub]"'
    raise UsageError(words) from error

WEIGHTS_FILE = "model.safetensors"


class HubPolicy(nn.Module, PyTorchModelHubMixin, library_name="pixelrl", tags=["image-restoration"]):
    """A policy that goes to the Hub, or comes from it.

    Args:
        card: what its file says of it, as `pixelrl.checkpoint.PolicyCard` has it. The weights are fresh.

    ``save_pretrained(folder)``, ``push_to_hub(repository)`` and ``from_pretrained(folder_or_repository)`` are those of
    `huggingface_hub.PyTorchModelHubMixin`; only pushing and repositories need a network.
    """

    def __init__(self, card: dict[str, Any]) -> None:
        super().__init__()
        self.card = PolicyCard(**{**card, "action_names": tuple(card["action_names"])})
        self.policy: Policy = self.card.build().eval()

    @classmethod
    def of(cls, policy: str | Path) -> HubPolicy:
        """A shipped policy by name, or a policy file.

        Raises:
            UsageError: no such policy, or a file that is not one.
        """
        return cls._holding(*load_policy(find_policy(policy)))

    def agent(self, device: str = "auto", precision: str = "auto") -> Agent:
        """The policy, ready for images; the arguments are those of `pixelrl.load`.

        Raises:
            UsageError: a device that is not there, or another precision.
        """
        return Agent(self.policy, self.card, choose_device(device), precision)

    def generate_model_card(self, *args: Any, **data: Any) -> ModelCard:
        """The model card: what the policy is for, how to use it, its operations, what was measured, and its recipe.

        Args:
            args: none; there for the signature of the mixin.
            data: entries of the card's YAML, such as ``license``, beside or instead of ours.
        """
        info = self._hub_mixin_info.model_card_data
        shipped = _is_shipped(self.policy, self.card)
        entries: dict[str, Any] = {"library_name": info.library_name, "tags": list(info.tags or [])}
        entries |= {"pipeline_tag": "image-to-image", **({"license": "mit"} if shipped else {}), **data}
        yaml = ModelCardData(**entries).to_yaml()
        return ModelCard(f"---\n{yaml}\n---\n\n{_text(self.card, shipped)}")

    def _save_pretrained(self, save_directory: Path) -> None:
        """Called by ``save_pretrained``, which writes the configuration and the model card."""
        save_policy(save_directory / WEIGHTS_FILE, self.policy, self.card)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **hub: Any) -> HubPolicy:
        """A policy from a folder that ``save_pretrained`` wrote, or from a repository of the Hub.

        Args:
            pretrained_model_name_or_path: the folder, or the repository's name.
            hub: of a repository: ``revision``, ``token``, ``cache_dir``, ``force_download``, ``local_files_only``.

        Raises:
            UsageError: neither of them, a repository that cannot be reached, or files that are no policy.
        """
        place = str(pretrained_model_name_or_path)
        if os.path.isdir(place) and not os.path.isfile(os.path.join(place, WEIGHTS_FILE)):
            raise UsageError(f"{place} holds no {WEIGHTS_FILE}; give a folder that save_pretrained wrote")
        try:
            loaded: HubPolicy = super().from_pretrained(place, **hub)
        except (OSError, ValueError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise UsageError(f"{place!r} is no folder, and no policy of the Hub that can be read: {first}") from error
        return loaded

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **config: Any,
    ) -> HubPolicy:
        """Called by ``from_pretrained``. The file of the weights says all that the configuration does."""
        if os.path.isdir(model_id):
            path = os.path.join(model_id, WEIGHTS_FILE)
        else:
            path = hf_hub_download(
                repo_id=model_id,
                filename=WEIGHTS_FILE,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                token=token,
                local_files_only=local_files_only,
            )
        return cls._holding(*load_policy(path))

    @classmethod
    def _holding(cls, policy: Policy, card: PolicyCard) -> HubPolicy:
        held = cls(card=json.loads(json.dumps(asdict(card))))
        held.policy.load_state_dict(policy.state_dict())
        return held


def _is_shipped(policy: Policy, card: PolicyCard) -> bool:
    """Whether it is the shipped policy of its name, to the last weight: what was measured of that is true of it."""
    if card.name not in shipped_policies():
        return False
    theirs, ours = load_policy(find_policy(card.name))[0].state_dict(), policy.state_dict()
    same = theirs.keys() == ours.keys()
    return same and all(torch.equal(theirs[name], weight.cpu()) for name, weight in ours.items())


def _text(card: PolicyCard, shipped: bool) -> str:
    """The model card below its YAML."""
    about = about_policies()[card.name] if shipped else None
    use = "an image-processing policy" if about is None else about.use
    parts = [
        f"# {card.name}",
        f"A policy of PixelRL {__version__}: {use}. Every pixel is a reinforcement-learning agent that picks, at each "
        f"of {card.num_steps} steps, one of {len(card.action_names)} named operations, so what was done to each pixel "
        "can be looked at, questioned and changed.",
        "## Use",
        "```python\nfrom pixelrl.hub import HubPolicy\n\n"
        'agent = HubPolicy.from_pretrained("FOLDER_OR_REPOSITORY").agent()\n'
        "result = agent(image)  # result.image, and the operation of every pixel in result.trajectory\n```",
        f"`{WEIGHTS_FILE}` is a policy file: `pixelrl.load` and the command line (`--policy`) take it as it is.",
    ]
    if about is not None and about.told:
        parts.append(f"What it is told beside the image, or estimates itself: {about.told}.")
    parts += ["## Operations", ", ".join(card.action_names)]
    if about is not None:
        parts += ["## Measured", *(_table(each) for each in about.measured)]
        parts.append(
            "Means over pictures that it was not trained with. The tables of the documentation say more: beside what, "
            "by which protocol, and with which version of the weights. What it is not good at is in docs/limits.md."
        )
    parts += ["## Training", *_training(card.training)]
    return "\n\n".join(parts) + "\n"


def _table(measured: Measured) -> str:
    rows = [f"| {at} | {numbers} |" for at, numbers in measured.rows()]
    return "\n".join([f"| {measured.what} | |", "|---|---|", *rows, "", f"From {measured.table}."])


def _training(training: Mapping[str, object]) -> list[str]:
    """How it came about: what a file says of it in numbers, and the recipe."""
    facts = [
        f"{name}: {value:.5g}" if isinstance(value, float) else f"{name}: {value}"
        for name, value in training.items()
        if name != "recipe"
    ]
    recipe = json.dumps(training["recipe"], indent=1) if "recipe" in training else None
    parts = [f"What its file says of the training, on validation pictures: {'; '.join(facts)}."] if facts else []
    if recipe is not None:
        parts.append(f"The recipe, as `pixelrl train` had it:\n\n```json\n{recipe}\n```")
    return parts or ["Its file does not say how it came about."]
