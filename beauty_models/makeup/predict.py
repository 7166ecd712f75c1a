"""What a person asks: a shade or a look on a photo, the shades of a photo's lips, a watermark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.files import new_file
from beauty_models.intake import images
from beauty_models.makeup import (
    SAMPLE,
    compose,
    cosmetics,
    photos,
    safety,
    sample_portrait,
    watermark,
)
from beauty_models.makeup.cosmetics import PARTS, Look, MadeUp
from beauty_models.makeup.photos import Photo
from beauty_models.makeup.regions import MADE_UP, Region
from beauty_models.makeup.serving import parser
from beauty_models.makeup.shades import (
    Near,
    Shade,
    ShadeTable,
    find_shade,
    lab_of,
    own,
    read_table,
)

if TYPE_CHECKING:
    from beauty_models.makeup.landmarks import Face
    from beauty_models.makeup.model import Transfer

STRIP_HEIGHT = 720  # pixels, at most

LEAST_FACE = 40  # pixels across; on less a shade is a blot
# Degrees of yaw: beyond the first the far side is a guess, beyond the second the mesh is.
TURNED = 35.0
PROFILE = 60.0
# A photo's skin differs from itself a fiftieth of a face further on, nearly everywhere: the same
# is 0.02 to 0.13 of it on 29 portraits, 0.98 on a flat drawing. A painting passes for a photo.
FLAT = 0.4
ONE_HUE = "the photo is in shades of grey, or of one color"
HUE_SIDE = 128  # pixels of the aligned face by which it is told whether a photo has one hue only
BORDER = 0.02  # of a face's points outside of the photo, from which it is told

# What the watermark says, beside that it is there.
PUT_ON, TRANSFERRED, GENERATED = 1, 2, 3
MEANINGS = {
    PUT_ON: "shades were put on a photo",
    TRANSFERRED: "the look of another photo was put on a photo",
    GENERATED: "the whole face was generated",
}


class FaceError(ValueError):
    """A photo without a face that make-up can be put on; the message says why."""


class Parsed(NamedTuple):
    """The chosen face of a photo."""

    face: Face
    label_map: NDArray[np.uint8]  # as large as the photo
    number: int  # among the faces, the largest is 1
    faces: int  # how many there are
    has_one_hue: bool  # grey, sepia: no make-up can be seen on it


@dataclass(frozen=True)
class Wish:
    """What is wanted of one photo."""

    look: Look
    reference: str = ""  # a photo whose look is put on
    which: int = 0  # the number of the face, the largest is 1; 0 does not say


@dataclass
class Result:
    """A photo with make-up, and what is said of it."""

    photo: Photo
    image: NDArray[np.uint8]  # [h, w, 3] sRGB
    answer: dict[str, Any] = field(default_factory=dict)


def read_photo(cell: str) -> Photo:
    """Return the photo that ``cell`` names, a path or a ``data:`` address.

    Raises:
        ValueError: it cannot be read, or is not safe for work.
    """
    from beauty_models.serving import frames

    try:
        photo = photos.open_photo(frames.content(cell))
    except images.BadImageError as error:
        raise ValueError(f"{frames.shown(cell)}: {error}") from None
    try:
        safety.check(photo.pixels)
    except safety.RefusedPhotoError as error:
        raise safety.RefusedPhotoError(f"{frames.shown(cell)}: {error}") from None
    return photo


def _no_face(photo: Photo) -> FaceError:
    height, width = photo.pixels.shape[:2]
    size = f"; the photo has {width} × {height} pixels" if min(height, width) < 128 else ""
    return FaceError(
        f"no face was found: it needs {LEAST_FACE} pixels or more, both eyes and the mouth, "
        f"and to be a photo, not a drawing{size}"
    )


def parse_face(photo: Photo, which: int) -> Parsed:
    """Return the face number ``which`` of ``photo``, or the largest one, with its regions.

    What a person should know of it is added to the photo's notes.

    Raises:
        FaceError: there is no face, none of this number, or it is in profile.
        ValueError: the models are not installed.
    """
    from beauty_models.makeup import landmarks, parsing

    faces = landmarks.find_faces(photo.pixels)
    if not faces:
        raise _no_face(photo)
    if which > len(faces):
        raise FaceError(f"--which {which}: the photo has {len(faces)} faces")
    number = max(which, 1)
    face = faces[number - 1]
    if len(faces) > 1 and not which:
        photo.notes.append(
            f"{len(faces)} faces: the largest one was chosen; --which 2 is the next one"
        )
    if face.width < LEAST_FACE:
        raise FaceError(
            f"the face has {face.width:.0f} pixels across, it needs {LEAST_FACE}; "
            "give the photo in a larger size"
        )
    turn = abs(face.turn)
    if turn > PROFILE:
        raise FaceError(
            f"the face is in profile ({turn:.0f} degrees); "
            f"make-up needs both eyes in sight, up to {PROFILE:.0f} degrees"
        )
    if turn > TURNED:
        photo.notes.append(f"the face is turned by {turn:.0f} degrees: its far side is a guess")
    _note_border(photo, face)
    label_map = parsing.parse(photo.pixels, face)
    if not (label_map == Region.LIPS).any():
        photo.notes.append("no lips are seen")
    if _flatness(photo.pixels, face, label_map) > FLAT:
        photo.notes.append("the face looks drawn, not photographed: colors may come out wrong")
    if (label_map == Region.GLASSES).any():
        photo.notes.append("glasses stay as they are, and what is behind them")
    has_one_hue = _has_one_hue(photo.pixels, face, label_map)
    return Parsed(face, label_map, number, len(faces), has_one_hue)


def _has_one_hue(pixels: NDArray[np.uint8], face: Face, label_map: NDArray[np.uint8]) -> bool:
    from beauty_models.makeup import alignment, monochrome

    aligned = alignment.from_landmarks(face)
    crop = aligned.crop(pixels, HUE_SIDE)
    regions = aligned.crop_regions(label_map, HUE_SIDE)
    return monochrome.is_monochrome(crop, regions)


def _note_border(photo: Photo, face: Face) -> None:
    height, width = photo.pixels.shape[:2]
    x = face.points[:, 0]
    y = face.points[:, 1]
    beside = (x < 0) | (x >= width)
    above_or_below = (y < 0) | (y >= height)
    if (beside | above_or_below).mean() > BORDER:
        photo.notes.append("the face reaches over the photo's border")


def _flatness(pixels: NDArray[np.uint8], face: Face, label_map: NDArray[np.uint8]) -> float:
    """Return the share of skin that has the color of the skin beside it, 0 to 1."""
    step = max(1, round(face.width / 50))
    x0, y0, x1, y1 = (max(0, int(edge)) for edge in face.box)
    part = pixels[y0:y1:step, x0:x1:step].astype(np.int16)
    skin = label_map[y0:y1:step, x0:x1:step] == Region.SKIN
    both = skin[:, 1:] & skin[:, :-1]
    if not both.any():
        return 0.0
    same = np.abs(np.diff(part, axis=1)).max(-1) <= 1
    return float(same[both].mean())


def _square(side: int, pixels: NDArray[np.uint8], parsed: Parsed) -> tuple[Any, Any]:
    """Return face and label map as the transfer sees them, tensors [1, 3, S, S] and [1, S, S]."""
    import torch

    from beauty_models.makeup import alignment

    aligned = alignment.from_landmarks(parsed.face)
    crop = aligned.crop(pixels, side)
    regions = aligned.crop_regions(parsed.label_map, side)
    return torch.from_numpy(crop).permute(2, 0, 1)[None], torch.from_numpy(regions)[None]


def transfer_look(
    photo: Photo, parsed: Parsed, reference: str, strength: float, transfer: Transfer
) -> MadeUp:
    """Return ``photo`` with the make-up of the photo ``reference``.

    Raises:
        ValueError: the reference cannot be read or has no face.
    """
    from beauty_models.makeup import alignment
    from beauty_models.makeup.model import continued  # torch, which shades do not need

    try:
        model_photo = read_photo(reference)
        wearer = parse_face(model_photo, 0)
    except ValueError as error:
        raise type(error)(f"reference: {error}") from None
    if wearer.has_one_hue:
        raise FaceError(f"reference: {ONE_HUE}, which shows no make-up")
    photo.notes.extend(f"reference: {note}" for note in model_photo.notes)
    bare, bare_regions = _square(transfer.size, photo.pixels, parsed)
    worn, worn_regions = _square(transfer.size, model_photo.pixels, wearer)
    changed = transfer.delta(bare, bare_regions, worn, worn_regions)
    [change] = continued(changed, bare_regions)
    delta = change.permute(1, 2, 0).float().cpu().numpy()
    parts = {}
    whole = np.zeros(parsed.label_map.shape, np.float32)
    for part, regions in MADE_UP.items():
        chosen = np.isin(parsed.label_map, regions)
        sigma = cosmetics.EYE_FEATHER * parsed.face.width
        parts[part] = np.float32(strength) * cosmetics.soft_mask(chosen, sigma)
        whole = np.maximum(whole, parts[part])
    aligned = alignment.from_landmarks(parsed.face)
    return MadeUp(compose.apply(photo.pixels, aligned, delta, whole), whole, parts)


def make_up(
    photo: Photo, parsed: Parsed, wish: Wish, transfer: Transfer | None
) -> tuple[MadeUp, int]:
    """Return the photo as wished, and what its watermark says.

    Raises:
        FaceError: nothing of the wish has a place on this face.
        ValueError: the reference cannot be used.
    """
    if parsed.has_one_hue:
        photo.notes.append(f"{ONE_HUE}: shades get their color, skin keeps that of the photo")
    base = MadeUp(photo.pixels, np.zeros(parsed.label_map.shape, np.float32), {})
    kind = PUT_ON
    if wish.reference:
        assert transfer is not None
        base = transfer_look(photo, parsed, wish.reference, wish.look.strength, transfer)
        kind = TRANSFERRED
    made = cosmetics.make_up(base.image, parsed.label_map, wish.look, parsed.face.points)
    for part in wish.look.shades:
        if part not in made.parts and wish.look.strength:
            photo.notes.append(f"no place for {part} is seen on this face")
    whole = np.maximum(base.alpha, made.alpha)
    if wish.look.strength and not whole.any():
        raise FaceError("nothing was put on: " + "; ".join(photo.notes))
    return MadeUp(made.image, whole, base.parts | made.parts), kind


def _is_marked(image: NDArray[np.uint8], alpha: NDArray[np.float32]) -> bool:
    """Return whether the mark is found in what was made up of ``image``."""
    box = compose.box_of(alpha)
    if box is None:
        return False
    # Blocks of the whole photo: the part begins where one of them does.
    first = (box[0].start // watermark.BLOCK, box[1].start // watermark.BLOCK)
    rows = slice(first[0] * watermark.BLOCK, box[0].stop)
    columns = slice(first[1] * watermark.BLOCK, box[1].stop)
    return watermark.detect(image[rows, columns], first).marked


def _median_color(pixels: NDArray[np.uint8], alpha: NDArray[np.float32]) -> str:
    core = alpha > 0.5 * float(alpha.max())
    red, green, blue = np.median(pixels[core], axis=0).astype(int)
    return f"#{red:02X}{green:02X}{blue:02X}"


def _part_answers(photo: Photo, made: MadeUp, look: Look) -> dict[str, Any]:
    """Return for each part that was put on its shade, its place and its color before and after."""
    answers = {}
    for part, alpha in made.parts.items():
        box = compose.box_of(alpha)
        if box is None:
            continue
        rows, columns = box
        answer: dict[str, Any] = {
            "before": _median_color(photo.pixels[box], alpha[box]),
            "after": _median_color(made.image[box], alpha[box]),
            "box": [columns.start, rows.start, columns.stop, rows.stop],
            "pixels": int((alpha > 0).sum()),
        }
        if shade := look.shades.get(part):
            answer |= {"shade": shade.hex, "name": shade.title or None}
        answers[part] = answer
    return answers


def try_on(cell: str, wish: Wish, transfer: Transfer | None = None) -> Result:
    """Return the photo that ``cell`` names with what is wished on it.

    Raises:
        ValueError: the photo cannot be used; the message says why.
    """
    from beauty_models.serving import frames

    photo = read_photo(cell)
    try:
        parsed = parse_face(photo, wish.which)
        made, kind = make_up(photo, parsed, wish, transfer)
    except FaceError as error:
        raise FaceError(f"{frames.shown(cell)}: {error}") from None
    image = watermark.embed(made.image, kind, made.alpha > 0)
    marked = _is_marked(image, made.alpha)
    answer: dict[str, Any] = {
        "face": [round(float(edge), 1) for edge in parsed.face.box],
        "number": parsed.number,
        "faces": parsed.faces,
        "turn": round(float(parsed.face.turn), 1),
        "parts": _part_answers(photo, made, wish.look),
        "strength": wish.look.strength,
    }
    if wish.look.lipstick is not None:
        answer["finish"] = wish.look.finish
    # Lips alone have too few blocks in most photos; the note in the file is always there.
    answer["watermark"] = marked
    answer["notes"] = list(photo.notes)
    return Result(photo, image, answer)


def before_after(result: Result) -> bytes:
    """Return the photo and what became of it side by side, as PNG."""
    pair = []
    for pixels in (result.photo.pixels, result.image):
        scale = min(1, STRIP_HEIGHT / pixels.shape[0])
        width = max(1, round(pixels.shape[1] * scale))
        height = max(1, round(pixels.shape[0] * scale))
        pair.append(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))
    gap = np.full((pair[0].shape[0], 8, 3), 255, np.uint8)
    return photos.encode_png(np.hstack([pair[0], gap, pair[1]]))


def _free_name(folder: Path, stem: str, suffix: str) -> Path:
    """Return a name in ``folder`` that nothing has yet: trying shades must not replace results."""
    number = 1
    while True:
        ending = "" if number == 1 else f"-{number}"
        file = folder / f"{stem}{ending}{suffix}"
        if not file.exists():
            return file
        number += 1


def save(result: Result, cell: str, folder: Path, kind: photos.Format) -> dict[str, str]:
    """Write the picture and the strip to ``folder``; return their places."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = "photo" if cell.startswith("data:") else Path(cell).stem
    content, suffix = photos.encode(result.photo, result.image, kind)
    places = {}
    for name, ending, encoded in (
        ("picture", suffix, content),
        ("strip", ".png", before_after(result)),
    ):
        word = "makeup" if name == "picture" else "before-after"
        file = _free_name(folder, f"{stem}-{word}", ending)
        with new_file(file) as temporary:
            temporary.write_bytes(encoded)
        places[name] = str(file)
    return places


