"""What shop exports say of a product, in one form: several columns a field, attribute lists, variations, prices."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence

from beauty_models.intake.text import normalise

ROOTS = {
    "default category",
    "home",
    "root",
    "root catalog",
    "all",
    "all products",
}  # first steps of a category path that say nothing

_PAIR = re.compile(r",(?=\s*[^,=|]+=)")  # a comma that another key=value follows
_PATH = re.compile(r"\s*(?:/|>|›|»)\s*")
MARKS = re.compile("[™®©℠]")
_NUMBER = re.compile(r"[.,]?\d[\d.,'  ]*")

Texts = dict[str, list[str]]
"""Field (name, description, category, color, material) → what the columns of that field say, in the order of the columns."""


def columns(there: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the columns among ``there`` that have one of ``names``, in the order of the file; capitals do not count."""
    known = {name.casefold() for name in names}
    return [column for column in there if column.strip().casefold() in known]


def clean(text: str) -> str:
    """Return ``text`` as one line of plain text, without HTML and trade marks."""
    return normalise(MARKS.sub("", html.unescape(text)))


def category(cell: str) -> str:
    """Return the last step of a category path; of several paths, of the first: ``Default Category/Women/Tops,…`` is Tops."""
    cell = html.unescape(cell)
    first = re.split(r"[,;|](?=[^,;|]*[/>])", cell)[0] if re.search("[/>]", cell) else cell
    steps = [clean(step) for step in _PATH.split(first)]
    told = [step for step in steps if step and step.casefold() not in ROOTS]
    return told[-1] if told else ""


def attributes(cell: str) -> dict[str, str]:
    """Return key → value of a JSON object or of ``key=value,key=value``; several values are divided by "|" there, by ", " here."""
    try:
        given = json.loads(cell) if cell.startswith("{") else None
    except ValueError:
        given = None
    if not isinstance(given, dict):
        given = dict(pair.split("=", 1) for pair in _PAIR.split(cell) if "=" in pair)
    plain = {
        clean(str(key)).casefold(): clean(str(value)).replace("|", ", ")
        for key, value in given.items()
    }
    return {key: value for key, value in plain.items() if key and value}


def variations(cell: str) -> list[dict[str, str]]:
    """Return the variants that a product lists: ``sku=A,size=S|sku=B,size=M`` or a JSON array of objects."""
    try:
        given = json.loads(cell) if cell.startswith("[") else None
    except ValueError:
        given = None
    if isinstance(given, list):
        return [
            {str(key).casefold(): clean(str(value)) for key, value in one.items()}
            for one in given
            if isinstance(one, dict)
        ]
    return [attributes(part) for part in cell.split("|") if "=" in part]


def price(cell: str) -> float | None:
    """Return the number in a price such as ``$1,299.00``, ``12,50 €`` or ``¥99``; None where there is none."""
    found = _NUMBER.search(cell)
    if not found:
        return None
    digits = re.sub(r"['\s]", "", found.group()).rstrip(".,")
    whole, mark, cents = digits.rpartition("," if digits.rfind(",") > digits.rfind(".") else ".")
    if (
        mark and len(cents) == 3 and (mark == "," or "." in whole)
    ):  # a mark before three digits divides thousands
        whole, cents = whole + cents, "0"
    return float(f"{re.sub('[.,]', '', whole) or 0}.{cents}") if mark else float(cents)
