"""What DVC shows of a run: a table of headline figures that fits a screen, and the curves of every
training.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from mini import dvc

from beauty_models import __main__ as command
from beauty_models import families

ROOT = Path(__file__).parents[2]
FIGURES = {
    "ingest": {"kept": 52774.0, "items": 52774.0, "rejected": 4711.0, "rows": 60000.0},
    "pretrain": {"loss_before": 5.678901234, "loss_after": 3.954762595, "texts": 212.0},
    "finetune": {
        "validation_macro_f1": 0.876543219,
        "validation_mrr_at_10": 0.876543219,
        "epochs": 4.0,
    },
}
EXPORTED = {"macro_f1": 0.860514451, "megabytes": 32.831677, "milliseconds": 5.004778, "n": 500.0}
STEPS = [{"step": 10, "loss": 5.4}, {"step": 20, "loss": 4.1}]
EPOCHS = [
    {"epoch": 1, "loss": 3.2, "validation_macro_f1": 0.55},
    {"epoch": 2, "loss": 1.1, "validation_macro_f1": 0.81},
]


def recorded(family: str, histories: dict[str, object]) -> None:
    """Record all stages of ``family`` as the command does after a run with the figures of a real
    one.
    """
    evaluated = json.loads((ROOT / "tests/figures" / f"{family}.json").read_text(encoding="utf-8"))
    recorded_figures = {**FIGURES, "export": EXPORTED, "evaluate": evaluated}
    for stage in families.stages(family):
        figures = recorded_figures[stage]
        output = families.path(families.stages(family)[stage], family)
        output.mkdir(parents=True)
        if stage in histories:
            (output / "history.json").write_text(json.dumps(histories[stage]))
        command._record(stage, family, figures, output)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with our dvc.yaml and all families' figures the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, name)
    subprocess.run(["git", "init", "-q"], check=True)
    dvc("init", "-q")
    for family in families.names():
        several = {"pictures": [], "words": STEPS}
        recorded(family, {"pretrain": several if family == "tryon" else STEPS, "finetune": EPOCHS})
    return tmp_path


def test_the_table_of_metrics_fits_a_screen(project: Path) -> None:
    table = dvc("metrics", "show")
    lines = table.splitlines()
    assert len(lines) == 1 + sum(len(families.stages(family)) for family in families.names())
    assert max(map(len, lines)) < 120, table
    for column in ("score", "baseline", "lead", "loss", "n", "rejected"):
        assert column in lines[0].split()


def test_the_headline_is_true(project: Path) -> None:
    brief = json.loads(Path("metrics/tryon/brief/evaluate.json").read_text())
    figures = json.loads(Path("metrics/tryon/evaluate.json").read_text())
    baselines = ("majority", "hog_logreg", "tfidf_logreg", "frozen_logreg")
    leads = [figures[f"{name}/macro_f1.margin_low"] for name in baselines]
    assert brief == {
        "score": figures["macro_f1"],
        "n": figures["n"],
        "baseline": figures["frozen_logreg/macro_f1"],
        "lead": min(leads),
    }


def test_the_headline_takes_every_baseline_that_was_measured_and_no_part_of_the_model() -> None:
    metrics = {"n": 9.0, "macro_f1": 0.8}
    for name, value, lead in (("majority", 0.2, 0.5), ("new", 0.7, 0.05), ("ensemble", 0.9, -0.2)):
        metrics |= {f"{name}/macro_f1": value, f"{name}/macro_f1.margin_low": lead}
    brief = families.headline("evaluate", "tryon", metrics)
    assert brief == {"score": 0.8, "n": 9.0, "baseline": 0.7, "lead": 0.05}


def test_plots_are_the_curves_of_every_training(project: Path) -> None:
    dvc("plots", "show", "--out", "plots")
    page = Path("plots/index.html").read_text(encoding="utf-8")
    for family in families.names():
        loss = "words_loss" if family == "tryon" else "loss"
        assert f"metrics/{family}/curves/pretrain/{loss}.tsv" in page
        assert f"metrics/{family}/curves/finetune/validation_macro_f1.tsv" in page
    assert re.search(r'"epoch": "?2"?', page) and "0.81" in page


def test_dvc_keeps_the_curves_of_a_stage_that_trained_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no epochs there are no curves.

    The folder is empty, and DVC must be able to keep and restore it.
    """
    monkeypatch.chdir(tmp_path)
    code = (
        "from pathlib import Path; from beauty_models.__main__ import _write_curves; "
        "_write_curves(Path('curves'), {'pictures': [], 'words': []})"
    )
    Path("stage.py").write_text(code)
    Path("dvc.yaml").write_text(
        "stages:\n  pretrain:\n    cmd: python stage.py\n    plots:\n    - curves: {x: step}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    dvc("init", "--no-scm", "-q")
    dvc("repro")
    assert Path("curves").is_dir() and not list(Path("curves").iterdir())
    assert "up to date" in dvc("status")
    shutil.rmtree("curves")
    dvc("repro")
    assert Path("curves").is_dir() and "up to date" in dvc("status")
