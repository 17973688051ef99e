"""A huge picture in Zarr or TIFF, or a slide, block by block, by as many processes and machines as there are.

All that is told is told once, in ``plan.json``; every block that is done leaves a marker. Both are in a folder of Zarr
beside the result, which is there under its own name when all of it is: that folder, or a TIFF that is made of it. So a
run that was stopped goes on where it was, and any number of runs share the blocks.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pixelrl.blocks import names
from pixelrl.blocks.names import TIFF, ZARR
from pixelrl.cli.common import EXIT_INPUTS, EXIT_INTERRUPTED, complain, say, set_threads
from pixelrl.cli.looking import alike, look
from pixelrl.cli.one import text_found, text_in_words
from pixelrl.cli.options import Settings, Work
from pixelrl.cli.progress import Progress
from pixelrl.engines import Fault, through
from pixelrl.errors import PixelRLError, UsageError
from pixelrl.pictures.atomic import written_whole
from pixelrl.policy_files import portable

if TYPE_CHECKING:
    from pixelrl.agent import Agent
    from pixelrl.blocks.held import Held
    from pixelrl.blocks.plan import Block, Plan, Values

SIDE = 2048
"""Of the blocks, in pixels. A process needs memory for one with its surroundings."""
_UNFIT = ("ensemble", "trace", "edits", "suffix", "kind", "quality", "depth", "report")
"""Options that need the whole picture, or many pictures."""
_OPTIONS = {"kind": "format", "depth": "bit-depth"}
_MARKERS = ".done"
_PATIENCE = 60.0
"""Seconds that a run waits for another one to make the empty result."""


def is_huge(work: Work, settings: Settings) -> bool:
    """Whether the one input is worked on block by block (`pixelrl.blocks.names.is_huge`).

    A large TIFF is not if its result is no TIFF, or options are given that need the whole picture.
    """
    if len(work.inputs) != 1:
        return False
    source, target = Path(work.inputs[0]), work.output
    if source.suffix.lower() in TIFF and target.suffix.lower() != ZARR:
        becomes_tiff = target.suffix.lower() in TIFF or target.is_dir()
        if not becomes_tiff or settings.limited or any(getattr(work, name) for name in _UNFIT):
            return False
    return names.is_huge(source, target)


@dataclass(frozen=True)
class Doing:
    """How a block is done, for a process of its own or another machine."""

    policy: str
    device: str
    plan: bytes
    source: Path
    begun: Path
    seeks_text: bool = False

    def __call__(self, block: Block) -> None:
        """Do a block, and leave its marker; it holds how many pixels were changed as where letters go, if text is
        sought."""
        from pixelrl.blocks.ome import open_target
        from pixelrl.blocks.sources import open_source
        from pixelrl.blocks.work import do_block

        plan = _read(self.plan)
        agent = _agent(self.policy, self.device, plan.precision)
        with closing(open_source(self.source)) as held:
            target = open_target(self.begun)
            do_block(agent, plan, block, held.array, target)
            changed = _changed(plan, block, held.array, target) if self.seeks_text else None
        with written_whole(_marker(self.begun, block.number)) as marker:
            marker.write_text("" if changed is None else str(changed))


def _changed(plan: Plan, block: Block, source: Values, target: Values) -> int:
    """How many pixels of a block were changed as where letters go."""
    from pixelrl.auto import changed_share

    before, after = (plan.layout.read(array, block.place, block.core) for array in (source, target))
    scale = plan.told[plan.layout.channel(block.place)].scale
    return round(changed_share(before, after, scale) * block.core.rows.length * block.core.columns.length)


def _share_changed(begun: Path, plan: Plan) -> float | None:
    """The share of a finished picture's pixels that were so changed; None if an older version did some of it."""
    counts = [_marker(begun, block.number).read_text() for block in plan.blocks]
    layout = plan.layout
    pixels = len(layout.places) * layout.length("y") * layout.length("x")
    return sum(map(int, counts)) / pixels if all(counts) else None


@functools.lru_cache(maxsize=1)
def _agent(policy: str, device: str, precision: str) -> Agent:
    from pixelrl.agent import load

    return load(policy, device, precision)


def run(work: Work, settings: Settings) -> int:
    """Work on the picture, or on a share of its blocks: the exit code.

    Raises:
        UsageError: options that do not fit, or a result that exists.
        InputError: no picture that can be read in parts.
    """
    from pixelrl.blocks.sources import open_source

    source = Path(work.inputs[0]).absolute()
    target = _target(work, settings, source)
    if os.path.lexists(target):
        if work.skip_existing:
            complain(f"{work.output} is there already; left alone")
            return 0
        if target == source or not work.overwrite:
            raise UsageError(f"{work.output} exists; give another name")
    set_threads(work.threads)
    with closing(open_source(source)) as held:
        return _worked(work, settings, source, target, held)


def _target(work: Work, settings: Settings, source: Path) -> Path:
    for name in _UNFIT:
        if getattr(work, name):
            option = _OPTIONS.get(name, name)
            raise UsageError(f"--{option} is not for pictures that are worked on block by block; leave it out")
    if settings.limited:
        raise UsageError("--mask and --region are not for pictures that are worked on block by block; leave them out")
    target = work.output.absolute()
    if source.suffix.lower() in TIFF and target.is_dir() and target.suffix.lower() != ZARR:
        target = target / source.name
    if target.suffix.lower() not in (ZARR, *TIFF):
        raise UsageError(
            f"-o {work.output}: a picture that is worked on block by block becomes OME-Zarr or a tiled TIFF; give a "
            f"name ending in {ZARR} or .tif"
        )
    return target


