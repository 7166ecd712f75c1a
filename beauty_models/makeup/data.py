"""ingest: photos of faces → aligned faces with label maps, split by person.

The test part is frozen.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import images, pictures, shards, splits, tables
from beauty_models.intake.images import BadImageError, ImageSizeError, PerceptualHash
from beauty_models.intake.provenance import about
from beauty_models.intake.rejected import Rejected, check_rejected, rejected_table
from beauty_models.makeup import (
    BARE_FOLDERS,
    MADE_UP_FOLDERS,
    Ingest,
    alignment,
    delivered,
    folder_word,
    parsing,
)
from beauty_models.makeup.dataset import label_map_png
from beauty_models.makeup.landmarks import Face, find_faces
from beauty_models.makeup.regions import Region
from beauty_models.params import Pictures
from beauty_models.progress import bar, log_line

PARTS = ("train", "validation", "test", "unlabelled")
PEOPLE = "people.csv"  # columns path and person: a file, a folder, or a pattern such as anna_*
JPEG_QUALITY = 95

# They say only what lies in them, and may differ between a photo's path and its mask's.
NEUTRAL_FOLDERS = ("image", "images", "img", "imgs", "photo", "photos", "jpg", "png")

LARGEST_TURN = 40.0  # degrees: of a face in profile half is not seen
LARGEST_OUTSIDE = 0.04  # of the oval's points: a face at the border is cut
# Spread of a and b, beyond what lightness explains: 2.5 and more in real faces, from 1.66 in dark
# drawn ones, 0.2 in sepia PNG. Sepia JPEG reaches 2.3 and may pass.
LEAST_CHROMA = 1.0
LARGEST_SHIFT = 0.35  # of the face's width, between its mouth and that of its mask
LEAST_SKIN = 50  # pixels of the aligned face that tell its skin tone
# Photos of one person that nobody named: crops of one photo, or copies of it. Faces of different
# people, aligned, differ in more of the 64 bits.
REPEATED = Pictures(
    max_pixels=1,
    min_side=1,
    side=1,
    duplicate_hash_distance=6,
    duplicate_color_distance=12.0,
)

TONES = ((55, "very light"), (41, "light"), (28, "intermediate"), (10, "tan"), (-30, "brown"))
"""Least individual typology angle in degrees → group of skin tones (Chardon et al. 1991)."""


def tone_group(angle: float) -> str:
    """Return the group of skin tones of an individual typology angle in degrees."""
    for least, name in TONES:
        if angle > least:
            return name
    return "dark"


class RejectedPhotoError(ValueError):
    """A photo without a usable face; the message is the reason, in words for rejected.parquet."""


class AlignedFace(NamedTuple):
    """What is kept of a photo."""

    key: str
    jpeg: bytes
    digest: str  # of the photo's file: unlike the crop it stays when this code changes
    regions: bytes  # label map as PNG
    skin_tone: float
    hash: PerceptualHash
    remarks: tuple[str, ...]  # what was decided: several faces, a scaled mask


@dataclass
class Photo:
    """A photo on its way through `ingest`."""

    path: Path
    place: str  # below the raw folder
    mask: Path | None
    made_up: bool | None
    person: str = ""
    reason: str = ""  # why it is rejected
    face: AlignedFace | None = None


@dataclass
class _Masks:
    """What is known of all masks before the first one is used."""

    scheme: Mapping[int, Region] = field(default_factory=dict)
    fault: str = ""  # why no mask can be read


def ingest(*, raw: Path, data: Path, params: Ingest) -> Metrics:
    """Find, align and parse the faces of all photos in ``raw``; write them to ``data``.

    A folder called makeup, non-makeup, bare and the like, anywhere in a photo's path, says whether
    its face is made up; a photo without one serves pretraining only. A mask with the photo's name
    in a folder ``masks`` or ``seg…`` takes the place of the parsed regions. The table `PEOPLE` says
    who is who; without it only copies of a photo are known to show one person.

    Written are the parts of `PARTS` with the columns of `dataset.COLUMNS` and their pictures,
    ``rejected.parquet`` and ``schema.json`` with what was decided and counted.

    Raises:
        ValueError: no face is usable, a part would be empty, too many photos are rejected, or masks
            have numbers that nobody explained.
    """
    files = images.Files(raw)
    photos, unused_masks = _listed(files)
    masks = _known_masks(files, photos, params)
    with new_folder(data) as folder:
        _read_all(files, photos, masks, folder, params)
        _reject_repeats(photos)
        grouping = _name_people(files, photos)
        parts, splitting = _parts(photos, params)
        rejected = [Rejected(photo.place, 0, photo.reason, "") for photo in photos if photo.reason]
        share = len(rejected) / max(1, len(photos))
        check_rejected(rejected + grouping.rejected, share, params.max_rejected, data)
        kept = [photo for photo in photos if not photo.reason]
        _check_parts(parts, raw, params)
        _write(folder, parts)
        pq.write_table(rejected_table(rejected + grouping.rejected), folder / "rejected.parquet")
        figures = _figures(photos, parts, unused_masks)
        remarks = Counter(remark for photo in kept if photo.face for remark in photo.face.remarks)
        schema = {
            "counts": figures,
            "decisions": dict(remarks.most_common()),
            "people": grouping.told,
            "split": splitting,
            "rejected": dict(Counter(row.reason for row in rejected).most_common()),
            "split_sha256": _fingerprint(parts["test"]),
            **about(raw),
        }
        write_json(folder / "schema.json", schema)
    _tell(schema)
    return figures


def _says_made_up(folders: Sequence[str]) -> bool | None:
    """Return whether the deepest folder that says it says made-up; None where none does."""
    for folder in reversed(folders):
        if folder_word(folder) in BARE_FOLDERS:
            return False
        if folder_word(folder) in MADE_UP_FOLDERS:
            return True
    return None


def _holds_masks(folder: str) -> bool:
    name = folder_word(folder)
    return name in ("mask", "masks") or name.startswith("seg")


def _mask_key(place: PurePosixPath) -> tuple[str, ...]:
    """Return what a photo and its mask share: their folders but those for kinds, and their name."""
    folders = []
    for folder in place.parts[:-1]:
        if not _holds_masks(folder) and folder_word(folder) not in NEUTRAL_FOLDERS:
            folders.append(folder_word(folder))
    return (*folders, place.stem.casefold())


def _listed(files: images.Files) -> tuple[list[Photo], int]:
    """Return all photos with their masks, and how many masks have no photo."""
    masks: dict[tuple[str, ...], Path] = {}
    paths = []
    for path in files.all():
        place = PurePosixPath(path.relative_to(files.raw).as_posix())
        if any(_holds_masks(folder) for folder in place.parts[:-1]):
            masks[_mask_key(place)] = path
        else:
            paths.append((path, place))
    # A mask that lies in no folder like its photo's is known by its name, where only one has it.
    stems = Counter(place.stem.casefold() for _, place in paths)
    by_stem: dict[str, list[tuple[str, ...]]] = {}
    for key in masks:
        by_stem.setdefault(key[-1], []).append(key)
    photos = []
    used = set()
    for path, place in paths:
        key = _mask_key(place)
        namesakes = by_stem.get(key[-1], [])
        if key not in masks and len(namesakes) == 1 and stems[key[-1]] == 1:
            key = namesakes[0]
        used.add(key)
        made_up = _says_made_up(place.parts[:-1])
        photos.append(Photo(path, place.as_posix(), masks.get(key), made_up))
    return photos, len(masks.keys() - used)


def _known_masks(files: images.Files, photos: Sequence[Photo], params: Ingest) -> _Masks:
    """Return what the numbers of the masks mean; one answer for all of them."""
    if params.label_map != "auto":
        return _Masks(delivered.named(params.label_map))
    with_mask = [photo for photo in photos if photo.mask is not None]
    if not with_mask:
        return _Masks()
    # Spread over all, because folders may come from different places.
    step = max(1, len(with_mask) // 200)
    readable = []
    for photo in with_mask[::step]:
        assert photo.mask is not None
        try:
            content = files.read(photo.mask)
            size = delivered.mask_size(content)
            if size is not None:
                readable.append(delivered.read_mask(content, size, params.photos.max_pixels))
        except BadImageError:
            continue  # told when its photo is read
    if not readable:
        return _Masks(fault="none of the masks can be read")
    return _Masks(delivered.recognized(readable))


def _read_all(
    files: images.Files, photos: list[Photo], masks: _Masks, folder: Path, params: Ingest
) -> None:
    """Fill in the face, or the reason for which there is none; write the crops to ``folder``."""

    def read(photo: Photo) -> AlignedFace | str:
        try:
            return _aligned(files, photo, masks, params)
        except ImageSizeError as error:
            return f"{error} (ingest.photos.{error.limit.replace('min_side', 'min_face')})"
        except (BadImageError, RejectedPhotoError) as error:
            return str(error)

    def usable() -> Iterator[tuple[str, bytes]]:
        # Threads are enough: LiteRT, OpenCV and Pillow let go of the interpreter lock.
        with (
            ThreadPoolExecutor(os.cpu_count()) as pool,
            bar("ingest: faces", len(photos)) as progress,
        ):
            for photo, outcome in zip(photos, pool.map(read, photos), strict=True):
                progress.advance(note=photo.path.name)
                if isinstance(outcome, str):
                    photo.reason = outcome
                    continue
                # The shards have the picture: thousands of them would not fit into memory.
                photo.face = outcome._replace(jpeg=b"")
                yield outcome.key, outcome.jpeg

    shards.write(folder, pictures.ALL, usable())


def _aligned(files: images.Files, photo: Photo, masks: _Masks, params: Ingest) -> AlignedFace:
    """Return the face of a photo.

    Raises:
        BadImageError: it cannot be opened.
        RejectedPhotoError: it has no usable face.
    """
    content = files.read(photo.path)
    image = images.open_image(content, params.photos.max_pixels, params.photos.min_face)
    pixels = np.asarray(image, np.uint8)
    remarks = ["an animation: its first picture is taken"] if _is_animated(content) else []
    labels = None
    if photo.mask is not None:
        labels = _delivered_regions(files, photo.mask, image.size, masks, params, remarks)
    faces = find_faces(pixels)
    face = _chosen(faces, labels, remarks)
    if face is not None:
        _check_pose(face, pixels.shape, params.photos.min_face)
        aligned = alignment.from_landmarks(face)
        if labels is None:
            labels = parsing.parse(pixels, face)
    else:
        if labels is None:
            raise RejectedPhotoError("no face is found")
        remarks.append("no face is found: aligned by the mask, as a drawing is")
        aligned = _aligned_by_mask(labels, params.photos.min_face)
    regions = aligned.crop_regions(labels, params.photos.side)
    crop = aligned.crop(pixels, params.photos.side)
    _check_eyes(regions)
    digest = hashlib.sha256(content).hexdigest()[:32]
    return _kept(crop, regions, digest, remarks)


def _is_animated(content: bytes) -> bool:
    return getattr(Image.open(io.BytesIO(content), formats=images.FORMATS), "n_frames", 1) > 1


def _delivered_regions(
    files: images.Files,
    mask: Path,
    size: tuple[int, int],
    masks: _Masks,
    params: Ingest,
    remarks: list[str],
) -> NDArray[np.uint8]:
    if masks.fault:
        raise RejectedPhotoError(masks.fault)
    content = files.read(mask)
    numbers = delivered.read_mask(content, size, params.photos.max_pixels)
    if delivered.mask_size(content) != size:
        remarks.append("its mask has another size: scaled to the photo's")
    try:
        return delivered.labelled(numbers, masks.scheme)
    except ValueError as error:
        raise RejectedPhotoError(str(error)) from None


def _chosen(
    faces: Sequence[Face], labels: NDArray[np.uint8] | None, remarks: list[str]
) -> Face | None:
    """Return the face that is taken: the one that the mask shows, or else the largest."""
    if labels is None:
        if len(faces) > 1:
            remarks.append("several faces: the largest is taken")
        return faces[0] if faces else None
    rows, columns = np.nonzero(np.isin(labels, (Region.LIPS, Region.MOUTH)))
    if not rows.size:
        raise RejectedPhotoError("its mask has no lips")
    if not faces:
        return None
    lips = np.array([columns.mean(), rows.mean()])
    shifts = [float(np.hypot(*(face.mouth - lips))) / face.width for face in faces]
    nearest = int(np.argmin(shifts))
    if shifts[nearest] > LARGEST_SHIFT:
        raise RejectedPhotoError("its mask does not lie on the face that is found")
    if len(faces) > 1:
        remarks.append("several faces: the one under the mask is taken")
    return faces[nearest]


def _check_pose(face: Face, shape: tuple[int, ...], min_face: int) -> None:
    """Refuse a face that is too small, cut off or seen from the side."""
    if face.width < min_face:
        raise RejectedPhotoError(
            f"the face is {face.width:.0f} pixels wide, {min_face} are needed "
            "(ingest.photos.min_face)"
        )
    oval = face.points[parsing.OVAL]
    outside = (oval < -1) | (oval > np.array([shape[1], shape[0]]))
    if outside.any(1).mean() > LARGEST_OUTSIDE:
        raise RejectedPhotoError("the face is cut by the border")
    if abs(face.turn) > LARGEST_TURN:
        raise RejectedPhotoError(
            f"the face is in profile (turned by {abs(face.turn):.0f} degrees, at most "
            f"{LARGEST_TURN:.0f})"
        )


def _aligned_by_mask(labels: NDArray[np.uint8], min_face: int) -> alignment.Alignment:
    try:
        aligned = alignment.from_label_map(labels)
    except ValueError as error:
        raise RejectedPhotoError(f"no face is found, and {error}") from None
    # the eyes' distance is 0.26 of the square's side, a face's width twice that
    width = 2 * (alignment.RIGHT_EYE[0] - alignment.LEFT_EYE[0]) * aligned.length
    if width < min_face:
        raise RejectedPhotoError(
            f"the face is {width:.0f} pixels wide, {min_face} are needed (ingest.photos.min_face)"
        )
    return aligned


def _check_eyes(regions: NDArray[np.uint8]) -> None:
    """Refuse faces whose eyes are behind dark glasses."""
    eyes = np.isin(regions, (Region.LEFT_EYE, Region.RIGHT_EYE))
    if (regions == Region.GLASSES).any() and not eyes.any():
        raise RejectedPhotoError("the eyes are behind sunglasses")


def _kept(
    crop: NDArray[np.uint8], regions: NDArray[np.uint8], digest: str, remarks: Sequence[str]
) -> AlignedFace:
    lab = np.asarray(cv2.cvtColor(crop.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    face = np.isin(regions, (Region.BACKGROUND, Region.HAIR, Region.NECK), invert=True)
    if _color_spread(lab[face]) < LEAST_CHROMA:
        raise RejectedPhotoError("the photo is in shades of grey, or of one color")
    skin = lab[regions == Region.SKIN]
    if len(skin) < LEAST_SKIN:
        raise RejectedPhotoError("no skin is seen")
    jpeg = images.encode(Image.fromarray(crop), JPEG_QUALITY)
    return AlignedFace(
        key=images.content_key(jpeg),
        jpeg=jpeg,
        digest=digest,
        regions=label_map_png(regions),
        skin_tone=typology_angle(np.median(skin, 0)),
        hash=images.perceptual_hash(Image.fromarray(crop)),
        remarks=tuple(remarks),
    )


def _color_spread(lab: NDArray[np.floating]) -> float:
    """Return how far a and b of pixels [n, 3] are spread, beyond what their lightness says of them.

    A sepia photo has color, but one for each lightness.
    """
    if not len(lab):
        return 0.0
    lightness = lab[:, 0].astype(np.float64) / 100
    curve = np.column_stack([np.ones(len(lab)), lightness, lightness**2])
    fitted = np.linalg.lstsq(curve, lab[:, 1:].astype(np.float64), rcond=None)[0]
    return float((lab[:, 1:] - curve @ fitted).std(0).max())


def typology_angle(lab: NDArray[np.floating]) -> float:
    """Return the individual typology angle of a color (L, a, b), degrees (Chardon et al. 1991)."""
    return float(np.degrees(np.arctan2(lab[0] - 50, lab[2])))


def _reject_repeats(photos: Sequence[Photo]) -> None:
    """Reject all but the first of equal faces, and all where folders contradict each other."""
    by_key: dict[str, list[Photo]] = {}
    for photo in photos:
        if photo.face is not None:
            by_key.setdefault(photo.face.key, []).append(photo)
    for same in by_key.values():
        if len({photo.made_up for photo in same} - {None}) > 1:
            for photo in same:
                photo.reason = "the same photo lies in a folder for made-up and one for bare faces"
            continue
        # one that is labelled says more than one that is not
        same.sort(key=lambda photo: photo.made_up is None)
        for photo in same[1:]:
            photo.reason = f"the same photo as {same[0].place}"


class _Grouping(NamedTuple):
    told: str  # how people were told apart
    rejected: list[Rejected]  # rows of the table that name no photo


def _name_people(files: images.Files, photos: Sequence[Photo]) -> _Grouping:
    """Give each photo that is kept its person: by the table, else by what it is a copy of."""
    kept = [photo for photo in photos if not photo.reason]
    hashes = [photo.face.hash for photo in kept if photo.face is not None]
    for photo, original in zip(kept, images.near_duplicates(hashes, REPEATED), strict=True):
        assert photo.face is not None
        photo.person = kept[original].person if original >= 0 else photo.face.digest
    table = files.raw / PEOPLE
    if not table.exists():
        told = f"people are told apart by copies of a photo only: no {PEOPLE} says who is who"
        return _Grouping(told, [])
    rejected = []
    rows = tables.read(table).rows
    missing = {"path", "person"} - set(rows.columns)
    if missing:
        raise ValueError(f"{table}: no column {' and '.join(sorted(missing))}")
    for line, path, person in zip(rows.index, rows["path"], rows["person"], strict=True):
        named = [photo for photo in photos if _is_at(photo.place, path)]
        for photo in named:
            photo.person = person
        if not named:
            rejected.append(Rejected(PEOPLE, int(line), "path names no photo", path))
    return _Grouping(f"people are told apart by {PEOPLE}, others by copies of a photo", rejected)


def _is_at(place: str, pattern: str) -> bool:
    """Return whether ``pattern`` is a photo's path or a folder above it, or fits path or stem."""
    place = place.casefold()
    pattern = pattern.strip().replace("\\", "/").strip("/").casefold()
    if place == pattern or place.startswith(f"{pattern}/"):
        return True
    return fnmatch(place, pattern) or fnmatch(PurePosixPath(place).stem, pattern)


