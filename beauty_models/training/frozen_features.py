"""Outputs of frozen layers, computed once and read every epoch.

Rows of unequal length lie one behind the other in one memory-mapped file.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from beauty_models.device import device
from beauty_models.training.batches import Batch, Lengths


class Activations:
    """A file of rows [length, width], one per example.

    Raises:
        OSError: there is not enough room on the disk.
    """

    def __init__(
        self,
        file: Path,
        lengths: Lengths,
        width: int,
        dtype: torch.dtype,
    ) -> None:
        self.lengths = lengths
        self.width = width
        self._starts = np.concatenate([[0], np.cumsum(lengths)])  # row → its first place
        size = int(self._starts[-1]) * width
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            try:
                # The disk space is taken now: a page of a sparse file that finds none later ends
                # the process by SIGBUS, in the middle of a run and without a word.
                os.posix_fallocate(stream.fileno(), 0, max(1, size * dtype.itemsize))
            except OSError as error:
                file.unlink()
                raise OSError(
                    error.errno,
                    f"{file}: {size * dtype.itemsize / 1e9:.1f} GB for the outputs of frozen "
                    "layers do not fit on the disk; free some, or lower max_tokens",
                ) from error
        values = torch.from_file(str(file), shared=True, size=size, dtype=dtype)
        self._values = values.view(-1, width)
        # the mapping lives on; nothing is left behind by a kill
        file.unlink()

    def write(self, batch: Batch, padded: torch.Tensor) -> None:
        """Store rows ``batch`` from ``padded`` [n, longest, width]."""
        padded = padded.to("cpu", self._values.dtype)
        for row, values in zip(batch, padded, strict=True):
            start = self._starts[row]
            length = self.lengths[row]
            self._values[start : start + length] = values[:length]

    def read(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows ``batch`` as [n, longest, width] on the device, and the mask [n, longest].

        There are zeros behind the end of a row, and the mask is false.
        """
        lengths = torch.from_numpy(self.lengths[batch])
        offsets = torch.arange(int(lengths.max()))[None, :]
        mask = offsets < lengths[:, None]
        places = torch.from_numpy(self._starts[batch])[:, None] + offsets
        # behind the end of the last row there is no place: 0 is read there, and masked
        values = self._values[torch.where(mask, places, 0)]
        gathered = torch.where(mask[..., None], values, 0)
        return gathered.to(device(), non_blocking=True), mask.to(device(), non_blocking=True)
