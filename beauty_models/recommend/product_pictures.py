"""Which picture is whose: found by the tables' cells, one product's only, copies known again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from beauty_models.intake import account, images, splits
from beauty_models.intake.images import Files, PerceptualHash
from beauty_models.intake.pictures import Decoded
from beauty_models.intake.rejected import Rejected
from beauty_models.params import Pictures
from beauty_models.recommend import Ingest
from beauty_models.recommend.items import Items
from beauty_models.recommend.rows import Row


def parts_of(rows: list[Row], params: Ingest) -> dict[str, str]:
    """Return product → the part that it is in, with all its pictures, of the products of ``rows``.

    A public set's own parts count; where it holds out none for validation, that is of train.
    """
    delivered = {row.product: row.part for row in rows}
    shares = params.split
    if "test" in delivered.values() and "validation" not in delivered.values():
        shares = splits.without_test(shares)
    parts = {}
    for product, part in delivered.items():
        group = splits.product_group(product)
        if not params.split.train:  # data that a finished model is evaluated on
            part = ""
        # by a hash of the name: a product stays in its part when others come and go
        if not part:
            part = splits.part(params.split, group, params.seed)
        elif part == "train" and shares is not params.split:
            part = splits.part(shares, group, params.seed)
        parts[product] = part
    return parts


def find_pictures(rows: list[Row], files: Files) -> list[Row]:
    """Return ``rows`` with their picture files, a row more for each further picture.

    A row without one is rejected; a product's own row needs none where its variants have the
    pictures.
    """
    # a configurable product of Magento is a row of its own and may have no picture
    has_variants = {row.product for row in rows if row.product != row.sku}
    pictured = []
    lost: list[str] = []  # further pictures without a file
    for row in rows:
        pictured.append(row)
        # Those of a public set have their picture.
        if row.reason or row.picture:
            continue
        reference = row.cells["image"]
        found, missing = files.find_all(reference) if reference else ([], [])
        if found:
            row.picture = found[0]
            pictured += [replace(row, picture=picture) for picture in found[1:]]
            lost += missing
            continue
        is_parent = row.sku == row.product and row.sku in has_variants
        if not is_parent:
            row.reason = f"no picture file {reference}" if reference else "no picture is named"
    if lost:
        reason = "named, and not there; their products are taken with the others"
        account.leave_aside("further pictures", reason, lost[0], len(lost))
    return pictured


def unnamed_pictures(
    files: Files,
    named: list[Path],
    params: Ingest,
) -> list[Path]:
    """Return the picture files that no row names, where there is a training part to use them."""
    if not params.split.train:
        return []
    known = set(named)
    return [path for path in files.all() if path not in known]


def reject_pictures(
    rows: list[Row],
    decoded: Decoded,
    params: Ingest,
) -> None:
    """Reject rows with a bad picture or another product's.

    Rows with a copy of a picture of their own product in the same color share that picture.
    """
    good: list[tuple[Row, str]] = []
    for row in rows:
        if row.picture is None or row.reason:
            continue
        if row.picture in decoded.faults:
            row.reason = decoded.faults[row.picture]
        else:
            good.append((row, decoded.keys[row.picture]))
    first_row = _first_rows(good, params)
    original = _originals(list(first_row), decoded.hashes, params.pictures)
    for row, key in good:
        # the very same file counts before a copy that only looks the same
        owner = first_row[key]
        if owner.product == row.product:
            owner = first_row[original[key]]
        if owner.product != row.product:
            row.reason = f"its picture is that of {owner.sku} ({owner.file}, row {owner.row})"
        elif owner.texts["color"] == row.texts["color"]:
            # sizes of one color, photographed once and saved twice: one item
            row.picture = owner.picture


def _first_rows(rows: list[tuple[Row, str]], params: Ingest) -> dict[str, Row]:
    """Return picture → the row that keeps it, of ``rows`` and their pictures."""
    # by part first: when a training product shows a test product's picture, the test one keeps it
    parts = parts_of([row for row, _ in rows], params)
    rank = {product: splits.PARTS.index(part) for product, part in parts.items()}

    def precedence(candidate: tuple[Row, str]) -> tuple[int, str, str]:
        row, _ = candidate
        return rank[row.product], row.product, row.sku

    first_row: dict[str, Row] = {}
    for row, key in sorted(rows, key=precedence):
        first_row.setdefault(key, row)
    return first_row


def _originals(
    keys: list[str],
    hashes: Mapping[str, PerceptualHash],
    rules: Pictures,
) -> dict[str, str]:
    """Return, for each of the pictures ``keys``, the first one that it is a copy of, or itself."""
    repeats = images.near_duplicates((hashes[key] for key in keys), rules)
    original = {}
    for key, match in zip(keys, repeats, strict=True):
        original[key] = keys[match] if match >= 0 else key
    return original


def unreadable_pictures(
    unnamed: list[Path],
    decoded: Decoded,
    raw: Path,
) -> list[Rejected]:
    """Return the pictures that no row names and that could not be used."""
    unreadable = []
    for path in unnamed:
        if path in decoded.faults:
            name = path.relative_to(raw).as_posix()
            unreadable.append(Rejected(name, 0, decoded.faults[path], ""))
    return unreadable


def unlabelled_pictures(
    unnamed: list[Path],
    items: Items,
    decoded: Decoded,
    params: Ingest,
) -> list[str]:
    """Return the keys of the pictures that no row names, without copies.

    A copy of an item's picture would bring a test picture into training.
    """
    item_keys: set[str] = set()
    for part_items in items.values():
        item_keys.update(item["image"] for item in part_items)
    readable = {decoded.keys[path] for path in unnamed if path in decoded.keys}
    spare = sorted(readable - item_keys)
    # those of the items first: what resembles one of them is the copy
    original = _originals([*sorted(item_keys), *spare], decoded.hashes, params.pictures)
    return [key for key in spare if original[key] == key]
