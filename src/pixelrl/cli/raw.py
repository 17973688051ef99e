"""The raw data of a camera: cleaned before and after they are developed, and written as a picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pixelrl.cli.common import LEFT_ALONE
from pixelrl.cli.options import DEPTHS, Settings, Work
from pixelrl.cli.outputs import prepare, write_to
from pixelrl.cli.places import Job
from pixelrl.errors import InputError, UsageError

if TYPE_CHECKING:
    from pixelrl.edits import Edit
    from pixelrl.pictures.raw import Sensor

Report = dict[str, object]


def sensor_of(job: Job, data: bytes | None, settings: Settings) -> Sensor | None:
    """What a sensor saw, if the input is that, and nobody asked for a policy that works on developed pictures.

    Args:
        job: input and output.
        data: of standard input; None for files.
        settings: the command's.

    Raises:
        InputError: it cannot be read.
    """
    from pixelrl.pictures.raw import Sensor, is_raw

    if not is_raw(job.source if data is None else data):
        return None
    from pixelrl.sensor import PLANES  # with PyTorch, which a mistake in the other pictures need not wait for

    of_one_channel, _ = settings.policies  # as the planes of a mosaic are
    if not (settings.by_noise or of_one_channel == PLANES):
        return None
    try:
        return Sensor.of(job.source.read_bytes() if data is None else data)
    except OSError:  # whoever reads the picture says why
        return None
    except InputError as error:
        raise InputError(f"{job.name}: {error}") from error


def work_on_sensor(
    job: Job,
    sensor: Sensor,
    work: Work,
    settings: Settings,
    edits: Sequence[Edit],
    progress: Callable[[float], object],
) -> Report:
    """Clean raw data, develop them and write the picture: what happened, for people and for ``--json``.

    Raises:
        InputError: they are damaged.
        UsageError: the result cannot be written, or an option does not fit raw data.
    """
    from dataclasses import asdict

    import numpy as np

    from pixelrl.pictures.formats import Picture
    from pixelrl.pictures.scale import Scale
    from pixelrl.sensor import PHOTO, PLANES, clean_raw
    from pixelrl.threads import threads, worthwhile_threads

    for option, wanted in (("--trace", work.trace), ("--legibility", work.legibility), ("--edits", edits or None)):
        if wanted is not None:
            raise UsageError(
                f"{option} is for one policy, and raw data are cleaned by two, before and after they are developed; "
                f"give --policy {PHOTO} to work on the developed picture alone"
            )
    if work.white is not None:
        raise UsageError("--white cannot be used: raw data say themselves which value is white; leave it out")
    depth = "uint16" if work.depth is None else DEPTHS[work.depth]
    blank = Picture(np.broadcast_to(np.zeros((), depth), (*sensor.mosaic.shape, 3)))
    prepare(job.target, blank, work.quality, overwrite=work.overwrite)
    began, black = time.perf_counter(), float(sensor.black.mean())
    units = Scale(black, sensor.white)
    planes = settings.agent(PLANES, work)
    photo = settings.agent(PHOTO, work) if settings.by_noise else None
    given = settings.given
    with threads(work.threads or worthwhile_threads(sensor.mosaic.size)):
        try:
            done = clean_raw(
                sensor, planes, photo, planes.conditioning.in_shares(given, units), work.steps, work.ensemble, progress
            )
        except InputError as error:
            raise InputError(f"{job.name}: {error}") from error
    result = done.picture.with_dtype(depth)
    lost = write_to(job.target, result, work.kind or "png", work.quality, overwrite=work.overwrite)
    told = planes.conditioning.in_units(asdict(done.noise), units)
    told |= {} if done.sigma is None else {"sigma": done.sigma}
    how = "raw data, cleaned before they were developed" + (" and after, and the mean" if photo else "")
    notes = [how, *filter(None, [LEFT_ALONE if done.idle and not given else None, done.remark]), *lost]
    return {
        "input": str(job.source),
        "output": str(job.target),
        "policy": PLANES if photo is None else f"{PLANES} and {PHOTO}",
        **told,
        "condition": told,
        "estimated": [name for name in told if name not in given and name != "offset"],
        "steps": planes.card.num_steps if work.steps is None else work.steps,
        "legibility": None,
        "ensemble": work.ensemble,
        "precision": planes.precision,
        "seconds": round(time.perf_counter() - began, 3),
        "trace": None,
        "notes": notes,
    }
