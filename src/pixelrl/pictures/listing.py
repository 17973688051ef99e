"""Which pictures a list of files, folders and patterns stands for."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from pixelrl.pictures.files import SUFFIXES, either, is_readable

_KINDS = f"{either(SUFFIXES)}, and others"


class Problem(NamedTuple):
    """What is wrong with an input, or with a picture that was found in it.

    Attributes:
        input: as it was given; of a picture that was found, its path.
        message: one sentence that names it.
        kind: a ``picture`` that cannot have a result, an ``input`` in which there is none, or a ``folder`` that cannot
            be read.
    """

    input: str
    message: str
    kind: Literal["picture", "input", "folder"]


@dataclass(frozen=True)
class Listing:
    """What a list of files, folders and patterns stands for.

    Attributes:
        files: the pictures. Each comes with the relative path under which its result belongs in an output folder: its
            path inside the folder that was given, or else its name.
        problems: what is wrong with inputs, and with pictures whose results would have the name of another one's.
        others: files in the folders and patterns whose suffix is not that of a picture which can be read.
        results: pictures that an earlier run has written, which are not worked on again.
    """

    files: list[tuple[Path, Path]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    results: list[Path] = field(default_factory=list)


def list_pictures(inputs: Sequence[str | Path], output: Path | None = None, suffix: str = "") -> Listing:
    """The picture files in files, folders and glob patterns.

    Folders are searched to all depths, sorted, without hidden files. A file found twice counts once; a file whose
    relative path another one has already taken is a problem.

    Args:
        inputs: as a user gave them.
        output: the folder that results go to, if there is one. Pictures in it count as results, unless the input is
            that folder or inside of it.
        suffix: what is added to the names of results. A picture so named beside the one it was made of is a result.
    """
    listing = Listing()
    home = None if output is None else output.resolve()
    found: dict[Path, Path] = {}  # relative path -> file
    seen: set[Path] = set()
    for entry in inputs:
        for file, relative in _expand(str(entry), listing, home):
            # The folder is resolved, the name is not: two links to one picture are two pictures.
            identity = file.parent.resolve() / file.name
            if identity in seen:
                continue
            seen.add(identity)
            if relative in found:
                message = (
                    f"{file}: its result would be named {relative}, like that of {found[relative]}; "
                    "process them separately or give a folder that holds both"
                )
                listing.problems.append(Problem(str(file), message, "picture"))
            else:
                found[relative] = file
    sources = {file.with_suffix("") for file in found.values()}
    for relative, file in found.items():
        made = suffix and file.stem.endswith(suffix) and file.stem != suffix
        if made and file.with_name(file.stem.removesuffix(suffix)) in sources:
            listing.results.append(file)
        else:
            listing.files.append((file, relative))
    return listing


def _expand(entry: str, listing: Listing, home: Path | None) -> list[tuple[Path, Path]]:
    path = Path(entry)
    if os.path.isdir(path):
        known = len(listing.problems)
        files = _walk(entry, listing, _below(home, path))
        if not files and not listing.results and len(listing.problems) == known:  # else there may be some
            message = f"{entry}: there are no pictures in this folder ({_KINDS})"
            listing.problems.append(Problem(entry, message, "input"))
        return [(file, file.relative_to(path)) for file in files]
    if not os.path.lexists(path) and glob.has_magic(entry):
        matches = [Path(match) for match in sorted(glob.glob(entry, recursive=True)) if os.path.isfile(match)]
        plain = itertools.takewhile(lambda part: not glob.has_magic(part), path.parts)
        files = _sorted_out(matches, listing, _below(home, Path(*plain)))
        if not files and not listing.results:
            message = f"{entry}: no picture matches this pattern ({_KINDS})"
            listing.problems.append(Problem(entry, message, "input"))
        return [(file, Path(file.name)) for file in files]
    if not os.path.exists(path):
        message = f"{entry}: there is no such file or folder; the path of a picture is needed"
        listing.problems.append(Problem(entry, message, "input"))
        return []
    return [(path, Path(path.name))]


def _below(home: Path | None, folder: Path) -> Path | None:
    """The folder of results, if it lies inside of the one that is searched."""
    return home if home is not None and folder.resolve() in home.parents else None


def _walk(entry: str, listing: Listing, home: Path | None) -> list[Path]:
    def unreadable(error: OSError) -> None:
        message = f"{error.filename}: this folder cannot be read; a readable one is needed"
        listing.problems.append(Problem(entry, message, "folder"))

    files = []
    for root, folders, names in os.walk(Path(entry), onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(root, name) for name in names if not name.startswith(".")]
    return _sorted_out([file for file in sorted(files) if os.path.isfile(file)], listing, home)


def _sorted_out(files: Sequence[Path], listing: Listing, home: Path | None) -> list[Path]:
    """The pictures among the files; the others, and results of an earlier run, are noted in the listing."""
    pictures = []
    for file in files:
        if not is_readable(file):
            listing.others.append(file)
        elif home is not None and home in file.resolve().parents:
            listing.results.append(file)
        else:
            pictures.append(file)
    return pictures
