"""The recipes in the package, found by name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from pixelrl.errors import UsageError
from pixelrl.validation import as_path


def shipped_recipes() -> dict[str, Path]:
    """Name and file of every recipe in the package; of those in a folder, the name begins with it: ``paper/...``."""
    folder = Path(str(resources.files("pixelrl"))) / "recipes"
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.toml"))}


def find_recipe(recipe: str | Path) -> Path:
    """The file of a shipped recipe's name, or a recipe itself.

    ``recipes/NAME.toml``, where recipes once were in a checkout, is the shipped one too, unless there is such a file.

    Raises:
        UsageError: neither of them.
    """
    recipe = as_path(recipe, "recipe")
    shipped = shipped_recipes()
    if recipe.as_posix() in shipped:
        return shipped[recipe.as_posix()]
    if not os.path.exists(recipe):
        if recipe.parent.name == "recipes" and recipe.suffix == ".toml" and recipe.stem in shipped:
            return shipped[recipe.stem]
        names = _listed(shipped, recipe)
        raise UsageError(f"recipe {str(recipe)!r} is neither a file nor a shipped recipe; shipped are {names}")
    return recipe


def _listed(shipped: Iterable[str], near: Path) -> str:
    """The names in the folder of a mistaken one; if there are none, those in no folder, and what folders there are."""
    folders: dict[str, list[str]] = {}
    for name in shipped:
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    if near.parent.as_posix() in folders:
        return ", ".join(folders[near.parent.as_posix()])
    return ", ".join(
        [*folders.pop("", ()), *(f"{names[0]} and others in {folder}" for folder, names in folders.items())]
    )
