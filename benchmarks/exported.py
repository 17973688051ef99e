"""What an export costs and saves: PSNR and time of exported policies beside pixelrl, on validation pictures.

    python benchmarks/exported.py FOLDER [--policy denoise-gray] [--pictures 20] [--side 160]

FOLDER holds the clean training pictures, of which those that a training would set aside are taken; the middle of each.
Needs pixelrl-onnx (`pip install ./plugins/pixelrl-onnx`, or PYTHONPATH).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import pixelrl
import pixelrl_onnx
from pixelrl.exporting.calibration import calibrated
from pixelrl.exporting.export import export
from pixelrl.training.data import load_photos, split

SIGMAS = (15, 25, 50)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--policy", default="denoise-gray")
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--side", type=int, default=160)
    given = parser.parse_args()
    torch.set_num_threads(1)
    agent = pixelrl.load(given.policy, "cpu", "fp32")
    _, photos = split(load_photos(given.folder, agent.num_channels), given.pictures)
    clean = [middle(photo.pixels.numpy(), given.side) for photo in photos]
    with tempfile.TemporaryDirectory() as name:
        runners = {}
        for kind, eight in (("fp32", None), ("int8", calibrated(agent))):
            export(agent, Path(name) / kind, eight)
            runners[kind] = pixelrl_onnx.load(Path(name) / kind, 1)
        print("| sigma | pixelrl, fp32 | exported, fp32 | exported, int8 | operations that differ: fp32 | int8 |")
        print("|---|---|---|---|---|---|")
        for sigma in SIGMAS:
            print(row(sigma, agent, runners, clean), flush=True)
        times = {kind: seconds(runner, clean[0]) for kind, runner in runners.items()}
    print(f"encoder, one thread: {times['fp32'] / times['int8']:.2f} times faster in int8 {times}")


def row(sigma: float, agent: pixelrl.Agent, runners: dict[str, pixelrl_onnx.Agent], clean: list[np.ndarray]) -> str:
    quality: dict[str, list[float]] = {"pixelrl": [], **{kind: [] for kind in runners}}
    differing: dict[str, list[float]] = {kind: [] for kind in runners}
    random = np.random.default_rng(sigma)
    for picture in clean:
        noisy = (picture + random.normal(0, sigma / 255, picture.shape)).astype(np.float32)
        wanted = agent(noisy, sigma=sigma, legibility=0)
        quality["pixelrl"].append(psnr(wanted.image, picture))
        for kind, runner in runners.items():
            found = runner(noisy, sigma=sigma)
            quality[kind].append(psnr(found.image, picture))
            differing[kind].append((found.actions != wanted.trajectory.actions[:, 0].numpy()).mean())
    dB = {kind: np.mean(values) for kind, values in quality.items()}
    shown = [f"{dB['pixelrl']:.3f}", *(f"{dB[k]:.3f} ({dB[k] - dB['pixelrl']:+.4f})" for k in runners)]
    return f"| {sigma} | {' | '.join(shown)} | {' | '.join(f'{np.mean(differing[k]):.4%}' for k in runners)} |"


def middle(pixels: np.ndarray, side: int) -> np.ndarray:
    top, left = ((length - side) // 2 for length in pixels.shape[1:])
    part = pixels[:, top : top + side, left : left + side].transpose(1, 2, 0).astype(np.float32) / 255
    return part[..., 0] if part.shape[2] == 1 else part


def seconds(runner: pixelrl_onnx.Agent, picture: np.ndarray) -> float:
    """Of the processor, for the encoder on one picture: the least of seven."""
    planes = np.ascontiguousarray(np.atleast_3d(picture).transpose(2, 0, 1), np.float32)
    spent = []
    for _ in range(7):
        began = time.process_time()
        runner.estimate(planes, {"sigma": 25.0})
        spent.append(time.process_time() - began)
    return round(min(spent), 4)


def psnr(image: np.ndarray, clean: np.ndarray) -> float:
    return float(-10 * np.log10(np.square(image - clean).mean()))


if __name__ == "__main__":
    main()
