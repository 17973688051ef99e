"""Policies: networks that know no task."""

from __future__ import annotations

from pixelrl.errors import UsageError
from pixelrl.policies.base import Memory, Policy, PolicyOutput
from pixelrl.policies.fcn import FCN
from pixelrl.policies.lookahead import Lookahead
from pixelrl.policies.steering import Steering

__all__ = ["FCN", "POLICIES", "Lookahead", "Memory", "Policy", "PolicyOutput", "Steering", "build_policy"]

POLICIES: dict[str, type[Policy]] = {"fcn": FCN, "lookahead": Lookahead, "steering": Steering}


def build_policy(kind: str, arguments: dict[str, object]) -> Policy:
    """Make a policy with fresh weights.

    Raises:
        UsageError: unknown kind, or arguments that this kind does not take.
    """
    if kind not in POLICIES:
        raise UsageError(f"policy kind {kind!r} is unknown; known are {', '.join(POLICIES)}")
    try:
        return POLICIES[kind](**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"policy {kind!r} cannot be built from {arguments}: {error}") from error
