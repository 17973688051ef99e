"""In which floating-point numbers a network computes."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from pixelrl.errors import UsageError
from pixelrl.validation import brief, is_word

Precision = Literal["fp32", "bf16"]
"""Numbers of 32 bits, or products of numbers of 16 bits (bfloat16) whose sums have 32."""
Asked = Literal["auto", "fp32", "bf16"]
"""What a user may ask for."""


def choose_precision(asked: str, device: torch.device) -> Precision:
    """The precision that is meant: for ``auto``, bf16 on CPUs that multiply such numbers by themselves, else fp32.

    Raises:
        UsageError: another word.
    """
    if not is_word(asked, get_args(Asked)):
        raise UsageError(f"precision {brief(asked)} is unknown; give auto, fp32 or bf16")
    if asked == "auto":
        return "bf16" if device.type == "cpu" and fast_bf16() else "fp32"
    return "bf16" if asked == "bf16" else "fp32"


def fast_bf16() -> bool:
    """Whether this CPU has instructions for bfloat16: AVX-512 BF16 or AMX (``lscpu`` lists them)."""
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))
