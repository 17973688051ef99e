"""``pixelrl policies``: what each is for, and numbers that are those of the documentation's tables."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import pixelrl
from conftest import Run
from pixelrl.policy_files import about_policies

ROOT = Path(__file__).parents[1]
TABLES: dict[str, Any] = tomllib.loads((ROOT / "src" / "pixelrl" / "weights" / "about.toml").read_text())
MEASURED = [(name, row) for name, about in TABLES.items() for row in about["measured"]]


def cells(line: str) -> list[str]:
    return [cell.strip().replace("*", "").replace("`", "") for cell in line.strip().strip("|").split("|")]


def found_row(row: dict[str, Any], which: str) -> list[tuple[str, str]]:
    """Of a table of the documentation, each column's head and number in the row that about.toml names."""
    text = (ROOT / row["table"]).read_text()
    header: list[str] = []
    for line, following in itertools.pairwise(text[text.index(row.get("heading", "")) :].splitlines()):
        if re.fullmatch(r"\|[-| ]+\|", following):
            header = cells(line)
        elif line.startswith("|") and cells(line)[0] == which:
            columns = [header.index(column) for column in row.get("columns", header[1:])]
            return [(header[column], cells(line)[column].split(" ")[0]) for column in columns][: len(row["at"])]
    raise AssertionError(f"{row['table']} has no row {which!r}")


@pytest.mark.parametrize(("name", "row"), MEASURED, ids=[name for name, _ in MEASURED])
def test_every_number_stands_in_a_table_of_the_documentation(name: str, row: dict[str, Any]) -> None:
    *before, after = row["rows"]
    heads, numbers = zip(*found_row(row, after), strict=True)
    assert [f"{number:.2f}" for number in row["after"]] == list(numbers)
    assert bool(before) == ("before" in row)
    if before:
        numbers = [number for _, number in found_row(row, before[0])]
        assert [f"{number:.2f}" for number in row["before"]] == numbers
    for at, head in zip(row["at"], heads, strict=True):
        assert not at[-1].isdigit() or at.split()[-1] in re.findall(r"[\d.]+", head)


def test_every_shipped_policy_is_there_with_what_it_is_told() -> None:
    assert set(about_policies()) == set(pixelrl.shipped_policies())
    for name, about in about_policies().items():
        agent = pixelrl.load(name, "cpu")
        names = [quantity.name for quantity in agent.conditioning.quantities] + ["mask"] * agent.takes_mask
        assert about.told == ", ".join(names), name
        assert about.measured, name


def test_the_table_and_its_json(run: Run) -> None:
    code, out, err = run("policies")
    assert (code, err) == (0, "")
    for name, about in about_policies().items():
        assert name in out
        for each in about.measured:
            for line in each.lines():
                assert line in re.sub(r"\s+", " ", out), line
    assert "saltpepper-gray: 21 operations" in out
    assert "fill extremes" in out
    assert max(map(len, out.splitlines())) <= 150
    content = json.loads(run("policies", "--json")[1])
    assert content["denoise-gray"]["num_steps"] == 5
    assert "median" in content["denoise-gray"]["action_names"]
    assert content["denoise-gray"]["measured"][0]["after"] == [31.60, 29.16, 26.25]
