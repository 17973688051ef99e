"""Colour pictures go to a policy that sees their channels together where there is one, else to the grey one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import pixelrl
from conftest import Randomise, Run
from pixelrl import policy_files
from pixelrl.actions import PAPER_NINE
from pixelrl.auto import choose_by_peak
from pixelrl.checkpoint import PolicyCard, save_policy

KINDS = {"poisson": ("peak", "plain"), "saltpepper": (None, "impulses")}


@pytest.fixture
def packaged(
    tmp_path: Path, randomise: Randomise, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """The package with small policies for colour in place of its own, or, as ``request`` says, with none."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for name, file in pixelrl.shipped_policies().items():
        if name not in [f"{kind}-color" for kind in KINDS]:
            (folder / file.name).symlink_to(file)
    for kind, (condition, estimator) in KINDS.items() if request.param else ():
        small = {"width": 8, "deep_width": 8, "depths": [1, 1, 1], "head_width": 4}
        arguments = {**small, "num_channels": 3, "estimator": estimator}
        card = PolicyCard(f"{kind}-color", "lookahead", arguments, PAPER_NINE, 1, condition, {})
        network = card.build()
        randomise(network)
        save_policy(folder / f"{card.name}.safetensors", network, card)
    monkeypatch.setattr(policy_files, "_weights", lambda: folder)


@pytest.fixture
def photons() -> npt.NDArray[np.uint8]:
    """A dark colour picture, 40 photons at white."""
    clean = np.linspace(0.1, 0.5, 64)[:, None, None] * np.array([1.0, 0.8, 0.6]) + np.zeros((64, 64, 3))
    return (255 * np.random.default_rng(0).poisson(40 * clean) / 40).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("packaged", "photons_to", "specks_to"),
    [(True, "poisson-color", "saltpepper-color"), (False, "poisson-gray", "saltpepper-gray")],
    indirect=["packaged"],
)
@pytest.mark.usefixtures("packaged")
def test_what_takes_a_picture_depends_on_its_channels(
    photons: npt.NDArray[np.uint8], photons_to: str, specks_to: str, run: Run, tmp_path: Path
) -> None:
    assert choose_by_peak(photons[..., 0])[0] == "poisson-gray"
    policy, told, peak = choose_by_peak(photons)
    assert (policy, told) == (photons_to, {"peak": peak})
    assert peak == pytest.approx(40, rel=0.3)
    assert choose_by_peak(photons, peak=1e5)[0] == "poisson-gaussian-color"
    assert choose_by_peak(photons[..., 0], peak=1e5)[0] == "poisson-gaussian-gray"
    assert policy_files.for_channels("denoise-photo") == ("denoise-photo", "denoise-photo")
    Image.fromarray(photons).save(tmp_path / "in.png")
    for options, name in (
        (["--noise", "poisson"], photons_to),
        (["--peak", "40"], photons_to),  # says what kind of noise it is
        (["--noise", "saltpepper"], specks_to),
        (["--gain", "6.4"], "poisson-gaussian-color"),
        (["--policy", "poisson-gray"], "poisson-gray"),
    ):
        code, out, err = run(
            "denoise", tmp_path / "in.png", "-o", tmp_path / "out.png", "--overwrite", "--json", *options
        )
        assert code == 0, err
        assert json.loads(out)["policy"] == name, options


@pytest.mark.parametrize("packaged", [True], indirect=True)
@pytest.mark.usefixtures("packaged")
def test_the_function_takes_them_alike(photons: npt.NDArray[np.uint8]) -> None:
    for noise, told in (("poisson", {"peak": 40.0}), ("saltpepper", {})):
        agent = pixelrl.load(f"{noise}-color", "cpu")
        expected = agent(photons / 255, condition=told, white=1.0).image
        given = pixelrl.denoise(np.moveaxis(photons, -1, 0), channel_axis=0, noise=noise, **told)  # type: ignore[arg-type]
        assert np.array_equal(np.moveaxis(given, 0, -1), expected)
        alone = pixelrl.denoise(photons[..., 0], noise=noise, **told)  # type: ignore[arg-type]
        grey = pixelrl.load(f"{noise}-gray", "cpu")(
            photons[..., 0] / 255, condition=told, white=1.0, legibility=0
        ).image
        assert np.array_equal(alone, grey)
