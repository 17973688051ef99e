"""Recipes: everything needed to train a policy again, as TOML, checked before anything runs."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pixelrl.errors import UsageError
from pixelrl.plugins import look_in

Settings = dict[str, object]


@dataclass(frozen=True)
class DataSettings:
    """Where training images come from and how they are cut.

    ``folder`` holds clean pictures; tasks that learn from pairs take the folders ``before`` and ``after`` instead, and
    ``names``, a text file of the pictures to use, one name a line; "" for all. Crops are ``crop`` pixels a side;
    ``validation`` photos are set aside. ``batch`` is the whole batch, however many processes share it. ``scales`` are
    the sizes at which every photo is used (1 and below).

    ``more`` is a second folder of clean pictures to learn from, and ``more_validation`` one to validate with, in
    columns of the log of their own. ``recolor`` is the share of crops, of colour pictures, whose channels are put in a
    random order and whose saturation is changed by a random factor.
    """

    folder: str = ""
    before: str = ""
    after: str = ""
    names: str = ""
    crop: int = 64
    batch: int = 16
    validation: int = 16
    scales: tuple[float, ...] = (1.0,)
    more: str = ""
    more_validation: str = ""
    recolor: float = 0.0


@dataclass(frozen=True)
class PhaseSettings:
    """A stretch of training.

    The learning rate goes from ``lr`` to ``final_lr`` as ``(1 - progress) ** power``, and then, over the last
    ``cooldown`` of the ``iterations``, straight on to 0. ``crop`` replaces ``data.crop`` if it is not 0.
    """

    iterations: int = 0
    lr: float = 1e-3
    final_lr: float = 0.0
    power: float = 1.0
    cooldown: int = 0
    crop: int = 0

    def lr_at(self, done: int) -> float:
        """The learning rate after ``done`` iterations."""
        left = self.iterations - done
        if left <= self.cooldown:
            return self.final_lr * left / self.cooldown
        share: float = (1 - done / (self.iterations - self.cooldown)) ** self.power
        return self.final_lr + (self.lr - self.final_lr) * share


@dataclass(frozen=True)
class LearnerSettings:
    """How the policy learns.

    ``gradient``: ``all-action`` (exact for the immediate reward, sampled for the future) or ``sampled`` (the
    paper's A2C). ``t_max``: steps per update; the rest of the episode is bootstrapped. ``estimate_coef`` weighs the
    loss of the policy's estimate beside the reinforcement learning; ``estimate_norm`` is that loss's norm, 1 or 2.
    ``max_grad_norm`` 0 is no clipping.
    """

    gradient: str = "all-action"
    gamma: float = 0.95
    t_max: int = 5
    ent_coef: float = 0.01
    vf_coef: float = 0.5
    estimate_coef: float = 0.0
    estimate_norm: int = 1
    max_grad_norm: float = 0.0
    ema: float = 0.999
    precision: str = "fp32"


@dataclass(frozen=True)
class Recipe:
    """One training: task, policy, data, then a supervised ``warm_start`` and ``reinforcement`` learning.

    ``task`` and ``policy`` hold a ``kind`` and that kind's own arguments. ``initial`` is a shipped policy's name or a
    policy file whose weights the training starts from, as far as names and shapes agree; "" starts afresh.
    """

    name: str
    task: Settings
    policy: Settings
    seed: int = 0
    initial: str = ""
    data: DataSettings = field(default_factory=DataSettings)
    learner: LearnerSettings = field(default_factory=LearnerSettings)
    warm_start: PhaseSettings = field(default_factory=PhaseSettings)
    reinforcement: PhaseSettings = field(default_factory=PhaseSettings)

    def __post_init__(self) -> None:
        checks = {
            "learner.gradient": (self.learner.gradient, ("all-action", "sampled")),
            "learner.precision": (self.learner.precision, ("fp32", "bf16")),
            "learner.estimate_norm": (self.learner.estimate_norm, (1, 2)),
        }
        for key, (value, known) in checks.items():
            if value not in known:
                raise UsageError(f"{key} = {value!r} is unknown; known are {', '.join(map(str, known))}")
        least = {
            "data.crop": (self.data.crop, 1),
            "data.batch": (self.data.batch, 1),
            "data.validation": (self.data.validation, 1),
            "learner.t_max": (self.learner.t_max, 1),
            "learner.max_grad_norm": (self.learner.max_grad_norm, 0),
            "warm_start.iterations": (self.warm_start.iterations, 0),
            "reinforcement.iterations": (self.reinforcement.iterations, 0),
            "warm_start.crop": (self.warm_start.crop, 0),
            "reinforcement.crop": (self.reinforcement.crop, 0),
        }
        for key, (number, minimum) in least.items():
            if not number >= minimum:  # NaN, too
                raise UsageError(f"{key} = {number} is too small; it is at least {minimum}")
        num_steps = self.task.get("num_steps", 1)
        if type(num_steps) is not int:
            raise UsageError(f"task.num_steps = {num_steps!r} is not a number of steps; give a whole number")
        for name, phase in (("warm_start", self.warm_start), ("reinforcement", self.reinforcement)):
            if phase.lr < 0 or phase.final_lr < 0:
                raise UsageError(f"{name} has a negative learning rate; lr and final_lr are at least 0")
            if not 0 <= phase.cooldown <= phase.iterations:
                raise UsageError(
                    f"{name}.cooldown = {phase.cooldown} is not between 0 and the phase's iterations; lower it too"
                )
        if self.iterations == 0:
            raise UsageError("the recipe trains nothing; give warm_start.iterations or reinforcement.iterations")
        if not 0 <= self.data.recolor <= 1:
            raise UsageError(f"data.recolor = {self.data.recolor} is not a share; give a number from 0 to 1")
        if not self.data.scales or not all(0 < scale <= 1 for scale in self.data.scales):
            raise UsageError(f"data.scales = {list(self.data.scales)} must be numbers above 0 and at most 1")

    @property
    def iterations(self) -> int:
        """Iterations of both phases together."""
        return self.warm_start.iterations + self.reinforcement.iterations

    def phase(self, iteration: int) -> tuple[str, float]:
        """The phase's name and the learning rate at an iteration counted from 0."""
        if iteration < self.warm_start.iterations:
            return "warm_start", self.warm_start.lr_at(iteration)
        return "reinforcement", self.reinforcement.lr_at(iteration - self.warm_start.iterations)

    def as_dict(self) -> dict[str, object]:
        """Plain nested dictionaries, for checkpoints."""
        return dataclasses.asdict(self)


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply ``a.b=c`` overrides, whose right-hand sides are TOML values or bare strings.

    Modules that it names (``module:Class``) are from now on looked for in its folder, too.

    Raises:
        UsageError: no such file, not TOML, an unknown key or a value of the wrong type, each named.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"recipe {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"recipe {path} is not valid TOML: {error}") from error
    for override in overrides:
        _apply(content, override)
    look_in(path.parent)  # for modules that the recipe names
    return recipe_from_dict(content, str(path))


def recipe_from_dict(content: Settings, where: str) -> Recipe:
    """Check nested dictionaries against the fields of `Recipe`; ``where`` is named in errors."""
    recipe = _build(Recipe, content, "", where)
    assert isinstance(recipe, Recipe)
    return recipe


def _apply(content: Settings, override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {override!r} is not of the form key=value, for instance data.batch=8")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, last = key.strip().split(".")
    for table in tables:
        inner = content.setdefault(table, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {override!r}: {table} is a value, not a table")
        content = inner
    content[last] = value


def _build(kind: type, content: object, prefix: str, where: str) -> object:
    if not isinstance(content, dict):
        raise UsageError(f"{where}: {prefix.rstrip('.')} must be a table, not {content!r}")
    hints = typing.get_type_hints(kind)
    for key in content:
        if key not in hints:
            raise UsageError(f"{where}: unknown key {prefix}{key}; known are {', '.join(prefix + h for h in hints)}")
    for entry in dataclasses.fields(kind):
        needed = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        if needed and entry.name not in content:
            raise UsageError(f"{where}: {prefix}{entry.name} is missing")
    return kind(**{key: _convert(hints[key], value, prefix + key, where) for key, value in content.items()})


def _convert(hint: object, value: object, key: str, where: str) -> object:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _build(hint, value, key + ".", where)
    if isinstance(hint, types.GenericAlias) and hint.__origin__ is dict:
        if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
            raise UsageError(f'{where}: {key} must be a table with a kind, for instance {key}.kind = "..."')
        return value
    if isinstance(hint, types.GenericAlias):
        if isinstance(value, (list, tuple)) and all(_is_number(item) for item in value):
            return tuple(float(item) for item in value)
        raise UsageError(f"{where}: {key} must be a list of numbers, not {value!r}")
    if hint is float and _is_number(value):
        return float(typing.cast(float, value))
    if type(value) is hint:
        return value
    expected = {int: "a whole number", float: "a number", str: "a string"}[typing.cast(type, hint)]
    raise UsageError(f"{where}: {key} must be {expected}, not {value!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
