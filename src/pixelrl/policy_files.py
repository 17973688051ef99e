"""Which policy files there are, and what each says of itself, without PyTorch: the command line answers at once."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

from pixelrl.errors import UsageError
from pixelrl.validation import as_path

Info = dict[str, object]

HEADER, FORMAT = "pixelrl", 1
"""The key of our JSON in the header of a safetensors file, and the version of what it holds."""


def upgraded(kind: str, arguments: Info) -> Info:
    """A policy's constructor arguments as they are now, from those that older files and recipes have.

    Raises:
        UsageError: they are such as no version of today can build.
    """
    arguments = dict(arguments)
    if kind == "lookahead":
        chosen = [name for name in ("impulses", "lab") if arguments.pop(name, False)]
        if len(chosen) > 1 or (chosen and "estimator" in arguments):
            raise UsageError('impulses and lab are two estimators; give one, estimator = "impulses" or "lab"')
        if chosen:
            arguments["estimator"] = chosen[0]
    if kind == "steering" and arguments.pop("reward_map_convolution", False):
        raise UsageError("a steering policy has no reward_map_convolution any more; leave it out, and train it again")
    return arguments


KINDS = {
    "gaussian": "denoise",
    "camera": "denoise-photo",
    "poisson": "poisson",
    "poisson-gaussian": "poisson-gaussian",
    "saltpepper": "saltpepper",
}
"""The kinds of noise, and what the names of the policies for each begin with."""
SAYS = {"sigma": "gaussian", "strength": "camera", "peak": "poisson", "gain": "poisson-gaussian"}
SAYS |= dict.fromkeys(("read", "offset"), "poisson-gaussian")
"""The kind of noise that a number speaks of, where nobody names the kind."""

Command = Literal["denoise", "restore", "enhance", "saliency"]
COMMANDS: dict[Command, str] = {
    "denoise": "removes noise",
    "restore": "removes text",
    "enhance": "gives pictures a look",
    "saliency": "edits saliency",
}
"""The commands that a policy may be for, and what it does then."""
_BY_TASK: dict[str, Command] = {
    "gaussian-denoising": "denoise",
    "camera-denoising": "denoise",
    "poisson-denoising": "denoise",
    "saltpepper-denoising": "denoise",
    "text-removal": "restore",
    "color-enhancement": "enhance",
    "saliency-editing": "saliency",
}
"""By the task of the recipe; ``rewarded``, and a user's own, may be anything."""
_BY_CONDITION: dict[str, Command] = {
    "sigma": "denoise",
    "peak": "denoise",
    "noise-map": "denoise",
    "poisson-gaussian": "denoise",
    "strength": "saliency",
}
"""By what a policy is told, where its file has no recipe."""


