"""Pictures as they are delivered, hostile until proven otherwise: find, open safely, know again."""

from __future__ import annotations

import hashlib
import io
import re
import unicodedata
import warnings
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import imagehash
import numpy as np
import pi_heif
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

from beauty_models.intake import crops, delivery
from beauty_models.intake.crops import Box
from beauty_models.intake.records import string_list
from beauty_models.params import Pictures

READ = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif"),
)

# Pictures, too, that nothing here can read: they are found, and rejected. Left out, a class whose
# photos a camera wrote raw would vanish without a word.
UNREAD = (".jxl", ".jp2", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw")
SUFFIXES = (*READ, *UNREAD)

# iPhones' photos. It turns a picture upright itself, and its orientation then says so.
pi_heif.register_heif_opener()

# The decoders that are tried. All others of Pillow stay shut: EPS starts Ghostscript, for one.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF")

LARGEST_FILE = 100_000_000  # bytes; a larger file is not read at all
LONGEST_SIDE = 65_500  # pixels, of a JPEG (libjpeg's JPEG_MAX_DIMENSION)
THUMBNAIL = 8  # pixels a side of the color thumbnail
THUMBNAIL_SHAPE = (THUMBNAIL, THUMBNAIL, 3)
THUMBNAIL_BYTES = THUMBNAIL * THUMBNAIL * 3
HASH_BITS = 64

# More than 8 bits a pixel: Pillow's conversion to RGB clips these values instead of scaling them.
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "F")

# Of damaged content Pillow's decoders raise whatever their parsing meets: OSError, SyntaxError,
# struct.error, zlib.error, MemoryError and more. No picture may end a run.
DECODER_ERRORS = (Exception,)

_NAME_END = re.compile(r"\.\w{2,5}(?:\?.*)?\s*$")  # .jpg, .jpg?v=2

# Pillow's mode → the color space that a profile for it has.
PROFILED_MODES = {"RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK"}

# Colors [1, 27, 3] of every corner, edge and middle of the RGB cube, to try a profile on.
PROBE = np.array([[(r, g, b) for r in (0, 128, 255) for g in (0, 128, 255) for b in (0, 128, 255)]])
PROBE = PROBE.astype(np.uint8)

# EXIF's orientation (tag 0x0112) → what brings the picture upright.
ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BadImageError(ValueError):
    """A picture that cannot be used; the message is the reason, in words for rejected.parquet."""


class ImageSizeError(BadImageError):
    """A picture of too many pixels, or of too few; ``limit`` names the argument of `open_image`."""

    def __init__(self, message: str, limit: str) -> None:
        super().__init__(message)
        self.limit = limit


class PerceptualHash(NamedTuple):
    """What two pictures that look alike share: the structure of their grey values, their colors."""

    bits: int  # pHash, `HASH_BITS` bits
    colors: NDArray[np.int16]  # thumbnail [8, 8, 3], 0 to 255


def _scaled_to_8_bits(image: Image.Image) -> Image.Image:
    """Return a picture of one of the `DEEP_MODES` as RGB."""
    values = np.asarray(image, dtype=np.float64)
    brightest = float(values.max())
    # Integers above 255 are 16-bit values; anything else says of white only that it is the maximum.
    white = 65535.0 if image.mode.startswith("I") and brightest > 255 else max(brightest, 1.0)
    scaled = np.clip(values / white * 255, 0, 255).astype(np.uint8)
    return Image.fromarray(scaled).convert("RGB")


