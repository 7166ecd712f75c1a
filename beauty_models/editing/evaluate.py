"""evaluate(): what serves and every fill on held-out photos, cut-outs, and the report."""

from __future__ import annotations

from pathlib import Path

from beauty_models.editing import Evaluate
from beauty_models.editing.dataset import Photos
from beauty_models.editing.diffusion import load_pipeline, sample
from beauty_models.editing.examples import first, read_photos
from beauty_models.editing.model import Images, load
from beauty_models.editing.report import write_report
from beauty_models.editing.scores import (
    by_steps,
    compare,
    cutout_figures,
    flat,
    frechet_distances,
)
from beauty_models.evaluation.sections import add_account
from beauty_models.families import Metrics
from beauty_models.files import new_folder, read_json
from beauty_models.intake import account
from beauty_models.progress import log_line

DRAWING_STEPS = 16  # in which the unconditional model draws photos


def evaluate(*, data: Path, model: Path, report: Path, params: Evaluate) -> Metrics:
    """Score ``model`` and the classical fills on ``data/test.parquet``; write the report.

    ``report`` gets index.html, holes.parquet (a row for each photo) and board.png.

    Returns:
        ``psnr_hole`` and ``ssim_hole`` of what serves, of each kind and their mean, ``filled_well``
        and ``outside_change``; the same of each fill; ``cutout_iou`` and ``boundary_f`` where masks
        were delivered; Fréchet distances.

    Raises:
        ValueError: there is no test photo, or ``model`` is no saved model.
    """
    editor = load(model, params.precision, every=True)
    photos = first(read_photos(data, "test", editor.side), params.photos)
    scores = compare(editor, photos, params)
    steps = by_steps(editor, photos, params)
    drawn = _drawn(model, params)
    others = frechet_distances(scores, drawn, params.drawn, params.seed)
    others |= _cutouts(data, params)
    for count, values in steps.items():
        for name, value in values.items():
            others[f"diffusion_{name}_in_{count}_steps"] = value
    with new_folder(report) as folder:
        log_line("evaluate: report")
        write_report(folder, scores, editor, others, steps, drawn, params)
        add_account(folder / "index.html", account.lines_of(data))
    return flat(scores) | others


def _drawn(model: Path, params: Evaluate) -> Images | None:
    """Return photos of the unconditional model, if there is one."""
    if not (model / "generator").is_dir():
        return None
    log_line("evaluate: photos out of nothing")
    unet, scheduler = load_pipeline(model / "generator")
    return sample(unet, scheduler, DRAWING_STEPS, params.drawn, params.seed, params.precision)


def _cutouts(data: Path, params: Evaluate) -> Metrics:
    """Return how near cut-outs are to delivered masks, at the size that photos are kept at."""
    side = read_json(data / "schema.json")["side"]
    return cutout_figures(first(Photos.load(data, "test", side), params.photos))
