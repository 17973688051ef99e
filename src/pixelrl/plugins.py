"""A user's own code by reference: ``module:name`` wherever a recipe, a command or a file names something built in.

Who may run code is decided by who speaks. What a recipe or a command names is the user's own wish, and its module is
imported: from anything installed, from the recipe's folder or from the current one; so is what a run that is gone on
with was made from. What a *policy or a trace* names is never imported: such files are passed on, and to open one must
not run anything. Its references are taken from modules that are imported already, so the way to use one is
``import mymodule`` in Python or ``pixelrl --import mymodule ...`` on the command line.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from pixelrl.errors import UsageError

Found = TypeVar("Found")

_folders: list[Path] = []
"""Where recipes were read from that may name modules beside them, the latest first."""


def look_in(folder: Path) -> None:
    """Also look for modules in this folder when a recipe or a command names one. Nothing is imported by that."""
    folder = folder.resolve()
    _folders[:] = [folder, *(known for known in _folders if known != folder)]


def folders() -> list[str]:
    """The folders of `look_in`, for a run to remember where its recipe's modules lie."""
    return [str(folder) for folder in _folders]


def resolve_class(
    reference: str, registry: Mapping[str, type[Found]], base: type, what: str, *, may_import: bool
) -> type[Found]:
    """The class of a built-in name, or of ``module:Class``.

    Args:
        reference: a key of ``registry``, or ``module:Class``.
        registry: the built-in classes.
        base: what a class must be a subclass of.
        what: the kind of thing, for errors: "task", "policy", "conditioning".
        may_import: whether the reference is the user's own (see above). If not, modules must be imported already.

    Raises:
        UsageError: the name is unknown, or there is no such module or class, or it is none of this kind.
    """

    def is_class(found: object) -> bool:
        return isinstance(found, type) and issubclass(found, base)

    expected = f"a subclass of {base.__name__}"
    return resolve(reference, registry, is_class, expected, what, may_import=may_import)


def resolve(
    reference: str,
    registry: Mapping[str, Found],
    fits: Callable[[object], bool],
    expected: str,
    what: str,
    *,
    may_import: bool,
) -> Found:
    """The object of a built-in name, or of ``module:name``; like `resolve_class`, for what is no class.

    Args:
        reference: a key of ``registry``, or ``module:name``.
        registry: the built-in objects.
        fits: whether an object is of the right kind.
        expected: that kind in words, for errors: "a function".
        what: the kind of thing, for errors: "action", "saliency model".
        may_import: as for `resolve_class`.

    Raises:
        UsageError: the name is unknown, or there is no such module or object, or it is none of this kind.
    """
    if reference in registry:
        return registry[reference]
    name, colon, attribute = reference.partition(":")
    if not colon:
        known = ", ".join(registry)
        raise UsageError(f"{what} {reference!r} is unknown; known are {known}, and module:name for one of your own")
    if not attribute.isidentifier() or not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{what} {reference!r} is not of the form module:name")
    where = f"{what} {reference!r}"
    if may_import:
        module = import_module(name, where)
    elif name in sys.modules:
        module = sys.modules[name]
    else:
        raise UsageError(
            f"{where} is code, and a file may not import it; if you trust module {name}, import it first: "
            f"pixelrl --import {name} ..., or import {name} in Python"
        )
    try:
        found = getattr(module, attribute)
    except AttributeError as error:
        raise UsageError(f"{where}: module {name} ({_file(module)}) has no {attribute}") from error
    if not fits(found):
        raise UsageError(f"{where} is not {expected}")
    return found  # type: ignore[no-any-return]  # fits has looked


def import_module(name: str, where: str) -> ModuleType:
    """Import a module that the user names: installed, or in a folder of `look_in`, or in the current one.

    The folders come last on Python's path, so that a file there never takes the place of an installed module.

    Args:
        name: dotted.
        where: who names it, for errors.

    Raises:
        UsageError: there is none, it fails as it is imported, or another one of the same name is found before the one
            in those folders.
    """
    folders = [*_folders, Path.cwd()]
    for folder in folders:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    try:
        module = importlib.import_module(name)
    except Exception as error:  # a user's module may raise anything
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and (name == missing or name.startswith(missing + ".")):
            places = " or ".join(str(folder) for folder in dict.fromkeys(folders))
            raise UsageError(f"{where}: there is no module {name}, neither installed nor in {places}") from error
        raise UsageError(f"{where}: module {name} cannot be imported: {_cause(error)}") from error
    _refuse_namesakes(name, module, folders, where)
    return module


def _refuse_namesakes(name: str, module: ModuleType, folders: list[Path], where: str) -> None:
    """Two modules of one name: Python takes the first it finds, which may be another one than the user means."""
    path = Path(*name.split("."))
    for folder in folders:
        for candidate in (folder / path.with_suffix(".py"), folder / path / "__init__.py"):
            if candidate.is_file():
                file = getattr(module, "__file__", None)
                if file is None or not candidate.samefile(file):
                    raise UsageError(
                        f"{where}: {candidate} has the name of another module, {_file(module)}; rename yours"
                    )
                return


def _file(module: ModuleType) -> str:
    return str(getattr(module, "__file__", None) or "built in")


def _cause(error: Exception) -> str:
    """An error's kind, its words and its place, in one line."""
    words = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) or not frames:  # a syntax error's words end with its place
        return f"{type(error).__name__}: {words}"
    return f"{type(error).__name__}: {words} ({frames[-1].filename}, line {frames[-1].lineno})"


def import_named(module: str) -> None:
    """Import what ``--import`` names: a module, or a file ``folder/module.py``.

    Raises:
        UsageError: as `import_module`.
    """
    file = Path(module)
    if file.suffix == ".py":
        if not os.path.isfile(file):
            raise UsageError(f"--import {module}: there is no such file")
        look_in(file.parent)
        module = file.stem
    import_module(module, f"--import {module}")
