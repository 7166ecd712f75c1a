"""Each edit of one photo: from the file that is named to the file that comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from beauty_models.editing import compose, cutout, filling, fills, holes, masks, recolour
from beauty_models.editing.cutout import Cutout
from beauty_models.editing.serving import ACTIONS, SAMPLE
from beauty_models.files import new_file
from beauty_models.intake.images import BadImageError
from beauty_models.serving import frames, photos
from beauty_models.serving.photos import Mark, Photo

if TYPE_CHECKING:
    from beauty_models.editing.model import Editor

SAMPLE_SIDE = 512  # pixels of the drawn photo
SAMPLE_NUMBER = 13
# What an option is for; one that is given for another action is a mistake, not to be passed over.
OPTIONS = {
    "background": ("compose",),
    "shadow": ("compose",),
    "place": ("compose",),
    "mask": ("inpaint", "recolour"),
    "invert": ("inpaint", "recolour"),
    "box": ("remove",),
    "to": ("recolour",),
}
NEEDED = {"compose": "background", "inpaint": "mask", "remove": "box", "recolour": "to"}


@dataclass(frozen=True)
class Wish:
    """What is wanted of a photo."""

    action: str  # of `serving.ACTIONS`
    background: str = ""
    shadow: bool = False
    place: str = "keep"
    mask: str = ""
    invert: bool = False
    box: str = ""
    to: str = ""


@dataclass
class Result:
    """An edited photo as a file, and what is said of it."""

    before: NDArray[np.uint8]  # sRGB [h, w, 3]
    after: NDArray[np.uint8]  # sRGB, with alpha where the ground is gone [h, w, 3 or 4]
    content: bytes  # PNG
    answer: dict[str, Any] = field(default_factory=dict)


def wish_of(values: dict[str, Any]) -> Wish:
    """Return what options or a row's cells ask for.

    Raises:
        ValueError: the action is unknown, an option is for another one, or one is lacking.
    """
    action = str(values["do"])
    if action not in ACTIONS:
        raise ValueError(f"do {action!r}: it is one of {', '.join(ACTIONS)}")
    # Cells of a table are strings, options are not: both become the same here.
    wish = Wish(
        action,
        background=str(values["background"]),
        shadow=_flag(values["shadow"]),
        place=str(values["place"]),
        mask=str(values["mask"]),
        invert=_flag(values["invert"]),
        box=str(values["box"]),
        to=str(values["to"]),
    )
    unset = Wish(action)
    for option, actions in OPTIONS.items():
        if getattr(wish, option) != getattr(unset, option) and action not in actions:
            raise ValueError(f"--{option} is for {' and '.join(actions)}, not for {action}")
    needed = NEEDED.get(action)
    if needed and not getattr(wish, needed):
        raise ValueError(f"{action} needs --{needed}")
    if wish.place not in compose.PLACES:
        raise ValueError(f"place {wish.place!r}: it is one of {', '.join(compose.PLACES)}")
    return wish


def _flag(value: Any) -> bool:
    return str(value).strip().casefold() in ("1", "true", "yes")


def sample_photo() -> NDArray[np.uint8]:
    """Return the photo that ``sample`` stands for: a drawn handbag on white, [h, w, 3]."""
    from beauty_models.editing import drawing

    rng = np.random.default_rng(SAMPLE_NUMBER)
    parts = drawing.bag(rng)
    return drawing.draw(parts, SAMPLE_NUMBER, "white", SAMPLE_SIDE, rng).image


def read_photo(cell: str) -> Photo:
    """Return the photo that ``cell`` names: a path, a ``data:`` address, or ``sample``.

    Raises:
        ValueError: it cannot be read.
    """
    if cell == SAMPLE and not Path(cell).exists():
        drawn = sample_photo()
        return Photo(drawn, drawn, "PNG")
    try:
        return photos.open_photo(frames.content(cell))
    except BadImageError as error:
        raise ValueError(f"{frames.shown(cell)}: {error}") from None


def edit(cell: str, wish: Wish, editor: Callable[[], Editor]) -> Result:
    """Return the photo that ``cell`` names as ``wish`` wants it; ``editor`` loads the model.

    Raises:
        ValueError: the photo, a mask or an option cannot be used; the message says why.
    """
    photo = read_photo(cell)
    # Only a hole needs the network: the others answer before torch would be loaded.
    if wish.action == "cutout":
        return _cut_out(photo)
    if wish.action == "compose":
        return _compose(photo, wish)
    if wish.action == "recolour":
        return _recolour(photo, wish)
    return _fill(photo, wish, editor)


def _product(photo: Photo) -> Cutout:
    """Return the product of a photo; of a transparent one what is not transparent."""
    if photo.alpha is None or photo.alpha.min() == 255:
        return cutout.cutout(photo.pixels)
    if not photo.alpha.any():
        raise ValueError("the photo is transparent throughout: there is nothing in it")
    share = photo.alpha[..., None].astype(np.float32) / 255
    # The pixels lie on white; without it they are the product's own.
    pure = (photo.pixels - 255 * (1 - share)) / np.maximum(share, 1 / 255)
    colors = np.rint(np.clip(pure, 0, 255)).astype(np.uint8)
    notes = ["its own transparency is the cut-out"]
    return Cutout(photo.alpha, colors, 1.0, notes)


def _cut_out(photo: Photo) -> Result:
    product = _product(photo)
    if not (product.alpha >= cutout.HALF).any():
        raise ValueError("no product was found: nothing stands out from the ground")
    # Under what is wholly transparent nothing of the former ground may hide.
    own_colors = photo.with_pixels(np.where((product.alpha > 0)[..., None], product.colors, 255))
    layer = np.dstack([own_colors, product.alpha])
    content = photos.encode_png(layer, _mark(photos.ENHANCED_TYPE), photo.profile)
    answer = {"sure": round(product.sure, 2), "notes": [*photo.notes, *product.notes]}
    after = np.dstack([product.colors, product.alpha])
    return Result(photo.pixels, after, content, answer)


def _compose(photo: Photo, wish: Wish) -> Result:
    product = _product(photo)
    shape = (photo.pixels.shape[0], photo.pixels.shape[1])
    color = _color_or_none(wish.background)
    notes = list(photo.notes)
    if color is not None:
        ground = compose.plain_ground(shape, color)
    else:
        backdrop = read_photo(_file_of_ground(wish.background))
        ground = backdrop.pixels
        notes += [f"the background: {note}" for note in backdrop.notes]
    composed = compose.compose(product, ground, wish.place, wish.shadow)
    # Of two files' color profiles neither is the result's: it is sRGB.
    content = photos.encode_png(composed.image, _mark(photos.COMPOSITE_TYPE))
    answer = {"sure": round(product.sure, 2), "notes": [*notes, *composed.notes]}
    return Result(photo.pixels, composed.image, content, answer)


def _file_of_ground(text: str) -> str:
    """Return the file that ``--background`` names.

    Raises:
        ValueError: there is none: it may be a text that would need a model that reads.
    """
    if text.startswith(frames.DATA_ADDRESS) or Path(text).exists():
        return text
    if Path(text).suffix or "/" in text:
        raise ValueError(f"--background {text}: there is no such file")
    raise ValueError(
        f"--background {text!r}: neither a file nor a color, and this model reads no text: have a "
        "text-to-image model draw the background and give its file, or give #RRGGBB"
    )


def _recolour(photo: Photo, wish: Wish) -> Result:
    color = _color_or_none(wish.to)
    if color is None:
        raise ValueError(f"--to {wish.to!r}: not a color, such as #B3123F")
    if wish.mask:
        mask, notes = _mask(photo, wish)
        product = Cutout(mask, photo.pixels, 1.0, notes)
        if masks.looks_inverted(mask):
            raise ValueError(
                "the mask seems to be inverted: it is white all around, and white is what is "
                "recolored; --invert turns it"
            )
    else:
        product = _product(photo)
    recolored = recolour.recolour(photo.pixels, product, color)
    answer = {
        "sure": round(product.sure, 2),
        "former_color": recolored.former,
        "recolored": round(recolored.share, 3),
        "notes": [*photo.notes, *product.notes, *recolored.notes],
    }
    return _as_result(photo, recolored.image, photos.ENHANCED_TYPE, answer)


def _fill(photo: Photo, wish: Wish, editor: Callable[[], Editor]) -> Result:
    """Return a photo with its hole filled by what is best for it (`filling`)."""
    if wish.action == "remove":
        hole = _box_hole(wish.box, photo.pixels.shape)
        notes: list[str] = []
    else:
        mask, notes = _mask(photo, wish)
        try:
            hole, more = masks.as_hole(mask)
        except BadImageError as error:
            raise ValueError(str(error)) from None
        notes += more
    share = float(hole.mean())
    if share > holes.LARGEST:
        notes.append(
            f"the hole is {share:.0%} of the photo; what was measured is up to {holes.LARGEST:.0%}"
        )
    kind = holes.kind_of(hole)
    model = editor()
    choice = filling.choose(photo.pixels, hole, model, kind)
    filled = filling.fill(photo.pixels, hole, choice.name, model)
    if filled.scale < 1:
        notes.append(
            f"the hole is wider than {choice.name} sees: it was filled at {filled.scale:.0%} of "
            "the photo's resolution and is softer than what is around it"
        )
    is_learned = choice.name not in fills.FILLS
    answer = {"filled_by": choice.name, "notes": [*photo.notes, *notes, choice.note]}
    source = photos.SOURCE_TYPE if is_learned else photos.ENHANCED_TYPE
    return _as_result(photo, filled.image, source, answer)


def _as_result(
    photo: Photo, edited: NDArray[np.uint8], source_type: str, answer: dict[str, Any]
) -> Result:
    content, _ = photos.encode(photo, edited, "png", _mark(source_type))
    after = edited if photo.alpha is None else np.dstack([edited, photo.alpha])
    return Result(photo.pixels, after, content, answer)


def _mark(source_type: str) -> Mark:
    return Mark("beauty-models editing", "A product photo that was edited.", source_type)


def _mask(photo: Photo, wish: Wish) -> tuple[NDArray[np.uint8], list[str]]:
    """Return the mask that is named, at the photo's size, and notes.

    Raises:
        ValueError: it cannot be used.
    """
    height, width = photo.pixels.shape[:2]
    try:
        mask, notes = masks.read(frames.content(wish.mask), (width, height), photos.MAX_PIXELS)
    except BadImageError as error:
        raise ValueError(f"{frames.shown(wish.mask)}: {error}") from None
    return (255 - mask if wish.invert else mask), notes


def _box_hole(text: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the hole that ``x,y,w,h`` means in a photo of ``shape``.

    Raises:
        ValueError: it is no box, or not within the photo.
    """
    height, width = shape[:2]
    try:
        left, top, wide, tall = (int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"--box {text!r}: four whole numbers x,y,w,h, such as 20,40,64,32"
        ) from None
    if wide < 1 or tall < 1:
        raise ValueError(f"--box {text}: width and height are at least 1")
    if left < 0 or top < 0 or left + wide > width or top + tall > height:
        raise ValueError(f"--box {text}: reaches out of the photo of {width} × {height} pixels")
    if wide == width and tall == height:
        raise ValueError(f"--box {text}: is the whole photo; nothing is left to fill it from")
    hole = np.zeros((height, width), bool)
    hole[top : top + tall, left : left + wide] = True
    return hole


def _color_or_none(text: str) -> tuple[int, int, int] | None:
    """Return the color that ``text`` says: #RRGGBB, r,g,b or a name of CSS; None where none."""
    parts = text.split(",")
    if len(parts) == 3 and all(part.strip().isdigit() and int(part) < 256 for part in parts):
        red, green, blue = map(int, parts)
        return red, green, blue
    try:
        return ImageColor.getrgb(text)[:3]
    except ValueError:
        return None


def save(result: Result, cell: str, folder: Path, name: str = "") -> str:
    """Write the picture to ``folder``; return its place. What is there is never replaced."""
    stem = name or ("photo" if cell.startswith(frames.DATA_ADDRESS) else Path(cell).stem)
    number = 1
    file = folder / f"{stem}.png"
    while file.exists():
        number += 1
        file = folder / f"{stem}-{number}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    with new_file(file) as temporary:
        temporary.write_bytes(result.content)
    return str(file)
