"""The rows of a delivery: those of its tables, and one for each picture that no table names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd

from beauty_models.intake import account, columns, products, public_sets, shops, splits, tables
from beauty_models.intake.images import SUFFIXES, Files
from beauty_models.intake.records import texts_of
from beauty_models.progress import bar
from beauty_models.tryon import Ingest
from beauty_models.tryon.heads import label_column
from beauty_models.tryon.labels import label_columns
from beauty_models.tryon.public_rows import public_rows

COLUMNS = (
    "file",
    "row",
    "reason",
    "id",
    "product",
    "name",
    "text",
    "image",
    "attributes",
    "variations",
    "delivered",
    "offered",
)
"""What is known of a row on its way through `ingest`, besides its labels."""

MISSING = "?"  # begins the path of a picture that a table names and that is not there


def read_rows(raw: Path, files: Files, params: Ingest) -> pd.DataFrame:
    """Return the rows of all tables, good and bad, and a row for each picture that none names.

    Of a public set (`public_sets`) the rows are its garments.
    """
    fields = [*COLUMNS, *label_columns(params)]
    public_set = public_sets.recognize(raw)
    if public_set:
        return public_rows(public_set, files, fields)
    # First, so that there is a frame where there is no table at all.
    empty = pd.DataFrame(columns=fields, dtype=object)
    frames = _table_frames(raw, params)
    rows = pd.concat([empty, *frames], ignore_index=True)
    rows = rows.reindex(columns=fields).fillna("")
    rows["image"] = _picture_paths(rows["image"], files)
    pictures = _unnamed_pictures(set(rows["image"]), files)
    unnamed = _folder_rows(pictures, bool(frames), params)
    loose = pd.DataFrame(unnamed, columns=fields, dtype=object).fillna("")
    return pd.concat([rows, loose], ignore_index=True)


def _table_frames(raw: Path, params: Ingest) -> list[pd.DataFrame]:
    """Return the rows of each table that has any of use."""
    frames = []
    files = tables.readable(raw, beside=SUFFIXES)
    with bar("ingest: read", len(files)) as progress:
        for file in files:
            place = file.relative_to(raw).as_posix()
            rows = _table_rows(file, raw, params)
            if rows is not None:
                offered = fnmatch(place, params.catalogue or "*")
                frames.append(rows.assign(file=place, offered=offered))
            progress.advance(note=file.name)
    return frames


def _table_rows(file: Path, raw: Path, params: Ingest) -> pd.DataFrame | None:
    """Return the good and the bad rows of one table by field.

    None when it has none, or speaks of neither texts nor pictures.
    """
    try:
        table = tables.read(file, raw)
    except tables.EmptyTableError:
        account.leave_aside("files", "no rows below the header", file)
        return None
    # Of an export the shop's module reads columns that no field has.
    is_export = shops.system_of(table.rows.columns) is not None
    table = table._replace(rows=shops.unified(table.rows, file))
    header = list(table.rows.columns)
    column_of = columns.pick(header, params.columns)
    if not is_export:
        account.tell_columns(file, header, column_of, params.columns, ["text"])
    if "text" not in column_of and "image" not in column_of:
        _refuse_labels(file, header, column_of, params)
        reason = (
            f"of its columns {', '.join(header)} none is known as a text or a picture "
            "(ingest.columns, --map text=COLUMN)"
        )
        account.leave_aside("files", reason, file)
        return None
    fields = []
    for name in column_of:
        fields.append(label_column(name) if name in params.heads else name)
    known = table.rows[list(column_of.values())]
    good = known.set_axis(fields, axis=1)
    good["name"] = ""
    if "name" in column_of:
        good["name"] = table.rows[column_of["name"]].map(products.clean)
    # All columns of the text count, not the one that `column_of` has.
    text_columns = columns.all_named(header, params.columns["text"])
    good["text"] = ""
    if text_columns:
        good["text"] = _joined_texts(table.rows[text_columns])
    # The index is the line of a row, by which a reader finds it in the file.
    good = good.assign(reason="").reset_index()
    return pd.concat([good, table.rejected], ignore_index=True)


def _refuse_labels(
    file: Path, header: Sequence[str], column_of: Mapping[str, str], params: Ingest
) -> None:
    """Refuse a table whose labels would be left aside with it: they are of some pictures.

    Raises:
        ValueError: it has a column of labels.
    """
    labels = [column_of[head] for head in params.heads if head in column_of]
    if labels:
        option = account.remedy("reading.aside", f'["{file.name}"]')
        raise ValueError(
            f"{file} has labels in {', '.join(labels)}, but of its columns {', '.join(header)} "
            "none is known as a text or a picture: say which is with --map image=COLUMN or "
            f"text=COLUMN{', or leave the table aside with ' + option if option else ''}"
        )


def _joined_texts(rows: pd.DataFrame) -> list[str]:
    """Return for each row its cells as one text: name, description and what else there is."""
    texts = []
    for cells in rows.itertuples(index=False, name=None):
        parts: list[str] = []
        for cell in cells:
            parts += texts_of(cell)
        given = filter(None, map(products.clean, parts))
        texts.append(" ".join(given))
    return texts


def _picture_paths(cells: pd.Series[str], files: Files) -> list[str]:
    """Return for each cell the path of its picture below the raw folder; "" where it names none."""
    paths = {"": ""}
    # Each name is looked for once: a shop's variants share their pictures.
    for cell in sorted(set(cells) - {""}):
        # Of several the first one shows the garment as it is sold.
        found, _ = files.find_all(cell)
        paths[cell] = f"{MISSING}{cell}"
        if found:
            paths[cell] = str(found[0].relative_to(files.raw))
    return [paths[cell] for cell in cells]


def _unnamed_pictures(named: set[str], files: Files) -> list[Path]:
    """Return the pictures whose paths below the raw folder are not among ``named``."""
    unnamed = []
    for file in files.all():
        path = file.relative_to(files.raw)
        if str(path) not in named:
            unnamed.append(path)
    return unnamed


def _folder_rows(
    pictures: Sequence[Path], has_tables: bool, params: Ingest
) -> list[dict[str, Any]]:
    """Return a row for each of ``pictures``, labelled by its folder where folders are classes."""
    class_column = label_columns(params)[0]
    rows = []
    for path in pictures:
        folders = [name.casefold() for name in path.parts[:-1]]
        delivered = _part_of_folders(folders[:-1])
        # Beside tables a folder is merely where the pictures lie, unless it has a part above it.
        is_class = folders and folders[-1] not in splits.DELIVERED and (delivered or not has_tables)
        row = {
            "file": path.as_posix(),
            "row": 0,  # of no table
            "id": path.as_posix(),
            "image": str(path),
            "offered": not params.catalogue,
            "delivered": delivered,
            class_column: path.parts[-2] if is_class else "",
        }
        rows.append(row)
    return rows


def _part_of_folders(folders: list[str]) -> str:
    """Return the part that the deepest of ``folders`` which names one stands for, else ""."""
    for name in reversed(folders):
        if name in splits.DELIVERED:
            return splits.DELIVERED[name]
    return ""


def inherit_from_products(rows: pd.DataFrame) -> None:
    """Give each variant that a product lists the product's id, name and text."""
    # A shop lists the variants with the product. Their own rows have neither its description nor
    # its id, and without the id its sizes and colors would end in different parts.
    parents: dict[str, Any] = {}
    row: Any
    for row in rows[rows["variations"] != ""].itertuples():
        for variant in products.variations(row.variations):
            if variant.get("sku"):
                parents[variant["sku"]] = row
        parents[row.id] = row
    has_parent = rows["id"].isin(parents.keys())
    parent_of_row = [parents[row_id] for row_id in rows["id"][has_parent]]
    rows.loc[has_parent, "product"] = [parent.id for parent in parent_of_row]
    rows.loc[has_parent, "name"] = [parent.name for parent in parent_of_row]
    rows.loc[has_parent, "text"] = [parent.text for parent in parent_of_row]
