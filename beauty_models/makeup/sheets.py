"""Sheets of samples that a training leaves as it goes, so that a person sees how it comes along."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from beauty_models import progress
from beauty_models.files import new_file

QUALITY = 90  # of the JPEGs


def grid(pictures: torch.Tensor, columns: int) -> np.ndarray:
    """Return uint8 ``pictures`` [n, 3, side, side] row by row as one, [height, width, 3]."""
    n, _, side, _ = pictures.shape
    rows = -(-n // columns)
    # White where the last row is not full.
    shape = (rows * side, columns * side, 3)
    sheet = np.full(shape, 255, np.uint8)
    tiles = pictures.permute(0, 2, 3, 1).numpy()
    for position, tile in enumerate(tiles):
        row, column = divmod(position, columns)
        top = row * side
        left = column * side
        sheet[top : top + side, left : left + side] = tile
    return sheet


class SampleSheets:
    """The sheets of a run so far: part of its checkpoints, so that a resumed run has them all.

    The newest one lies beside the stage's ``output`` while the stage runs, in `latest`, and is told
    as ``title`` with ``unit`` (tenth, epoch) and its number.
    """

    def __init__(self, output: Path, title: str, unit: str) -> None:
        # Not in the output, which is written at the end; one file, whatever the number of sheets.
        self.latest = output.with_name(output.name + ".samples.jpg")
        self.title = title
        self.unit = unit
        self.jpegs: list[bytes] = []

    def add(self, sheet: np.ndarray) -> None:
        """Keep one more ``sheet``, uint8 [height, width, 3], and show it."""
        stream = io.BytesIO()
        image = Image.fromarray(sheet)
        image.save(stream, "JPEG", quality=QUALITY)
        jpeg = stream.getvalue()
        self.jpegs.append(jpeg)
        # Whole or not at all: somebody may be looking at the one before.
        with new_file(self.latest) as temporary:
            temporary.write_bytes(jpeg)
        number = len(self.jpegs)
        progress.picture(self.latest, f"{self.title}: {self.unit} {number}")

    def write(self, folder: Path) -> None:
        """Write the sheets into the new ``folder`` as tenth-01.jpg, tenth-02.jpg and so on."""
        folder.mkdir()
        for number, jpeg in enumerate(self.jpegs, 1):
            file = folder / f"{self.unit}-{number:02}.jpg"
            file.write_bytes(jpeg)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        # Tensors: a checkpoint is read with `weights_only`.
        tensors = []
        for jpeg in self.jpegs:
            writable = bytearray(jpeg)
            tensors.append(torch.frombuffer(writable, dtype=torch.uint8))
        return {"jpegs": tensors}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self.jpegs = [tensor.numpy().tobytes() for tensor in state["jpegs"]]
