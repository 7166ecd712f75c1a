"""Exports of shop systems, brought to one row per variant with columns that params.yaml knows.

Shopify writes a row per variant and per further picture, and a product's name in its first row
alone; WooCommerce writes line ends as a backslash and an n. What is no such export stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

SHOPIFY = {"handle", "title", "image src"}  # columns that no other system has together
# Said of a product in its first row only; the other columns are a variant's.
OF_PRODUCT = ("title", "body (html)", "vendor", "type", "tags", "product category")
OPTIONS = (1, 2, 3)
ONLY_VARIANT = "Default Title"  # Shopify's option value of a product that has no variants
WOOCOMMERCE = {"sku", "images", "regular price"}


def unified(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ``rows``, strings under the names of the file, as one row per variant.

    The index, a row's line in the file, stays that of the row that is kept.
    """
    names = {str(column).strip().casefold() for column in rows.columns}
    if names >= SHOPIFY:
        return _from_shopify(rows)
    if names >= WOOCOMMERCE:
        return _from_woocommerce(rows)
    return rows


def _from_woocommerce(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ``rows`` with line ends where the export has a backslash and an n."""
    return rows.map(lambda cell: cell.replace("\\n", "\n"))


def _from_shopify(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row per variant, with its product's texts and pictures.

    Columns are added: sku, parent, image (one address a line), price, category, attributes (JSON
    of the options).
    """
    rows = rows.set_axis([str(column).strip().casefold() for column in rows.columns], axis=1)
    kept: list[tuple[int, dict[str, str]]] = []
    for handle, product in rows.groupby("handle", sort=False):
        if handle:
            kept += _variants(str(handle), product)
        else:
            # Without a handle nobody knows whose it is; ingest says so of the row.
            kept += [(int(str(line)), dict(row)) for line, row in product.iterrows()]
    lines = [line for line, _ in kept]
    frame = pd.DataFrame([row for _, row in kept], index=pd.Index(lines, name=rows.index.name))
    # The names have been read; as columns of their own they would be taken for the product's SKU.
    return frame.drop(columns=["handle"]).fillna("").astype(object)


def _variants(handle: str, product: pd.DataFrame) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of ``product`` that are variants, by their lines."""
    first = product.iloc[0]
    option_names = [str(first.get(f"option{number} name", "")) for number in OPTIONS]
    pictures = _pictures(product)
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
        own["image"] = own_picture or "\n".join(pictures)
        own["price"] = str(row.get("variant price", ""))
        own["category"] = own.get("type") or own.get("product category", "")
        own["attributes"] = json.dumps(options, ensure_ascii=False)
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
