"""Recipes: everything needed to train a policy again, as TOML, checked before anything runs."""

from __future__ import annotations

import copy
import json
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from pixelrl.errors import UsageError
from pixelrl.plugins import look_in
from pixelrl.policy_files import upgraded
from pixelrl.validation import as_path, checked, shown

Settings = dict[str, Any]

_MOST = 1_000_000_000
_Text = Annotated[str, Meta(description="a string")]
_Initial = Annotated[str | tuple[str, ...], Meta(description="a name or a list of names")]
_Name = Annotated[str, Meta(min_length=1, description="a name")]
_Share = Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")]
_Side = Annotated[int, Meta(ge=1, le=10_000, description="a whole number of pixels, from 1 to 10000")]
_Number = Annotated[int, Meta(ge=1, le=1_000_000, description="a whole number from 1 to a million")]
_Odd = Annotated[int, Meta(ge=1, le=99, description="an odd whole number from 1 to 99")]
_Size = Annotated[float, Meta(ge=0, le=sys.float_info.max, description="a finite number, at least 0")]
_Degrees = Annotated[float, Meta(ge=0, le=180, description="an angle from 0 to 180 degrees")]
_Power = Annotated[float, Meta(gt=0, le=10, description="a number above 0 and at most 10")]
_Iterations = Annotated[int, Meta(ge=0, le=_MOST, description="a number of iterations, from 0 to a billion")]
_Seed = Annotated[int, Meta(ge=-(2**53), le=2**53, description="a whole number of at most 16 digits")]
_Scales = Annotated[
    tuple[Annotated[float, Meta(gt=0, le=1)], ...],
    Meta(min_length=1, description="a list of numbers above 0 and at most 1"),
]
_Kind = Annotated[Settings, Meta(description='a table with a kind, for instance kind = "lookahead", and its arguments')]


class DataSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where training images come from and how they are cut.

    ``folder`` holds clean pictures; tasks that learn from pairs take the folders ``before`` and ``after`` instead, and
    ``names``, a text file of the pictures to use, one name a line; "" for all. Crops are ``crop`` pixels a side;
    ``validation`` photos are set aside. ``batch`` is the whole batch, however many processes share it. ``scales`` are
    the sizes at which every photo is used (1 and below).

    ``more`` is a second folder of clean pictures to learn from, and ``more_validation`` one to validate with, in
    columns of the log of their own. ``recolor`` is the share of crops, of colour pictures, whose channels are put in a
    random order and whose saturation is changed by a random factor.
    """

    folder: _Text = ""
    before: _Text = ""
    after: _Text = ""
    names: _Text = ""
    crop: _Side = 64
    batch: _Number = 16
    validation: _Number = 16
    scales: _Scales = (1.0,)
    more: _Text = ""
    more_validation: _Text = ""
    recolor: _Share = 0.0
    tilt: _Degrees = 0.0


PLACES = ("folder", "before", "after", "names", "more", "more_validation")
"""The settings of `DataSettings` that say where things lie on this machine."""


class PhaseSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of training.

    The learning rate goes from ``lr`` to ``final_lr``, and then, over the last ``cooldown`` of the ``iterations``,
    straight on to 0. What is left of the first way is the share of its iterations that is left, to the ``power``: 1 is
    a straight line, and the paper has 0.9.
    """

    iterations: _Iterations = 0
    lr: _Size = 1e-3
    final_lr: _Size = 0.0
    cooldown: _Iterations = 0
    power: _Power = 1.0

    def lr_at(self, done: int) -> float:
        """The learning rate after ``done`` iterations."""
        left = self.iterations - done
        if left <= self.cooldown:
            return self.final_lr * left / self.cooldown
        share: float = (1 - done / (self.iterations - self.cooldown)) ** self.power
        return self.final_lr + (self.lr - self.final_lr) * share


class ReinforcementSettings(PhaseSettings, frozen=True, forbid_unknown_fields=True):
    """The second phase; ``crop`` replaces ``data.crop`` in it if it is not 0."""

    crop: Annotated[int, Meta(ge=0, le=10_000, description="a whole number of pixels, or 0 for data.crop")] = 0


class LearnerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How the policy learns.

    ``gradient``: ``all-action`` (exact for the immediate reward, sampled for the future), ``sampled`` (the paper's
    A2C), or, for policies that consult, ``trials`` of regions (`pixelrl.training.trials`) or ``search`` among weights
    (`pixelrl.training.search`). The last two may be rewarded
    ``towards`` the policy's own ``estimate`` instead of the ``target``: as far as the estimate is the mean of what
    the clean image may be, that is the reward to be expected by all that agents can know, and has no noise.
    ``t_max``: steps per update; the rest of the episode is bootstrapped. ``estimate_norm`` is the norm of the loss of
    the policy's estimate, 1 or 2, or 0 for the limit of small norms, the logarithm of every crop's mean square: that
    is its PSNR. ``max_grad_norm`` 0 is no clipping.

    ``disagreement`` is the price that an agent pays if all its neighbours act otherwise, and in part if some do
    (`pixelrl.rl.neighbours`), in the unit of the task's reward times `Episode.reward_scale`. Policies that are told
    how plain their maps shall be have a price of their own. ``encoder_gradient`` is the share of
    the learning rate at which the encoder of a lookahead policy follows the policy's gradient in reinforcement; at 0 it
    learns from its estimate alone.

    ``rollouts``: episodes that are played of each picture of a batch; with more than one, an episode's baseline is the
    mean return of the others. ``region``: the least and the largest side in pixels of the squares in which agents
    explore together (`pixelrl.training.groups`); ``[1, 1]`` lets each choose alone. ``exhaustive``: if above 0, nothing
    is drawn at all: every sequence of actions is tried on each picture as a whole, and the policy learns which are the
    best, in so many updates a batch. All three are for the ``sampled`` gradient, over whole episodes.
    """

    gradient: Annotated[
        Literal["all-action", "sampled", "trials", "search"],
        Meta(description='"all-action", "sampled", "trials" or "search"'),
    ] = "all-action"
    towards: Annotated[Literal["target", "estimate"], Meta(description='"target" or "estimate"')] = "target"
    gamma: _Share = 0.95
    t_max: _Number = 5
    ent_coef: _Size = 0.01
    vf_coef: _Size = 0.5
    estimate_norm: Annotated[Literal[0, 1, 2], Meta(description="0, 1 or 2")] = 1
    max_grad_norm: _Size = 0.0
    ema: _Share = 0.999
    disagreement: _Size = 0.0
    encoder_gradient: _Share = 0.0
    sharing: _Odd = 9
    precision: Annotated[Literal["fp32", "bf16"], Meta(description='"fp32" or "bf16"')] = "fp32"
    rollouts: _Number = 1
    region: tuple[_Side, _Side] = (1, 1)
    exhaustive: Annotated[int, Meta(ge=0, le=1000, description="a whole number from 0 to 1000")] = 0

    def __post_init__(self) -> None:
        if self.region[0] > self.region[1]:
            raise ValueError(f"learner.region = {list(self.region)} must be two sides, the smaller one first")
        if self.in_groups and self.gradient != "sampled":
            raise ValueError('learner.rollouts, region and exhaustive are for learner.gradient = "sampled"; set that')
        if self.in_groups and self.disagreement:
            raise ValueError(
                "learner.disagreement is no price where agents explore together; leave it out, or rollouts and region"
            )

    @property
    def in_groups(self) -> bool:
        """Whether several episodes of a picture, or several agents, belong together."""
        return self.rollouts > 1 or self.region != (1, 1) or self.exhaustive > 0


class Recipe(Struct, frozen=True, forbid_unknown_fields=True):
    """One training: task, policy, data, then a supervised ``warm_start`` and ``reinforcement`` learning.

    ``task`` and ``policy`` hold a ``kind`` and that kind's own arguments. ``initial`` is a shipped policy's name or a
    policy file whose weights the training starts from, as far as names and shapes agree, or a list
    of them, of which later ones count more; "" starts afresh.
    """

    name: _Name
    task: _Kind
    policy: _Kind
    seed: _Seed = 0
    initial: _Initial = ""
    data: DataSettings = DataSettings()
    learner: LearnerSettings = LearnerSettings()
    warm_start: PhaseSettings = PhaseSettings()
    reinforcement: ReinforcementSettings = ReinforcementSettings()

    def __post_init__(self) -> None:
        for key, table in (("task", self.task), ("policy", self.policy)):
            if not isinstance(table.get("kind"), str):
                raise ValueError(f'{key} must be a table with a kind, for instance {key}.kind = "..."')
        for key, phase in (("warm_start", self.warm_start), ("reinforcement", self.reinforcement)):
            if phase.cooldown > phase.iterations:
                raise ValueError(
                    f"{key}.cooldown = {phase.cooldown} is more than {key}.iterations = {phase.iterations}; lower it"
                )
        if self.iterations == 0:
            raise ValueError("the recipe trains nothing; give warm_start.iterations or reinforcement.iterations")

    @property
    def iterations(self) -> int:
        """Iterations of both phases together."""
        return self.warm_start.iterations + self.reinforcement.iterations

    def phase(self, iteration: int) -> tuple[str, float]:
        """The phase's name and the learning rate at an iteration counted from 0."""
        if iteration < self.warm_start.iterations:
            return "warm_start", self.warm_start.lr_at(iteration)
        return "reinforcement", self.reinforcement.lr_at(iteration - self.warm_start.iterations)

    def as_dict(self) -> dict[str, Any]:
        """Plain nested dictionaries and lists, for checkpoints."""
        plain: dict[str, Any] = json.loads(json.dumps(msgspec.to_builtins(self)))  # msgspec's JSON has no NaN
        return plain


