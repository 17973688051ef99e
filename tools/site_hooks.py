"""What the documentation's pages need beyond Markdown, when `make docs` builds them (hooks of MkDocs).

Links to files of the checkout beside ``docs/`` stay words, for the pages are read without it. Formulas become MathML,
which browsers draw by themselves: no page asks another server for a script.
"""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert

OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?!docs/)([^)#]*)(?:#[^)]*)?\)")
FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\(?P<open>[(\[])(?P<tex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)


def on_page_markdown(markdown: str, page: object, **_: object) -> str:
    """Leave of a link that leads out of the documentation its words, and say where in the checkout it led."""
    depth = page.file.src_uri.count("/")  # type: ignore[attr-defined]

    def words(match: re.Match[str]) -> str:
        if match[0].split("](")[1].count("../") <= depth:  # within the documentation
            return match[0]
        text, target = match[1], match[2]
        return text if target.rstrip("/") in text or text.startswith("`") else f"{text} (`{target}`)"

    return OUTSIDE.sub(words, markdown)


def on_page_content(page_html: str, **_: object) -> str:
    """Draw the formulas."""

    def drawn(match: re.Match[str]) -> str:
        display = "block" if match["open"] == "[" else "inline"
        return convert(html.unescape(match["tex"]).strip(), display=display)

    return FORMULA.sub(drawn, page_html)
