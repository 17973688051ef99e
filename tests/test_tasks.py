"""Tasks: how noise is drawn, what a step earns, and how a recipe names a task."""

from __future__ import annotations

import math
import sys
import types

import pytest
import torch
from torch import Tensor

from pixelrl.actions import PAPER_NINE
from pixelrl.errors import UsageError
from pixelrl.tasks import GaussianDenoising, PoissonDenoising, SaltPepperDenoising, Task, build_task


def grey(level: float, batch: int = 1, side: int = 200) -> Tensor:
    return torch.full((batch, 1, side, side), level)


@pytest.mark.parametrize("sigma", [5.0, 25.0, 50.0])
def test_noise_has_the_sigma_it_is_asked_for(sigma: float, generator: torch.Generator) -> None:
    clean = grey(0.5)
    start = GaussianDenoising().degrade(clean, sigma, generator)
    noise = 255 * (start.image - clean)
    # 40,000 pixels: the standard error of the mean is sigma / 200, that of the deviation sigma / 283.
    assert noise.mean().item() == pytest.approx(0, abs=sigma / 40)
    assert noise.std().item() == pytest.approx(sigma, rel=0.02)
    assert torch.equal(start.target, clean)
    assert start.condition.item() == pytest.approx(sigma / 255)


@pytest.mark.parametrize("peak", [5.0, 30.0, 200.0])
def test_poisson_noise_has_the_mean_and_variance_of_photons(peak: float, generator: torch.Generator) -> None:
    start = PoissonDenoising().degrade(grey(0.4), peak, generator)
    assert start.image.mean().item() == pytest.approx(0.4, abs=4 * (0.4 / peak) ** 0.5 / 200)
    assert start.image.var().item() == pytest.approx(0.4 / peak, rel=0.04)
    photons = start.image * peak
    assert torch.allclose(photons, photons.round(), atol=1e-3)  # whole photons, and not clipped at white
    bright = PoissonDenoising().degrade(grey(1.0), peak, generator).image
    assert (bright > 1).double().mean() > 0.3


def test_peaks_are_uniform_in_their_logarithm(generator: torch.Generator) -> None:
    start = PoissonDenoising(peak=(5, 200)).begin(grey(0.5, batch=400, side=4), generator)
    peaks = (0.5 / start.condition.square()).log().flatten()
    middle = (5 * 200) ** 0.5
    assert 5 <= peaks.exp().min() < 6
    assert 180 < peaks.exp().max() <= 200.01
    assert (peaks.exp() < middle).double().mean().item() == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_noise_is_neither_clipped_nor_quantised(level: float, generator: torch.Generator) -> None:
    task, clean = GaussianDenoising(sigma=(25, 25)), grey(level)
    for start in (task.degrade(clean, 25, generator), task.begin(clean, generator)):
        beyond = ((start.image < 0) | (start.image > 1)).double().mean().item()
        assert beyond == pytest.approx(0.5, abs=0.02)
        levels = start.image * 255
        assert ((levels - levels.round()).abs() > 0.01).double().mean() > 0.9


def test_every_crop_has_its_own_sigma(generator: torch.Generator) -> None:
    clean = grey(0.5, batch=300, side=40)
    start = GaussianDenoising(sigma=(10, 50)).begin(clean, generator)
    told = 255 * start.condition.flatten()
    drawn = 255 * (start.image - clean).flatten(1).std(1)
    assert (drawn / told - 1).abs().max() < 0.1
    assert 10 <= told.min() < 12
    assert 48 < told.max() <= 50
    assert told.mean().item() == pytest.approx(30, abs=2)
    assert not torch.equal(start.image[0], start.image[1])


@pytest.mark.parametrize("kind", [GaussianDenoising, PoissonDenoising])
def test_a_share_of_the_noisy_crops_is_as_files_hold_them(
    kind: type[GaussianDenoising | PoissonDenoising], generator: torch.Generator
) -> None:
    clean = torch.cat([grey(0.03, batch=100, side=12), grey(0.97, batch=100, side=12)])
    task = kind(stored=0.25)
    start = task.begin(clean, generator)
    levels = 255 * start.image.flatten(1)
    as_file = ((levels - levels.round()).abs() < 1e-3).all(1) & (levels >= 0).all(1) & (levels < 255.01).all(1)
    assert as_file.double().mean().item() == pytest.approx(0.25, abs=0.1)
    assert torch.equal(start.target, clean)
    # Of the rest, as before: what is measured with is never stored.
    measured = 255 * task.degrade(clean, task.levels[0], generator).image
    assert ((measured - measured.round()).abs() > 0.01).double().mean() > 0.5


