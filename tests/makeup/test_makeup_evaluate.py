"""makeup's evaluation: pairs of two persons, paired intervals by person, skin tones, a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from beauty_models.evaluation.bootstrap import mean
from beauty_models.evaluation.comparison import interval
from beauty_models.makeup import Evaluate, scores, starter
from beauty_models.makeup.baselines import mean_std
from beauty_models.makeup.dataset import Faces
from beauty_models.makeup.report import write_report
from beauty_models.params import Gate
from tasks.registry.gate import judge
from tests.makeup import drawn

PARAMS = Evaluate(seed=7, pairs=2, bootstrap=200, confidence=0.95, examples=4)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    raw = tmp_path_factory.mktemp("makeup")
    starter.toy(raw=raw)
    return drawn.faces(raw)


def halfway(
    bare: torch.Tensor,
    regions: torch.Tensor,
    reference: torch.Tensor,
    reference_regions: torch.Tensor,
) -> torch.Tensor:
    """Make a face up half as strongly as `mean_std` does."""
    full = scores.by_face(mean_std)(bare, regions, reference, reference_regions)
    return ((full.float() + bare.float()) / 2).round().to(torch.uint8)


@pytest.fixture(scope="module")
def compared(faces: Faces) -> scores.Scores:
    return scores.compare(faces, halfway, PARAMS)


def test_each_bare_face_wears_the_looks_of_other_persons(faces: Faces) -> None:
    pairs = scores.draw_pairs(faces, 3, seed=7)
    persons = faces.frame["person"].to_numpy()
    assert len(pairs.bare) == 3 * len(faces.bare)
    assert (persons[pairs.bare] != persons[pairs.reference]).all()
    assert faces.frame["made_up"].to_numpy()[pairs.reference].all()
    assert not faces.frame["made_up"].to_numpy()[pairs.bare].any()
    again = scores.draw_pairs(faces, 3, seed=7)
    assert (again.reference == pairs.reference).all()
    other = scores.draw_pairs(faces, 3, seed=8)
    assert (other.reference != pairs.reference).any()


def test_without_another_persons_look_it_says_what_to_do(faces: Faces) -> None:
    one = faces.frame["person"] == faces.frame["person"].iloc[0]
    rows = np.flatnonzero(one)
    alone = Faces(faces.frame[one].reset_index(drop=True), faces.images[rows], faces.regions[rows])
    with pytest.raises(ValueError, match="1 bare and 1 made-up faces.*split"):
        scores.draw_pairs(alone, 2, seed=7)


def test_figures_are_means_and_margins_are_paired(compared: scores.Scores) -> None:
    figures = scores.flat(compared)
    pairs = compared.pairs
    for metric in ("lips_distance", "skin_distance", "eyes_distance", "identity_distance"):
        assert figures[metric] == pytest.approx(pairs[f"model/{metric}"].mean())
        for name in ("copy", "mean_std", "histogram_matching"):
            margin = figures[metric] - figures[f"{name}/{metric}"]
            assert figures[f"{name}/{metric}.margin"] == pytest.approx(margin)
            low = figures[f"{name}/{metric}.margin_low"]
            assert low < margin < figures[f"{name}/{metric}.margin_high"]
    assert figures["copy/identity_distance"] == pytest.approx(0, abs=1e-6)
    assert figures["background_change_max"] == 0
    order = ["histogram_matching/lips_distance", "mean_std/lips_distance", "lips_distance"]
    order.append("copy/lips_distance")
    assert [figures[name] for name in order] == sorted(figures[name] for name in order)


def test_nearer_means_lips_and_skin_both(compared: scores.Scores) -> None:
    pairs = compared.pairs
    lips = pairs["model/lips_distance"] < pairs["copy/lips_distance"]
    skin = pairs["model/skin_distance"] < pairs["copy/skin_distance"]
    assert compared.metrics["model"]["looks_better"] == pytest.approx((lips & skin).mean())
    assert compared.metrics["copy"]["looks_better"] == 0
    assert compared.metrics["model"]["n"] == len(pairs)


def test_whole_persons_are_resampled(compared: scores.Scores) -> None:
    assert compared.by_person
    values = compared.pairs["model/skin_distance"].to_numpy()[:, None]
    persons = compared.pairs["person"].to_numpy(str)
    expected = interval(values, mean, persons, PARAMS)
    found = compared.metrics["model"]
    assert (found["skin_distance.low"], found["skin_distance.high"]) == expected
    alone = interval(values, mean, None, PARAMS)
    assert expected != alone


def test_a_hidden_part_is_left_out_of_its_own_figure_only(faces: Faces) -> None:
    regions = faces.regions.clone()
    bare = int(faces.bare[0])
    regions[bare][regions[bare] == 7] = 9
    hidden = Faces(faces.frame, faces.images, regions)
    pairs = scores.draw_pairs(hidden, 2, seed=7)
    frame = scores.measure(hidden, pairs, scores.methods(halfway), identity=False)
    rows = (pairs.bare == bare).nonzero()[0]
    assert frame["model/lips_distance"].isna().sum() == len(rows) == 2
    assert frame["model/looks_better"][rows].isna().all()
    assert frame["model/skin_distance"].notna().all()
    assert "model/identity_distance" not in frame


def test_skin_tones_are_those_of_the_literature() -> None:
    angles = {60: "very light", 50: "light", 30: "intermediate", 20: "tan", 0: "brown"}
    for angle, name in angles.items():
        assert scores.tone(angle) == name
    assert scores.tone(-45) == "dark"
    assert scores.tone(float("nan")) == "unknown"


def test_the_largest_gap_is_named_and_few_pairs_are_not_compared(compared: scores.Scores) -> None:
    assert compared.tones["pairs"].sum() == len(compared.pairs)
    rows = {
        "tone": ["light", "tan", "dark"],
        "pairs": [20, 20, 3],
        "model/lips_distance": [4.0, 6.5, 30.0],
        "model/skin_distance": [2.0, 3.0, 9.0],
        "model/eyes_distance": [2.0, float("nan"), 9.0],
    }
    words, size = scores.largest_gap(pd.DataFrame(rows))
    assert words == "lips: 6.50 on tan skin, 4.00 on light skin"
    assert size == 2.5


def test_the_gate_reads_these_figures(compared: scores.Scores) -> None:
    gate = Gate(
        metric="lips_distance",
        larger_is_better=False,
        baselines=["copy"],
        floor=12.0,
        tolerance=0.0,
    )
    assert judge(gate, scores.flat(compared), None, None)["passed"]
    strict = gate.model_copy(update={"baselines": ["copy", "mean_std"]})
    assert not judge(strict, scores.flat(compared), None, None)["passed"]


def test_a_page_is_written_with_verdict_strips_and_limits(
    faces: Faces, compared: scores.Scores, tmp_path: Path
) -> None:
    write_report(tmp_path, compared, faces, halfway, PARAMS, {})
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.index("compared with simple methods") < page.index("Where it does worst")
    for words in ("On every skin", "very light", "cannot do", "histogram matching"):
        assert words in page
    # Four strips of bare face, look, model and two baselines.
    assert page.count("<img") == 4 * 5
    assert "http://" not in page
    written = pd.read_parquet(tmp_path / "pairs.parquet")
    assert len(written) == len(compared.pairs)
    assert "Fréchet" not in page


def test_a_generator_has_its_section(faces: Faces, compared: scores.Scores, tmp_path: Path) -> None:
    figures = {
        "effnet_frechet_distance": 4.0,
        "pca_gaussian/effnet_frechet_distance": 9.0,
        "effnet_frechet_floor": 1.0,
        "memorized": 0.25,
        "memorized_floor": 0.3,
    }
    write_report(tmp_path, compared, faces, halfway, PARAMS, figures, faces.images[:3])
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "not the FID" in page
    assert "25%" in page
    assert page.count("<img") == 4 * 5 + 3
