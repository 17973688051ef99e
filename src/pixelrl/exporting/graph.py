"""The encoder of an estimating policy as an ONNX graph, node by node: from image and condition to the estimate.

It is written by hand, for it is short, its names and order are the same every time, and which of its layers compute in
8 bits is said layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from pixelrl.policies.encoder import ResidualBlock
from pixelrl.policies.estimating import Estimating
from pixelrl.policies.estimators import (
    LEAST_MARK,
    MARK_CELLS,
    MARK_COMPANY,
    MARK_LEAST_COMPANY,
    MARK_REACH,
    MARK_SIZE,
    Marks,
)

OPSET, IR_VERSION = 17, 9
"""Those of ONNX Runtime 1.17 and newer."""

Array = npt.NDArray[Any]


class Layer(NamedTuple):
    """One convolution."""

    name: str
    convolution: nn.Conv2d
    relu: bool = False


class Eight(NamedTuple):
    """How a layer computes in 8 bits."""

    seen: tuple[float, float]
    """The range of its input."""
    given: tuple[float, float]
    """The range of its output, after the ReLU if it has one, divided by ``spread``."""
    spread: Array | None
    """For each output channel the factor that its values are multiplied by after 8 bits; None for none."""


def layers(policy: Estimating) -> Iterator[Layer]:
    """The convolutions of the encoder in the order in which they are computed."""
    encoder, deepest = policy.encoder, policy.encoder.deepest
    yield Layer("enter", encoder.enter)
    yield from _blocks("before", encoder.before)
    yield Layer("down", encoder.down)
    deep = [*_blocks("deep", encoder.deep)]
    yield from deep[: 2 * encoder.middle]
    if deepest is not None:
        yield Layer("deepest.down", deepest.down)
        yield from _blocks("deepest", deepest.blocks)
        yield Layer("deepest.up", deepest.up)
    yield from deep[2 * encoder.middle :]
    yield Layer("up", encoder.up)
    yield from _blocks("after", encoder.after)
    yield Layer("leave", policy.to_residual)


def _blocks(part: str, chain: nn.Sequential) -> Iterator[Layer]:
    for i, block in enumerate(chain):
        assert isinstance(block, ResidualBlock)
        yield Layer(f"{part}{i}.first", block.first, relu=True)
        yield Layer(f"{part}{i}.second", block.second)


def encoder_graph(policy: Estimating, eight: Mapping[str, Eight]) -> onnx.ModelProto:
    """The graph.

    Its inputs are ``image``, float32 ``(b, c, h, w)`` with sides that are multiples of the policy's `alignment`, and
    ``condition``, ``(b, k, h / 2, w / 2)``, of which every second pixel is seen; its output is ``estimate``, of the
    image's size.

    Args:
        policy: with the estimator ``plain`` or ``marks``.
        eight: the layers that compute in 8 bits, by name; the others compute in float32.
    """
    return _Graph(policy, eight).model()


class _Graph:
    def __init__(self, policy: Estimating, eight: Mapping[str, Eight]) -> None:
        self.policy, self.eight = policy, eight
        self.layers = {layer.name: layer for layer in layers(policy)}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.rounded: dict[str, tuple[str, np.float32]] = {}
        """Of a value, its name after 8 bits, and their scale."""

    def model(self) -> onnx.ModelProto:
        encoder, c, k = self.policy.encoder, self.policy.num_channels, self.policy.condition_planes
        self._node("SpaceToDepth", ["image"], "cells", blocksize=2)
        x = self._convolved("enter", self._node("Concat", ["cells", "condition"], "seen", axis=1))
        x = self._chain("before", range(len(encoder.before)), x)
        half, x = x, self._convolved("down", x)
        x = self._chain("deep", range(encoder.middle), x)
        if encoder.deepest is not None:
            lowest = self._chain("deepest", range(len(encoder.deepest.blocks)), self._convolved("deepest.down", x))
            x = self._joined("deepest.", x, lowest)
        x = self._chain("deep", range(encoder.middle, len(encoder.deep)), x)
        x = self._chain("after", range(len(encoder.after)), self._joined("", half, x))
        answer = self._convolved("leave", x)
        if isinstance(self.policy.estimator, Marks):
            answer = self._node("Mul", [answer, self._near_marks(answer)], "marks.answer")
        self._node("DepthToSpace", [answer], "noise", blocksize=2, mode="CRD")
        self._node("Sub", ["image", "noise"], "estimate")
        image, planes = ["b", c, "h", "w"], ["b", k, "half_h", "half_w"]
        float32 = TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "encoder",
            [
                helper.make_tensor_value_info(*each)
                for each in (("image", float32, image), ("condition", float32, planes))
            ],
            [helper.make_tensor_value_info("estimate", float32, image)],
            [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        model.producer_name = "pixelrl"
        onnx.checker.check_model(model)
        return model

    def _near_marks(self, answer: str) -> str:
        """As `pixelrl.policies.estimators.near_marks`."""
        large = self._node("ReduceMax", [self._node("Abs", [answer], "marks.abs")], "marks.largest", axes=[1])
        least = self._constant("marks.least", np.array(LEAST_MARK, np.float32))
        strong = self._node("GreaterOrEqual", [large, least], "marks.strong")
        strong = self._node("Cast", [strong], "marks.ones", to=TensorProto.FLOAT)
        share = self._pooled("AveragePool", strong, "marks.share", MARK_SIZE // 2)
        marks = self._more(share, "marks.alone", (MARK_CELLS - 0.5) / MARK_SIZE**2)
        of_marks = self._node(
            "Mul", [strong, self._pooled("MaxPool", marks, "marks.cells", MARK_SIZE // 2)], "marks.inside"
        )
        company = self._pooled("AveragePool", of_marks, "marks.company", MARK_COMPANY)
        enough = self._more(company, "marks.enough", (MARK_LEAST_COMPANY - 0.5) / (2 * MARK_COMPANY + 1) ** 2)
        return self._pooled("MaxPool", self._node("Mul", [marks, enough], "marks"), "marks.near", MARK_REACH)

    def _pooled(self, kind: str, x: str, name: str, radius: int) -> str:
        """The mean or the largest of a square of this radius, rows first."""
        side, counted = 2 * radius + 1, {"count_include_pad": 1} if kind == "AveragePool" else {}
        rows = self._node(kind, [x], f"{name}.rows", kernel_shape=[1, side], pads=[0, radius, 0, radius], **counted)
        return self._node(kind, [rows], name, kernel_shape=[side, 1], pads=[radius, 0, radius, 0], **counted)

    def _more(self, x: str, name: str, than: float) -> str:
        """1 where a value is greater, else 0."""
        bound = self._constant(f"{name}.bound", np.array(than, np.float32))
        return self._node("Cast", [self._node("Greater", [x, bound], f"{name}.is")], name, to=TensorProto.FLOAT)

    def _node(self, kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def _constant(self, name: str, value: Array) -> str:
        self.constants[name] = value
        return name

    def _chain(self, part: str, numbers: range, x: str) -> str:
        for i in numbers:
            x = self._block(f"{part}{i}", x)
        return x

    def _joined(self, prefix: str, x: str, low: str) -> str:
        """The sum with what was done at half of the resolution."""
        up = self._convolved(f"{prefix}up", low)
        wide = self._node("DepthToSpace", [up], f"{prefix}up.half", blocksize=2, mode="CRD")
        return self._node("Add", [x, wide], f"{prefix}joined")

    def _block(self, name: str, x: str) -> str:
        change = self._convolved(f"{name}.second", self._convolved(f"{name}.first", x))
        return self._node("Add", [x, change], f"{name}.sum")

    def _convolved(self, name: str, x: str) -> str:
        layer = self.layers[name]
        weight, bias = weights_of(layer.convolution)
        if name == "enter":
            # torch orders cells by channel, and ONNX by the pixel in the cell.
            c = self.policy.num_channels
            cells = [channel * 4 + pixel for pixel in range(4) for channel in range(c)]
            weight = weight[:, [*cells, *range(4 * c, weight.shape[1])]]
        strides, padding = list(layer.convolution.stride), [int(layer.convolution.padding[0])] * 4
        attributes = {"kernel_shape": weight.shape[2:], "strides": strides, "pads": padding}
        eight = self.eight.get(name)
        if eight is None:
            operands = [x, self._constant(f"{name}.weight", weight), self._constant(f"{name}.bias", bias)]
            result = self._node("Conv", operands, name, **attributes)
            return self._node("Relu", [result], f"{name}.relu") if layer.relu else result
        if eight.spread is not None:
            weight, bias = weight / eight.spread[:, None, None, None], bias / eight.spread
        if x not in self.rounded:
            self._in_eight(x, f"{name}.in", eight.seen)
        seen, step = self.rounded[x]
        operands = [seen, *self._weights_in_eight(name, weight, bias, step)]
        result = self._node("Conv", operands, name, **attributes)
        if layer.relu:
            result = self._node("Relu", [result], f"{name}.relu")
        result = self._in_eight(result, f"{name}.out", eight.given)
        if eight.spread is not None:
            factor = self._constant(f"{name}.spread", eight.spread[:, None, None].astype(np.float32))
            result = self._node("Mul", [result, factor], f"{name}.spread_out")
        return result

    def _in_eight(self, x: str, name: str, limits: tuple[float, float]) -> str:
        step, zero = affine(*limits)
        parameters = [self._constant(f"{name}.step", np.array(step)), self._constant(f"{name}.zero", np.array(zero))]
        self._node("QuantizeLinear", [x, *parameters], f"{name}.8")
        result = self._node("DequantizeLinear", [f"{name}.8", *parameters], f"{name}.back")
        self.rounded[x] = self.rounded[result] = (result, step)
        return result

    def _weights_in_eight(self, name: str, weight: Array, bias: Array, step: np.float32) -> tuple[str, str]:
        """Weights have a scale for each output channel; a bias, of 32 bits, that of the sums it is added to."""
        scale = (np.maximum(np.abs(weight).max((1, 2, 3)), 1e-8) / 127).astype(np.float32)
        whole = np.clip(np.rint(weight / scale[:, None, None, None]), -127, 127).astype(np.int8)
        sums = (scale * step).astype(np.float32)
        results = []
        for part, values, scales in (("weight", whole, scale), ("bias", np.rint(bias / sums).astype(np.int32), sums)):
            own = f"{name}.{part}"
            operands = [self._constant(f"{own}.8", values), self._constant(f"{own}.scale", scales)]
            operands.append(self._constant(f"{own}.zero", np.zeros(len(scales), values.dtype)))
            results.append(self._node("DequantizeLinear", operands, f"{own}.back", axis=0))
        return results[0], results[1]


def weights_of(convolution: nn.Conv2d) -> tuple[Array, Array]:
    """Weight and bias in float32."""
    assert convolution.bias is not None
    return convolution.weight.detach().float().cpu().numpy(), convolution.bias.detach().float().cpu().numpy()


def affine(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """The step and the zero of 8-bit numbers for values between these; 0 is always among them."""
    low, high = min(low, 0.0), max(high, 1e-6)
    step = (high - low) / 255
    return np.float32(step), np.uint8(min(255, round(-low / step)))
