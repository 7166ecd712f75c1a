"""Magento 2's product export (System, Data Transfer, Export): one row per product and store view.

Categories are paths divided by commas, further attributes ``key=value`` pairs, the variants of a
product ``sku=A,size=S|sku=B,size=M`` in its own row: `products` reads those cells.
"""

from __future__ import annotations

import pandas as pd

from beauty_models.intake.shops.variants import by_line, frame, in_small_letters, pictures
from beauty_models.progress import log_line

COLUMNS = (
    {"sku", "product_type", "attribute_set_code"},
    {"sku", "product_type", "additional_attributes"},
)
MAIN_PICTURES = ("base_image", "small_image", "thumbnail_image")
NO_PICTURE = "no_selection"  # Magento's word for it


def unified(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the default store with all pictures of each, the main one first.

    A column image (one name a line) is added. Rows of further store views repeat a product with
    what they change of it, its name in another language perhaps; they are left aside, and told.
    """
    rows = in_small_letters(rows)
    lines = by_line(rows)
    if "store_view_code" in rows:
        default = {row["sku"] for _, row in lines if not row["store_view_code"]}
        kept = []
        views = set()
        for line, row in lines:
            # What no row of the default store describes is described by its view alone.
            if row["store_view_code"] and row["sku"] in default:
                views.add(row["store_view_code"])
            else:
                kept.append((line, row))
        if views:
            log_line(
                f"Magento's export: {len(lines) - len(kept):,} rows are of the store views "
                f"{', '.join(sorted(views))} and repeat products: left aside; export a view alone "
                "to train on its texts"
            )
        lines = kept
    for _, row in lines:
        mains = [row.get(column, "") for column in MAIN_PICTURES]
        main = next((name for name in mains if name not in ("", NO_PICTURE)), "")
        further = row.get("additional_images", "").split(",")
        row["image"] = pictures([main, *map(str.strip, further)])
    return frame(lines, rows.index.name)
