"""Recipes: what is refused, and with which words; learning rates by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixelrl.errors import UsageError
from pixelrl.training.recipe import PhaseSettings, Recipe, read_recipe, recipe_from_dict
from pixelrl.training.shipped import find_recipe, shipped_recipes

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

RECIPES = sorted(shipped_recipes().values())


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


@pytest.mark.parametrize("shipped", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(shipped: Path) -> None:
    recipe = read_recipe(shipped)
    assert shipped.stem.startswith(recipe.name)  # a policy may have a second stage
    assert recipe.data.folder == ""  # no machine's own path


def test_recipes_are_found_by_name_and_as_files(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = shipped_recipes()
    assert {"denoise-gray", "denoise-color", "enhance", "saliency-edit"} <= shipped.keys()
    assert find_recipe(Path("denoise-gray")) == shipped["denoise-gray"]
    assert find_recipe(Path("recipes/denoise-gray.toml")) == shipped["denoise-gray"]  # as commands had it before
    assert find_recipe(path) == path
    own = Path("recipes/denoise-gray.toml")
    own.parent.mkdir()
    own.write_text(path.read_text())
    assert find_recipe(own) == own
    for unknown in ("denoise-grey", "recipes/denoise-grey.toml", "elsewhere/denoise-gray.toml"):
        with pytest.raises(UsageError, match="neither a file nor a shipped recipe"):
            find_recipe(Path(unknown))


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
        ("data.bach=8", r"unknown key data\.bach; known are data\.folder, data\.before, data\.after"),
        ("speed=8", "unknown key speed; known are name, task"),
        ("data=8", "data must be a table, not 8"),
        ("task=8", "task must be a table with a kind"),
        ("policy.kind=8", "policy must be a table with a kind"),
        ("data.batch=many", r"data\.batch must be a whole number, not 'many'"),
        ("data.batch=8.0", r"data\.batch must be a whole number, not 8\.0"),
        ("data.batch=true", r"data\.batch must be a whole number, not True"),
        ("learner.gamma=true", r"learner\.gamma must be a number, not True"),
        ("learner.gamma=high", r"learner\.gamma must be a number, not 'high'"),
        ("name=3", "name must be a string, not 3"),
        ("data.scales=1", r"data\.scales must be a list of numbers, not 1"),
        ('data.scales=["1"]', r"data\.scales must be a list of numbers"),
        ("data.scales=[]", r"data\.scales = \[\] must"),
        ("data.recolor=1.5", r"data\.recolor = 1\.5 is not a share; give a number from 0 to 1"),
        ("data.scales=[0.5, 1.5]", r"data\.scales = \[0\.5, 1\.5\] must be numbers above 0 and at most 1"),
        ("data.crop=0", r"data\.crop = 0 is too small; it is at least 1"),
        ("learner.t_max=0", r"learner\.t_max = 0 is too small"),
        ("learner.max_grad_norm=-0.5", r"learner\.max_grad_norm = -0\.5 is too small; it is at least 0"),
        ("learner.max_grad_norm=nan", r"learner\.max_grad_norm = nan is too small"),
        ("task.num_steps=2.5", r"task\.num_steps = 2\.5 is not a number of steps; give a whole number"),
        ("task.num_steps=true", r"task\.num_steps = True is not a number of steps"),
        ("warm_start.iterations=-1", r"warm_start\.iterations = -1 is too small"),
        ("warm_start.iterations=0", "trains nothing"),
        ("warm_start.cooldown=11", r"warm_start\.cooldown = 11 is not between 0 and the phase's iterations"),
        ("warm_start.cooldown=-1", r"warm_start\.cooldown = -1 is not between"),
        ("learner.gradient=exact", "'exact' is unknown; known are all-action, sampled"),
        ("learner.precision=fp16", "'fp16' is unknown; known are fp32, bf16"),
    ],
)
def test_bad_values_are_named(path: Path, override: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_recipe(path, [override])


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
    with pytest.raises(UsageError, match=f"here: {missing} is missing"):
        recipe_from_dict(content, "here")


@pytest.mark.parametrize("content", [b"name = ", b"\x89PNG\r\n\x1a\n\xff", b"name = 1\nname = 2"])
def test_what_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"bad\.toml is not valid TOML"):
        read_recipe(file)


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
            "reinforcement": {"iterations": 4, "lr": 0.1, "power": 0.9},
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
        (12, "reinforcement", 0.1 * 0.535887),  # 0.5 ** 0.9
        (13, "reinforcement", 0.1 * 0.287175),  # 0.25 ** 0.9
    ],
)
def test_phases_and_learning_rates_by_hand(iteration: int, phase: str, lr: float) -> None:
    assert two_phases().phase(iteration) == (phase, pytest.approx(lr, rel=1e-5))


@pytest.mark.parametrize(("done", "lr"), [(0, 1.0), (3, 0.75), (5, 0.58333), (6, 0.5), (7, 0.375), (9, 0.125)])
def test_a_cooldown_by_hand(done: int, lr: float) -> None:
    """From 1 to 1/2 over the first six of ten iterations, then from there to 0 over the last four."""
    assert PhaseSettings(iterations=10, lr=1.0, final_lr=0.5, cooldown=4).lr_at(done) == pytest.approx(lr, rel=1e-4)


def test_a_phase_may_be_all_cooldown() -> None:
    assert PhaseSettings(iterations=4, final_lr=1.0, cooldown=4).lr_at(0) == 1.0


def test_the_learning_rate_of_the_paper() -> None:
    """1e-3 (1 - episode / 30000) ^ 0.9, without a warm start."""
    phase = {"iterations": 30000, "lr": 1e-3, "power": 0.9}
    recipe = recipe_from_dict(
        {"name": "paper", "task": {"kind": "x"}, "policy": {"kind": "y"}, "reinforcement": phase}, "here"
    )
    assert recipe.phase(0) == ("reinforcement", pytest.approx(1e-3))
    assert recipe.phase(27000) == ("reinforcement", pytest.approx(1e-3 * 0.125893, rel=1e-5))  # 0.1 ** 0.9
