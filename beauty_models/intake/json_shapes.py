"""The shapes in which programs write rows as JSON, brought to one list of rows.

Arrays; objects around an array, as web services answer (``{"data": {"items": […]}}``,
Elasticsearch's hits); pandas' ``to_json`` in every orient but the one that loses the names; an
object for each id; objects one behind the other, as jq and mongoexport indent them; and what
Python prints, as the first Amazon reviews of SNAP were delivered.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator
from typing import Any

from beauty_models.intake import account

LARGEST_DEPTH = 100  # of JSON: arrays and objects within one another
DEEPEST = 4  # objects within objects in which an array of rows is looked for
_SPACE = " \t\r\n,"  # what may stand between two values of a file


class DoubledKeyError(ValueError):
    """An object has a key twice: nobody knows which value is meant."""


def rows_of(text: str, name: str) -> list[Any] | None:
    """Return the rows of a file of JSON, None where each line is a value of its own (JSON Lines).

    What is damaged is one item, its own text, which is no object and so will be rejected. ``name``
    is for the messages.

    Raises:
        ValueError: it has several arrays of objects, and nobody knows which is meant.
    """
    begins = text.lstrip()[:1]
    if begins not in ("[", "{"):
        return None
    value, reason = parsed(text)
    if reason:
        return _rows_of_several(text, name)
    return value if isinstance(value, list) else _rows_of_object(value, name)


def _rows_of_several(text: str, name: str) -> list[Any] | None:
    """Return the rows of a file that is not one JSON value; None where it is JSON Lines."""
    # By places: JSON Lines may be large, and are not copied to see what they are.
    begin = len(text) - len(text.lstrip())
    end = text.find("\n", begin)
    if _is_whole(text[begin:end] if end >= 0 else text[begin:]):
        return None
    text = text.strip()
    if (printed := _printed_by_python(text)) is not None:
        account.guess(
            "rows",
            "what Python prints",
            sure="certain",
            evidence="names between single quotes",
            file=name,
        )
        return printed
    values = list(_one_behind_the_other(text))
    if len(values) > 1:
        account.guess(
            "rows",
            "objects one behind the other",
            sure="certain",
            evidence=f"{len(values):,} values",
            file=name,
        )
        return values
    return None


def _is_whole(line: str) -> bool:
    """Return whether ``line`` is a JSON value, be it one that `parsed` refuses."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _printed_by_python(text: str) -> list[Any] | None:
    """Return the rows of dictionaries as Python prints them, one a line or all in a list.

    None where it is something else. Only literals are read: nothing is run.
    """
    opening = text.lstrip("[ \r\n")
    if not opening.startswith(("{'", "{u'")):
        return None
    if text.startswith("["):
        value = _literal(text)
        return value if isinstance(value, list) else [value]
    return [_literal(line) for line in text.split("\n") if line.strip()]


def _literal(text: str) -> Any:
    """Return the value that Python would print as ``text``, or ``text`` where there is none."""
    try:
        value = ast.literal_eval(text.strip())
        json.dumps(value)  # a set, bytes or a complex number is no cell
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text
    return value


def _one_behind_the_other(text: str) -> Iterator[Any]:
    """Yield the JSON values of ``text``, and what follows the last that can be read as it is."""
    decoder = json.JSONDecoder()
    place = 0
    while place < len(text):
        if text[place] in _SPACE:
            place += 1
            continue
        try:
            _, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            yield text[place:]
            return
        value, reason = parsed(text[place:end])
        yield text[place:end] if reason else value
        place = end


