"""A policy gets the judge of another one, and nothing else of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelrl.checkpoint import load_policy
from pixelrl.errors import UsageError
from test_mix import policy_file


def test_the_judge_and_its_factors_are_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    import judge

    one, other = (policy_file(tmp_path / f"{level}.safetensors", level, kind="consulting") for level in (1.0, 2.0))
    judge.give(str(one), str(other), tmp_path / "new.safetensors")
    policy, card = load_policy(tmp_path / "new.safetensors")
    for name, weight in policy.state_dict().items():
        assert weight.unique().item() == (2.0 if name.startswith(("judge", "log_factors")) else 1.0), name
    assert (card.name, card.training) == ("tiny", {"iterations": 7, "minutes": 1.0, "judge": "tiny"})
    judge.give(str(one), str(other), tmp_path / "factors.safetensors", factors=True)
    silent, card = load_policy(tmp_path / "factors.safetensors")
    weights = silent.state_dict()
    assert (weights["log_factors"] == 2).all()
    assert not weights["judge.leave"].any()
    assert not silent.learned_to_choose(0.5)
    assert card.training == {"iterations": 7, "minutes": 1.0, "factors": "tiny"}
    for unfit, sentence in (
        (
            policy_file(tmp_path / "larger.safetensors", 1.0, kind="consulting", head_width=6),
            "judges of different sizes",
        ),
        (policy_file(tmp_path / "lookahead.safetensors", 1.0), "not both of the kind consulting"),
    ):
        with pytest.raises(UsageError, match=sentence):
            judge.give(str(one), str(unfit), tmp_path / "none.safetensors")
    assert not (tmp_path / "none.safetensors").exists()
