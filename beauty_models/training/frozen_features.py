"""Outputs of frozen layers, computed once and read every epoch: rows of unequal length in one memory-mapped file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from beauty_models.device import device
from beauty_models.training.batches import Batch


class Activations:
    """A file of rows [length, width], one per example. Its disk space is taken at the start, not in the middle of a run.

    Raises:
        OSError: there is not enough room on the disk.
    """

    def __init__(
        self,
        file: Path,
        lengths: np.ndarray[tuple[int], np.dtype[np.int64]],
        width: int,
        dtype: torch.dtype,
    ) -> None:
        self.lengths, self.width = lengths, width
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        size = int(self._starts[-1]) * width
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            try:
                os.posix_fallocate(stream.fileno(), 0, max(1, size * dtype.itemsize))
            except OSError as error:
                file.unlink()
                raise OSError(
                    error.errno,
                    f"{file}: {size * dtype.itemsize / 1e9:.1f} GB for the outputs of frozen layers do not fit on the disk; "
                    "free some, or lower max_tokens",
                ) from error
        self._values = torch.from_file(str(file), shared=True, size=size, dtype=dtype).view(
            -1, width
        )
        file.unlink()  # the mapping lives on; nothing is left behind by a kill

    def write(self, batch: Batch, padded: torch.Tensor) -> None:
        """Store rows ``batch`` from ``padded`` [n, longest, width]."""
        padded = padded.to("cpu", self._values.dtype)
        for row, values in zip(batch, padded, strict=True):
            self._values[self._starts[row] : self._starts[row + 1]] = values[: self.lengths[row]]

    def read(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows ``batch`` as [n, longest, width] on the device, zeros behind their ends, and the mask [n, longest]."""
        lengths = torch.from_numpy(self.lengths[batch])
        places = torch.arange(int(lengths.max()))[None, :]
        mask = places < lengths[:, None]
        at = torch.from_numpy(self._starts[batch])[:, None] + places
        gathered = torch.where(mask[..., None], self._values[torch.where(mask, at, 0)], 0)
        return gathered.to(device(), non_blocking=True), mask.to(device(), non_blocking=True)
