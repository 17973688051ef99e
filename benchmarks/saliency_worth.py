"""What saliency editing earns of its own objective, by policies and by search; writes a table of docs/saliency.md.

    python benchmarks/saliency_worth.py PHOTOS [--every N] [--rows NAME ...] [--policy FILE]

PHOTOS are the colour test photographs; the object of each is in benchmarks/objects. Every N-th of them is taken, at
half its size, at four strengths. Rows that are not named keep the numbers of docs/saliency.json.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import cv2
import torch
from pages import DOCS, table, write_section
from torch.nn import functional as F

import pixelrl
from pixelrl.actions import ActionSet
from pixelrl.agent import Agent
from pixelrl.imaging.metrics import bits_per_pixel
from pixelrl.pictures.files import read_picture
from pixelrl.pictures.values import array_to_tensor
from pixelrl.rollout import Act, Decision, episode, greedy, rollout
from pixelrl.tasks import Episode, SaliencyEditing
from pixelrl.types import Image

OBJECTS = Path(__file__).with_name("objects")
STRENGTHS = (-1.0, -0.5, 0.5, 1.0)
TASK = SaliencyEditing()
Play = Callable[[Episode], tuple[Image, torch.Tensor]]
"""From the start of an episode to the final image and the maps of actions."""


def by_policy(agent: Agent) -> Play:
    def play(start: Episode) -> tuple[Image, torch.Tensor]:
        trajectory, final = rollout(agent.policy, agent.actions, start.image, start.condition, TASK.num_steps)
        return final, trajectory.actions

    return play


def searched(judge: Callable[[Episode], Act]) -> Play:
    def play(start: Episode) -> tuple[Image, torch.Tensor]:
        image, maps = start.image, []
        for step in episode(start.image, ActionSet(TASK.action_names), judge(start), TASK.num_steps):
            image = step.after
            maps.append(step.decision.actions)
        return image, torch.stack(maps)

    return play


def whole_sides(start: Episode) -> Act:
    """At each step, the one operation for the object and the one for its surroundings that are best, one at a time."""
    inside = start.condition[:, :1] * start.condition[:, :1].flatten()[_somewhere_inside(start)] > 0

    def worth(image: Image) -> float:
        return TASK.metric(image, start).item()

    def act(t: int, image: Image, outcomes: torch.Tensor) -> Decision:
        chosen = torch.zeros_like(inside, dtype=torch.uint8)
        for side in (inside, ~inside):
            tried = [worth(torch.where(side, outcome[None], image)) for outcome in outcomes[0]]
            chosen[side] = max(range(len(tried)), key=tried.__getitem__)
        return Decision(chosen)

    return act


def _somewhere_inside(start: Episode) -> int:
    return int(start.condition[:, :1].abs().flatten().argmax())


def each_pixel(start: Episode) -> Act:
    """At each step, for each pixel the operation that earns most by the model's shared slopes and the exact costs."""

    def act(t: int, image: Image, outcomes: torch.Tensor) -> Decision:
        return Decision(greedy(TASK.action_rewards(start, image, outcomes)))

    return act


def rows(policy: str) -> dict[str, Play]:
    """What is measured, by name."""
    agent = pixelrl.load(policy, "cpu")
    torch.manual_seed(0)
    untrained, headless = copy.copy(agent), copy.copy(agent)
    untrained.policy, headless.policy = agent.card.build().eval(), copy.deepcopy(agent.policy)
    with torch.no_grad():
        for name, weight in headless.policy.named_parameters():
            if name.startswith("to_logits."):
                weight.zero_()
    found = {"greedy, a whole side at a time": searched(whole_sides), "greedy, each pixel": searched(each_pixel)}
    for name, each in (("untrained", untrained), ("without the learned head", headless), ("trained", agent)):
        found[name] = by_policy(each)
    return found


def starts(folder: Path, every: int) -> list[Episode]:
    """Photographs with their objects, at half their size, at every strength."""
    episodes = []
    for path in sorted(folder.iterdir())[::every]:
        mask = array_to_tensor((read_picture(OBJECTS / f"{path.stem}.png").pixels > 0).astype("float32"))
        image, inside = (
            F.interpolate(x, scale_factor=0.5, mode="area")
            for x in (array_to_tensor(read_picture(path).pixels), mask[:, :1])
        )
        for strength in STRENGTHS:
            condition = TASK.conditioning.encode(image, {"strength": torch.tensor([strength])}, inside >= 0.5)
            episodes.append(Episode(image, image, condition, torch.ones(1, 1)))
    return episodes


@torch.no_grad()
def measured(play: Play, episodes: list[Episode]) -> dict[str, object]:
    worth, bits = [], []
    for start in episodes:
        final, maps = play(start)
        worth.append(TASK.metric(final, start).item())
        bits.append(bits_per_pixel(maps).item())
    by_strength = [fmean(worth[i :: len(STRENGTHS)]) for i in range(len(STRENGTHS))]
    return {"worth": fmean(worth), "by strength": by_strength, "bits": fmean(bits), "photographs": len(worth) // 4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--rows", nargs="+")
    parser.add_argument("--policy", default="saliency-edit")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    file, plays, episodes = DOCS / "saliency.json", rows(given.policy), starts(given.photos, given.every)
    for name in given.rows or plays:
        result = measured(plays[name], episodes)
        print(name, result, flush=True)
        known = json.loads(file.read_text()) if file.is_file() else {}
        file.write_text(json.dumps(known | {name: result}, indent=1) + "\n")
    known = json.loads(file.read_text())
    header = ["", "worth", *(f"strength {s:g}" for s in STRENGTHS), "bits per pixel"]
    lines = [
        [name, f"{r['worth']:.4f}", *(f"{w:.4f}" for w in r["by strength"]), f"{r['bits']:.2f}"]
        for name, r in ((name, known[name]) for name in plays if name in known)
    ]
    write_section("saliency.md", "worth", table(header, lines))


if __name__ == "__main__":
    main()
