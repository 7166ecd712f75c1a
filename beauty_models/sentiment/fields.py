"""The fields of a review: which are read of a delivery, and which stand in the data folder.

A new one goes here and into `Columns`, whose names are in params.yaml.
"""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from beauty_models.intake.tables import example_id

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


def review_table(reviews: pd.DataFrame, texts: pa.Table, classes: list[str]) -> pa.Table:
    """Return ``reviews``, with their id, text and language in ``texts``, as `SCHEMA` says."""
    ids = texts["id"].to_pylist()
    # null where nothing is known: "" would be a product and a category like any other
    columns = {
        "id": list(map(example_id, reviews["file"], reviews["row"], ids)),
        "text": texts["text"].cast(pa.string()),
        "label": list(map(classes.index, reviews["label"])),
        "language": texts["language"],
        "product": [product or None for product in reviews["product"]],
        "category": [category or None for category in reviews["category"]],
        "date": pa.array(reviews["date"], pa.timestamp("us"), from_pandas=True),
        "aspects": reviews["aspects"].tolist(),
    }
    return pa.table(columns, schema=SCHEMA)
