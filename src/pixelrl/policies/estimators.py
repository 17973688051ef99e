"""How a lookahead policy forms its estimate of the clean image: five ways, one class each.

An estimator has no weights. It says what the policy's encoder sees of an image, and what becomes of its answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from pixelrl.imaging.color import prophoto_to_lab
from pixelrl.imaging.impulses import PLATEAU_REACH, hit
from pixelrl.imaging.specks import little_noise
from pixelrl.policies.encoder import mirror_to_multiple, pad_to_multiple
from pixelrl.types import Condition, Image

Cells = Float[Tensor, "b _ _ _"]
"""Channels at half the resolution of an image, where each image channel has four, one per pixel of 2x2."""


class Estimator(ABC):
    """One way to an estimate.

    Args:
        num_channels: c, channels of the image.
        num_planes: k, planes of the condition.

    Raises:
        ValueError: this way is not for so many channels.
    """

    reduction: int = 1
    """How many times smaller than the image the one is that the encoder sees."""
    smallest: int = 1
    """How many times smaller than that one the smallest is that the encoder sees (`agreed`)."""
    halo: int = 0
    """Radius in pixels within which `seen` and `inputs` look around a pixel."""
    looks_at_image: bool = False
    """Whether `estimate` of a place looks at the image or at other places, and not at inputs and answer there alone."""
    mirrors: bool = False
    """Whether what fills up an image's size (`to_multiple`) mirrors it instead of repeating its last row and column.

    With noise at every pixel that is better by far at the border. Where most pixels are as they should be it brings
    nothing, and what was trained for that does as it did.
    """
    num_inputs: int
    """Channels of `inputs`."""
    num_outputs: int
    """Channels of the encoder's answer."""
    num_agents: int
    """g, agents per pixel."""

    def __init__(self, num_channels: int, num_planes: int) -> None:
        self.cells, self.planes = 4 * num_channels, num_planes
        self.num_inputs, self.num_outputs = self.cells + num_planes, self.cells
        self.num_agents = num_channels

    def seen(self, image: Image) -> Image:
        """The image ``(b, c, h, w)`` of any size as `inputs` is to have it, but for its size: here as it is."""
        return image

    def to_multiple(self, planes: Tensor, multiple: int) -> Tensor:
        """Planes ``(b, k, h, w)`` with rows and columns added until height and width are multiples of ``multiple``."""
        return (mirror_to_multiple if self.mirrors else pad_to_multiple)(planes, multiple)

    def inputs(self, image: Image, condition: Condition) -> Cells:
        """What the encoder sees, ``(b, num_inputs, h / (2 reduction), w / (2 reduction))``.

        Here the image's cells, and the condition's planes, of which every second pixel is seen.

        Args:
            image: what `seen` gave; its sides are multiples of 4 times `reduction`.
            condition: ``(b, k, h, w)``.
        """
        return torch.cat([F.pixel_unshuffle(image, 2), condition[:, :, ::2, ::2]], 1)

    @abstractmethod
    def estimate(self, image: Image, inputs: Cells, answer: Cells) -> Cells:
        """The estimate, ``(b, 4 c, h / 2, w / 2)``.

        Args:
            image: as in `inputs`.
            inputs: what `inputs` gave.
            answer: the encoder's, ``(b, num_outputs, ...)`` of the size of ``inputs``.
        """

    def agreed(self, inputs: Cells, answer: Cells, ask: Callable[[Cells], Cells]) -> Cells:
        """The answer that counts once the policy has learned: here the encoder's only one.

        Args:
            inputs: what `inputs` gave.
            answer: the encoder's, to them.
            ask: gives the encoder's answer to other inputs of this kind.
        """
        return answer

    def remark(self, image: Image) -> str | None:
        """What a person should know of this image ``(b, c, h, w)`` (`pixelrl.policies.Policy.remark`): here nothing."""
        return None

    def compared(self, image: Tensor) -> Tensor:
        """Images ``(..., c, h, w)`` as outcomes and estimate are compared: here their values."""
        return image


@final
class Plain(Estimator):
    """The encoder sees the image, and its answer is the noise in it (as in Zhang et al., TIP 2017)."""

    mirrors = True

    def estimate(self, image: Image, inputs: Cells, answer: Cells) -> Cells:
        """The image without the noise."""
        return inputs[:, : self.cells] - answer


