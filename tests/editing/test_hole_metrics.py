"""Figures of filled holes and of cut-outs, against values that are known or computed elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from beauty_models.editing import metrics
from beauty_models.editing.finetune import choose
from beauty_models.editing.holes import KINDS


def photo(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    smooth = random.integers(0, 256, (8, 8, 3), np.uint8).repeat(5, 0).repeat(5, 1)
    return (smooth // 2 + random.integers(0, 128, smooth.shape, np.uint8)).astype(np.uint8)


def test_ssim_is_that_of_scikit_image() -> None:
    first = photo(1)
    second = np.clip(
        first.astype(int) + np.random.default_rng(2).normal(0, 30, first.shape), 0, 255
    )
    second = second.astype(np.uint8)
    _, wanted = structural_similarity(
        first,
        second,
        channel_axis=2,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    # Within the margin that the window needs; at the very edge the two mirror differently.
    hole = np.zeros((1, 40, 40), bool)
    hole[0, 8:30, 6:33] = True
    found = metrics.hole_ssim(second[None], first[None], hole)
    assert found[0] == pytest.approx(wanted[hole[0]].mean(), abs=2e-4)
    assert metrics.hole_ssim(first[None], first[None], hole)[0] == pytest.approx(1, abs=1e-5)


def test_psnr_counts_what_lies_in_the_hole_alone() -> None:
    first = np.full((1, 20, 20, 3), 100, np.uint8)
    second = first.copy()
    hole = np.zeros((1, 20, 20), bool)
    hole[0, :10] = True
    second[0, :10] = 110
    second[0, 10:] = 255
    error = metrics.hole_error(second, first, hole)
    assert error.tolist() == [100]
    # 10 log10(255² / 100)
    score = metrics.psnr_of_kinds(np.array([[100.0]]), np.ones((1, 1)))
    assert score[0] == pytest.approx(28.13, abs=0.005)
    assert metrics.outside_change(second, first, hole) == 155
    assert metrics.outside_change(second, first, np.ones_like(hole)) == 0


def test_psnr_of_kinds_takes_the_mean_error_of_each_kind_first() -> None:
    rows = np.array([[0.0, 100.0], [200.0, 100.0]])
    both = metrics.psnr_of_kinds(rows, np.ones((1, 2)))[0]
    assert both == pytest.approx(10 * np.log10(255**2 / 100))
    # A perfect fill has a PSNR, too, and more than one of a level's error.
    perfect = metrics.psnr_of_kinds(np.zeros((1, 1)), np.ones((1, 1)))[0]
    assert 48.2 < perfect < 60


def test_cutouts_are_compared_by_area_and_by_outline() -> None:
    exact = np.zeros((40, 40), np.uint8)
    exact[10:30, 10:30] = 255
    assert metrics.cutout_iou(exact, exact) == 1 and metrics.boundary_f(exact, exact) == 1
    half = np.where(np.arange(40) < 20, exact, 0).astype(np.uint8)
    assert metrics.cutout_iou(half, exact) == pytest.approx(0.5)
    assert metrics.cutout_iou((exact // 2).astype(np.uint8), exact) == pytest.approx(127 / 255)
    nearly = np.roll(exact, 1, 1)
    assert metrics.boundary_f(nearly, exact) == 1, "one pixel off is near enough"
    assert metrics.boundary_f(np.roll(exact, 4, 1), exact) < 0.7
    nothing = np.zeros_like(exact)
    assert metrics.boundary_f(nothing, exact) == 0 and metrics.cutout_iou(nothing, exact) == 0
    assert metrics.boundary_f(nothing, nothing) == 1 and metrics.cutout_iou(nothing, nothing) == 1


def test_a_classical_fill_serves_where_no_network_is_better() -> None:
    scores = {
        "inpainter": {"box": 20.0, "stroke": 21.0, "object": 19.0},
        "diffusion": {"box": 15.0, "stroke": 15.0, "object": 15.0},
        "telea": {"box": 19.9, "stroke": 22.0, "object": 19.0},
    }
    assert choose(scores) == {"box": "inpainter", "stroke": "telea", "object": "inpainter"}
    assert list(choose(scores)) == list(KINDS)
