"""Google Merchant's product data, and Meta's catalogues, which have the same columns.

A row is a variant; ``item_group_id`` says of which product. Names may be written ``image link``,
``image_link`` or, in XML, ``g:image_link`` (https://support.google.com/merchants/answer/7052112).
"""

from __future__ import annotations

import re

import pandas as pd

from beauty_models.intake.shops.variants import Row, attributes, by_line, frame, pictures

COLUMNS = ({"id", "title", "image_link"},)
OPTIONS = ("color", "size", "material", "pattern", "gender", "age_group")
# Google's taxonomy by number: no word that anybody says of a product.
_CATEGORY_NUMBER = re.compile(r"\d+")


def plain_name(name: str) -> str:
    """Return a column's name as Google's documentation has it: ``g:Image Link`` is image_link."""
    return name.strip().casefold().removeprefix("g:").replace(" ", "_")


def unified(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ``rows`` with all pictures of each, its own category, and its options.

    Columns are added or changed: sku, parent, image (one address a line), category, attributes.
    """
    rows = rows.set_axis([plain_name(str(column)) for column in rows.columns], axis=1)
    lines = by_line(rows)
    for _, row in lines:
        further = re.split(r"[\n,]", row.get("additional_image_link", ""))
        row["image"] = pictures([row["image_link"], *map(str.strip, further)])
        row["sku"] = row.pop("id")
        # Of Atom, whose entries have no description.
        text = row.get("description") or row.get("summary") or row.get("content", "")
        row["description"] = text
        row["parent"] = row.get("item_group_id", "")
        row["category"] = _category(row)
        options = {name: row[name] for name in OPTIONS if row.get(name)}
        row["attributes"] = attributes(options)
    unified_rows = frame(lines, rows.index.name)
    return unified_rows.drop(columns=["google_product_category"], errors="ignore")


def _category(row: Row) -> str:
    """Return the shop's own path of categories, else Google's in words."""
    # Several types are several lines of a feed; the first one is the most important.
    own = row.get("product_type", "").split("\n")[0]
    google = row.get("google_product_category", "")
    return own or ("" if _CATEGORY_NUMBER.fullmatch(google) else google)