def match(cell: str, table: ShadeTable, which: int, count: int) -> dict[str, Any]:
    """Return the color of the lips of a photo and the shades of ``table`` that are nearest.

    Raises:
        ValueError: the photo cannot be used, or shows no lips.
    """
    photo = read_photo(cell)
    parsed = parse_face(photo, which)
    lips = cosmetics.soft_mask(
        parsed.label_map == Region.LIPS, cosmetics.LIP_FEATHER * parsed.face.width
    )
    if not lips.any():
        raise FaceError(f"{cell}: no lips are seen")
    if parsed.has_one_hue:
        raise FaceError(f"{cell}: {ONE_HUE}, which does not show the color of lips")
    box = compose.box_of(lips)
    assert box is not None
    lab = lab_of(photo.pixels[box][lips[box] > 0.5])
    # Light on the lips and the line between them are not their color.
    lightness = lab[:, 0]
    low, high = np.percentile(lightness, [20, 80])
    usual = (lightness >= low) & (lightness <= high)
    color = np.median(lab[usual], axis=0)
    [nearest] = table.nearest(color[None], count)
    pixel = color[None, None].astype(np.float32)
    rgb = cv2.cvtColor(pixel, cv2.COLOR_LAB2RGB)[0, 0]
    # Round colors of sRGB only: lips in odd light may lie a little outside of it.
    levels = np.clip(np.rint(rgb * 255), 0, 255)
    red, green, blue = levels.astype(int)
    return {
        "lips": f"#{red:02X}{green:02X}{blue:02X}",
        "table": table.source,
        "shades": [_near_answer(near) for near in nearest],
        "notes": photo.notes,
    }


