"""The records of JSON and JSON Lines: an object each, what is nested in it as further columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from beauty_models.intake import json_shapes
from beauty_models.intake.records import Record, cell_text


class _Item(NamedTuple):
    """An item of a JSON file, to become a row."""

    number: int  # its line; in an array its place; from 1
    value: Any  # None where it is damaged
    line: str  # its characters, "" in an array
    reason: str = ""

    def written(self) -> str:
        """Return what is shown of an item that is rejected."""
        return self.line or json.dumps(self.value, ensure_ascii=False)


def records(text: str, name: str) -> Iterator[Record]:
    """Yield the records of JSON Lines, or of JSON that is one array of objects or wraps one.

    The header has the keys of all objects in order of appearance; an object within an object has
    its keys as ``review.text``.

    Raises:
        ValueError: no row can be read, or several arrays of objects are wrapped, and nobody knows
            which is meant.
    """
    header: dict[str, None] = {}  # an ordered set
    rows: list[tuple[_Item, dict[str, Any]]] = []
    for item in _json_items(text, name):
        flat: dict[str, Any] = {}
        if not item.reason:
            try:
                flat = _flattened(item.value)
            except json_shapes.DoubledKeyError as error:
                item = item._replace(reason=str(error))
        header.update(dict.fromkeys(flat))
        rows.append((item, flat))
    if rows and all(item.reason for item, _ in rows):
        # An array that is cut off is one line as a rule, and would count as one bad row.
        [first, *_] = rows
        raise ValueError(f"{name}: {first[0].reason}; write it again, or as JSON Lines (.jsonl)")
    yield Record(0, list(header))
    for item, flat in rows:
        if item.reason:
            yield Record(item.number, [item.written()], item.reason)
        else:
            yield Record(item.number, [cell_text(flat.get(key)) for key in header])


def _json_items(text: str, name: str) -> Iterator[_Item]:
    """Yield the items of a JSON file; null is none."""
    values = json_shapes.rows_of(text, name)
    if values is None:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                value, reason = json_shapes.parsed(line)
                if value is not None or reason:
                    yield _checked(_Item(number, value, line, reason))
        return
    for number, value in enumerate(values, start=1):
        if value is not None:
            yield _checked(_Item(number, value, line=""))


def _checked(item: _Item) -> _Item:
    if item.reason or isinstance(item.value, dict):
        return item
    return item._replace(reason="not a JSON object")


def _flattened(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return ``value`` with the keys of objects in it as ``outer.inner``.

    As one cell an object would be a text that holds the rating, too: what is learned from would
    contain what is to be learned.

    Raises:
        DoubledKeyError: two have one name, such as ``a.b`` and ``b`` within ``a``.
    """
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict) and len(item) == 1 and next(iter(item)).startswith("$"):
            # MongoDB's way to write a type: {"$numberInt": "5"}, {"$date": …}.
            [item] = item.values()
        inner = {f"{prefix}{key}": item}
        if isinstance(item, dict):
            inner = _flattened(item, f"{prefix}{key}.")
        json_shapes.refuse_doubled(key for key in inner if key in flat)
        flat |= inner
    return flat
