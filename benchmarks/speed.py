"""Time against quality: the shipped policies beside other denoisers, on pictures of 481x321 with noise of sigma 25.

Rounds are repeated in one process, in turn, so that what else the machine does falls on all alike; `contestants` says
which networks are trained. Writes docs/speed.json, docs/speed.png and the tables of docs/benchmarks.md.

    python benchmarks/speed.py [--data DATA] [--threads 1 2] [--rounds 3]

DATA holds gray/test and color/test, the pictures of BSD68 and CBSD68: then the PSNR of the policies is measured, by as
many processes as there are cores, which takes longer than all the rest. Else it is taken from docs/speed.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `import pixelrl` sets it, which comes after PyTorch here

import cv2
import torch
from contestants import SIGMA, Contestant, colour, grey
from pages import DOCS, table, write_section
from speed_plot import draw
from torch.utils.flop_counter import FlopCounterMode

from pixelrl.actions import ActionSet
from pixelrl.agent import Agent
from pixelrl.evaluate import evaluate
from pixelrl.imaging.color import to_space
from pixelrl.pictures.atomic import written_whole
from pixelrl.rollout import Actor, episode
from pixelrl.tasks import build_task

HEIGHT, WIDTH = 321, 481
SLOW, SLOW_ROUNDS = 4.0, 2
"""What takes longer than so many seconds is timed in so many rounds only."""
Measured = dict[str, dict[str, Any]]


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@torch.no_grad()
def multiply_adds(run: Callable[[], object], pixels: int) -> float:
    """Multiply-adds of all convolutions and matrix products in ``run``, in millions per pixel."""
    with FlopCounterMode(display=False) as counted:
        run()
    return counted.get_total_flops() / 2e6 / pixels


def parts_of(rows: Sequence[Contestant], image: torch.Tensor) -> list[torch.Tensor]:
    """What each contestant is timed on."""
    return [image if row.crop is None else image[..., : row.crop, : row.crop].contiguous() for row in rows]


def counted(rows: Sequence[Contestant], image: torch.Tensor) -> list[float]:
    """`multiply_adds` of every contestant. All have run once then, too, and are warm."""
    return [
        multiply_adds(lambda r=row, x=each: r.run(x), each[0, 0].numel())
        for row, each in zip(rows, parts_of(rows, image), strict=True)
    ]


@torch.no_grad()
def timed(rows: Sequence[Contestant], image: torch.Tensor, rounds: int) -> list[tuple[float, float]]:
    """For every contestant the median of seconds per picture, and of their ratio to the first one's in a round."""
    images = parts_of(rows, image)
    scale = [image.numel() / each.numel() for each in images]
    taken: list[list[float]] = [[] for _ in rows]
    for _ in range(rounds):
        for row, each, factor, own in zip(rows, images, scale, taken, strict=True):
            if len(own) < SLOW_ROUNDS or statistics.median(own) < SLOW:
                own.append(factor * seconds(lambda r=row, x=each: r.run(x)))
    medians = [statistics.median(own) for own in taken]
    ratios = [statistics.median(a / b for a, b in zip(own, taken[0], strict=False)) for own in taken]
    return list(zip(medians, ratios, strict=True))


def psnr(row: Contestant, pictures: Path) -> float:
    """Of a policy, in dB, the mean over a folder of clean pictures."""
    assert row.policy is not None
    agent, told = row.policy
    task, workers = build_task("gaussian-denoising", {}), os.cpu_count() or 1
    scores = evaluate(agent, pictures, task, SIGMA, legibility=told, workers=workers)
    return statistics.mean(score.after for score in scores)


def key(kind: str, row: Contestant) -> str:
    """What a row is called in the file: some methods have one for grey and one for colour."""
    return f"{kind}: {row.name}, {row.setting}"


def compared(kind: str, rows: Sequence[Contestant], threads: Sequence[int], results: Measured) -> str:
    """The table of docs/benchmarks.md."""
    header = ["denoiser", "", "multiply-adds per pixel", "PSNR, dB"]
    header += [f"s, {n} thread{'s' * (n > 1)}" for n in threads] + ["times the first"]
    lines = []
    for row in rows:
        found = results[key(kind, row)]
        level = "-" if found["psnr"] is None else f"{found['psnr']:.2f} ({row.source})"
        work = f"{found['multiply_adds']:.3f} M" if found["multiply_adds"] else "-"
        spent = [f"{found['seconds'][str(n)]:.2f}" for n in threads]
        lines.append([row.name, row.setting, work, level, *spent, f"{found['ratio']:.2f}"])
    return table(header, lines)


