"""Policy files: what is kept, what is refused, and that none is ever half written."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pixelrl.actions import PAPER_NINE
from pixelrl.checkpoint import PolicyCard, load_policy, read_tensors, save_policy, shipped_policies, write_tensors
from pixelrl.errors import UsageError
from pixelrl.policies import FCN, Lookahead, Policy

CARD = PolicyCard(
    name="tiny",
    kind="lookahead",
    arguments={"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4},
    action_names=PAPER_NINE,
    num_steps=4,
    condition="sigma",
    training={"minutes": 1.5},
)


@pytest.fixture
def policy() -> Policy:
    torch.manual_seed(0)  # initial weights, which PyTorch draws from its global generator
    return CARD.build()


@pytest.fixture
def path(tmp_path: Path, policy: Policy) -> Path:
    save_policy(tmp_path / "tiny.safetensors", policy, CARD)
    return tmp_path / "tiny.safetensors"


def rewrite(
    path: Path, header: dict[str, object] | None = None, tensors: dict[str, Tensor | None] | None = None
) -> None:
    """Replace entries of a file's header and tensors; None takes a tensor away."""
    old_tensors, old_header = read_tensors(path, "policy")
    kept = {name: tensor for name, tensor in {**old_tensors, **(tensors or {})}.items() if tensor is not None}
    save_file(kept, path, {"pixelrl": json.dumps({**old_header, **(header or {})})})


def test_round_trip(path: Path, policy: Policy) -> None:
    again, card = load_policy(path)
    assert card == CARD
    assert isinstance(again, Lookahead)
    assert not again.training
    assert again.state_dict().keys() == policy.state_dict().keys()
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in policy.state_dict().items())


def test_another_kind(tmp_path: Path) -> None:
    arguments: dict[str, object] = {"width": 4, "recurrent": True, "reward_map_convolution": True}
    card = dataclasses.replace(CARD, kind="fcn", arguments=arguments, condition=None)
    save_policy(tmp_path / "fcn.safetensors", card.build(), card)
    policy, same = load_policy(tmp_path / "fcn.safetensors", torch.device("cpu"))
    assert same == card
    assert isinstance(policy, FCN)
    assert policy.reward_kernel is not None


def test_channels_last_weights_are_kept(tmp_path: Path, policy: Policy) -> None:
    policy.to(memory_format=torch.channels_last)
    save_policy(tmp_path / "file", policy, CARD)
    again, _ = load_policy(tmp_path / "file")
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in policy.state_dict().items())


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.safetensors does not exist"):
        load_policy(tmp_path / "none.safetensors")
    with pytest.raises(UsageError, match="does not exist"):
        load_policy(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.5, 0.9, 0.9999])
def test_truncated_file(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UsageError, match="is not a policy file of pixelrl, or is truncated"):
        load_policy(path)


@pytest.mark.parametrize("content", [b"hello", b"\x80\x04\x95.", b"PK\x03\x04" + b"\0" * 30, b"\xff" * 64])
def test_other_files(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is not a policy file of pixelrl"):
        load_policy(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"pixelrl": "[1, 2]"}, {"pixelrl": '{"content": "x"}'}])
def test_other_safetensors(path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"weight": torch.zeros(3)}, path, metadata)
    with pytest.raises(UsageError, match="is a safetensors file, but not a policy of pixelrl"):
        load_policy(path)


def test_a_header_that_is_not_json(path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path, {"pixelrl": "{"})
    with pytest.raises(UsageError, match="is not a policy file of pixelrl"):
        load_policy(path)


def test_a_training_state_is_not_a_policy(path: Path) -> None:
    write_tensors(path, {"x": torch.zeros(1)}, {"format": 1, "content": "training state"})
    with pytest.raises(UsageError, match="not a policy of pixelrl"):
        load_policy(path)


def test_a_newer_format(path: Path) -> None:
    rewrite(path, {"format": 2})
    with pytest.raises(UsageError, match="has format 2; this version of pixelrl reads 1"):
        load_policy(path)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"action_names": ["do nothing", "emboss"]}, "action 'emboss' is unknown; known are "),
        ({"action_names": []}, "the list of actions is empty"),
        ({"action_names": ["median", "median"]}, "'median' is listed twice"),
        ({"action_names": [["median"]]}, r"action .* is unknown"),
        ({"action_names": None}, "damaged header"),
        ({"num_steps": "many"}, "damaged header"),
        ({"num_steps": None}, "damaged header"),
        ({"num_steps": 0}, r"policy file .*safetensors: num_steps = 0 is not an episode's length"),
        ({"num_steps": 1001}, r"policy file .*safetensors: num_steps = 1001 is not an episode's length"),
        ({"num_steps": float("inf")}, "damaged header"),
        ({"arguments": 3}, "damaged header"),
        ({"training": "long"}, "damaged header"),
        ({"kind": "resnet"}, "policy 'resnet' is unknown; known are fcn, consulting, lookahead"),
        ({"arguments": {"layers": 3}}, r"policy\.layers is unknown; known are policy\.num_channels"),
        ({"arguments": {"width": "wide"}}, r'policy\.width = "wide" must be a whole number'),
        ({"arguments": {"width": -1}}, "cannot be built: width = -1 must be"),
    ],
)
def test_damaged_headers(path: Path, header: dict[str, object], words: str) -> None:
    rewrite(path, header)
    with pytest.raises(UsageError, match=words):
        load_policy(path)


