"""Files that older versions wrote; `tests/data/README.md` says how."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import pixelrl
from pixelrl.edits import load_edits
from pixelrl.errors import UsageError
from pixelrl.pictures.files import read_picture
from pixelrl.report.asked import asked_again
from pixelrl.trace import load_trace

OLD = Path(__file__).parent / "data" / "format-1"


@pytest.mark.parametrize(
    ("name", "policy", "condition"),
    [("denoised", "denoise-color", {"sigma": 25.0}), ("attenuated", "saliency-edit", {"strength": -0.5})],
)
def test_a_trace_of_the_first_format(name: str, policy: str, condition: dict[str, float]) -> None:
    trace = load_trace(OLD / f"{name}.npz")
    assert (trace.policy, trace.condition, trace.space) == (policy, condition, "srgb")
    assert np.array_equal(trace.replay(), read_picture(OLD / f"{name}.png").pixels)
    mask = read_picture(OLD / "mask.png").pixels > 0
    assert (trace.mask is None) if name == "denoised" else np.array_equal(trace.mask, mask)
    # A policy of other operations is not asked about choices that it did not make.
    with pytest.raises(UsageError, match="has other operations than the trace"):
        list(asked_again(trace, pixelrl.load("denoise-gray", "cpu"), lambda logits: logits.argmax(1).to(torch.uint8)))


def test_edits_of_the_first_format() -> None:
    trace = load_trace(OLD / "denoised.npz")
    edited = trace.trajectory().edited(load_edits(OLD / "edits.json"))
    pixels = replace(trace, actions=edited.actions[:, 0].numpy()).replay()
    assert np.array_equal(pixels, read_picture(OLD / "edited.png").pixels)
    assert not np.array_equal(pixels, trace.replay())
