"""What an agent gives back: the image, what every pixel did, and what it was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic

import torch

from pixelrl.edits import Edit, Mask, idle_words
from pixelrl.errors import UsageError
from pixelrl.imaging.metrics import agreement, bits_per_pixel
from pixelrl.pictures.arrays import AnyImage, Unpacked, unpack
from pixelrl.precision import Precision
from pixelrl.rollout import Trajectory
from pixelrl.trace import Trace

if TYPE_CHECKING:
    from pixelrl.report.notebook import Shown

AnyEdits = Sequence[Edit] | Edit | str | Path
"""A list of edits, one of them, or the path of a file with some."""


@dataclass(frozen=True)
class Result(Generic[AnyImage]):
    """What an agent did to an image.

    Attributes:
        image: the result, of the type, dtype, shape and mode that came in.
        trajectory: the operation of every pixel at every step; ``trajectory.actions`` is ``(t, b, g, h, w)``.
        policy: the name of the policy.
        conditions: what the policy was told of each image of the batch, for instance ``({"sigma": 25.0},)``; empty
            mappings if it takes nothing.
        mask: bool ``(h, w)``, the object that was emphasised or attenuated; None for policies that take no mask.
        image_remark: what there is to say of the image, in a sentence (`Agent.remark`); None if there is nothing.
        legibility: how plain the maps were to be, from 0 (the best quality) to 1 (the plainest maps); None for policies
            that cannot be told.
        precision: in which numbers the policy's encoder computed, ``fp32`` or ``bf16``.
    """

    image: AnyImage
    trajectory: Trajectory
    policy: str
    conditions: tuple[Mapping[str, float], ...]
    mask: Mask | None
    image_remark: str | None
    legibility: float | None
    precision: Precision
    _unpacked: Unpacked[AnyImage]

    @property
    def condition(self) -> Mapping[str, float]:
        """What the policy was told, for instance ``{"sigma": 25.0}``.

        Raises:
            UsageError: the images of a batch had conditions of their own; they are in `conditions`.
        """
        if not self._told_alike:
            raise UsageError("the images of this batch have conditions of their own; see Result.conditions")
        return self.conditions[0]

    @property
    def remark(self) -> str | None:
        """What there is to say: of the image, and of edits that changed no operation; None if there is nothing."""
        return "; ".join(filter(None, [self.image_remark, idle_words(self.idle_edits)])) or None

    @property
    def idle_edits(self) -> tuple[int, ...]:
        """The places in the list (from 1) of the edits that changed no operation; those that are off do not count."""
        return self.trajectory.idle_edits

    @property
    def bits_per_pixel(self) -> tuple[float, ...]:
        """For each image of the batch, the bits it takes to write down what a pixel does if its neighbours are known.

        0: one operation for the whole picture at each step. See `pixelrl.imaging.metrics.bits_per_pixel`.
        """
        return tuple(bits_per_pixel(self.trajectory.actions).tolist())

    @property
    def agreement(self) -> tuple[tuple[float, ...], ...]:
        """For each image of the batch, the share of neighbouring pixels that do the same, at every step."""
        return tuple(tuple(image) for image in agreement(self.trajectory.actions).T.tolist())

    def edited(self, edits: AnyEdits) -> Result[AnyImage]:
        """What comes of a person's edits in *replay*, with the image given back as it came in.

        All other choices stay as recorded, and no network is asked (`pixelrl.Trajectory.edited`).

        Args:
            edits: a list of edits, one of them, or the path of a file with some.

        Raises:
            UsageError: no edits, or an edit that does not fit this episode.
        """
        trajectory = self.trajectory.edited(edits)
        return replace(self, image=self._unpacked.pack(trajectory.final()), trajectory=trajectory)

    def __repr__(self) -> str:
        """A line: all pixels of image and maps would be pages."""
        height, width = self.trajectory.initial.shape[-2:]
        words = [f"{len(self.conditions)} images"] if len(self.conditions) > 1 else []
        if self._told_alike:
            words += [f"{name}={value:.4g}" for name, value in self.conditions[0].items()]
        words += [f"{width} x {height} pixels", f"{self.trajectory.num_steps} steps"]
        return f"<Result of {self.policy}: {', '.join(words)}>"

    @property
    def _told_alike(self) -> bool:
        return all(one == self.conditions[0] for one in self.conditions)

    def _repr_html_(self) -> str:
        """In a notebook: before and after, and of a single picture the maps of operations with their legend."""
        return self._shown().html()

    def _repr_png_(self) -> bytes:
        """Where no HTML is shown: before and after."""
        return self._shown().png()

    def _shown(self) -> Shown:
        from pixelrl.report.notebook import Shown, facts_of  # what nobody looks at is not loaded

        came, before = self._unpacked, self.trajectory.initial
        after = unpack(self.image, came.scales[0]).tensor
        bits = self.bits_per_pixel[0] if len(before) == 1 and self.trajectory.num_steps else None
        facts = facts_of(self.conditions[0] if self._told_alike else {}, self.legibility, bits, self.remark)
        trace = self.trace() if came.pixels is not None else None
        return Shown(self.policy, facts, before.cpu(), after.cpu(), trace, came.orientation, came.icc_profile)

    def trace(self) -> Trace:
        """The episode as it is saved by `pixelrl.save_trace`.

        Raises:
            UsageError: a batch of several images has no single trace.
        """
        actions = self.trajectory.actions
        came = self._unpacked
        if came.pixels is None:
            raise UsageError(f"a trace holds one image, not a batch of {actions.shape[1]}; give the images one by one")
        maps = actions[:, 0].to(torch.uint8).cpu().numpy()
        names, space = self.trajectory.action_names, self.trajectory.space
        mask = None if self.mask is None else self.mask.cpu().numpy()
        condition, rest = dict(self.condition), (came.alpha, came.orientation, came.icc_profile)
        scale = None if came.remark is None else came.scales[0]
        return Trace(
            came.pixels, maps, names, self.policy, condition, space, mask, *rest, scale, self.legibility, self.precision
        )
