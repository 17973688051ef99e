"""The shipped policies: each must beat the same network before training, by a margin that was measured.

A fresh lookahead policy with impulses fills holes by itself, and a fresh steering policy already goes where its first
logits send it. So to be better than the picture as it came proves nothing about the weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage import data
from skimage.color import rgb2lab

import pixelrl
from pixelrl.agent import Agent
from pixelrl.evaluate import play
from pixelrl.pictures.values import array_to_tensor
from pixelrl.tasks import (
    ColorEnhancement,
    Episode,
    GaussianDenoising,
    PoissonDenoising,
    SaliencyEditing,
    SaltPepperDenoising,
    Task,
    TextRemoval,
)
from pixelrl.tasks.restoration import jpeg

CLEANERS = [
    ("denoise-gray", GaussianDenoising(), {15: 6.0, 25: 7.5, 50: 9.5}),
    ("denoise-color", GaussianDenoising(), {15: 6.0, 25: 7.5, 50: 10.0}),
    ("poisson-gray", PoissonDenoising(), {120: 5.0, 30: 7.5, 10: 9.5}),
    ("poisson-color", PoissonDenoising(), {120: 6.5, 30: 8.5, 10: 9.5}),
    ("saltpepper-gray", SaltPepperDenoising(), {0.1: 6.0, 0.5: 3.0, 0.9: 1.5}),
    ("saltpepper-color", SaltPepperDenoising(), {0.1: 6.4, 0.5: 3.7, 0.9: 1.8}),
    ("restore-gray", TextRemoval(), {12: 18.0, 20: 15.0}),
    ("restore-color", TextRemoval(), {12: 15.0, 20: 14.0}),
]
"""For each level the gain in dB over the untrained network that must be reached: about 4/5 of what was measured."""
LOOKS = ("enhance-foreground-popout", "enhance-local-xpro", "enhance-watercolor")


def untrained(agent: Agent) -> Agent:
    """The same network with the weights it starts from."""
    torch.manual_seed(0)  # initial weights, which PyTorch draws from its global generator
    return Agent(agent.card.build().eval(), agent.card, agent.device)


def measured(agent: Agent, task: Task, start: Episode) -> float:
    (outcome,) = play(agent, task, [("it", start)])
    return task.metric(outcome.final, start).mean().item()


@pytest.mark.parametrize(("name", "task", "gains"), CLEANERS, ids=[name for name, _, _ in CLEANERS])
def test_every_shipped_policy_cleans_a_photograph(
    name: str, task: Task, gains: dict[float, float], generator: torch.Generator
) -> None:
    agent = pixelrl.load(name, "cpu")
    fresh = untrained(agent)
    photo = data.astronaut()[20:116, 180:276] if agent.num_channels == 3 else data.camera()[100:196, 150:246]
    clean = array_to_tensor(photo)
    for level, gain in gains.items():
        start = task.degrade(clean, level, generator)
        trajectory, final = agent.run(start.image, start.condition)
        assert task.metric(final, start).item() > measured(fresh, task, start) + gain
        assert len(trajectory.actions.unique()) >= 7
        told = {quantity.name: float(level) for quantity in task.conditioning.quantities}
        assert torch.equal(agent(start.image, condition=told).image, final)


def test_text_as_it_really_is_is_taken_away_and_pictures_without_any_are_left_alone() -> None:
    """Soft edges, white and coloured; not the cup of coffee, of whose shine it takes a part for text."""
    agent = pixelrl.load("restore-color", "cpu")
    photo = Image.fromarray(data.astronaut()[0:128, 130:290])
    for color, compressed in (("white", False), ("#ffb020", False), ("white", True)):
        stamped = photo.copy()
        ImageDraw.Draw(stamped).text((12, 60), "PROOF 2024", fill=color, font=ImageFont.load_default(24))
        if compressed:
            stamped = Image.fromarray(jpeg_of(np.asarray(stamped)))
        before, after = (np.asarray(x, float) - np.asarray(photo) for x in (stamped, agent(np.asarray(stamped)).image))
        assert np.square(after).mean() < 0.25 * np.square(before).mean()
    for clean in (np.asarray(photo), data.chelsea()[60:220, 100:300]):
        assert np.square(agent(clean).image.astype(float) - clean).mean() < 1.0  # 48 dB


def jpeg_of(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """After JPEG compression of quality 75."""
    image = jpeg(array_to_tensor(pixels), 75)[0].movedim(0, -1)
    return np.asarray((image * 255).round().byte().numpy())


@pytest.mark.parametrize("name", LOOKS)
def test_every_shipped_look_changes_a_photograph_without_spoiling_it(name: str) -> None:
    agent = pixelrl.load(name, "cpu")
    photo = data.astronaut()[20:116, 180:276]
    result = agent(photo)
    lab = [rgb2lab(picture) for picture in (photo, result.image)]
    moved = np.linalg.norm(lab[0] - lab[1], axis=-1)
    assert 3 < moved.mean() < 40
    assert np.corrcoef(lab[0][..., 0].ravel(), lab[1][..., 0].ravel())[0, 1] > 0.8
    assert len(result.trajectory.actions.unique()) >= 5
    assert np.array_equal(untrained(agent)(photo).image, photo)  # a fresh one has no look at all


@pytest.mark.parametrize("name", LOOKS)
def test_every_shipped_look_comes_nearer_to_what_was_retouched(name: str, shared: Path) -> None:
    """On test pictures of Yan et al.: 13.2 to 24.1 units of Lab untrained, 3.3 to 12.8 fewer with the weights."""
    folder, task = shared / "data" / "enhance", ColorEnhancement(files="prophoto")
    agent = pixelrl.load(name, "cpu")
    fresh = untrained(agent)
    for picture in (folder / "test.txt").read_text().split()[:2]:
        files = [next((folder / side).glob(f"{picture}.*")) for side in ("input", name.removeprefix("enhance-"))]
        crops = [array_to_tensor(np.asarray(Image.open(file).convert("RGB"))[100:228, 100:228]) for file in files]
        start = task.degrade(torch.cat(crops, 1), 0.0, torch.Generator())
        assert measured(agent, task, start) < measured(fresh, task, start) - 2.5


def test_the_shipped_saliency_policy_attenuates_as_it_learned_to() -> None:
    """Its reward on random objects of eight crops: 0.029 to 0.036 more than untrained, for three seeds.

    Emphasising, the first logits already earn as much by this measure; see the next test for what they leave alone.
    """
    corners = ((40, 60), (150, 100))
    photos = (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())
    clean = torch.cat([array_to_tensor(photo[y : y + 96, x : x + 96]) for photo in photos for y, x in corners])
    task, agent = SaliencyEditing(), pixelrl.load("saliency-edit", "cpu")
    start = task.degrade(clean, -1.0, torch.Generator().manual_seed(0))
    assert measured(agent, task, start) > measured(untrained(agent), task, start) + 0.015


@pytest.mark.parametrize("name", ["denoise-gray", "denoise-color", "poisson-gray", "poisson-color"])
def test_noise_goes_from_the_border_of_pictures_of_any_size(name: str) -> None:
    """Their height is no multiple of what a cell spans: the bottom had twice to three times what the top has."""
    agent, shape = pixelrl.load(name, "cpu", "fp32"), (97, 97, 3)
    told = {"sigma": 50.0} if "denoise" in name else {"peak": 10.0}
    errors = []
    for seed in range(4):
        generator = np.random.default_rng(seed)
        image = generator.normal(0.5, 50 / 255, shape) if "denoise" in name else generator.poisson(5, shape) / 10
        image = image.astype(np.float32)[..., slice(None) if agent.policy.num_channels == 3 else 0]
        left = np.square(agent(image, legibility=0.0, **told).image - 0.5)
        errors.append([left[-8:, :-16].mean(), left[:8, :-16].mean()])
    bottom, top = np.sqrt(np.mean(errors, 0))
    assert bottom < 1.75 * top, (bottom, top)


def test_the_list_of_shipped_policies_is_complete() -> None:
    others = ("saliency-edit", "poisson-gaussian-gray", "poisson-gaussian-color", "denoise-photo", "readable-code")
    assert sorted(pixelrl.shipped_policies()) == sorted([*(name for name, _, _ in CLEANERS), *LOOKS, *others])


@pytest.mark.parametrize("kind", ["gray", "color"])
def test_the_policies_of_photons_are_the_networks_of_gaussian_noise(kind: str) -> None:
    name, other = f"poisson-gaussian-{kind}", f"denoise-{kind}"
    assert pixelrl.shipped_policies()[name].stat().st_size < 1000
    mine, weights = (pixelrl.load(each, "cpu").policy.state_dict() for each in (name, other))
    assert mine.keys() == weights.keys()
    assert all(weight.equal(weights[key]) for key, weight in mine.items())


def test_the_shipped_policies_that_have_a_judge_say_how_sure_they_are() -> None:
    """Also where the encoder was trained last, and the judge is another policy's."""
    judged = ["denoise-color", "denoise-gray", "denoise-photo", "poisson-color", "poisson-gaussian-color"]
    judged += ["poisson-gaussian-gray", "poisson-gray", "restore-color", "restore-gray"]
    for name in judged:
        agent = pixelrl.load(name, "cpu")
        assert agent.learned_to_choose(), name
        assert not agent.learned_to_choose(0.0), name
