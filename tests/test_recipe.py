"""Recipes: what is refused, and with which words; learning rates by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pixelrl.errors import UsageError
from pixelrl.training.pictures import pictures_of
from pixelrl.training.recipe import PhaseSettings, Recipe, read_recipe, recipe_from_dict
from pixelrl.training.shipped import find_recipe, shipped_recipes
from pixelrl.training.start import task_of

SMALL = """
name = "small"
[task]
kind = "gaussian-denoising"
sigma = [0, 55]
[policy]
kind = "lookahead"
width = 8
[data]
scales = [1, 0.5]
[warm_start]
iterations = 10
lr = 1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    return file


def test_a_small_recipe(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.name == "small"
    assert recipe.policy == {"kind": "lookahead", "width": 8}
    assert recipe.data.scales == (1.0, 0.5)
    assert recipe.warm_start.lr == 1.0
    assert isinstance(recipe.warm_start.lr, float)  # a whole number stands for a real one
    assert recipe.iterations == 10


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_valid(name: str) -> None:
    recipe = read_recipe(shipped_recipes()[name])
    assert name.replace("/", "-").startswith(recipe.name)  # a policy may have a second stage
    assert recipe.data.folder == ""  # no machine's own path


def test_recipes_are_found_by_name_and_as_files(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = shipped_recipes()
    assert {"denoise-gray", "denoise-color", "enhance", "saliency-edit"} <= shipped.keys()
    assert find_recipe(Path("denoise-gray")) == shipped["denoise-gray"]
    assert find_recipe(Path("recipes/denoise-gray.toml")) == shipped["denoise-gray"]  # as commands had it before
    assert find_recipe(Path("paper/gaussian-25-rmc")) == shipped["paper/gaussian-25-rmc"]
    assert find_recipe(path) == path
    own = Path("recipes/denoise-gray.toml")
    own.parent.mkdir()
    own.write_text(path.read_text())
    assert find_recipe(own) == own
    for unknown in ("denoise-grey", "recipes/denoise-grey.toml", "elsewhere/denoise-gray.toml"):
        with pytest.raises(UsageError, match="neither a file nor a shipped recipe"):
            find_recipe(Path(unknown))
    with pytest.raises(UsageError, match=r"saltpepper-gray, .*paper/color-gru and others in paper$"):
        find_recipe("denoise-grey")
    with pytest.raises(UsageError, match=r"shipped are paper/color-gru, .*, paper/text-rmc$"):
        find_recipe("paper/gaussian-26")


def test_overrides_have_the_type_that_toml_gives_them(path: Path) -> None:
    recipe = read_recipe(
        path,
        ["data.batch=8", "data.folder=/some where/else", 'name="quoted"', "data.scales=[1]", "task.num_steps=3",
         "reinforcement.lr = 2e-4", "learner.gradient=sampled"],
    )  # fmt: skip
    assert recipe.data.batch == 8
    assert recipe.data.folder == "/some where/else"
    assert recipe.name == "quoted"
    assert recipe.data.scales == (1.0,)
    assert recipe.task["num_steps"] == 3
    assert recipe.reinforcement.lr == 2e-4
    assert recipe.learner.gradient == "sampled"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.batch", r"--set 'data\.batch' is not of the form key=value"),
        ("=3", "is not of the form key=value"),
        ("name.x=3", r"'name\.x=3': name is a value, not a table"),
        ("data.bach=8", r"data\.bach is unknown; known are data\.folder, data\.before, data\.after"),
        ("speed=8", "speed is unknown; known are name, task"),
        ("data=8", r"data = 8 must have some of the fields data\.folder"),
        ("task=8", "task = 8 must be a table with a kind"),
        ("policy.kind=8", "policy must be a table with a kind"),
        ("data.batch=many", r'data\.batch = "many" must be a whole number from 1 to a million'),
        ("data.batch=8.0", r"data\.batch = 8\.0 must be a whole number"),
        ("data.batch=true", r"data\.batch = true must be a whole number"),
        ("data.batch=0", r"data\.batch = 0 must be a whole number from 1"),
        ("data.validation=0", r"data\.validation = 0 must be a whole number from 1"),
        ("data.crop=0", r"data\.crop = 0 must be a whole number of pixels, from 1"),
        ("data.recolor=2", r"data\.recolor = 2 must be a number from 0 to 1"),
        ("name=3", "name = 3 must be a name"),
        ('name=""', 'name = "" must be a name'),
        ("seed=1.5", r"seed = 1\.5 must be a whole number"),
        ("seed=" + "9" * 400, r"seed = 9+… must be a whole number"),
        ("data.scales=1", r"data\.scales = 1 must be a list of numbers above 0 and at most 1"),
        ('data.scales=["1"]', r'data\.scales = \["1"\] must be a list of numbers'),
        ("data.scales=[]", r"data\.scales = \[\] must be a list"),
        ("data.scales=[0.5, 1.5]", r"data\.scales = \[0\.5, 1\.5\] must be a list of numbers above 0 and at most 1"),
        ("data.scales=[nan]", r"data\.scales = \[NaN\] must be a list of numbers above 0 and at most 1"),
        ("learner.gamma=true", r"learner\.gamma = true must be a number from 0 to 1"),
        ("learner.gamma=high", r'learner\.gamma = "high" must be a number from 0 to 1'),
        ("learner.gamma=nan", r"learner\.gamma = NaN must be a number from 0 to 1"),
        ("learner.gamma=7", r"learner\.gamma = 7 must be a number from 0 to 1"),
        ("learner.ema=-3", r"learner\.ema = -3 must be a number from 0 to 1"),
        ("learner.ema=nan", r"learner\.ema = NaN must be a number from 0 to 1"),
        ("learner.t_max=0", r"learner\.t_max = 0 must be a whole number from 1"),
        ("learner.ent_coef=-1", r"learner\.ent_coef = -1 must be a finite number"),
        ("learner.vf_coef=inf", r"learner\.vf_coef = Infinity must be a finite number"),
        ("learner.max_grad_norm=-0.5", r"learner\.max_grad_norm = -0\.5 must be a finite number"),
        ("learner.max_grad_norm=nan", r"learner\.max_grad_norm = NaN must be a finite number"),
        ("learner.estimate_norm=3", r"learner\.estimate_norm = 3 must be 0, 1 or 2"),
        (
            "learner.gradient=exact",
            r'learner\.gradient = "exact" must be "all-action", "sampled", "trials" or "search"',
        ),
        ("learner.precision=fp16", r'learner\.precision = "fp16" must be "fp32" or "bf16"'),
        ("warm_start.lr=inf", r"warm_start\.lr = Infinity must be a finite number, at least 0"),
        ("warm_start.lr=nan", r"warm_start\.lr = NaN must be a finite number"),
        ("reinforcement.lr=-1", r"reinforcement\.lr = -1 must be a finite number"),
        ("warm_start.final_lr=1e400", r"warm_start\.final_lr = Infinity must be a finite number"),
        ("warm_start.iterations=-1", r"warm_start\.iterations = -1 must be a number of iterations"),
        ("warm_start.iterations=0", "trains nothing"),
        ("warm_start.cooldown=11", r"warm_start\.cooldown = 11 is more than warm_start\.iterations = 10; lower it"),
        ("warm_start.cooldown=-1", r"warm_start\.cooldown = -1 must be a number of iterations"),
        ("reinforcement.crop=-1", r"reinforcement\.crop = -1 must be a whole number of pixels, or 0"),
        ("reinforcement.power=0", r"reinforcement\.power = 0 must be a number above 0 and at most 10"),
        ("data.tilt=-1", r"data\.tilt = -1 must be an angle from 0 to 180 degrees"),
        # What older recipes had, and no recipe used.
        (
            "warm_start.crop=8",
            r"warm_start\.crop can no longer be set; leave it out: data\.crop is that of",
        ),
        (
            "learner.estimate_coef=1.0",
            r"learner\.estimate_coef can no longer be set; leave it out: the",
        ),
    ],
)
def test_bad_values_are_named(path: Path, override: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        read_recipe(path, [override])
    assert "\n" not in str(refused.value)


def test_older_recipes_may_have_what_is_gone_at_its_default(path: Path) -> None:
    older = ["learner.estimate_coef=0.0", "warm_start.crop=0"]
    assert read_recipe(path, older) == read_recipe(path)


@pytest.mark.parametrize("missing", ["name", "task", "policy"])
def test_missing_keys_are_named(missing: str) -> None:
    content: dict[str, object] = {
        "name": "small",
        "task": {"kind": "gaussian-denoising"},
        "policy": {"kind": "lookahead"},
        "warm_start": {"iterations": 1},
    }
    recipe_from_dict(content, "here")
    del content[missing]
    with pytest.raises(UsageError, match=f"here: {missing} is missing; it must be a "):
        recipe_from_dict(content, "here")


@pytest.mark.parametrize("content", [b"name = ", b"\x89PNG\r\n\x1a\n", b"name = 1\nname = 2", b"seed = " + 5000 * b"1"])
def test_what_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"bad\.toml is not valid TOML"):
        read_recipe(file)


