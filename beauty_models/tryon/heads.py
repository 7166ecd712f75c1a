"""What the model tells apart: each head is a set of labels, the garment's class first."""

from __future__ import annotations

from typing import TypedDict


class Head(TypedDict):
    """One thing that is told apart, as it stands in schema.json and in a saved model."""

    name: str
    labels: list[str]


def label_column(head: str) -> str:
    """Return the column of a data folder's tables that holds the label of ``head``."""
    return f"label.{head}"
