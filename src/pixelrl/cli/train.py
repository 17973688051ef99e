"""``pixelrl train``: a policy from a recipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixelrl.cli.common import DEVICE_OPTION, EXIT_INTERRUPTED, PATH, THREADS_OPTION, Finite, complain, set_threads
from pixelrl.cli.outputs import check_folder
from pixelrl.errors import UsageError

if TYPE_CHECKING:
    from pixelrl.training.trainer import Trainer


@click.command()
@click.argument("recipe", type=PATH, required=False)
@click.option("-o", "--output", type=PATH, help="Folder of the run: policy, state, log and curves.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value of the recipe.")
@click.option("--minutes", type=Finite(min=0, min_open=True), help="Stop after so long, resumable.")
@click.option("--resume", is_flag=True, help="Go on with the run in the folder, which remembers its recipe.")
@click.option("--tensorboard", is_flag=True, help="Also write TensorBoard events into the folder.")
@click.option("--log-every", type=click.IntRange(min=1), default=100, show_default=True, help="Iterations.")
@click.option(
    "--validate-every", type=click.IntRange(min=1), default=2000, show_default=True, help="Iterations; then it saves."
)
@DEVICE_OPTION
@THREADS_OPTION
def train(
    recipe: Path | None,
    output: Path | None,
    overrides: tuple[str, ...],
    minutes: float | None,
    resume: bool,
    tensorboard: bool,
    log_every: int,
    validate_every: int,
    device: str,
    threads: int | None,
) -> int:
    """Train a policy from a RECIPE: a TOML file, or the name of a shipped one, for instance denoise-gray.

    The folder gets the policy, the state to go on from, the log, and in the end (or when it is stopped) its curves as a
    picture, curves.png.

    Ctrl-C and --minutes stop after the iteration at hand with a checkpoint, from which --resume goes on exactly: give
    the folder of the run instead of a RECIPE (pixelrl train --resume FOLDER). --set may then change the phases.
    On several GPUs: torchrun --nproc-per-node N -m pixelrl train RECIPE ...
    """
    from pixelrl.training.recipe import read_recipe
    from pixelrl.training.shipped import find_recipe

    if resume and recipe is not None and os.path.isdir(recipe):
        if output is not None and output != recipe:
            raise UsageError(f"{recipe} and {output} are two folders; --resume goes on with one run")
        recipe, output = None, recipe
    if output is None or (recipe is None and not resume):
        raise UsageError("give a RECIPE and -o FOLDER, or --resume FOLDER to go on with a run")
    check_folder(output)
    plan = None if recipe is None else read_recipe(find_recipe(recipe), overrides)

    from pixelrl.agent import choose_device
    from pixelrl.training.parallel import joined, own_device
    from pixelrl.training.state import recipe_of
    from pixelrl.training.trainer import POLICY_FILE, STATE_FILE, Trainer

    if plan is None:
        plan = recipe_of(output / STATE_FILE, overrides)
    if not resume and os.path.exists(output / STATE_FILE):
        raise UsageError(f"{output} holds a training already; give --resume to go on with it, or another folder")
    set_threads(threads)
    place = own_device(choose_device(device))
    with joined(place) as processes:
        trainer = Trainer(plan, output, place, log_every, validate_every, processes)
        changed = trainer.resume() if resume else []
        if changed and processes.first:
            complain(f"going on with another {' and another '.join(changed)} than {output} was trained with so far")
        for initial, names in trainer.left_out.items() if processes.first and not resume else ():
            complain(f"{initial} has weights that this policy has no place for; they are left out: {_listed(names)}")
        try:
            finished = _run(trainer, minutes, tensorboard)
        except UsageError:  # it diverged: where that began is to be seen
            _draw(processes.first, output)
            raise
    _draw(processes.first, output)
    if processes.first and finished:
        click.echo(str(output / POLICY_FILE))
    elif processes.first:
        complain(
            f"stopped at iteration {trainer.iteration} of {plan.iterations}; "
            f"pixelrl train --resume {output} goes on from there"
        )
    return 0 if finished or not trainer.interrupted else EXIT_INTERRUPTED


def _listed(names: list[str], most: int = 6) -> str:
    """Names of weights, the first few of them where they are many."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _draw(first: bool, folder: Path) -> None:
    """Draw the curves of a run. What is in the way of that is said, and ends nothing."""
    from pixelrl.training.curves import CURVES_FILE, draw_curves

    if not first:
        return
    try:
        draw_curves(folder)
    except ImportError:
        complain(f'{CURVES_FILE} is not drawn, for Matplotlib is not installed: pip install "pixelrl[plot]"')
    except OSError as error:
        complain(f"{folder / CURVES_FILE} cannot be written: {error.strerror}")


def _run(trainer: Trainer, minutes: float | None, tensorboard: bool) -> bool:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as ProgressBar

    from pixelrl.training.trainer import Progress

    if not trainer.processes.first:
        return trainer.run(minutes)
    console = Console(stderr=True)
    columns = (TextColumn("{task.completed}/{task.total}"), BarColumn(), TextColumn("{task.description}"))
    with ProgressBar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=trainer.recipe.iterations)

        def report(progress: Progress) -> None:
            words = [progress.phase, f"{progress.iterations_per_second:.1f} steps/s"]
            words += [
                f"{key} {progress.logged[key]:.4g}" for key in ("estimate_loss", "reward") if key in progress.logged
            ]
            if progress.score is not None:
                words.append(f"validation {progress.score:.2f}")
            words.append(f"{progress.seconds_left / 60:.0f} min left")
            bar.update(task, completed=progress.iteration, description=", ".join(words))
            if not console.is_terminal and progress.iteration % 1000 == 0:
                click.echo(f"{progress.iteration}/{progress.iterations} {', '.join(words)}", err=True)

        return trainer.run(minutes, report, tensorboard)
