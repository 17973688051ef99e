"""The paper's network against a slow one in numpy, its receptive field, and what must not reach it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelrl.imaging.color import prophoto_to_lab
from pixelrl.policies import FCN

Array = NDArray[np.float64]
Randomise = Callable[[torch.nn.Module], None]
CONDITION = torch.zeros(1, 1, 1, 1)


def outcomes_of(image: Tensor, num_actions: int) -> Tensor:
    return image[:, None].expand(-1, num_actions, -1, -1, -1)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def slow_convolution(x: Array, weight: Array, bias: Array | None = None, dilation: int = 1) -> Array:
    """A 3x3 cross-correlation of (c, h, w), zeros beyond the border, one product at a time."""
    _, height, width = x.shape
    result = np.zeros((len(weight), height, width))
    for o, y, column in np.ndindex(result.shape):
        for i, dy, dx in np.ndindex(weight.shape[1:]):
            v, u = y + (dy - 1) * dilation, column + (dx - 1) * dilation
            if 0 <= v < height and 0 <= u < width:
                result[o, y, column] += weight[o, i, dy, dx] * x[i, v, u]
        if bias is not None:
            result[o, y, column] += bias[o]
    return result


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def slow_gru(weights: dict[str, Array], x: Array, hidden: Array) -> Array:
    """The equations of the paper, word for word."""

    def gate(name: str, y: Array) -> Array:
        return slow_convolution(y, weights[f"gru.{name}.weight"])

    z = sigmoid(gate("Wz", x) + gate("Uz", hidden))
    r = sigmoid(gate("Wr", x) + gate("Ur", hidden))
    candidate = np.tanh(gate("W", x) + gate("U", r * hidden))
    return (1 - z) * hidden + z * candidate


def slow_forward(weights: dict[str, Array], x: Array, hidden: Array) -> tuple[Array, Array, Array]:
    """Logits, value and next hidden state of one step. The dilations are the paper's: 1 2 3 4, then 3 2."""

    def layer(name: str, y: Array, dilation: int = 1) -> Array:
        return slow_convolution(y, weights[f"{name}.weight"], weights[f"{name}.bias"], dilation)

    for name, dilation in (("enter", 1), ("shared.0", 2), ("shared.2", 3), ("shared.4", 4)):
        x = np.maximum(layer(name, x, dilation), 0)
    branches = []
    for branch in ("actor", "critic"):
        y = np.maximum(layer(f"{branch}.0", x, 3), 0)
        branches.append(np.maximum(layer(f"{branch}.2", y, 2), 0))
    actor, critic = branches
    if "gru.W.weight" in weights:
        actor = hidden = slow_gru(weights, actor, hidden)
    return layer("to_logits", actor), layer("to_value", critic), hidden


def weights_of(policy: FCN) -> dict[str, Array]:
    return {name: tensor.detach().numpy() for name, tensor in policy.named_parameters()}


@pytest.mark.parametrize("size", [(1, 1), (9, 6)])
@pytest.mark.parametrize("recurrent", [False, True])
def test_two_steps_equal_the_slow_network(recurrent: bool, size: tuple[int, int], randomise: Randomise) -> None:
    policy = FCN(3, num_channels=2, width=2, recurrent=recurrent).double()
    randomise(policy)
    weights = weights_of(policy)
    images = noise(2, 2, *size)
    memory = policy.perceive(images[:1], CONDITION)
    hidden = np.zeros((2, *size))
    assert memory.shape == (1, 2 if recurrent else 0, *size)
    for image in images[:, None]:
        logits, value, memory = policy(image, outcomes_of(image, 3), memory)
        expected_logits, expected_value, hidden = slow_forward(weights, image[0].numpy(), hidden)
        assert value is not None
        np.testing.assert_allclose(logits[0, :, 0].detach().numpy(), expected_logits, atol=1e-12)
        np.testing.assert_allclose(value[0].detach().numpy(), expected_value, atol=1e-12)
        if recurrent:
            assert abs(hidden).max() > 0.01
            np.testing.assert_allclose(memory[0].detach().numpy(), hidden, atol=1e-12)


def test_one_pixel_of_the_gru_by_hand() -> None:
    """All centre weights 1 but those of z, which are 0, on one pixel: x = 0, h = 0.8.

    z = s(0) = 0.5; r = s(0.8) = 0.689974; h~ = tanh(0.689974 * 0.8) = tanh(0.551980) = 0.502002;
    h' = 0.5 * 0.8 + 0.5 * 0.502002 = 0.651001.
    """
    gru = FCN(2, width=1, recurrent=True).gru
    assert gru is not None
    with torch.no_grad():
        for name, weight in gru.named_parameters():
            weight.zero_()[..., 1, 1] = 0 if "z" in name else 1
        after = gru(torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.8))
    assert after.item() == pytest.approx(0.651001, abs=1e-6)


@pytest.mark.parametrize(("recurrent", "reach"), [(False, 16), (True, 18)])
def test_the_reach_is_exact(recurrent: bool, reach: int) -> None:
    """1 + 2 + 3 + 4 shared, 3 + 2 of the actor, 2 in the GRU (W after Wr, or U), 1 to the logits."""
    policy = FCN(2, width=1, recurrent=recurrent).double()
    assert policy.reach == reach
    with torch.no_grad():
        for parameter in policy.parameters():  # positive weights and inputs: no ReLU hides an influence
            parameter.fill_(0.1 if parameter.ndim > 1 else 0.0)
    image = torch.full((1, 1, 45, 45), 1.0, dtype=torch.float64).requires_grad_()
    memory = torch.full((1, 1 if recurrent else 0, 45, 45), 0.5, dtype=torch.float64)
    logits, value, _ = policy(image, outcomes_of(image, 2), memory)
    assert value is not None
    for output, radius in ((logits[0, 0, 0, 22, 22], reach), (value[0, 0, 22, 22], 16)):
        (influence,) = torch.autograd.grad(output, image, retain_graph=True)
        seen = (influence[0, 0] != 0).nonzero() - 22
        assert seen.abs().amax(0).tolist() == [radius, radius]
        assert seen.amin(0).tolist() == [-radius, -radius]


