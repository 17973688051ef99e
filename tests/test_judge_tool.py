"""A policy gets the judge of another one, and nothing else of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelrl.checkpoint import PolicyCard, load_policy, save_policy
from pixelrl.errors import UsageError
from test_mix import ACTIONS, policy_file


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


def test_a_policy_can_be_given_opponent_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    import judge

    arguments = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4, "num_channels": 3}
    card, colour = PolicyCard("tiny", "consulting", arguments, ACTIONS, 3, "sigma", {}), tmp_path / "colour.safetensors"
    save_policy(colour, card.build(), card)
    judge.give(str(colour), str(colour), tmp_path / "new.safetensors", opponent=True, legibility=0.3)
    policy, card = load_policy(tmp_path / "new.safetensors")
    assert (policy.opponent, policy.default_legibility, card.space) == (True, 0.3, "opponent")
    before = load_policy(colour)[0].state_dict()
    assert all(weight.equal(before[name]) for name, weight in policy.state_dict().items())
    grey = policy_file(tmp_path / "grey.safetensors", 1.0, kind="consulting")
    with pytest.raises(UsageError, match="opponent colours are for"):
        judge.give(str(grey), str(grey), tmp_path / "none.safetensors", opponent=True)


def test_an_encoder_that_was_trained_alone_becomes_a_policy_that_consults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the encoder and its training is the other's, operations and opponent colours, too."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    import judge

    size = {"width": 8, "deep_width": 8, "head_width": 4, "num_channels": 3}
    encoder_size = {"depths": [1, 3, 1], "deepest": 1, "deepest_width": 8}
    alone = PolicyCard("alone", "lookahead", {**size, **encoder_size}, ACTIONS, 2, "sigma", {"minutes": 5.0})
    arguments = {**size, "depths": [1, 1, 1], "num_steps": 3, "opponent": True, "default_legibility": 0.3}
    other = PolicyCard("other", "consulting", arguments, (*ACTIONS, "median"), 3, "sigma", {}, "opponent")
    files = {card.name: tmp_path / f"{card.name}.safetensors" for card in (alone, other)}
    for card in (alone, other):
        save_policy(files[card.name], card.build(), card)
    judge.give(str(files["alone"]), str(files["other"]), tmp_path / "new.safetensors")
    policy, card = load_policy(tmp_path / "new.safetensors")
    assert (card.name, card.kind, card.action_names, card.space) == (
        "alone",
        "consulting",
        other.action_names,
        "opponent",
    )
    assert card.arguments == {**arguments, **encoder_size}
    assert card.training == {"minutes": 5.0, "judge": "other"}
    encoder, chooser = (load_policy(files[name])[0].state_dict() for name in files)
    for name, weight in policy.state_dict().items():
        assert weight.equal((chooser if name.startswith(("judge", "log_factors")) else encoder)[name]), name
    told = PolicyCard("told", "lookahead", {**size, "depths": [1, 1, 1]}, ACTIONS, 2, "peak", {})
    save_policy(tmp_path / "told.safetensors", told.build(), told)
    with pytest.raises(UsageError, match="told has another kind of encoder than other, or is told something else"):
        judge.give(str(tmp_path / "told.safetensors"), str(files["other"]), tmp_path / "none.safetensors")
