"""Measurements that are kept picture by picture in a JSON file of docs/: what was interrupted goes on where it was."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import fmean
from typing import Any

from pixelrl.pictures.atomic import written_whole

Row = dict[str, Any]
"""``made_by`` and ``data`` say what measured it, and of which pictures; ``values`` holds numbers by picture."""
Results = dict[str, dict[str, Row]]
"""A set of pictures, and a method, to its row."""


def stored(file: Path) -> Results:
    found: Results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def _keep(file: Path, key: str, name: str, row: Row) -> None:
    """Put a row into what is on disk now, where another process may have put its own meanwhile."""
    results = stored(file)
    results.setdefault(key, {})[name] = row
    file.parent.mkdir(exist_ok=True)  # runs/, where a trial is kept
    with written_whole(file) as temporary:
        temporary.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def measured(
    file: Path,
    key: str,
    name: str,
    made_by: str,
    data: str,
    pictures: Mapping[str, Callable[[], Mapping[str, Any]]],
    again: bool,
) -> None:
    """Measure those pictures of a row that are missing, or all of them if something else measured it.

    Each picture's function gives what is kept of it, by name; numbers are rounded to 4 decimals.
    """
    state = {"made_by": made_by, "data": data}
    row = stored(file).get(key, {}).get(name, {})
    if again or not state.items() <= row.items():
        row = {**state, "values": {}}
    missing = [picture for picture in pictures if picture not in row["values"]]
    for picture in missing:
        values = pictures[picture]()
        row["values"][picture] = {n: round(v, 4) if isinstance(v, float) else v for n, v in values.items()}
        _keep(file, key, name, row)
    if missing:
        shown = column(row, next(iter(row["values"][missing[0]])))
        print(f"{key}, {name}: {fmean(shown.values()):.3f}" if shown else f"{key}, {name}", flush=True)


def column(row: Row, name: str) -> dict[str, float]:
    """One of the numbers of every picture that has it."""
    return {p: values[name] for p, values in row["values"].items() if values.get(name) is not None}


def natural(name: str) -> list[tuple[str, int]]:
    """A key for sorting: 5 before 15."""
    return [(part, -1) if not part.isdigit() else ("", int(part)) for part in re.split(r"(\d+)", name)]


def matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)
