"""What shop exports say of a product, in one form: categories, attributes, variations."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from beauty_models.intake.text import normalize

# First steps of a category path that say nothing of the product.
ROOTS = {"default category", "home", "root", "root catalog", "all", "all products"}

_PAIR = re.compile(r",(?=\s*[^,=|]+=)")  # a comma that another key=value follows
_PATH = re.compile(r"\s*(?:/|>|›|»)\s*")
_NEXT_PATH = re.compile(r"[,;|](?=[^,;|]*[/>])")  # between two paths: another path follows
MARKS = re.compile("[™®©℠]")

Texts = dict[str, list[str]]
"""Field (name, description, category, color, material) → what its columns say, in their order."""


def clean(text: str) -> str:
    """Return ``text`` as one line of plain text, without HTML and trade marks."""
    # Entities first: "&reg;" is a trade mark, too, and NFKC would turn "™" into the letters "TM".
    # Twice, for what was exported from an export: "&amp;eacute;" is é.
    unescaped = html.unescape(html.unescape(text))
    return normalize(MARKS.sub("", unescaped))


def category(cell: str) -> str:
    """Return the last step of a category path; of several paths, of the longest.

    ``Default Category/Sale,Default Category/Women/Tops`` is Tops. "" where no step says anything.
    """
    path = html.unescape(cell)
    # A comma divides paths only where there are paths: "Tops, long sleeve" is one name.
    if "/" in path or ">" in path:
        path = max(_NEXT_PATH.split(path), key=lambda steps: len(_PATH.split(steps)))
    for step in reversed(_PATH.split(path)):
        name = clean(step)
        if name and name.casefold() not in ROOTS:
            return name
    return ""


def attributes(cell: str) -> dict[str, str]:
    """Return key → value of a JSON object or of ``key=value,key=value``.

    Several values of a key are divided by "|" in ``cell``, by ", " in what is returned.
    """
    pairs = _json(cell, dict)
    if pairs is None:
        pairs = _key_value_pairs(cell)
    cleaned: dict[str, str] = {}
    for raw_key, raw_value in pairs.items():
        key = clean(str(raw_key)).casefold()
        value = clean(str(raw_value))
        cleaned[key] = value.replace("|", ", ")
    return {key: value for key, value in cleaned.items() if key and value}


def _key_value_pairs(cell: str) -> dict[str, str]:
    """Return key → value of ``key=value,key=value``; what has no "=" says nothing."""
    pairs = {}
    for pair in _PAIR.split(cell):
        # Magento encloses a pair whose value has a comma, or the value, and doubles quotes in it.
        key, equals, value = _unquoted(pair.strip()).partition("=")
        if equals:
            pairs[key] = _unquoted(value)
    return pairs


def _unquoted(text: str) -> str:
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        return text[1:-1].replace('""', '"')
    return text


def variations(cell: str) -> list[dict[str, str]]:
    """Return the variants that a product lists, each as attribute → value.

    ``cell`` is ``sku=A,size=S|sku=B,size=M`` or a JSON array of objects.
    """
    variants = _json(cell, list)
    if variants is None:
        return [attributes(part) for part in cell.split("|") if "=" in part]
    cleaned = []
    for variant in variants:
        if isinstance(variant, dict):
            said = {}
            for key, value in variant.items():
                said[str(key).casefold()] = clean(str(value))
            cleaned.append(said)
    return cleaned


def _json(cell: str, kind: type) -> Any:
    """Return ``cell`` as JSON when it is of ``kind`` (a dict or a list), else None."""
    opening = "{" if kind is dict else "["
    if not cell.startswith(opening):
        return None
    try:
        value = json.loads(cell)
    except ValueError:
        return None
    return value if isinstance(value, kind) else None
