"""What lies in a raw folder of product photos: tables, photos, masks, and whose they are."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pandas as pd

from beauty_models.editing import Columns, Ingest
from beauty_models.intake import account, columns, products, shops, tables
from beauty_models.intake.images import SUFFIXES, Files
from beauty_models.intake.rejected import Rejected
from beauty_models.intake.text import normalize

MASK_FOLDERS = ("mask", "masks", "matte", "mattes", "alpha", "segmentation", "蒙版")
MASK_ENDINGS = ("_mask", "-mask", "_matte", "-matte", "_alpha", "-alpha")


class PhotoFile(NamedTuple):
    """A photo that is to be read."""

    path: Path
    place: str  # below the raw folder
    mask: Path | None
    product: str  # "" where no table says it


@dataclass
class Listing:
    """The photos of a delivery, and what became of the rows that should have named them."""

    photos: list[PhotoFile]
    rows: int
    without_picture: int  # rows that name none: nothing is wrong with them
    rejected: list[Rejected]  # rows whose picture is not there, or that cannot be read
    unused_masks: int


def list_photos(files: Files, params: Ingest) -> Listing:
    """Return every photo once, with its mask and its product.

    A table's row names a photo, its product and maybe its mask; variants that a product lists are
    that product. Other photos have the mask of their name in a folder called mask, or with _mask
    behind their own name.
    """
    listing = Listing([], 0, 0, [], 0)
    named, given = _named(files, params, listing)
    loose_masks, photos = _told_apart(files, set(given.values()))
    used = set()
    for path in photos:
        place = path.relative_to(files.raw).as_posix()
        mask = given.get(path) or loose_masks.get(_mask_key(PurePosixPath(place)))
        used.add(mask)
        listing.photos.append(PhotoFile(path, place, mask, named.get(path, "")))
    listing.unused_masks = len(set(loose_masks.values()) - used)
    return listing


def _named(
    files: Files, params: Ingest, listing: Listing
) -> tuple[dict[Path, str], dict[Path, Path]]:
    """Return photo → product and photo → mask, as the tables say; count their rows in ``listing``.

    A photo that two products share is of the first, by its name: `data` joins them by its looks.
    """
    products_of: dict[Path, list[str]] = defaultdict(list)
    masks_of: dict[Path, Path] = {}
    for file in tables.readable(files.raw, beside=SUFFIXES):
        table = _read_table(file, files.raw, params.columns)
        if table is None:
            continue
        good, bad = table
        place = file.relative_to(files.raw).as_posix()
        listing.rows += len(good) + len(bad)
        fault: Any
        for fault in bad.itertuples():
            listing.rejected.append(Rejected(place, int(fault.row), fault.reason, fault.text))
        parents = _parents(good)
        row: Any
        for row in good.itertuples():
            if not row.image:
                listing.without_picture += 1
                continue
            found, missing = files.find_all(row.image)
            if not found:
                reason = f"no picture file {missing[0]}, or several that end so"
                listing.rejected.append(Rejected(place, int(row.Index), reason, row.image))
                continue
                # Sizes and colors of one product must not be torn apart by the split.
            product = row.product or parents.get(row.id, row.id)
            for picture in found:
                products_of[picture].append(normalize(product))
            if row.mask:
                _note_mask(files, file, row.mask, found[0], masks_of)
    return {path: min(names) for path, names in products_of.items()}, masks_of


def _note_mask(
    files: Files, table: Path, cell: str, photo: Path, masks_of: dict[Path, Path]
) -> None:
    mask = files.find(cell)
    if mask is None:
        account.leave_aside("masks", "named, and not there; the mask is looked for", table)
        return
    masks_of[photo] = mask


def _read_table(
    file: Path, raw: Path, accepted: Columns
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return the rows of a table by field, and its bad ones; None where it speaks of no photos."""
    try:
        table = tables.read(file, raw)
    except tables.EmptyTableError:
        account.leave_aside("files", "no rows below the header", file)
        return None
    # Of an export the shop's module reads columns that no field of ours has.
    rows = shops.unified(table.rows, file)
    header = list(rows.columns)
    names = accepted.model_dump()
    column_of = columns.pick(header, names)
    if "image" not in column_of:
        reason = f"of its columns {', '.join(header)} none is known as a photo (ingest.columns)"
        account.leave_aside("files", reason, file)
        return None
    known = rows[list(column_of.values())].set_axis(list(column_of), axis=1)
    return known.reindex(columns=list(names), fill_value=""), table.rejected


def _parents(rows: pd.DataFrame) -> dict[str, str]:
    """Return variant's id → id of the product that lists it."""
    parents: dict[str, str] = {}
    row: Any
    for row in rows[rows["variations"] != ""].itertuples():
        for variant in products.variations(row.variations):
            if variant.get("sku"):
                parents[variant["sku"]] = row.id
    return parents


def _told_apart(files: Files, given: set[Path]) -> tuple[dict[tuple[str, ...], Path], list[Path]]:
    """Return the masks by `_mask_key`, and the photos; ``given`` masks are no photos either."""
    masks: dict[tuple[str, ...], Path] = {}
    photos = []
    for path in files.all():
        # A mask that a table names may lie anywhere and be called anything.
        if path in given:
            continue
        place = PurePosixPath(path.relative_to(files.raw).as_posix())
        in_folder = any(name.casefold() in MASK_FOLDERS for name in place.parts[:-1])
        if in_folder or place.stem.casefold().endswith(MASK_ENDINGS):
            masks[_mask_key(place)] = path
        else:
            photos.append(path)
    return masks, photos


def _mask_key(place: PurePosixPath) -> tuple[str, ...]:
    """Return what a photo and its mask share: their names, and folders but those for kinds."""
    stem = place.stem.casefold()
    for ending in MASK_ENDINGS:
        stem = stem.removesuffix(ending)
    folders = []
    for name in map(str.casefold, place.parts[:-1]):
        if name not in (*MASK_FOLDERS, "image", "images", "photo", "photos", "img", "jpg", "png"):
            folders.append(name)
    return (*folders, stem)
