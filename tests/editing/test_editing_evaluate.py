"""What serves beside every fill: figures, margins, and the page that tells of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from beauty_models import params
from beauty_models.editing import Evaluate, inpainter, scores
from beauty_models.editing.dataset import Photos
from beauty_models.editing.fills import FILLS
from beauty_models.editing.holes import KINDS
from beauty_models.editing.model import Editor
from beauty_models.editing.report import write_report

SIDE = 32
COUNT = 12
SERVED = {"box": "telea", "stroke": "inpainter", "object": "mean_fill"}


@pytest.fixture(scope="module")
def settings() -> Evaluate:
    block = params.read(Path("params.yaml"))["editing"]["evaluate"]
    changed = block | {"bootstrap": 100, "examples": 4, "precision": "float32"}
    return Evaluate.model_validate(changed)


@pytest.fixture(scope="module")
def photos() -> Photos:
    random = np.random.default_rng(1)
    images = np.full((COUNT, SIDE, SIDE, 3), 255, np.uint8)
    masks = np.zeros((COUNT, SIDE, SIDE), np.uint8)
    for row in range(COUNT):
        top, left = random.integers(4, 10, 2)
        place = (row, slice(top, top + 18), slice(left, left + 14))
        images[place] = random.integers(0, 200, 3)
        masks[place] = 255
    names = [f"P{row}" for row in range(COUNT)]
    return Photos(images, masks, ["given"] * 6 + ["none"] * 6, names, names, names)


@pytest.fixture(scope="module")
def editor() -> Editor:
    torch.manual_seed(2)
    network = inpainter.InpaintingNetwork(inpainter.Shape(SIDE, 8, 2, 1))
    figures = {"inpainter": 1.0, **dict.fromkeys(FILLS, 2.0)}
    validation = {name: dict.fromkeys(KINDS, value) for name, value in figures.items()}
    return Editor(inpainter.Inpainter(network, "float32"), None, SERVED, validation)


@pytest.fixture(scope="module")
def measured(editor: Editor, photos: Photos, settings: Evaluate) -> scores.Scores:
    return scores.compare(editor, photos, settings)


def test_the_model_is_what_serves_for_each_kind(measured: scores.Scores) -> None:
    flat = scores.flat(measured)
    for kind, name in SERVED.items():
        for figure in ("psnr_hole", "ssim_hole"):
            assert flat[f"{figure}_{kind}"] == flat[f"{name}/{figure}_{kind}"]
            # The same fill on the same holes: nothing to resample.
            assert flat[f"{name}/{figure}_{kind}.margin_low"] == 0
    mean = np.mean([flat[f"psnr_hole_{kind}"] for kind in KINDS])
    assert flat["psnr_hole"] == pytest.approx(mean)
    assert flat["outside_change"] == 0 and flat["n"] == COUNT
    for name in ("inpainter", *FILLS):
        lead = flat["psnr_hole"] - flat[f"{name}/psnr_hole"]
        assert flat[f"{name}/psnr_hole.margin"] == pytest.approx(lead)
        low, high = (flat[f"{name}/psnr_hole.margin_{end}"] for end in ("low", "high"))
        assert low <= lead <= high


def test_the_same_seed_cuts_the_same_holes(
    measured: scores.Scores, editor: Editor, photos: Photos, settings: Evaluate
) -> None:
    again = scores.compare(editor, photos, settings)
    assert scores.flat(again) == scores.flat(measured)


def test_only_delivered_masks_judge_cut_outs(photos: Photos) -> None:
    found = scores.cutout_figures(photos)
    # Flat products on white, of which the six with a delivered mask count.
    assert found["cutout_iou"] > 0.9 and found["boundary_f"] > 0.9
    photos_without = Photos(
        photos.images, photos.masks, ["found"] * COUNT, photos.products, photos.keys, photos.paths
    )
    assert scores.cutout_figures(photos_without) == {}


def test_the_page_says_what_serves_and_shows_the_worst(
    measured: scores.Scores, editor: Editor, settings: Evaluate, tmp_path: Path
) -> None:
    write_report(tmp_path, measured, editor, {}, {}, None, settings)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "boxes: telea, brush strokes: inpainter, outlines of products: mean_fill" in page
    assert page.count(", serves") == settings.examples
    for kind in KINDS:
        assert f"{measured.metrics['model'][f'psnr_hole_{kind}']:.2f}" in page
    assert (tmp_path / "board.png").stat().st_size > 0
    assert (tmp_path / "holes.parquet").exists()
