"""``pixelrl evaluate``: how good a policy is."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixelrl.cli.common import (
    DEVICE_OPTION,
    LEGIBILITY_OPTION,
    PATH,
    PRECISION_OPTION,
    THREADS_OPTION,
    WORKERS_OPTION,
    set_threads,
)
from pixelrl.cli.outputs import check_apart, check_place, make_folder
from pixelrl.errors import UsageError
from pixelrl.pictures.atomic import written_whole
from pixelrl.policy_files import find_policy

if TYPE_CHECKING:
    from pixelrl.evaluate import Score

TASK_OF = {
    "gaussian": "gaussian-denoising",
    "poisson": "poisson-denoising",
    "saltpepper": "saltpepper-denoising",
    "text": "text-removal",
}
"""The task that undoes what an option of ``evaluate`` is about."""


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
        if folder is not None and not os.path.isdir(folder):
            raise UsageError(f"{option} {folder} is not a folder; give a folder of pictures")
    if json_file is not None:
        check_place(json_file, overwrite=overwrite, option="--json")
        check_apart([("--json", json_file)], [("the policy", find_policy(policy))])
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
