"""Tasks: degradation, reward, actions. They know no network."""

from __future__ import annotations

from pixelrl.errors import UsageError
from pixelrl.imaging.color import OPPONENT
from pixelrl.plugins import resolve_class
from pixelrl.tasks.base import Episode, Task
from pixelrl.tasks.camera import CameraDenoising
from pixelrl.tasks.conditioning import CONDITIONINGS, Conditioning, Quantity, find_conditioning
from pixelrl.tasks.denoising import GaussianDenoising, PoissonDenoising, SaltPepperDenoising
from pixelrl.tasks.enhancement import ColorEnhancement
from pixelrl.tasks.opponent import InOpponentColours
from pixelrl.tasks.restoration import TextRemoval
from pixelrl.tasks.rewarded import Rewarded
from pixelrl.tasks.saliency import SaliencyEditing
from pixelrl.validation import brief, check_arguments, is_word

__all__ = [
    "CONDITIONINGS",
    "TASKS",
    "CameraDenoising",
    "ColorEnhancement",
    "Conditioning",
    "Episode",
    "GaussianDenoising",
    "InOpponentColours",
    "PoissonDenoising",
    "Quantity",
    "Rewarded",
    "SaliencyEditing",
    "SaltPepperDenoising",
    "Task",
    "TextRemoval",
    "build_task",
    "find_conditioning",
]

TASKS: dict[str, type[Task]] = {
    "gaussian-denoising": GaussianDenoising,
    "poisson-denoising": PoissonDenoising,
    "saltpepper-denoising": SaltPepperDenoising,
    "text-removal": TextRemoval,
    "color-enhancement": ColorEnhancement,
    "saliency-editing": SaliencyEditing,
    "camera-denoising": CameraDenoising,
    "rewarded": Rewarded,
}


def build_task(kind: str, arguments: dict[str, object]) -> Task:
    """Make a task of a recipe: a name in `TASKS`, or ``module:Class`` for a task of the user's own.

    With ``space = "opponent"`` among the arguments, its agents work on opponent colours (`InOpponentColours`); ``srgb``
    is what a task works on by itself.

    Raises:
        UsageError: unknown kind, or arguments that it does not take.
    """
    if "space" in arguments:
        others = {key: value for key, value in arguments.items() if key != "space"}
        if is_word(arguments["space"], (OPPONENT,)):
            return InOpponentColours(build_task(kind, others))
        if not is_word(arguments["space"], ("srgb",)):
            raise UsageError(f"task.space = {brief(arguments['space'])} is unknown; give 'srgb' or {OPPONENT!r}")
        return build_task(kind, others)
    task_class = resolve_class(kind, TASKS, Task, "task", may_import=True)
    check_arguments(task_class, arguments, "task", others=["space"])
    try:
        return task_class(**arguments)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"task {kind!r} cannot be built: {error}") from error