def _near_answer(near: Near) -> dict[str, Any]:
    shade = near.shade
    answer: dict[str, Any] = {"name": shade.name, "hex": shade.hex}
    # Our own shades have a Chinese name; a table's other names are numbers of articles.
    if shade.other_names and not shade.brand:
        answer["other_name"] = shade.other_names[0]
    for key in ("brand", "product"):
        if value := getattr(shade, key):
            answer[key] = value
    answer["delta_e"] = round(near.distance, 2)
    return answer


def check(file: Path) -> dict[str, Any]:
    """Return whether the picture in ``file`` bears our watermark, and what it and its note say.

    Raises:
        ValueError: it is no picture.
    """
    try:
        content = file.read_bytes()
        picture = np.asarray(images.open_image(content, photos.MAX_PIXELS, 1))
    except OSError as error:
        raise ValueError(f"{file}: cannot be read: {error.strerror}") from None
    except images.BadImageError as error:
        raise ValueError(f"{file}: {error}") from None
    reading = watermark.detect(picture)
    meaning = None if reading.payload is None else MEANINGS.get(reading.payload)
    return {
        "watermark": reading.marked,
        "meaning": meaning,
        "chance": float(f"{reading.chance:.1e}"),
        "place": None if reading.box is None else list(reading.box),
        "note": photos.source_type_of(content),
    }


