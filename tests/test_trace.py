"""Traces: kept and replayed bit for bit; whatever is damaged is refused."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pixelrl import trace as trace_module
from pixelrl.actions import PAPER_NINE, ActionSet
from pixelrl.errors import InputError, UsageError
from pixelrl.pictures.values import array_to_tensor, tensor_to_array
from pixelrl.rollout import Decision, episode
from pixelrl.trace import Trace, load_trace, save_trace

Array = npt.NDArray[np.generic]
RANDOM = np.random.default_rng(0)
PICTURES: dict[str, Array] = {
    "8-bit grey": RANDOM.integers(0, 256, (9, 13), dtype=np.uint8),
    "8-bit RGB": RANDOM.integers(0, 256, (9, 13, 3), dtype=np.uint8),
    "16-bit RGB": RANDOM.integers(0, 65536, (9, 13, 3), dtype=np.uint16),
    "16-bit, one channel": RANDOM.integers(0, 65536, (9, 13, 1), dtype=np.uint16),
    "float": RANDOM.normal(0.5, 0.5, (9, 13)).astype(np.float32),
    "double RGB": RANDOM.random((9, 13, 3)),
}


def make(pixels: Array, steps: int = 5, agents: int | None = None) -> Trace:
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1]
    shape = (steps, agents or channels, *pixels.shape[:2])
    actions = np.random.default_rng(1).integers(0, 9, shape, dtype=np.uint8)
    return Trace(pixels, actions, PAPER_NINE, "tiny", {"sigma": 12.5})


def result(trace: Trace) -> torch.Tensor:
    """The episode played step by step, not by way of `Trajectory`."""
    maps = torch.from_numpy(trace.actions)
    image = array_to_tensor(trace.pixels)
    for step in episode(image, ActionSet(PAPER_NINE), lambda t, *_: Decision(maps[t][None]), len(maps)):
        image = step.after
    return image


@pytest.mark.parametrize("agents", [None, 1])
@pytest.mark.parametrize("kind", PICTURES)
def test_round_trip_and_replay(tmp_path: Path, kind: str, agents: int | None) -> None:
    trace = make(PICTURES[kind], agents=agents)
    save_trace(tmp_path / "a.npz", trace)
    again = load_trace(tmp_path / "a.npz")
    assert again.pixels.dtype == trace.pixels.dtype
    assert np.array_equal(again.pixels, trace.pixels)
    assert np.array_equal(again.actions, trace.actions)
    assert (again.action_names, again.policy, again.condition) == (PAPER_NINE, "tiny", {"sigma": 12.5})
    replayed = again.replay()
    assert replayed.dtype == trace.pixels.dtype
    assert replayed.shape == trace.pixels.shape
    expected = tensor_to_array(result(trace), str(trace.pixels.dtype), trace.pixels.ndim)
    assert np.array_equal(replayed, expected)
    assert not np.array_equal(replayed, trace.pixels)


def test_replay_by_hand() -> None:
    """One channel up, one down, one left alone: channels and rows stay where they are."""
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) + 100
    up, keep, down = (PAPER_NINE.index(name) for name in ("grey level +1", "do nothing", "grey level -1"))
    actions = np.empty((4, 3, 2, 3), np.uint8)
    actions[:, 0], actions[:, 1], actions[:, 2] = up, keep, down
    actions[:, 1, 1, 2] = up
    expected = pixels.astype(int) + np.array([4, 0, -4])
    expected[1, 2, 1] += 4
    assert np.array_equal(Trace(pixels, actions, PAPER_NINE, "hand").replay(), expected)


def test_integers_are_clipped_only_at_the_end() -> None:
    up, down = PAPER_NINE.index("grey level +1"), PAPER_NINE.index("grey level -1")
    pixels = np.full((2, 2), 254, np.uint8)
    beyond = np.full((3, 1, 2, 2), up, np.uint8)
    assert (Trace(pixels, beyond, PAPER_NINE, "hand").replay() == 255).all()
    and_back = np.concatenate([beyond, np.full((3, 1, 2, 2), down, np.uint8)])
    assert (Trace(pixels, and_back, PAPER_NINE, "hand").replay() == 254).all()


def test_no_steps(tmp_path: Path) -> None:
    trace = make(PICTURES["8-bit RGB"], steps=0)
    save_trace(tmp_path / "a.npz", trace)
    assert np.array_equal(load_trace(tmp_path / "a.npz").replay(), trace.pixels)


def test_a_policy_without_sigma(tmp_path: Path) -> None:
    trace = Trace(PICTURES["float"], np.zeros((1, 1, 9, 13), np.uint8), PAPER_NINE, "plain")
    save_trace(tmp_path / "a.npz", trace)
    assert load_trace(tmp_path / "a.npz").condition == {}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_trace(tmp_path / "a.npz", make(PICTURES["8-bit grey"]))
    return tmp_path / "a.npz"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.npz does not exist"):
        load_trace(tmp_path / "none.npz")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.95, 0.999])
def test_truncated_file(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UsageError, match=r"a\.npz is not a trace of pixelrl, or is truncated"):
        load_trace(path)


def test_whatever_byte_is_wrong(path: Path) -> None:
    """It is refused, or was one that does not matter; nothing else ever comes out."""
    content = path.read_bytes()
    whole = load_trace(path)
    refused = 0
    for position in range(0, len(content), 3):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :])
        try:
            trace = load_trace(path)
        except UsageError:
            refused += 1
        else:
            assert np.array_equal(trace.pixels, whole.pixels)
            assert np.array_equal(trace.actions, whole.actions)
    assert refused > len(content) / 3 / 2


def pickled() -> bytes:
    file = io.BytesIO()
    np.savez(file, header=np.array([{"a": 1}], dtype=object), pixels=np.array([None]), actions=np.array([None]))
    return file.getvalue()


def other_npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, weights=np.zeros(3))
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def other_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("header.npy", "no array")
    return file.getvalue()


@pytest.mark.parametrize(
    "content", [b"plain text\n", b"", b"\x80\x04K\x01.", pickled(), other_npz(), npy(), other_zip()],
    ids=["text", "empty", "pickle", "object arrays", "other npz", "npy", "other zip"],
)  # fmt: skip
def test_other_files(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is not a trace of pixelrl, or is truncated"):
        load_trace(path)


def rewrite(path: Path, **changes: object) -> None:
    """Replace arrays of a trace file, or entries of its header."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays["header"]))
    for key, value in changes.items():
        if key in arrays:
            arrays[key] = np.asarray(value)
        else:
            header[key] = value
    np.savez_compressed(path, **{**arrays, "header": np.array(json.dumps(header))})


