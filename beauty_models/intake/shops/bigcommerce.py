"""BigCommerce's product exports: the rows of variants, rules and pictures below their product.

The older layout has ``Item Type`` (Product, SKU, Rule), up to some ten columns ``Product Image File
- 1``, and a variant's options where a product has its name: ``[S]Color=Red,[RB]Size=M``. The newer
one has ``Item`` (Product, Variant, Image) and a column ``Options``, ``Type=Swatch|Name=Color|
Value=Red[#ff0000]``. Variants of the older one have their prices in rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

import pandas as pd

from beauty_models.intake.shops.variants import (
    Lines,
    Row,
    attributes,
    by_line,
    frame,
    in_small_letters,
    pictures,
)

COLUMNS = (
    {"item type", "product name", "product code/sku"},
    {"item", "name", "sku", "options"},
)
# The older layout's name → the newer one's
RENAMED = {
    "item type": "item",
    "product id": "id",
    "product name": "name",
    "product code/sku": "sku",
    "product description": "description",
    "category": "categories",
}
_PICTURE_FILE = re.compile(r"product image (?:file|url) - (\d+)")
_PICTURE_COLUMNS = (
    "image url (export)",
    "image url",
    "image url (import)",
    "variant image url",
    "product image url",
    "product image path",
)
# What begins an option: the widget's letters, such as [S] for a swatch, [RB] for radio buttons
_OPTION = re.compile(r"\[[A-Z]+\]\s*([^=\[\]]+)=")
_NAMED_OPTION = re.compile(r"Name=(?P<name>[^|]*)\|Value=(?P<value>.*?)(?=,?\s*Type=|$)", re.DOTALL)
_COLOR_CODE = re.compile(r"(?:\[#[0-9A-Fa-f:#,|]+\]|:#[0-9A-Fa-f:#,|]+)$")  # of a swatch
_RULE_PRICE = re.compile(r"\[(?P<kind>[A-Z]+)\]\s*(?P<amount>[\d.]+)")
FIRST = "true"  # of "Is Thumbnail": the picture that a shop's lists show


@dataclass
class Product:
    """A product with the rows below it."""

    line: int
    row: Row
    variants: Lines = field(default_factory=list)
    rules: list[Row] = field(default_factory=list)
    pictures: list[Row] = field(default_factory=list)


def unified(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row per product and per variant, with the product's pictures in the former.

    Columns are added or changed: sku, parent, name, image (one address a line), price, category,
    attributes.
    """
    rows = in_small_letters(rows).rename(columns=RENAMED)
    kept: Lines = []
    for product in _products(by_line(rows)):
        kept += _unified_product(product)
    return frame(kept, rows.index.name).drop(columns=["id", "categories"], errors="ignore")


def _products(lines: Lines) -> Iterator[Product]:
    """Yield the products with what stands below each, in the file's order."""
    product: Product | None = None
    for line, row in lines:
        item = row["item"].strip().casefold()
        if item == "product" or product is None:
            if product:
                yield product
            product = Product(line, row)
        elif item in ("sku", "variant"):
            product.variants.append((line, row))
        elif item == "rule":
            product.rules.append(row)
        elif item == "image":
            product.pictures.append(row)
    if product:
        yield product


def _unified_product(product: Product) -> Lines:
    own = product.row
    # Not every shop gives a product with variants an SKU of its own.
    sku = own["sku"] or own.get("id", "") or own["name"]
    own["sku"] = sku
    own["parent"] = ""
    own["category"] = own.get("categories", "")
    # Those of "[S]Color=Red:#FF0000,[S]Color=Blue:#0000FF" are all that its variants offer.
    own["attributes"] = ""
    shown = _pictures(own) + _picture_rows(product.pictures)
    own["image"] = pictures(shown)
    kept = [(product.line, own)]
    for line, row in product.variants:
        options = {name: values[0] for name, values in _options(row).items()}
        rules = [rule for rule in product.rules if _is_for(rule, row["sku"], options)]
        row["attributes"] = attributes(options)
        row["sku"] = row["sku"] or "/".join([sku, *options.values()])
        row["parent"] = sku
        row["name"] = own["name"]
        own_pictures = _pictures(row)
        for rule in rules:
            own_pictures += _pictures(rule)
        row["image"] = pictures(own_pictures or shown)
        row["price"] = _price(own.get("price", ""), row.get("price", ""), rules)
        kept.append((line, row))
    return kept


