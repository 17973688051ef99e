"""Edits: what a person changes in the choices of the agents, as data (``edits.json``).

An edit says at which steps, where and under which condition agents are overruled, and what they do instead. The same
list is applied in two ways: *replay* edits recorded action maps and asks no network (`pixelrl.Trajectory.edited`),
*live* edits what the policy chooses, which then sees the edited image and reacts (``agent(image, edits=...)``).
"""

from pixelrl.actions import DO_NOTHING
from pixelrl.edits.editor import Edit, Editor, Mask, check_steps, idle_words, laid, within
from pixelrl.edits.entries import (
    EXAMPLE,
    LARGEST,
    MOST_CORNERS,
    DoEntry,
    EditEntry,
    RegionEntry,
    WhereEntry,
    edits_of,
    load_edits,
    parse_edits,
    parse_region,
    schema,
)

__all__ = [
    "DO_NOTHING", "EXAMPLE", "LARGEST", "MOST_CORNERS", "DoEntry", "Edit", "EditEntry", "Editor", "Mask",
    "RegionEntry", "WhereEntry", "check_steps", "edits_of", "idle_words", "laid", "load_edits", "parse_edits",
    "parse_region", "schema", "within",
]  # fmt: skip
