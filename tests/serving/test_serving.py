"""Registered versions answer: in MLflow, to a program outside, and whole files by command."""

from __future__ import annotations

import ast
import base64
import csv
import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import registered
from command import beauty, printed_by
from mini import gone, started, wait_for
from PIL import Image
from registered import SHAPE, TEXTS
from skimage import data
from toys import train_tryon, tryon_params

from beauty_models import families
from beauty_models.editing import holes, inpainter
from beauty_models.editing import model as editing
from beauty_models.intake import images, shards, synthetic
from beauty_models.makeup import model as makeup
from beauty_models.params import Index, Scratch
from beauty_models.recommend import model as recommend
from beauty_models.translate import bases as translate_bases
from beauty_models.translate import directions
from beauty_models.translate.matching import Matcher
from beauty_models.translate.memory import TranslationMemory
from beauty_models.translate.methods import Methods
from beauty_models.tryon import starter as tryon
from beauty_models.tutorial import bases
from beauty_models.tutorial import model as tutorial
from tasks.registry import flavor, registry

ROOT = Path(__file__).parents[2]
FAMILIES = families.names()
KINDS = ["dress", "hoodie", "bag", "pants"]


def _photos() -> dict[str, bytes]:
    return {
        f"{kind.upper()}-{colour}": images.encode(
            synthetic.product(kind, colour, "plain", size=96, seed=place)
        )
        for place, kind in enumerate(KINDS)
        for colour in ("red", "green")
    }


def _recommend(model: Path) -> None:
    rows = []
    for sku, jpeg in _photos().items():
        kind, colour = sku.split("-")
        text = f"{colour} {kind.lower()}"
        rows.append(
            {
                "key": images.content_key(jpeg),
                "product": sku,
                "skus": [sku],
                "name": text,
                "category": "",
                "color": colour,
                "material": "",
                "price": 10.0,
                "captions": [{"kind": "name", "language": "en", "text": text}],
                "image": images.content_key(jpeg),
                "attributes": [("size", "L")],
            }
        )
    folder = model.parent
    shards.write(folder, "train", [(images.content_key(jpeg), jpeg) for jpeg in _photos().values()])
    encoder = recommend.build_encoder(
        image="timm:test_efficientnet",
        text="scratch",
        scratch=SHAPE,
        size=64,
        dimension=16,
        max_tokens=16,
        texts=[row["name"] for row in rows],
        vocabulary=0,
    )
    recommender = recommend.Recommender(encoder, 1.0)
    shown = recommend.build_gallery(
        recommender, pd.DataFrame(rows), shards.Pictures(folder, "train")
    )
    rules = Index(exact_below=100, links=8, build_width=40, search_width=40)
    recommend.save(recommender, model, shown, [], rules)


def _tryon(model: Path) -> None:
    settings = tryon_params(
        pretrain={"epochs": 0, "masked_language_model": {"epochs": 0}}, finetune={"epochs": 1}
    )
    folder = model.parent
    tryon.toy(raw=folder / "raw")
    train_tryon(folder / "toy", settings, folder / "raw").rename(model)


def _makeup(model: Path) -> None:
    autoencoder = makeup.build_autoencoder(8, 4, 1, 2)
    config = makeup.Config(size=32, style=8, correspondence="regions")
    model.mkdir(parents=True)
    match = dict.fromkeys(makeup.PARTS, 0.99)  # the network was never trained: it changes nothing
    makeup.save(makeup.TransferGenerator(config, autoencoder), match, model)


def _editing(model: Path) -> None:
    model.mkdir(parents=True)
    # Of 64 pixels and never trained: it fills smoothly.
    network = inpainter.InpaintingNetwork(inpainter.Shape(64, 8, 2, 1))
    inpainter.save(network, model)
    served = dict.fromkeys(holes.KINDS, "inpainter")
    editing.save_choice(model, served, {"inpainter": dict.fromkeys(holes.KINDS, 20.0)})


def _tutorial(model: Path) -> None:
    tutorial.save(
        bases.scratch([*TEXTS, "title: products: steps:"], Scratch(**WRITER), 1500), model
    )


