"""makeup's evaluation: pairs of two persons, paired intervals by person, skin tones, a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from beauty_models.evaluation.bootstrap import mean
from beauty_models.evaluation.comparison import interval
from beauty_models.makeup import WORDING, Evaluate, scores, starter
from beauty_models.makeup.baselines import mean_std
from beauty_models.makeup.dataset import Faces, Results, as_bytes
from beauty_models.makeup.metrics import part_error
from beauty_models.makeup.model import (
    NO_MATCH,
    PARTS,
    Config,
    Transfer,
    TransferGenerator,
    build_autoencoder,
)
from beauty_models.makeup.regions import MADE_UP
from beauty_models.makeup.report import write_report
from beauty_models.params import Gate, load
from tasks.registry.gate import judge
from tests.makeup import drawn

ROOT = Path(__file__).parents[2]
PARAMS = Evaluate(seed=7, pairs=2, bootstrap=200, confidence=0.95, examples=4)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("makeup")
    starter.toy(raw=raw)
    return raw


@pytest.fixture(scope="module")
def faces(raw: Path) -> Faces:
    return drawn.faces(raw)


@pytest.fixture(scope="module")
def results(raw: Path, faces: Faces) -> Results:
    return drawn.results(raw, faces)


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
    """What is measured of photos without a truth."""
    return scores.compare(faces, drawn.none(faces), halfway, PARAMS)


@pytest.fixture(scope="module")
def with_truth(faces: Faces, results: Results) -> scores.Scores:
    return scores.compare(faces, results, halfway, PARAMS)


def test_each_bare_face_wears_the_looks_of_other_persons(faces: Faces) -> None:
    none = drawn.none(faces)
    pairs = scores.draw_pairs(faces, none, 3, seed=7)
    persons = faces.frame["person"].to_numpy()
    assert len(pairs.bare) == 3 * len(faces.bare)
    assert (persons[pairs.bare] != persons[pairs.reference]).all()
    assert faces.frame["made_up"].to_numpy()[pairs.reference].all()
    assert not faces.frame["made_up"].to_numpy()[pairs.bare].any()
    assert (pairs.truth == -1).all()
    again = scores.draw_pairs(faces, none, 3, seed=7)
    assert (again.reference == pairs.reference).all()
    other = scores.draw_pairs(faces, none, 3, seed=8)
    assert (other.reference != pairs.reference).any()


def test_looks_whose_result_is_known_come_first_and_all(faces: Faces, results: Results) -> None:
    pairs = scores.draw_pairs(faces, results, 2, seed=7)
    known = pairs.truth >= 0
    assert sorted(pairs.truth[known]) == list(range(len(results)))
    assert (results.bare[pairs.truth[known]] == pairs.bare[known]).all()
    assert (results.reference[pairs.truth[known]] == pairs.reference[known]).all()
    assert len(pairs.bare) == 2 * len(faces.bare)
    assert len(set(zip(pairs.bare, pairs.reference, strict=True))) == len(pairs.bare)
    fewer = scores.draw_pairs(faces, results, 1, seed=7)
    assert (fewer.truth >= 0).all() and len(fewer.truth) == len(results)


def test_without_another_persons_look_it_says_what_to_do(faces: Faces) -> None:
    one = faces.frame["person"] == faces.frame["person"].iloc[0]
    rows = np.flatnonzero(one)
    alone = Faces(faces.frame[one].reset_index(drop=True), faces.images[rows], faces.regions[rows])
    with pytest.raises(ValueError, match="1 bare and 1 made-up faces.*split"):
        scores.draw_pairs(alone, drawn.none(alone), 2, seed=7)


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


def test_nearer_is_meant_by_the_truth_where_it_is_known(
    compared: scores.Scores, with_truth: scores.Scores
) -> None:
    for measured, metric in ((compared, "look_distance"), (with_truth, "look_error")):
        assert measured.judged_by == metric
        pairs = measured.pairs.dropna(subset=[f"model/{metric}"])
        nearer = pairs[f"model/{metric}"] < pairs[f"copy/{metric}"]
        assert measured.metrics["model"]["looks_better"] == pytest.approx(nearer.mean())
        assert measured.metrics["copy"]["looks_better"] == 0
        assert measured.metrics["model"]["n"] == len(pairs)
    assert "look_error" not in compared.metrics["model"]


def test_errors_are_those_to_the_result_of_the_pair(
    faces: Faces, results: Results, with_truth: scores.Scores
) -> None:
    pairs = with_truth.pairs
    known = pairs[pairs["truth"] >= 0]
    unknown = pairs[pairs["truth"] < 0]
    assert len(unknown) and unknown[["model/lips_error", "copy/look_error"]].isna().all().all()
    keys = faces.frame["key"].tolist()
    for _, row in known.head(5).iterrows():
        bare = keys.index(row["bare"])
        truth = results.images[row["truth"]].permute(1, 2, 0).numpy()
        image = faces.images[bare].permute(1, 2, 0).numpy()
        expected = part_error(image, truth, faces.regions[bare].numpy(), "lips")
        assert row["copy/lips_error"] == pytest.approx(expected)
        parts = [row[f"copy/{part}_error"] for part in MADE_UP]
        assert row["copy/look_error"] == pytest.approx(np.mean(parts), nan_ok=True)


def test_the_truth_itself_has_no_error(faces: Faces, results: Results) -> None:
    """In the order of the pairs, which a method is asked in."""
    pairs = scores.draw_pairs(faces, results, 1, seed=7)
    asked = iter(pairs.truth.tolist())

    def knows(*pair: torch.Tensor) -> torch.Tensor:
        return torch.stack([results.images[next(asked)] for _ in pair[0]])

    compared = {"model": knows, "copy": scores.methods(halfway)["copy"]}
    frame = scores.measure(faces, results, pairs, compared, identity=False)
    assert frame["model/look_error"].dropna().max() == 0
    assert frame["copy/look_error"].dropna().min() > 0
    assert frame["model/looks_better"].dropna().eq(1).all()


def test_an_untrained_network_does_not_pass_the_gate_however_it_is_matched(
    faces: Faces, results: Results
) -> None:
    """With the matching it would pass, if distances to another's colors were asked for."""
    torch.manual_seed(0)
    network = TransferGenerator(Config(32, 8, "regions"), build_autoencoder(8, 4, 1, 2))
    gate = load("makeup", ROOT / "params.yaml").gate.model_copy(update={"floor": 1000.0})
    own = gate.model_copy(update={"metric": "look_distance", "baselines": ["copy", "mean_std"]})
    passed = {}
    for strength in (0.0, 0.99):
        transfer = Transfer(network, dict.fromkeys(PARTS, strength), "float32")

        def make_up(*pair: torch.Tensor, transfer: Transfer = transfer) -> torch.Tensor:
            return as_bytes(transfer(*pair))

        measured = scores.compare(faces, results, make_up, PARAMS)
        assert measured.judged_by == gate.metric == "look_error"
        passed[strength] = judge(gate, scores.flat(measured), None, None)["passed"]
        by_colors = judge(own, scores.flat(measured), None, None)["passed"]
        assert by_colors == (strength > 0)
    assert passed == {0.0: False, 0.99: False}