ACTIONS = np.zeros((5, 1, 9, 13), np.uint8)


@pytest.mark.parametrize(
    "changes",
    [
        {"actions": ACTIONS + 9},
        {"actions": ACTIONS.astype(np.int64)},
        {"actions": ACTIONS[0]},
        {"actions": ACTIONS[:, :, :8]},
        {"actions": ACTIONS.repeat(3, 1)},
        {"actions": ACTIONS[:, :0]},
        {"pixels": np.zeros((9, 13), np.int32)},
        {"pixels": np.zeros((9, 13, 1, 1), np.uint8)},
        {"pixels": np.zeros((0, 13), np.uint8), "actions": ACTIONS[:, :, :0]},
        {"pixels": np.array("text")},
        {"action_names": ["median"], "actions": ACTIONS + 1},
    ],
    ids=lambda changes: "-".join(f"{key} {np.shape(value)}" for key, value in changes.items()),
)
def test_arrays_that_do_not_belong_together(path: Path, changes: dict[str, object]) -> None:
    rewrite(path, **changes)
    with pytest.raises(UsageError, match="is damaged: its picture and its action maps do not belong together"):
        load_trace(path)


def test_the_rewritten_file_is_otherwise_whole(path: Path) -> None:
    rewrite(path, actions=ACTIONS + 8)
    assert load_trace(path).actions.max() == 8


def test_unknown_operations(path: Path) -> None:
    rewrite(path, action_names=[*PAPER_NINE, "emboss"])
    with pytest.raises(UsageError, match="action 'emboss' is unknown"):
        load_trace(path)


def test_a_newer_format(path: Path) -> None:
    rewrite(path, format=3)
    with pytest.raises(UsageError, match="has format 3; this version of pixelrl reads 1 and 2"):
        load_trace(path)


def test_a_header_that_is_not_json(path: Path) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    for header in ("{", "[1]", "3"):
        np.savez(path, **{**arrays, "header": np.array(header)})
        with pytest.raises(UsageError, match="is not a trace"):
            load_trace(path)


def test_pixels_that_are_not_finite_are_refused_at_replay(path: Path) -> None:
    rewrite(path, pixels=np.full((9, 13), np.nan, np.float32))
    with pytest.raises(InputError, match="NaN or infinite"):
        load_trace(path).replay()


def test_a_failed_write_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full_disk(file: io.BufferedWriter, **arrays: Array) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trace_module.np, "savez_compressed", full_disk)
    with pytest.raises(UsageError, match=r"trace .*a\.npz cannot be written: No space left"):
        save_trace(path, make(PICTURES["float"]))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        save_trace(tmp_path / "none" / "a.npz", make(PICTURES["float"]))
