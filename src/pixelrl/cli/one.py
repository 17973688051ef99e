"""One picture: read, worked on, written, and what there is to say of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pixelrl.cli.choosing import chosen_for, doubts, estimated_names
from pixelrl.cli.common import LEFT_ALONE, STANDARD
from pixelrl.cli.options import DEPTHS, Settings, Work
from pixelrl.cli.outputs import make_folder, prepare, same_file, write_to
from pixelrl.cli.places import Job
from pixelrl.cli.raw import sensor_of, work_on_sensor
from pixelrl.cli.stack import stack_of, work_on_stack
from pixelrl.errors import InputError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from pixelrl.edits import Edit
    from pixelrl.pictures.files import Picture
    from pixelrl.pictures.scale import Scale
    from pixelrl.trace import Trace

    Mask = npt.NDArray[np.bool_]

Report = dict[str, object]


def work_on(
    job: Job, work: Work, settings: Settings, edits: Sequence[Edit], progress: Callable[[float], object]
) -> Report:
    """Read a picture, work on it and write it: what happened, for people and for ``--json``.

    Raises:
        InputError: the picture cannot be read, or the policy cannot take it.
        UsageError: the result cannot be written, or an option does not fit this picture.
    """
    from pixelrl.pictures.scale import Scale

    data = standard_input(job)
    sensor = sensor_of(job, data, settings)
    if sensor is not None:
        return work_on_sensor(job, sensor, work, settings, edits, progress)
    stack = stack_of(job, data, work, settings)
    if stack is not None:
        with stack:
            return work_on_stack(job, stack, work, settings, edits, progress)
    picture, kind = read(job, data)
    if picture.partial and job.target.exists() and job.target.samefile(job.source):
        raise InputError(
            f"{job.name}: it holds further pictures, which would be lost; write the result to another place"
        )
    own_depth = str(picture.pixels.dtype)
    depth = own_depth if work.depth is None else DEPTHS[work.depth]
    prepare(job.target, picture.with_dtype(depth), work.quality, overwrite=work.overwrite)
    order, own_scale = list(DEPTHS.values()), Scale.of(picture.pixels, work.white)
    scale = own_scale
    units: tuple[str, ...] = ()
    if order.index(depth) > order.index(own_depth):  # beforehand: results are rounded to the depth that came in
        units = tuple(filter(None, [scale.remark(own_depth)]))
        picture, scale = picture.with_dtype(depth, scale), Scale.full(depth)
    try:
        mask, said = _given_mask(settings.mask, picture)
        kept, more = _kept(settings, picture)
        edits, said = (*kept, *edits), (*said, *more)
        image, trace, mask, report, remark = _run(picture, work, settings, mask, edits, progress, scale, own_scale)
    except InputError as error:
        raise InputError(f"{job.name}: {error}") from error
    result = picture.with_pixels(image).with_dtype(depth, scale)
    kind = work.kind or kind or "png"
    same = None if work.quality is not None else same_file(job.source if data is None else data, picture, result)
    lost = write_to(job.target, result, kind, work.quality, overwrite=work.overwrite, same=same)
    _write_beside(work, settings, picture, trace, mask)
    if mask is not None:
        report["object"] = _object(mask, picture, found=settings.mask is None)
    remarks = () if remark is None else (remark,)
    notes = list(dict.fromkeys((*units, *remarks, *picture.notes, *said, *lost)))
    return {"input": str(job.source), "output": str(job.target), **report, "notes": notes}


def standard_input(job: Job) -> bytes | None:
    """What stands on standard input, where that is what is asked for."""
    return sys.stdin.buffer.read() if job.source == STANDARD else None


def read(job: Job, data: bytes | None) -> tuple[Picture, str | None]:
    """The picture and its format, a key of `pixelrl.pictures.files.FORMATS`, or None if that cannot be written."""
    from pixelrl.pictures.files import decode, format_by_suffix, format_of, read_picture

    if data is None:
        return read_picture(job.source), format_by_suffix(job.source)
    return decode(data, job.name), format_of(data)


def _given_mask(path: Path | None, picture: Picture) -> tuple[Mask | None, tuple[str, ...]]:
    from pixelrl.pictures.masks import read_mask

    return (None, ()) if path is None else read_mask(path).over(picture)


def _kept(settings: Settings, picture: Picture) -> tuple[tuple[Edit, ...], tuple[str, ...]]:
    """What keeps the picture as it is where no text is sought, and what there is to say of the mask."""
    if not settings.limited:
        return (), ()
    import torch

    from pixelrl.edits import DO_NOTHING, Edit
    from pixelrl.pictures.display import as_stored, orientation_of, upright
    from pixelrl.validation import check_box

    mask, said = _given_mask(settings.within, picture)
    if mask is None:
        assert settings.region is not None
        inside = torch.zeros(picture.pixels.shape[:2], dtype=torch.bool)
        seen, box = upright(inside, orientation_of(picture.exif)), ",".join(map(str, settings.region))
        try:
            check_box(settings.region, f"--region {box}", (seen.shape[0], seen.shape[1]))
        except UsageError as error:  # another picture may be large enough
            raise InputError(str(error)) from error
        x0, y0, x1, y1 = settings.region
        seen[y0:y1, x0:x1] = True
        inside = as_stored(seen, orientation_of(picture.exif))
    else:
        inside = torch.from_numpy(mask)
    return (Edit(mask=~inside, force=DO_NOTHING),), said


def _run(
    picture: Picture,
    work: Work,
    settings: Settings,
    mask: Mask | None,
    edits: Sequence[Edit],
    progress: Callable[[float], object],
    scale: Scale,
    units: Scale,
) -> tuple[npt.NDArray[np.generic], Trace | None, Mask | None, Report, str | None]:
    """The result's pixels, what happened where it is to be kept, the object, what there is to say, and a remark."""
    from pixelrl.auto import changed_share
    from pixelrl.edits import idle_words, laid
    from pixelrl.pictures.channels import join_alpha, split_alpha
    from pixelrl.pictures.display import orientation_of
    from pixelrl.threads import threads, worthwhile_threads

    height, width = picture.pixels.shape[:2]
    edits = laid(edits, (height, width), orientation_of(picture.exif))
    given = settings.given
    trace, idle, began = None, None, time.perf_counter()
    pixels = picture.pixels if picture.alpha is None else join_alpha(picture.pixels, picture.alpha)
    with threads(work.threads or worthwhile_threads(height * width)):
        chosen = chosen_for([pixels], scale, units, work, settings)
        agent, tell = chosen.agent, chosen.tell
        if agent.takes_mask and mask is None:
            mask = agent.find_object(picture.pixels, scale)
        if work.ensemble:
            image, told = agent.ensemble(
                pixels, steps=work.steps, mask=mask, condition=tell, progress=progress, white=scale
            )
            remark = agent.remark(picture.pixels, scale, told)
        else:
            result = (None if edits else chosen.result) or agent(
                pixels,
                steps=work.steps,
                edits=edits,
                mask=mask,
                condition=tell,
                progress=progress,
                white=scale,
                legibility=work.legibility,
            )
            image, told, remark = result.image, dict(result.condition), result.image_remark
            own = int(settings.limited)  # the edit of ours that comes first
            idle = idle_words([place - own for place in result.idle_edits if place > own], f" of {work.edits}")
            trace = None if work.trace is None else result.trace().of(picture)
        remark = "; ".join(filter(None, [remark, doubts(pixels, scale, agent, settings)])) or None
    if picture.alpha is not None:
        image, _ = split_alpha(image)
    seconds = time.perf_counter() - began
    if agent.conditioning.idle(told) and not given and remark is None:
        remark = LEFT_ALONE
    remark = "; ".join(filter(None, [remark, idle])) or None
    told = agent.conditioning.in_units(told, units) if chosen.peak is None else {"peak": chosen.peak}
    report: Report = {
        "policy": agent.name,
        **told,
        "condition": told,
        "estimated": estimated_names(agent, told, given),
        "steps": agent.card.num_steps if work.steps is None else work.steps,
        "legibility": None if work.ensemble else agent.check_legibility(work.legibility),
        "ensemble": work.ensemble,
        "precision": agent.precision,
        "seconds": round(seconds, 3),
        "trace": None if work.trace is None else str(work.trace),
        **chosen.seen,
    }
    if settings.seeks_text:
        report["text"] = text_found(changed_share(picture.pixels, image, scale))
    return image, trace, mask, report, remark


