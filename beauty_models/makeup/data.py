"""ingest: photos of faces → aligned faces with label maps, split by person.

The test part is frozen.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import account, parallel, pictures, shards
from beauty_models.intake.images import Files
from beauty_models.intake.opening import LOST
from beauty_models.intake.provenance import about
from beauty_models.intake.rejected import Rejected, check_rejected, rejected_table
from beauty_models.makeup import Ingest, transfers
from beauty_models.makeup.aligned import face_or_reason
from beauty_models.makeup.listing import (
    AlignedFace,
    MaskNumbers,
    Photo,
    list_photos,
    mask_numbers,
)
from beauty_models.makeup.parts import UNLABELLED, assign_parts, check_parts
from beauty_models.makeup.people import name_people, reject_repeats
from beauty_models.makeup.tones import groups, tone_group
from beauty_models.progress import bar


def ingest(*, raw: Path, data: Path, params: Ingest) -> Metrics:
    """Find, align and parse the faces of all photos in ``raw``; write them to ``data``.

    A folder called makeup, non-makeup, bare and the like, anywhere in a photo's path, says whether
    its face is made up; a photo without one serves pretraining only. A mask with the photo's name
    in a folder ``masks`` or ``seg…`` takes the place of the parsed regions. The table
    `people.PEOPLE` says who is who; without it only copies of a photo are known to show one person.
    `transfers.TABLE` may name results: what a bare face looks like in somebody else's make-up.
    Without it such looks are rendered.

    Written are the parts of `parts.PARTS` with the columns of `dataset.COLUMNS` and their pictures,
    ``rejected.parquet`` and ``schema.json`` with what was decided and counted.

    Raises:
        ValueError: no face is usable, a part would be empty, too many photos are rejected, or masks
            have numbers that nobody explained.
    """
    with account.opened("makeup", raw, params.reading) as book:
        return _ingest(raw, data, params, book)


def _ingest(raw: Path, data: Path, params: Ingest, book: account.Account) -> Metrics:
    """As `ingest`, which opens the account ``book`` for it."""
    files = Files(raw)
    known_results = transfers.read(files)
    photos, unused_masks = list_photos(files, known_results.results)
    masks = mask_numbers(files, photos, params)
    with new_folder(data) as folder:
        _read_all(photos, masks, folder, params)
        reject_repeats(photos)
        grouping = name_people(files.raw, photos)
        parts, splitting = assign_parts(photos, params)
        rejected_photos = [photo for photo in photos if photo.reason]
        rejected = [Rejected(photo.place, 0, photo.reason, "") for photo in rejected_photos]
        share = len(rejected) / max(1, len(photos))
        # Rows of the table that name no photo are told, but are no photos that were rejected.
        check_rejected(rejected + grouping.rejected, share, params.max_rejected, data)
        check_parts(parts, raw, params)
        _write_parts(folder, parts)
        known_faces = _known_faces(parts)
        pairs, bad_rows = transfers.write(folder, known_results, files, known_faces, params)
        left_out = rejected + grouping.rejected + bad_rows
        pq.write_table(rejected_table(left_out), folder / "rejected.parquet")
        figures = _figures(photos, parts, unused_masks) | transfers.figures(pairs, bad_rows)
        schema = {
            "counts": figures,
            "decisions": _decisions(photos),
            "people": grouping.told,
            "split": splitting,
            "rejected": dict(Counter(row.reason for row in rejected + bad_rows).most_common()),
            "split_sha256": _fingerprint(parts["test"], pairs),
            **about(raw),
        }
        write_json(folder / "schema.json", schema)
        kept = {part: len(members) for part, members in parts.items()}
        count = sum(kept.values())
        book.settle("photos", read=len(photos), kept=count, rejected=rejected, parts=kept)
        _tell(schema, grouping.rejected + bad_rows, unused_masks)
        book.write(folder)
    return figures


def _read_all(photos: list[Photo], masks: MaskNumbers, folder: Path, params: Ingest) -> None:
    """Fill in the face, or the reason for which there is none; write the crops to ``folder``."""

    outcomes: Iterator[AlignedFace | str] = parallel.outcomes(
        partial(face_or_reason, masks, params), photos, attrgetter("path"), LOST
    )

    def crops() -> Iterator[tuple[str, bytes]]:
        with bar("ingest: faces", len(photos)) as progress:
            for photo, outcome in zip(photos, outcomes, strict=True):
                progress.advance(note=photo.path.name)
                if isinstance(outcome, str):
                    photo.reason = outcome
                    continue
                # The shards have the picture: thousands of them would not fit into memory.
                photo.face = outcome._replace(jpeg=b"")
                yield outcome.key, outcome.jpeg

    shards.write(folder, pictures.ALL, crops())


def _table(photos: Sequence[Photo]) -> pa.Table:
    """Return the rows of a part, with the columns of `dataset.COLUMNS`."""
    faces = [photo.face for photo in photos if photo.face is not None]
    return pa.table(
        {
            "key": pa.array([face.key for face in faces], pa.string()),
            "regions": pa.array([face.regions for face in faces], pa.binary()),
            "person": pa.array([photo.person for photo in photos], pa.string()),
            # null where nobody said it: among those that serve pretraining only
            "made_up": pa.array([photo.made_up for photo in photos], pa.bool_()),
            "skin_tone": pa.array([face.skin_tone for face in faces], pa.float64()),
            "path": pa.array([photo.place for photo in photos], pa.string()),
        }
    )


def _write_parts(folder: Path, parts: Mapping[str, Sequence[Photo]]) -> None:
    """Write the table of each part, and its pictures from the shards that have all."""
    keys = {}
    for part, photos in parts.items():
        pq.write_table(_table(photos), folder / f"{part}.parquet")
        keys[part] = [photo.face.key for photo in photos if photo.face is not None]
    pictures.write_parts(folder, keys)


def _decisions(photos: Sequence[Photo]) -> dict[str, int]:
    """Return what was decided about photos that are kept, with how often, most often first."""
    counts: Counter[str] = Counter()
    for photo in photos:
        if photo.face is not None and not photo.reason:
            counts.update(photo.face.remarks)
    return dict(counts.most_common())


def _known_faces(parts: Mapping[str, Sequence[Photo]]) -> dict[Path, transfers.KnownFace]:
    """Return the faces that are kept, by file, as `transfers` needs them."""
    known = {}
    for part, photos in parts.items():
        for photo in photos:
            face = photo.face
            assert face is not None
            known[photo.path] = transfers.KnownFace(
                part,
                photo.person,
                photo.made_up,
                face.key,
                face.regions,
                face.alignment,
                face.size,
            )
    return known


def _fingerprint(photos: Sequence[Photo], pairs: Sequence[transfers.Transfer]) -> str:
    """Return a hash of the test part: models are compared only where it is the same."""
    lines = []
    for photo in photos:
        assert photo.face is not None
        lines.append(f"{photo.face.key} {photo.made_up}\n")
    for pair in pairs:
        if pair.part == "test":
            files = (pair.bare, pair.reference, pair.worn, pair.result)
            lines.append(" ".join(map(str, files)) + "\n")
    content = "".join(sorted(lines))
    return hashlib.sha256(content.encode()).hexdigest()


def _figures(
    photos: Sequence[Photo], parts: Mapping[str, Sequence[Photo]], unused_masks: int
) -> Metrics:
    """Return the figures of the stage."""
    kept = [photo for part in parts.values() for photo in part]
    figures = {
        "photos": len(photos),
        "n": len(kept),
        "rejected": sum(bool(photo.reason) for photo in photos),
        "persons": len({photo.person for photo in kept}),
        "masks": sum(photo.mask is not None for photo in kept),
        "masks_without_photo": unused_masks,
    }
    for part, members in parts.items():
        figures[part] = len(members)
        if part != UNLABELLED:
            made_up = sum(bool(photo.made_up) for photo in members)
            figures[f"{part}_made_up"] = made_up
            figures[f"{part}_bare"] = len(members) - made_up
    tones = Counter(tone_group(photo.face.skin_tone) for photo in kept if photo.face is not None)
    for group in groups():
        figures[f"skin_{group.replace(' ', '_')}"] = tones[group]
    return {name: float(count) for name, count in figures.items()}


def _tell(schema: Mapping[str, Any], bad_rows: Sequence[Rejected], unused_masks: int) -> None:
    """Say in the account what was decided and what of the delivery was of no use."""
    account.guess("people", schema["people"], sure="likely", evidence="no face is recognized")
    account.guess("split", schema["split"], sure="certain", evidence="ingest.split")
    for decision, count in schema["decisions"].items():
        account.guess("photos", decision, sure="certain", evidence=f"{count:,} times")
    for row in bad_rows:
        account.leave_aside("rows", row.reason, f"{row.file}:{row.row}")
    if unused_masks:
        account.leave_aside("masks", "no photo has their name", "", unused_masks)
