"""The rows above the header of a file that was filled in from Amazon's template.

The first says which template it is, others have the names of the columns in words and their groups;
the names that programs know stand in the last of them.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from beauty_models.intake import account

BEGINNINGS = ("TemplateType=", "settings=")  # until 2024, and since
SKU_NAMES = ("item_sku", "contribution_sku#1.value")
MOST_ROWS = 10  # of a template's head


class Head(NamedTuple):
    """Where a table begins, by rows from 0."""

    header: int
    data: int  # the first row below it


def find(rows: Sequence[Sequence[Any]]) -> Head | None:
    """Return where the table begins in a template; None where ``rows`` are of no template.

    Since 2024 the first row says it (``settings=attributeRow=5&dataRow=7``): between header and
    data stands an example there.
    """
    if not rows or not rows[0] or not str(rows[0][0]).strip('" ').startswith(BEGINNINGS):
        return None
    for place, row in enumerate(rows[:MOST_ROWS]):
        if any(str(cell).strip('" ') in SKU_NAMES for cell in row):
            settings = parse_qs("&".join(map(str, rows[0])).strip('" ').removeprefix("settings="))
            told = settings.get("dataRow", [""])[0]
            return Head(place, max(place + 1, int(told) - 1) if told.isdecimal() else place + 1)
    return None


def without(text: str, name: str) -> tuple[str, int]:
    """Return ``text``, a file's, from its header on, and how many lines its rows have moved up.

    Args:
        text: of a table with tabs; what is of no template is returned as it is.
        name: of the file, for the account.
    """
    if not text.lstrip('"').startswith(BEGINNINGS):
        return text, 0
    # As the reader of delimited text counts lines.
    lines = io.StringIO(text, newline=None).readlines()
    head = find([line.rstrip("\n").split("\t") for line in lines[:MOST_ROWS]])
    if head is None:
        return text, 0
    tell(head, name)
    return lines[head.header] + "".join(lines[head.data :]), head.data - 1


def tell(head: Head, name: str) -> None:
    """Say that the rows above ``head`` are left out."""
    evidence = "the first line is that of Amazon's template"
    account.guess("header", f"line {head.header + 1}", sure="certain", evidence=evidence, file=name)
