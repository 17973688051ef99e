"""A huge grey picture by two workers: their peaks of memory, the rate, and the bits of a piece done as a whole.

    python benchmarks/huge.py FOLDER [--side 20000] [--workers 2] [--kill]

Photographs of scikit-image are laid side by side, each turned or mirrored at random, with white noise of sigma 25, as
an OME-Zarr in FOLDER; `pixelrl denoise --legibility 0` makes another of it. Every minute a part of 481x321 pixels is
done in this process, so that what else the machine does falls on both. With ``--kill`` a worker is killed (SIGKILL)
when a twentieth is done. All is kept in FOLDER, so the same command goes on with a run that was stopped, and
says what was measured in all of them: in docs/huge.md when the picture is complete, else in print.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import psutil
import zarr
from pages import table, write_section
from skimage import data
from skimage.color import rgb2gray

import pixelrl
from pixelrl.pictures.atomic import written_whole

SIGMA, CELL, PART, GRID = 25, 512, 2048, 64
"""Of the noise; sides in pixels of a photograph, and of what is made at a time; where pieces begin."""
PIECE, SMALL = 3000, (321, 481)
"""Side of what is done as a whole, too, and the shape of small pictures."""
EVERY, LOOK = 60.0, 1.0
"""Seconds between small pictures, and between looks at the workers."""


def make(path: Path, side: int) -> None:
    """The noisy picture, part by part; parts that are there already are left alone."""
    photos = [data.camera(), (255 * rgb2gray(data.astronaut())).astype(np.uint8), data.moon(), data.gravel()]
    group = zarr.open_group(path, mode="a")
    if "0" not in group:
        group.create_array("0", shape=(side, side), dtype="uint8", chunks=(CELL, CELL), shards=(PART, PART))
        scale = [{"type": "scale", "scale": [1.0, 1.0]}]
        axes = [{"name": name, "type": "space"} for name in "yx"]
        image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}], "name": "photographs"}
        group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    array, made = group["0"], path.with_suffix(".made")
    made.mkdir(exist_ok=True)
    for y in range(0, side, PART):
        for x in range(0, side, PART):
            if (made / f"{y}-{x}").exists():
                continue
            generator = np.random.default_rng([y, x])
            clean = np.empty((PART, PART), np.float32)
            for row in range(0, PART, CELL):
                for column in range(0, PART, CELL):
                    turned = np.rot90(photos[generator.integers(len(photos))], generator.integers(4))
                    clean[row : row + CELL, column : column + CELL] = turned
            noisy = clean + SIGMA * generator.standard_normal(clean.shape, np.float32)
            noisy = noisy.round().clip(0, 255).astype(np.uint8)
            array[y : y + PART, x : x + PART] = noisy[: side - y, : side - x]
            (made / f"{y}-{x}").touch()


def peak(number: int) -> float:
    """The most memory that a process had so far, in GB; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{number}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith("VmHWM")), 0.0)


def blocks_done(target: Path, number: int) -> int:
    """Of so many."""
    if target.exists():
        return number
    done = target.with_name(f"{target.name}.begun") / ".done"
    return sum(path.name.isdigit() for path in done.iterdir()) if done.exists() else 0