def command_for(header: Info) -> Command | None:
    """The command that a policy is for, by what its file says of itself.

    Args:
        header: as `read_header` gives it.

    Returns:
        None where the file does not tell, as of a task of a user's own.
    """
    found: object = header
    for name in ("training", "recipe", "task", "kind"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return _BY_CONDITION.get(str(header.get("condition"))) if found is None else _BY_TASK.get(str(found))


def shipped_policies() -> dict[str, Path]:
    """Name and file of every policy in the package."""
    return {path.stem: path for path in sorted(_weights().glob("*.safetensors"))}


def _weights() -> Path:
    return Path(str(resources.files("pixelrl"))) / "weights"


def for_channels(stem: str) -> tuple[str, str]:
    """The shipped policies for grey and for colour pictures whose names begin with ``stem``.

    Where there is none for colour, the grey one works on each channel by itself. A stem that is a policy's whole name
    stands for both.
    """
    shipped = shipped_policies()
    if stem in shipped:
        return stem, stem
    grey, color = f"{stem}-gray", f"{stem}-color"
    return grey, color if color in shipped else grey


def portable(policy: str) -> str:
    """A shipped policy's name, or the path of a file as it holds in any folder."""
    return policy if policy in shipped_policies() else os.path.abspath(policy)


@dataclass(frozen=True)
class Measured:
    """One measurement of a policy, as a table of the documentation has it.

    Attributes:
        what: the measure, and of which pictures.
        at: the levels or kinds that were measured, in order.
        before: of the pictures as they came, at each of them; None where the table does not say it.
        after: of the results, likewise.
        table: the file of the documentation.
    """

    what: str
    at: tuple[str, ...]
    before: tuple[float, ...] | None
    after: tuple[float, ...]
    table: str

    def rows(self) -> list[tuple[str, str]]:
        """Each level and its numbers: ``("sigma 15", "24.80 -> 31.53")``."""
        came = [""] * len(self.at) if self.before is None else [f"{number:.2f} -> " for number in self.before]
        return [(at, f"{one}{result:.2f}") for at, one, result in zip(self.at, came, self.after, strict=True)]

    def lines(self) -> list[str]:
        """A line for each level: ``sigma 15: 24.80 -> 31.53``."""
        return [f"{at}: {numbers}" for at, numbers in self.rows()]


@dataclass(frozen=True)
class About:
    """What a shipped policy is for.

    Attributes:
        use: in a few words.
        told: the names of what it can be told beside legibility, for people; "" for nothing.
        measured: its quality.
    """

    use: str
    told: str
    measured: tuple[Measured, ...]


def about_policies() -> Mapping[str, About]:
    """What each shipped policy is for, by name, from ``weights/about.toml``."""
    tables = tomllib.loads((_weights() / "about.toml").read_text(encoding="utf-8"))

    def measured(row: Mapping[str, Any]) -> Measured:
        before = tuple(row["before"]) if "before" in row else None
        return Measured(row["what"], tuple(row["at"]), before, tuple(row["after"]), row["table"])

    return {
        name: About(each["use"], each["told"], tuple(measured(row) for row in each["measured"]))
        for name, each in tables.items()
    }


def find_policy(policy: str | Path) -> Path:
    """The file of a shipped policy's name, or a policy file itself.

    Raises:
        UsageError: neither of them.
    """
    path, shipped = as_path(policy, "policy"), shipped_policies()
    if str(policy) in shipped:
        return shipped[str(policy)]
    if not os.path.exists(policy):
        names = ", ".join(shipped) or "none"
        raise UsageError(f"policy {str(policy)!r} is neither a file nor a shipped policy; shipped are {names}")
    return path


def find_look(style: str | Path, said: str) -> str:
    """The policy of a look: of a shipped one, whose name may lack ``enhance-``, or the file of another.

    Args:
        style: as it was given.
        said: how it was given, for the message.

    Raises:
        UsageError: neither of them.
    """
    as_path(style, said)  # which refuses what is none; as a Path, "./look" would be a shipped look, and "" a folder
    style = str(style)
    looks = {name.removeprefix("enhance-"): name for name in shipped_policies() if name.startswith("enhance-")}
    policy = looks.get(style.removeprefix("enhance-"), style)
    if policy == style and not os.path.exists(style) and style not in looks.values():
        known = ", ".join(looks) or "none"
        raise UsageError(f"{said} {style!r} is neither a file nor a shipped look; shipped are {known}")
    return policy


def read_header(path: Path, content: str) -> Info:
    """What a file of `pixelrl.checkpoint.write_tensors` says of itself, if it says that it is a ``content``.

    Raises:
        UsageError: the file is missing, truncated, something else, or made by a newer version.
    """
    if not os.path.isfile(path):
        raise UsageError(f"{content} file {path} does not exist")
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "null"))
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a {content} file of pixelrl, or is truncated: {error}") from error
    if not isinstance(header, dict) or header.get("content") != content:
        raise UsageError(f"{path} is a safetensors file, but not a {content} of pixelrl")
    if header.get("format") != FORMAT:
        raise UsageError(f"{path} has format {header.get('format')!r}; this version of pixelrl reads {FORMAT}")
    other = weights_file(path, header)
    return header if other == path else {**read_header(other, content), **header}


def weights_file(path: Path, header: Info) -> Path:
    """The file that holds the weights: a policy file may name a shipped policy whose weights and all else it shares.

    Raises:
        UsageError: it names none, or itself.
    """
    name = header.get("weights_of")
    if name is None:
        return path
    other = shipped_policies().get(str(name))
    if other is None or str(name) == header.get("name"):
        raise UsageError(f"{path} shares the weights of {name!r}, which is no other shipped policy")
    return other
