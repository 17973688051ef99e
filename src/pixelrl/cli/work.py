"""The way through many pictures: everything is checked first, and what goes wrong with one ends none of the others."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from pixelrl.cli import huge
from pixelrl.cli.common import (
    EXIT_FAULT,
    EXIT_INPUTS,
    EXIT_INTERRUPTED,
    STANDARD,
    check_engine,
    check_file,
    complain,
    say,
)
from pixelrl.cli.many import Doing, Write, report_file
from pixelrl.cli.one import Report, sentence
from pixelrl.cli.options import Settings, Work
from pixelrl.cli.outputs import check_apart, check_place
from pixelrl.cli.places import Job, is_one_picture, place, results_folder
from pixelrl.cli.progress import Progress
from pixelrl.engines import Fault, through
from pixelrl.errors import InputError, PixelRLError, UsageError
from pixelrl.policy_files import COMMANDS, command_for, find_policy, read_header

if TYPE_CHECKING:
    from pixelrl.edits import Edit
    from pixelrl.pictures.listing import Listing, Problem

_LEVELS = ("sigma", "peak", "strength", "gain", "read", "offset")
"""What options can tell a policy."""
_TAKES = {
    "sigma": ("sigma",),
    "peak": ("peak",),
    "strength": ("strength",),
    "noise-map": ("sigma", "strength"),
    "poisson-gaussian": ("gain", "read", "offset"),
}
"""The numbers that each built-in kind of condition has (`pixelrl.tasks.CONDITIONINGS`), known without PyTorch."""


def run(work: Work, settings: Settings) -> int:
    """Work on all pictures: the exit code.

    Raises:
        UsageError: options that contradict each other, a result that exists, or one that cannot be written.
    """
    from pixelrl.pictures.listing import Listing, list_pictures

    _check_options(work, settings)
    _check_policies(settings)
    if huge.is_huge(work, settings):
        return huge.run(work, settings)
    if work.legibility is not None and not settings.by_noise:  # else the noise of each picture says which policy
        for policy in dict.fromkeys(settings.policies):
            settings.agent(policy, work).check_legibility(work.legibility)
    alone = is_one_picture(work.inputs)
    if work.inputs == (str(STANDARD),):
        listing = Listing([(STANDARD, STANDARD)])
        if results_folder(work.inputs, work.output) is not None:
            raise UsageError(f"-o {work.output} is a folder, and standard input has no name; give the name of a file")
    else:
        listing = list_pictures(work.inputs, results_folder(work.inputs, work.output), "" if alone else work.suffix)
    jobs, problems = place(listing.files, work.inputs, work.output, work.suffix, work.kind)
    problems = listing.problems + problems
    counts = Counter(failed=sum(problem.kind == "picture" for problem in problems))
    share = ""
    if work.shard is not None:
        if alone:
            raise UsageError(f"--shard {work.shard} is a share of many pictures; leave it out for one")
        share = f" of {_number(len(jobs) + counts['failed'], 'picture')} in share {work.shard}"
        jobs = [job for job in jobs if work.shard.has(job.target.relative_to(work.output).as_posix())]
    if not (work.overwrite or work.skip_existing):
        taken = [job.target for job in jobs if job.target != STANDARD and os.path.lexists(job.target)]
        if taken:
            more = f" (and {len(taken) - 1} more)" if len(taken) > 1 else ""
            raise UsageError(f"{taken[0]} exists{more}; give --overwrite to replace it or --skip-existing to leave it")
    if work.quality is not None and jobs and not any(_has_quality(job, work.kind) for job in jobs):
        raise UsageError("--quality is for JPEG and WebP; leave it out, or give --format jpeg or webp")
    for option, path in (("--trace", work.trace), ("--save-mask", settings.save_mask)):
        if path is not None:
            if len(jobs) > 1:
                raise UsageError(f"{option} writes what happened to one picture; {len(jobs)} were given")
            check_place(path, overwrite=work.overwrite, option=option)
    if work.report is not None:
        check_place(work.report, overwrite=work.overwrite or work.skip_existing, option="--report")
    _check_apart(jobs, work, settings)
    edits = _edits(work.edits) if jobs else ()
    for problem in problems:
        complain(problem.message)
        if work.as_json:
            say(json.dumps({"input": problem.input, "error": problem.message}))
    with report_file(work.report, go_on=work.skip_existing) as write:
        for problem in problems:
            write({"input": problem.input, "error": problem.message})
        code = _through(jobs, work, settings, edits, counts, write)
    if not alone:
        complain(_closing(counts, listing, problems, share))
    return code or (EXIT_INPUTS if counts["failed"] or problems else 0)


def _has_quality(job: Job, kind: str | None) -> bool:
    from pixelrl.pictures.files import format_by_suffix

    known = kind or format_by_suffix(job.source if job.target == STANDARD else job.target)
    return known in ("jpeg", "webp") or (known is None and job.source == STANDARD)


def _through(
    jobs: list[Job], work: Work, settings: Settings, edits: Sequence[Edit], counts: Counter[str], write: Write
) -> int:
    """Work on all pictures, and count what became of them; 1 for faults of ours, else 0."""
    code = 0

    def finish(job: Job, report: Report, became: str) -> None:
        nonlocal code
        counts[became] += 1
        progress.end(worked=became != "left alone")
        told, written = _tell(report, job, work.as_json), write(report)
        if not (told and written):
            code = EXIT_FAULT

    def fail(job: Job, error: Exception) -> None:
        nonlocal code
        message, ours = blame(error, job)
        if len(jobs) == 1 and not isinstance(message, InputError):
            raise error
        code = EXIT_FAULT if ours else code
        complain(str(message))
        finish(job, {"input": str(job.source), "error": str(message)}, "failed")

    def due() -> Iterator[Job]:
        """What is to be done, looked at when its turn has come."""
        for job in jobs:
            if work.overwrite or job.target == STANDARD or not os.path.lexists(job.target):
                progress.begin(job.name)
                yield job
            elif work.skip_existing:
                finish(job, {"input": str(job.source), "output": str(job.target), "skipped": True}, "left alone")
            else:
                fail(job, UsageError(f"{job.target} exists; give --overwrite to replace it, or another name"))

    together = work.workers is not None or work.dask is not None
    with Progress(len(jobs), together=together) as progress:
        doing = Doing(work, settings, edits, progress.update)
        try:
            with closing(through(doing, due(), workers=work.workers, address=work.dask)) as outcomes:
                for job, outcome in outcomes:
                    if not isinstance(outcome, Fault):
                        finish(job, outcome, "done")
                    else:
                        fail(job, InputError(f"{job.name}: {_LOST}") if outcome.error is None else outcome.error)
        except KeyboardInterrupt:
            progress.stop()
            complain(f"interrupted; {counts['done']} of {len(jobs)} pictures are done")
            sys.exit(EXIT_INTERRUPTED)
    return code


_LOST = "the processes that worked on it were killed, one after the other, as where memory is short; try it alone"


def _tell(report: Report, job: Job, as_json: bool) -> bool:
    """Print what became of a picture; False if nobody can read it."""
    if job.target == STANDARD:
        if "error" not in report:
            complain(sentence(report))
        return True
    if as_json:
        return say(json.dumps(report))
    return "error" in report or say(sentence(report))


def blame(error: Exception, job: Job) -> tuple[Exception, bool]:
    """What to say of an error that concerns one picture, and whether it is a fault of ours."""
    if isinstance(error, PixelRLError):
        named = any(str(path) in str(error) for path in (job.name, job.target))
        return error if named else type(error)(f"{job.name}: {error}"), False
    # PyTorch says it in a RuntimeError of either device.
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error).lower()):
        return InputError(f"{job.name}: there is not enough memory for it; a smaller picture is needed"), False
    kind = type(error).__name__
    return RuntimeError(f"{job.name}: {kind}: {error} (this is a fault of pixelrl; please report it)"), True


def _edits(path: Path | None) -> Sequence[Edit]:
    if path is None:
        return ()
    from pixelrl.edits import load_edits

    return load_edits(path)


def _check_options(work: Work, settings: Settings) -> None:
    """What can be said of the options before anything is looked at."""
    if work.overwrite and work.skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other; give one")
    if Path(work.suffix).name != work.suffix:
        raise UsageError(f"--suffix {work.suffix!r} is not part of a file name; give one without slashes")
    if str(STANDARD) in work.inputs and len(work.inputs) > 1:
        raise UsageError("- stands for standard input, which holds one picture; give it alone")
    check_engine(work.workers, work.dask)
    if STANDARD in (work.output, *map(Path, work.inputs)):
        for option, elsewhere in (("--workers", work.workers), ("--dask", work.dask)):
            if elsewhere is not None:
                raise UsageError(f"{option} is for pictures in files; leave it out where - is given")
    if work.output == STANDARD:
        for option, given in (
            ("--json", work.as_json),
            ("--suffix", work.suffix),
            ("--skip-existing", work.skip_existing),
        ):
            if given:
                raise UsageError(
                    f"{option} says nothing where -o - writes the picture to standard output; leave it out"
                )
        if sys.stdout is None or sys.stdout.isatty():
            raise UsageError("-o -: standard output is the terminal, or closed; give a file, or send it on with > or |")
    if str(STANDARD) in work.inputs and (sys.stdin is None or sys.stdin.isatty()):
        raise UsageError("- is standard input, which is the terminal, or closed; send a picture with < or |")
    for name, value in (("--trace", work.trace), ("--edits", work.edits), ("--legibility", work.legibility)):
        if work.ensemble and value is not None:
            raise UsageError(f"--ensemble averages eight runs, which have no common {name}; give one of them")
    if work.edits is not None:
        check_file(work.edits, "--edits", "a file of edits (JSON)")
    if settings.mask is not None:
        check_file(settings.mask, "--mask", "a picture, white where the object is")
    if settings.within is not None:
        check_file(settings.within, "--mask", "a picture, white where text is sought")
    if settings.within is not None and settings.region is not None:
        raise UsageError("--mask and --region exclude each other; give one")
    if work.ensemble and settings.limited:
        raise UsageError("--ensemble averages eight runs of whole pictures; leave it out, or --mask and --region")


def _check_policies(settings: Settings) -> None:
    """Refuse policies that are not there or are for another command, and levels and masks that they do not take."""
    for policy in dict.fromkeys(settings.policies):
        header = read_header(find_policy(policy), "policy")
        command, takes = command_for(header), header.get("condition")
        if command not in (None, settings.command):
            option = "--style" if command == "enhance" else "--policy"
            right = f"it is for `pixelrl {command} {option} {policy}`, not for `pixelrl {settings.command}`"
            raise UsageError(f"policy {policy} {COMMANDS[command]}, so {right}")
        if takes not in (None, *_TAKES):
            continue  # of a user's own kind; the agent knows
        if settings.command == "saliency" and takes != "strength":
            raise UsageError(f"policy {policy} edits no saliency; give --policy one that does, as saliency-edit")
        names = _TAKES.get(str(takes), ())
        if settings.mask is not None and takes != "strength":
            raise UsageError(f"--mask {settings.mask} cannot be used: policy {policy} takes none; leave --mask out")
        for name, value in settings.levels.items():
            if value == "auto" or name in names:
                continue
            option = f"--{name} {value:g}" if name in _LEVELS else f"--condition {name}={value:g}"
            level = " and ".join(names) or "no noise level"
            raise UsageError(f"{option} cannot be used: policy {policy} takes {level}; leave {option.split()[0]} out")


def _check_apart(jobs: Sequence[Job], work: Work, settings: Settings) -> None:
    """Refuse to write over anything that is read; but a result may replace its own picture."""
    inputs = [("the edits", work.edits), ("the mask", settings.mask), ("the mask", settings.within)]
    inputs += [("the policy", find_policy(policy)) for policy in settings.policies]
    read = [(what, path) for what, path in inputs if path is not None]
    check_apart((("-o", target) for target in dict.fromkeys(job.target for job in jobs)), read)
    picture = "the picture" if len(jobs) == 1 else "a picture"
    beside = [("--trace", work.trace), ("--save-mask", settings.save_mask), ("--report", work.report)]
    check_apart(
        [(option, path) for option, path in beside if path is not None],
        [*read, *((picture, path) for job in jobs for path in job)],
    )


def _closing(counts: Counter[str], listing: Listing, problems: Sequence[Problem], share: str) -> str:
    """What became of everything, in one line."""
    from pixelrl.pictures.files import PHOTO, either

    words = [f"{counts.total()}{share}" if share else _number(counts.total(), "picture")]
    empty, closed = (sum(problem.kind == kind for problem in problems) for kind in ("input", "folder"))
    if empty:
        words.append(f"{_number(empty, 'input')} without pictures")
    if closed:
        words.append(f"{_number(closed, 'folder')} not readable")
    if listing.others:
        needing = sorted({file.suffix.lower() for file in listing.others} & PHOTO.keys())
        needs = f' ({either(needing)} needs pip install "pixelrl[photo]")' if needing else ""
        words.append(f"{_number(len(listing.others), 'other file')} skipped{needs}")
    if listing.results:
        words.append(f"{_number(len(listing.results), 'result')} of an earlier run left out")
    became = [f"{counts['done']} done"]
    became += [f"{counts[name]} {name}" for name in ("failed", "left alone") if counts[name]]
    return f"{', '.join(words)}; {', '.join(became)}"


def _number(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"