@pytest.mark.parametrize("key", ["name", "kind", "arguments", "action_names", "num_steps", "condition", "training"])
def test_an_incomplete_header(path: Path, key: str) -> None:
    tensors, header = read_tensors(path, "policy")
    del header[key]
    write_tensors(path, tensors, header)
    with pytest.raises(UsageError, match=f"damaged header.*{key}"):
        load_policy(path)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"to_logits.bias": None}, "lacks the weight to_logits.bias"),
        ({"to_luck.bias": torch.zeros(3)}, "has the weight to_luck.bias, which its kind of policy does not have"),
        ({"to_logits.bias": torch.zeros(35)}, r"to_logits.bias has the shape \(35,\), not \(36,\)"),
        ({"to_logits.bias": torch.full((36,), float("nan"))}, "to_logits.bias is not finite"),
        ({"log_sharpness": torch.tensor(float("inf"))}, "log_sharpness is not finite"),
    ],
)
def test_weights_that_do_not_fit(path: Path, tensors: dict[str, Tensor | None], words: str) -> None:
    rewrite(path, tensors=tensors)
    with pytest.raises(UsageError, match=words):
        load_policy(path)


def test_another_number_of_actions_does_not_fit(path: Path) -> None:
    rewrite(path, {"action_names": PAPER_NINE[:5]})
    with pytest.raises(UsageError, match="has the shape"):
        load_policy(path)


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file(
    path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch, problem: BaseException
) -> None:
    before, written = path.read_bytes(), []

    def fail(temporary: Path, target: Path) -> None:
        written.append(temporary.stat().st_size)
        raise problem

    monkeypatch.setattr(os, "replace", fail)
    shown = UsageError if isinstance(problem, OSError) else KeyboardInterrupt
    with pytest.raises(shown, match=r"cannot be written: .*No space left" if shown is UsageError else None):
        save_policy(path, policy, CARD)
    assert written[0] > 1000
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_folders_are_made_and_permissions_are_usual(tmp_path: Path, policy: Policy) -> None:
    path = tmp_path / "a" / "b" / "policy.safetensors"
    old = os.umask(0o027)
    try:
        save_policy(path, policy, CARD)
        assert path.stat().st_mode & 0o777 == 0o640
        assert os.umask(0o027) == 0o027  # and the mask is left as it was
    finally:
        os.umask(old)


def test_a_place_that_cannot_be_written(path: Path, policy: Policy) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        save_policy(path / "below a file", policy, CARD)


@pytest.fixture
def ship() -> Callable[[Path, Path], Path]:
    file = Path(__file__).parents[1] / "tools" / "ship.py"
    spec = importlib.util.spec_from_file_location("ship", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ship  # type: ignore[no-any-return]


def test_weights_stored_in_half_precision_are_loaded_as_float32(
    path: Path, policy: Policy, tmp_path: Path, ship: Callable[[Path, Path], Path]
) -> None:
    shipped = ship(path, tmp_path / "shipped")
    assert shipped.name == "tiny.safetensors"
    assert shipped.stat().st_size < 0.65 * path.stat().st_size  # a part of so small a file is its header
    again, card = load_policy(shipped)
    assert card == CARD
    for name, tensor in policy.state_dict().items():
        assert again.state_dict()[name].dtype == torch.float32
        assert torch.equal(again.state_dict()[name], tensor.half().float())


def test_weights_beyond_half_precision_are_not_shipped(
    path: Path, tmp_path: Path, ship: Callable[[Path, Path], Path]
) -> None:
    weight = read_tensors(path, "policy")[0]["to_residual.bias"]
    rewrite(path, tensors={"to_residual.bias": torch.full_like(weight, 1e6)})
    with pytest.raises(UsageError, match=r"to_residual\.bias is beyond the range of half precision"):
        ship(path, tmp_path / "shipped")
    assert not (tmp_path / "shipped").exists()


@pytest.mark.parametrize("name", shipped_policies())
def test_shipped_policies_are_stored_in_half_precision(name: str) -> None:
    tensors, header = read_tensors(shipped_policies()[name], "policy")
    assert header["name"] == name
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}, "store it by tools/ship.py"
