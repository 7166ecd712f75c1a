r"""WooCommerce's product export (Products, Export): variations below their product.

A variation names its product by the SKU or as ``id:44``, its options stand in columns ``Attribute 1
name`` and ``Attribute 1 value(s)``, and line ends are written as a backslash and an n.
"""

from __future__ import annotations

import re

import pandas as pd

from beauty_models.intake.shops.variants import Row, attributes, by_line, frame

COLUMNS = ({"sku", "images", "regular price"},)
BY_ID = "id:"
_ATTRIBUTE = re.compile(r"attribute (\d+) name")
_SEVERAL = re.compile(r"(?<!\\),")  # a comma within a value has a backslash before it


def unified(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ``rows`` with line ends, and with each variation's product and options.

    The columns parent and attributes are added where the export has what they say.
    """
    rows = rows.map(lambda cell: cell.replace("\\n", "\n"))
    names = {str(column).casefold(): str(column) for column in rows.columns}
    if "id" in names:
        rows = _with_skus(rows, names)
    numbers = [match[1] for name in names if (match := _ATTRIBUTE.fullmatch(name))]
    if numbers:
        said = [_options(row, names, numbers) for _, row in by_line(rows)]
        rows["attributes"] = [attributes(options) for options in said]
    return rows


def _with_skus(rows: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """Return ``rows`` with ``id:44`` as the SKU of what has none, and parents by their SKUs."""
    lines = by_line(rows)
    sku_of = {}
    for _, row in lines:
        by_id = f"{BY_ID}{row[names['id']]}"
        # Variations have no SKU of their own in many shops.
        row[names["sku"]] = row[names["sku"]] or by_id
        sku_of[by_id] = row[names["sku"]]
    if "parent" in names:
        for _, row in lines:
            parent = row[names["parent"]]
            row[names["parent"]] = sku_of.get(parent, parent)
    return frame(lines, rows.index.name)


def _options(row: Row, names: dict[str, str], numbers: list[str]) -> dict[str, str]:
    """Return option → value of a row; a product's list of what its variations offer is none."""
    options = {}
    for number in numbers:
        name = row[names[f"attribute {number} name"]]
        values = _SEVERAL.split(row.get(names.get(f"attribute {number} value(s)", ""), ""))
        if name and len(values) == 1 and values[0]:
            options[name] = values[0].replace("\\,", ",").strip()
    return options
