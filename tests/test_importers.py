"""Released weights: every array lands in its layer, and files that are not right are refused by name."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pixelrl.actions import PAPER_NINE, ActionSet
from pixelrl.checkpoint import load_policy, save_policy
from pixelrl.errors import UsageError
from pixelrl.importers import import_chainer
from pixelrl.rollout import rollout

Arrays = dict[str, NDArray[np.float32]]
DEEP = (64, 64, 3, 3)
PLAIN: dict[str, tuple[int, ...]] = {
    "conv1/W": (64, 1, 3, 3),
    "conv1/b": (64,),
    **{
        f"{layer}/diconv/{kind}": shape
        for layer in ("diconv2", "diconv3", "diconv4", "diconv5_pi", "diconv6_pi", "diconv5_V", "diconv6_V")
        for kind, shape in (("W", DEEP), ("b", (64,)))
    },
    "conv7_V/W": (1, 64, 3, 3),
    "conv7_V/b": (1,),
}
HEAD: dict[str, tuple[int, ...]] = {"W": (9, 64, 3, 3), "b": (9,)}
GRU = {f"conv7_{name}/W": DEEP for name in ("W", "U", "Wz", "Uz", "Wr", "Ur")}
KINDS: dict[str, dict[str, tuple[int, ...]]] = {
    "plain": PLAIN | {f"conv7_pi/model/{kind}": shape for kind, shape in HEAD.items()},
    "gru": PLAIN | GRU | {f"conv8_pi/model/{kind}": shape for kind, shape in HEAD.items()},
}
KINDS["gru and rmc"] = KINDS["gru"] | {"conv_R/W": (1, 1, 33, 33)}


def made_up(kind: str) -> Arrays:
    """Weights of that kind, no two arrays alike, in an order that is not the network's."""
    draw = np.random.default_rng(5)
    names = sorted(KINDS[kind], reverse=True)
    return {name: draw.standard_normal(KINDS[kind][name], dtype=np.float32) * 0.05 for name in names}


def save(path: Path, arrays: Arrays) -> Path:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_array_lands_in_its_layer(kind: str, tmp_path: Path) -> None:
    arrays = made_up(kind)
    policy, card = import_chainer(save(tmp_path / "weights of theirs.npz", arrays))
    layers = {
        "enter": "conv1",
        "shared.0": "diconv2/diconv",
        "shared.2": "diconv3/diconv",
        "shared.4": "diconv4/diconv",
        "actor.0": "diconv5_pi/diconv",
        "actor.2": "diconv6_pi/diconv",
        "critic.0": "diconv5_V/diconv",
        "critic.2": "diconv6_V/diconv",
        "to_value": "conv7_V",
        "to_logits": "conv7_pi/model" if kind == "plain" else "conv8_pi/model",
    }
    expected = {f"{ours}.weight": arrays[f"{theirs}/W"] for ours, theirs in layers.items()}
    expected |= {f"{ours}.bias": arrays[f"{theirs}/b"] for ours, theirs in layers.items()}
    if kind != "plain":
        expected |= {f"gru.{name}.weight": arrays[f"conv7_{name}/W"] for name in ("W", "U", "Wz", "Uz", "Wr", "Ur")}
    if kind == "gru and rmc":
        expected["reward_kernel"] = arrays["conv_R/W"]
    state = policy.state_dict()
    assert state.keys() == expected.keys()
    for name, array in expected.items():
        assert np.array_equal(state[name].numpy(), array), name
    assert not policy.training
    assert card.name == "weights of theirs"
    assert card.arguments == {"recurrent": kind != "plain", "reward_map_convolution": kind == "gru and rmc"}
    assert (card.action_names, card.num_steps, card.condition) == (PAPER_NINE, 5, None)


def test_an_imported_policy_can_be_saved_and_loaded(tmp_path: Path) -> None:
    policy, card = import_chainer(save(tmp_path / "theirs.npz", made_up("gru and rmc")))
    save_policy(tmp_path / "ours.safetensors", policy, card)
    again, card_again = load_policy(tmp_path / "ours.safetensors")
    assert card_again == card
    for name, tensor in policy.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def without(name: str) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.__delitem__(name)