class Watch:
    """What is measured while the command runs, kept in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.runs: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
        self.now: dict[str, Any] = {"workers": {}, "small": [], "killed": None, "said": None}

    def look(self, command: psutil.Process) -> None:
        """At every process of the command."""
        try:
            processes = [command, *command.children()]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                words, times = " ".join(process.cmdline()), process.cpu_times()
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            if process != command and "spawn_main" not in words:
                continue
            own = self.now["workers"].setdefault(str(process.pid), {"peak": 0.0, "command": process == command})
            own["peak"] = max(own["peak"], peak(process.pid))
            own["cpu"] = times.user + times.system

    def keep(self) -> None:
        with written_whole(self.file) as temporary:
            temporary.write_text(json.dumps([*self.runs, self.now], indent=1))


def small(array: Any, agent: pixelrl.Agent, number: int) -> float:
    """Pixels a second of the processor of one small picture."""
    height, width = SMALL
    places = array.shape[0] // height * (array.shape[1] // width)
    y, x = divmod(number * 7919 % places, array.shape[1] // width)
    noisy = np.asarray(array[y * height : (y + 1) * height, x * width : (x + 1) * width])
    began = time.process_time()
    agent(noisy, SIGMA, legibility=0)
    return float(noisy.size / (time.process_time() - began))


def run(folder: Path, number: int, workers: int, kill: bool) -> dict[str, Any]:
    """Go on with the picture to its end, and return what the command says of it."""
    source, target, watch = folder / "noisy.ome.zarr", folder / "clean.ome.zarr", Watch(folder / "measured.json")
    if target.exists():
        return next(each["said"] for each in reversed(watch.runs) if each["said"])
    agent, array = pixelrl.load("denoise-gray", "cpu"), zarr.open_group(source, mode="r")["0"]
    agent(np.asarray(array[:64, :64]), SIGMA, legibility=0)
    watch.now |= {"began_with": blocks_done(target, number)}
    command = [sys.executable, "-m", "pixelrl", "denoise", str(source), "-o", str(target), "--legibility", "0"]
    began, last = time.perf_counter(), 0.0
    process = psutil.Popen([*command, "--workers", str(workers), "--json"], stdout=subprocess.PIPE, text=True)
    kill = kill and not any(each["killed"] for each in watch.runs)
    try:
        while process.poll() is None:
            watch.look(process)
            watch.now |= {"seconds": time.perf_counter() - began, "done": blocks_done(target, number)}
            if kill and 20 * watch.now["done"] >= number:
                victim = next(child for child in process.children() if "spawn_main" in " ".join(child.cmdline()))
                victim.kill()
                watch.now["killed"], kill = victim.pid, False
            if watch.now["seconds"] - last > EVERY:
                last = watch.now["seconds"]
                watch.now["small"].append(small(array, agent, len(watch.now["small"])))
                watch.keep()
            time.sleep(LOOK)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        said = process.communicate()[0]
        watch.now["done"] = blocks_done(target, number)
        watch.now["said"] = json.loads(said) if said.strip() else None
        watch.now["small"] = watch.now["small"] or [small(array, agent, each) for each in range(5)]
        watch.keep()
    if process.returncode:
        raise SystemExit(process.returncode)
    return watch.now["said"]  # type: ignore[no-any-return]


def equal(folder: Path, side: int, said: dict[str, Any]) -> tuple[int, int]:
    """The side of the part of a piece that does not see its edges, and how many of its pixels differ."""
    source = zarr.open_group(folder / "noisy.ome.zarr", mode="r")["0"]
    done = zarr.open_group(folder / "clean.ome.zarr", mode="r")["0"]
    start, length = (side // 2 - PIECE // 2) // GRID * GRID, PIECE
    if side <= PIECE + 2 * GRID:
        start, length = side // 8 // GRID * GRID, side * 3 // 4
    piece, inner = slice(start, start + length), slice(said["halo"], length - said["halo"])
    agent = pixelrl.load("denoise-gray", "cpu", said["precision"])
    whole = agent(np.asarray(source[piece, piece]), condition=said["condition"][0], legibility=0).image
    differing = np.asarray(whole)[inner, inner] != np.asarray(done[piece, piece])[inner, inner]
    return int(differing.shape[0]), int(differing.sum())


def measured(folder: Path, side: int, number: int) -> list[list[str]]:
    """Lines of the table: what was measured in all runs."""
    runs = json.loads((folder / "measured.json").read_text())
    all_workers = [own for each in runs for own in each["workers"].values()]
    workers = [own for own in all_workers if not own["command"]]
    heads = [own for own in all_workers if own["command"]]
    done = runs[-1]["done"]
    pixels, cpu = side * side * done / number, sum(own["cpu"] for own in workers)
    rate = pixels / cpu
    beside = statistics.median(value for each in runs for value in each["small"])
    lines = {
        "picture": f"{side:,} x {side:,}, 8 bits, {number} blocks, of which {done} are done",
        "runs": f"{len(runs)}; workers killed: {sum(bool(each['killed']) for each in runs)}",
        "seconds": f"{sum(each['seconds'] for each in runs):.0f}",
        "seconds of the processor": f"{cpu:.0f} by workers, {sum(own['cpu'] for own in heads):.0f} by the command",
        "peak memory of each worker, GB": ", ".join(f"{own['peak']:.2f}" for own in workers),
        "peak memory of the command, GB": f"{max(own['peak'] for own in heads):.2f}",
        "pixels a second of a worker's processor": f"{rate:,.0f}, start-up and files included",
        "pixels a second, pictures of 481x321": f"{beside:,.0f}",
        "of the rate of these": f"{rate / beside:.2f}",
    }
    return [[name, value] for name, value in lines.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # where it runs in the background, the first is ignored
        signal.signal(number, lambda *_: sys.exit(1))
    options.folder.mkdir(parents=True, exist_ok=True)
    make(options.folder / "noisy.ome.zarr", options.side)
    number = (-(-options.side // PART)) ** 2
    header = ["denoise-gray, legibility 0", f"{options.workers} workers"]
    try:
        said = run(options.folder, number, options.workers, options.kill)
    except SystemExit:
        if (options.folder / "measured.json").exists():
            print(table(header, measured(options.folder, options.side, number)))
        raise
    length, differing = equal(options.folder, options.side, said)
    bits = [f"{length} x {length} pixels of a piece done as a whole", f"{differing} differ"]
    write_section("huge.md", "measured", table(header, [*measured(options.folder, options.side, number), bits]))


if __name__ == "__main__":
    main()
