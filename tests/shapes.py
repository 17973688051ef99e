"""Types and shapes of the modules' functions are checked when they are called: in the tests only."""

from __future__ import annotations

import functools
import types
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import jaxtyping

MOST = 25
"""So many calls of a function are checked in each test. What is called thousands of times is called in loops, and to
check all of it took a third of the time of `test_train.py`."""
_calls: Counter[str] = Counter()
_every_call = jaxtyping.jaxtyped


def check(modules: Sequence[str]) -> None:
    """Check the functions of these modules, which must not have been imported yet, and of those inside them."""
    jaxtyping.jaxtyped = _first_calls
    jaxtyping.install_import_hook(modules, "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")


def again() -> None:
    """Count anew."""
    _calls.clear()


def _first_calls(*, typechecker: Any) -> Callable[[Any], Any]:
    """What the import hook decorates with, instead of `jaxtyping.jaxtyped`."""

    def decorate(each: Any) -> Any:
        if not isinstance(each, types.FunctionType):
            return _every_call(each, typechecker=typechecker)
        name = f"{each.__module__}.{each.__qualname__}"
        if "<locals>" in name:  # made anew whenever the function around it runs, and so would be its checks
            return each
        checked = _every_call(each, typechecker=typechecker)

        @functools.wraps(each)
        def call(*args: Any, **kwargs: Any) -> Any:
            if _calls[name] >= MOST:
                return each(*args, **kwargs)
            _calls[name] += 1
            return checked(*args, **kwargs)

        return call

    return decorate
