"""The recipes of the paper's method: they say what the paper says, and they train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from pixelrl.actions import PAPER_NINE, PAPER_THIRTEEN
from pixelrl.policies import FCN
from pixelrl.training.recipe import Recipe, read_recipe
from pixelrl.training.shipped import shipped_recipes
from pixelrl.training.trainer import POLICY_FILE, Trainer

CPU = torch.device("cpu")
NAMES = [name for name in shipped_recipes() if name.startswith("paper/")]
SUBJECTS = {
    "gaussian-15": {"sigma": [15, 15]},
    "gaussian-25": {"sigma": [25, 25]},
    "gaussian-50": {"sigma": [50, 50]},
    "saltpepper-10": {"density": [0.1, 0.1]},
    "saltpepper-50": {"density": [0.5, 0.5]},
    "saltpepper-90": {"density": [0.9, 0.9]},
    "text": {},
    "color": {},
}


def recipe_of(name: str, *settings: str) -> Recipe:
    return read_recipe(shipped_recipes()[name], settings)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small colour pictures."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for i in range(3):
        PillowImage.fromarray(random.integers(0, 256, (26, 28, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return folder


def trained(name: str, photos: Path, folder: Path, initial: str = "") -> Trainer:
    """Two iterations of a tiny network on tiny crops, everything else as the recipe has it."""
    places = ["data.before", "data.after"] if "color" in name else ["data.folder"]
    settings = [f"{place}={photos}" for place in places]
    settings += ["data.crop=12", "data.batch=2", "data.validation=1", "policy.width=3", "reinforcement.iterations=2"]
    trainer = Trainer(recipe_of(name, *settings, f"initial={initial}"), folder, CPU)
    assert trainer.run()
    return trainer


def test_every_subject_has_three_stages() -> None:
    assert set(NAMES) == {f"paper/{subject}-{stage}" for subject in SUBJECTS for stage in ("plain", "gru", "rmc")}


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_are_the_papers(name: str) -> None:
    recipe = recipe_of(name)
    subject, _, stage = name.removeprefix("paper/").rpartition("-")
    learner, data = recipe.learner, recipe.data
    assert (learner.gradient, learner.gamma, learner.t_max) == ("sampled", 0.95, 5)
    assert (learner.ent_coef, learner.vf_coef, learner.max_grad_norm, learner.ema) == (0.01, 0.5, 0, 0)
    assert (data.crop, data.batch, data.tilt) == (70, 64, 45 if subject == "color" else 10)
    assert (recipe.warm_start.iterations, recipe.iterations) == (0, 30_000)
    for e in (0, 10_000, 29_999):
        assert recipe.phase(e) == ("reinforcement", pytest.approx(1e-3 * (1 - e / 30_000) ** 0.9))
    assert recipe.policy["width"] == 64
    assert recipe.policy["recurrent"] is (stage != "plain")
    assert recipe.policy["reward_map_convolution"] is (stage == "rmc")
    before = {"plain": None, "gru": "plain", "rmc": "gru"}[stage]
    assert recipe.initial == ("" if before is None else f"runs/paper/{subject}-{before}/policy.safetensors")
    assert SUBJECTS[subject].items() <= recipe.task.items()


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_trains(name: str, photos: Path, tmp_path: Path) -> None:
    trainer = trained(name, photos, tmp_path)
    subject = name.removeprefix("paper/").split("-")[0]
    steps, actions = {"text": (15, PAPER_NINE), "color": (10, PAPER_THIRTEEN)}.get(subject, (5, PAPER_NINE))
    assert (trainer.task.num_steps, trainer.task.action_names) == (steps, actions)
    assert isinstance(trainer.policy, FCN)
    assert trainer.policy.training
    start = trainer.task.begin(trainer.crops["reinforcement"].sample(trainer.host_generator), trainer.generator)
    assert (start.reward_scale == 1).all()
    assert len(trainer.validation[""]) == 1
    assert len(trainer.task.levels) == (3 if subject == "text" else 1)


def test_a_stage_starts_from_the_one_before(photos: Path, tmp_path: Path) -> None:
    """What both have is taken over; the GRU is new, and the kernel begins as the delta."""
    trained("paper/text-plain", photos, tmp_path / "plain")
    plain = Trainer.averaged_policy(trained("paper/text-plain", photos, tmp_path / "again"))
    assert isinstance(plain, FCN)
    initial = str(tmp_path / "plain" / POLICY_FILE)
    settings = [f"data.folder={photos}", "data.crop=12", "data.batch=2", "data.validation=1", "policy.width=3"]
    gru = Trainer(recipe_of("paper/text-gru", *settings, f"initial={initial}"), tmp_path / "gru", CPU)
    ours = gru.policy.state_dict()
    for name, weight in plain.state_dict().items():
        torch.testing.assert_close(ours[name], weight, rtol=0, atol=0)
    gru.save()
    initial = str(tmp_path / "gru" / POLICY_FILE)
    rmc = Trainer(recipe_of("paper/text-rmc", *settings, f"initial={initial}"), tmp_path / "rmc", CPU).policy
    assert rmc.reward_kernel is not None
    assert rmc.reward_kernel.sum() == rmc.reward_kernel[0, 0, 16, 16] == 1
    for name, weight in ours.items():
        torch.testing.assert_close(rmc.state_dict()[name], weight, rtol=0, atol=0)