def _write_beside(work: Work, settings: Settings, picture: Picture, trace: Trace | None, mask: Mask | None) -> None:
    """The trace and the mask of the object, where they are wanted."""
    import numpy as np

    from pixelrl.pictures.display import orientation_exif, orientation_of
    from pixelrl.pictures.files import Picture, write_picture
    from pixelrl.trace import save_trace

    if work.trace is not None and trace is not None:
        make_folder(work.trace.parent)
        save_trace(work.trace, trace)
    if settings.save_mask is not None and mask is not None:
        make_folder(settings.save_mask.parent)
        turned = orientation_exif(orientation_of(picture.exif))
        write_picture(settings.save_mask, Picture(mask * np.uint8(255), exif=turned), overwrite=work.overwrite)


def _object(mask: Mask, picture: Picture, *, found: bool) -> Report:
    """Where the object lies.

    ``box`` (x0, y0, x1, y1) counts stored pixels, as edits and reports do; ``seen`` and ``place`` are where people see
    it, on a photo that is shown turned, too; ``share`` is that of the pixels.
    """
    from pixelrl.pictures.display import orientation_of, upright

    seen = upright(mask, orientation_of(picture.exif))
    left, top, right, bottom = shown = _box(seen)
    height, width = seen.shape
    across = ("left", "", "right")[(left + right) * 3 // (2 * width + 1)]
    down = ("top", "", "bottom")[(top + bottom) * 3 // (2 * height + 1)]
    place = " ".join(part for part in (down, across) if part) or "middle"
    share = round(float(seen.mean()), 4)
    return {"box": _box(mask), "seen": shown, "place": place, "share": share, "found": found}


def _box(mask: Mask) -> list[int]:
    import numpy as np

    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def told_in_words(channels: Sequence[Mapping[str, object]], estimated: Sequence[str]) -> str:
    """What was seen in a picture, or in each channel, and the policy was told, in words that begin with a comma, or
    none."""
    words = ""
    for channel in channels:
        told = _told(channel, estimated)
        words += f", {channel['name']}:{told[1:]}" if told and len(channels) > 1 else told
    return words


def _told(channel: Mapping[str, object], estimated: Sequence[str]) -> str:
    condition, noise, words = channel["condition"], channel.get("noise"), ""
    assert isinstance(condition, dict)
    if isinstance(noise, dict):
        left = condition.get("sigma") == 0
        words = f", {noise['words']}: {channel['why'] if left else channel['policy']}"
        condition = {} if left else condition
    for name, value in condition.items():
        number = f"{value:.1f}" if abs(value) >= 1 else f"{value:.3g}"
        words += f", {name} {number}{' (estimated)' if name in estimated else ''}"
    return words


def text_found(share: float) -> Report:
    """What is reported of text where so large a share of a picture was changed as where letters go."""
    from pixelrl.auto import LEAST_FOUND

    return {"found": share >= LEAST_FOUND, "share": round(share, 5)}


def text_in_words(text: object) -> str:
    """The same in words that begin with a comma; none if it was not sought."""
    if not isinstance(text, dict):
        return ""
    share = f"{100 * text['share']:.2g} % of the picture"
    return f", text found on {share}" if text["found"] else f", nothing found: {share} changed"


def sentence(report: Report) -> str:
    """A report in words."""
    if report.get("skipped"):
        return f"{report['input']}: {report['output']} exists, left alone"
    estimated, words = report["estimated"], ""
    assert isinstance(estimated, list)
    if report.get("pictures", 1) != 1:
        words += f", {report['pictures']} pictures ({report['held']})"
    channels = report.get("channels") or [report]
    assert isinstance(channels, list)
    words += told_in_words(channels, estimated)
    if report.get("legibility") is not None:
        words += f", legibility {report['legibility']:g}"
    thing = report.get("object")
    if isinstance(thing, dict):
        x0, y0, x1, y1 = thing["seen"]
        words += (
            f", object {'found' if thing['found'] else 'given'} at the {thing['place']}: {x1 - x0} x {y1 - y0} pixels"
        )
        words += f" from ({x0}, {y0}), {100 * thing['share']:.0f} % of the picture"
    words += text_in_words(report.get("text"))
    notes = report["notes"]
    remarks = "".join(f"; {note}" for note in notes) if isinstance(notes, list) else ""
    return f"{report['input']} -> {report['output']}{words}, {report['seconds']} s{remarks}"
