"""evaluate(): the model and its baselines on looks of other persons, and the report."""

from __future__ import annotations

from pathlib import Path

import torch

from beauty_models.families import Metrics
from beauty_models.files import new_folder
from beauty_models.makeup import Evaluate
from beauty_models.makeup.dataset import as_bytes, read_faces
from beauty_models.makeup.model import load
from beauty_models.makeup.report import write_report
from beauty_models.makeup.scores import compare, flat
from beauty_models.progress import log_line


def evaluate(*, data: Path, model: Path, report: Path, params: Evaluate) -> Metrics:
    """Score ``model`` and the baselines on ``data/test.parquet``; write the report to ``report``.

    ``report`` gets index.html and pairs.parquet.

    Raises:
        ValueError: the test part has no pair of a bare face and another person's look, or
            ``model`` is not a saved transfer.
    """
    transfer = load(model)
    faces = read_faces(data, "test", transfer.size)

    def make_up(*pair: torch.Tensor) -> torch.Tensor:
        return as_bytes(transfer(*pair)).cpu()

    scores = compare(faces, make_up, params)
    with new_folder(report) as folder:
        log_line("evaluate: report")
        write_report(folder, scores, faces, make_up, params, {})
    return flat(scores)
