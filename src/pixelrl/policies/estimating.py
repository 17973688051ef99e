"""What policies with an estimate have in common: an encoder that looks once, and what it takes for the clean image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelrl.policies.base import Policy, check_depths, check_sizes
from pixelrl.policies.encoder import Encoder, encoder_reach, pad_to_multiple
from pixelrl.policies.estimators import ESTIMATORS, Cells
from pixelrl.precision import Precision
from pixelrl.types import Condition, Image


class Understood(NamedTuple):
    """What the encoder understood of an image, at half its resolution."""

    features: Tensor
    """``(b, width, ...)``, at the resolution of what the encoder saw."""
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

    Raises:
        ValueError: an unknown estimator, one that is not for so many channels, or sizes that are none.
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
    ) -> None:
        super().__init__()
        check_sizes(num_channels=num_channels, width=width, deep_width=deep_width)
        before, deep, after = check_depths(depths)
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator = {estimator!r} is unknown; known are {', '.join(ESTIMATORS)}")
        self.estimator, self.condition_planes = ESTIMATORS[estimator](num_channels, condition_planes), condition_planes
        self.num_channels, self.num_agents = num_channels, self.estimator.num_agents
        self.encoder = Encoder(self.estimator.num_inputs, width, deep_width, (before, deep, after))
        self.to_residual = nn.Conv2d(width, self.estimator.num_outputs, 3, padding=1)
        nn.init.zeros_(self.to_residual.weight)
        assert self.to_residual.bias is not None
        nn.init.zeros_(self.to_residual.bias)
        reduction = self.estimator.reduction
        self.alignment = 4 * reduction  # what a cell of the quarter-resolution part spans
        reach = encoder_reach((before, deep, after)) * reduction + self.estimator.halo + 2 * self.alignment
        self.reach = 4 * -(-reach // 4)

    def understood(self, image: Image, condition: Condition) -> Understood:
        """Encode the noisy image with its condition. Rows and columns are filled up to multiples of `alignment`."""
        height, width = image.shape[-2:]
        condition = pad_to_multiple(condition.expand(-1, -1, height, width), self.alignment)
        image = pad_to_multiple(self.estimator.seen(image), self.alignment)
        inputs = self.estimator.inputs(image, condition).contiguous(memory_format=torch.channels_last)
        if self.precision == "bf16":
            with torch.autocast(image.device.type, torch.bfloat16):
                features = self.encoder(inputs)
            features = features.float()
        else:
            features = self.encoder(inputs)
        return Understood(features, self.estimator.estimate(image, inputs, self.to_residual(features)))

    def estimating(self) -> Iterable[nn.Parameter]:
        """The encoder, and the layer that makes an estimate of its features."""
        return (*self.encoder.parameters(), *self.to_residual.parameters())

    def adapted(self, name: str, weight: Tensor) -> Tensor:
        """Where the other policy had one plane of condition, and this one has k: each counts a k-th."""
        own = self.encoder.enter.weight
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
