"""Damaged QR and bar codes: which can be read after what was done to them. Writes docs/rewarded.md's table.

    python examples/damaged_codes.py CODES/train --number 4000 --seed 1
    python examples/damaged_codes.py CODES/test --number 100 --seed 3
    python benchmarks/codes.py supervise CODES/train network.pt --minutes 1.2
    python benchmarks/codes.py measure CODES/train CODES/test network.pt [--policy FILE]

`supervise` teaches a network of as many weights as the policy has what a clean code looks like, for so many minutes of
a CPU core. `measure` needs the extra ``codes``, and pyzbar, which needs the library zbar (apt-get install libzbar0).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
import torch
from pages import table, write_section
from pyzbar import pyzbar
from torch import Tensor, nn
from torch.nn import functional as F

import pixelrl
from pixelrl.actions import ActionSet
from pixelrl.imaging.codes import Grey, grey, jittered, text_in
from pixelrl.policies import Policy
from pixelrl.policies.encoder import Encoder
from pixelrl.rollout import rollout

sys.path.append(str(Path(__file__).parents[1] / "examples"))
from damaged_codes import DAMAGES


@dataclass(frozen=True)
class Codes:
    """A folder of damaged codes: pictures ``(n, 1, h, w)``, and of each its text, kind and damage."""

    damaged: Tensor
    clean: Tensor
    texts: list[str]
    kinds: list[str]
    damages: list[str]


def load_codes(folder: Path, number: int | None = None) -> Codes:
    said = list(json.loads((folder / "codes.json").read_text(encoding="utf-8")).items())[:number]

    def pictures(kind: str) -> Tensor:
        planes = [cv2.imread(str(folder / kind / name), cv2.IMREAD_GRAYSCALE) for name, _ in said]
        return torch.from_numpy(np.stack(planes))[:, None].float() / 255

    columns = [[one[key] for _, one in said] for key in ("text", "kind", "damage")]
    return Codes(pictures("damaged"), pictures("clean"), *columns)


class Supervised(nn.Module):
    """From a damaged code to the logits of a clean one: the encoder of our other policies, in a small size."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder(4, 24, 32, (1, 2, 1))
        self.leave = nn.Conv2d(24, 4, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return F.pixel_shuffle(self.leave(self.encoder(F.pixel_unshuffle(2 * image - 1, 2))), 2)


def supervise(codes: Codes, target: Path, minutes: float) -> None:
    """By the cross-entropy of every pixel, with mirrored and turned codes; the learning rate falls to 0."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network, draws = Supervised(), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    began, step = time.process_time(), 0
    while (share := (time.process_time() - began) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (1 - share)
        chosen = torch.randint(len(codes.damaged), (16,), generator=draws)
        turn = int(torch.randint(8, (), generator=draws))
        pair = torch.stack([codes.damaged[chosen], codes.clean[chosen]])
        pair = torch.rot90(pair.flip(-1) if turn >= 4 else pair, turn % 4, (-2, -1))
        loss = F.binary_cross_entropy_with_logits(network(pair[0]), pair[1])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        if step % 100 == 0:
            print(f"{step} {60 * minutes * share:.0f} s {loss.item():.4f}", flush=True)
    torch.save({"network": network.state_dict(), "minutes": minutes, "steps": step}, target)


def twice(picture: Grey) -> Grey:
    return cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)


def by_zbar(picture: Grey) -> str | None:
    found = pyzbar.decode(twice(picture))
    return found[0].data.decode() if found else None


def by_opencv(picture: Grey) -> str | None:
    """QR codes only: it has no reader of Code 128."""
    return cv2.QRCodeDetector().detectAndDecode(twice(picture))[0] or None


def right(picture: Tensor, text: str) -> float:
    """The share of the jittered reads of the rewarded reader that give the right text."""
    seen = jittered(grey(picture))
    return fmean(text_in(one) == text for one in seen)


@torch.no_grad()
def pairs(image: Tensor, actions: ActionSet) -> Tensor:
    """Pictures ``(n^2, 1, h, w)`` after every pair of operations, of one picture ``(1, 1, h, w)``."""
    first = actions.outcomes(image).flatten(0, 1)
    return actions.outcomes(first).flatten(0, 1)


def measure(train: Codes, test: Codes, network: Path, policy: str, number: int) -> list[list[str]]:
    agent = pixelrl.load(policy, "cpu")
    actions, card = agent.actions, agent.card
    names = [f"{one} + {two}" for one in actions.names for two in actions.names]
    tried = torch.stack([
        torch.tensor([right(each, text) for each in pairs(picture[None], actions)])
        for picture, text in zip(train.damaged[:number], train.texts[:number], strict=True)
    ])  # fmt: skip
    best = int(tried.mean(0).argmax())
    kinds = np.array(train.damages[:number])
    best_of = {damage: int(tried[torch.from_numpy(kinds == damage)].mean(0).argmax()) for damage in sorted(set(kinds))}
    denoiser = pixelrl.load("denoise-gray", "cpu")
    sharpen = ActionSet(["sharpen strongly"])
    saved = torch.load(network, weights_only=True)
    supervised = Supervised().eval()
    supervised.load_state_dict(saved["network"])
    without = card.build().eval()
    without.load_state_dict(agent.policy.state_dict())
    torch.nn.init.zeros_(without.get_parameter("to_logits.weight"))
    untrained = card.build().eval()

    def played(net: Policy, image: Tensor) -> Tensor:
        condition = torch.zeros((1, 1, 1, 1))
        return rollout(net, actions, image, condition, card.num_steps)[1]

    every = [pairs(picture[None], actions) for picture in test.damaged]
    scores = [[right(each, text) for each in tries] for tries, text in zip(every, test.texts, strict=True)]
    with torch.no_grad():
        clean = torch.cat([supervised(picture[None]).sigmoid() for picture in test.damaged])
        smooth = torch.cat([denoiser(picture[None]).image for picture in test.damaged])
    rows = {
        "raw": test.damaged,
        "untrained": torch.cat([played(untrained, picture[None]) for picture in test.damaged]),
        "without the learned head": torch.cat([played(without, picture[None]) for picture in test.damaged]),
        "`denoise-gray` + sharpen strongly": sharpen.outcomes(smooth)[:, 0],
        f"best fixed pair ({names[best]})": torch.stack([tries[best] for tries in every]),
        "best pair for each damage, which is told": torch.stack([
            tries[best_of[damage]] for tries, damage in zip(every, test.damages, strict=True)
        ]),
        "best pair for each picture (oracle)": torch.stack([
            tries[int(np.argmax(score))] for tries, score in zip(every, scores, strict=True)
        ]),
        f"supervised by clean codes, {saved['minutes']:g} CPU minutes": clean,
        f"**{card.name}**": torch.cat([played(agent.policy, picture[None]) for picture in test.damaged]),
    }  # fmt: skip
    lines = []
    for name, pictures in rows.items():
        reads = np.array([right(picture, text) for picture, text in zip(pictures, test.texts, strict=True)])
        damages = np.array(test.damages)
        line = [name, *(f"{reads[damages == damage].mean():.2f}" for damage in DAMAGES), f"{reads.mean():.2f}"]
        qr = [i for i, kind in enumerate(test.kinds) if kind == "qr"]
        line.append(f"{fmean(by_opencv(grey(pictures[i])) == test.texts[i] for i in qr):.2f}")
        line.append(f"{fmean(by_zbar(grey(pictures[i])) == test.texts[i] for i in range(len(pictures))):.2f}")
        lines.append(line)
        print(line, flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    teach, compare = commands.add_parser("supervise"), commands.add_parser("measure")
    for one in (teach, compare):
        one.add_argument("train", type=Path)
    compare.add_argument("test", type=Path)
    for one in (teach, compare):
        one.add_argument("network", type=Path)
    teach.add_argument("--minutes", type=float, required=True)
    compare.add_argument("--policy", default="readable-code")
    compare.add_argument("--choose", type=int, default=100, help="Training codes by which fixed pairs are chosen.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.command == "supervise":
        supervise(load_codes(arguments.train), arguments.network, arguments.minutes)
        return
    train, test = load_codes(arguments.train, arguments.choose), load_codes(arguments.test)
    lines = measure(train, test, arguments.network, arguments.policy, arguments.choose)
    write_section("rewarded.md", "table", table(["", *DAMAGES, "all", "OpenCV (QR)", "zbar"], lines))


if __name__ == "__main__":
    main()