@torch.no_grad()
def parts(agent: Agent, image: torch.Tensor, condition: torch.Tensor, told: float) -> dict[str, float]:
    """Seconds of each part of one episode."""
    spent = {"encoder (once)": 0.0, "operations": 0.0, "step network and choice": 0.0, "selection": 0.0}

    class Clocked(ActionSet):
        def outcomes(self, image: torch.Tensor) -> torch.Tensor:
            began = time.perf_counter()
            result = super().outcomes(image)
            spent["operations"] += time.perf_counter() - began
            return result

        def select(self, outcomes: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            began = time.perf_counter()
            result = super().select(outcomes, actions)
            spent["selection"] += time.perf_counter() - began
            return result

    image = to_space(image, agent.card.space)
    began = time.perf_counter()
    memory = agent.policy.told(agent.policy.perceive(image, condition), told)
    spent["encoder (once)"] = time.perf_counter() - began
    actor = Actor(agent.policy, None, memory)

    def act(t: int, image: torch.Tensor, outcomes: torch.Tensor) -> Any:
        began = time.perf_counter()
        decision = actor(t, image, outcomes)
        spent["step network and choice"] += time.perf_counter() - began
        return decision

    for _ in episode(image, Clocked(agent.actions.names), act, agent.card.num_steps):
        pass
    return spent


def shares(agent: Agent, image: torch.Tensor, rounds: int) -> str:
    """A table of the parts at both legibilities."""
    default, condition = agent.legibility, torch.full((1, 1, 1, 1), SIGMA / 255)
    assert default is not None
    columns = {told: [parts(agent, image, condition, told) for _ in range(rounds)] for told in (default, 0.0)}
    lines = []
    for name in columns[default][0]:
        spent = [1000 * statistics.median(each[name] for each in column) for column in columns.values()]
        lines.append([name, *(f"{one:.0f}" for one in spent)])
    return table([f"part of {agent.name}", f"ms, legibility {default:g}", "ms, legibility 0"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    file = DOCS / "speed.json"
    before: Measured = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    results: Measured = {}
    text = [
        f"Pictures of {WIDTH}x{HEIGHT} with noise of sigma {SIGMA}, medians of {options.rounds} rounds in one process "
        f"(of {SLOW_ROUNDS} for what takes more than {SLOW:g} s), PyTorch {torch.__version__.split('+')[0]}, "
        f"{platform.machine()}. The last column is for {options.threads[0]} thread{'s' * (options.threads[0] > 1)}.",
        "![Time against PSNR](speed.png)",
    ]
    for kind, rows in (("gray", grey()), ("color", colour())):
        channels = 1 if kind == "gray" else 3
        image = torch.rand((1, channels, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(0))
        for row in rows:
            level = row.psnr if row.policy is None else before.get(key(kind, row), {}).get("psnr")
            if row.policy is not None and row.compared and options.data is not None:
                level = psnr(row, options.data / kind / "test")
            results[key(kind, row)] = {"kind": kind, "psnr": level, "source": row.source, "seconds": {}}
        for number in options.threads:
            torch.set_num_threads(number)
            cv2.setNumThreads(number)
            if number == options.threads[0]:
                for row, count in zip(rows, counted(rows, image), strict=True):
                    results[key(kind, row)]["multiply_adds"] = count
            for row, (median, ratio) in zip(rows, timed(rows, image, options.rounds), strict=True):
                results[key(kind, row)]["seconds"][str(number)] = median
                results[key(kind, row)].setdefault("ratio", ratio)
        torch.set_num_threads(options.threads[0])
        cv2.setNumThreads(options.threads[0])
        assert rows[0].policy is not None
        text += [compared(kind, rows, options.threads, results), shares(rows[0].policy[0], image, options.rounds)]
    with written_whole(file) as temporary:
        temporary.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draw(results, DOCS / "speed.png", options.threads[0])
    write_section("benchmarks.md", "speed", "\n\n".join(text))


if __name__ == "__main__":
    main()
