"""Measure the paper's released models through our code, on the paper's 68 test photographs; write docs/parity.md.

    python benchmarks/parity.py [--bf16] WEIGHTS_FOLDER IMAGE_FOLDER [NAME...]

The numbers of every model are kept in docs/parity.json as it is done; without names, all models are measured.
With --bf16 the convolutions run in bfloat16, several times as fast on CPUs that have it in hardware; the table says so.
"""

import json
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from pixelrl.agent import Agent
from pixelrl.evaluate import evaluate
from pixelrl.importers import import_chainer
from pixelrl.tasks import GaussianDenoising, SaltPepperDenoising

PAPER = {
    "gaussian-fcn-15": 31.17, "gaussian-fcn-25": 28.75, "gaussian-fcn-50": 25.78,
    "gaussian-gru-15": 31.26, "gaussian-gru-25": 28.83, "gaussian-gru-50": 25.87,
    "gaussian-gru-rmc-15": 31.40, "gaussian-gru-rmc-25": 28.85, "gaussian-gru-rmc-50": 25.88,
    "saltpepper-gru-50": 29.26,
}  # fmt: skip
"""The cell of the paper's table that each released file belongs to, PSNR in dB."""
DOCS = Path(__file__).parent.parent / "docs"
SEED = 0


def measure(weights: Path, images: Path, limit: int | None = None, bf16: bool = False) -> dict[str, Any]:
    policy, card = import_chainer(weights)
    agent = Agent(policy.eval(), card, torch.device("cpu"))
    gaussian, level = weights.stem.startswith("gaussian"), float(weights.stem.rpartition("-")[2])
    task = GaussianDenoising() if gaussian else SaltPepperDenoising()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        scores = list(evaluate(agent, images, task, level if gaussian else level / 100, SEED, limit))
    return {
        "arithmetic": "bf16" if bf16 else "fp32",
        "images": len(scores),
        "psnr_input": fmean(s.before for s in scores),
        "psnr": fmean(s.after for s in scores),
        "ssim": fmean(s.ssim for s in scores),
        "seconds": fmean(s.seconds for s in scores),
        "psnr_of_each": [round(s.after, 4) for s in scores],
    }


def render(results: dict[str, dict[str, Any]]) -> str:
    lines = [
        "# The paper's released models, through this code",
        "",
        "The authors' Chainer weights, read by `pixelrl import`, on their 68 grey test photographs (BSD68). Protocol:",
        f"one noise draw from one generator of seed {SEED}, neither clipped nor quantised; T = 5, every pixel takes",
        "its most likely action; the result is clipped and rounded to 8 bits; PSNR at peak 255, mean over the images.",
        "Made by `make parity`; the numbers of every image are in [parity.json](parity.json).",
        "",
        "| released file | paper, dB | measured, dB | difference | SSIM | arithmetic | s / image |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, paper in PAPER.items():
        if name in results:
            r = results[name]
            numbers = f"{paper:.2f} | {r['psnr']:.3f} | {r['psnr'] - paper:+.3f} | {r['ssim']:.4f}"
            lines.append(f"| {name} | {numbers} | {r['arithmetic']} | {r['seconds']:.1f} |")
    lines += ["", "Seconds are with other work on the machine; [benchmarks.md](benchmarks.md) has times side by side."]
    if any(r["arithmetic"] == "bf16" for r in results.values()):
        lines += [
            "",
            "bf16: convolutions in bfloat16, to save time. Against fp32 that changed PSNR by",
            "-0.003 and +0.004 dB on the first two images (gaussian-gru-rmc-25), by -0.002 to -0.006 on the first four",
            "(gaussian-fcn-15), by -0.006, -0.006 and -0.049 on the first three (saltpepper-gru-50).",
        ]
    return "\n".join(lines) + "\n"


def main(weights: Path, images: Path, names: list[str], bf16: bool) -> None:
    store = DOCS / "parity.json"
    results = json.loads(store.read_text()) if store.exists() else {}
    for name in names or PAPER:
        began = time.monotonic()
        results[name] = measure(weights / f"{name}.npz", images, bf16=bf16)
        store.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
        (DOCS / "parity.md").write_text(render(results))
        print(
            f"{name}: {results[name]['psnr']:.3f} dB (paper {PAPER[name]}), {time.monotonic() - began:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--bf16"]
    main(Path(words[0]), Path(words[1]), words[2:], bf16="--bf16" in sys.argv)
