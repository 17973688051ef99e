"""Write a policy for runners without PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

from pixelrl import __version__
from pixelrl.actions import ActionSet
from pixelrl.agent import Agent
from pixelrl.errors import UsageError
from pixelrl.exporting.graph import Eight, encoder_graph
from pixelrl.imaging.color import OPPONENT
from pixelrl.pictures.atomic import written_whole
from pixelrl.policies.consulting import Consulting
from pixelrl.policies.estimating import Estimating
from pixelrl.policies.estimators import Marks, Plain
from pixelrl.policies.lookahead import Lookahead

CARD, ENCODER = "policy.json", "encoder.onnx"
"""The files of an exported policy."""
FORMAT, OPPONENT_FORMAT = 1, 2
"""The version of what the card says; the second if it says a space: a runner that passed over it would be wrong."""

ABLE = ("sigma", "peak")
"""The conditions that a runner turns into what the network is told."""


def exportable(agent: Agent) -> Estimating:
    """The policy of an agent, if a runner that takes what is nearest to an estimate can do what it does.

    Raises:
        UsageError: why it cannot.
    """
    policy, card = agent.policy, agent.card
    reason = None
    if not isinstance(policy, Consulting | Lookahead):
        reason = f"of the kind {card.kind}, it forms no estimate that its agents follow"
    elif isinstance(policy, Lookahead) and policy.learned_to_choose(0.0):
        reason = "its agents choose by a network of their own at every step"
    elif isinstance(policy, Lookahead) and policy.least_gain:
        reason = f"its agents do not follow the estimate for less than a gain of {policy.least_gain:g}"
    elif not isinstance(policy.estimator, Plain | Marks):
        reason = (
            f"its encoder is shown more than the picture (the estimator {card.arguments.get('estimator', 'lab')!r})"
        )
    elif card.space not in ("srgb", OPPONENT):
        reason = f"its agents work on values of another space ({card.space})"
    elif card.condition not in (None, *ABLE):
        reason = f"what it is told ({card.condition}) takes PyTorch to be worked out"
    if reason is not None:
        raise UsageError(f"policy {card.name} cannot be exported: {reason}; use it with pixelrl itself")
    assert isinstance(policy, Estimating)
    return policy


def export(agent: Agent, folder: Path, eight: dict[str, Eight] | None = None) -> None:
    """Write the encoder as ONNX and what the policy says of itself as JSON, to run at legibility 0.

    The encoder sees red, green and blue, and its estimate has them, also where the agents work on opponent colours.

    Args:
        agent: whose policy is `exportable`.
        folder: made if it is not there.
        eight: the layers that compute in 8 bits (`pixelrl.exporting.calibration.calibrated`); None for float32.

    Raises:
        UsageError: the policy cannot be exported, or the folder cannot be written.
    """
    policy = exportable(agent)
    model = encoder_graph(policy, eight or {})
    card = card_of(agent, policy, "int8" if eight else "fp32")
    content = {ENCODER: model.SerializeToString(), CARD: (json.dumps(card, indent=2) + "\n").encode()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in content.items():  # the card last: without it, a folder is no policy
            with written_whole(folder / name) as temporary, temporary.open("xb") as file:
                file.write(data)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from error


def card_of(agent: Agent, policy: Estimating, precision: str) -> dict[str, object]:
    """What a runner must know beside the encoder."""
    card = agent.card
    operations = [
        {"name": action.name, "reach": action.reach, "color": action.color, "explanation": action.explanation}
        for action in ActionSet(card.action_names).actions
    ]
    trained = card.trained(card.condition) if card.condition else None
    opponent = card.space == OPPONENT
    return {
        "format": OPPONENT_FORMAT if opponent else FORMAT,
        "name": card.name,
        "made_by": f"pixelrl {__version__}",
        "num_channels": policy.num_channels,
        **({"space": card.space} if opponent else {}),
        "num_steps": card.num_steps,
        "condition": card.condition,
        "condition_planes": policy.condition_planes,
        "trained": {} if trained is None else {card.condition: trained},
        "legibility": 0.0,
        "precision": precision,
        "reach": -(-policy.reaches(0.0)[0] // policy.alignment) * policy.alignment,
        "alignment": policy.alignment,
        "mirrors": policy.estimator.mirrors,  # a runner from before repeats the last row: a little is lost there
        "operations": operations,
    }
