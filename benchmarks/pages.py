"""Tables in the pages of docs/: what a benchmark measured goes between two marks, the words around it stay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pixelrl.pictures.atomic import written_whole

DOCS = Path(__file__).parents[1] / "docs"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_section(page: str, name: str, text: str) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- end of name -->`` in docs/page."""
    path = DOCS / page
    content = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if begin not in content or end not in content:
        raise SystemExit(f"{path} has no place for {name}: it needs {begin} and {end}")
    before, rest = content.split(begin, 1)
    after = rest.split(end, 1)[1]
    with written_whole(path) as temporary:
        temporary.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")
    print(text)
