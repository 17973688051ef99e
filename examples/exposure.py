"""Everything of one's own in one module: photographs that came out too dark are brought back, pixel by pixel.

A task, what its policy is told, three operations, the policy itself and a saliency model. Nothing of it is registered
anywhere: recipes beside this file name it, as ``exposure:Underexposed``. To use a policy that was made with it, import
this module first (``import exposure``, or ``--import`` on the command line), for a policy file never runs code:

    pixelrl train examples/exposure.toml -o run --set data.folder=PHOTOS --minutes 1
    pixelrl evaluate run/policy.safetensors --data PHOTOS --task exposure:Underexposed --level 1.5
    pixelrl denoise dark.jpg -o bright.jpg --policy run/policy.safetensors --condition stops=1.5
    pixelrl studio dark.jpg --policy run/policy.safetensors

each of the last three as ``pixelrl --import examples/exposure.py ...``.
"""

from __future__ import annotations

import torch
from torch import nn

from pixelrl.actions import Action
from pixelrl.policies import Policy, PolicyOutput
from pixelrl.tasks import Conditioning, Episode, Quantity, Task
from pixelrl.tasks.conditioning import constant

GAMMA = 2.2
"""sRGB values are about the 2.2th root of light: a stop, half the light, multiplies them by 2 ** (-1 / 2.2)."""


# --- Operations: an Action each, called exposure:one_stop and so on --------------------------------


def _exposed(stops: float):
    return lambda image: image * 2 ** (stops / GAMMA)


one_stop = Action("one stop", _exposed(1.0), reach=0, color="#ffd34d")
a_third = Action("a third of a stop", _exposed(1 / 3), reach=0, color="#ffeeb0")
a_third_less = Action("a third of a stop less", _exposed(-1 / 3), reach=0, color="#46506b")

ACTIONS = ("do nothing", "exposure:one_stop", "exposure:a_third", "exposure:a_third_less")


# --- What the policy is told beside the picture ---------------------------------------------------


class Stops(Conditioning):
    """By how many stops the photograph is too dark."""

    name = "stops"
    quantities = (
        Quantity(
            name="stops",
            label="underexposure",
            help="By how many stops the photograph is too dark.",
            unit="stops",
            low=0.0,
            high=6.0,
            slider=(0.0, 4.0, 0.1),
        ),
    )

    def encode(self, image, values, mask):
        """One plane, the same everywhere: stops / 4."""
        return constant(image, [values["stops"] / 4])

    def estimate(self, image):
        """As if every photograph were meant to have a mean of 0.45 (where nobody says how dark it is)."""
        missing = GAMMA * torch.log2(0.45 / image.mean().clamp_min(1e-3))
        return {"stops": float(missing.clamp(0, 6))}


# --- The task -------------------------------------------------------------------------------------


class Underexposed(Task):
    """Photographs with too little light, by up to ``stops`` stops; the reward is the paper's, the squared error."""

    conditioning = Stops()
    levels = (0.8, 1.7)

    def __init__(self, stops: float = 3.0, num_steps: int = 4, actions: tuple[str, ...] = ACTIONS) -> None:
        if not 0 < stops <= 6:
            raise ValueError(f"stops = {stops} must be above 0 and at most 6")
        self.stops, self.num_steps, self.action_names = stops, num_steps, actions

    def degrade(self, clean, level, generator):
        """Too dark by ``level`` stops."""
        return self._dark(clean, torch.full((len(clean),), float(level), device=clean.device))

    def begin(self, clean, generator):
        """Every crop too dark by a number of stops of its own."""
        uniform = torch.rand(len(clean), generator=generator, device=clean.device)
        return self._dark(clean, self.stops * uniform)

    def _dark(self, clean, stops):
        condition = self.conditioning.encode(clean, {"stops": stops}, None)
        dark = clean * 2 ** (-stops / GAMMA)[:, None, None, None]
        return Episode(dark, clean, condition, clean.new_ones((len(clean), 1)))


# --- The policy -----------------------------------------------------------------------------------


class OneLook(Policy):
    """The smallest policy that does it: it learns how much brighter a photograph should become for what it is told.

    So it has a goal, the photograph as it came times that factor, and prefers the operation whose outcome is nearest.
    Its memory is the condition's plane and the photograph as it came.
    """

    stride = alignment = reach = 1
    reward_kernel = None
    takes_condition = True

    def __init__(self, num_actions: int, num_channels: int = 3, sharpness: float = 30.0) -> None:
        super().__init__()
        if not 0 < sharpness < 1000:
            raise ValueError(f"sharpness = {sharpness} must be above 0 and below 1000")
        self.sharpness = sharpness
        self.to_stops = nn.Conv2d(1, 1, 1)
        self.to_value = nn.Conv2d(2 * num_channels, 1, 1)
        for layer in (self.to_stops, self.to_value):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def perceive(self, image, condition):
        """The condition's plane and the photograph, side by side: ``(b, 1 + c, h, w)``."""
        return torch.cat([condition.expand(-1, -1, *image.shape[-2:]), image], 1)

    def estimate(self, memory, image):
        """The goal."""
        told, first = memory[:, :1], memory[:, 1:]
        return first * 2 ** self.to_stops(told)

    def forward(self, image, outcomes, memory):
        """One agent per pixel: logits ``(b, n, 1, h, w)``, values ``(b, 1, h, w)``."""
        goal = self.estimate(memory, image)
        logits = -self.sharpness * (outcomes - goal[:, None]).abs().sum(2, keepdim=True)
        value = self.to_value(torch.cat([image, memory[:, 1:]], 1)) if self.training else None
        return PolicyOutput(logits, value, memory)


# --- A saliency model, for the task saliency-editing (red_things.toml) -----------------------------


def redness(image):
    """How much redder than grey each pixel is, in tens: RGB ``(h, w, 3)`` in [0, 1] to ``(h, w)``."""
    return 10 * (image[..., 0] - image.mean(-1)).clip(0, None)
