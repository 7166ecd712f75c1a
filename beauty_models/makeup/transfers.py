"""Looks on somebody else with the truth: what the bare face looks like with that make-up on.

A delivery may name them in the table `TABLE`: a bare face, a reference that shows somebody else
with make-up, and the result, which is the very photo of the bare face with the reference's make-up.
They are what a transfer can be taught by and judged by, beyond the colors of another face. Where
none are delivered, looks are rendered (`rendered`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from beauty_models.intake import images, shards, tables
from beauty_models.intake.images import BadImageError, Files
from beauty_models.intake.rejected import Rejected
from beauty_models.makeup import Ingest, rendered
from beauty_models.makeup.alignment import Alignment
from beauty_models.makeup.dataset import RESULTS, TRANSFERS
from beauty_models.makeup.regions import MADE_UP, Region, label_map
from beauty_models.progress import bar, log_line

TABLE = "transfers.csv"
COLUMNS = ("bare", "reference", "result")  # of `TABLE`: paths below the delivery
SPLIT = ("train", "validation", "test")
JPEG_QUALITY = 95  # as that of the faces

# Mean difference of a result and its bare face outside of the parts of a look, of 255 levels. JPEG
# and what make-up sheds on a hair's edge make up to 3; a second photo of a person 15 and more.
LARGEST_BACKGROUND_CHANGE = 8.0


class Row(NamedTuple):
    """A row of `TABLE` as it was delivered, and the files that it names; None is no file."""

    line: int
    cells: tuple[str, str, str]
    files: tuple[Path | None, Path | None, Path | None]


class Table(NamedTuple):
    """`TABLE` as it was delivered."""

    rows: list[Row]
    rejected: list[Rejected]  # rows that cannot be read

    @property
    def results(self) -> set[Path]:
        """Files that show a result."""
        found = {row.files[2] for row in self.rows}
        return {file for file in found if file is not None}


class KnownFace(NamedTuple):
    """A face that ingest keeps, as far as a row of the table needs it."""

    part: str  # of the split
    person: str
    made_up: bool | None
    key: str
    regions: bytes  # label map of the aligned face, PNG
    alignment: Alignment
    size: tuple[int, int]  # width and height of the photo


class Transfer(NamedTuple):
    """A row whose three pictures are there and fit each other."""

    part: str
    bare: str  # key of the bare face
    reference: str  # key of the face that shows the look
    worn: str  # picture of it with the look: the same key, but where the look is rendered
    result: str


class UnusableRowError(ValueError):
    """A row that is not taken; the message is the reason, in words for rejected.parquet."""


def read(files: Files) -> Table:
    """Return the table of a delivery, without rows where it has none.

    Raises:
        ValueError: it lacks a column, or cannot be read.
    """
    path = files.raw / TABLE
    if not path.exists():
        return Table([], [])
    table = tables.read(path)
    missing = [name for name in COLUMNS if name not in table.rows.columns]
    if missing:
        raise ValueError(f"{path}: no column {' and '.join(missing)}")
    rows = []
    named = table.rows[list(COLUMNS)]
    # The index of the frame is the line in the file.
    for line, *cells in named.itertuples(name=None):
        bare, reference, result = cells
        found = (files.find(bare), files.find(reference), files.find(result))
        rows.append(Row(int(line), (bare, reference, result), found))
    broken = []
    for flaw in table.rejected.to_dict("records"):
        line = int(flaw["row"])
        broken.append(Rejected(TABLE, line, flaw["reason"], flaw["text"]))
    return Table(rows, broken)


def _faces_of(row: Row, faces: Mapping[Path, KnownFace]) -> tuple[KnownFace, KnownFace]:
    """Return the bare face and the reference of ``row``.

    Raises:
        UnusableRowError: a file is not there, or the two make no pair.
    """
    for column, cell, file in zip(COLUMNS, row.cells, row.files, strict=True):
        if file is None:
            raise UnusableRowError(f"{column} names no picture, or several: {cell or 'nothing'}")
    found = []
    for column, made_up in (("bare", False), ("reference", True)):
        file = row.files[COLUMNS.index(column)]
        assert file is not None
        face = faces.get(file)
        if face is None:
            raise UnusableRowError(f"the photo of {column} is not among the faces that are kept")
        if face.made_up is not made_up:
            kind = "made-up" if made_up else "bare"
            raise UnusableRowError(f"the photo of {column} is in no folder for {kind} faces")
        found.append(face)
    bare, reference = found
    if bare.person == reference.person:
        raise UnusableRowError("bare and reference show one person")
    if bare.part != reference.part:
        raise UnusableRowError(
            "bare and reference are in different parts of the split (a column group of people.csv "
            "keeps people together)"
        )
    return bare, reference


def _aligned_result(
    files: Files, path: Path, bare: KnownFace, pixels: NDArray[np.uint8], max_pixels: int
) -> bytes:
    """Return the aligned face of a result, JPEG.

    ``pixels`` [side, side, 3] are the aligned bare face.

    Raises:
        BadImageError: the result cannot be opened.
        UnusableRowError: it is not the photo of the bare face.
    """
    image = images.open_image(files.read(path), max_pixels, 1)
    if image.size != bare.size:
        size = "{} × {}".format(*image.size)
        bare_size = "{} × {}".format(*bare.size)
        raise UnusableRowError(f"the result has {size} pixels, the bare photo {bare_size}")
    side = pixels.shape[0]
    crop = bare.alignment.crop(np.asarray(image, np.uint8), side)
    made_up: list[Region] = []
    for regions in MADE_UP.values():
        made_up.extend(regions)
    elsewhere = np.isin(label_map(bare.regions), made_up, invert=True)
    # Of bytes a difference below 0 would be one of 255.
    difference = np.abs(crop.astype(np.int16) - pixels)
    difference = difference[elsewhere]
    if difference.size and difference.mean() > LARGEST_BACKGROUND_CHANGE:
        raise UnusableRowError(
            f"the result is not the bare photo with make-up on: it differs by "
            f"{difference.mean():.0f} of 255 levels outside of lips, skin and lids"
        )
    return images.encode(Image.fromarray(crop), JPEG_QUALITY)


def write(
    folder: Path, table: Table, files: Files, faces: Mapping[Path, KnownFace], params: Ingest
) -> tuple[list[Transfer], list[Rejected]]:
    """Write the rows that can be used, and their results, into ``folder``; return them.

    The others come with the reason. Without a table looks are rendered. ``folder`` has the pictures
    of the parts already; ``faces`` are those that are kept, by file.
    """
    if table.rows or table.rejected:
        transfers, rejected, pictures = _delivered(folder, table, files, faces, params)
    else:
        transfers, pictures = _rendered(folder, faces.values(), params)
        rejected = []
    shards.write(folder, RESULTS, pictures)
    pq.write_table(_as_table(transfers), folder / TRANSFERS)
    return transfers, rejected


Pictures = list[tuple[str, bytes]]
"""Key and JPEG of each."""


def _rendered(
    folder: Path, faces: Iterable[KnownFace], params: Ingest
) -> tuple[list[Transfer], Pictures]:
    """Return looks that are rendered on the bare faces of each part, and their pictures."""
    pictures = shards.Pictures(folder, *SPLIT)
    wearers: dict[str, list[rendered.Wearer]] = {part: [] for part in SPLIT}
    for face in faces:
        if face.part in wearers and face.made_up is False:
            pixels = np.asarray(pictures.image(face.key), np.uint8)
            regions = label_map(face.regions)
            wearers[face.part].append(rendered.Wearer(face.key, face.person, pixels, regions))
    transfers = []
    written: Pictures = []
    bare_faces_of_all = sum(len(some) for some in wearers.values())
    total = params.rendered_looks * bare_faces_of_all
    with bar("ingest: rendered looks", total) as progress:
        for part, bare_faces in wearers.items():
            for look in rendered.render(bare_faces, params.rendered_looks, params.seed):
                progress.advance()
                keys = []
                for image in (look.worn, look.result):
                    jpeg = images.encode(Image.fromarray(image), JPEG_QUALITY)
                    keys.append(images.content_key(jpeg))
                    written.append((keys[-1], jpeg))
                transfers.append(Transfer(part, look.bare, look.reference, *keys))
    if transfers:
        log_line(
            f"ingest: no {TABLE}: {len(transfers):,} looks are rendered on two bare faces each, "
            "so that there is a truth to learn from and to be judged by"
        )
    return transfers, written


def _delivered(
    folder: Path, table: Table, files: Files, faces: Mapping[Path, KnownFace], params: Ingest
) -> tuple[list[Transfer], list[Rejected], Pictures]:
    """Return the rows that can be used, the others with the reason, and the results' pictures."""
    bare_pictures = shards.Pictures(folder, *SPLIT)
    seen: set[tuple[Path | None, ...]] = set()

    def usable(row: Row) -> tuple[Transfer, bytes] | Rejected:
        try:
            bare, reference = _faces_of(row, faces)
            pixels = np.asarray(bare_pictures.image(bare.key), np.uint8)
            assert row.files[2] is not None
            max_pixels = params.photos.max_pixels
            jpeg = _aligned_result(files, row.files[2], bare, pixels, max_pixels)
        except (BadImageError, UnusableRowError) as error:
            # One bad row stops no other: it is kept with its reason.
            return Rejected(TABLE, row.line, str(error), ", ".join(row.cells))
        key = images.content_key(jpeg)
        return Transfer(bare.part, bare.key, reference.key, reference.key, key), jpeg

    transfers: list[Transfer] = []
    rejected = list(table.rejected)
    results: Pictures = []
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        bar("ingest: results", len(table.rows)) as progress,
    ):
        # In the order of the table, whichever thread is done first.
        outcomes = pool.map(usable, table.rows)
        for row, outcome in zip(table.rows, outcomes, strict=True):
            progress.advance()
            if isinstance(outcome, Rejected):
                rejected.append(outcome)
            elif row.files[:2] in seen:
                text = ", ".join(row.cells)
                rejected.append(Rejected(TABLE, row.line, "bare and reference as before", text))
            else:
                seen.add(row.files[:2])
                transfers.append(outcome[0])
                results.append((outcome[0].result, outcome[1]))
    return transfers, rejected, results


def _as_table(transfers: Sequence[Transfer]) -> pa.Table:
    columns = {}
    for position, name in enumerate(Transfer._fields):
        cells = [row[position] for row in transfers]
        columns[name] = pa.array(cells, pa.string())
    return pa.table(columns)


def figures(transfers: Sequence[Transfer], rejected: Sequence[Rejected]) -> dict[str, float]:
    """Return what ingest counts of results; nothing where there are none."""
    if not transfers and not rejected:
        return {}
    parts = Counter(row.part for row in transfers)
    counts = {f"{part}_transfers": float(parts[part]) for part in SPLIT}
    rendered_rows = [row for row in transfers if row.worn != row.reference]
    counts["rendered"] = float(len(rendered_rows))
    return counts | {"transfers_rejected": float(len(rejected))}
