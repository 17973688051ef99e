"""A stack: all of its pictures read, worked on and written one by one; what they have in common is told once."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pixelrl.cli.choosing import chosen_for, doubts, estimated_names
from pixelrl.cli.common import LEFT_ALONE, STANDARD
from pixelrl.cli.options import DEPTHS, Settings, Work
from pixelrl.cli.outputs import prepare, write_standard_output
from pixelrl.cli.places import Job
from pixelrl.errors import InputError, UsageError

if TYPE_CHECKING:
    from pixelrl.agent import Agent
    from pixelrl.edits import Edit
    from pixelrl.pictures.files import Picture
    from pixelrl.pictures.scale import Scale
    from pixelrl.pictures.stacks import Stack

    Pixels = npt.NDArray[np.generic]

Report = dict[str, object]

SAMPLE = 8
"""Pictures of a channel from which its noise and its units are told."""


@dataclass(frozen=True)
class Channel:
    """What the pictures of a channel have in common.

    Attributes:
        agent: who works on them.
        scale: which values are black and white.
        tell: what the policy is told, by name.
        told: the same as people know it, in the units of the file.
        estimated: the names of those numbers that nobody gave.
        remark: what there is to say of the pictures, or None.
        seen: the noise that was seen, where it decided who the agent is, and why.
    """

    agent: Agent
    scale: Scale
    tell: dict[str, float]
    told: dict[str, float]
    estimated: list[str]
    remark: str | None
    seen: Report


def stack_of(job: Job, data: bytes | None, work: Work, settings: Settings) -> Stack | None:
    """The stack that is to be worked on, if the input is one.

    Args:
        job: input and output.
        data: of standard input; None for files.
        work: the options.
        settings: the command's.

    Raises:
        InputError: it cannot be read.
    """
    from pixelrl.pictures.files import READABLE
    from pixelrl.pictures.stacks import open_stack

    if data is None and (job.source.suffix.lower() not in READABLE or not job.source.is_file()):
        return None
    try:
        stack = open_stack(job.source if data is None else data)
    except InputError as error:
        raise InputError(f"{job.name}: {error}") from error
    if stack is None or len(stack) > 1:
        return stack
    # One picture in a file that says more of it: that is kept where the result can say so, too.
    alone = work.trace is not None or settings.mask is not None or settings.save_mask is not None or settings.limited
    if alone or _kind(job, work, stack) not in stack.formats:
        stack.close()
        return None
    return stack


def _kind(job: Job, work: Work, stack: Stack) -> str | None:
    """The format of the result."""
    from pixelrl.pictures.files import format_by_suffix

    return work.kind or stack.formats[0] if job.target == STANDARD else format_by_suffix(job.target)


def work_on_stack(
    job: Job,
    stack: Stack,
    work: Work,
    settings: Settings,
    edits: Sequence[Edit],
    progress: Callable[[float], object],
) -> Report:
    """Work on all pictures of a stack and write them: what happened, for people and for ``--json``.

    Raises:
        InputError: a picture cannot be read, or the policy cannot take it.
        UsageError: the result cannot be written, or an option does not fit a stack.
    """
    from pixelrl.pictures.atomic import written_whole

    kind = _kind(job, work, stack)
    beside = {"--trace": work.trace, "--mask": settings.mask or settings.within, "--region": settings.region}
    for option, given in (beside | {"--save-mask": settings.save_mask}).items():
        if given is not None:
            raise UsageError(
                f"{option} is for one picture, {job.name} holds {len(stack)}; save one as a file of its own"
            )
    first = _picture(job, stack, 0)
    depth = str(first.pixels.dtype) if work.depth is None else DEPTHS[work.depth]
    prepare(job.target, first.with_dtype(depth), work.quality, overwrite=work.overwrite)
    if kind not in stack.formats:
        from pixelrl.pictures.files import FORMATS, either

        able = either([FORMATS[name] for name in stack.formats])
        held = f"holds one picture, {job.name} holds {len(stack)} ({stack.words})"
        raise UsageError(f"{job.target}: this format {held}; give a name that ends in {able}")
    began = time.perf_counter()
    known = _channels(job, stack, work, settings)
    notes: dict[str, None] = {}
    results = _results(job, stack, known, work, edits, depth, progress, notes)
    assert kind is not None
    if job.target == STANDARD:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "stack"
            lost = stack.write(path, kind, results, work.quality)
            write_standard_output(path.read_bytes())
    else:
        with written_whole(job.target) as path:
            lost = stack.write(path, kind, results, work.quality)
    remarks = [f"{name}: {own.remark}" if len(known) > 1 else own.remark for name, own in known.items() if own.remark]
    said = list(dict.fromkeys((*remarks, *notes, *stack.notes, *lost)))
    one = next(iter(known.values()))
    return {
        "input": str(job.source),
        "output": str(job.target),
        "policy": one.agent.name,
        **(one.told if len(known) == 1 else {}),
        "condition": one.told if len(known) == 1 else {},
        **(one.seen if len(known) == 1 else {}),
        "estimated": list(dict.fromkeys(name for own in known.values() for name in own.estimated)),
        "steps": one.agent.card.num_steps if work.steps is None else work.steps,
        "legibility": None if work.ensemble else one.agent.check_legibility(work.legibility),
        "ensemble": work.ensemble,
        "precision": one.agent.precision,
        "pictures": len(stack),
        "held": stack.words,
        "axes": stack.shape,
        "channels": [
            {"name": name, "policy": own.agent.name, "condition": own.told, **own.seen} for name, own in known.items()
        ],
        "seconds": round(time.perf_counter() - began, 3),
        "trace": None,
        "notes": said,
    }


def _picture(job: Job, stack: Stack, number: int) -> Picture:
    try:
        return stack.picture(number)
    except InputError as error:
        raise InputError(f"{job.name}: {error}") from error


def _channels(job: Job, stack: Stack, work: Work, settings: Settings) -> dict[str, Channel]:
    """What the pictures of each channel have in common, told by some of them."""
    from pixelrl.pictures.scale import scale_of

    known = {}
    for name in dict.fromkeys(stack.channels):
        numbers = np.flatnonzero([channel == name for channel in stack.channels])
        sample = numbers[np.linspace(0, len(numbers) - 1, min(SAMPLE, len(numbers))).round().astype(int)]
        pictures = [_picture(job, stack, int(number)) for number in sample]
        colours = [picture.pixels for picture in pictures]
        planes = [np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else pixels[None] for pixels in colours]
        scale = scale_of((plane for group in planes for plane in group), work.white)
        telling = [picture for picture in pictures if picture.pixels.min() < picture.pixels.max()] or pictures[:1]
        known[name] = _channel(job, stack, work, settings, [_whole(picture) for picture in telling], scale)
    return known


def _whole(picture: Picture) -> Pixels:
    """Colours and alpha, for noise that nobody sees does not count."""
    from pixelrl.pictures.channels import join_alpha

    return picture.pixels if picture.alpha is None else join_alpha(picture.pixels, picture.alpha)


def _channel(
    job: Job, stack: Stack, work: Work, settings: Settings, pictures: Sequence[Pixels], scale: Scale
) -> Channel:
    """What the pictures of a channel have in common, told by these."""
    given = settings.given
    chosen = chosen_for(pictures, scale, scale, work, settings)
    agent, tell = chosen.agent, chosen.tell
    if agent.takes_mask:
        held = f"{job.name} holds {len(stack)} pictures"
        raise UsageError(f"{held}, and each has an object of its own; save one as a file of its own")
    if not chosen.whole:
        tell = agent.estimate(pictures, scale, tell)
    remark = agent.remark(pictures[0], scale, tell)
    if remark is None and not given and agent.conditioning.idle(tell):
        remark = LEFT_ALONE
    remark = "; ".join(filter(None, [remark, doubts(pictures[len(pictures) // 2], scale, agent, settings)])) or None
    told = agent.conditioning.in_units(tell, scale) if chosen.peak is None else {"peak": chosen.peak}
    return Channel(agent, scale, tell, told, estimated_names(agent, told, given), remark, chosen.seen)


def _results(
    job: Job,
    stack: Stack,
    known: dict[str, Channel],
    work: Work,
    edits: Sequence[Edit],
    depth: str,
    progress: Callable[[float], object],
    notes: dict[str, None],
) -> Iterator[Picture]:
    """One result after the other; ``notes`` collects what is to be said of their pictures."""
    from pixelrl.edits import idle_words, laid
    from pixelrl.pictures.channels import split_alpha
    from pixelrl.pictures.display import orientation_of
    from pixelrl.pictures.scale import Scale
    from pixelrl.playing import in_all
    from pixelrl.threads import threads, worthwhile_threads

    idle: list[tuple[int, ...]] = []
    deeper = list(DEPTHS.values()).index
    for number, name in enumerate(stack.channels):
        picture, one, scale = _picture(job, stack, number), known[name], known[name].scale
        notes.update(dict.fromkeys(picture.notes))
        if deeper(depth) > deeper(str(picture.pixels.dtype)):  # beforehand: results are rounded to the depth that came
            picture, scale = picture.with_dtype(depth, scale), Scale.full(depth)
        height, width = picture.pixels.shape[:2]

        def tell(share: float, number: int = number) -> None:
            progress((number + share) / len(stack))

        with threads(work.threads or worthwhile_threads(height * width)):
            if work.ensemble:
                image, _ = one.agent.ensemble(
                    _whole(picture), steps=work.steps, condition=one.tell, progress=tell, white=scale
                )
            else:
                own = laid(edits, (height, width), orientation_of(picture.exif))
                result = one.agent(
                    _whole(picture),
                    steps=work.steps,
                    edits=own,
                    condition=one.tell,
                    progress=tell,
                    white=scale,
                    legibility=work.legibility,
                )
                image = result.image
                idle.append(result.idle_edits)
        image = image if picture.alpha is None else split_alpha(image)[0]
        yield picture.with_pixels(image).with_dtype(depth, scale)
    if (words := idle_words(in_all(idle), f" of {work.edits}")) is not None:
        notes[words] = None
