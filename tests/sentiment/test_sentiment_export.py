"""The exported classifier answers without torch, as the model does, and is float32 where int8 would
cost too much.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from mini import kill_tree, started, wait_for
from registered import GOOD, project, small_sentiment

from beauty_models.files import read_json, write_json
from beauty_models.sentiment import Export
from beauty_models.sentiment.export import OnnxClassifier, export
from beauty_models.sentiment.model import load, save
from tasks.registry import register, registry

ROOT = Path(__file__).parents[2]
WORDS = [
    "good",
    "bad",
    "lovely",
    "dry",
    "cream",
    "smell",
    "price",
    "cheap",
    "awful",
    "nice",
    "skin",
    "glossy",
]
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["transformers"] = sys.modules["beauty_models"] = None
{lines}
answers = session.run(["probabilities"], {{name: numpy.array(rows) for name, rows in ids.items()}})
import json
print(json.dumps(answers[0].tolist()))
"""


def texts(count: int, seed: int) -> list[str]:
    """Return ``count`` texts of 1 to 60 words."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 60))) for _ in range(count)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a model that was never trained, and texts that it labelled itself.

    Any change of a class costs macro-F1.
    """
    place = tmp_path_factory.mktemp("exported")
    torch.manual_seed(1)
    small_sentiment(place / "model")
    classifier = load(place / "model")
    # Half of the texts of each class, many of them close to the other one: int8 is sure to change
    # some.
    logits = np.log(classifier.predict(texts(400, 1), "", "float32").probabilities)
    with torch.no_grad():
        classifier.sentiment.bias[1] -= float(np.median(logits[:, 1] - logits[:, 0]))
    save(classifier, place / "model", [])
    (place / "data").mkdir()
    for part, seed in {"validation": 1, "test": 2}.items():
        frame = pd.DataFrame({"text": texts(400, seed)})
        frame["label"] = classifier.predict(
            frame["text"].tolist(), "", "float32"
        ).probabilities.argmax(1)
        frame.to_parquet(place / "data" / f"{part}.parquet")
    return place


def run(made: Path, tolerance: float) -> tuple[Path, dict[str, float]]:
    """Export with ``tolerance``; return the folder and the figures."""
    folder = made / f"exported-{tolerance}"
    settings = Export(seed=1, texts=300, tolerance=tolerance, timed=3)
    figures = export(data=made / "data", model=made / "model", exported=folder, params=settings)
    return folder, figures


def test_int8_is_small_and_measured_against_the_model(made: Path) -> None:
    folder, figures = run(made, 1.0)
    assert figures["int8"] == 1 and figures["n"] == 300
    assert read_json(folder / "classifier.json")["precision"] == "int8"
    assert figures["model_macro_f1"] == pytest.approx(1), "the model labelled the texts itself"
    # How many change depends on the processor: sums of int8 saturate where it has no VNNI.
    assert 0.3 < figures["macro_f1"] < figures["agreement"] + 0.05 < 1.05
    assert 0 < figures["largest_difference"] < 0.2
    assert figures["megabytes"] < run(made, 0.0)[1]["megabytes"]
    assert read_json(folder / "backbone.json")["license"] == "Apache-2.0"
    assert sorted(file.name for file in folder.iterdir()) == [
        "backbone.json",
        "classifier.json",
        "model.onnx",
        "tokenizer.json",
    ]


def test_float32_is_exported_where_int8_costs_too_much(made: Path) -> None:
    folder, figures = run(made, 0.0)
    assert figures["validation_cost"] > 0, "int8 changed no class; another seed would"
    assert figures["int8"] == 0
    assert read_json(folder / "classifier.json")["precision"] == "float32"
    assert figures["largest_difference"] < 1e-5 and figures["agreement"] == 1


def test_the_lines_of_the_card_answer_without_torch(made: Path) -> None:
    folder, _ = run(made, 0.0)
    card = (ROOT / "beauty_models/sentiment/README.md").read_text(encoding="utf-8")
    [block] = [b for b in re.findall(r"```python\n(.*?)```", card, re.S) if "onnxruntime" in b]
    *lines, last = block.strip().split("\n")
    assert (
        last
        == 'session.run(["probabilities"], {name: numpy.array(rows) for name, rows in ids.items()})'
    )
    script = WITHOUT_TORCH.format(lines="\n".join(lines))
    script = script.replace("build/sentiment/exported", str(folder))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked = re.search(r"encode_batch\((\[.*?\])\)", block)
    assert asked
    expected = load(made / "model").predict(json.loads(asked[1]), "", "float32").probabilities
    assert np.abs(np.array(json.loads(done.stdout)) - expected).max() < 1e-5


def test_a_text_longer_than_the_encoder_reads_is_cut_as_the_model_cuts_it(made: Path) -> None:
    folder, _ = run(made, 0.0)
    long = " ".join(["good cream"] * 200 + ["awful"] * 200)
    given = [long, "nice", ""]
    expected = load(made / "model").predict(given, "", "float32").probabilities
    assert np.abs(OnnxClassifier(folder).predict(given) - expected).max() < 1e-5


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_killed_export_ends_with_the_same_bytes_and_is_registered(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KILLed while it writes; the next run leaves nothing of the first one beside its result."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project()
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["stages"]["export"] = ["sentiment"]
    Path("params.yaml").write_text(yaml.safe_dump(params))
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    exported = Path("build/sentiment/exported")
    lock["stages"]["export"] = {"outs": [{"path": str(exported), "md5": "exported.dir"}]}
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    build = exported.parent
    (build / "report").mkdir(parents=True)
    for name in ("data", "model"):
        shutil.copytree(made / name, build / name)
    write_json(Path("metrics/sentiment/evaluate.json"), GOOD)
    stage = [sys.executable, "-m", "beauty_models", "export", "sentiment"]
    stage += ["--params", str(ROOT / "params.yaml"), "--metrics", "metrics/sentiment/export.json"]
    stage += ["--data", str(build / "data"), "--model", str(build / "model")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run_stage(place: Path) -> None:
        done = subprocess.run(
            [*stage, "--exported", str(place)], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    with started([*stage, "--exported", str(exported)], environment) as killed:
        wait_for(str(build / f".exported.{killed.pid}.tmp" / "model.onnx"))
        kill_tree(killed.pid)
        killed.communicate()
    assert list(build.glob(".exported.*")) and not exported.exists(), "killed in the midst"
    run_stage(exported)
    assert sorted(entry.name for entry in build.iterdir()) == [
        "data",
        "exported",
        "model",
        "report",
    ]
    run_stage(tmp_path / "unkilled")
    assert files_of(exported) == files_of(tmp_path / "unkilled")
    result = register.register("sentiment")
    assert result and result["version"] == 1
    registry.download("sentiment", 1, "exported", tmp_path / "kept")
    assert files_of(tmp_path / "kept/exported") == files_of(exported)
    assert registry.version_lineage("sentiment", 1)["dvc"]["exported"] == "exported.dir"


def test_without_texts_nothing_is_exported(made: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": pd.Series([], dtype=str), "label": pd.Series([], dtype=int)})
    for part in ("validation", "test"):
        frame.to_parquet(tmp_path / f"{part}.parquet")
    with pytest.raises(ValueError, match="validation.parquet: no text to try the export on"):
        export(
            data=tmp_path,
            model=made / "model",
            exported=tmp_path / "exported",
            params=Export(seed=1, texts=3, tolerance=0.0, timed=3),
        )
    assert not (tmp_path / "exported").exists()
