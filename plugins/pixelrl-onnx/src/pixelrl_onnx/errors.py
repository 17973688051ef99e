"""The errors a user can cause, named as in pixelrl. Each message is one sentence with the way out."""

from __future__ import annotations


class PixelRLError(Exception):
    """Base class of every error that is the input's or the caller's fault, not ours."""


class UsageError(PixelRLError):
    """A wrong option, policy, trace or output place (exit code 2 on the command line)."""


class InputError(PixelRLError):
    """A picture or an array cannot be used (exit code 3 on the command line)."""
