"""Exports of shop systems, brought to one row per variant with columns that params.yaml knows.

Each system has a module: whether a table is its export, told by columns that no other system has
together, and the export as rows of variants. What is no such export stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from beauty_models.intake import account
from beauty_models.intake.shops import amazon, bigcommerce, magento, merchant, shopify, woocommerce


class System(NamedTuple):
    """A shop system whose exports are known."""

    name: str
    columns: tuple[set[str], ...]  # of each of its layouts, in small letters
    unified: Callable[[pd.DataFrame], pd.DataFrame]


SYSTEMS = (
    System("Shopify", shopify.COLUMNS, shopify.unified),
    System("WooCommerce", woocommerce.COLUMNS, woocommerce.unified),
    System("Magento", magento.COLUMNS, magento.unified),
    System("BigCommerce", bigcommerce.COLUMNS, bigcommerce.unified),
    System("Amazon", amazon.COLUMNS, amazon.unified),
    System("Google Merchant", merchant.COLUMNS, merchant.unified),
)


def system_of(columns: pd.Index[str]) -> System | None:
    """Return the system whose export has ``columns``; None where it is none of `SYSTEMS`."""
    names = {str(column).strip().casefold() for column in columns}
    # Google's own names have spaces or low lines between the words, and "g:" before them in XML.
    names |= {merchant.plain_name(name) for name in names}
    names |= {amazon.plain_name(name) for name in names}
    for system in SYSTEMS:
        if any(names >= layout for layout in system.columns):
            return system
    return None


def unified(rows: pd.DataFrame, file: Path | str = "") -> pd.DataFrame:
    """Return ``rows`` of ``file``, strings under its own names, as one row per variant.

    The index, a row's line in the file, stays that of the row that is kept.
    """
    system = system_of(rows.columns)
    if system is None:
        return rows
    variants = system.unified(rows)
    evidence = f"its columns; {len(rows):,} rows are {len(variants):,} variants"
    account.guess("layout", f"{system.name}'s export", sure="certain", evidence=evidence, file=file)
    return variants
