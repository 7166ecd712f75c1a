"""A photo as it is delivered, and given back: upright, in its own colors, with a note.

What a photo's file says besides its pixels (place, camera, time) is not handed on: an edited photo
may go where the former one was not meant to.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

from beauty_models.intake import images

MAX_PIXELS = 100_000_000
MIN_SIDE = 16

# IPTC's words for where a picture comes from: in part a trained model's, wholly one's, put together
# of several, or changed by rules alone.
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOURCE_TYPE = f"{SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"
GENERATED_TYPE = f"{SOURCE_TYPES}trainedAlgorithmicMedia"
COMPOSITE_TYPE = f"{SOURCE_TYPES}composite"
ENHANCED_TYPE = f"{SOURCE_TYPES}algorithmicallyEnhanced"
KNOWN_TYPES = (SOURCE_TYPE, GENERATED_TYPE, COMPOSITE_TYPE, ENHANCED_TYPE)
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 Iptc4xmpExt:DigitalSourceType="{source_type}"
 xmp:CreatorTool="{software}"/></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
_XMP_PNG_KEY = "XML:com.adobe.xmp"
EXIF_DESCRIPTION = 0x010E
EXIF_SOFTWARE = 0x0131

Pixels = NDArray[np.uint8]  # [h, w, 3]
Format = Literal["png", "same"]


class Mark(NamedTuple):
    """What a file says of who changed it, and how."""

    software: str
    sentence: str
    source_type: str = SOURCE_TYPE


@dataclass
class Photo:
    """A photo that can be worked on and written back."""

    pixels: Pixels  # sRGB, upright; what is transparent lies on white
    stored: Pixels  # the same, in the colors of the file and without its transparency
    format: str  # JPEG, PNG, …
    alpha: NDArray[np.uint8] | None = None  # [h, w]
    profile: bytes | None = None  # ICC, of ``stored``
    quantization: dict[int, list[int]] | None = None  # of a JPEG
    subsampling: int = 0
    notes: list[str] = field(default_factory=list)  # what a person should know of it

    def with_pixels(self, edited: Pixels) -> Pixels:
        """Return ``edited``, which `pixels` became, in the colors of the file.

        A pixel that is as it was has the bytes of the file.
        """
        if self.profile is None and self.alpha is None:
            return edited
        after = _converted(edited, self.profile, back=True).astype(np.int16)
        before = _converted(self.pixels, self.profile, back=True).astype(np.int16)
        # Only the difference is added: going to sRGB and back rounds every pixel.
        back = np.clip(self.stored + (after - before), 0, 255).astype(np.uint8)
        unchanged = (edited == self.pixels).all(-1, keepdims=True)
        return np.where(unchanged, self.stored, back)


def _converted(pixels: Pixels, profile: bytes | None, back: bool = False) -> Pixels:
    """Return ``pixels`` of a profile as sRGB, or the other way ``back``."""
    if profile is None:
        return pixels
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    srgb = ImageCms.createProfile("sRGB")
    source, target = (srgb, own) if back else (own, srgb)
    image = Image.fromarray(pixels)
    converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    assert converted is not None
    return np.asarray(converted)


def _rgb_profile(profile: bytes | None) -> bytes | None:
    """Return an ICC profile that is not sRGB's own.

    Raises:
        ValueError: it is for other colors than RGB, or broken.
    """
    if not profile:
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
        description = ImageCms.getProfileDescription(opened)
    except (OSError, ImageCms.PyCMSError, ValueError) as error:
        raise ValueError("its color profile is broken; its colors are taken as sRGB") from error
    if space != "RGB":
        raise ValueError(f"its color profile is for {space}; the result is sRGB")
    if "srgb" not in description.casefold():
        return profile
    # Some call themselves sRGB and are not.
    transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    return None if images.changes_nothing(transform) else profile


def open_photo(content: bytes) -> Photo:
    """Return the photo in the bytes of a file.

    Raises:
        BadImageError: it is no picture, broken, too large or too small.
    """
    # As they are stored: outside of what is made up, the result has the file's own numbers.
    upright = np.asarray(images.open_image(content, MAX_PIXELS, MIN_SIDE, in_srgb=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(content), formats=images.FORMATS)
        photo = Photo(upright, upright, image.format or "")
        _note_kind(photo, image)
        if image.has_transparency_data:
            layer = np.asarray(images.upright(image).convert("RGBA"))
            photo.stored, photo.alpha = layer[..., :3], layer[..., 3]
    try:
        photo.profile = _rgb_profile(image.info.get("icc_profile"))
    except ValueError as error:
        photo.notes.append(str(error))
    photo.pixels = _converted(photo.pixels, photo.profile)
    if photo.format == "JPEG":
        photo.quantization = getattr(image, "quantization", None)
        sampling = getattr(image, "layer", None)
        # 2 × 2 luminance samples for each of color is 4:2:0, Pillow's 2.
        photo.subsampling = 2 if sampling and sampling[0][1:3] == (2, 2) else 0
    return photo


def _note_kind(photo: Photo, image: Image.Image) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        photo.notes.append(f"the file has {frames} pictures; the first one is taken")
    if image.mode in images.DEEP_MODES:
        photo.notes.append("more than 8 bits a pixel were scaled to 8")
    if image.mode == "CMYK":
        photo.notes.append("print colors (CMYK) were converted to sRGB")


def _xmp(mark: Mark) -> bytes:
    return _XMP.format(source_type=mark.source_type, software=mark.software).encode()


def _exif(mark: Mark) -> Image.Exif:
    exif = Image.Exif()
    exif[EXIF_DESCRIPTION] = f"{mark.sentence} DigitalSourceType: {mark.source_type}"
    exif[EXIF_SOFTWARE] = mark.software
    return exif


def encode_png(pixels: NDArray[np.uint8], mark: Mark, profile: bytes | None = None) -> bytes:
    """Return pixels [h, w, 3 or 4] as PNG with the note that they were made or changed."""
    note = PngImagePlugin.PngInfo()
    note.add_text("Software", mark.software)
    note.add_text("DigitalSourceType", mark.source_type)
    note.add_itxt(_XMP_PNG_KEY, _xmp(mark).decode())
    stream = io.BytesIO()
    settings: dict[str, Any] = {"icc_profile": profile} if profile else {}
    Image.fromarray(pixels).save(stream, "PNG", pnginfo=note, compress_level=4, **settings)
    return stream.getvalue()


def _encode_jpeg(photo: Photo, pixels: Pixels, mark: Mark) -> bytes:
    stream = io.BytesIO()
    settings: dict[str, Any] = {"icc_profile": photo.profile} if photo.profile else {}
    # With the file's own tables a block that is as it was is rounded to what it was.
    Image.fromarray(pixels).save(
        stream,
        "JPEG",
        qtables=photo.quantization,
        subsampling=photo.subsampling,
        exif=_exif(mark),
        xmp=_xmp(mark),
        **settings,
    )
    return stream.getvalue()


def encode(photo: Photo, edited: Pixels, kind: Format, mark: Mark) -> tuple[bytes, str]:
    """Return ``edited`` as a file's bytes and its suffix.

    Args:
        photo: what it was.
        edited: what `Photo.pixels` became.
        kind: png keeps every pixel, same is JPEG where the photo was one.
        mark: what the file says of the change.
    """
    pixels = photo.with_pixels(edited)
    if kind == "same" and photo.format == "JPEG" and photo.quantization:
        return _encode_jpeg(photo, pixels, mark), ".jpg"
    if photo.alpha is not None:
        pixels = np.dstack([pixels, photo.alpha])
    return encode_png(pixels, mark, photo.profile), ".png"


def source_type_of(content: bytes) -> str | None:
    """Return the DigitalSourceType that a picture's file notes, None where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content), formats=images.FORMATS)
            image.load()
    except images.DECODER_ERRORS:
        return None
    told = image.info.get("DigitalSourceType")
    if told:
        return str(told)
    xmp = image.info.get("xmp") or image.info.get(_XMP_PNG_KEY) or b""
    text = xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else str(xmp)
    for known in KNOWN_TYPES:
        if known in text:
            return known
    return None
