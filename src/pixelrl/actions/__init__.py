"""The image operations a pixel may pick, by name.

A new action is one row in ``arithmetic.py``, ``blur.py`` or a file like them; ``table.py`` collects the rows.
"""

from pixelrl.actions.arithmetic import LEVEL_STEPS
from pixelrl.actions.base import Action
from pixelrl.actions.table import (
    ACTIONS,
    DO_NOTHING,
    PAPER_NINE,
    PAPER_THIRTEEN,
    ActionSet,
    find_action,
    in_table_order,
)

__all__ = [
    "ACTIONS",
    "DO_NOTHING",
    "LEVEL_STEPS",
    "PAPER_NINE",
    "PAPER_THIRTEEN",
    "Action",
    "ActionSet",
    "find_action",
    "in_table_order",
]