def _parts(photos: Sequence[Photo], params: Ingest) -> tuple[dict[str, list[Photo]], str]:
    """Return the photos of each part, and how they were split; a person is in one part only.

    A photo that is not labelled serves pretraining, but not where it shows somebody who is in
    another part than train: it is rejected then.
    """
    kept = [photo for photo in photos if not photo.reason]
    part_of = {photo.person: splits.part(params.split, photo.person, params.seed) for photo in kept}
    told = "split by a hash of the person: it stays when photos are added"
    if _lacking(kept, part_of, params):
        part_of |= _ranked(kept, params)
        told = (
            "split by the order of the persons' hashes, because a split by hashes alone leaves a "
            "part without made-up or without bare faces: it changes when photos are added"
        )
    labelled = {photo.person for photo in kept if photo.made_up is not None}
    parts: dict[str, list[Photo]] = {part: [] for part in PARTS}
    for photo in kept:
        part = part_of[photo.person]
        if photo.made_up is not None:
            parts[part].append(photo)
        elif part == "train" or photo.person not in labelled:
            parts["unlabelled"].append(photo)
        else:
            photo.reason = f"not labelled, and shows a person of the {part} part"
    return parts, told


def _lacking(photos: Sequence[Photo], part_of: Mapping[str, str], params: Ingest) -> str:
    """Return what a part of the split lacks, in words; nothing where each has both looks."""
    for part, share in params.split.model_dump().items():
        looks = {photo.made_up for photo in photos if part_of[photo.person] == part}
        for made_up, name in ((True, "made-up"), (False, "bare")):
            if share and made_up not in looks:
                return f"no face in {part} ({share:.0%}) is {name}"
    return ""


