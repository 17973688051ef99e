"""The paper's agent: a dilated fully convolutional network that looks afresh at the image at every step."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pixelrl.imaging.color import LAB_SCALE, prophoto_to_lab
from pixelrl.policies.base import Memory, Policy, PolicyOutput, check_sizes
from pixelrl.rl.returns import identity_kernel
from pixelrl.types import Condition, Image, Outcomes

SHARED_DILATIONS = (2, 3, 4)
"""After a first convolution without dilation; actor and critic share them all."""
BRANCH_DILATIONS = (3, 2)
LAB_SEEN = (1.0, LAB_SCALE / 127, LAB_SCALE / 127)
"""Factors from Lab / 100 to what the paper's network sees of a colour."""


class Convolution(nn.Conv2d):
    """A 3x3 convolution that keeps height and width, computed in PyTorch's default memory layout.

    Channels-last is up to 1.3 times faster on CPU, but there oneDNN may sum in an order that depends on the image's
    width, and tiles would differ from the whole image in their last bits. Input or weights, either could choose it.
    Under autocast, in bfloat16, the last bits are given up anyway and channels-last is several times faster.
    """

    def __init__(self, num_inputs: int, num_outputs: int, dilation: int = 1, bias: bool = True) -> None:
        super().__init__(num_inputs, num_outputs, 3, padding=dilation, dilation=dilation, bias=bias)
        nn.init.kaiming_normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(b, num_inputs, h, w)`` to ``(b, num_outputs, h, w)``."""
        reduced = torch.is_autocast_enabled(x.device.type)
        layout = torch.channels_last if reduced else torch.contiguous_format
        weight = self.weight.contiguous(memory_format=layout)
        return F.conv2d(x.contiguous(memory_format=layout), weight, self.bias, 1, self.padding, self.dilation)


def dilated(width: int, dilations: tuple[int, ...]) -> nn.Sequential:
    """3x3 convolutions with these dilations, a ReLU after each; ``(b, width, h, w)`` to the same shape."""
    layers: list[nn.Module] = []
    for dilation in dilations:
        layers.append(Convolution(width, width, dilation))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class ConvGRU(nn.Module):
    """A gated recurrent unit of six 3x3 convolutions without bias, named as in the paper.

    ``z = s(Wz x + Uz h)``, ``r = s(Wr x + Ur h)``, ``h~ = tanh(W x + U (r h))``, ``h' = (1 - z) h + z h~``.
    """

    reach = 2
    """Radius in pixels: the reset gate sees the neighbours, and U sees the neighbours' reset gates."""

    def __init__(self, width: int) -> None:
        super().__init__()

        def convolution() -> Convolution:
            return Convolution(width, width, bias=False)

        self.W, self.U = convolution(), convolution()
        self.Wz, self.Uz = convolution(), convolution()
        self.Wr, self.Ur = convolution(), convolution()

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """The next hidden state; all are ``(b, width, h, w)``."""
        z = torch.sigmoid(self.Wz(x) + self.Uz(hidden))
        r = torch.sigmoid(self.Wr(x) + self.Ur(hidden))
        new = torch.tanh(self.W(x) + self.U(r * hidden))
        return (1 - z) * hidden + z * new


@final
class FCN(Policy):
    """The network of Furuta et al., "PixelRL" (IEEE TMM 2020), actor and critic.

    Args:
        num_actions: number of actions n.
        num_channels: channels of the image. One agent acts on all of a pixel's channels (g = 1).
        width: channels of every hidden layer.
        recurrent: put a convolutional GRU in front of the logits. Its state is the memory, and it is detached
            at every step: there is no back-propagation through time.
        reward_map_convolution: learn with a convolved return (`pixelrl.rl.returns`).
        sees: the values of pixels that the network is given: those of the image (``image``), or, of three channels
            in ProPhoto RGB, CIELAB as the paper scales it for local colour enhancement (``lab``): L / 100, a / 127
            and b / 127.

    Raises:
        ValueError: a size that is none, or something else to see.
    """

    stride = 1
    alignment = 1
    takes_condition = False

    def __init__(
        self,
        num_actions: int,
        num_channels: int = 1,
        width: int = 64,
        recurrent: bool = False,
        reward_map_convolution: bool = False,
        sees: str = "image",
    ) -> None:
        super().__init__()
        check_sizes(num_channels=num_channels, width=width)
        if sees not in ("image", "lab"):
            raise ValueError(f'sees = {sees!r} is unknown; known are "image" and "lab"')
        if sees == "lab" and num_channels != 3:
            raise ValueError(f'sees = "lab" needs colours; num_channels must be 3, not {num_channels}')
        self.sees = sees
        self.reward_kernel = nn.Parameter(identity_kernel()) if reward_map_convolution else None
        self.enter = Convolution(num_channels, width)
        self.shared = dilated(width, SHARED_DILATIONS)
        self.actor = dilated(width, BRANCH_DILATIONS)
        self.gru = ConvGRU(width) if recurrent else None
        self.to_logits = Convolution(width, num_actions)
        self.critic = dilated(width, BRANCH_DILATIONS)
        self.to_value = Convolution(width, 1)
        self.memory_width, self.rests = width if recurrent else 0, not recurrent
        gru_reach = ConvGRU.reach if recurrent else 0
        self.reach = 1 + sum(SHARED_DILATIONS) + sum(BRANCH_DILATIONS) + gru_reach + 1

    def perceive(self, image: Image, condition: Condition) -> Memory:
        """The hidden state starts at 0; a policy without a GRU carries no channels at all."""
        batch, _, height, width = image.shape
        return image.new_zeros(batch, self.memory_width, height, width)

    def forward(self, image: Image, outcomes: Outcomes, memory: Memory) -> PolicyOutput:
        """Judge the image as it is now; this network does not look at the outcomes."""
        shared = self.shared(F.relu(self.enter(self._seen(image))))
        features = self.actor(shared)
        if self.gru is not None:
            features = memory = self.gru(features, memory.detach())
        logits = self.to_logits(features).to(image.dtype)[:, :, None]
        value = self.to_value(self.critic(shared)).to(image.dtype) if self.training else None
        return PolicyOutput(logits, value, memory)

    def _seen(self, image: Image) -> Image:
        if self.sees == "image":
            return image
        return prophoto_to_lab(image) * image.new_tensor(LAB_SEEN)[:, None, None]

    def estimate(self, memory: Memory, image: Image) -> None:
        """None: this network forms no clean image."""
        return None
