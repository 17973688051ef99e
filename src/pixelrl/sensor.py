"""Raw data of cameras, cleaned: on the sensor's own pixels before they are developed, and on the developed picture.

Before it is developed, the noise is what the sensor made: of photons and of reading them out, white, and the same for
all pixels but for their brightness. So the four planes of the mosaic, each of one colour, are grey pictures for
``poisson-gaussian-gray``, which works on values in which that noise has one level. But a plane has half the detail, and
knows nothing of the other colours, which a policy for developed pictures sees together. `clean_raw` takes the mean of
both results; ``docs/photographers.md`` has what each gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pixelrl.agent import Agent
from pixelrl.noise.poisson_gaussian import PoissonGaussian
from pixelrl.pictures.formats import Picture
from pixelrl.pictures.raw import Sensor, read_raw
from pixelrl.pictures.scale import Scale
from pixelrl.progress import Progress, part

PLANES, PHOTO = "poisson-gaussian-gray", "denoise-photo"
"""The policies for the planes of the mosaic, and for the developed picture."""


@dataclass(frozen=True, eq=False)
class Cleaned:
    """What became of the raw data of a camera.

    Attributes:
        picture: developed, of 16 bits.
        noise: of the sensor, for values from black to white as 0 to 1.
        sigma: root mean square of the noise that was seen in the developed picture, in 8-bit grey levels; None where
            that was not worked on.
        remark: what there is to say of it, or None.
    """

    picture: Picture
    noise: PoissonGaussian
    sigma: float | None
    remark: str | None

    @property
    def idle(self) -> bool:
        """Whether no noise was seen, so that the picture is as it was."""
        return self.noise.gain == self.noise.read == 0 and not self.sigma


def clean_raw(
    sensor: Sensor,
    planes: Agent,
    photo: Agent | None,
    given: Mapping[str, float] | None = None,
    steps: int | None = None,
    ensemble: bool = False,
    progress: Progress | None = None,
) -> Cleaned:
    """Take the noise from the raw data of a camera, and develop them.

    Args:
        sensor: what the sensor saw.
        planes: a policy for grey pictures with the noise of photons.
        photo: a policy for developed pictures, for the mean of both ways; None for the planes alone.
        given: of ``gain``, ``read`` and ``offset``, as in `pixelrl.noise.poisson_gaussian.PoissonGaussian`, what is
            known; the rest is estimated, but for the offset, which is 0, as files say what black is.
        steps: T; None for as many as each policy was trained for.
        ensemble: whether each policy works on the mirrored and turned picture, too (`Agent.ensemble`).
        progress: called with the share of the work that is done.

    Raises:
        InputError: the file is damaged.
        UsageError: a number that is none.
    """
    unit, seen = Scale(0.0, 1.0), list(sensor.planes())
    told = {"offset": 0.0, **(given or {})}
    share = 1 if photo is None else 2
    within, values = part(progress, 0, share), None
    if ensemble:
        results, values = planes.ensemble(seen, steps=steps, condition=told, white=unit, progress=within)
    else:
        # No maps are shown, so the policies are told to give the best picture.
        result = planes(seen, steps=steps, condition=told, white=unit, progress=within, legibility=_best(planes))
        results, values = result.image, dict(result.condition)
    picture = sensor.developed(np.stack(results))
    noise = PoissonGaussian(values["gain"], values["read"], values["offset"])
    if photo is None:
        return Cleaned(picture, noise, None, None)
    pixels, white = read_raw(sensor.data, sensor.mosaic.size).pixels, Scale.full("uint16")
    within, other = part(progress, 1, share), pixels
    if ensemble:
        other, values = photo.ensemble(pixels, steps=steps, white=white, progress=within)
        remark = photo.remark(pixels, white, values)
    else:
        after = photo(pixels, steps=steps, white=white, progress=within, legibility=_best(photo))
        other, values, remark = after.image, dict(after.condition), after.remark
    return Cleaned(replace(picture, pixels=_mean(picture.pixels, other)), noise, values.get("sigma"), remark)


def _best(agent: Agent) -> float | None:
    return 0.0 if agent.legible else None


def _mean(one: npt.NDArray[np.generic], other: npt.NDArray[np.generic]) -> npt.NDArray[np.uint16]:
    both: npt.NDArray[np.uint16] = ((one.astype(np.uint32) + other.astype(np.uint32) + 1) // 2).astype(np.uint16)
    return both