def _ranked(photos: Sequence[Photo], params: Ingest) -> dict[str, str]:
    """Return person → part where each part gets its share of made-up and of bare persons.

    For some dozens of photos, of which a hash alone may send none to a part.
    """
    looks: dict[str, bool] = {}
    for photo in photos:
        if photo.made_up is not None:
            looks.setdefault(photo.person, photo.made_up)
    part_of = {}
    for made_up in (True, False):
        persons = [person for person, look in looks.items() if look == made_up]
        persons.sort(key=lambda person: hashlib.sha256(f"{params.seed}:{person}".encode()).digest())
        test = math.ceil(params.split.test * len(persons))
        validation = test + math.ceil(params.split.validation * len(persons))
        for rank, person in enumerate(persons):
            is_validation = rank < validation or not params.split.train
            part_of[person] = "validation" if is_validation else "train"
            if rank < test:
                part_of[person] = "test"
    return part_of


def _check_parts(parts: Mapping[str, Sequence[Photo]], raw: Path, params: Ingest) -> None:
    """Refuse data that leave nothing to learn from or to test on."""
    labelled = [photo for part in PARTS[:3] for photo in parts[part]]
    if not labelled:
        raise ValueError(
            f"{raw}: no face is said to be made up or bare; put photos into folders called makeup "
            "and non-makeup"
        )
    part_of = {photo.person: part for part in PARTS[:3] for photo in parts[part]}
    lacking = _lacking(labelled, part_of, params)
    if lacking:
        raise ValueError(
            f"{raw}: of {len(labelled)} labelled faces, {lacking}; more photos are needed, or "
            "another ingest.split"
        )


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