MOST_BASES = 8
"""Recipes below each other, each the base of the next: enough for any use, and an end to those that run in a circle."""

_REMOVED: dict[tuple[str, str], tuple[object, str]] = {
    ("learner", "estimate_coef"): (0, "the estimate learns in warm_start"),
    ("warm_start", "crop"): (0, "data.crop is that of the warm start, and reinforcement.crop may be another"),
}
"""Settings that older recipes may have: the only value that still means something, and what there is instead."""


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply ``a.b=c`` overrides, whose right-hand sides are TOML values or bare strings.

    Modules that it names (``module:Class``) are from now on looked for in its folder, too. A file with a ``base``, the
    name of another recipe beside it, needs to hold only what differs from that one.

    Raises:
        UsageError: no such file, not TOML, an unknown key or a value of the wrong type or out of range, each named.
    """
    path = as_path(path, "recipe")
    content = _content(path, MOST_BASES)
    look_in(path.parent)  # for modules that the recipe names
    return recipe_from_dict(content, str(path), overrides)


def _content(path: Path, bases_left: int) -> Settings:
    """What the file says, over what its base says."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"recipe {path} cannot be read: {error.strerror}") from error
    except RecursionError:
        raise UsageError(f"recipe {path} is nested too deeply; a recipe is tables of settings") from None
    except ValueError as error:  # of TOML, of UTF-8, and of numbers with more digits than Python reads
        raise UsageError(f"recipe {path} is not valid TOML: {error}") from error
    if "base" not in content:
        return content
    base = content.pop("base")
    name = Path(base).name if isinstance(base, str) else ""
    if not name or Path(base) != Path(name) or not bases_left:
        raise UsageError(
            f"{path}: base = {shown(base)} must be the name of another recipe in this folder, without its ending, and "
            f"at most {MOST_BASES} may follow each other"
        )
    beside = as_path(path.with_name(f"{name}.toml"), f"{path}: base")
    return _laid_over(_content(beside, bases_left - 1), content)


def _laid_over(settings: Settings, more: Settings) -> Settings:
    """Settings with others over them, table by table."""
    result = settings | more
    for key, table in settings.items():
        if isinstance(table, dict) and isinstance(more.get(key), dict):
            result[key] = _laid_over(table, more[key])
    return result


def recipe_from_dict(content: Settings, where: str, overrides: Sequence[str] = ()) -> Recipe:
    """Nested dictionaries as a `Recipe`, with overrides as in `read_recipe`; ``where`` is named in errors."""
    content = copy.deepcopy(content)
    for override in overrides:
        _apply(content, override)
    try:
        for (table, key), (value, instead) in _REMOVED.items():
            settings = content.get(table)
            if isinstance(settings, dict) and settings.pop(key, value) != value:
                raise UsageError(f"{table}.{key} can no longer be set; leave it out: {instead}")
        policy = content.get("policy")
        if isinstance(policy, dict):
            content["policy"] = upgraded(str(policy.get("kind")), policy)
        return checked(content, Recipe, "a recipe")
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _apply(content: Settings, override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {override!r} is not of the form key=value, for instance data.batch=8")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # no TOML, a number with more digits than Python reads, or nested too deeply
        value = text
    *tables, last = key.strip().split(".")
    for table in tables:
        inner = content.setdefault(table, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {override!r}: {table} is a value, not a table")
        content = inner
    content[last] = value
