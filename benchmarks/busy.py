"""Seconds per picture with one and two threads, on idle cores and while other programs keep all of them busy.

Each setting runs in a process of its own, as OpenMP reads how threads are to wait when PyTorch loads; processes take
turns. Writes a table of docs/benchmarks.md: a small grey picture, and in one round a colour one of two megapixels, at
the default legibility and at 0, with the peak of memory and a check that all bits are equal.

    python benchmarks/busy.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from pages import table, write_section

SMALL, LARGE = ("denoise-gray", 96, 96), ("denoise-color", 1080, 1920)
SETTINGS = {  # threads, and whether those of OpenMP burn their cores while they wait
    "1": (1, False),
    "2": (2, False),
    "2, waiting as PyTorch comes": (2, True),
}


def serve(policy: str, height: int, width: int, threads: int) -> None:
    """What a process does: a picture for every line, which says the legibility."""
    import pixelrl  # noqa: I001  # before PyTorch
    import cv2
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    agent = pixelrl.load(policy, "cpu")
    shape = (1, agent.num_channels, height, width)
    image, level = torch.rand(shape, generator=torch.Generator().manual_seed(0)), torch.full((1, 1, 1, 1), 25 / 255)
    agent.run(image, level, legibility=0)
    print("ready", flush=True)
    for line in sys.stdin:
        began, used = time.perf_counter(), time.process_time()
        _, final = agent.run(image, level, legibility=None if line.strip() == "default" else float(line))
        seconds, processor = time.perf_counter() - began, time.process_time() - used
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        bits = hashlib.sha256(final.numpy().tobytes()).hexdigest()
        print(json.dumps([seconds, processor, peak, bits]), flush=True)


def start(policy: str, height: int, width: int, threads: int, burning: bool) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    environment["OMP_WAIT_POLICY"] = "PASSIVE"
    if burning:
        environment["GOMP_SPINCOUNT"] = "300000"  # GNU's OpenMP's own, and it comes before the policy
    command = [sys.executable, str(Path(__file__)), "--serve", policy, str(height), str(width), str(threads)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def ask(process: subprocess.Popen[str], legibility: str) -> list[float | str]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{legibility}\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve[0], *map(int, options.serve[1:]))
        return
    lines: list[list[str]] = []
    for picture, rounds in ((SMALL, options.rounds), (LARGE, 1)):
        # The way of waiting is of no use where it takes minutes.
        settings = {name: told for name, told in SETTINGS.items() if picture is SMALL or not told[1]}
        servers = {name: start(*picture, *told) for name, told in settings.items()}
        try:
            for legibility in ("default", "0"):
                lines += measured(picture, legibility, servers, rounds)
        finally:
            for process in servers.values():
                process.kill()
    header = ["picture", "legibility", "threads", "s, idle", "s, busy", "s of a processor, busy", "peak, GB", "bits"]
    write_section("benchmarks.md", "busy", table(header, lines))


def measured(
    picture: tuple[str, int, int], legibility: str, servers: dict[str, subprocess.Popen[str]], rounds: int
) -> list[list[str]]:
    """Lines of the table."""
    found: dict[str, list[list[list[float | str]]]] = {name: [] for name in servers}
    for busy in (False, True):
        load = [subprocess.Popen(["yes"], stdout=subprocess.DEVNULL) for _ in range(os.cpu_count() or 1) if busy]
        try:
            taken: dict[str, list[list[float | str]]] = {name: [] for name in servers}
            for _ in range(rounds):
                for name, process in servers.items():
                    taken[name].append(ask(process, legibility))
        finally:
            for process in load:
                process.kill()
        for name, each in taken.items():
            found[name].append(each)
    lines = []
    first = found["1"][0][0][3]
    for name, (idle, busy) in found.items():
        seconds = [statistics.median(float(each[0]) for each in column) for column in (idle, busy)]
        processor = statistics.median(float(each[1]) for each in busy)
        equal = "equal" if all(each[3] == first for each in (*idle, *busy)) else "DIFFERENT"
        peak = max(float(each[2]) for each in (*idle, *busy))
        policy, height, width = picture
        numbers = [f"{each:.2f}" for each in (*seconds, processor, peak)]
        lines.append([f"{policy}, {width}x{height}", legibility, name, *numbers, equal])
    return lines


if __name__ == "__main__":
    main()
