"""What serves, both networks and the classical fills on the holes of held-out photos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from beauty_models.backbones import efficientnet
from beauty_models.editing import Evaluate, metrics
from beauty_models.editing.cutout import cutout
from beauty_models.editing.dataset import Photos
from beauty_models.editing.examples import first, holes_by_kind
from beauty_models.editing.holes import KINDS, Holes
from beauty_models.editing.model import Editor, Images
from beauty_models.evaluation import bootstrap, frechet
from beauty_models.evaluation.comparison import (
    MethodMetrics,
    margin,
    product_groups,
    with_interval,
)
from beauty_models.families import Metrics
from beauty_models.progress import bar, log_line

MODEL = "model"  # what serves: for each kind of hole the fill that was best on validation
FRECHET = "effnet_frechet_distance"
WELL = 20.0  # PSNR in dB from which a hole counts as filled well: 25 levels of 255 off

Filled = dict[str, dict[str, Images]]
"""Method → kind of hole → photos with their holes filled."""


@dataclass
class Scores:
    """Everything that was measured on holes."""

    photos: Photos
    holes: dict[str, Holes]  # kind → one for each photo
    filled: Filled
    rows: pd.DataFrame  # one for each photo: key, product, and method/kind/error and …/ssim
    metrics: MethodMetrics  # method → figures with intervals and margins
    by_product: bool  # whether whole products were resampled


def fill_all(editor: Editor, photos: Photos, holes: dict[str, Holes]) -> Filled:
    """Return the photos with their holes filled, by every fill and by what serves."""
    filled: Filled = {MODEL: {}}
    fills = editor.fills()
    with bar("evaluate: fills", len(fills) * len(KINDS)) as progress:
        for name, fill in fills.items():
            filled[name] = {}
            for kind in KINDS:
                filled[name][kind] = fill(photos.images, holes[kind])
                progress.advance(note=f"{name}, {kind}")
    for kind in KINDS:
        filled[MODEL][kind] = filled[editor.served[kind]][kind]
    return filled


def compare(editor: Editor, photos: Photos, params: Evaluate) -> Scores:
    """Return how what serves and every fill do on one hole of each kind in each of ``photos``."""
    holes = holes_by_kind(photos.masks, params.seed)
    filled = fill_all(editor, photos, holes)
    rows = pd.DataFrame({"key": photos.keys, "product": photos.products})
    for name, by_kind in filled.items():
        for kind, images in by_kind.items():
            hole = holes[kind]
            rows[f"{name}/{kind}/error"] = metrics.hole_error(images, photos.images, hole)
            rows[f"{name}/{kind}/ssim"] = metrics.hole_ssim(images, photos.images, hole)
    groups = product_groups(rows)
    figures = {}
    for name in filled:
        figures[name] = _figures(rows, name, groups, params)
        figures[name]["outside_change"] = _outside(filled[name], photos.images, holes)
    return Scores(photos, holes, filled, rows, figures, groups is not None)


def _outside(by_kind: dict[str, Images], images: Images, holes: dict[str, Holes]) -> float:
    changes = []
    for kind, filled in by_kind.items():
        changes.append(metrics.outside_change(filled, images, holes[kind]))
    return max(changes)


def _columns(rows: pd.DataFrame, method: str, figure: str) -> NDArray[np.float64]:
    """Return the error or the SSIM of each photo and kind of hole [n, kinds]."""
    names = [f"{method}/{kind}/{figure}" for kind in KINDS]
    return rows[names].to_numpy(float)


def _measured(rows: pd.DataFrame, method: str) -> dict[str, tuple[NDArray[np.float64], Score]]:
    """Return the table and the score of each figure that is a mean over the photos."""
    errors = _columns(rows, method, "error")
    alike = _columns(rows, method, "ssim")
    least = 255**2 / 10 ** (WELL / 10)
    found: dict[str, tuple[NDArray[np.float64], Score]] = {
        "psnr_hole": (errors, metrics.psnr_of_kinds),
        "ssim_hole": (alike, metrics.mean_of_kinds),
        "filled_well": ((errors <= least).astype(float), metrics.mean_of_kinds),
    }
    for number, kind in enumerate(KINDS):
        column = slice(number, number + 1)
        found[f"psnr_hole_{kind}"] = (errors[:, column], metrics.psnr_of_kinds)
        found[f"ssim_hole_{kind}"] = (alike[:, column], metrics.mean_of_kinds)
    return found


Score = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def _figures(
    rows: pd.DataFrame, method: str, groups: NDArray[np.str_] | None, params: Evaluate
) -> dict[str, float]:
    """Return the figures of one method with intervals, and the model's paired margins over it."""
    values = {"n": float(len(rows))}
    ours = _measured(rows, MODEL)
    for name, (theirs, score) in _measured(rows, method).items():
        values |= with_interval(name, theirs, score, groups, params)
        if method != MODEL:
            values |= margin(name, ours[name][0], theirs, score, groups, params)
    return values