def look_of(values: dict[str, Any], table: ShadeTable | None) -> Look:
    """Return the look that options or a row's cells say.

    Raises:
        ValueError: a shade is unknown, or the finish or the strength.
    """
    chosen: dict[str, Shade] = {}
    for part in PARTS:
        if text := values.get(part):
            chosen[part] = find_shade(str(text), table)
    try:
        strength = float(values["strength"])
    except ValueError:
        raise ValueError(f"strength {values['strength']!r}: not a number from 0 to 1") from None
    return Look(**chosen, finish=values["finish"], strength=strength)


def _transfer(model: Path) -> Transfer:
    from beauty_models.makeup.model import load

    return load(model)


def predict(*, model: Path, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return the answer to ``--face P`` with shades or a reference, ``--match P`` or ``--check P``.

    Nothing is stored but what ``--save FOLDER`` asks for.

    Raises:
        ValueError: the photo or an option cannot be used; the message says why.
    """
    options = parser().parse_args(arguments)
    asked = [name for name in ("face", "match", "check") if getattr(options, name)]
    if len(asked) != 1:
        raise ValueError("give one of --face, --match and --check")
    if options.which < 0:
        raise ValueError(f"--which {options.which}: the largest face is 1")
    if options.check:
        return [{"picture": str(options.check)} | check(options.check)]
    table = read_table(options.shades) if options.shades else None
    if options.match:
        if options.top < 1:
            raise ValueError(f"--top {options.top}: at least 1")
        found = match(options.match, table or own(), options.which, options.top)
        return [{"photo": options.match} | found]
    look = look_of(vars(options), table)
    if not look.shades and not options.reference:
        names = ", ".join(f"--{part}" for part in PARTS)
        raise ValueError(f"say what to put on: {names} or --reference")
    transfer = _transfer(model) if options.reference else None
    wish = Wish(look, options.reference, options.which)
    face = options.face
    # A file that is really called so goes first.
    if face == SAMPLE and not Path(face).exists():
        face = sample_portrait()
    result = try_on(face, wish, transfer)
    answer = {"photo": face} | result.answer
    if options.save:
        kind = cast(photos.Format, options.format)
        answer |= save(result, face, options.save, kind)
    else:
        answer["notes"].append("the picture was not kept; --save FOLDER keeps it")
    return [answer]


def generated_png(pictures: Sequence[NDArray[np.uint8]]) -> list[bytes]:
    """Return generated faces [side, side, 3] as PNG files with watermark and note."""
    encoded = []
    for picture in pictures:
        marked = watermark.embed(picture, GENERATED)
        encoded.append(photos.encode_png(marked, source_type=photos.GENERATED_TYPE))
    return encoded
