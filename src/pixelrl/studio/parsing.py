"""From the edits of a document to those that a preview and an `Editor` take, checked against picture and operations."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import final

from pixelrl.edits import Edit, Editor, parse_edits
from pixelrl.errors import UsageError
from pixelrl.studio.document import Document, Entry
from pixelrl.studio.folder import Folder
from pixelrl.studio.preview import as_mask
from pixelrl.studio.regions import check_mask

_REMEMBERED = 64
"""Edits that are kept beyond those in the list: undo may bring them back."""


@final
class EditParser:
    """Parses the edits of one session. The same JSON gives the same object, by which a preview sees what is new.

    Args:
        folder: of the session, where masks are looked for.
        height: of the picture.
        width: of the picture.
    """

    def __init__(self, folder: Folder, height: int, width: int) -> None:
        self.folder, self.height, self.width = folder, height, width
        self._parsed: OrderedDict[str, Edit] = OrderedDict()

    def edits(self, entries: Sequence[Entry], names: Sequence[str]) -> tuple[Edit, ...]:
        """All of them.

        Raises:
            UsageError: one is not valid or does not fit; its place in the list (from 1) is named.
        """
        edits = []
        for place, entry in enumerate(entries, 1):
            try:
                edits.append(self._parse(entry))
            except UsageError as error:
                raise UsageError(f"edit {place}: {str(error).removeprefix('edit 1: ')}") from None
        while len(self._parsed) > _REMEMBERED + len(entries):
            self._parsed.popitem(last=False)
        Editor(edits, names, self.height, self.width)
        return tuple(edits)

    def unfit(self, document: Document, names: Sequence[str]) -> dict[int, str]:
        """The edits of a document that `edits` would refuse, by their number, each with the reason."""
        found = {}
        for number in document.order:
            try:
                self.edits([document.entries[number]], names)
            except UsageError as error:
                found[number] = str(error).removeprefix("edit 1: ")
        return found

    def _parse(self, entry: Entry) -> Edit:
        check_mask(self.folder, entry.get("region"))
        key = json.dumps(entry, sort_keys=True)
        if key not in self._parsed:
            self._parsed[key] = as_mask(parse_edits([entry], self.folder.path)[0], self.height, self.width)
        self._parsed.move_to_end(key)
        return self._parsed[key]
