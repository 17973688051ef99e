"""What a session shows: its frames, parts of them as bytes, the story of a pixel, and where something has changed."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, final

import cv2
import numpy as np
import numpy.typing as npt
import torch

from pixelrl.edits import Edit
from pixelrl.errors import UsageError
from pixelrl.imaging.color import RGB_SPACES, from_space, outcome_in_srgb
from pixelrl.imaging.metrics import bits_per_pixel, to_8_bit
from pixelrl.imaging.parts import strips
from pixelrl.pictures.display import as_seen
from pixelrl.pictures.formats import Picture
from pixelrl.pictures.scale import Scale
from pixelrl.pictures.values import array_to_tensor, tensor_to_array
from pixelrl.studio.folder import Folder
from pixelrl.studio.preview import Box, Frames, Preview, bounds
from pixelrl.studio.regions import kept, painted, touching
from pixelrl.trace import Trace
from pixelrl.types import Image
from pixelrl.validation import check_box

Bytes = npt.NDArray[np.uint8]


@final
@dataclass(frozen=True)
class Recorded:
    """A run of a policy: what is saved, and its images, with values in the trace's RGB space."""

    trace: Trace
    frames: Frames

    def initial(self, box: Box) -> Image:
        """Part of the picture with which it began, in sRGB."""
        return array_to_tensor(self.trace.pixels[box.y0 : box.y1, box.x0 : box.x1], self.trace.scale)

    @functools.cached_property
    def bits(self) -> float | None:
        """How many bits per pixel its maps take (`pixelrl.imaging.metrics.bits_per_pixel`); None of a tiny picture."""
        bits = float(bits_per_pixel(torch.from_numpy(self.trace.actions)[:, None]))
        return bits if math.isfinite(bits) else None


@final
@dataclass(frozen=True)
class Arrived:
    """What a run that is not over yet has done last.

    Attributes:
        number: grows with everything that arrives.
        step: after which this is the picture.
        steps: that there will be.
        box: the part of the picture that it is.
        shown: its pixels as 8 bits ``(h, w, c)``.
    """

    number: int
    step: int
    steps: int
    box: Box
    shown: Bytes