def test_memory_reaches_no_farther_than_the_gru() -> None:
    """A change of the hidden state reaches 2 pixels in the next one, 3 in the logits."""
    policy = FCN(2, width=2, recurrent=True).double().eval()
    image, memory = noise(1, 1, 15, 15), noise(1, 2, 15, 15)
    other = memory.clone()
    other[..., 7, 7] += 1
    with torch.no_grad():
        one = policy(image, outcomes_of(image, 2), memory)
        two = policy(image, outcomes_of(image, 2), other)
    for before, after, radius in ((one.memory, two.memory, 2), (one.logits, two.logits, 3)):
        changed = (before - after).abs().flatten(0, -3).amax(0) > 0
        assert (changed.nonzero() - 7).abs().max() == radius


def test_there_is_no_propagation_through_time(randomise: Randomise) -> None:
    policy = FCN(3, width=4, recurrent=True)
    randomise(policy)
    first = noise(1, 1, 6, 6).float().requires_grad_()
    second = noise(1, 1, 6, 6).float().requires_grad_()
    memory = policy(first, outcomes_of(first, 3), policy.perceive(first, CONDITION)).memory
    logits = policy(second, outcomes_of(second, 3), memory).logits
    to_first, to_second = torch.autograd.grad(logits[:, 0].sum(), (first, second), allow_unused=True)
    assert to_first is None
    assert to_second.abs().max() > 0


def test_colours_have_one_agent_per_pixel() -> None:
    policy = FCN(5, num_channels=3, width=4)
    image = noise(2, 3, 6, 7).float()
    logits, value, memory = policy(image, outcomes_of(image, 5), policy.perceive(image, torch.zeros(2, 1, 1, 1)))
    assert value is not None
    assert (logits.shape, value.shape, memory.shape) == ((2, 5, 1, 6, 7), (2, 1, 6, 7), (2, 0, 6, 7))


def test_outcomes_and_condition_are_ignored() -> None:
    policy = FCN(3, width=4, recurrent=True)
    image = noise(1, 1, 6, 7).float()
    memory = policy.perceive(image, CONDITION)
    assert torch.equal(memory, policy.perceive(image, CONDITION + 1))
    nothing = torch.full((1, 3, 1, 6, 7), torch.nan)
    seen, unseen = policy(image, outcomes_of(image, 3), memory), policy(image, nothing, memory)
    assert torch.equal(seen.logits, unseen.logits)
    assert not policy.takes_condition
    assert policy.estimate(memory, image) is None


def test_values_are_for_training_only() -> None:
    policy = FCN(3, width=4)
    image = noise(1, 1, 6, 7).float()
    memory = policy.perceive(image, CONDITION)
    assert policy.train()(image, outcomes_of(image, 3), memory).value is not None
    assert policy.eval()(image, outcomes_of(image, 3), memory).value is None


@pytest.mark.parametrize(
    ("recurrent", "convolution", "number"),
    [
        # 1 -> 64: 576 + 64. Seven times 64 -> 64: 36,864 + 64. 64 -> 9: 5,184 + 9. 64 -> 1: 576 + 1.
        (False, False, 640 + 7 * 36_928 + 5_193 + 577),
        # Six times 64 -> 64 without bias.
        (True, False, 264_906 + 6 * 36_864),
        # 33 x 33.
        (True, True, 486_090 + 1_089),
    ],
)
def test_the_number_of_parameters_is_the_papers(recurrent: bool, convolution: bool, number: int) -> None:
    policy = FCN(9, recurrent=recurrent, reward_map_convolution=convolution)
    assert sum(parameter.numel() for parameter in policy.parameters()) == number


def test_reward_map_convolution_starts_as_the_identity() -> None:
    kernel = FCN(2, width=1, reward_map_convolution=True).reward_kernel
    assert kernel is not None
    assert kernel.requires_grad
    assert kernel.nonzero().tolist() == [[0, 0, 16, 16]]
    assert kernel[0, 0, 16, 16] == 1
    assert FCN(2, width=1).reward_kernel is None


def test_colours_are_seen_in_lab() -> None:
    """As the paper scales it: L / 100, a / 127, b / 127. Ours is Lab / 100."""
    image = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    seeing = FCN(13, num_channels=3, width=4, sees="lab").eval()
    plain = FCN(13, num_channels=3, width=4).eval()
    plain.load_state_dict(seeing.state_dict())
    lab = 100 * prophoto_to_lab(image)
    seen = torch.cat([lab[:, :1] / 100, lab[:, 1:] / 127], 1)
    memory = seeing.perceive(image, CONDITION)
    theirs = plain(seen, outcomes_of(seen, 13), memory).logits
    torch.testing.assert_close(seeing(image, outcomes_of(image, 13), memory).logits, theirs)
    with pytest.raises(ValueError, match='sees = "lab" needs colours'):
        FCN(9, sees="lab")
    with pytest.raises(ValueError, match=r"sees = 'xyz' is unknown"):
        FCN(13, num_channels=3, sees="xyz")
