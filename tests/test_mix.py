"""Two policies' weights are mixed, and only those of one kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pixelrl.checkpoint import PolicyCard, load_policy, save_policy
from pixelrl.errors import UsageError

ACTIONS = ("do nothing", "box")


def policy_file(
    path: Path, level: float, width: int = 8, kind: str = "lookahead", head_width: int = 4, deepest: int = 0
) -> Path:
    arguments = {"width": width, "deep_width": 8, "depths": [1, 1, 1], "head_width": head_width}
    arguments |= {"deepest": deepest, "deepest_width": 8} if deepest else {}
    training = {"iterations": 7, "minutes": 1.0, "psnr": 30.0}
    card = PolicyCard("tiny", kind, arguments, ACTIONS, 3, "sigma", training)
    policy = card.build()
    with torch.no_grad():
        for weight in policy.parameters():
            weight.fill_(level)
    save_policy(path, policy, card)
    return path


def test_a_mixture_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    import mix

    old, new = policy_file(tmp_path / "old.safetensors", 1.0), policy_file(tmp_path / "new.safetensors", 2.0)
    mix.mix(str(old), str(new), 0.25, tmp_path / "mixed.safetensors")
    policy, card = load_policy(tmp_path / "mixed.safetensors")
    assert all(torch.equal(weight, torch.full_like(weight, 1.25)) for weight in policy.parameters())
    assert card.training == {"iterations": 7, "minutes": 1.0, "mixed": {"with": "tiny", "share": 0.25}}
    given, learned = load_policy(new)
    save_policy(new, given, replace(learned, training={**learned.training, "judge": "other"}))
    mix.mix(str(old), str(new), 0.25, tmp_path / "judged.safetensors")
    assert load_policy(tmp_path / "judged.safetensors")[1].training["judge"] == "other"
    mix.mix(str(old), str(new), 0.5, tmp_path / "marks.safetensors", "marks")
    policy, card = load_policy(tmp_path / "marks.safetensors")
    assert card.arguments["estimator"] == "marks"
    assert all(torch.equal(weight, torch.full_like(weight, 1.5)) for weight in policy.parameters())
    marks = tmp_path / "marks.safetensors"
    with pytest.raises(UsageError, match="are not of one kind"):
        mix.mix(str(marks), str(new), 0.5, tmp_path / "again.safetensors")
    mix.mix(str(marks), str(new), 0.5, tmp_path / "again.safetensors", "marks")  # with what went on from it
    policy, card = load_policy(tmp_path / "again.safetensors")
    assert card.arguments["estimator"] == "marks"
    assert all(torch.equal(weight, torch.full_like(weight, 1.75)) for weight in policy.parameters())
    other = policy_file(tmp_path / "other.safetensors", 1.0, width=12)
    with pytest.raises(UsageError, match="are not of one kind"):
        mix.mix(str(old), str(other), 0.5, tmp_path / "none.safetensors")
    assert not (tmp_path / "none.safetensors").exists()


def test_a_mixture_with_a_policy_that_goes_deeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The older one counts as if it went there and brought nothing from there."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    import mix

    old, new = policy_file(tmp_path / "old", 1.0), policy_file(tmp_path / "new", 2.0, deepest=2)
    mix.mix(str(old), str(new), 0.25, tmp_path / "mixed")
    policy, card = load_policy(tmp_path / "mixed")
    assert card.arguments["deepest"] == 2
    for name, weight in policy.state_dict().items():
        level = 0.5 if "deepest.up" in name else 2.0 if "deepest" in name else 1.25
        assert torch.equal(weight, torch.full_like(weight, level)), name
    with pytest.raises(UsageError, match="are not of one kind"):
        mix.mix(str(new), str(old), 0.5, tmp_path / "none")