def upright(image: Image.Image) -> Image.Image:
    """Return ``image`` turned as its EXIF says; as it is where the EXIF cannot be read."""
    # Not Pillow's `exif_transpose`: it writes all of the EXIF anew, and one rational of -1/0 in it
    # is an error of `struct`.
    try:
        orientation = image.getexif().get(ORIENTATION)
    except Exception:
        # Metadata of any camera or program; the pixels are fine.
        return image
    method = UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _in_srgb(image: Image.Image) -> Image.Image:
    """Return ``image`` with its colors as sRGB, where a profile says that they are others.

    A photo in Adobe RGB or Display P3 that is read as sRGB is duller than what a browser shows.
    """
    content = image.info.get("icc_profile")
    if not content or image.mode not in PROFILED_MODES:
        return image
    opaque = image.convert("RGB") if image.mode == "RGBA" else image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        # One of another kind than the pixels (CMYK's on a picture in RGB) says nothing of them.
        if profile.profile.xcolor_space.strip() != PROFILED_MODES[image.mode]:
            return image
        target = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(profile, target, opaque.mode, "RGB")
        if opaque.mode == "RGB" and changes_nothing(transform):
            return image
        converted = ImageCms.applyTransform(opaque, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image  # a broken profile: browsers take sRGB then, too
    if converted is not None and image.mode == "RGBA":
        converted.putalpha(image.getchannel("A"))
    return converted or image


def changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Return whether ``transform`` is that of sRGB to itself.

    Most profiles are sRGB, and converting a photo costs a tenth of a second. Their descriptions are
    not to be trusted: some call themselves sRGB and are not.
    """
    probe = Image.fromarray(PROBE)
    seen = ImageCms.applyTransform(probe, transform)
    if seen is None:
        return False
    difference = np.asarray(seen, np.int16) - PROBE
    return int(np.abs(difference).max()) <= 2  # of 255: rounding


def _upright_rgb(image: Image.Image, in_srgb: bool) -> Image.Image:
    """Return ``image`` upright, its colors as sRGB if asked; what is transparent lies on white."""
    image = upright(image)
    if image.mode in DEEP_MODES:
        return _scaled_to_8_bits(image)
    if in_srgb:
        image = _in_srgb(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def open_image(content: bytes, max_pixels: int, min_side: int, in_srgb: bool = True) -> Image.Image:
    """Return the picture in ``content`` as upright RGB.

    With ``in_srgb`` a color profile is applied; without, its numbers are those of the file.

    Of an animation the first frame is taken; CMYK and 16 bits a pixel are converted.

    Raises:
        BadImageError: it is no picture, broken or cut off.
        ImageSizeError: it is larger than ``max_pixels`` or has a side below ``min_side``.
    """
    if not content:
        raise BadImageError("the picture is an empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own words on large pictures and odd metadata
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            # The header is read, the pixels are not: a "bomb" of 30,000 × 30,000 costs nothing.
            _check_size(image, max_pixels, min_side)
            image.load()
            return _upright_rgb(image, in_srgb)
    except BadImageError:
        raise
    except UnidentifiedImageError:
        raise BadImageError(f"not a picture in {', '.join(FORMATS)}; export it as JPEG") from None
    except Image.DecompressionBombError:
        message = f"the picture has more than {max_pixels:,} pixels and is not read"
        raise ImageSizeError(message, "max_pixels") from None
    except DECODER_ERRORS as error:
        raise BadImageError(f"the picture is broken or cut off: {str(error)[:100]}") from None


def _size_told(image: Image.Image) -> str:
    return f"{image.width} × {image.height} pixels"


def _check_size(image: Image.Image, max_pixels: int, min_side: int) -> None:
    width, height = image.size
    size = f"the picture has {_size_told(image)}"
    if width * height > max_pixels:
        raise ImageSizeError(f"{size}, more than {max_pixels:,} are not read", "max_pixels")
    if min(width, height) < min_side:
        raise ImageSizeError(f"{size}, its shorter side needs {min_side}", "min_side")


def read_file(path: Path) -> bytes:
    """Return the content of a picture's file.

    Raises:
        BadImageError: it is larger than `LARGEST_FILE`.
    """
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise BadImageError(f"the file has {size:,} bytes, a picture has {LARGEST_FILE:,} at most")
    return path.read_bytes()


def shrink(image: Image.Image, side: int) -> Image.Image:
    """Return ``image`` with its shorter side at most ``side`` pixels; it is never enlarged."""
    scale = side / min(image.size)
    if scale >= 1:
        return image
    width = max(1, round(image.width * scale))
    height = max(1, round(image.height * scale))
    return image.resize((width, height), Image.Resampling.LANCZOS)


def encode(image: Image.Image, quality: int = 90) -> bytes:
    """Return an RGB picture as JPEG without any metadata; the same pixels give the same bytes.

    Raises:
        BadImageError: JPEG cannot hold it.
    """
    width, height = image.size
    if max(width, height) > LONGEST_SIDE:
        raise BadImageError(
            f"the picture has {width} × {height} pixels as it is kept, "
            f"JPEG allows {LONGEST_SIDE:,} a side"
        )
    stream = io.BytesIO()
    try:
        # 4:4:4; JPEG's default halves the resolution of color, and color tells products apart.
        image.save(stream, "JPEG", quality=quality, subsampling=0)
    except (OSError, ValueError, MemoryError) as error:
        raise BadImageError(f"the picture cannot be kept as JPEG: {str(error)[:100]}") from None
    return stream.getvalue()


def content_key(encoded: bytes) -> str:
    """Return the key of an encoded picture: 32 hexadecimal digits of its SHA-256."""
    digest = hashlib.sha256(encoded)
    return digest.hexdigest()[:32]


def perceptual_hash(image: Image.Image) -> PerceptualHash:
    """Return the pHash of an RGB picture's grey values (Zauner 2010) and a thumbnail of colors."""
    phash = imagehash.phash(image).hash
    digits = "".join("1" if bit else "0" for bit in phash.flatten())
    # pHash is blind to color: without the thumbnail a dress in red would repeat the one in blue.
    thumbnail = image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return PerceptualHash(int(digits, 2), np.asarray(thumbnail, np.int16))


def normalized(
    content: bytes, rules: Pictures, box: Box | None = None
) -> tuple[bytes, PerceptualHash]:
    """Return the picture in ``content`` as ``rules`` want it kept, a JPEG, and its hash.

    Of a picture with a ``box`` only that part is kept.

    Raises:
        BadImageError: it cannot be used.
        ImageSizeError: its size is outside the limits of ``rules``.
    """
    image = open_image(content, rules.max_pixels, rules.min_side)
    if box is not None:
        image = _part(image, content, box, rules.min_side)
    kept = shrink(image, rules.side)
    return encode(kept), perceptual_hash(kept)


def _part(image: Image.Image, content: bytes, box: Box, min_side: int) -> Image.Image:
    """Return what ``box`` cuts out of ``image``, which was opened from ``content``."""
    # Whoever drew the box saw the picture upright, or as its pixels are stored: nobody says which.
    stored = Image.open(io.BytesIO(content), formats=FORMATS)
    if upright(stored) is not stored:
        raise BadImageError(
            "its EXIF turns the picture, and the box may mean it before or after that; save it "
            "without EXIF"
        )
    part = crops.cut(image, box)
    if part is None:
        raise BadImageError(f"the box {tuple(box)} lies outside of its {_size_told(image)}")
    if min(part.size) < min_side:
        message = f"the box shows {_size_told(part)}, its shorter side needs {min_side}"
        raise ImageSizeError(message, "min_side")
    return part


class PerceptualHashes(Mapping[str, PerceptualHash]):
    """Perceptual hashes by key: 200 bytes for each, where objects of their own would have 700."""

    def __init__(self) -> None:
        self._position: dict[str, int] = {}
        self._bits = array("Q")
        self._colors = bytearray()

    def add(self, key: str, perceptual_hash: PerceptualHash) -> None:
        """Keep a picture's hash; one that is there stays."""
        if key not in self._position:
            self._position[key] = len(self._bits)
            self._bits.append(perceptual_hash.bits)
            self._colors += perceptual_hash.colors.astype(np.uint8).tobytes()

    def __getitem__(self, key: str) -> PerceptualHash:
        position = self._position[key]
        start = position * THUMBNAIL_BYTES
        colors = np.frombuffer(self._colors, np.uint8, THUMBNAIL_BYTES, start)
        # Copied: the bytes could not grow while an array looks at them.
        return PerceptualHash(
            self._bits[position], colors.reshape(THUMBNAIL_SHAPE).astype(np.int16)
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._position)

    def __len__(self) -> int:
        return len(self._position)


def near_duplicates(hashes: Iterable[PerceptualHash], rules: Pictures) -> list[int]:
    """Return for each picture the index of the earlier one that it repeats, or -1.

    Two pictures repeat each other when at most ``duplicate_hash_distance`` of the bits of their
    hashes differ, and their colors by at most ``duplicate_color_distance`` (mean absolute
    difference, 0 to 255): a recolored photo is another picture, a copy in another size or quality
    is not. A picture that is kept repeats no other kept one.
    """
    bits, colors = _columns(hashes)
    bands = []
    for low, mask in _bands(rules.duplicate_hash_distance):
        bands.append(_Buckets(bits >> np.uint64(low) & np.uint64(mask)))
    originals = []
    for index in range(len(bits)):
        neighbors = [bucket for band in bands if len(bucket := band.kept_beside(index))]
        original = -1
        if neighbors:
            near = np.concatenate(neighbors)
            differing = np.bitwise_count(bits[near] ^ bits[index])
            near = near[differing <= rules.duplicate_hash_distance]
            # The earliest one, so that the answer does not depend on the bands.
            for neighbor in np.unique(near).tolist():
                if _color_distance(colors, index, neighbor) <= rules.duplicate_color_distance:
                    original = neighbor
                    break
        originals.append(original)
        # Only kept pictures are compared with. Otherwise a chain of small differences would end
        # in a picture that its first link does not resemble.
        if original < 0:
            for band in bands:
                band.keep(index)
    return originals


def _columns(
    hashes: Iterable[PerceptualHash],
) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Return the bits of hashes, uint64 [n], and their colors, uint8 [n, 8, 8, 3]."""
    bits = array("Q")
    colors = bytearray()
    for one in hashes:
        bits.append(one.bits)
        colors += one.colors.astype(np.uint8).tobytes()
    return (
        np.frombuffer(bits, np.uint64),
        np.frombuffer(colors, np.uint8).reshape(-1, *THUMBNAIL_SHAPE),
    )


def _color_distance(colors: NDArray[np.uint8], one: int, other: int) -> float:
    difference = colors[one].astype(np.int16) - colors[other].astype(np.int16)
    return float(np.abs(difference).mean())


class _Buckets:
    """Pictures that are kept, by one band of their hashes; 12 bytes a picture.

    Each bucket is a stretch of one array, as long as it could get.
    """

    def __init__(self, values: NDArray[np.uint64]) -> None:
        _, bucket, sizes = np.unique(values, return_inverse=True, return_counts=True)
        starts = np.cumsum(sizes) - sizes
        self._start = array("i", starts[bucket].astype(np.int32).tobytes())
        self._kept = np.zeros(len(values), np.int32)
        self._count = array("i", bytes(4 * len(values)))  # kept so far, by the bucket's start

    def kept_beside(self, index: int) -> NDArray[np.int32]:
        """Return the kept pictures in the bucket of ``index``."""
        start = self._start[index]
        return self._kept[start : start + self._count[start]]

    def keep(self, index: int) -> None:
        """Put a picture into its bucket."""
        start = self._start[index]
        self._kept[start + self._count[start]] = index
        self._count[start] += 1


def _bands(distance: int) -> list[tuple[int, int]]:
    """Return the lowest bit and the mask of the bands that cut a hash into ``distance`` + 1 pieces.

    Of two hashes that differ in no more than ``distance`` bits, at least one band is equal, so
    pictures that share no band need not be compared (Manku et al. 2007).
    """
    count = min(distance + 1, HASH_BITS)
    bands = []
    for band in range(count):
        low = HASH_BITS * band // count
        high = HASH_BITS * (band + 1) // count
        mask = (1 << (high - low)) - 1
        bands.append((low, mask))
    return bands


def _comparable(path: str) -> str:
    """Return ``path`` so that capitals, and how a Mac writes accents (NFD), do not count."""
    return unicodedata.normalize("NFC", path).casefold()


def _backwards(steps: list[str]) -> str:
    """Return a path from its end: ``x.jpg/h/w/`` of ``w/h/x.jpg``."""
    return "/".join(reversed(steps)) + "/"


def names_of(cell: str) -> list[str]:
    """Return the names that stand in a cell of pictures."""
    listed = string_list(cell)
    if listed is not None:
        return [name.strip() for name in listed]
    names: list[str] = []
    for part in re.split(r"[\n|;]", cell):
        names += _between_commas(part)
    return names


def _between_commas(part: str) -> list[str]:
    """Return the names in ``part``; a comma within an address (``w_200,h_200/x.jpg``) is none."""
    names: list[str] = []
    begun = ""
    for piece in part.split(","):
        # After a name's end, or before a space or an address, a comma divides.
        if begun and (_NAME_END.search(begun) or piece[:1].isspace() or "://" in piece):
            names.append(begun.strip())
            begun = piece
        else:
            begun = f"{begun},{piece}" if begun else piece
    names.append(begun.strip())
    return [name for name in names if name]


# Shopify's sizes of one picture: dress_800x.jpg, dress_grande.jpg, dress_200x200@2x.jpg.
_SHOPIFY_PLACES = ("cdn.shopify.com/", "/cdn/shop/")
_SHOPIFY_SIZE = re.compile(
    r"_(?:pico|icon|thumb|small|compact|medium|large|grande|original|master|\d+x\d*|x\d+)"
    r"(?:_crop_[a-z]+)?(?:@[23]x)?(?=\.[a-z]+$)",
    re.IGNORECASE,
)


class Files:
    """The picture files below a raw folder; nothing outside it is ever opened."""

    def __init__(self, raw: Path) -> None:
        self.raw = raw.resolve()

    @cached_property
    def _all(self) -> list[Path]:
        files = delivery.look(self.raw).files
        return [path for path in files if path.suffix.lower() in SUFFIXES]

    @cached_property
    def _backwards(self) -> tuple[list[str], list[int]]:
        """Each file's path from its end (``x.jpg/h/w/``), sorted, and the file's place in `all`.

        Files with a common end stand side by side then. An index of every end would need several
        times as much: 430 bytes a picture.
        """
        ends = []
        for number, path in enumerate(self._all):
            steps = self._below(path).split("/")
            ends.append((_backwards(steps), number))
        ends.sort()
        return [end for end, _ in ends], [number for _, number in ends]

    def _below(self, path: Path) -> str:
        return _comparable(path.relative_to(self.raw).as_posix())

    def all(self) -> list[Path]:
        """Return every visible picture file, sorted, those of formats that are not read, too."""
        return list(self._all)

    def find(self, reference: str) -> Path | None:
        """Return the file that a table's cell names, None where there is none or several fit.

        It is found by its path below the folder, else by the end of its path: ``/w/h/x.jpg``,
        ``w\\h\\x.jpg`` and ``https://shop/media/w/h/x.jpg?v=2`` all find ``images/w/h/x.jpg``.
        Nothing is downloaded. Where nothing is found, what an address percent-encodes is decoded:
        ``my%20photo.jpg`` finds ``my photo.jpg``.
        """
        path = reference.split("?")[0]
        found = self._find(path)
        # A file may really be called "50%25 off.jpg": as it stands first.
        if found is None and "%" in path:
            found = self._find(unquote(path))
        # An address may end in a fragment. In another name the mark stands for itself: no#1.jpg.
        if found is None and "://" in path and "#" in path:
            found = self.find(path.split("#")[0])
        # Whoever has the pictures has the originals, and themes write addresses of smaller copies.
        if found is None and any(place in path for place in _SHOPIFY_PLACES):
            original = _SHOPIFY_SIZE.sub("", path)
            found = self._find(original) if original != path else None
        return found

    def find_all(self, cell: str) -> tuple[list[Path], list[str]]:
        """Return the files that a cell names, the main picture first, and names without a file.

        Several are divided by line ends, commas, semicolons or bars, or stand in a JSON array; a
        name with a comma in it that is there is one.
        """
        found: dict[Path, None] = {}  # an ordered set
        missing = []
        for name in names_of(cell):
            file = self.find(name)
            if file is None:
                missing.append(name)
            else:
                found[file] = None
        if missing and not found and (whole := self.find(cell)):
            return [whole], []
        return list(found), missing

    def _find(self, path: str) -> Path | None:
        steps = []
        for step in _comparable(path.replace("\\", "/")).split("/"):
            # "..", too: nothing outside the folder is ever opened.
            if step not in ("", ".", ".."):
                steps.append(step)
        ends, numbers = self._backwards
        # The longest end that any file has decides; a shorter one would fit more files, not better.
        for start in range(len(steps)):
            end = _backwards(steps[start:])
            first = bisect_left(ends, end)
            # Of several whose whole path this is (X.jpg beside x.jpg) it is the first of all.
            if first < len(ends) and ends[first] == end:
                return self._all[numbers[first]]
            # "0" comes after "/": between them lie those that end so, and no others.
            last = bisect_left(ends, f"{end[:-1]}0")
            if last > first:
                return self._all[numbers[first]] if last - first == 1 else None
        return None

    def read(self, path: Path) -> bytes:
        """Return the content of a file that `all` or `find` gave.

        Raises:
            BadImageError: it is larger than `LARGEST_FILE`.
        """
        return read_file(path)