def test_nested_beyond_all_bounds_is_no_traceback(path: Path, tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text(f"name = {'[' * 10_000}")
    with pytest.raises(UsageError, match=r"deep\.toml is nested too deeply"):
        read_recipe(tmp_path / "deep.toml")
    for override in (f"seed={'[' * 10_000}", f"seed={'1' * 5000}", "seed=\udc80"):
        with pytest.raises(UsageError, match=r"seed = .* must be a whole number|surrogates"):
            read_recipe(path, [override])


def test_a_folder_that_no_file_can_be_called_is_refused(path: Path) -> None:
    recipe = read_recipe(path, ['data.folder="a\\u0000b"'])
    with pytest.raises(UsageError, match=r"data folder 'a.x00b' has a character that no file's name can have"):
        pictures_of(recipe, task_of(recipe), torch.device("cpu"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml cannot be read: No such file"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_recipe(tmp_path)


def test_a_recipe_survives_json(path: Path) -> None:
    recipe = read_recipe(path)
    again = recipe_from_dict(json.loads(json.dumps(recipe.as_dict())), "a checkpoint")
    assert again == recipe


def two_phases() -> Recipe:
    return recipe_from_dict(
        {
            "name": "two",
            "task": {"kind": "x"},
            "policy": {"kind": "y"},
            "warm_start": {"iterations": 10, "lr": 1.0, "final_lr": 0.5},
            "reinforcement": {"iterations": 4, "lr": 0.1},
        },
        "here",
    )


@pytest.mark.parametrize(
    ("iteration", "phase", "lr"),
    [
        (0, "warm_start", 1.0),
        (5, "warm_start", 0.75),  # half-way from 1 to 1/2
        (9, "warm_start", 0.55),
        (10, "reinforcement", 0.1),
        (12, "reinforcement", 0.05),
        (13, "reinforcement", 0.025),
    ],
)
def test_phases_and_learning_rates_by_hand(iteration: int, phase: str, lr: float) -> None:
    assert two_phases().phase(iteration) == (phase, pytest.approx(lr, rel=1e-5))


@pytest.mark.parametrize(("done", "lr"), [(0, 1.0), (3, 0.75), (5, 0.58333), (6, 0.5), (7, 0.375), (9, 0.125)])
def test_a_cooldown_by_hand(done: int, lr: float) -> None:
    """From 1 to 1/2 over the first six of ten iterations, then from there to 0 over the last four."""
    assert PhaseSettings(iterations=10, lr=1.0, final_lr=0.5, cooldown=4).lr_at(done) == pytest.approx(lr, rel=1e-4)


def test_the_papers_learning_rate_by_hand() -> None:
    """1e-3 (1 - e / 30000)^0.9, and 0.1^0.9 = 0.12589."""
    phase = PhaseSettings(iterations=30_000, lr=1e-3, power=0.9)
    assert [phase.lr_at(done) for done in (0, 27_000)] == pytest.approx([1e-3, 1.2589e-4], rel=1e-4)


def test_a_phase_may_be_all_cooldown() -> None:
    assert PhaseSettings(iterations=4, final_lr=1.0, cooldown=4).lr_at(0) == 1.0


def test_a_recipe_over_another_holds_what_differs(path: Path) -> None:
    over = path.with_name("over.toml")
    over.write_text('base = "small"\nname = "over"\nseed = 3\n[policy]\nhead_width = 4\n[warm_start]\nlr = 2\n')
    settings = ["name=over", "seed=3", "policy.head_width=4", "warm_start.lr=2"]
    assert read_recipe(over) == read_recipe(path, settings)
    assert read_recipe(over, ["seed=4"]).seed == 4
    over.write_text(over.read_text().replace('base = "', 'base = "./'))
    assert read_recipe(over) == read_recipe(path, settings)


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("over", "at most 8 may follow each other"),  # itself
        ("none", r"none\.toml cannot be read"),
        (3, "base = 3 must be the name of another recipe"),
        ("", "base = .. must be the name of another recipe"),
        (".", "must be the name of another recipe"),
        ("../over", "must be the name of another recipe"),
        ("a\0b", "has a character that no file's name can have"),
    ],
)
def test_a_base_that_is_none_is_refused(path: Path, base: object, words: str) -> None:
    over = path.with_name("over.toml")
    over.write_text(f"base = {json.dumps(base)}\n")
    with pytest.raises(UsageError, match=words):
        read_recipe(over)
