"""Items: one picture of one product, with what is said of it. They are what is found."""

from __future__ import annotations

from collections import defaultdict
from typing import TypedDict

import pyarrow as pa

from beauty_models.intake import products, splits
from beauty_models.intake.pictures import Decoded
from beauty_models.intake.products import Texts
from beauty_models.recommend import Ingest
from beauty_models.recommend.captions import Caption, captions, sentences
from beauty_models.recommend.prices import Price
from beauty_models.recommend.rows import Row

CAPTION = pa.struct(
    [
        ("kind", pa.string()),
        ("language", pa.string()),
        ("text", pa.string()),
    ]
)
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("product", pa.string()),
        ("skus", pa.list_(pa.string())),
        ("name", pa.string()),
        ("category", pa.string()),
        ("color", pa.string()),
        ("material", pa.string()),
        ("price", pa.float64()),
        ("currency", pa.string()),
        ("attributes", pa.map_(pa.string(), pa.string())),
        ("captions", pa.list_(CAPTION)),
        ("image", pa.string()),
    ]
)


class Item(TypedDict):
    """One picture of one product: the columns of `SCHEMA`."""

    key: str
    product: str
    skus: list[str]
    name: str
    category: str | None
    color: str | None
    material: str | None
    price: float | None
    currency: str | None
    attributes: list[tuple[str, str]]
    captions: list[Caption]
    image: str


Items = dict[str, list[Item]]
"""Part → its items, in the order of their keys."""


def items_by_part(
    rows: list[Row],
    parts: dict[str, str],
    decoded: Decoded,
    params: Ingest,
) -> Items:
    """Return the items of the products in ``parts``, one per picture."""
    rows_of: dict[str, list[Row]] = defaultdict(list)  # picture → its rows
    for row in rows:
        if row.picture and not row.reason and row.product in parts:
            key = decoded.keys[row.picture]
            rows_of[key].append(row)
    colors = _all_colors(rows)
    items: Items = {part: [] for part in splits.PARTS}
    for key in sorted(rows_of):
        item = _item(key, rows_of[key], params, colors)
        # no two products share a picture by now
        part = parts[item["product"]]
        items[part].append(item)
    return items


def _all_colors(rows: list[Row]) -> list[str]:
    colors = set[str]()
    for row in rows:
        colors.update(row.texts["color"])
    return sorted(colors)


def _item(
    key: str,
    rows: list[Row],
    params: Ingest,
    colors: list[str],
) -> Item:
    """Return the item of ``rows``, which share one picture.

    It has what they agree on, and all their SKUs but their product's own.
    """
    rows = sorted(rows, key=lambda row: row.sku)
    first = rows[0]
    # a product's own row cannot be bought where it has variants
    variants = [row for row in rows if row.sku != row.product] or rows
    attributes = _shared_attributes(variants)
    texts = _clean_texts(first.texts, _shared_color(variants))
    price = _lowest_price(variants)
    item_captions = captions(texts, attributes, colors, params.sentences, params.max_characters)
    return {
        "key": key,
        "product": first.product,
        "skus": [row.sku for row in variants],
        "name": _displayed_name(texts, item_captions),
        "category": next(iter(texts["category"]), None),
        "color": next(iter(texts["color"]), None),
        "material": next(iter(texts["material"]), None),
        "price": price.amount if price else None,
        "currency": (price.currency or None) if price else None,
        "attributes": sorted(attributes.items()),
        "captions": item_captions,
        "image": key,
    }


def _displayed_name(texts: Texts, item_captions: list[Caption]) -> str:
    """Return what the item is called where it is shown."""
    for name in texts["name"]:
        return name
    # A product may have a description only.
    for caption in item_captions:
        return caption["text"]
    # Each of its sentences may name another color than its own, and is no caption then.
    return next(sentence for text in texts["description"] for sentence in sentences(text))


def _shared_attributes(variants: list[Row]) -> dict[str, str]:
    """Return the attributes in which all ``variants`` agree."""
    # sizes share an item: "size: M" is true of one of them only
    shared = {}
    for name, value in variants[0].attributes.items():
        if all(row.attributes.get(name) == value for row in variants):
            shared[name] = value
    return shared


def _shared_color(variants: list[Row]) -> list[str]:
    """Return the color of ``variants`` in every language, nothing where they have several."""
    color = variants[0].texts["color"]
    if any(row.texts["color"] != color for row in variants):
        return []
    return color


def _clean_texts(texts: Texts, color: list[str]) -> Texts:
    """Return what a product's columns say, fit to be shown; the descriptions stay as they are."""
    names = map(products.clean, texts["name"])
    categories = map(products.category, texts["category"])
    materials = map(products.clean, texts["material"])
    return texts | {
        "color": color,
        "name": list(names),
        "category": list(categories),
        # several materials are divided as in `products.attributes`
        "material": [material.replace("|", ", ") for material in materials],
    }


def _lowest_price(variants: list[Row]) -> Price | None:
    """Return the lowest price, as shops write "from 10 €"; None where none is known.

    None, too, where some have another currency: 900 yen are not less than 10 euros.
    """
    known = [row.price for row in variants if row.price]
    if len({price.currency for price in known}) > 1:
        return None
    return min(known, default=None)
