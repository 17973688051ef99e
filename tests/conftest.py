"""What several test files share, and what holds for all of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before PyTorch is imported, as `pixelrl` does it by itself where it is imported first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import hypothesis
import pytest
import torch

import shapes
from browser import chromium, end

# Shapes are checked at run time in the tests only. An int is welcome where a float is expected, as for every static
# type checker. Modules that are not listed take whatever users give and refuse it in their own words, so a type check
# in front of them would hide those words.
CHECKED = (
    "actions", "checkpoint", "imaging.filters", "imaging.metrics", "policies", "rl", "rollout", "tasks", "trace",
    "training.data", "training.learner", "training.recipe", "training.trainer",
)  # fmt: skip
shapes.check([f"pixelrl.{room}" for room in CHECKED])

# The tensors are small: threads would cost more than they bring, and much more where other jobs keep the cores busy.
torch.set_num_threads(1)

# The same examples every time: a test that fails now and then says nothing of a change. No limit of time, for the
# machine may be busy.
hypothesis.settings.register_profile("few", max_examples=25, deadline=None, derandomize=True)
hypothesis.settings.load_profile("few")

Randomise = Callable[[torch.nn.Module], None]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _shapes() -> None:
    shapes.again()


@pytest.fixture
def generator() -> torch.Generator:
    """A generator on the CPU with a fixed seed."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def randomise() -> Randomise:
    """Fill every weight of a network at random: freshly built policies have layers that are all zero."""

    def fill(network: torch.nn.Module) -> None:
        own = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weight in network.parameters():
                fan_in = weight[0].numel() if weight.ndim > 1 else 1
                weight.copy_(torch.randn(weight.shape, generator=own) / max(1, fan_in) ** 0.5)

    return fill


@pytest.fixture
def shared() -> Path:
    """The folder of photographs and reference weights beside the checkout."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"{folder} with the photographs and the reference weights is not here")
    return folder


@pytest.fixture(scope="module")
def browser() -> Any:
    """The Chromium of this process."""
    return chromium()


@pytest.fixture(scope="session", autouse=True)
def _browser_ends() -> Iterator[None]:
    yield
    end()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line: exit code, stdout, stderr."""
    from pixelrl.cli import main

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pixelrl", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return call
