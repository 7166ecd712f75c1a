"""Sheets of samples that a training leaves as it goes, so that a person sees how it comes along."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

QUALITY = 90  # of the JPEGs


def grid(pictures: torch.Tensor, columns: int) -> np.ndarray:
    """Return uint8 ``pictures`` [n, 3, side, side] row by row as one, [height, width, 3]."""
    n, _, side, _ = pictures.shape
    rows = -(-n // columns)
    sheet = np.full((rows * side, columns * side, 3), 255, np.uint8)
    for position, picture in enumerate(pictures.permute(0, 2, 3, 1).numpy()):
        row, column = divmod(position, columns)
        top, left = row * side, column * side
        sheet[top : top + side, left : left + side] = picture
    return sheet


class SampleSheets:
    """The sheets of a run so far: part of its checkpoints, so that a resumed run has them all."""

    def __init__(self) -> None:
        self.jpegs: list[bytes] = []

    def add(self, sheet: np.ndarray) -> None:
        """Keep one more ``sheet``, uint8 [height, width, 3]."""
        stream = io.BytesIO()
        Image.fromarray(sheet).save(stream, "JPEG", quality=QUALITY)
        self.jpegs.append(stream.getvalue())

    def write(self, folder: Path, name: str) -> None:
        """Write the sheets into the new ``folder`` as ``name``-01.jpg, -02 and so on."""
        folder.mkdir()
        for number, jpeg in enumerate(self.jpegs, 1):
            (folder / f"{name}-{number:02}.jpg").write_bytes(jpeg)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        # Tensors: a checkpoint is read with `weights_only`.
        tensors = [torch.frombuffer(bytearray(jpeg), dtype=torch.uint8) for jpeg in self.jpegs]
        return {"jpegs": tensors}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self.jpegs = [tensor.numpy().tobytes() for tensor in state["jpegs"]]