def test_without_stored_or_low_noise_training_draws_what_it_drew() -> None:
    clean = grey(0.5, batch=3, side=6)
    for kind in (GaussianDenoising, PoissonDenoising):
        plain, all_stored = (kind(stored=s).begin(clean, torch.Generator().manual_seed(1)) for s in (0.0, 1.0))
        assert torch.equal((255 * plain.image.clamp(0, 1)).round() / 255, all_stored.image)
        assert torch.equal(plain.condition, all_stored.condition)


def test_a_share_of_the_crops_has_next_to_no_noise(generator: torch.Generator) -> None:
    told = 255 * GaussianDenoising(sigma=(0, 50), low_share=0.4).begin(grey(0.5, 4000, 1), generator).condition
    # 0.4 low ones, of which half have none at all, and a tenth of the others.
    assert (told == 0).double().mean().item() == pytest.approx(0.2, abs=0.03)
    assert (told <= 5).double().mean().item() == pytest.approx(0.4 + 0.6 * 0.1, abs=0.03)
    assert told[told > 5].mean().item() == pytest.approx(27.5, abs=1)
    assert told.max() <= 50
    everything = GaussianDenoising(sigma=(0, 50), low_share=1.0).begin(grey(0.5, 500, 1), generator).condition
    assert everything.min() >= 0
    assert 255 * everything.max() <= 5.001


def test_every_second_of_the_other_crops_has_a_usual_level(generator: torch.Generator) -> None:
    task = GaussianDenoising(sigma=(0, 50), low_share=0.4, usual=(10, 20))
    told = 255 * task.begin(grey(0.5, 4000, 1), generator).condition
    # What low ones are is as without; of 0.6 others, half are there, and of the other half as many as by chance.
    assert (told == 0).double().mean().item() == pytest.approx(0.2, abs=0.03)
    usual = (told >= 10) & (told <= 20)
    assert usual.double().mean().item() == pytest.approx(0.3 + 0.3 * 0.2, abs=0.03)
    assert told[usual].mean().item() == pytest.approx(15, abs=0.5)
    assert (told > 20).double().mean().item() == pytest.approx(0.3 * 0.6, abs=0.03)
    assert told[told > 20].mean().item() == pytest.approx(35, abs=1)
    assert told.max() <= 50
    alone = 255 * GaussianDenoising(sigma=(0, 50), usual=(10, 10)).begin(grey(0.5, 2000, 1), generator).condition
    assert torch.isclose(alone, torch.tensor(10.0)).double().mean().item() == pytest.approx(0.5, abs=0.05)
    assert (
        255 * GaussianDenoising(sigma=(10, 10), usual=(10, 10)).begin(grey(0.5, 3, 1), generator).condition
    ).tolist() == ([[[[pytest.approx(10)]]]] * 3)


@pytest.mark.parametrize("usual", [(-1, 20), (20, 10), (10, 60), (float("nan"), 20), (10, float("nan"))])
def test_usual_levels_outside_the_range_are_refused(usual: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match=r"is not a range within sigma = \[0, 50\]; give two numbers of it"):
        GaussianDenoising(sigma=(0, 50), usual=usual)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_shares_that_are_none_are_refused(share: float) -> None:
    for make in (
        lambda: GaussianDenoising(stored=share),
        lambda: GaussianDenoising(low_share=share),
        lambda: PoissonDenoising(stored=share),
    ):
        with pytest.raises(UsageError, match=r"is not a share; give a number from 0 to 1"):
            make()