def _rows_of_object(value: dict[str, Any], name: str) -> list[Any]:
    """Return the rows that an object holds; the object itself where it is one row."""
    if rows := _rows_of_columns(value):
        account.guess(
            "rows",
            "those of lists that are columns",
            sure="certain",
            evidence=f"{', '.join(rows[0])} have {len(rows):,} values each",
            file=name,
        )
        return rows
    # Table Schema (pandas' orient table) describes its columns beside the rows.
    arrays = dict(_arrays_of_objects(value))
    arrays.pop("schema.fields", None)
    if len(arrays) > 1:
        raise ValueError(
            f"{name}: {', '.join(arrays)} are lists of rows; save the one that is meant alone"
        )
    for key, rows in arrays.items():
        evidence = "the only list of objects in it"
        account.guess("rows", f"those of {key!r}", sure="certain", evidence=evidence, file=name)
        return list(rows)
    if _is_of_like_objects(value):
        account.guess(
            "rows",
            "one for each key",
            sure="certain",
            evidence=f"{len(value):,} objects of like names",
            file=name,
        )
        return list(value.values())
    return [value]


def _rows_of_columns(value: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a table that is written column by column; none where it is not.

    That is ``{"columns": […], "data": [[…], …]}``, ``{"text": […], "stars": […]}`` and
    ``{"text": {"0": …}, "stars": {"0": …}}``: pandas' orients split, list and columns.
    """
    names = value.get("columns", [])
    data = value.get("data", [])
    if _is_list_of(names, str) and _is_list_of(data, list):
        return [dict(zip(names, cells, strict=False)) for cells in data]
    columns = list(value.values())
    if len(columns) < 2 or not columns[0]:
        return []
    if all(isinstance(column, list) for column in columns):
        scalars = not any(isinstance(cell, (dict, list)) for cell in columns[0])
        if scalars and len({len(column) for column in columns}) == 1:
            return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]
        return []
    if all(isinstance(column, dict) for column in columns):
        numbers = columns[0].keys()
        counted = all(number.isdigit() for number in numbers)
        if counted and all(column.keys() == numbers for column in columns):
            return [{key: column[number] for key, column in value.items()} for number in numbers]
    return []


def _arrays_of_objects(
    value: dict[str, Any], prefix: str = "", depth: int = 1
) -> Iterator[tuple[str, list[Any]]]:
    """Yield the arrays of objects in ``value``, and by which keys they are reached."""
    for key, item in value.items():
        if _is_list_of(item, dict):
            yield f"{prefix}{key}", item
        elif isinstance(item, dict) and depth < DEEPEST:
            yield from _arrays_of_objects(item, f"{prefix}{key}.", depth + 1)


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, kind) for v in value)


def _is_of_like_objects(value: dict[str, Any]) -> bool:
    """Return whether ``value`` has a row for each key: objects that share half their names.

    ``{"review": {…}, "product": {…}}`` is one row, whose parts have different names.
    """
    rows = list(value.values())
    if len(rows) < 2 or not all(isinstance(row, dict) and row for row in rows):
        return False
    shared = set.intersection(*map(set, rows))
    every = set.union(*map(set, rows))
    return 2 * len(shared) >= len(every)


def refuse_doubled(doubled: Iterable[str]) -> None:
    for key in doubled:
        raise DoubledKeyError(f"the key {key!r:.60} stands twice")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of ``pairs``, of which json would keep the last of two with one key."""
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        refuse_doubled(key for key in value if keys.count(key) > 1)
    return value


def parsed(text: str) -> tuple[Any, str]:
    """Return what ``text`` says, and why it says nothing."""
    try:
        value = json.loads(text, object_pairs_hook=_object)
        _check_depth(value, LARGEST_DEPTH)
    except DoubledKeyError as error:
        return None, str(error)
    except (ValueError, RecursionError):
        return None, "not valid JSON: cut off or damaged"
    return value, ""


def _check_depth(value: Any, depth: int) -> None:
    """Refuse what is nested so deeply that to write it again would take the whole stack.

    Raises:
        RecursionError: it is.
    """
    inner: Iterable[Any] = ()
    if isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    for item in inner:
        if isinstance(item, dict | list):
            if not depth:
                raise RecursionError
            _check_depth(item, depth - 1)
