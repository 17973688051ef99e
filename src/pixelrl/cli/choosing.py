"""Who works on a picture, or on pictures that have everything in common, and what that policy is told."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import median, mode
from typing import TYPE_CHECKING, Any

from pixelrl.cli.options import Settings, Work

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pixelrl.agent import Agent
    from pixelrl.auto import Choice
    from pixelrl.pictures.scale import Scale
    from pixelrl.result import Result

    Pixels = npt.NDArray[np.generic]

Report = dict[str, object]


@dataclass(frozen=True)
class Chosen:
    """Who works, and what is known already.

    Attributes:
        agent: the policy.
        tell: what it is told, by name, in shares of white where numbers count values.
        whole: whether ``tell`` is all that it is told; else what is left out is to be estimated.
        peak: of Poisson noise, what people know instead of ``tell``; None if that says it.
        choice: by the noise that was seen, where that decided.
        result: what the policy made of the one picture without edits, if it was asked for just that to choose it.
    """

    agent: Agent
    tell: dict[str, float]
    whole: bool = False
    peak: float | None = None
    choice: Choice | None = None
    result: Result[Any] | None = None

    @property
    def seen(self) -> Report:
        """The noise that was seen and why the policy was chosen, for reports; empty if that did not decide."""
        if self.choice is None:
            return {}
        return {"noise": {**self.choice.noise.as_dict(), "words": self.choice.words}, "why": self.choice.why}


def chosen_for(pictures: Sequence[Pixels], scale: Scale, units: Scale, work: Work, settings: Settings) -> Chosen:
    """Who works on pictures of one size and kind, by what was said, or else by what most of them show.

    Args:
        pictures: ``(h, w)``, ``(h, w, 2)`` with alpha, ``(h, w, 3)`` or ``(h, w, 4)``.
        scale: which of their values are black and white.
        units: in which the numbers were given.
        work: the options.
        settings: the command's.

    Raises:
        InputError: no pictures, or with values that are not finite.
    """
    from pixelrl.auto import choose, choose_by_peak, choose_by_text, most, shown_in_colour

    given = settings.given
    if settings.by_noise:
        choice = most([choose(pixels, scale) for pixels in pictures])
        return Chosen(settings.agent(choice.policy, work), dict(choice.told), whole=True, choice=choice)
    if settings.by_peak:
        peaks = [given["peak"]] if "peak" in given else [choose_by_peak(pixels, scale)[2] for pixels in pictures]
        first = next((each for each in pictures if shown_in_colour(each, scale)), pictures[0])
        policy, tell, peak = choose_by_peak(first, scale, median(peaks))
        return Chosen(settings.agent(policy, work), tell, whole=True, peak=peak)
    colours = pictures[0].ndim == 3 and pictures[0].shape[2] > 2
    if colours and not settings.by_text:
        colours = any(shown_in_colour(pixels, scale) for pixels in pictures)
    policy, result = settings.policies[colours], None
    if settings.by_text and not colours:
        chosen = [choose_by_text([pixels], scale, lambda name: settings.agent(name, work)) for pixels in pictures]
        policy = mode(one.policy for one in chosen)
        asked = work.legibility == 0 and work.steps is None and not work.ensemble
        result = chosen[0].result if asked and len(chosen) == 1 else None
    agent = settings.agent(policy, work)
    return Chosen(agent, agent.conditioning.in_shares(given, units), result=result)


def estimated_names(agent: Agent, told: Iterable[str], given: Collection[str]) -> list[str]:
    """Which of the numbers that a policy is told, by name, nobody gave and have no default."""
    usual = [quantity.name for quantity in agent.conditioning.quantities if quantity.default is not None]
    return [name for name in told if name not in given and name not in usual]


def doubts(picture: Pixels, scale: Scale, agent: Agent, settings: Settings) -> str | None:
    """A sentence if salt & pepper is seen though a number alone said that the noise is of another kind, else None.

    Args:
        picture: as for `chosen_for`.
        scale: which of its values are black and white.
        agent: who works on it.
        settings: the command's.
    """
    if not settings.implied_by:
        return None
    from pixelrl.imaging.noise import covered
    from pixelrl.imaging.specks import SPECKS, salt_and_pepper
    from pixelrl.pictures.arrays import unpack

    unpacked = unpack(picture, scale)
    if not salt_and_pepper(covered(unpacked.tensor, unpacked.opacity)):
        return None
    options = " and ".join(settings.implied_by)
    return f"{SPECKS}; because of {options} {agent.name} was taken, which does not fill them; leave {options} out"