@final
class Marks(Estimator):
    """As `Plain`, but what is taken away must be a mark: far from any, the estimate is the image, bit for bit.

    A mark is where the encoder's answer is at least `LEAST_MARK` in `MARK_CELLS` cells of a square of `MARK_SIZE`, and
    within `MARK_COMPANY` cells of it marks have `MARK_LEAST_COMPANY` such cells: text is more than a speck, and small
    bright things of photographs stand alone. Around marks, as far as `MARK_REACH` cells, all of the answer counts, for
    letters have soft edges, and compression disturbs their surroundings. So a picture without any marks is left
    alone, though no answer is quite 0.
    """

    looks_at_image = True

    def __init__(self, num_channels: int, num_planes: int) -> None:
        super().__init__(num_channels, num_planes)
        self.halo = 2 * (MARK_REACH + MARK_SIZE // 2 + MARK_COMPANY + MARK_SIZE // 2)

    def estimate(self, image: Image, inputs: Cells, answer: Cells) -> Cells:
        """The image, less the answer near marks."""
        return inputs[:, : self.cells] - answer * near_marks(answer)


@final
class Impulses(Estimator):
    """Values of at most 0 or at least 1 are missing (salt & pepper noise); all other pixels are trusted.

    Black and white areas of the scene itself are trusted, too (`pixelrl.imaging.impulses.hit`). The encoder also sees
    where the missing ones are, and the image with those places filled from their surroundings.
    """

    def __init__(self, num_channels: int, num_planes: int) -> None:
        super().__init__(num_channels, num_planes)
        self.num_inputs = 3 * self.cells + num_planes
        self.halo = FILL_ROUNDS * (FILL_SIZE // 2) + PLATEAU_REACH

    def seen(self, image: Image) -> Image:
        """What is trusted lies strictly between 0 and 1: black and white areas by a hair, far below any rounding.

        Of the image as it is: in rows that are repeated to fill up its size, noise would look like areas.
        """
        return torch.where(hit(image), image, image.clamp(HAIR, 1 - HAIR))

    def inputs(self, image: Image, condition: Condition) -> Cells:
        """Cells of the filled image, planes, cells of what is missing, and those of the image as it is."""
        missing = ((image <= 0) | (image >= 1)).float()
        filling, gaps, as_it_is = (F.pixel_unshuffle(each, 2) for each in (filled(image), missing, image))
        return torch.cat([filling, condition[:, :, ::2, ::2], gaps, as_it_is], 1)

    def estimate(self, image: Image, inputs: Cells, answer: Cells) -> Cells:
        """The filled image, corrected where it was filled."""
        begin = self.cells + self.planes
        missing = inputs[:, begin : begin + self.cells]
        return inputs[:, : self.cells] - answer * missing

    def remark(self, image: Image) -> str | None:
        """That there is hardly any noise of this kind."""
        return little_noise(image)


class Lab(Estimator):
    """Colours are seen in CIELAB; the image's three channels are ProPhoto RGB, and each pixel has one agent.

    The estimate is a quadratic function of the pixel's own colour, whose coefficients the encoder chooses for each
    place from a smaller image (as in Gharbi et al., SIGGRAPH 2017): a look asks for a wide view more than for detail,
    and the pixel brings its own.
    """

    reduction = 4
    looks_at_image = True

    def __init__(self, num_channels: int, num_planes: int) -> None:
        super().__init__(num_channels, num_planes)
        if num_channels != 3:
            raise ValueError(f"the estimator 'lab' sees colours; num_channels must be 3, not {num_channels}")
        self.num_outputs, self.num_agents = 3 * QUADRATIC, 1

    def inputs(self, image: Image, condition: Condition) -> Cells:
        """Cells of the reduced image, in Lab / 100, and of the condition."""
        small = F.pixel_unshuffle(F.avg_pool2d(prophoto_to_lab(image), self.reduction), 2)
        step = 2 * self.reduction
        return torch.cat([small, condition[:, :, ::step, ::step]], 1)

    def estimate(self, image: Image, inputs: Cells, answer: Cells) -> Cells:
        """The image less the quadratic function of its colours, by coefficients that are brought to its size."""
        coefficients = F.interpolate(answer.float(), image.shape[-2:], mode="bilinear")
        coefficients = coefficients.view(len(image), 3, QUADRATIC, *image.shape[-2:])
        change = (coefficients * quadratic_terms(image)[:, None]).sum(2)
        return F.pixel_unshuffle(image - change, 2)

    def compared(self, image: Tensor) -> Tensor:
        """In Lab / 100."""
        return prophoto_to_lab(image)


@final
class LabViews(Lab):
    """As `Lab`, but the encoder is asked eight times, and the mean of its answers counts.

    It sees the image turned by each quarter, and the same reduced to half the size. An encoder that learned from a few
    dozen pairs errs otherwise each time. Training asks once, as its crops are turned and scaled anyway.
    """

    smallest = 2

    def agreed(self, inputs: Cells, answer: Cells, ask: Callable[[Cells], Cells]) -> Cells:
        """The mean, at the size of ``answer``. The sides of ``inputs`` are multiples of 4."""
        small, planes = F.pixel_shuffle(inputs[:, : self.cells], 2), inputs[:, self.cells :]
        total = answer.float()
        for size in (1, self.smallest):
            for turns in range(1 if size == 1 else 0, 4):
                turned, told = (
                    torch.rot90(each, turns, (-2, -1))
                    for each in (F.avg_pool2d(small, size), planes[:, :, ::size, ::size])
                )
                seen = torch.cat([F.pixel_unshuffle(turned, 2), told], 1).contiguous(memory_format=torch.channels_last)
                other = torch.rot90(ask(seen).float(), -turns, (-2, -1))
                total = total + (other if size == 1 else F.interpolate(other, answer.shape[-2:], mode="bilinear"))
        return total / 8


ESTIMATORS: dict[str, type[Estimator]] = {
    "plain": Plain,
    "marks": Marks,
    "impulses": Impulses,
    "lab": Lab,
    "lab-views": LabViews,
}
"""Every estimator by the name that recipes and policy files have for it."""

LEAST_MARK = 24 / 255
MARK_CELLS, MARK_SIZE, MARK_REACH = 6, 5, 16
MARK_COMPANY, MARK_LEAST_COMPANY = 24, 60


def near_marks(answer: Cells) -> Cells:
    """Where an answer ``(b, 4 c, h, w)`` counts (`Marks`): 0 or 1, ``(b, 1, h, w)``."""
    strong = (answer.detach().abs().amax(1, keepdim=True) >= LEAST_MARK).float()
    share = F.avg_pool2d(strong, MARK_SIZE, 1, MARK_SIZE // 2)
    marks = (share > (MARK_CELLS - 0.5) / MARK_SIZE**2).float()
    around = 2 * MARK_COMPANY + 1
    company = F.avg_pool2d(strong * _widened(marks, MARK_SIZE // 2), (1, around), 1, (0, MARK_COMPANY))
    company = F.avg_pool2d(company, (around, 1), 1, (MARK_COMPANY, 0))
    return _widened(marks * (company > (MARK_LEAST_COMPANY - 0.5) / around**2).float(), MARK_REACH)


def _widened(marks: Cells, radius: int) -> Cells:
    """1 where a square of this radius holds a mark, else 0."""
    side = 2 * radius + 1
    return F.max_pool2d(F.max_pool2d(marks, (1, side), 1, (0, radius)), (side, 1), 1, (radius, 0))


QUADRATIC = 10


def quadratic_terms(image: Image) -> Tensor:
    """1, the three channels and their six products: ``(b, 3, h, w)`` to ``(b, 10, h, w)``."""
    r, g, b = (2 * image - 1).unbind(1)
    return torch.stack([torch.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, g * b, r * b], 1)


FILL_ROUNDS, FILL_SIZE = 4, 5
HAIR = 2.0**-20


def filled(image: Tensor) -> Tensor:
    """Replace values of at most 0 or at least 1 by the Gaussian-weighted mean of the others around them.

    In rounds, from the border of a hole inwards. Where `FILL_ROUNDS` rounds do not reach, the scene itself is black or
    white, or there is nothing but noise: the plain mean of what is there.
    """
    offsets = torch.arange(FILL_SIZE, device=image.device) - FILL_SIZE // 2
    side = torch.exp(-0.5 * offsets.float() ** 2)
    kernel = torch.outer(side, side)[None, None]
    planes = image.flatten(0, 1)[:, None]
    known = ((planes > 0) & (planes < 1)).float()
    with torch.autocast(image.device.type, enabled=False):
        anything = F.conv2d(planes, kernel, padding=FILL_SIZE // 2)
        anything = anything / F.conv2d(torch.ones_like(planes), kernel, padding=FILL_SIZE // 2)
        planes = planes * known
        for _ in range(FILL_ROUNDS):
            total = F.conv2d(known, kernel, padding=FILL_SIZE // 2)
            mean = F.conv2d(planes, kernel, padding=FILL_SIZE // 2) / total.clamp_min(1e-6)
            reached = (total > 1e-6).float()
            planes = torch.where(known > 0, planes, mean * reached)
            known = torch.maximum(known, reached)
    return torch.where(known > 0, planes, anything).view_as(image)
