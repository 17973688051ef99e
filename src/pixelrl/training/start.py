"""With what a training begins: the task and the policy of its recipe, and weights that are taken over from others."""

from __future__ import annotations

from dataclasses import replace

from pixelrl.checkpoint import PolicyCard, find_policy, load_policy
from pixelrl.errors import UsageError
from pixelrl.imaging.color import OPPONENT
from pixelrl.policies import Policy
from pixelrl.tasks import Task, build_task
from pixelrl.training.recipe import Recipe


def task_of(recipe: Recipe) -> Task:
    """The task, with the recipe's arguments; raises UsageError as `pixelrl.tasks.build_task`."""
    arguments = {key: tuple(v) if isinstance(v, list) else v for key, v in recipe.task.items() if key != "kind"}
    return build_task(str(recipe.task["kind"]), arguments)


def card_of(recipe: Recipe, task: Task) -> PolicyCard:
    """The card of the policy that is to be trained, without a training.

    Raises:
        UsageError: no such kind of policy, one that cannot be told what the task tells, one on other values, or a
            number of actions beside the task's.
    """
    arguments = {key: value for key, value in recipe.policy.items() if key != "kind"}
    kind = str(recipe.policy["kind"])
    if "num_actions" in arguments:
        raise UsageError("policy.num_actions is the number of the task's actions; leave it out, and set task.actions")
    card = PolicyCard(recipe.name, kind, arguments, task.action_names, task.num_steps, None, {}, task.space)
    policy, conditioning = card.build(may_import=True), task.conditioning
    if policy.opponent != (task.space == OPPONENT):
        raise UsageError("policy.opponent = true and task.space = 'opponent' go together; set both, or neither")
    if not policy.takes_condition:
        return card
    if policy.condition_planes != conditioning.num_planes:
        gives = f"task {recipe.task['kind']!r} gives {conditioning.num_planes} ({conditioning.name})"
        raise UsageError(
            f"policy {kind!r} takes {policy.condition_planes} planes of condition, {gives}; "
            f"set policy.condition_planes = {conditioning.num_planes}, or take another policy"
        )
    return replace(card, condition=conditioning.reference)


def initials(recipe: Recipe) -> list[str]:
    """The policies from which a training starts, in order."""
    given = [recipe.initial] if isinstance(recipe.initial, str) else recipe.initial
    return [name for name in given if name]


def start_from(policy: Policy, initial: str) -> list[str]:
    """Take over the weights that have the same name and shape in another policy, or can be brought to it.

    Returns:
        The names of the other policy's weights that have no place in this one, as of blocks that only the other has.

    Raises:
        UsageError: no such policy, or nothing in it fits.
    """
    path = find_policy(initial)
    theirs, ours = load_policy(path)[0].state_dict(), policy.state_dict()
    for name in theirs.keys() & ours.keys():
        theirs[name] = policy.adapted(name, theirs[name])
    fitting = {name for name in ours if name in theirs and theirs[name].shape == ours[name].shape}
    if not fitting:
        raise UsageError(f"initial = {initial!r} has no weight that fits this recipe's policy; leave it out")
    policy.load_state_dict({name: theirs[name] if name in fitting else ours[name] for name in ours})
    return [name for name in theirs if name not in fitting]