def _worked(work: Work, settings: Settings, source: Path, target: Path, held: Held) -> int:
    from pixelrl.blocks.ome import create_target

    begun, began = target.with_name(f"{target.name}.begun"), time.perf_counter()
    looked = look(work, settings, held, SIDE)
    plan = _begun(begun, looked.plan, source, work.precision != "auto")
    _once(begun, "created", lambda: create_target(begun, plan, held))
    blocks = plan.blocks
    mine = blocks if work.shard is None else list(work.shard.of(blocks))
    due = [block for block in mine if not _marker(begun, block.number).exists()]
    doing = Doing(portable(looked.policy), work.device, msgspec.json.encode(plan), source, begun, settings.seeks_text)
    failed = _through(work, doing, due)
    left = sum(not _marker(begun, block.number).exists() for block in blocks)
    said = {"input": work.inputs[0], "output": str(work.output), "policy": plan.policy, "blocks": len(blocks)}
    said |= {"left": left, **looked.report, "legibility": plan.legibility}
    said |= {"precision": plan.precision, "halo": plan.halo, "seconds": round(time.perf_counter() - began, 3)}
    text = None
    if not left and (work.shard is None or _first(begun, "finishing")):
        share = _share_changed(begun, plan) if settings.seeks_text else None
        text = None if share is None else text_found(share)
        _finish(begun, plan, held, target)
    if work.as_json:
        say(json.dumps(said if text is None else {**said, "text": text}))
    else:
        became = f"{len(due) - failed} of {len(blocks)} blocks done now{f', {left} left' if left else '; complete'}"
        notes = "".join(f"; {note}" for note in looked.notes)
        say(f"{work.inputs[0]} -> {work.output}{looked.words}{text_in_words(text)} ({became}){notes}")
    return EXIT_INPUTS if failed else 0


def _finish(begun: Path, plan: Plan, held: Held, target: Path) -> None:
    """Make the levels, and of all of it what was asked for; nothing else is left."""
    from pixelrl.blocks.ome import make_levels
    from pixelrl.blocks.tiff import write_tiff

    make_levels(begun, plan)
    if target.suffix.lower() in TIFF:
        with written_whole(target) as temporary:
            write_tiff(temporary, plan, begun, held, ome=Path(target.stem).suffix.lower() == ".ome")
        shutil.rmtree(begun)
        return
    shutil.rmtree(begun / _MARKERS)
    if target.exists():
        shutil.rmtree(target)
    os.replace(begun, target)


def _begun(begun: Path, plan: Plan, source: Path, told: bool) -> Plan:
    """Write the plan down, or find that a run that began before had the same, and go on with that.

    Args:
        begun: the folder of what is not yet complete.
        plan: as this run would have it.
        source: the picture.
        told: whether somebody said in which numbers to compute; else it is those of whoever began.

    Raises:
        UsageError: there was another plan, or there is no room for a new one.
    """
    place = begun / _MARKERS / "plan.json"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            with written_whole(place, first=True) as temporary:  # of several runs that begin together
                temporary.write_bytes(msgspec.json.encode({"source": str(source), "plan": plan}))
        written = msgspec.json.decode(place.read_bytes(), type=dict[str, msgspec.Raw])
        before, where = _read(bytes(written["plan"])), msgspec.json.decode(written["source"], type=str)
    except OSError as error:
        raise UsageError(f"{begun} cannot be written: {error.strerror}") from error
    except (msgspec.MsgspecError, KeyError) as error:
        raise UsageError(f"{place} is damaged: {error}; remove {begun} to begin anew") from error
    mine = plan if told else msgspec.structs.replace(plan, precision=before.precision)
    if alike(before, mine):
        mine = msgspec.structs.replace(mine, told=before.told)
    if (where, before) != (str(source), mine):
        raise UsageError(
            f"{begun} was begun with other options, another picture or another policy; give those again to go on, or "
            "remove it"
        )
    return mine


def _once(begun: Path, what: str, do: Callable[[], object]) -> None:
    """Do something once, though several runs may begin together; return when it is done.

    Raises:
        UsageError: whoever does it does not come to an end.
    """
    done, patience = begun / _MARKERS / what, time.monotonic() + _PATIENCE
    if not done.exists() and _first(begun, f"{what}-begun"):
        do()
        done.touch()
    while not done.exists():
        if time.monotonic() > patience:
            raise UsageError(f"{begun} was begun by a run that did not get far; remove it to begin anew")
        time.sleep(0.1)


def _first(begun: Path, what: str) -> bool:
    """Whether this run is the first of several to do something."""
    try:
        (begun / _MARKERS / what).mkdir()
    except FileExistsError:
        return False
    return True


def _read(plan: bytes) -> Plan:
    from pixelrl.blocks.plan import Plan

    return msgspec.json.decode(plan, type=Plan)


def _marker(begun: Path, number: int) -> Path:
    return begun / _MARKERS / str(number)


def _through(work: Work, doing: Doing, due: list[Block]) -> int:
    """Work the blocks off; how many failed."""
    failed = 0
    with Progress(len(due), together=True, what="blocks") as progress:

        def begin() -> Iterator[Block]:
            for block in due:
                progress.begin(str(block.number))
                yield block

        try:
            with closing(through(doing, begin(), workers=work.workers, address=work.dask)) as outcomes:
                for block, outcome in outcomes:
                    progress.end(worked=True)
                    if isinstance(outcome, Fault):
                        failed += 1
                        error = outcome.error
                        why = "its processes were killed, as where memory is short" if error is None else str(error)
                        if error is not None and not isinstance(error, PixelRLError):
                            why = f"{type(error).__name__}: {error}"
                        complain(f"block {block.number} of {work.inputs[0]}: {why}; the same command tries it again")
        except KeyboardInterrupt:
            progress.stop()
            complain("interrupted; the same command goes on")
            sys.exit(EXIT_INTERRUPTED)
    return failed
