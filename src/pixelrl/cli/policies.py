"""``pixelrl train``, ``evaluate``, ``import`` and ``policies``: make policies and measure them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixelrl.cli.common import (
    DEVICE_OPTION,
    EXIT_INTERRUPTED,
    LEGIBILITY_OPTION,
    PATH,
    PRECISION_OPTION,
    THREADS_OPTION,
    WORKERS_OPTION,
    check_file,
    complain,
    set_threads,
)
from pixelrl.cli.outputs import check_folder, check_place, make_folder
from pixelrl.errors import UsageError
from pixelrl.pictures.atomic import written_whole
from pixelrl.policy_files import About, about_policies, find_policy, read_header, shipped_policies

if TYPE_CHECKING:
    from pixelrl.evaluate import Score
    from pixelrl.training.trainer import Trainer

TASK_OF = {
    "gaussian": "gaussian-denoising",
    "poisson": "poisson-denoising",
    "saltpepper": "saltpepper-denoising",
    "text": "text-removal",
}
"""The task that undoes what an option of ``evaluate`` is about."""


@click.command()
@click.argument("recipe", type=PATH, required=False)
@click.option("-o", "--output", type=PATH, help="Folder of the run: policy, state, log and curves.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value of the recipe.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after so long, resumable.")
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

    if minutes is not None and math.isnan(minutes):
        raise UsageError("--minutes nan is not a time; give a number above 0")
    if resume and recipe is not None and recipe.is_dir():
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
    if not resume and (output / STATE_FILE).exists():
        raise UsageError(f"{output} holds a training already; give --resume to go on with it, or another folder")
    set_threads(threads)
    place = own_device(choose_device(device))
    with joined(place) as processes:
        trainer = Trainer(plan, output, place, log_every, validate_every, processes)
        changed = trainer.resume() if resume else []
        if changed and processes.first:
            complain(f"going on with another {' and another '.join(changed)} than {output} was trained with so far")
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


@click.command()
@click.argument("policy")
@click.option("--data", required=True, type=PATH, help="Folder of clean pictures.")
@click.option("--sigma", type=click.FloatRange(min=0), help="Gaussian noise of so many grey levels.")
@click.option("--peak", type=click.FloatRange(min=0, min_open=True), help="Poisson noise: photons at white.")
@click.option("--density", type=click.FloatRange(0, 1), help="Salt & pepper noise on this share of the pixels.")
@click.option("--letters", type=click.FloatRange(min=6), help="Text with letters of so many pixels.")
@click.option("--task", "kind", metavar="KIND", help="Another task, as recipes name it, with its own metric.")
@click.option("--level", type=float, help="With --task: how strongly it degrades, or the strength of saliency-editing.")
@click.option("--degraded", type=PATH, help="Folder of partners of the same names, as they were before.")
@click.option("--ensemble", is_flag=True, help="Mean of eight runs, mirrored and turned.")
@LEGIBILITY_OPTION
@click.option("--seed", type=int, default=0, show_default=True, help="Of the noise.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many pictures.")
@click.option("--json", "json_file", type=PATH, help="Also write everything to this file.")
@click.option("--overwrite", is_flag=True, help="Replace that file if it exists.")
@DEVICE_OPTION
@PRECISION_OPTION
@THREADS_OPTION
@WORKERS_OPTION
def evaluate(
    policy: str,
    data: Path,
    sigma: float | None,
    peak: float | None,
    density: float | None,
    letters: float | None,
    kind: str | None,
    level: float | None,
    degraded: Path | None,
    ensemble: bool,
    legibility: float | None,
    seed: int,
    limit: int | None,
    json_file: Path | None,
    overwrite: bool,
    device: str,
    precision: str,
    threads: int | None,
    workers: int | None,
) -> None:
    """Measure a POLICY (a shipped name or a file) by the paper's protocol.

    Noise is neither clipped nor quantised; every pixel takes its most likely action; for PSNR and SSIM the result is
    clipped and rounded to 8 bits. PSNR at peak 255; SSIM with an 11x11 Gaussian window of sigma 1.5; bits is what it
    takes to write down a pixel's operations when its neighbours' are known, 0 for one everywhere. With --task the
    measure is that task's own: for looks, give --task color-enhancement and the pictures before as --degraded.
    """
    if kind is None and level is not None:
        raise UsageError("--level is for --task; give both, or one of --sigma, --peak, --density and --letters")
    noises = {"gaussian": sigma, "poisson": peak, "saltpepper": density, "text": letters}
    given = [(noise, strength) for noise, strength in noises.items() if strength is not None]
    if kind is not None and degraded is None:
        if level is None:
            raise UsageError(f"--task {kind} needs --level, or --degraded where it is measured on pairs")
        given.append((kind, level))
    if len(given) + (degraded is not None) != 1:
        raise UsageError(
            "give one of --sigma, --peak, --density, --letters, --task and --degraded, to say what is to be undone"
        )
    if ensemble and legibility is not None:
        raise UsageError("--ensemble averages eight runs, which have no common maps; give it or --legibility")
    if workers is not None and threads is not None:
        raise UsageError("--workers measures in processes of one thread each, and --threads in this one; give one")
    if any(not math.isfinite(strength) for _, strength in given):
        raise UsageError(f"{given[0][1]} is not a strength of noise; give a finite number")
    for option, folder in (("--data", data), ("--degraded", degraded)):
        if folder is not None and not folder.is_dir():
            raise UsageError(f"{option} {folder} is not a folder; give a folder of pictures")
    if json_file is not None:
        check_place(json_file, overwrite=overwrite, option="--json")
    find_policy(policy)

    from pixelrl.agent import load
    from pixelrl.evaluate import evaluate as scores_of
    from pixelrl.evaluate import evaluate_pairs
    from pixelrl.tasks import build_task

    task = None if kind is None and not given else build_task(kind or TASK_OF[given[0][0]], {})
    set_threads(threads)
    agent = load(policy, device, precision)
    told = None if ensemble else agent.check_legibility(legibility)
    settings: dict[str, object] = {"ensemble": ensemble, "legibility": told, "precision": agent.precision}
    if degraded is not None:
        found = evaluate_pairs(agent, data, degraded, limit, ensemble, task, legibility, workers)
        settings |= {"degraded": degraded.name}
    else:
        assert task is not None
        noise, strength = given[0]
        found = scores_of(agent, data, task, strength, seed, limit, ensemble, legibility, workers)
        settings |= {"noise": noise, "level": strength, "seed": seed}
    scores: list[Score] = []
    for score in found:
        if not scores:
            if score.metric != "psnr":
                click.echo(f"input, result and estimate are measured as {score.metric}")
            click.echo(
                f"{'picture':24} {'input':>7} {'result':>7} {'SSIM':>7} {'estimate':>8} {'seconds':>8} {'bits':>6}"
            )
        scores.append(score)
        click.echo(_row(score.name, score))
    mean = _mean(scores)
    click.echo(_row(f"mean of {len(scores)}", mean))
    if json_file is not None:
        pictures = [each.as_dict() for each in scores]
        content = {"policy": agent.name, **settings, "mean": mean.as_dict(), "pictures": pictures}
        make_folder(json_file.parent)
        try:
            with written_whole(json_file) as temporary:
                temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{json_file} cannot be written: {error.strerror}") from error


def _row(name: str, score: Score) -> str:
    estimate = "-" if score.estimate is None else f"{score.estimate:.3f}"
    bits = "-" if score.bits_per_pixel is None else f"{score.bits_per_pixel:.2f}"
    numbers = f"{score.before:7.3f} {score.after:7.3f} {score.ssim:7.4f} {estimate:>8} {score.seconds:8.3f} {bits:>6}"
    return f"{name:24} {numbers}"


def _mean(scores: list[Score]) -> Score:
    from statistics import fmean

    from pixelrl.evaluate import Score

    estimates = [s.estimate for s in scores if s.estimate is not None]
    bits = [s.bits_per_pixel for s in scores if s.bits_per_pixel is not None]
    agreements = [s.agreement for s in scores if s.agreement is not None]
    return Score(
        "mean",
        scores[0].metric,
        fmean(s.before for s in scores),
        fmean(s.after for s in scores),
        fmean(s.ssim for s in scores),
        fmean(estimates) if estimates else None,
        fmean(s.seconds for s in scores),
        fmean(bits) if bits else None,
        tuple(fmean(step) for step in zip(*agreements, strict=True)) if agreements else None,
    )


@click.command("import")
@click.argument("weights", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The policy file to write (.safetensors).")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
def import_policy(weights: Path, output: Path, overwrite: bool) -> None:
    """Turn WEIGHTS (.npz) released by the paper's authors into a policy file."""
    check_place(output, overwrite=overwrite)
    check_file(weights, "weights", "a file of weights (.npz)")

    from pixelrl.checkpoint import save_policy
    from pixelrl.importers import import_chainer

    policy, card = import_chainer(weights)
    save_policy(output, policy, card)
    click.echo(str(output))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, with all numbers.")
