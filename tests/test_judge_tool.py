"""A policy gets the judge of another one, and nothing else of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pixelrl.checkpoint import PolicyCard, load_policy, save_policy
from pixelrl.errors import UsageError

ACTIONS = ("do nothing", "box")


def policy_file(path: Path, level: float, kind: str = "consulting", head_width: int = 4) -> Path:
    arguments = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": head_width}
    card = PolicyCard(path.stem, kind, arguments, ACTIONS, 5, "sigma", {"iterations": 7, "psnr": 30.0})
    policy = card.build()
    with torch.no_grad():
        for weight in policy.parameters():
            weight.fill_(level)
    save_policy(path, policy, card)
    return path


def test_the_judge_and_its_factors_are_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    import judge

    one, other = policy_file(tmp_path / "one.safetensors", 1.0), policy_file(tmp_path / "other.safetensors", 2.0)
    judge.give(str(one), str(other), tmp_path / "new.safetensors")
    policy, card = load_policy(tmp_path / "new.safetensors")
    for name, weight in policy.state_dict().items():
        assert weight.unique().item() == (2.0 if name.startswith(("judge", "log_factors")) else 1.0), name
    assert (card.name, card.training) == ("one", {"iterations": 7, "judge": "other"})
    for unfit, sentence in (
        (policy_file(tmp_path / "larger.safetensors", 1.0, head_width=6), "judges of different sizes"),
        (policy_file(tmp_path / "lookahead.safetensors", 1.0, kind="lookahead"), "not both of the kind consulting"),
    ):
        with pytest.raises(UsageError, match=sentence):
            judge.give(str(one), str(unfit), tmp_path / "none.safetensors")
    assert not (tmp_path / "none.safetensors").exists()
