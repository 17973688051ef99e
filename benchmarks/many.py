"""Many small pictures by one and two workers, and by dask: time, equal bits, and what is left when something is killed.

    python benchmarks/many.py [--pictures 2000] [--policy denoise-gray] [--times]

The pictures are made here: 96x64 values, soft shapes with white noise of sigma 25. Prints the tables of docs/many.md;
with ``--times`` nothing is killed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--policy", default="denoise-gray")
    parser.add_argument("--times", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "in", options.pictures)
        command = [sys.executable, "-m", "pixelrl", "denoise", str(folder / "in"), "--policy", options.policy]
        wanted = times([*command, "--sigma", "25"], folder, options.pictures)
        if not options.times:
            kills([*command, "--sigma", "25"], folder, wanted)


def make(folder: Path, number: int) -> None:
    folder.mkdir()
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:64, :96] / 32.0
    for index in range(number):
        a, b, c, d = generator.uniform(-3, 3, 4)
        clean = 128 + 60 * np.sin(a * x + b * y) + 50 * np.sign(np.sin(c * x + d * y + a))
        noisy = clean + generator.normal(0, 25, clean.shape)
        Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8)).save(folder / f"{index:05}.png")


def digest(folder: Path) -> dict[str, str]:
    """The hash of every file there, hidden ones, too."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def times(command: list[str], folder: Path, number: int) -> dict[str, str]:
    os.environ["DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED"] = "False"  # as docs/many.md recommends
    from distributed import LocalCluster

    print(f"{number} pictures of 96x64\n")
    print("| who | s | pictures / s | times one worker | s of CPU | bits | load before |")
    print("|---|---|---|---|---|---|---|")
    wanted: dict[str, str] = {}
    alone = 0.0
    for who, way in (
        ("this process, one thread", ["--threads", "1"]),
        ("1 worker", ["--workers", "1"]),
        ("2 workers", ["--workers", "2"]),
        ("dask, 2 workers, profiling off", ["--dask"]),
    ):
        output = folder / "-".join(way)
        load, before = os.getloadavg()[0], used()
        if way == ["--dask"]:
            with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster:
                seconds = timed([*command, "-o", str(output), *way, cluster.scheduler_address], output)
        else:
            seconds = timed([*command, "-o", str(output), *way], output)
        found = digest(output)
        wanted = wanted or found
        alone = alone or (seconds if way == ["--workers", "1"] else 0.0)
        gain = f"{alone / seconds:.2f}" if alone else ""
        equal = "equal" if found == wanted and len(found) == number else "DIFFERENT"
        rate, cpu = number / seconds, used() - before
        print(
            f"| {who} | {seconds:.1f} | {rate:.1f} | {gain} | {cpu:.0f} | {equal} | {load:.1f} |",
            flush=True,
        )
    return wanted


def timed(command: list[str], output: Path) -> float:
    """Seconds that a command takes."""
    began = time.perf_counter()
    subprocess.run([*command, "--report", str(output.with_suffix(".jsonl"))], check=True, capture_output=True)
    return time.perf_counter() - began


def used() -> float:
    """Seconds of CPU that all processes which were started here, and have ended, took."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def kills(command: list[str], folder: Path, wanted: dict[str, str]) -> None:
    print("\n| killed (SIGKILL), or Ctrl-C | exit | done then | other files | with a wrong bit | after a second run |")
    print("|---|---|---|---|---|---|")
    for what in ("a worker, four times", "the run", "the run and its workers", "Ctrl-C"):
        output = folder / what.replace(" ", "-")
        line = [*command, "-o", str(output), "--workers", "2", "--report", str(output.with_suffix(".jsonl"))]
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        await_files(output, len(wanted) // 8)
        if what == "a worker, four times":
            for share in range(2, 6):
                workers_of(process.pid)[0].kill()
                await_files(output, len(wanted) * share // 8)
        elif what == "the run":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGINT if what == "Ctrl-C" else signal.SIGKILL)
        code = process.wait()
        time.sleep(2)  # workers that outlive the run finish their picture
        found = digest(output)
        wrong = sum(found[name] != wanted[name] for name in found.keys() & wanted.keys())
        others = len(found.keys() - wanted.keys())
        again = subprocess.run([*line, "--skip-existing"], check=False, capture_output=True).returncode
        both = {name: value for name, value in digest(output).items() if name in wanted}
        complete = "all, equal bits" if both == wanted and again == 0 else f"NOT ALL (exit {again})"
        print(f"| {what} | {code} | {len(found) - others} | {others} | {wrong} | {complete} |", flush=True)


def workers_of(number: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(number).children() if "spawn_main" in " ".join(child.cmdline())]


def await_files(folder: Path, number: int) -> None:
    while not folder.exists() or len(os.listdir(folder)) < number:
        time.sleep(0.02)


if __name__ == "__main__":
    main()
