"""The fields of a review: which are read of a delivery, and which stand in the data folder.

A new one goes here and into `Columns`, whose names are in params.yaml.
"""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from beauty_models.intake.tables import example_id
from beauty_models.intake.text import language

Fields = tuple[str, ...]

# What is read of a table; each field has its column names in `Columns` and in params.yaml.
REVIEW: Fields = (
    "id",
    "text",
    "label",
    "rating",
    "product",
    "category",
    "date",
)
ANNOTATION: Fields = (
    "id",
    "aspect",
    "polarity",
    "term",
    "opinion",
)

# What is written.
ASPECT = pa.struct(
    [
        ("category", pa.string()),
        ("polarity", pa.string()),
        ("term", pa.string()),
        ("opinion", pa.string()),
    ]
)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("label", pa.int64()),
        ("language", pa.string()),
        ("product", pa.string()),
        ("category", pa.string()),
        ("date", pa.timestamp("us")),
        ("aspects", pa.list_(ASPECT)),
    ]
)


def review_table(reviews: pd.DataFrame, classes: list[str]) -> pa.Table:
    """Return ``reviews``, whose dates are times or None, with the columns of `SCHEMA`."""
    # null where nothing is known: "" would be a product and a category like any other
    columns = {
        "id": list(map(example_id, reviews["file"], reviews["row"], reviews["id"])),
        "text": reviews["text"].tolist(),
        "label": list(map(classes.index, reviews["label"])),
        "language": list(map(language, reviews["text"])),
        "product": [product or None for product in reviews["product"]],
        "category": [category or None for category in reviews["category"]],
        "date": reviews["date"].tolist(),
        "aspects": reviews["aspects"].tolist(),
    }
    return pa.table(columns, schema=SCHEMA)
