"""In which numbers the encoder computes, and that this is remembered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

import pixelrl
from conftest import Run
from pixelrl import precision
from pixelrl.errors import UsageError
from pixelrl.pictures.files import write_picture
from pixelrl.pictures.formats import Picture
from pixelrl.precision import choose_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(("fast", "chosen"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_what_the_processor_is_good_at(monkeypatch: pytest.MonkeyPatch, fast: bool, chosen: str) -> None:
    monkeypatch.setattr(precision, "fast_bf16", lambda: fast)
    assert choose_precision("auto", CPU) == chosen
    assert choose_precision("auto", torch.device("cuda")) == "fp32"
    assert choose_precision("bf16", CPU) == "bf16"
    assert choose_precision("fp32", CPU) == "fp32"
    assert pixelrl.load("denoise-gray", "cpu").precision == chosen


@pytest.mark.parametrize("name", ["denoise-gray", "denoise-color", "enhance-watercolor"])
def test_half_the_bits_hardly_change_the_picture(name: str) -> None:
    photo = data.astronaut()[:96, 160:256] if name != "denoise-gray" else data.camera()[100:196, 100:196]
    noisy = photo + np.random.default_rng(0).normal(0, 25, photo.shape)
    image = (noisy / 255).astype(np.float32)
    fine, coarse = (pixelrl.load(name, "cpu", kind)(image) for kind in ("fp32", "bf16"))
    assert (fine.precision, coarse.precision) == ("fp32", "bf16")
    apart = np.abs(fine.image - coarse.image).mean()
    assert 0 < apart < 1 / 255


def test_a_policy_without_the_choice_says_so() -> None:
    assert pixelrl.load("saliency-edit", "cpu").precision == "fp32"
    with pytest.raises(UsageError, match="policy saliency-edit computes in fp32 alone; leave it out"):
        pixelrl.load("saliency-edit", "cpu", "bf16")
    with pytest.raises(UsageError, match="precision 'half' is unknown; give auto, fp32 or bf16"):
        pixelrl.load("denoise-gray", "cpu", "half")


def test_the_trace_says_which_was_used(tmp_path: Path, run: Run) -> None:
    write_picture(tmp_path / "a.png", Picture(data.camera()[:40, :48]))
    words = ("denoise", tmp_path / "a.png", "--sigma", "20", "--device", "cpu", "--overwrite", "-o", tmp_path / "b.png")
    for kind in ("fp32", "bf16"):
        code, out, _ = run(*map(str, words), "--precision", kind, "--trace", str(tmp_path / f"{kind}.npz"), "--json")
        assert code == 0
        assert json.loads(out)["precision"] == kind
        assert pixelrl.load_trace(tmp_path / f"{kind}.npz").precision == kind


@pytest.mark.parametrize("name", ["denoise-gray", "denoise-color"])
@pytest.mark.parametrize("sigma", [2.0, 15.0])
def test_the_image_itself_is_not_rounded_to_half_the_bits(name: str, sigma: float) -> None:
    """In bfloat16 its brighter half would have steps of a grey level; the estimate was 0.14 to 0.29 of one apart."""
    image = np.random.default_rng(0).normal(data.camera()[:96, 100:196] / 255, sigma / 255).astype(np.float32)
    planes = torch.from_numpy(image)[None, None].expand(-1, 3 if name == "denoise-color" else 1, -1, -1)
    estimates = []
    for kind in ("fp32", "bf16"):
        agent = pixelrl.load(name, "cpu", kind)
        told = torch.full((1, 1, 1, 1), sigma / 255)
        estimates.append(agent.clean_estimate(planes, told))
    apart = 255 * (estimates[0] - estimates[1])
    assert 0 < apart.square().mean().sqrt() < 0.07
