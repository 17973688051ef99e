"""The errors a user can cause. Each message is one sentence that names the bad value and what would be right."""

from __future__ import annotations


class PixelRLError(Exception):
    """Base class of every error that is the input's or the caller's fault, not ours."""


class UsageError(PixelRLError):
    """A wrong option, policy, recipe, trace or output place (exit code 2 on the command line)."""


class InputError(PixelRLError):
    """One input picture or array cannot be used (exit code 3 on the command line; other inputs are still done)."""
