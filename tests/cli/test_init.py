"""`beauty init`: what a delivery is taken for, what is asked, what stops, what is written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import public_layouts as layouts
import pytest
from command import beauty
from PIL import Image

from beauty_models import params
from cli import init
from cli.delivery import read_delivery
from tasks.sources import fetch, local

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
PRAISE = [f"a lovely thing, number {n}, works well" for n in range(60)]
BLAME = [f"it broke on day {n}, never again" for n in range(60)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "profiles", "profiles")
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    return tmp_path


def own(good: str = "good", bad: str = "bad", **more: Any) -> str:
    """Write the reviews of a shop with its own names for everything."""
    table = {"comment_body": PRAISE + BLAME, "verdict": [good] * 60 + [bad] * 60, **more}
    pd.DataFrame(table).to_csv("own.csv", index=False)
    return "own.csv"


def test_own_columns_and_words_are_proposed_shown_and_written(project: Path) -> None:
    file = own()
    done = beauty("init", file, stdin="y\n")
    assert "'good': 60 (our proposal), such as “a lovely thing" in done.stdout
    assert "text: column 'comment_body' (by its content)" in done.stdout
    assert "next: beauty retrain sentiment" in done.stdout
    block = params.load("sentiment")
    assert block.source == file
    assert (block.ingest.columns.text, block.ingest.columns.label) == (
        ["comment_body"],
        ["verdict"],
    )
    assert "good" in block.ingest.labels["positive"] and "bad" in block.ingest.labels["negative"]
    assert "1" in block.ingest.labels["positive"], "what was known stays known"


@pytest.mark.parametrize("stdin", ["n\n", ""])
def test_without_a_yes_nothing_is_written(project: Path, stdin: str) -> None:
    before = Path("params.yaml").read_bytes()
    assert "nothing was written" in beauty("init", own(), code=1, stdin=stdin).stderr
    shown = json.loads(beauty("init", "own.csv", "--json").stdout)
    assert shown["family"] == "sentiment" and shown["written"] == []
    assert shown["labels"] == {"positive": {"good": 60}, "negative": {"bad": 60}}
    assert Path("params.yaml").read_bytes() == before


def test_words_that_say_nothing_are_asked_for(project: Path) -> None:
    file = own("A", "B")
    before = Path("params.yaml").read_bytes()
    stopped = beauty("init", file, "--yes", code=1)
    assert "--label CLASS=a --label CLASS=b" in stopped.stderr
    assert Path("params.yaml").read_bytes() == before
    beauty("init", file, "--yes", "--label", "positive=A", "--label", "negative=B")
    labels = params.load("sentiment").ingest.labels
    assert "a" in labels["positive"] and "b" in labels["negative"]
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    beauty("init", file, stdin="negative\npositive\ny\n")
    labels = params.load("sentiment").ingest.labels
    assert "a" in labels["negative"] and "b" in labels["positive"]


def test_two_columns_that_may_be_the_label_are_not_chosen_between(project: Path) -> None:
    file = own("x", "y", kind=["new", "old"] * 60)
    stopped = beauty("init", file, "--yes", code=1).stderr
    assert "verdict, kind; say --map label=COLUMN" in stopped
    labels = ["--label", "positive=x", "--label", "negative=y"]
    beauty("init", file, "--yes", "--map", "label=verdict", *labels)
    assert params.load("sentiment").ingest.columns.label == ["verdict"]


def test_stars_under_a_name_that_nobody_knows_are_ratings(project: Path) -> None:
    stars = ["5,0", "4,0"] * 30 + ["1,0", "2,0"] * 30
    frame = pd.DataFrame({"Bewertungstext": PRAISE + BLAME, "Sterne": stars})
    frame.to_csv("de.csv", sep=";", index=False, encoding="utf-8-sig")
    told = beauty("init", "de.csv", "--yes").stdout
    assert "rating: column 'Sterne' (by its content)" in told
    assert "positive: 60 rows" in told and "negative: 60 rows" in told
    assert "have no class" not in told


def test_stars_in_a_label_column_and_values_that_are_not_there(project: Path) -> None:
    pd.DataFrame({"text": PRAISE + BLAME, "label": [1, 2, 3, 4, 5, 5] * 20}).to_csv("s.csv")
    assert "look like stars" in beauty("init", "s.csv", "--yes", code=1).stderr
    wrong = beauty("init", own(), "--yes", "--label", "positive=goood", code=1).stderr
    assert "no row has the value 'goood'; there are good, bad" in wrong
    pd.DataFrame({"text": PRAISE[:30], "label": ["pos"] * 30}).to_csv("one.csv")
    assert "two classes are needed" in beauty("init", "one.csv", "--yes", code=1).stderr
    pd.DataFrame({"a": [1, 2], "b": [3, 4]}).to_csv("none.csv")
    stopped = beauty("init", "none.csv", "--yes", code=1).stderr
    assert "cannot tell what it is (none.csv has the columns" in stopped


def test_a_scale_of_ten_is_said_and_written(project: Path) -> None:
    pd.DataFrame({"text": PRAISE + BLAME, "rating": [9, 8] * 30 + [2, 4] * 30}).to_csv("ten.csv")
    done = beauty("init", "ten.csv", "--yes")
    assert "ratings go up to 10" not in done.stdout and "ratings go up to 9" in done.stdout
    assert params.load("sentiment").ingest.ratings["negative"] == [1, 2, 3, 4]


def test_folders_of_garments_and_a_catalogue(project: Path) -> None:
    for part, number in (("train", 9), ("validation", 2)):
        for name in ("coat", "hat"):
            folder = Path("garments") / part / name
            folder.mkdir(parents=True)
            for n in range(number):
                Image.new("RGB", (40, 40), (n, 9, 9)).save(folder / f"{n}.png")
    found = init.propose(read_delivery("garments", print), None, {}, {})
    assert found.family == "tryon" and found.labels == {
        "coat": {"folder": 11},
        "hat": {"folder": 11},
    }
    beauty("init", "garments", "--yes")
    assert params.load("tryon").pretrain.size == 224, "profiles/own.yaml"
    shop = Path("shop")
    shop.mkdir()
    Image.new("RGB", (40, 40)).save(shop / "a.jpg")
    rows = {"sku": ["1"], "name": ["hat"], "image": ["http://x/a.jpg?v=2"], "category": ["hats"]}
    pd.DataFrame(rows).to_csv(shop / "products.csv")
    proposal = init.propose(read_delivery("shop", print), None, {}, {})
    assert proposal.family == "recommend"
    assert any("--family tryon" in note for note in proposal.notes)
    assert "products.csv: 1 of 1 pictures that it names are there" in proposal.notes
    assert init.propose(read_delivery("shop", print), "tryon", {}, {}).family == "tryon"


def test_folders_of_faces_with_and_without_make_up(project: Path) -> None:
    for name in ("MakeUp", "non_makeup"):
        folder = Path("faces/images") / name
        folder.mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(folder / "a.png")
    proposal = init.propose(read_delivery("faces", print), None, {}, {})
    assert proposal.family == "makeup" and "the folder MakeUp: 1 pictures" in proposal.notes
    beauty("init", "faces", "--yes")
    assert params.load("makeup").pretrain.size == 128, "profiles/own.yaml"


def test_files_of_text_are_articles(project: Path) -> None:
    folder = Path("articles/en")
    folder.mkdir(parents=True)
    for name in ("a.md", "b.html", "c.txt"):
        (folder / name).write_text("# A soft look\n\n1. Press primer.\n2. Blend.\n")
    (folder / "LICENSE").write_text("ours")
    proposal = init.propose(read_delivery("articles", print), None, {}, {})
    assert proposal.family == "tutorial" and "3 files of text" in proposal.notes
    beauty("init", "articles", "--yes")
    block = params.load("tutorial")
    assert block.source == "articles" and block.finetune.how_tos == 0, "profiles/own.yaml"


def test_a_table_of_long_texts_is_articles_and_one_of_reviews_is_not(project: Path) -> None:
    long = [f"{n} " + "press the primer into the skin. " * 40 for n in range(20)]
    rows = {"headline": [f"look {n}" for n in range(20)], "body": long}
    pd.DataFrame(rows).to_csv("posts.csv", index=False)
    proposal = init.propose(read_delivery("posts.csv", print), None, {}, {})
    assert proposal.family == "tutorial"
    assert proposal.columns == {"title": "headline", "text": "body"}
    short = {"title": ["fine"] * 120, "text": PRAISE + BLAME, "label": [1] * 60 + [0] * 60}
    pd.DataFrame(short).to_csv("reviews.csv", index=False)
    proposal = init.propose(read_delivery("reviews.csv", print), None, {}, {})
    assert proposal.family == "sentiment"


def test_texts_in_several_languages_are_translations(project: Path) -> None:
    Path("memory").mkdir()
    Path("memory/shop.tmx").write_text("<tmx><body/></tmx>")
    proposal = init.propose(read_delivery("memory", print), None, {}, {})
    assert proposal.family == "translate" and "1 files of translation tools" in proposal.notes
    texts = {"id": range(40), "en": [f"Red dress {n}" for n in range(40)], "ja": ["赤い服"] * 40}
    pd.DataFrame(texts).to_csv("texts.csv", index=False)
    proposal = init.propose(read_delivery("texts.csv", print), None, {}, {})
    assert proposal.family == "translate"
    assert "texts.csv: 40 rows; en = en, ja = ja" in proposal.notes
    # a catalogue in two languages is first of all a catalogue
    Path("shop").mkdir()
    Path("shop/a.jpg").write_bytes(b"x")
    rows = {"sku": [1], "name_en": ["Red dress"], "name_zh": ["红裙"], "image": ["a.jpg"]}
    pd.DataFrame(rows).to_csv("shop/catalogue.csv", index=False)
    proposal = init.propose(read_delivery("shop", print), None, {}, {})
    assert proposal.family == "recommend"
    assert any(note.startswith("it could be translate, too") for note in proposal.notes)


def test_a_readme_beside_reviews_makes_no_articles_of_them(project: Path) -> None:
    folder = Path("delivery")
    folder.mkdir()
    shutil.move(own(), folder)
    for name in ("a.md", "b.txt", "c.html"):
        (folder / name).write_text("# about\n\nwhat lies here\n")
    assert init.propose(read_delivery("delivery", print), None, {}, {}).family == "sentiment"


@pytest.mark.skipif(not SHARED.exists(), reason="the shared development data are not here")
@pytest.mark.parametrize(
    ("source", "family"),
    [
        ("data/reviews/zh_cosmetics*.csv", "sentiment"),
        ("data/reviews/en_clothing.csv", "sentiment"),
        ("data/catalogue", "recommend"),
        ("data/garments", "tryon"),
        ("data/faces", "makeup"),
        ("data/tutorials", "tutorial"),
        ("data/translation", "translate"),
        ("cases/09-ten-point-ratings/raw", "sentiment"),
    ],
)
def test_real_deliveries(project: Path, source: str, family: str) -> None:
    proposal = init.propose(read_delivery(str(SHARED / source), print), None, {}, {})
    assert proposal.family == family and not init.undecided(proposal)


def test_links_out_of_a_delivery_are_left_out_and_told(project: Path) -> None:
    Path("secret.csv").write_text("text,label\nprivate,1\n")
    Path("elsewhere").mkdir()
    Path("elsewhere/b.csv").write_text("text,label\nother,0\n")
    raw = Path("raw")
    raw.mkdir()
    (raw / "a.csv").write_text("text,label\nfine,1\n")
    (raw / "inside.csv").symlink_to("a.csv")
    (raw / "out.csv").symlink_to(Path("secret.csv").resolve())
    (raw / "folder").symlink_to(Path("elsewhere").resolve())
    assert [path for path, _ in local.find_files("raw")] == ["a.csv", "inside.csv"]
    assert [path for path, _ in local.find_files("raw/*.csv")] == ["a.csv", "inside.csv"]
    for source in ("raw", "raw/*.csv"):
        said: list[str] = []
        target = Path("taken") / str(len(source))
        target.mkdir(parents=True)
        fetch.take_snapshot("sentiment", source, "", target, Path("downloads"), said.append)
        assert [line.split(" ")[1] for line in said] == ["raw/folder", "raw/out.csv"]
        assert not (target / "out.csv").exists() and (target / "inside.csv").exists()
    (raw / "only").mkdir()
    (raw / "only/x.csv").symlink_to(Path("secret.csv").resolve())
    with pytest.raises(ValueError, match="no file is there"):
        local.find_files("raw/only")
    assert [path for path, _ in local.find_files("raw/out.csv")] == ["out.csv"], "named by the user"


def test_version_completion_and_help_are_quick_to_come(project: Path) -> None:
    assert "beauty-models 0." in beauty("--version").stdout
    completion = {
        "_BEAUTY_COMPLETE": "complete_bash",
        "COMP_WORDS": "beauty retr",
        "COMP_CWORD": "1",
    }
    shown = subprocess.run(
        [str(Path(sys.executable).parent / "beauty")],
        env={**os.environ, **completion},
        capture_output=True,
        text=True,
    )
    assert shown.stdout.split() == ["retrain"], shown.stderr
    listed = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True)
    assert "make retrain" in listed.stdout and "make test" in listed.stdout


def test_without_git_the_remedy_is_named_and_works(project: Path) -> None:
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, name)
    shutil.copytree(ROOT / "beauty_models", "beauty_models")
    Path(".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", ".dvc/config")
    stopped = beauty("why", "sentiment", code=1).stderr
    assert "run `git init`, or `dvc config --local core.no_scm true`" in stopped
    config = ["config", "--local", "core.no_scm", "true"]
    subprocess.run([sys.executable, "-m", "dvc", *config], check=True)
    assert "never run" in beauty("why", "sentiment").stdout


@pytest.mark.parametrize("packed", [False, True])
def test_a_shop_s_export_is_seen_as_ingest_sees_it(project: Path, packed: bool) -> None:
    shop = Path("shop")
    (shop / "img").mkdir(parents=True)
    for name in ("a", "b"):
        Image.new("RGB", (40, 40)).save(shop / f"img/{name}.jpg")
    (shop / "products_export.csv").write_text(
        "Handle,Title,Body (HTML),Option1 Name,Option1 Value,Variant SKU,Variant Price,Image Src\n"
        "shirt,Gaia,Soft.,Size,S,G-S,9.90,https://x/a.jpg?v=1\n"
        "shirt,,,,M,G-M,9.90,https://x/b.jpg?v=1\n"
    )
    source = "shop"
    if packed:
        source = shutil.make_archive("delivery", "gztar", "shop")
    proposal = init.propose(read_delivery(source, print), None, {}, {})
    assert proposal.family == "recommend"
    assert proposal.columns["sku"] == "sku" and proposal.columns["price"] == "price"
    assert any("2 of 2 pictures that it names are there" in note for note in proposal.notes)
    assert not list(Path(".beauty").glob("init-*"))


def test_a_public_set_is_known_by_its_layout(project: Path) -> None:
    layouts.put(project / "stuff", layouts.imaterialist2018(4, 2))
    done = beauty("init", "stuff", "--yes")
    assert "stuff: recommend, for it is laid out as iMaterialist Fashion 2018" in done.stdout
    assert "it serves tryon, too: --family tryon" in done.stdout
    assert "non-commercial research" in done.stdout
    assert "families.recommend.license" in done.stdout
    block = params.load("recommend")
    assert (block.source, block.license) == ("stuff", "")
    # What is fetched says whose terms they are.
    Path("taken").mkdir()
    fetch.take_snapshot("recommend", "stuff", "", Path("taken"), Path("downloads"), print)
    manifest = json.loads(Path("taken/manifest.json").read_text())
    assert "non-commercial" in manifest["license"] and manifest["commercial_use"] is False


def test_a_public_set_that_a_family_cannot_use(project: Path) -> None:
    layouts.put(project / "stuff", layouts.deepfashion2(2))
    done = beauty("init", "stuff", "--family", "recommend", "--yes", code=1)
    assert "it serves tryon, not recommend" in done.stderr
    assert params.load("recommend").source == "starter"
