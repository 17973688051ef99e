"""What the shipped policies do, in the words of people who take photographs."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """A title for the list of tasks, and what the task is for, in one line."""

    title: str
    about: str


_WORDS = {
    "noise-as-seen": Words(
        "Remove noise as seen", "Looks which noise the picture has, and takes the task below that is for it."
    ),
    "denoise-photo": Words("Clean a photograph", "Removes the noise that cameras and their files leave."),
    "denoise": Words("Remove noise", "Smooths the grain of high sensitivities; edges and detail stay."),
    "poisson": Words("Remove noise of low light", "Smooths grain that is stronger where the picture is brighter."),
    "poisson-gaussian": Words(
        "Remove noise of sensors", "For microscopes and raw data: smooths the noise of photons and of reading them out."
    ),
    "saltpepper": Words(
        "Remove specks", "Fills black and white specks, as of defective pixels, from what surrounds them."
    ),
    "text-as-seen": Words("Remove text", "Looks for letters, and fills them by the policy that is best at such."),
    "restore": Words("Remove text", "Fills letters that lie over a picture from what surrounds them."),
    "enhance-foreground-popout": Words(
        "Look: foreground pop-out", "Lets what is in front stand out in tone and colour."
    ),
    "enhance-local-xpro": Words(
        "Look: local cross-process", "The strong tones of cross-processed film, place by place."
    ),
    "enhance-watercolor": Words("Look: watercolour", "Flat and bright, as if painted."),
    "readable-code": Words("Make a code readable", "Lets damaged QR and bar codes be read again."),
    "saliency-edit": Words("Draw the eye", "Lets an object stand out more, or less, from what surrounds it."),
}


def place(policy: str) -> int:
    """Where a policy stands in the list of tasks: the more is done to a picture the later, unknown ones at the end."""
    return list(_WORDS).index(task) if (task := _task(policy)) in _WORDS else len(_WORDS)


def words(policy: str) -> Words:
    """Title and explanation of a policy; of one that is not known here, its name."""
    return _WORDS.get(_task(policy)) or Words(policy.replace("-", " "), "")


def _task(policy: str) -> str:
    return policy.removesuffix("-gray").removesuffix("-color")


def time_left(seconds: float) -> str:
    """How long work will still take, in words that do not pretend to know it exactly."""
    if seconds < 8:
        return "a few seconds left"
    if seconds < 55:
        return f"about {5 * round(seconds / 5)} s left"
    minutes = round(seconds / 60)
    return f"about {minutes} min left" if minutes > 1 else "about a minute left"
