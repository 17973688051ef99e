"""Many pictures: the one function that does any of them, wherever it is done, and the file that reports on them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixelrl.cli.common import complain
from pixelrl.cli.one import Report, work_on
from pixelrl.cli.options import Settings, Work
from pixelrl.cli.outputs import make_folder
from pixelrl.cli.places import Job
from pixelrl.errors import UsageError
from pixelrl.plugins import import_named
from pixelrl.policy_files import portable

if TYPE_CHECKING:
    from pixelrl.edits import Edit

COLUMNS = ("input", "output", "seconds", "policy", "condition", "error")
"""What every line of a report has, be it null."""


def _ignore(share: float) -> None:
    """Nobody wants to know how far a picture is."""


@dataclass(frozen=True)
class Doing:
    """How a picture is done: `pixelrl.cli.one.work_on` with all that it takes beside the picture.

    Pickled, it is what another process, or another machine, does with the same picture: with a number of threads that
    is the same everywhere, so that the bits of a result are, too; with paths that hold in any folder; and writing over
    a result that it finds, which whoever gave it the picture has looked for, and which a process may have written just
    before it was lost.
    """

    work: Work
    settings: Settings
    edits: Sequence[Edit]
    progress: Callable[[float], object] = _ignore

    def __call__(self, job: Job) -> Report:
        """Do one picture, and say what happened."""
        return work_on(job, self.work, self.settings, self.edits, self.progress)

    def __reduce__(self) -> tuple[object, ...]:
        work, settings = self.work, self.settings
        grey, color = (portable(name) for name in settings.policies)
        elsewhere = replace(
            settings,
            policies=(grey, color),
            mask=None if settings.mask is None else settings.mask.absolute(),
            save_mask=None if settings.save_mask is None else settings.save_mask.absolute(),
            within=None if settings.within is None else settings.within.absolute(),
            _agents={},
        )
        trace = None if work.trace is None else work.trace.absolute()
        alike = replace(work, threads=work.threads or 1, overwrite=True, skip_existing=False, trace=trace)
        context = click.get_current_context(silent=True)
        named: Sequence[str] = () if context is None else context.find_root().params.get("modules", ())
        modules = tuple(os.path.abspath(name) if name.endswith(".py") else name for name in named)
        return _elsewhere, (alike, elsewhere, self.edits, modules, Path.cwd())


@dataclass(frozen=True)
class _Elsewhere:
    """A `Doing` in another process, which may be at home in another folder."""

    doing: Doing
    home: Path

    def __call__(self, job: Job) -> Report:
        report = self.doing(job if Path.cwd() == self.home else Job(self.home / job.source, self.home / job.target))
        return {**report, "input": str(job.source), "output": str(job.target)}


def _elsewhere(
    work: Work, settings: Settings, edits: Sequence[Edit], modules: Sequence[str], home: Path
) -> Callable[[Job], Report]:
    """What a `Doing` is in another process: once for all pictures, so its policies are loaded once."""
    for module in modules:
        import_named(module)
    return _Elsewhere(Doing(work, settings, edits), home)


Write = Callable[[Report], bool]


@contextmanager
def report_file(path: Path | None, *, go_on: bool) -> Iterator[Write]:
    """A file with a line of JSON for each picture; gives the function that adds one, and says whether it could.

    A line is written in one piece, so a run that is killed leaves whole lines; several files are merged by ``cat``.

    Args:
        path: of the file; None for none.
        go_on: whether to add to a file that is there. Then pictures that are skipped get no second line.

    Raises:
        UsageError: it cannot be written.
    """
    if path is None:
        yield lambda report: True
        return
    make_folder(path.parent)
    fresh = not os.path.lexists(path)
    try:
        known = _known(path) if go_on and path.exists() else set()
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        raise UsageError(f"--report {path} cannot be written: {error.strerror}") from error
    lost, begun, came = False, go_on, os.fstat(file).st_size

    def write(report: Report) -> bool:
        nonlocal lost, begun
        if lost or (report.get("skipped") and report["input"] in known):
            return not lost
        line = json.dumps({**dict.fromkeys(COLUMNS), **report}) + "\n"
        try:
            if not begun:  # what is there is replaced by a first line, and by no command that is refused
                _emptied(file, came)
                begun = True
            os.write(file, line.encode())
        except OSError as error:
            complain(f"--report {path} cannot be written ({error.strerror}); the pictures are done all the same")
            lost = True
        return not lost

    ended = False
    try:
        yield write
        if not begun:  # of a run without pictures
            _emptied(file, came)
        ended = True
    finally:
        empty = not os.fstat(file).st_size
        os.close(file)
        if fresh and empty and not ended:
            path.unlink(missing_ok=True)


def _emptied(file: int, came: int) -> None:
    """Remove what the file held when it was opened."""
    # A device holds nothing, and cannot be cut. What has grown is /dev/stdout, to which messages go, too.
    if came and os.fstat(file).st_size == came:
        os.truncate(file, 0)


def _known(path: Path) -> set[object]:
    """The pictures that have a line already; a last line that was torn goes, if it is one of a report.

    Raises:
        UsageError: the file is no report, and stays as it is.
    """
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    torn, begins = data[len(whole) :], json.dumps({COLUMNS[0]: None})[:-5].encode()
    try:
        known = {json.loads(line)["input"] for line in whole.splitlines()}
        if torn[: len(begins)] != begins[: len(torn)]:
            raise ValueError
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"--report {path} is no report of pixelrl, so nothing is added to it; give another name"
        ) from error
    if torn:
        os.truncate(path, len(whole))
    return known
