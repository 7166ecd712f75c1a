"""Amazon's Seller Central: inventory files (flat files) and reports of listings.

An inventory file is a template that was filled in: a row per variant, which names its product in
``parent_sku``, and a row for the product itself. Since 2024 its columns are called as their places
in a listing's JSON: ``item_name[marketplace_id=…][language_tag=en_US]#1.value``. A report
(Active Listings, All Listings) has a row per SKU, one picture, and no variants.
"""

from __future__ import annotations

import re

import pandas as pd

from beauty_models.intake import account
from beauty_models.intake.shops.variants import Lines, Row, attributes, by_line, frame, pictures

COLUMNS = (
    {"item_sku", "item_name"},
    {"seller-sku", "item-name", "listing-id"},
)
# What the columns of today are called in the templates of before; {} is a number.
RENAMED = {
    "contribution_sku#1.value": "item_sku",
    "::record_action": "update_delete",
    "product_type#1.value": "feed_product_type",
    "item_name#1.value": "item_name",
    "item_type_keyword#1.value": "item_type",
    "item_type_name#1.value": "item_type_name",
    "product_description#1.value": "product_description",
    "parentage_level#1.value": "parent_child",
    "child_parent_sku_relationship#1.parent_sku": "parent_sku",
    "main_product_image_locator#1.media_location": "main_image_url",
    "color#1.value": "color_name",
    "size#1.value": "size_name",
    "apparel_size#1.size": "size_name",
    "material#1.value": "material_type",
    "pattern#1.value": "pattern_name",
    "purchasable_offer#1.currency": "currency",
    "purchasable_offer#1.our_price#1.schedule#1.value_with_tax": "standard_price",
}
_NUMBERED = (
    (re.compile(r"other_product_image_locator_(\d+)#1\.media_location"), "other_image_url"),
    (re.compile(r"bullet_point#(\d+)\.value"), "bullet_point"),
)
_SELECTORS = re.compile(r"\[[^\]]*\]")  # of a marketplace, a language, an audience
_FURTHER_PICTURE = re.compile(r"other_image_url_?(\d+)")
_BULLET = re.compile(r"bullet_point_?(\d+)")
OPTIONS = {
    "color": ("color_name", "color_map"),
    "size": ("size_name",),
    "material": ("material_type", "fabric_type", "material_composition"),
    "pattern": ("pattern_name", "pattern_type"),
}
CATEGORIES = ("item_type_name", "item_type", "feed_product_type")
DELETIONS = ("delete", "delete (child or parent)")
# A report's name → an inventory file's
OF_REPORT = {
    "seller-sku": "item_sku",
    "item-name": "item_name",
    "item-description": "product_description",
    "price": "standard_price",
    "image-url": "main_image_url",
}


def plain_name(name: str) -> str:
    """Return what the templates of before call a column of today; ``name`` where it is no such."""
    bare = _SELECTORS.sub("", name.strip().casefold())
    for pattern, old in _NUMBERED:
        if match := pattern.fullmatch(bare):
            return f"{old}{match[1]}"
    return RENAMED.get(bare, bare)


def unified(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row per variant and per product, without those that delete a listing.

    Columns are sku, parent, name, description, image (one address a line), price, category and
    attributes.
    """
    names = [plain_name(str(column)) for column in rows.columns]
    rows = rows.set_axis(names, axis=1)
    # Of several marketplaces or languages the first one counts.
    rows = rows.loc[:, ~rows.columns.duplicated()]
    if "seller-sku" in rows:
        rows = rows.rename(columns=OF_REPORT)
    kept: Lines = []
    for line, row in by_line(rows):
        if row.get("update_delete", "").casefold() not in DELETIONS:
            kept.append((line, _unified_row(row)))
    if deleted := len(rows) - len(kept):
        reason = "update_delete says that they delete a listing"
        account.leave_aside("rows", reason, "Amazon's inventory file", deleted)
    return frame(kept, rows.index.name)


def _unified_row(row: Row) -> Row:
    """Return what ``row``, under an inventory file's names, says of its SKU."""
    bullets = _numbered(row, _BULLET)
    options = {}
    for option, columns in OPTIONS.items():
        value = _first(row, columns)
        if value:
            options[option] = value
    amount = row.get("standard_price", "")
    return {
        "sku": row["item_sku"],
        "parent": row.get("parent_sku", ""),
        "name": row["item_name"],
        "description": "\n".join(filter(None, [row.get("product_description", ""), *bullets])),
        "image": pictures([row.get("main_image_url", ""), *_numbered(row, _FURTHER_PICTURE)]),
        "price": f"{amount} {row.get('currency', '')}".strip() if amount else "",
        # A keyword of Amazon's: button-down-shirts
        "category": _first(row, CATEGORIES).replace("-", " ").replace("_", " "),
        "attributes": attributes(options),
    }


def _first(row: Row, columns: tuple[str, ...]) -> str:
    """Return the first of ``columns`` that says something, "" where none does."""
    return next((row[column] for column in columns if row.get(column)), "")


def _numbered(row: Row, pattern: re.Pattern[str]) -> list[str]:
    """Return the cells of the columns that fit ``pattern``, by their numbers."""
    found = []
    for column, cell in row.items():
        if match := pattern.fullmatch(column):
            found.append((int(match[1]), cell))
    return [cell for _, cell in sorted(found)]
