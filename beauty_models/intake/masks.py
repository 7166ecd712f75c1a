"""Mask files, opened or refused with a reason; what their levels mean is for a family to say."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

from beauty_models.intake.images import DECODER_ERRORS, BadImageError

JPEG = b"\xff\xd8"  # how such a file begins


def open_mask(content: bytes, formats: tuple[str, ...], max_pixels: int) -> Image.Image:
    """Return the picture of a mask file, read to its end.

    Args:
        content: of the file.
        formats: Pillow's names of what is read.
        max_pixels: width × height; more are refused unread.

    Raises:
        BadImageError: it is no picture in one of ``formats``, too large, or broken.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=formats)
        if image.width * image.height > max_pixels:
            raise BadImageError(f"the mask has more than {max_pixels:,} pixels and is not read")
        image.load()
    except BadImageError:
        raise
    except UnidentifiedImageError:
        if content.startswith(JPEG) and "JPEG" not in formats:
            raise BadImageError(
                "the mask is a JPEG, which changes the numbers; PNG keeps them"
            ) from None
        raise BadImageError(f"the mask is no picture in {', '.join(formats)}") from None
    except DECODER_ERRORS as error:
        raise BadImageError(f"the mask is broken or cut off: {str(error)[:100]}") from None
    return image