def _pictures(row: Row) -> list[str]:
    """Return the pictures that ``row`` itself names, the one of the shop's lists first."""
    found: list[tuple[bool, float, int, str]] = []
    numbers = {int(match[1]) for name in row if (match := _PICTURE_FILE.fullmatch(name))}
    for number in sorted(numbers):
        name = row.get(f"product image file - {number}", "")
        name = name or row.get(f"product image url - {number}", "")
        is_first = row.get(f"product image is thumbnail - {number}", "").casefold() in (FIRST, "y")
        place = _number(row.get(f"product image sort - {number}", ""))
        if name:
            found.append((not is_first, place, number, name))
    names = [name for *_, name in sorted(found)]
    given = next((row[column] for column in _PICTURE_COLUMNS if row.get(column)), "")
    return [*names, given] if given else names


def _picture_rows(rows: list[Row]) -> list[str]:
    """Return the pictures of the rows ``Image`` below a product, the one of its lists first."""
    found = []
    for number, row in enumerate(rows):
        is_first = row.get("image is thumbnail", "").casefold() == FIRST
        place = _number(row.get("image sort order", ""))
        found += [(not is_first, place, number, name) for name in _pictures(row)]
    return [name for *_, name in sorted(found)]


def _number(cell: str) -> float:
    """Return a place in an order; what says none comes last."""
    return float(cell) if cell.isdecimal() else float("inf")


def _options(row: Row) -> dict[str, list[str]]:
    """Return option → values of a variant's row, or of a rule's, which may name several."""
    options: dict[str, list[str]] = {}
    written = row.get("options", "") or row["name"]
    for match in _NAMED_OPTION.finditer(written):
        options[match["name"].strip()] = [_value(match["value"])]
    if options:
        return options
    begins = list(_OPTION.finditer(written))
    ends = [match.start() for match in begins[1:]] + [len(written)]
    for match, end in zip(begins, ends, strict=True):
        name = match[1].strip()
        # A rule's "[RB]Size=9,Size=10" is for both.
        values = written[match.end() : end].split(f",{name}=")
        options[name] = [_value(value) for value in values]
    return options


def _value(written: str) -> str:
    return _COLOR_CODE.sub("", written.strip().rstrip(",;").strip()).strip()


def _is_for(rule: Row, sku: str, options: dict[str, str]) -> bool:
    """Return whether a rule changes the variant of this SKU and these options."""
    if rule["sku"]:
        return rule["sku"] == sku
    wanted = _options(rule)
    return bool(wanted) and all(options.get(name) in values for name, values in wanted.items())


def _price(of_product: str, of_variant: str, rules: list[Row]) -> str:
    """Return a variant's price: its own, else the product's as the rules change it.

    A rule that is not understood is returned itself, for it is no price: better none than a wrong
    one.
    """
    price = of_variant or of_product
    for rule in rules:
        written = rule.get("price", "")
        if not written:
            continue
        match = _RULE_PRICE.fullmatch(written)
        if match is None:
            return written
        changed = _changed(price, match["kind"], match["amount"])
        if changed is None:
            return written
        price = changed
    return price


def _changed(price: str, kind: str, by: str) -> str | None:
    """Return ``price`` after a rule; None where the rule or the price is of another kind."""
    if kind == "FIXED":
        return by
    try:
        before, amount = Decimal(price), Decimal(by)
    except InvalidOperation:
        return None
    if kind == "ADD":
        return str(before + amount)
    return str(before - amount) if kind == "REMOVE" else None