def frechet_distances(scores: Scores, drawn: Images | None, count: int, seed: int) -> Metrics:
    """Return the Fréchet distance of each method's fills, and of photos ``drawn`` out of nothing.

    It is that of EfficientNet-lite0's features from those of the photos as they were; boxes only.
    ``generator/effnet_frechet_floor`` is that of one half of the photos from the other: below it no
    photo out of nothing comes but by chance. Fills can, for most of such a photo is the photo.
    Nothing is measured where the network that it takes is not here.
    """
    missing = efficientnet.extractor_missing()
    if missing:
        log_line(f"evaluate: no Fréchet distance: {missing}")
        return {}
    kind = KINDS[0]
    real = _features(scores.photos.images)
    # The distance of few pictures is larger than that of many: all have the same number.
    chosen = np.random.default_rng(seed).permutation(len(real))[:count]
    half = len(chosen) // 2
    found: Metrics = {}
    for method, by_kind in scores.filled.items():
        name = FRECHET if method == MODEL else f"{method}/{FRECHET}"
        features = _features(by_kind[kind][chosen])
        found[name] = frechet.reduced_distance(features, real[chosen], half)
    if drawn is not None:
        found["generator/effnet_frechet_floor"] = frechet.reduced_distance(
            real[chosen[:half]], real[chosen[half:]], half
        )
        found[f"generator/{FRECHET}"] = frechet.reduced_distance(
            _features(drawn[: len(chosen)]), real[chosen], half
        )
    return found


def _features(images: Images) -> NDArray[np.float64]:
    pictures = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return efficientnet.features(pictures).astype(np.float64)


def by_steps(editor: Editor, photos: Photos, params: Evaluate) -> dict[int, dict[str, float]]:
    """Return number of sampling steps → PSNR and SSIM in the hole of the diffusion model's fills.

    On the first ``params.sampled`` photos. Empty without a diffusion model.
    """
    if editor.diffuser is None:
        return {}
    some = first(photos, params.sampled)
    holes = holes_by_kind(some.masks, params.seed)
    found = {}
    with bar("evaluate: sampling steps", len(params.sampling_steps)) as progress:
        for steps in params.sampling_steps:
            errors = []
            alike = []
            for kind in KINDS:
                filled = editor.diffuser.fill(some.images, holes[kind], steps)
                errors.append(metrics.hole_error(filled, some.images, holes[kind]))
                alike.append(metrics.hole_ssim(filled, some.images, holes[kind]))
            psnr = bootstrap.point_estimate(metrics.psnr_of_kinds, np.stack(errors, 1))
            found[steps] = {"psnr_hole": psnr, "ssim_hole": float(np.mean(alike))}
            progress.advance(note=f"{steps} steps")
    return found


def cutout_figures(photos: Photos) -> Metrics:
    """Return how near cut-outs are to masks that were delivered, the mean over the photos.

    ``photos`` are as large as they are kept. Empty where no mask was delivered.
    """
    known = [row for row, source in enumerate(photos.mask_from) if source == "given"]
    if not known:
        return {}
    overlaps = []
    edges = []
    with bar("evaluate: cut-outs", len(known)) as progress:
        for row in known:
            alpha = cutout(photos.images[row]).alpha
            overlaps.append(metrics.cutout_iou(alpha, photos.masks[row]))
            edges.append(metrics.boundary_f(alpha, photos.masks[row]))
            progress.advance()
    return {"cutout_iou": float(np.mean(overlaps)), "boundary_f": float(np.mean(edges))}


def flat(scores: Scores) -> Metrics:
    """Return the figures under the names of evaluate.json: ``metric`` and ``baseline/metric``."""
    found: Metrics = {}
    for method, values in scores.metrics.items():
        prefix = "" if method == MODEL else f"{method}/"
        for name, value in values.items():
            found[prefix + name] = value
    return found