def replaced(name: str, array: NDArray[np.generic]) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.__setitem__(name, array)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("plain", without("conv1/b"), "no array 'conv1/b'; expected is one of shape (64,)"),
        ("plain", without("diconv3/diconv/W"), "no array 'diconv3/diconv/W'; expected is one of shape (64, 64, 3, 3)"),
        ("gru", without("conv7_Uz/W"), "no array 'conv7_Uz/W'; expected is one of shape (64, 64, 3, 3)"),
        ("gru", without("conv8_pi/model/W"), "no array 'conv8_pi/model/W'; expected is one of shape (9, 64, 3, 3)"),
        ("plain", without("conv7_pi/model/b"), "no array 'conv7_pi/model/b'; expected is one of shape (9,)"),
        ("plain", replaced("conv9/W", np.zeros(3)), "an unknown array 'conv9/W'; expected are only conv1/W, "),
        ("gru", replaced("conv7_W/b", np.zeros(64)), "an unknown array 'conv7_W/b'; expected are only"),
        ("plain", replaced("conv7_V/b", np.zeros((2,))), "'conv7_V/b' has shape (2,); expected is (1,)"),
        (
            "plain",
            replaced("conv7_pi/model/W", np.zeros((13, 64, 3, 3))),
            "'conv7_pi/model/W' has shape (13, 64, 3, 3); expected is (9, 64, 3, 3)",
        ),
        ("gru and rmc", replaced("conv_R/W", np.zeros((1, 1, 31, 31))), "expected is (1, 1, 33, 33)"),
        ("plain", replaced("conv1/b", np.zeros(64, np.int64)), "'conv1/b' holds int64; expected is float32"),
        ("plain", replaced("conv1/b", np.full(64, "a")), "'conv1/b' holds <U1; expected is float32"),
        ("plain", replaced("conv1/b", np.full(64, np.nan, np.float32)), "'conv1/b' holds values that are not finite"),
    ],
)
def test_wrong_arrays_are_refused_by_name(
    kind: str, change: Callable[[Arrays], None], message: str, tmp_path: Path
) -> None:
    arrays = made_up(kind)
    change(arrays)
    path = save(tmp_path / "weights.npz", arrays)
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        import_chainer(path)
    assert str(caught.value).startswith(str(path))


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        import_chainer(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_what_is_no_npz_is_refused(tmp_path: Path) -> None:
    absent, text, single = tmp_path / "absent.npz", tmp_path / "text.npz", tmp_path / "single.npy"
    text.write_text("conv1/W")
    np.save(single, np.zeros(3))
    assert "cannot be read: No such file" in refusal(absent)
    assert "cannot be read: Is a directory" in refusal(tmp_path)
    assert "is not a whole .npz file; expected is one that Chainer saved" in refusal(text)
    assert "is not a whole .npz file; expected is one that Chainer saved" in refusal(single)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.npz", made_up("plain")).read_bytes()
    for name, content in (
        ("truncated", whole[: len(whole) // 2]),
        ("beginning lost", whole[1000:]),
        ("bits flipped", whole[:5000] + bytes(255 - byte for byte in whole[5000:5100]) + whole[5100:]),
        ("empty", b""),
    ):
        path = tmp_path / f"{name}.npz"
        path.write_bytes(content)
        assert "is not a whole .npz file" in refusal(path), name


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = save(tmp_path / "objects.npz", made_up("plain") | {"conv1/b": np.array([{}, print], dtype=object)})
    assert "is not a whole .npz file of plain arrays of numbers" in refusal(path)


def test_members_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "weights.npz", made_up("plain"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", "trained in 2019")
    assert "unknown array 'notes.txt'" in refusal(path)


def psnr(image: torch.Tensor, target: torch.Tensor) -> float:
    """Peak 255, after clipping and rounding to 8 bits."""
    difference = image.clamp(0, 1).mul(255).round() - target.mul(255).round()
    return float(10 * torch.log10(255**2 / difference.square().mean()))


def test_released_weights_denoise(shared: Path) -> None:
    """A crop of a test image at sigma 25 gains 6.16 to 6.26 dB.

    With one dilation wrong by one it is 5.2 to 5.96 dB, with two of the GRU's kernels exchanged 5.65 or less; for
    comparison, OpenCV's non-local means gain 3.1 dB.
    """
    photo = cv2.imread(str(shared / "data" / "bsd500" / "gray" / "test" / "101087.jpg"), cv2.IMREAD_GRAYSCALE)
    assert photo is not None
    clean = torch.from_numpy(photo[100:180, 150:230].astype(np.float32) / 255)[None, None]
    noisy = clean + torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * 25 / 255
    for name in ("gaussian-fcn-25", "gaussian-gru-25", "gaussian-gru-rmc-25"):
        policy, card = import_chainer(shared / "reference" / "official" / f"{name}.npz")
        _, denoised = rollout(policy, ActionSet(card.action_names), noisy, torch.zeros(1, 1, 1, 1), card.num_steps)
        assert psnr(denoised, clean) > psnr(noisy, clean) + 6.05, name