def policies(as_json: bool) -> None:
    """List the shipped policies: what each is for, what it is told, and what was measured of it.

    Numbers are means over pictures that no policy was trained with, before and after; the tables that they are of stand
    in the documentation.
    """
    from dataclasses import asdict

    headers = {name: read_header(path, "policy") for name, path in shipped_policies().items()}
    about = about_policies()
    if as_json:
        keys = ("kind", "num_steps", "action_names", "condition")
        content = {name: {**asdict(about[name]), **{key: headers[name][key] for key in keys}} for name in headers}
        click.echo(json.dumps(content, indent=1))
        return
    click.echo(_table(headers, about))


def _table(headers: Mapping[str, Mapping[str, object]], about: Mapping[str, About]) -> str:
    """The policies as lines for a terminal, and below them the operations of each."""
    import io
    import sys

    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("policy", "for", "measured", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.columns[0].no_wrap = True
    uses: dict[tuple[str, ...], list[str]] = {}
    for name, header in headers.items():
        operations = header["action_names"]
        assert isinstance(operations, list)
        uses.setdefault(tuple(operations), []).append(name)
        quality = "\n".join(line for each in about[name].measured for line in (f"{each.what}:", *each.lines()))
        told = f"told: {about[name].told}\n" if about[name].told else ""
        table.add_row(name, f"{about[name].use}\n{told}{header['num_steps']} steps", quality)
        table.add_section()
    console = Console(file=io.StringIO(), force_terminal=sys.stdout.isatty(), highlight=False)
    if not console.is_terminal:
        console = Console(file=io.StringIO(), width=150, highlight=False)
    console.print(table)
    for operations, names in uses.items():
        console.print(f"{', '.join(names)}: {len(operations)} operations", style="bold")
        console.print(f"  {', '.join(operations)}\n")
    buffer = console.file
    assert isinstance(buffer, io.StringIO)
    return "\n".join(line.rstrip() for line in buffer.getvalue().rstrip().splitlines())
