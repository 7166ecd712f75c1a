"""ingest: product photos → squares of one size with the product's mask, split by product.

The test part is frozen.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.editing import Ingest, square
from beauty_models.editing.listing import Listing, PhotoFile, list_photos
from beauty_models.editing.square import Square
from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import account, archives, images, parallel, pictures, shards, splits
from beauty_models.intake.counts import as_metrics
from beauty_models.intake.images import Files
from beauty_models.intake.opening import LOST
from beauty_models.intake.provenance import about
from beauty_models.intake.rejected import Rejected, check_rejected, rejected_table
from beauty_models.params import Pictures
from beauty_models.progress import bar

# Photos whose grey values differ by no more bits of 64 show one product: a shop's color variants
# are one photo recolored, whatever their names say.
ALIKE = 4


class Kept(NamedTuple):
    """A photo that is kept."""

    photo: PhotoFile
    square: Square  # without its JPEG, which the shards have
    product: str


def ingest(*, raw: Path, data: Path, params: Ingest) -> Metrics:
    """Read the product photos in ``raw``; write squares, masks and the split to ``data``.

    Tables may name photos, products and masks (`listing`); a photo without a mask gets the one that
    `cutout` finds, or none where its ground is too busy. Photos that look alike but for their
    colors are of one product, and a product is in one part only.

    Written are a Parquet file with the columns of `dataset.COLUMNS` and picture shards for each of
    train, validation and test, ``rejected.parquet``, ``schema.json`` and ``account.json``.

    Raises:
        ValueError: there is no photo, a part would be empty, or too many are rejected.
    """
    with (
        account.opened("editing", raw, params.reading) as book,
        archives.as_folders(raw, data) as book.raw,
    ):
        return _ingest(book.raw, data, params, book)


def _ingest(raw: Path, data: Path, params: Ingest, book: account.Account) -> Metrics:
    """As `ingest`, which opens the account ``book`` for it."""
    listing = list_photos(Files(raw), params)
    if not listing.photos:
        raise ValueError(f"{raw}: there is no photo in it")
    with new_folder(data) as folder:
        squares, rejected = _read_all(listing.photos, folder, params)
        share = max(
            len(rejected) / len(listing.photos), len(listing.rejected) / max(1, listing.rows)
        )
        check_rejected([*rejected, *listing.rejected], share, params.max_rejected, data)
        kept, dropped = _kept(squares, params)
        parts = _split(kept, params)
        counts = {part: len(members) for part, members in parts.items()}
        splits.check_filled(counts, params.split, "photos", "photos of more products")
        _write_parts(folder, parts)
        pq.write_table(rejected_table([*rejected, *listing.rejected]), folder / "rejected.parquet")
        write_json(folder / "schema.json", _schema(raw, parts, params))
        _tell(listing, kept)
        book.settle(
            "photos",
            read=len(listing.photos),
            kept=len(kept),
            dropped=dropped,
            rejected=rejected,
            parts=counts,
        )
        if listing.rows:
            _settle_rows(listing, book)
        book.write(folder, data)
    return _figures(listing, kept, rejected, counts)


def _read_all(
    photos: Sequence[PhotoFile], folder: Path, params: Ingest
) -> tuple[list[tuple[PhotoFile, Square]], list[Rejected]]:
    """Return what could be read, with its pictures in the shards of ``folder``, and what not."""
    squares: list[tuple[PhotoFile, Square]] = []
    rejected: list[Rejected] = []
    outcomes: Iterator[Square | str] = parallel.outcomes(
        partial(square.square_or_reason, params.photos), photos, square.file_of, LOST
    )

    def usable() -> Iterator[tuple[str, bytes]]:
        with bar("ingest: photos", len(photos)) as progress:
            for photo, outcome in zip(photos, outcomes, strict=True):
                progress.advance(note=photo.path.name)
                if isinstance(outcome, str):
                    rejected.append(Rejected(photo.place, 0, outcome, ""))
                    continue
                # The shards have the picture: thousands of them would not fit into memory.
                squares.append((photo, outcome._replace(jpeg=b"")))
                yield outcome.key, outcome.jpeg

    shards.write(folder, pictures.ALL, usable())
    return squares, rejected


def _kept(
    squares: Sequence[tuple[PhotoFile, Square]], params: Ingest
) -> tuple[list[Kept], dict[str, int]]:
    """Return each photo once with its product, and how many are not kept, by cause."""
    products = _products(squares)
    once: dict[str, Kept] = {}
    for (photo, kept), product in zip(squares, products, strict=True):
        # Of two files with one picture that with a mask stays.
        former = once.get(kept.key)
        if former is None or (former.square.mask_from != "given" and kept.mask_from == "given"):
            once[kept.key] = Kept(photo, kept, product)
    # By key, which is a hash: the same ones every time, and a sample of all.
    sorted_keys = sorted(once)
    taken = sorted_keys[: params.limit or len(sorted_keys)]
    dropped = {
        "the same photo again": len(squares) - len(once),
        "beyond ingest.limit": len(once) - len(taken),
    }
    return [once[key] for key in taken], dropped


def _products(squares: Sequence[tuple[PhotoFile, Square]]) -> list[str]:
    """Return the product of each photo: the table's, joined with all that it looks like.

    A product is called by the first name, in the order of the alphabet, of those that are joined.
    """
    names = [photo.product or f"photo {photo.place}" for photo, _ in squares]
    joined: dict[str, str] = {name: name for name in names}

    def root(name: str) -> str:
        while joined[name] != name:
            name = joined[name]
        return name

    alike = images.near_duplicates((kept.hash for _, kept in squares), _alike_rules())
    first_of_key: dict[str, int] = {}
    for position, (_, kept) in enumerate(squares):
        same = first_of_key.setdefault(kept.key, position)
        for other in (same, alike[position]):
            if other >= 0:
                roots = sorted((root(names[position]), root(names[other])))
                joined[roots[1]] = roots[0]
    return [root(name) for name in names]


def _alike_rules() -> Pictures:
    """Return by what two photos are one product's: of their colors every difference is allowed."""
    return Pictures(
        max_pixels=1,
        min_side=1,
        side=1,
        duplicate_hash_distance=ALIKE,
        duplicate_color_distance=255,
    )


