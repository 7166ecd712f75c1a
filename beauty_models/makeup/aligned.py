"""One photo → its aligned face with a label map, or the reason for which it cannot be used."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from beauty_models.intake import images
from beauty_models.intake.images import BadImageError, ImageSizeError
from beauty_models.makeup import Ingest, alignment, delivered, parsing
from beauty_models.makeup.landmarks import Face, find_faces
from beauty_models.makeup.listing import AlignedFace, MaskNumbers, Photo
from beauty_models.makeup.monochrome import is_monochrome
from beauty_models.makeup.regions import Region, label_map_png
from beauty_models.makeup.tones import typology_angle

JPEG_QUALITY = 95

LARGEST_TURN = 40.0  # degrees: of a face in profile half is not seen
LARGEST_OUTSIDE = 0.04  # of the oval's points: a face at the border is cut
OUTSIDE_TOLERANCE = 1.0  # pixels by which a landmark may miss the photo's edge
LARGEST_SHIFT = 0.35  # of the face's width, between its mouth and that of its mask
LEAST_SKIN = 50  # pixels of the aligned face that tell its skin tone


class RejectedPhotoError(ValueError):
    """A photo without a usable face; the message is the reason, in words for rejected.parquet."""


def face_or_reason(masks: MaskNumbers, params: Ingest, photo: Photo) -> AlignedFace | str:
    """Return the face of a photo, or why there is none: what a process of `parallel` runs."""
    try:
        return align_photo(photo, masks, params)
    except ImageSizeError as error:
        limit = error.limit.replace("min_side", "min_face")
        return f"{error} (ingest.photos.{limit})"
    except (BadImageError, RejectedPhotoError) as error:
        return str(error)


def align_photo(photo: Photo, masks: MaskNumbers, params: Ingest) -> AlignedFace:
    """Return the face of a photo.

    Raises:
        BadImageError: it cannot be opened.
        RejectedPhotoError: it has no usable face.
    """
    content = images.read_file(photo.path)
    image = images.open_image(content, params.photos.max_pixels, params.photos.min_face)
    pixels = np.asarray(image, np.uint8)
    remarks = []
    if _is_animated(content):
        remarks.append("an animation: its first picture is taken")
    labels = None
    if photo.mask is not None:
        labels = _delivered_regions(photo.mask, image.size, masks, params, remarks)
    faces = find_faces(pixels)
    face = _choose_face(faces, labels, remarks)
    if face is not None:
        _check_pose(face, pixels.shape, params.photos.min_face)
        aligned = alignment.from_landmarks(face)
        if labels is None:
            labels = parsing.parse(pixels, face)
    else:
        if labels is None:
            raise RejectedPhotoError("no face is found")
        remarks.append("no face is found: aligned by the mask, as a drawing is")
        aligned = _align_by_mask(labels, params.photos.min_face)
    regions = aligned.crop_regions(labels, params.photos.side)
    crop = aligned.crop(pixels, params.photos.side)
    _check_eyes(regions)
    digest = hashlib.sha256(content).hexdigest()[:32]
    return _kept_face(crop, regions, digest, remarks, aligned, image.size)


def _is_animated(content: bytes) -> bool:
    image = Image.open(io.BytesIO(content), formats=images.FORMATS)
    return getattr(image, "n_frames", 1) > 1


def _delivered_regions(
    mask: Path,
    size: tuple[int, int],
    masks: MaskNumbers,
    params: Ingest,
    remarks: list[str],
) -> NDArray[np.uint8]:
    """Return the label map of the file ``mask`` for a photo of ``size``, width and height."""
    if masks.fault:
        raise RejectedPhotoError(masks.fault)
    content = images.read_file(mask)
    numbers = delivered.read_mask(content, size, params.photos.max_pixels)
    if delivered.mask_size(content) != size:
        remarks.append("its mask has another size: scaled to the photo's")
    try:
        return delivered.labelled(numbers, masks.scheme)
    except ValueError as error:
        raise RejectedPhotoError(str(error)) from None


def _choose_face(
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
    shifts = []
    for face in faces:
        distance = float(np.hypot(*(face.mouth - lips)))
        shifts.append(distance / face.width)
    nearest = int(np.argmin(shifts))
    if shifts[nearest] > LARGEST_SHIFT:
        raise RejectedPhotoError("its mask does not lie on the face that is found")
    if len(faces) > 1:
        remarks.append("several faces: the one under the mask is taken")
    return faces[nearest]


def _check_pose(face: Face, shape: tuple[int, ...], min_face: int) -> None:
    """Refuse a face that is too small, cut off or seen from the side."""
    _check_width(face.width, min_face)
    oval = face.points[parsing.OVAL]
    last_pixel = np.array([shape[1] - 1, shape[0] - 1])
    outside = (oval < -OUTSIDE_TOLERANCE) | (oval > last_pixel + OUTSIDE_TOLERANCE)
    if outside.any(1).mean() > LARGEST_OUTSIDE:
        raise RejectedPhotoError("the face is cut by the border")
    if abs(face.turn) > LARGEST_TURN:
        raise RejectedPhotoError(
            f"the face is in profile (turned by {abs(face.turn):.0f} degrees, at most "
            f"{LARGEST_TURN:.0f})"
        )


def _check_width(width: float, min_face: int) -> None:
    if width < min_face:
        raise RejectedPhotoError(
            f"the face is {width:.0f} pixels wide, {min_face} are needed (ingest.photos.min_face)"
        )


def _align_by_mask(labels: NDArray[np.uint8], min_face: int) -> alignment.Alignment:
    """Return the alignment of a face that no detector finds."""
    try:
        aligned = alignment.from_label_map(labels)
    except ValueError as error:
        raise RejectedPhotoError(f"no face is found, and {error}") from None
    # A face is about twice as wide as its eyes are apart, and their places in the square are known.
    eye_distance = alignment.RIGHT_EYE[0] - alignment.LEFT_EYE[0]
    _check_width(2 * eye_distance * aligned.length, min_face)
    return aligned


def _check_eyes(regions: NDArray[np.uint8]) -> None:
    """Refuse faces whose eyes are behind dark glasses."""
    eyes = np.isin(regions, (Region.LEFT_EYE, Region.RIGHT_EYE))
    glasses = regions == Region.GLASSES
    if glasses.any() and not eyes.any():
        raise RejectedPhotoError("the eyes are behind sunglasses")


def _kept_face(
    crop: NDArray[np.uint8],
    regions: NDArray[np.uint8],
    digest: str,
    remarks: Sequence[str],
    aligned: alignment.Alignment,
    size: tuple[int, int],
) -> AlignedFace:
    """Return what is kept of an aligned face; refuse one whose colors say nothing."""
    if is_monochrome(crop, regions):
        raise RejectedPhotoError("the photo is in shades of grey, or of one color")
    rgb = crop.astype(np.float32) / 255
    lab = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), np.float32)
    skin = lab[regions == Region.SKIN]
    if len(skin) < LEAST_SKIN:
        raise RejectedPhotoError("no skin is seen")
    image = Image.fromarray(crop)
    jpeg = images.encode(image, JPEG_QUALITY)
    return AlignedFace(
        key=images.content_key(jpeg),
        jpeg=jpeg,
        digest=digest,
        regions=label_map_png(regions),
        skin_tone=typology_angle(np.median(skin, 0)),
        hash=images.perceptual_hash(image),
        remarks=tuple(remarks),
        alignment=aligned,
        size=size,
    )
