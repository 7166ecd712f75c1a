"""Shopify's product export: a row per variant and per further picture of a product.

A product's name and text stand in its first row alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from beauty_models.intake.shops.variants import (
    Lines,
    attributes,
    frame,
    in_small_letters,
    pictures,
)

COLUMNS = (
    {"handle", "title", "image src"},
    {"url handle", "title", "product image url"},  # since 2025
)
RENAMED = {
    "url handle": "handle",
    "description": "body (html)",
    "sku": "variant sku",
    "price": "variant price",
    "product image url": "image src",
    "variant image url": "variant image",
}
# Said of a product in its first row only; the other columns are a variant's.
OF_PRODUCT = ("title", "body (html)", "vendor", "type", "tags", "product category")
OPTIONS = (1, 2, 3)
ONLY_VARIANT = "Default Title"  # Shopify's option value of a product that has no variants


def unified(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row per variant, with its product's texts and pictures.

    Columns are added: sku, parent, image (one address a line), price, category, attributes (JSON
    of the options).
    """
    rows = in_small_letters(rows)
    if "url handle" in rows:
        rows = rows.rename(columns=RENAMED)
    kept: Lines = []
    for handle, product in rows.groupby("handle", sort=False):
        if handle:
            kept += _variants(str(handle), product)
        else:
            # Without a handle nobody knows whose it is; ingest says so of the row.
            kept += [(int(str(line)), dict(row)) for line, row in product.iterrows()]
    # As a column of its own the handle would be taken for the product's SKU.
    return frame(kept, rows.index.name).drop(columns=["handle"])


def _variants(handle: str, product: pd.DataFrame) -> Lines:
    """Return the rows of ``product`` that are variants, by their lines."""
    first = product.iloc[0]
    option_names = [str(first.get(f"option{number} name", "")) for number in OPTIONS]
    gallery = _pictures(product)
    of_variants = set(product.get("variant image", []))
    # A variant's own picture shows its color, and so no other variant.
    shared = [name for name in gallery if name not in of_variants]
    variants = []
    for place, (line, row) in enumerate(product.iterrows()):
        values = [str(row.get(f"option{number} value", "")) for number in OPTIONS]
        sku = str(row.get("variant sku", ""))
        # A row that names no variant is there for its picture.
        if place and not sku and not any(values):
            continue
        options = _options(option_names, values)
        own = dict(row)
        for column in OF_PRODUCT:
            if column in own:
                own[column] = own[column] or first[column]
        own_picture = str(row.get("variant image", ""))
        own["sku"] = sku or "/".join([handle, *options.values()])
        own["parent"] = handle
        own["image"] = pictures([own_picture, *shared] if own_picture else gallery)
        own["price"] = str(row.get("variant price", ""))
        own["category"] = own.get("type") or own.get("product category", "")
        own["attributes"] = attributes(options)
        variants.append((int(str(line)), own))
    return variants


def _pictures(product: pd.DataFrame) -> list[str]:
    """Return the addresses of a product's pictures in the order of their positions."""
    addresses = product["image src"]
    given = addresses[addresses != ""]
    if "image position" in product:
        positions = pd.to_numeric(product["image position"], errors="coerce")
        order = positions[given.index].sort_values(kind="stable").index
        given = given[order]
    return list(dict.fromkeys(given))


def _options(names: Sequence[str], values: Sequence[str]) -> dict[str, str]:
    """Return option → value of a variant: ``{"Size": "S", "Color": "red"}``."""
    options = {}
    for name, value in zip(names, values, strict=True):
        if name and value and value != ONLY_VARIANT:
            options[name] = value
    return options