class Screen:
    """See the module.

    Args:
        folder: where everything that must not be lost is kept.
        picture: the folder's picture.
    """

    def __init__(self, folder: Folder, picture: Picture) -> None:
        self.folder, self.picture = folder, picture
        self.height, self.width = picture.pixels.shape[:2]
        self.recorded: Recorded | None = None
        self.preview: Preview | None = None
        self.reaction: Recorded | None = None
        """The live run with the edits at hand; None if it is still to be done."""
        self.revision = 0
        """Grows with every change of what is shown."""
        self.arrived: Arrived | None = None
        """What has come last of the run at hand; None where nothing has, or there is none."""
        self._arrivals = 0
        self.runs = 0
        """Grows with every run that is recorded."""
        self.changes: list[tuple[int, Box]] = []
        self._extents: dict[int, dict[str, object]] = {}
        self._shares: tuple[int, list[list[float]]] | None = None
        self.lock = threading.RLock()

    @property
    def mode(self) -> Literal["replay", "live"]:
        """How edits are applied."""
        return "live" if self.folder.document.mode == "live" else "replay"

    @property
    def pixels(self) -> int:
        """How many the picture has."""
        return int(self.height * self.width)

    def _names(self) -> tuple[str, ...]:
        if self.recorded is None:
            raise UsageError("nothing has been run on this picture yet; run a policy first")
        return self.recorded.trace.action_names

    def shown_run(self) -> Recorded:
        """What the policy did: the reaction that is shown, or else the recorded run."""
        self._names()
        with self.lock:
            recorded = self.reaction if self.mode == "live" and self.reaction is not None else self.recorded
        assert recorded is not None
        return recorded

    def shown(self) -> Frames:
        """The frames that are on the screen."""
        with self.lock:
            if self.preview is None or self.recorded is None:
                raise UsageError("nothing has been run on this picture yet; run a policy first")
            return self.reaction.frames if self.mode == "live" and self.reaction is not None else self.preview.frames

    def _frames(self, plain: bool) -> Frames:
        if self.recorded is not None and (plain or self._as_recorded()):
            return self.recorded.frames
        return self.shown()

    def _as_recorded(self) -> bool:
        """Whether what is shown is what was recorded."""
        return False

    def frame(self, step: int, plain: bool, box: Box | None = None) -> Bytes:
        """Part of the image after a step (0: the input) as 8 bits ``(h, w, c)``, as shown or without edits."""
        with self.lock:
            frames = self._frames(plain)
            if not 0 <= step < len(frames.images):
                raise UsageError(f"step = {step} must be 0 to {len(frames.images) - 1}")
            box = self._inside(box)
            image, whole = frames.images[step], box
            parts = (Box(whole.x0, y0, whole.x1, y1) for y0, y1 in _rows(whole))
            shown = in_8_bit((self._in_srgb(image, part) for part in parts), self.picture.icc_profile)
            frames.kept[step].let_go()
        return shown

    def arrives(self, step: int, steps: int, box: Box, image: Image) -> None:
        """Show what a run that is not over yet has made of a part of the picture: ``(1, c, h, w)`` in sRGB."""
        parts = (image[..., y0 - box.y0 : y1 - box.y0, :] for y0, y1 in _rows(box))
        shown = in_8_bit(parts, self.picture.icc_profile)
        with self.lock:
            self._arrivals += 1
            self.arrived = Arrived(self._arrivals, step, steps, box, shown)

    def _in_srgb(self, image: Image, box: Box) -> Image:
        """Part of an image of the frames in sRGB."""
        assert self.recorded is not None
        space = self.recorded.trace.space
        if space in RGB_SPACES:
            return from_space(box.crop(image), space)
        return outcome_in_srgb(box.crop(image), space, self.recorded.initial(box))

    def input_frame(self) -> Bytes:
        """The picture itself, as `frame` gives it, before there is a run."""
        pixels = self.picture.pixels
        scale = Scale.of(pixels)
        whole = Box(0, 0, self.width, self.height)
        parts = (array_to_tensor(pixels[y0:y1], scale) for y0, y1 in _rows(whole))
        return in_8_bit(parts, self.picture.icc_profile)

    def recorded_object(self) -> npt.NDArray[np.bool_]:
        """The object that the recorded run was told of, ``(h, w)``; raises UsageError if its policy takes none."""
        self._names()
        assert self.recorded is not None
        trace = self.recorded.trace
        if trace.mask is None:
            raise UsageError(f"policy {trace.policy} takes no object; run one that does, for instance saliency-edit")
        return trace.mask

    def action_map(self, step: int, plain: bool, box: Box | None = None) -> Bytes:
        """Part of the action maps of a step (from 1), ``(g, h, w)``."""
        with self.lock:
            actions = self._frames(plain).actions
            if not 1 <= step <= len(actions):
                raise UsageError(f"step = {step} must be 1 to {len(actions)}")
            return self._inside(box).crop(actions[step - 1, 0]).numpy().copy()

    def _inside(self, box: Box | None) -> Box:
        """The box, or that of the picture; raises UsageError for one that does not lie in the picture."""
        if box is None:
            return Box(0, 0, self.width, self.height)
        check_box(box, f"box = {list(box)}", (self.height, self.width))
        return box

    def pixel(self, x: int, y: int) -> dict[str, object]:
        """The story of a pixel: its values in grey levels, and its operations, shown and recorded."""
        self.require_pixel(x, y)
        with self.lock:
            frames, plain = self.shown(), self._frames(True)
            images = [self._in_srgb(image, Box(x, y, x + 1, y + 1)) for image in frames.images]
            actions, recorded = (f.actions[:, 0, :, y, x].tolist() for f in (frames, plain))
        values = [[round(255 * v, 2) for v in image.flatten().tolist()] for image in images]
        seen = [self._seen(image) for image in images]
        return {"x": x, "y": y, "values": values, "seen": seen, "actions": actions, "recorded": recorded}

    def _seen(self, pixel: Image) -> list[int]:
        """A pixel ``(1, c, 1, 1)`` in the colours of a screen."""
        colours: list[int] = in_8_bit([pixel], self.picture.icc_profile).ravel().tolist()
        return colours

    def value(self, x: int, y: int, step: int) -> dict[str, object]:
        """What a pixel holds in the input and after a step: in the picture's own numbers, in 8 bits (``shown``), and in
        the colours of a screen (``seen``)."""
        self.require_pixel(x, y)
        pixel = self.picture.pixels[y : y + 1, x : x + 1]
        before = array_to_tensor(pixel, Scale.of(self.picture.pixels))
        with self.lock:
            if self.recorded is None:
                now, own = before, pixel
            else:
                images, trace, box = self._frames(False).images, self.recorded.trace, Box(x, y, x + 1, y + 1)
                if not 0 <= step < len(images):
                    raise UsageError(f"step = {step} must be 0 to {len(images) - 1}")
                before, now = (self._in_srgb(image, box) for image in (images[0], images[step]))
                own = tensor_to_array(now, str(pixel.dtype), pixel.ndim, trace.scale, pixel)
        as_shown = [to_8_bit(image).flatten().int().tolist() for image in (before, now)]
        values = {"before": pixel.ravel().tolist(), "now": own.ravel().tolist(), "shown": as_shown}
        return {"x": x, "y": y, **values, "seen": [self._seen(image) for image in (before, now)]}

    def shares(self) -> list[list[float]]:
        """The share of the agents that take each action, by step."""
        with self.lock:
            n = len(self._names())
            if self._shares is not None and self._shares[0] == self.revision:
                return self._shares[1]
            result = []
            for maps in self.shown().actions[:, 0].numpy():
                counts = sum(cv2.calcHist([plane], [0], None, [n], [0, n]).ravel() for plane in maps)
                result.append([float(count) / maps.size for count in counts])
            self._shares = (self.revision, result)
            return result

    def _note(self, boxes: Sequence[Box] | None) -> None:
        """Something shown has changed: these boxes, or (None) all of it."""
        for box in [Box(0, 0, self.width, self.height)] if boxes is None else boxes:
            self.revision += 1
            self.changes.append((self.revision, box))
        del self.changes[:-400]

    def changed_since(self, revision: int) -> list[Box]:
        """What has changed on the screen since a revision."""
        with self.lock:
            if self.changes and revision + 1 < self.changes[0][0]:
                return [Box(0, 0, self.width, self.height)]
            return [box for number, box in self.changes if number > revision]

    def require_pixel(self, x: int, y: int) -> None:
        """Raise UsageError where the picture has no such pixel."""
        if not (0 <= x < self.width and 0 <= y < self.height):
            raise UsageError(f"the pixel ({x}, {y}) does not lie inside the picture of {self.width}x{self.height}")

    def _compare(self, exact: Frames) -> None:
        """Tell the screen where the exact result looks different from the preview."""
        assert self.preview is not None
        different = np.zeros((self.height, self.width), bool)
        shown = self.preview.frames
        for y0, y1 in _rows(Box(0, 0, self.width, self.height)):
            part, own = Box(0, y0, self.width, y1), slice(y0, y1)
            for one, other in zip(shown.images[1:], exact.images[1:], strict=True):
                if not torch.equal(part.crop(one), part.crop(other)):
                    seen = (to_8_bit(self._in_srgb(image, part)) for image in (one, other))
                    different[own] |= torch.ne(*seen).any(1)[0].numpy()
            actions = (part.crop(frames.actions) for frames in (shown, exact))
            different[own] |= torch.ne(*actions).flatten(0, 2).any(0).numpy()
            shown.let_go()
            exact.let_go()
        box = bounds(different)
        if box is not None:
            self._note([box])

    def extent(self, number: int, edit: Edit) -> dict[str, object]:
        """The box around the edit of this number, and its pixels; None for both where it is the whole picture."""
        if number not in self._extents:
            inside = None if edit.mask is None else edit.mask.numpy()
            box = None if inside is None else bounds(inside)
            pixels = None if inside is None else int(inside.sum())
            self._extents[number] = {"box": None if box is None else list(box), "pixels": pixels}
        return self._extents[number]

    # --- Regions ----------------------------------------------------------------------------------

    def add_mask(self, box: Sequence[int], runs: Sequence[int]) -> dict[str, object]:
        """Keep a painted region: inside ``box``, row by row, ``runs`` of pixels that are out, in, out, ...

        Raises:
            UsageError: they do not fit the picture or each other.
        """
        with self.lock:
            return kept(self.folder, painted(box, runs, self.height, self.width))

    def same_action(self, step: int, x: int, y: int, channel: int) -> dict[str, object]:
        """Keep the region around a pixel whose agents do the same as its own at a step, as far as they touch.

        Raises:
            UsageError: there is no such step, pixel or agent.
        """
        with self.lock:
            frames, names = self.shown(), self._names()
            agents = frames.actions.shape[2]
            if not 1 <= step <= len(frames.actions):
                raise UsageError(f"step = {step!r} must be 1 to {len(frames.actions)}")
            self.require_pixel(x, y)
            if not 0 <= channel < agents:
                raise UsageError(f"channel = {channel!r} must be 0 to {agents - 1}")
            actions = frames.actions[step - 1, 0, channel].numpy().copy()
        inside = touching(actions, x, y)
        with self.lock:
            return {**kept(self.folder, inside), "action": names[int(actions[y, x])]}


def _rows(box: Box) -> Iterator[tuple[int, int]]:
    """The rows of a box, in parts that take little memory."""
    for rows in strips(box.y1 - box.y0, box.x1 - box.x0, 0):
        yield box.y0 + rows.start, box.y0 + rows.stop


def in_8_bit(parts: Iterable[Image], profile: bytes | None = None) -> Bytes:
    """Images ``(1, c, h, w)`` that stand below each other, as 8 bits ``(h, w, c)`` in sRGB.

    Args:
        parts: the images, whose values are those of the picture's file.
        profile: the colour profile of these values; None for sRGB. Of grey with another profile, three channels come.
    """
    return np.concatenate([as_seen(np.moveaxis(to_8_bit(part)[0].byte().numpy(), 0, -1), profile) for part in parts])