def test_the_generator_decides_the_noise() -> None:
    task, clean = GaussianDenoising(), grey(0.5, side=8)
    one, same, other = (task.begin(clean, torch.Generator().manual_seed(seed)).image for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_reward_by_hand() -> None:
    task = GaussianDenoising()
    before, after, target = (torch.full((1, 1, 1, 1), level / 255) for level in (10.0, 7.0, 6.0))
    assert task.reward(before, after, target).item() == pytest.approx((16 - 1) / 255)  # 255 (4^2 - 1^2) / 255^2
    assert task.reward(after, before, target).item() == pytest.approx(-15 / 255)


def test_rewards_of_all_outcomes_at_once(generator: torch.Generator) -> None:
    task = GaussianDenoising()
    before, target = torch.rand(2, 2, 1, 4, 5, generator=generator)
    outcomes = torch.rand(2, 9, 1, 4, 5, generator=generator)
    rewards = task.reward(before[:, None], outcomes, target[:, None])
    assert rewards.shape == outcomes.shape
    for action in range(9):
        torch.testing.assert_close(rewards[:, action], task.reward(before, outcomes[:, action], target))


def test_the_reward_scale_is_one_at_sigma_15_and_smaller_for_stronger_noise(generator: torch.Generator) -> None:
    scales = [GaussianDenoising().degrade(grey(0.5), s, generator).reward_scale.item() for s in (5.0, 15.0, 35.0)]
    assert scales == pytest.approx([4, 1, 1 / 4])  # (20 / (sigma + 5)) ** 2


def test_what_the_paper_chose() -> None:
    task = GaussianDenoising()
    assert task.num_steps == 5
    assert task.action_names == PAPER_NINE
    assert len(task.action_names) == 9
    assert task.levels == (15, 25, 50)


@pytest.mark.parametrize("sigma", [(-1.0, 5.0), (5.0, 1.0), (float("nan"), 5.0)])
def test_bad_ranges_are_refused(sigma: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="is not a range"):
        GaussianDenoising(sigma=sigma)


def test_an_episode_has_steps() -> None:
    with pytest.raises(UsageError, match="num_steps = 0 is not an episode's length"):
        GaussianDenoising(num_steps=0)


def test_tasks_by_name() -> None:
    task = build_task("gaussian-denoising", {"sigma": (1.0, 2.0), "num_steps": 3})
    assert isinstance(task, GaussianDenoising)
    assert task.num_steps == 3


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        ("denoise", {}, "task 'denoise' is unknown; known are gaussian-denoising"),
        ("gaussian-denoising", {"strength": 3}, r"task\.strength is unknown; known are task\.sigma, .*task\.space$"),
        (
            "gaussian-denoising",
            {"sigma": (1.0,)},
            r"task\.sigma = \[1.0\] must be a list of 2 numbers, for",
        ),
        (
            "gaussian-denoising",
            {"sigma": 25},
            r"task\.sigma = 25 .* 2 numbers, for instance \[0.0, 55.0\]$",
        ),
        ("gaussian-denoising", {"sigma": "a"}, r'task\.sigma = "a" must be a list of 2 numbers'),
        ("gaussian-denoising", {"sigma": ("a", "b")}, r"task\.sigma = .* must be a list of 2 numbers"),
        ("gaussian-denoising", {"sigma": math.nan}, r"task\.sigma = NaN must be a list of 2 numbers"),
        ("gaussian-denoising", {"sigma": (math.nan, 3.0)}, r"sigma = \[nan, 3.0\] is not a range"),
        ("gaussian-denoising", {"actions": "median"}, r'task\.actions = "median" must be a list of strings$'),
        ("gaussian-denoising", {"balanced": "no"}, r'task\.balanced = "no" must be true or false$'),
        ("gaussian-denoising", {"stored": True}, r"task\.stored = true must be a number$"),
        ("gaussian-denoising", {"num_steps": 2.5}, r"task\.num_steps = 2.5 must be a whole number$"),
        ("gaussian-denoising", {"space": "opponent", "bogus": 3}, r"task\.bogus is unknown"),
        ("no_such_module:Task", {}, "there is no module no_such_module"),
        ("pixelrl.tasks:NoSuchTask", {}, r"module pixelrl.tasks .* has no NoSuchTask"),
        ("pathlib:Path", {}, "is not a subclass"),
    ],
)
def test_tasks_that_cannot_be_made(kind: str, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_task(kind, arguments)


def test_a_task_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("my_tasks")

    class Mine(Task):
        def __init__(self, num_steps: int) -> None:
            self.num_steps = num_steps

        def degrade(self, clean: Tensor, level: float, generator: torch.Generator) -> None:
            raise NotImplementedError

        def begin(self, clean: Tensor, generator: torch.Generator) -> None:
            raise NotImplementedError

    module.Mine = Mine
    monkeypatch.setitem(sys.modules, "my_tasks", module)
    task = build_task("my_tasks:Mine", {"num_steps": 4})
    assert isinstance(task, Mine)
    assert task.num_steps == 4
    with pytest.raises(UsageError, match=r"task\.num_steps is missing; give it$"):
        build_task("my_tasks:Mine", {})
    mine = build_task("my_tasks:Mine", {"num_steps": 4.0})  # its own hints are its own matter
    assert mine.num_steps == 4


@pytest.mark.parametrize("task", [GaussianDenoising, SaltPepperDenoising])
def test_rewards_without_balance_are_the_papers(task: type[Task], generator: torch.Generator) -> None:
    balanced, plain = (task(balanced=flag).degrade(grey(0.5), task().levels[1], generator) for flag in (True, False))  # type: ignore[call-arg]
    assert balanced.reward_scale.item() < 0.5
    assert plain.reward_scale.item() == 1


def test_a_task_is_validated_at_levels_that_it_trains() -> None:
    assert GaussianDenoising(sigma=(25, 25)).levels == (25,)
    assert GaussianDenoising(sigma=(10, 30)).levels == (15, 25)
    assert GaussianDenoising(sigma=(1, 2)).levels == (15, 25, 50)
    assert SaltPepperDenoising(density=(0.4, 0.95)).levels == (0.5, 0.9)