def _translate(model: Path) -> None:
    """Save a translator of random weights, whose memory and dictionary know a few texts."""
    units = pd.DataFrame(
        {
            "id": ["a", "b"],
            "kind": "",
            "en": ["Matte lipstick", "Serum 30 ml"],
            "de": ["Matter Lippenstift", "Serum, 30 ml"],
            "ja": ["マットリップ", "セラム 30 ml"],
        }
    )
    languages = ["en", "de", "ja"]
    texts = [text for name in languages for text in units[name]]
    shape = Scratch(layers=1, hidden=16, heads=2, vocabulary=320)
    translator = translate_bases.scratch(texts * 3, languages, shape)
    translator.save(model)
    memory = TranslationMemory(units)
    memory.save(model)
    directions.Directions({}, {}).save(model)
    Matcher(None, Methods.of(translator, memory)).save(model)


WRITER = {"layers": 1, "hidden": 16, "heads": 2, "vocabulary": 320}
ASKED: dict[str, dict[str, list[Any]]] = {
    "sentiment": {"text": [*TEXTS, "", None]},
    "recommend": {
        "text": ["green hoodie", "", "red dress", None, ""],
        "image": ["", "photo.jpg", "photo.jpg", None, "photo.txt"],
    },
    "tryon": {
        "text": ["a red dress", "", "a green hoodie", None, ""],
        "image": ["", "photo.jpg", "photo.jpg", None, "missing.jpg"],
    },
    "makeup": {
        "face": ["face.png", "photo.jpg", "", "missing.png", "face.png"],
        "lipstick": ["#B3123F", "#B3123F", "#B3123F", "#B3123F", None],
        "reference": [None, None, None, None, "face.png"],
    },
    "editing": {
        "image": ["photo.jpg", "photo.jpg", "", "missing.jpg"],
        "do": ["cutout", "remove", "cutout", "cutout"],
        "box": [None, "20,20,30,30", None, None],
    },
    "tutorial": {
        "look": ["natural look", "", None, "natural look"],
        "language": ["en", "", None, "en"],
        "steps": ["5", "", None, "some"],
    },
    "translate": {"text": ["Matte lipstick", "Serum 50 ml", "", None]},
}
PICTURES = ("image", "face", "reference")  # columns

# A program that knows nothing of the project but where its registry is.
CLIENT = """
import json, sys, warnings
import mlflow, pandas as pd
answers = {}
for family, columns in json.loads(sys.argv[1]).items():
    frame = pd.DataFrame(columns)
    frame.index = [f"row {i}" for i in range(len(frame))]
    served = mlflow.pyfunc.load_model(f"models:/{family}@champion")
    params = {"to": "de"} if family == "translate" else None
    answers[family] = served.predict(frame, params).to_dict("index")
    if family == "recommend":
        answers["three"] = served.predict(frame[["text"]][:1], params={"top": 3}).to_dict("index")
        answers["sent"] = served.predict(pd.DataFrame({"image": [sys.argv[2]]})).to_dict("index")
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Register a small model of each family, in a project that the test leaves again."""
    folder = tmp_path_factory.mktemp("served")
    with registered.checkout(folder):
        registered.project()
        registered.register_model("sentiment", registered.small_sentiment)
        registered.register_model("recommend", _recommend)
        registered.register_model("tryon", _tryon)
        registered.register_model("makeup", _makeup)
        registered.register_model("editing", _editing)
        registered.register_model("tutorial", _tutorial)
        registered.register_model("translate", _translate)
    (folder / "photo.jpg").write_bytes(_photos()["HOODIE-green"])
    (folder / "photo.txt").write_text("no picture")
    # The public-domain portrait of scikit-image; only its face is large enough.
    face = Image.fromarray(data.astronaut()[:256, 96:352])
    face.resize((384, 384)).save(folder / "face.png")
    return folder


