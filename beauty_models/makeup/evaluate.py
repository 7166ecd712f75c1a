"""evaluate(): the model and its baselines on looks of other persons, and the report."""

from __future__ import annotations

from pathlib import Path

import torch

from beauty_models.backbones.efficientnet import extractor_missing
from beauty_models.evaluation.sections import add_account
from beauty_models.families import Metrics
from beauty_models.files import new_folder
from beauty_models.intake import account
from beauty_models.makeup import Evaluate
from beauty_models.makeup.dataset import as_bytes, read_faces, read_results
from beauty_models.makeup.gan import sampling
from beauty_models.makeup.model import load
from beauty_models.makeup.report import write_report
from beauty_models.makeup.scores import compare, flat
from beauty_models.makeup.synthesis import generator_figures
from beauty_models.progress import log_line

SAMPLES = 300  # faces of the generator, at most, by which it is judged


def evaluate(*, data: Path, model: Path, report: Path, params: Evaluate) -> Metrics:
    """Score ``model`` and the baselines on ``data/test.parquet``; write the report to ``report``.

    ``report`` gets index.html and pairs.parquet. Where ``model`` holds a generator of faces, its
    figures stand beside the others.

    Raises:
        ValueError: the test part has no pair of a bare face and another person's look, or
            ``model`` is not a saved transfer.
    """
    transfer = load(model)
    faces = read_faces(data, "test", transfer.size)
    results = read_results(data, "test", faces)

    def make_up(*pair: torch.Tensor) -> torch.Tensor:
        return as_bytes(transfer(*pair)).cpu()

    scores = compare(faces, results, make_up, params)
    generated, samples = _generated(data, model, params)
    with new_folder(report) as folder:
        log_line("evaluate: report")
        write_report(
            folder, scores, faces, results, make_up, transfer.match, params, generated, samples
        )
        add_account(folder / "index.html", account.lines_of(data))
    return flat(scores) | generated


def _generated(data: Path, model: Path, params: Evaluate) -> tuple[Metrics, torch.Tensor | None]:
    """Return the figures of the generator of faces and some of its faces; none without one."""
    # Pretraining may leave it out, and without its network the distance cannot be measured.
    if not (model / "generator").exists() or extractor_missing():
        return {}, None
    size = sampling.load(model / "generator").config.size
    train = read_faces(data, "train", size).images
    test = read_faces(data, "test", size).images
    log_line("evaluate: faces of the generator")
    drawn = sampling.sample(model, min(len(train), SAMPLES), params.seed)
    samples = torch.from_numpy(drawn).permute(0, 3, 1, 2)
    return generator_figures(samples, train, test, params.seed), samples[: params.examples]
