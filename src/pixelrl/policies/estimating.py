"""What policies with an estimate have in common: an encoder that looks once, and what it takes for the clean image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelrl.imaging.color import from_opponent, opponent_change
from pixelrl.policies.base import FEW_VALUES, Policy, check_depths, check_sizes
from pixelrl.policies.encoder import Encoder, encoder_reach
from pixelrl.policies.estimators import ESTIMATORS, Cells, Marks, Plain
from pixelrl.policies.strips import Convolution, Gathered, StripEncoder, Waiting, rows_of_strips
from pixelrl.precision import Precision
from pixelrl.types import Condition, Image

STRIP = 2**18
"""About how many pixels of an image the encoder sees at a time on a CPU: as many as its cache holds."""
STRIP_ELSEWHERE = 2**21
"""The same on a GPU, which is slower in small parts."""


class Understood(NamedTuple):
    """What the encoder understood of an image, at half its resolution."""

    kept: Tensor | None
    """What `Estimating.kept` says of its features, at the resolution of what the encoder saw."""
    estimate: Cells
    """The clean image as it is estimated, ``(b, 4 c, ...)``, at half the image's resolution."""


class Estimating(Policy):
    """A policy whose encoder forms an estimate of the clean image when the episode begins.

    Its memory holds the estimate's cells somewhere, and ends with channels of the policy's own.

    Args:
        num_channels: channels of the image.
        width: channels of the encoder at half resolution.
        deep_width: channels of the encoder at a quarter of the resolution.
        depths: residual blocks before, in and after the quarter-resolution part.
        estimator: how the estimate comes about, a key of `pixelrl.policies.estimators.ESTIMATORS`.
        condition_planes: planes of the condition (`pixelrl.tasks.Conditioning.num_planes`).
        opponent: whether the images that it is given, and its estimate, have opponent colours
            (`pixelrl.imaging.color.to_opponent`). The encoder sees red, green and blue all the same.
        deepest: residual blocks at an eighth of the resolution, in the middle of those at a quarter; 0 for none.
        deepest_width: channels of the encoder there.

    Raises:
        ValueError: an unknown estimator, one that is not for so many channels, sizes that are none, or opponent colours
            where they cannot be.
    """

    stride = 2
    takes_condition = True
    precision: Precision | None = "fp32"

    def __init__(
        self,
        num_channels: int,
        width: int,
        deep_width: int,
        depths: Sequence[int],
        estimator: str,
        condition_planes: int,
        opponent: bool = False,
        deepest: int = 0,
        deepest_width: int = 96,
    ) -> None:
        super().__init__()
        if opponent and (num_channels != 3 or estimator not in ("plain", "marks")):
            raise ValueError("opponent colours are for num_channels = 3 and the estimators 'plain' and 'marks'")
        self.opponent = opponent
        check_sizes(num_channels=num_channels, width=width, deep_width=deep_width, deepest_width=deepest_width)
        blocks = check_depths(depths)
        if type(deepest) is not int or not 0 <= deepest <= 100:
            raise ValueError(f"deepest = {deepest!r} must be a whole number from 0 to 100")
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator = {estimator!r} is unknown; known are {', '.join(ESTIMATORS)}")
        self.estimator, self.condition_planes = ESTIMATORS[estimator](num_channels, condition_planes), condition_planes
        self.num_channels, self.num_agents = num_channels, self.estimator.num_agents
        self.encoder = Encoder(self.estimator.num_inputs, width, deep_width, blocks, deepest, deepest_width)
        self.to_residual = nn.Conv2d(width, self.estimator.num_outputs, 3, padding=1)
        nn.init.zeros_(self.to_residual.weight)
        assert self.to_residual.bias is not None
        nn.init.zeros_(self.to_residual.bias)
        self.perceives_in_strips = not self.estimator.looks_at_image
        reduction = self.estimator.reduction * self.estimator.smallest
        self.alignment = (8 if deepest else 4) * reduction  # what a cell of the lowest resolution spans
        if deepest:  # the lowest resolution has deepest_width / alignment**2 values a pixel
            self.least_pixels = max(self.least_pixels, -(-FEW_VALUES * self.alignment**2 // deepest_width))
        reach = encoder_reach(blocks, deepest) * reduction + self.estimator.halo + 2 * self.alignment
        self.reach = 4 * -(-reach // 4)

    def kept(self, features: Tensor) -> Tensor | None:
        """What the policy wants to remember of the encoder's features beside the estimate, by place: here nothing."""
        return None

    def understood(self, image: Image, condition: Condition) -> Understood:
        """Encode the noisy image with its condition. Height and width are filled up to multiples of `alignment`.

        Where no gradient is asked for, an image of two strips or more is encoded in strips of rows
        (`pixelrl.policies.strips`).
        """
        condition = condition.expand(-1, -1, *image.shape[-2:])
        strip = STRIP if image.device.type == "cpu" else STRIP_ELSEWHERE
        large = image.shape[-2] * image.shape[-1] >= 2 * strip
        if large and self.perceives_in_strips and not torch.is_grad_enabled():
            return self._in_strips(image, condition, strip)
        seen, inputs, own = self._seen(image, condition)
        features = self._encoded(self.encoder, inputs)
        answer = self.to_residual(features)
        if not self.training:
            answer = self.estimator.agreed(inputs, answer, self._answer)
        return Understood(self.kept(features), self._estimated(seen, inputs, own, answer))

    def _answer(self, inputs: Cells) -> Cells:
        answer: Cells = self.to_residual(self._encoded(self.encoder, inputs))
        return answer

    def _in_strips(self, image: Image, condition: Condition, pixels: int) -> Understood:
        """The same, in strips of about so many pixels."""
        height, width = image.shape[-2:]
        around = -(-self.estimator.halo // self.alignment) * self.alignment
        rows = -(-height // self.alignment) * self.alignment // 2
        encoder, to_residual, waiting = StripEncoder(self.encoder), Convolution(self.to_residual), Waiting()
        kept, estimate = Gathered(rows), Gathered(rows)
        for start, stop in rows_of_strips(height, width, pixels, self.reach, self.alignment):
            first, end, last = max(0, start - around), min(height, stop + around), stop == height
            seen, *cells = self._seen(image[:, :, first:end], condition[:, :, first:end])
            inputs, own = (each[:, :, (start - first) // 2 : None if last else (stop - first) // 2] for each in cells)
            waiting.put(torch.cat([inputs, own], 1) if self.opponent else inputs)
            features = self._encoded(partial(encoder, last=last), inputs)
            remembered = self.kept(features)
            if remembered is not None:
                kept.put(remembered)
            answer = to_residual(features, last)
            whole, number = waiting.take(answer.shape[2]), inputs.shape[1]
            estimate.put(self._estimated(seen, whole[:, :number], whole[:, number:], answer))
        assert estimate.whole is not None
        return Understood(kept.whole, estimate.whole)

    def _seen(self, image: Image, condition: Condition) -> tuple[Tensor, Cells, Cells]:
        """The image as the estimator has it, what the encoder sees of it, and the cells of its opponent colours.

        Of the last there are no channels where the image has none.
        """
        in_rgb = from_opponent(image) if self.opponent else image
        seen = self.estimator.to_multiple(self.estimator.seen(in_rgb), self.alignment)
        inputs = self.estimator.inputs(seen, self.estimator.to_multiple(condition, self.alignment))
        own = (
            F.pixel_unshuffle(self.estimator.to_multiple(image, self.alignment), 2) if self.opponent else inputs[:, :0]
        )
        return seen, inputs.contiguous(memory_format=torch.channels_last), own

    def _estimated(self, seen: Image, inputs: Cells, own: Cells, answer: Cells) -> Cells:
        """The estimate; in opponent colours exactly the image's where the estimator leaves it as it is."""
        estimate = self.estimator.estimate(seen, inputs, answer)
        if not self.opponent:
            return estimate
        change = F.pixel_shuffle(estimate.float() - inputs[:, : self.estimator.cells].float(), 2)
        return own + F.pixel_unshuffle(opponent_change(change), 2)

    def _encoded(self, encoder: Callable[[Tensor], Tensor], inputs: Cells) -> Tensor:
        if self.precision != "bf16":
            return encoder(inputs)
        with torch.autocast(inputs.device.type, torch.bfloat16):
            features = encoder(inputs)
        return features.float()

    def estimating(self) -> Iterable[nn.Parameter]:
        """The encoder, and the layer that makes an estimate of its features."""
        return (*self.encoder.parameters(), *self.to_residual.parameters())

    def adapted(self, name: str, weight: Tensor) -> Tensor:
        """What is brought from a policy for colours to one for grey, and from one plane of condition to several.

        A policy for grey sees its picture as the other saw three equal channels, and its estimate is their mean. Where
        the other policy had one plane of condition, and this one has k, each counts a k-th.
        """
        own = self.encoder.enter.weight
        if self.num_channels == 1 and isinstance(self.estimator, Plain | Marks):
            colors = 3 * self.estimator.cells
            if name == "encoder.enter.weight" and weight.shape[1] == own.shape[1] + colors - self.estimator.cells:
                summed = torch.stack(weight[:, :colors].chunk(3, 1)).sum(0)
                return torch.cat([summed, weight[:, colors:]], 1)
            if name.startswith("to_residual.") and len(weight) == colors:
                return torch.stack(weight.chunk(3)).mean(0)
        extra = self.condition_planes - 1
        if name != "encoder.enter.weight" or weight.shape[1] != own.shape[1] - extra:
            return weight
        # The planes come after the image's cells (`Plain.inputs`).
        cells = 4 * self.num_channels
        before, plane, after = weight[:, :cells], weight[:, cells : cells + 1], weight[:, cells + 1 :]
        return torch.cat([before, plane.expand(-1, extra + 1, -1, -1) / (extra + 1), after], 1)

    def remark(self, image: Image) -> str | None:
        """What the estimator says."""
        return self.estimator.remark(image)


def of_size(cells: Cells, image: Image) -> Image:
    """The image of ``image``'s size whose cells these are."""
    return F.pixel_shuffle(cells.float(), 2)[..., : image.shape[-2], : image.shape[-1]]


def cropped(memory: Cells, image: Image) -> Cells:
    """A memory without the rows and columns that were filled up."""
    height, width = image.shape[-2:]
    return memory[:, :, : (height + 1) // 2, : (width + 1) // 2]
