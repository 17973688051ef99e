"""What a policy is told beside the picture: its conditioning, one class per kind.

A kind names the numbers that a person may give, estimates them where nobody does, and turns them into the planes that
the network sees. Everything else follows from that: what an `pixelrl.agent.Agent` takes, the controls of the studio,
and what a trace remembers.

A kind of your own is a subclass of `Conditioning`, set as `pixelrl.tasks.Task.conditioning`. It may have one number, or
several (gain and read noise), or none where the planes follow from the picture alone (a map of the noise).

`quantity` has the number that a person gives, `base` the class. A kind that is built in stands in a module of this
package by what it says of a picture, and in `CONDITIONINGS` below: `levels` (one number for all of the noise), `maps`
(a level for every pixel), `photons` (the noise of a sensor), `objects` (a mask).
"""

from __future__ import annotations

from pixelrl.plugins import resolve_class
from pixelrl.tasks.conditioning.base import CONDITIONINGS, Conditioning, Nothing, Values, check_condition, constant
from pixelrl.tasks.conditioning.levels import CLIPPED, SEEN, Peak, Sigma
from pixelrl.tasks.conditioning.maps import COARSER, LITTLE, SHARED, NoiseMap
from pixelrl.tasks.conditioning.objects import Strength
from pixelrl.tasks.conditioning.photons import PhotonNoise
from pixelrl.tasks.conditioning.quantity import Given, Quantity, is_auto

__all__ = [
    "CLIPPED",
    "COARSER",
    "CONDITIONINGS",
    "LITTLE",
    "SEEN",
    "SHARED",
    "Conditioning",
    "Given",
    "NoiseMap",
    "Nothing",
    "Peak",
    "PhotonNoise",
    "Quantity",
    "Sigma",
    "Strength",
    "Values",
    "check_condition",
    "constant",
    "find_conditioning",
    "is_auto",
]

CONDITIONINGS.update({kind.name: kind for kind in (Sigma, Peak, Strength, NoiseMap, PhotonNoise)})


def find_conditioning(reference: str | None) -> Conditioning:
    """The kind that a policy file names (`Conditioning.reference`); None for `Nothing`.

    Raises:
        UsageError: it is unknown, or of a module of the user's own that is not imported (`pixelrl.plugins`).
    """
    if reference is None:
        return Nothing()
    return resolve_class(reference, CONDITIONINGS, Conditioning, "conditioning", may_import=False)()
