"""Policies: networks that know no task."""

from __future__ import annotations

from pixelrl.errors import UsageError
from pixelrl.plugins import resolve_class
from pixelrl.policies.base import Memory, Policy, PolicyOutput
from pixelrl.policies.consulting import Consulting
from pixelrl.policies.fcn import FCN
from pixelrl.policies.lookahead import Lookahead
from pixelrl.policies.regional import Regional
from pixelrl.policies.steering import Steering
from pixelrl.policies.surveying import Surveying
from pixelrl.policy_files import upgraded
from pixelrl.validation import check_arguments

__all__ = [
    "FCN",
    "POLICIES",
    "Consulting",
    "Lookahead",
    "Memory",
    "Policy",
    "PolicyOutput",
    "Regional",
    "Steering",
    "Surveying",
    "build_policy",
]

POLICIES: dict[str, type[Policy]] = {
    "fcn": FCN,
    "consulting": Consulting,
    "lookahead": Lookahead,
    "steering": Steering,
    "regional": Regional,
    "surveying": Surveying,
}


def build_policy(kind: str, arguments: dict[str, object], may_import: bool = False) -> Policy:
    """Make a policy with fresh weights.

    Args:
        kind: a name in `POLICIES`, or ``module:Class`` for a policy of the user's own.
        arguments: of its constructor.
        may_import: whether the user's module may be imported now (`pixelrl.plugins`); a recipe's may, a file's not.

    Raises:
        UsageError: unknown kind, or arguments that this kind does not take.
    """
    policy_class = resolve_class(kind, POLICIES, Policy, "policy", may_import=may_import)
    arguments = upgraded(kind, arguments)
    check_arguments(policy_class, arguments, "policy", given=["num_actions"])
    try:
        return policy_class(**arguments)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise UsageError(f"policy {kind!r} cannot be built: {error}") from error