def _split(kept: Sequence[Kept], params: Ingest) -> dict[str, list[Kept]]:
    """Return the photos of each part, in the order of their keys."""
    parts: dict[str, list[Kept]] = {part: [] for part in splits.PARTS}
    for photo in kept:
        group = splits.product_group(photo.product)
        parts[splits.part(params.split, group, params.seed)].append(photo)
    return parts


def _write_parts(folder: Path, parts: Mapping[str, Sequence[Kept]]) -> None:
    """Write the table and the pictures of each part."""
    keys = {}
    for part, photos in parts.items():
        table = pa.table(
            {
                "key": pa.array([photo.square.key for photo in photos], pa.string()),
                "mask": pa.array([photo.square.mask for photo in photos], pa.binary()),
                "mask_from": pa.array([photo.square.mask_from for photo in photos], pa.string()),
                "product": pa.array([photo.product for photo in photos], pa.string()),
                "path": pa.array([photo.photo.place for photo in photos], pa.string()),
            }
        )
        pq.write_table(table, folder / f"{part}.parquet")
        keys[part] = [photo.square.key for photo in photos]
    pictures.write_parts(folder, keys)


def _schema(raw: Path, parts: Mapping[str, Sequence[Kept]], params: Ingest) -> dict[str, Any]:
    """Return what the stages after this one must know of the data, for schema.json."""
    # The right answer is the photo itself; the masks, by which holes are cut, are in the question.
    tested = []
    for photo in parts["test"]:
        tested.append((photo.square.key, hashlib.sha256(photo.square.mask).hexdigest()))
    return {
        "side": params.photos.side,
        "rows": {part: len(members) for part, members in parts.items()},
        "split_sha256": splits.digest(sorted(tested)),
        **about(raw),
    }


def _tell(listing: Listing, kept: Sequence[Kept]) -> None:
    """Say in the account what was decided of the photos, and what was of no use."""
    remarks: Counter[str] = Counter()
    for photo in kept:
        remarks.update(photo.square.remarks)
    for remark, count in remarks.most_common():
        account.guess("masks", remark, sure="likely", evidence=f"{count:,} times")
    found = sum(photo.square.mask_from == "found" for photo in kept)
    if found:
        taken = "what is not the even ground is the product"
        account.guess("masks", taken, sure="likely", evidence=f"{found:,} times")
    if listing.unused_masks:
        account.leave_aside("masks", "no photo has their name", "", listing.unused_masks)


def _settle_rows(listing: Listing, book: account.Account) -> None:
    kept = listing.rows - listing.without_picture - len(listing.rejected)
    book.settle(
        "rows",
        read=listing.rows,
        kept=kept,
        dropped={"names no photo": listing.without_picture},
        rejected=listing.rejected,
    )


def _figures(
    listing: Listing, kept: Sequence[Kept], rejected: Sequence[Rejected], counts: Mapping[str, int]
) -> Metrics:
    """Return the figures of the stage."""
    sources = Counter(photo.square.mask_from for photo in kept)
    return as_metrics(
        {
            "photos": len(listing.photos),
            "kept": len(kept),
            "rejected": len(rejected) + len(listing.rejected),
            "products": len({photo.product for photo in kept}),
            "masks_given": sources["given"],
            "masks_found": sources["found"],
            **counts,
        }
    )
