"""Where the results go: the output file of every input."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pixelrl.cli.common import STANDARD
from pixelrl.cli.outputs import check_folder, check_kind
from pixelrl.errors import UsageError

if TYPE_CHECKING:
    from pixelrl.pictures.listing import Problem


class Job(NamedTuple):
    """One picture to work on; either path may be `pixelrl.cli.common.STANDARD`."""

    source: Path
    target: Path

    @property
    def name(self) -> str:
        """What messages call the input."""
        return "standard input" if self.source == STANDARD else str(self.source)


def is_one_picture(inputs: Sequence[str]) -> bool:
    """Whether a single file is named, which may come to a single file."""
    name = inputs[0]
    return len(inputs) == 1 and not os.path.isdir(name) and (os.path.lexists(name) or not glob.has_magic(name))


def results_folder(inputs: Sequence[str], output: Path) -> Path | None:
    """The folder of the results; None where the output is a picture or standard output."""
    return None if output == STANDARD or _names_a_picture(inputs, output) else output


def _names_a_picture(inputs: Sequence[str], output: Path) -> bool:
    from pixelrl.pictures.files import SUFFIXES

    # With one input any suffix means a picture, so that an unknown one is refused instead of becoming a folder.
    known = output.suffix != "" if is_one_picture(inputs) else output.suffix.lower() in SUFFIXES
    return known and not os.path.isdir(output)


def place(
    found: Sequence[tuple[Path, Path]], inputs: Sequence[str], output: Path, suffix: str, kind: str | None
) -> tuple[list[Job], list[Problem]]:
    """The output file of every picture, and what is wrong with those that can have none. Nothing is made yet.

    Args:
        found: files with their path relative to what was asked for (`pixelrl.pictures.listing.list_pictures`).
        inputs: as given.
        output: as given.
        suffix: added to the stem.
        kind: a format to write instead of the input's (a key of `pixelrl.pictures.files.FORMATS`).

    Raises:
        UsageError: a picture's name for several inputs or another format, or a folder that cannot be made.
    """
    from pixelrl.pictures.files import FORMATS, SUFFIXES
    from pixelrl.pictures.listing import Problem

    if output == STANDARD:
        if not is_one_picture(inputs):
            raise UsageError("-o -: standard output holds one picture; give one file, or a folder as -o")
        return [Job(source, STANDARD) for source, _ in found], []
    if _names_a_picture(inputs, output):
        if not is_one_picture(inputs):
            raise UsageError(f"several inputs cannot all become {output}; give a folder as -o")
        check_kind(output, kind)
        check_folder(output.parent)
        return [Job(source, output.with_stem(output.stem + suffix)) for source, _ in found], []
    check_folder(output)
    jobs: dict[Path, Path] = {}  # target -> source
    problems = []
    for source, name in found:
        ending = FORMATS[kind] if kind else name.suffix if name.suffix.lower() in SUFFIXES else ".png"
        target = output / name.with_name(name.stem + suffix + ending)
        if len(os.fsencode(target.name)) > 255:
            length = len(os.fsencode(target.name))
            message = f"{source}: its result's name would have {length} bytes; at most 255 are possible"
            problems.append(Problem(str(source), message, "picture"))
        elif target in jobs:
            message = f"{source}: its result would be {target}, like that of {jobs[target]}"
            problems.append(Problem(str(source), message, "picture"))
        else:
            jobs[target] = source
    return [Job(source, target) for target, source in jobs.items()], problems