@pytest.fixture(scope="module")
def answers(project: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Ask the champions through MLflow, in a process of its own outside the project."""
    elsewhere = project.parent / f"{project.name}-elsewhere"
    elsewhere.mkdir()
    asked = json.loads(json.dumps(ASKED))
    for columns in asked.values():
        for name in set(PICTURES) & set(columns):
            columns[name] = [f and str(project / f) for f in columns[name]]
    photo = base64.b64encode((project / "photo.jpg").read_bytes()).decode()
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, json.dumps(asked), f"data:image/jpeg;base64,{photo}"],
        cwd=elsewhere,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "MLFLOW_TRACKING_URI": f"sqlite:///{project / '.beauty/mlflow.db'}",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(done.stdout.splitlines()[-1])
    return found


def asked(project: Path, family: str, **options: str) -> Any:
    """Return what the family's own ``predict`` answers."""
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    model = project / "build" / family / "model"
    return families.function("predict", family)(model=model, arguments=arguments)


def test_sentiment_answers_as_its_own_predict_does(
    project: Path, answers: dict[str, dict[str, dict[str, Any]]]
) -> None:
    rows = answers["sentiment"]
    assert list(rows) == [f"row {number}" for number in range(6)]
    for row, text in zip(rows.values(), TEXTS, strict=False):
        [own] = asked(project, "sentiment", text=text)
        assert row["error"] is None and row["class"] == own["class"]
        assert row["probabilities"] == pytest.approx(own["probabilities"], abs=2e-4)
    assert [rows["row 4"], rows["row 5"]] == [
        {"class": None, "probabilities": None, "aspects": None, "error": "no text"}
    ] * 2


def test_recommend_answers_texts_photos_and_both(
    project: Path, answers: dict[str, dict[str, dict[str, Any]]]
) -> None:
    rows, photo = answers["recommend"], str(project / "photo.jpg")
    for number, options in enumerate(
        [{"text": "green hoodie"}, {"image": photo}, {"text": "red dress", "image": photo}]
    ):
        row = rows[f"row {number}"]
        own = {one["product"]: one["score"] for one in asked(project, "recommend", **options)}
        served = {one["product"]: one["score"] for one in row["products"]}
        assert row["error"] is None and served == pytest.approx(own, abs=0.01)
    assert rows["row 1"]["products"][0]["product"] == "HOODIE-green"
    assert answers["sent"]["0"]["products"] == rows["row 1"]["products"]
    assert len(answers["three"]["row 0"]["products"]) == 3
    assert rows["row 3"] == {"products": [], "error": "neither text nor image"}
    assert "not a picture" in rows["row 4"]["error"] and rows["row 4"]["products"] == []


def test_tryon_answers_texts_photos_and_both(
    project: Path, answers: dict[str, dict[str, dict[str, Any]]]
) -> None:
    rows, photo = answers["tryon"], str(project / "photo.jpg")
    for number, options in enumerate(
        [{"text": "a red dress"}, {"image": photo}, {"text": "a green hoodie", "image": photo}]
    ):
        row, own = rows[f"row {number}"], asked(project, "tryon", **options)
        assert row["error"] is None and list(row["answer"]) == list(own["answer"])
        for head, told in own["answer"].items():
            assert row["answer"][head]["probabilities"] == pytest.approx(
                told["probabilities"], abs=0.01
            )
        assert len(row["garments"]) == len(own["garments"]) == 10
        assert set(row["garments"][0]) == set(own["garments"][0])
    assert rows["row 3"] == {"answer": None, "garments": [], "error": "give text or image"}
    assert "cannot be read" in rows["row 4"]["error"] and rows["row 4"]["answer"] is None


def test_makeup_answers_shades_and_looks(
    project: Path, answers: dict[str, dict[str, dict[str, Any]]]
) -> None:
    rows, face = answers["makeup"], str(project / "face.png")
    for row, options in (("row 0", {"lipstick": "#B3123F"}), ("row 4", {"reference": face})):
        [own] = asked(project, "makeup", face=face, save=str(project / "made"), **options)
        assert rows[row]["error"] is None and rows[row]["parts"] == own["parts"]
        # A photo in a column comes back in the answer, the same that the command writes.
        sent = base64.b64decode(rows[row]["picture"].partition(",")[2])
        assert sent == Path(own["picture"]).read_bytes()
    assert "no face" in rows["row 1"]["error"] and "no face" in rows["row 2"]["error"]
    assert "cannot be read" in rows["row 3"]["error"]


def test_editing_answers_as_its_own_predict_does(
    project: Path, answers: dict[str, dict[str, dict[str, Any]]]
) -> None:
    rows = answers["editing"]
    photo = str(project / "photo.jpg")
    model = project / "build/editing/model"
    for row, arguments in (("row 0", ["cutout"]), ("row 1", ["remove", "--box", "20,20,30,30"])):
        words = [arguments[0], photo, *arguments[1:], "--save", str(project / "edited")]
        [own] = families.function("predict", "editing")(model=model, arguments=words)
        assert rows[row]["error"] is None
        sent = base64.b64decode(rows[row]["picture"].partition(",")[2])
        assert sent == Path(own["picture"]).read_bytes()
    assert rows["row 1"]["filled_by"] == "inpainter"
    assert "no image" in rows["row 2"]["error"] and "cannot be read" in rows["row 3"]["error"]


def test_translate_answers_texts_in_the_language_that_is_asked_for(
    answers: dict[str, dict[str, dict[str, Any]]],
) -> None:
    rows = answers["translate"]
    assert rows["row 0"]["translation"] == "Matter Lippenstift"
    assert rows["row 1"]["translation"] == "Serum, 50 ml", "the memory's, with its own number"
    assert rows["row 2"]["error"] == rows["row 3"]["error"] == "no text"


def test_tutorial_answers_requests_as_its_own_predict_does(
    project: Path, answers: dict[str, dict[str, dict[str, Any]]]
) -> None:
    rows = answers["tutorial"]
    model = project / "build/tutorial/model"
    arguments = ["natural look", "--language", "en", "--steps", "5"]
    [own] = families.function("predict", "tutorial")(model=model, arguments=arguments)
    assert rows["row 0"]["error"] is None
    # What MLflow answers came through JSON, which knows lists alone.
    assert rows["row 0"]["title"] == own["title"] and rows["row 0"]["steps"] == list(own["steps"])
    assert rows["row 1"]["error"] and rows["row 2"]["error"] and rows["row 1"]["steps"] is None
    assert "'some' is not a whole number" in rows["row 3"]["error"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_version_that_mlflow_loaded_is_still_the_one_that_was_registered(
    project: Path,
    answers: dict[str, dict[str, dict[str, Any]]],
    family: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    model = registry.download_model(family, into=tmp_path / "served")
    stated = registry.version_lineage(family, 1)["files"]
    assert {"MLmodel", "requirements.txt"} < set(stated)
    assert {file.name for file in model.iterdir() if file.is_file()} <= {
        name.split("/")[0] for name in stated
    }
    assert "beauty-models" not in (model / "requirements.txt").read_text()


def test_an_mlmodel_file_that_names_another_program_is_refused(
    project: Path,
    answers: dict[str, dict[str, dict[str, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    [stored] = Path(".beauty/mlartifacts/sentiment").rglob("MLmodel")
    whole = stored.read_text()
    stored.write_text(whole.replace("beauty_models.sentiment.serving", "antigravity"))
    with pytest.raises(ValueError, match="its files are not those that were registered"):
        registry.download_model("sentiment", into=tmp_path / "served")
    stored.write_text(whole)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_says_what_can_be_asked(family: str) -> None:
    served = import_module(f"beauty_models.{family}.serving")
    assert served.COLUMNS and all(isinstance(needed, bool) for needed in served.COLUMNS.values())


def loaded_by(program: str) -> dict[str, set[str]]:
    """Return which modules were loaded once ``program`` had run for each family.

    One interpreter runs it for one family after the other, so a family has the modules of those
    before it as well: libraries that must not be loaded are loaded by none if not by the last.
    """
    code = (
        "import sys\n"
        "from importlib import import_module\n"
        "loaded = {}\n"
        f"for family in {FAMILIES}:\n"
        f"    {program}\n"
        "    loaded[family] = [*sys.modules]\n"
        "print(loaded)"
    )
    return {family: set(names) for family, names in ast.literal_eval(printed_by(code)).items()}


def test_what_can_be_asked_is_said_without_loading_torch() -> None:
    loaded = loaded_by("import_module('tasks.registry.flavor').files(family)")
    assert [family for family in FAMILIES if "torch" in loaded[family]] == []


def test_an_answer_loads_nothing_that_only_training_and_pages_need() -> None:
    needless = {"mlflow", "prefect", "dvc", "sklearn", "matplotlib", "jieba", "diffusers"}
    loaded = loaded_by(
        "[import_module(f'beauty_models.{family}.{name}') for name in ('predict', 'serving')]"
    )
    assert {family: needless & loaded[family] for family in FAMILIES} == {
        family: set() for family in FAMILIES
    }


def test_a_photo_sent_along_that_is_none_is_named_and_not_repeated(tmp_path: Path) -> None:
    from beauty_models.serving.frames import picture

    with pytest.raises(ValueError, match="not base64") as caught:
        picture("data:image/jpeg;base64," + "?" * 1000)
    assert len(str(caught.value)) < 200
    with pytest.raises(ValueError, match="not a picture"):
        picture("data:image/jpeg;base64," + base64.b64encode(b"no picture").decode())
    with pytest.raises(ValueError, match="cannot be read"):
        picture(str(tmp_path))


# Runs blocks as a notebook runs its cells, each by itself, and prints what their last lines are
# worth, or how they failed.
NOTEBOOK = """
import ast, json, sys, traceback
worth = {}
for name, block in json.load(sys.stdin).items():
    body = ast.parse(block).body
    scope = {}
    try:
        exec(compile(ast.Module(body[:-1], []), "card", "exec"), scope)
        value = eval(compile(ast.Expression(body[-1].value), "card", "eval"), scope)
        worth[name] = value.to_string() if hasattr(value, "to_string") else str(value)
    except Exception:
        worth[name] = traceback.format_exc()
print(json.dumps(worth))
"""


def python_blocks(family: str) -> list[str]:
    """Return the lines of Python in the card of ``family``.

    Those for the export are test_sentiment_export's: they want a stage that has not run here.
    """
    card = (ROOT / "beauty_models" / family / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n((?:(?!exported).)*?)```", card, re.S)


@pytest.fixture(scope="module")
def notebook(project: Path) -> dict[str, str]:
    """Run the lines of all cards in one notebook; return what the last line of each is worth."""
    blocks = {
        f"{family} {number}": block
        for family in FAMILIES
        for number, block in enumerate(python_blocks(family))
    }
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=json.dumps(blocks),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    worth: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return worth


@pytest.mark.parametrize("family", FAMILIES)
def test_the_lines_of_the_card_run_in_a_notebook(notebook: dict[str, str], family: str) -> None:
    blocks = python_blocks(family)
    assert blocks and len(blocks[0].split("\n")) <= 7, "five lines, and a blank one"
    said = {
        "sentiment": "positive",
        "recommend": "HOODIE",
        "tryon": "label",
        "makeup": "data:image/png",
        "editing": "data:image/png",
        "tutorial": "generated by a model",
        "translate": "translation",
    }
    for number in range(len(blocks)):
        worth = notebook[f"{family} {number}"]
        assert "Traceback" not in worth, worth
        assert said[family] in worth.replace("negative", "positive")


def answered(folder: Path, name: str, column: str) -> list[tuple[Any, str]]:
    """Return what ``column`` says of each row of a CSV file, and its error."""
    table = csv.DictReader((folder / name).read_text(encoding="utf-8").splitlines())
    return [(json.loads(row[column] or "null"), row["prediction_error"]) for row in table]


@pytest.mark.parametrize(("family", "column"), [("recommend", "products"), ("tryon", "garments")])
def test_the_command_answers_tables_and_folders_of_pictures(
    project: Path, family: str, column: str
) -> None:
    place = project / family
    (place / "photos/red").mkdir(parents=True)
    (place / "photos/red/a.jpg").write_bytes((project / "photo.jpg").read_bytes())
    (place / "photos/b.jpg").write_bytes(b"no picture")
    rows = ["sku,text,image,price", "007,green hoodie,,91.90", "008,,photos/red/a.jpg,NA"]
    rows += ["009,红色 dress,photos/red/a.jpg,", "010,,,1", "011,,photos/gone.jpg,2", "012,broken"]
    text = "\n".join(rows) + "\n" + "013,绿色连帽卫衣很好看，推荐购买,,\n" * 9
    (place / "posts.csv").write_text(text, encoding="gb18030")
    files = ("--file", f"{family}/posts.csv", "--out", f"{family}/said.csv")
    told = beauty("predict", family, *files, "--top", "3", "--json", folder=project)
    summary = json.loads(told.stdout)
    assert (summary["rows"], summary["failed"]) == (15, 3)
    assert "read as gb18030" in told.stderr and "progress: 1.0000 predict: " in told.stderr
    said = (place / "said.csv").read_text(encoding="utf-8").splitlines()
    assert [one.startswith(f"{two},") for one, two in zip(said, rows[:-1], strict=False)] == [
        True
    ] * 6
    found = answered(place, "said.csv", f"prediction_{column}")
    assert [len(things or []) for things, _ in found] == [3, 3, 3, 0, 0, 0, *[3] * 9]
    errors = [error for _, error in found]
    assert [bool(error) for error in errors[:6]] == [False] * 3 + [True] * 3
    assert "text" in errors[3] and "photos/gone.jpg: cannot be read" in errors[4]
    assert errors[5] == "2 cells where the header has 4"
    alone = asked(project, family, image=str(place / "photos/red/a.jpg"), top="3")
    single = alone if family == "recommend" else alone["garments"]
    assert [one["score"] for one in found[1][0]] == pytest.approx(
        [one["score"] for one in single], abs=0.01
    )
    files = ("--file", f"{family}/photos", "--out", f"{family}/seen.jsonl")
    beauty("predict", family, *files, folder=project)
    lines = [json.loads(line) for line in (place / "seen.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == ["b.jpg", "red/a.jpg"]
    assert "not a picture" in lines[0]["prediction_error"] and not lines[0][f"prediction_{column}"]
    assert lines[1]["prediction_error"] is None and len(lines[1][f"prediction_{column}"]) > 3
    assert not list(place.glob(".*")), "nothing is left beside what was asked for"


def test_a_file_without_out_is_printed_by_the_same_reader(project: Path) -> None:
    (project / "r.csv").write_text('sku,review\n1,"lovely, really"\n2,\n', encoding="utf-8")
    ask = ("predict", "sentiment", "--file", "r.csv")
    printed = beauty(*ask, "--column", "review", "--json", folder=project)
    first, second = json.loads(printed.stdout)
    [own] = asked(project, "sentiment", text="lovely, really")
    assert first == {**own, "error": None}
    assert (second["text"], second["class"], second["error"]) == ("", None, "no text")
    assert "lovely" in beauty(*ask, "--map", "text=review", folder=project).stdout
    refused = beauty(*ask, code=1, folder=project).stderr
    assert "it has sku, review; name one with --map text=COLUMN" in refused
    no_file = beauty("predict", "sentiment", "--out", "x.csv", code=1, folder=project)
    assert "--file" in no_file.stderr


def test_a_killed_command_goes_on_and_ends_with_the_same_bytes(project: Path) -> None:
    lines = [f'{n:05},"{TEXTS[n % 4]}, number {n}"' for n in range(4000)]
    (project / "many.csv").write_text("\n".join(["sku,text", *lines]), encoding="utf-8")
    ask = ["predict", "sentiment", "--file", "many.csv", "--out"]
    beauty(*ask, "whole.csv", folder=project)
    command = [sys.executable, "-m", "cli.main", *ask, "killed.csv"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        with started(command, {**os.environ, "PYTHONPATH": str(ROOT)}) as process:
            wait_for(".killed.csv.parts/00000002.json")
            children = psutil.Process(process.pid).children()
            process.kill()
            assert children and all(gone(child.pid) for child in children), "nobody works on"
    assert not (project / "killed.csv").exists()
    resumed = beauty(*ask, "killed.csv", folder=project).stderr
    assert "rows were answered before; going on" in resumed
    assert (project / "killed.csv").read_bytes() == (project / "whole.csv").read_bytes()
    assert not list(project.glob(".killed.csv*"))
    assert [
        line.split(",")[0] for line in (project / "whole.csv").read_text().splitlines()[1:]
    ] == [f"{n:05}" for n in range(4000)]


@pytest.mark.parametrize("family", families.names())
def test_the_model_says_what_it_takes_and_what_it_answers(family: str, tmp_path: Path) -> None:
    from mlflow.models import Model

    (tmp_path / "MLmodel").write_text(flavor.files(family)["MLmodel"])
    signature = Model.load(str(tmp_path)).signature
    serving = import_module(f"beauty_models.{family}.serving")
    assert signature.inputs.input_names() == list(serving.COLUMNS)
    assert signature.outputs.input_names() == [*serving.ANSWERS, "error"]