def test_whole_persons_are_resampled(compared: scores.Scores) -> None:
    assert compared.by_person
    values = compared.pairs["model/skin_distance"].to_numpy()[:, None]
    persons = compared.pairs["person"].to_numpy(str)
    expected = interval(values, mean, persons, PARAMS)
    found = compared.metrics["model"]
    assert (found["skin_distance.low"], found["skin_distance.high"]) == expected
    alone = interval(values, mean, None, PARAMS)
    assert expected != alone


def test_a_hidden_part_is_left_out_of_its_own_figure_only(faces: Faces, results: Results) -> None:
    regions = faces.regions.clone()
    bare = int(faces.bare[0])
    regions[bare][regions[bare] == 7] = 9
    hidden = Faces(faces.frame, faces.images, regions)
    pairs = scores.draw_pairs(hidden, results, 2, seed=7)
    frame = scores.measure(hidden, results, pairs, scores.methods(halfway), identity=False)
    rows = (pairs.bare == bare).nonzero()[0]
    assert frame["model/lips_distance"].isna().sum() == len(rows) == 2
    assert frame["model/lips_error"][rows].isna().all()
    assert frame["model/skin_error"][rows].notna().any()
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
    words, size = scores.largest_gap(pd.DataFrame(rows), "distance")
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
    none = drawn.none(faces)
    write_report(tmp_path, compared, faces, none, halfway, NO_MATCH, PARAMS, {})
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.index("compared with simple methods") < page.index("Where it does worst")
    for words in ("On every skin", "very light", "cannot do", "histogram matching", "No truth"):
        assert words in page
    assert "the bare face" in page.split("</h1>")[0] and "come nearer" not in page
    # Four strips of bare face, look, model and two baselines.
    assert page.count("<img") == 4 * 5
    assert "http://" not in page
    written = pd.read_parquet(tmp_path / "pairs.parquet")
    assert len(written) == len(compared.pairs)
    assert "Fréchet" not in page
    # Prefect shows it: rows of bare, look and made up.
    with Image.open(tmp_path / WORDING.picture) as board:
        side = faces.images.shape[-1]
        assert board.width == 3 * side and board.height % side == 0
        tiles = np.asarray(board.convert("RGB"))[:side].reshape(side, 3, side, 3)
    bare, look, made_up = tiles.swapaxes(0, 1)
    known = {picture.permute(1, 2, 0).numpy().tobytes() for picture in faces.images}
    assert {bare.tobytes(), look.tobytes()} <= known
    assert made_up.tobytes() != bare.tobytes()


def test_a_page_shows_the_truth_and_how_far_colors_are_matched(
    faces: Faces, results: Results, with_truth: scores.Scores, tmp_path: Path
) -> None:
    match = {"lips": 0.25, "skin": 0.0, "eyes": 0.99}
    write_report(tmp_path, with_truth, faces, results, halfway, match, PARAMS, {})
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count("the truth</strong>") == 4
    assert "lips 25%, skin 0%, eyes 99%" in page
    assert "from the truth, where the bare face is" in page and "No truth" not in page


def test_a_generator_has_its_section(faces: Faces, compared: scores.Scores, tmp_path: Path) -> None:
    figures = {
        "effnet_frechet_distance": 4.0,
        "pca_gaussian/effnet_frechet_distance": 9.0,
        "effnet_frechet_floor": 1.0,
        "memorized": 0.25,
        "memorized_floor": 0.3,
    }
    none = drawn.none(faces)
    samples = faces.images[:3]
    write_report(tmp_path, compared, faces, none, halfway, NO_MATCH, PARAMS, figures, samples)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "not the FID" in page
    assert "25%" in page
    assert page.count("<img") == 4 * 5 + 3