def _write(folder: Path, parts: Mapping[str, Sequence[Photo]]) -> None:
    keys = {}
    for part, photos in parts.items():
        pq.write_table(_table(photos), folder / f"{part}.parquet")
        keys[part] = [photo.face.key for photo in photos if photo.face is not None]
    pictures.write_parts(folder, keys)


def _fingerprint(photos: Sequence[Photo]) -> str:
    """Return a hash of the test part: models are compared only where it is the same."""
    lines = []
    for photo in photos:
        assert photo.face is not None
        lines.append(f"{photo.face.key} {photo.made_up}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def _figures(
    photos: Sequence[Photo], parts: Mapping[str, Sequence[Photo]], unused_masks: int
) -> Metrics:
    """Return the figures of the stage."""
    kept = [photo for part in parts.values() for photo in part]
    figures: dict[str, Any] = {
        "photos": len(photos),
        "n": len(kept),
        "rejected": sum(bool(photo.reason) for photo in photos),
        "persons": len({photo.person for photo in kept}),
        "masks": sum(photo.mask is not None for photo in kept),
        "masks_without_photo": unused_masks,
    }
    for part, members in parts.items():
        figures[part] = len(members)
        if part != "unlabelled":
            figures[f"{part}_made_up"] = sum(bool(photo.made_up) for photo in members)
            figures[f"{part}_bare"] = len(members) - figures[f"{part}_made_up"]
    groups = Counter(tone_group(photo.face.skin_tone) for photo in kept if photo.face is not None)
    for name in [name for _, name in TONES] + ["dark"]:
        figures[f"skin_{name.replace(' ', '_')}"] = groups[name]
    return {name: float(count) for name, count in figures.items()}


def _tell(schema: Mapping[str, Any]) -> None:
    """Print what was counted and decided."""
    counts = [f"{count:,.0f} {name}" for name, count in schema["counts"].items() if count]
    log_line(f"ingest: {', '.join(counts)}")
    log_line(f"ingest: {schema['people']}; {schema['split']}")
    for decision, count in schema["decisions"].items():
        log_line(f"ingest: {count} times {decision}")
    for reason, count in schema["rejected"].items():
        log_line(f"ingest: {count} rejected: {reason}")
