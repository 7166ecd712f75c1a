"""transfers.csv: which rows are taken, what is told of the others, and where the pictures end."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from beauty_models.files import read_json
from beauty_models.intake import account
from beauty_models.makeup import Ingest, starter
from beauty_models.makeup.data import ingest
from beauty_models.makeup.dataset import TRANSFERS, read_faces, read_results
from beauty_models.makeup.metrics import part_colors
from beauty_models.makeup.regions import MADE_UP, mask
from beauty_models.makeup.transfers import TABLE

PARAMS = Ingest.model_validate(
    {
        "seed": 7,
        "photos": {"max_pixels": 1_000_000, "min_face": 8, "side": 32},
        "label_map": "auto",
        "reading": account.AUTO.model_dump(),
        "max_rejected": 1.0,
        "rendered_looks": 3,
        "split": {"train": 0.5, "validation": 0.25, "test": 0.25},
    }
)
PARTS = ("train", "validation", "test")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    starter.toy(raw=tmp_path / "raw")
    return tmp_path / "raw"


def rows_of(raw: Path) -> list[dict[str, str]]:
    with (raw / TABLE).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write_rows(raw: Path, rows: list[dict[str, str]]) -> None:
    pd.DataFrame(rows).to_csv(raw / TABLE, index=False)


def run(raw: Path, **changed: int) -> tuple[dict[str, float], pd.DataFrame]:
    """Return figures and the rows of the table that were rejected."""
    settings = PARAMS.model_copy(update=changed)
    figures = ingest(raw=raw, data=raw.parent / "data", params=settings)
    rejected = pd.read_parquet(raw.parent / "data/rejected.parquet")
    return figures, rejected[rejected["file"] == TABLE]


def told(raw: Path) -> str:
    """Return the account of what was ingested."""
    return (raw.parent / "data/account.json").read_text(encoding="utf-8")


def test_results_lie_on_their_bare_faces_and_groups_are_not_torn(raw: Path) -> None:
    figures, rejected = run(raw)
    assert rejected.empty and figures["photos"] == 40, "results are no faces of their own"
    part_of: dict[str, str] = {}
    for part in PARTS:
        faces = read_faces(raw.parent / "data", part, 32)
        results = read_results(raw.parent / "data", part, faces)
        assert len(results) == figures[f"{part}_transfers"] > 0
        persons = faces.frame["person"].to_numpy()
        part_of |= dict.fromkeys(persons, part)
        assert (persons[results.bare] != persons[results.reference]).all()
        assert faces.frame["made_up"].to_numpy()[results.reference].all()
        regions = faces.regions[results.bare]
        made_up = sum(mask(regions, name) for name in MADE_UP)
        apart = (results.images.int() - faces.images[results.bare].int()).abs().float().mean(1)
        assert apart[made_up > 0].mean() > 2 * apart[made_up == 0].mean()
    groups = pd.read_csv(raw / "people.csv").groupby("group")["person"].unique()
    for group in groups:
        assert len({part_of[person] for person in group}) == 1


def _other_size(raw: Path, row: dict[str, str]) -> None:
    image = Image.open(raw / row["result"])
    image.resize((40, 40)).save(raw / row["result"])


def _other_photo(raw: Path, row: dict[str, str]) -> None:
    (raw / row["result"]).write_bytes((raw / row["reference"]).read_bytes())


def _broken(raw: Path, row: dict[str, str]) -> None:
    (raw / row["result"]).write_bytes(b"no picture")


def _missing(raw: Path, row: dict[str, str]) -> None:
    (raw / row["result"]).unlink()


def _bare_as_reference(raw: Path, row: dict[str, str]) -> None:
    row["reference"] = row["bare"]


def _no_bare_face(raw: Path, row: dict[str, str]) -> None:
    (raw / row["bare"]).write_bytes(b"no picture")


def _oneself(raw: Path, row: dict[str, str]) -> None:
    number = Path(row["bare"]).name.split("-")[0]
    row["reference"] = f"images/makeup/{number}-1.png"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_other_size, "the result has 40 × 40 pixels, the bare photo 32 × 32"),
        (_other_photo, "not the bare photo with make-up on"),
        (_broken, "not a picture"),
        (_missing, "result names no picture"),
        (_bare_as_reference, "the photo of reference is in no folder for made-up faces"),
        (_no_bare_face, "the photo of bare is not among the faces that are kept"),
        (_oneself, "bare and reference show one person"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_with_its_line(
    spoil: object, reason: str, raw: Path
) -> None:
    assert callable(spoil)
    rows = rows_of(raw)
    spoil(raw, rows[3])
    write_rows(raw, rows)
    figures, rejected = run(raw)
    assert rejected["row"].tolist() == [5]
    assert reason in rejected["reason"].iloc[0] and reason in told(raw)
    assert figures["transfers_rejected"] == 1
    kept = pd.read_parquet(raw.parent / "data" / TRANSFERS)
    assert len(kept) == len(rows) - 1


def test_a_row_of_two_parts_is_dropped_and_counted(raw: Path) -> None:
    people = pd.read_csv(raw / "people.csv").drop(columns="group")
    people.to_csv(raw / "people.csv", index=False)
    figures, rejected = run(raw)
    assert rejected["reason"].str.contains("different parts of the split").all()
    assert len(rejected) == figures["transfers_rejected"] > 0
    part_of = {}
    for part in PARTS:
        frame = pd.read_parquet(raw.parent / f"data/{part}.parquet", columns=["key"])
        part_of |= dict.fromkeys(frame["key"], part)
    kept = pd.read_parquet(raw.parent / "data" / TRANSFERS)
    assert len(kept) == 20 - len(rejected)
    for row in kept.itertuples():
        assert part_of[row.bare] == part_of[row.reference] == row.part


def test_a_row_that_comes_twice_counts_once(raw: Path) -> None:
    rows = rows_of(raw)
    write_rows(raw, [*rows, rows[0]])
    _, rejected = run(raw)
    assert rejected["reason"].tolist() == ["bare and reference as before"]


def test_a_person_of_two_groups_is_refused(raw: Path) -> None:
    people = pd.read_csv(raw / "people.csv")
    people.loc[0, "group"] = "elsewhere"
    people.to_csv(raw / "people.csv", index=False)
    with pytest.raises(ValueError, match="is in the groups"):
        run(raw)


def test_a_table_without_its_columns_is_refused(raw: Path) -> None:
    (raw / TABLE).write_text("before,after\na,b\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no column bare and reference and result"):
        run(raw)


def test_results_are_part_of_what_makes_two_test_parts_the_same(raw: Path) -> None:
    run(raw)
    schema = raw.parent / "data/schema.json"
    before = read_json(schema)["split_sha256"]
    (raw / TABLE).unlink()
    figures, _ = run(raw, rendered_looks=0)
    assert read_json(schema)["split_sha256"] != before
    assert "transfers_rejected" not in figures
    faces = read_faces(raw.parent / "data", "test", 32)
    results = read_results(raw.parent / "data", "test", faces)
    assert len(results) == 0 and results.images.shape == (0, 3, 32, 32)
    # The pictures that the table named are faces without a label now, and told as such.
    assert figures["photos"] == 60


def test_without_a_table_looks_are_rendered_on_two_bare_faces(
    raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (raw / TABLE).unlink()
    for file in (raw / "results").iterdir():
        file.unlink()
    figures, _ = run(raw)
    assert figures["rendered"] == 3 * 20 and figures["transfers_rejected"] == 0
    assert "60 looks are rendered" in capsys.readouterr().out
    differences = []
    for part in PARTS:
        faces = read_faces(raw.parent / "data", part, 32)
        results = read_results(raw.parent / "data", part, faces)
        assert results.rendered.all() and len(results) == 3 * len(faces.bare)
        made_up = faces.frame["made_up"].to_numpy(bool)
        assert not made_up[results.bare].any() and not made_up[results.reference].any()
        persons = faces.frame["person"].to_numpy()
        assert (persons[results.bare] != persons[results.reference]).all()
        # Both wear the same lipstick.
        for number in range(len(results)):
            colors = {}
            for name, images, rows in (
                ("reference", results.worn, results.reference),
                ("result", results.images, results.bare),
            ):
                label_map = faces.regions[rows[number]].numpy()
                worn = images[number].permute(1, 2, 0).numpy()
                own = faces.images[rows[number]].permute(1, 2, 0).numpy()
                colors[name] = part_colors(worn, label_map, "lips").mean(0)
                colors[f"bare {name}"] = part_colors(own, label_map, "lips").mean(0)
            differences.append(
                [
                    np.linalg.norm(colors["reference"][1:] - colors["result"][1:]),
                    np.linalg.norm(colors["reference"][1:] - colors["bare result"][1:]),
                ]
            )
    together, apart = np.mean(differences, 0)
    assert together < 0.5 * apart
    first = pd.read_parquet(raw.parent / "data" / TRANSFERS)
    run(raw)
    assert first.equals(pd.read_parquet(raw.parent / "data" / TRANSFERS))


def test_a_result_in_a_folder_for_made_up_faces_is_a_face_too(raw: Path) -> None:
    rows = rows_of(raw)
    place = raw / "images/makeup/worn.png"
    (raw / rows[0]["result"]).rename(place)
    mask_file = raw / "masks" / Path(*Path(rows[0]["bare"]).parts[1:])
    (raw / "masks/makeup/worn.png").write_bytes(mask_file.read_bytes())
    rows[0]["result"] = "images/makeup/worn.png"
    write_rows(raw, rows)
    figures, rejected = run(raw)
    assert rejected.empty and figures["photos"] == 41
    assert np.sum([figures[f"{part}_transfers"] for part in PARTS]) == 20
