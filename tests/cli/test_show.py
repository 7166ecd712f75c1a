"""What a person sees: in 80 columns, in 60 and through a pipe nothing is cut or missing.

The figures are those of real runs of the families, tests/figures/FAMILY.json.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real_runs import figures, registered
from rich.cells import cell_len
from rich.console import Console

from beauty_models import families, params, progress
from beauty_models.files import write_json
from cli import show
from flows import words
from tasks import evaluate
from tasks.registry import gate

ROOT = Path(__file__).parents[2]
WIDTHS = [80, 60]


@pytest.fixture
def screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Return a function that calls a screen at a width and returns what it printed.

    No line may be wider or cut. In less than 80 columns the command that is to be copied may be
    wider: the terminal wraps it, without a line break inside.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())

    def printed(width: int, what: Callable[..., None], *arguments: Any) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        what(*arguments)
        text = capsys.readouterr().out
        wide = [line for line in text.splitlines() if cell_len(line) > width]
        assert [line for line in wide if width == 80 or " predict " not in line] == []
        assert "…" not in text
        return text

    return printed


def solid(text: str) -> str:
    """Return ``text`` without white space, so that a folded word is found again."""
    return re.sub(r"\s+", "", text)


def column(text: str, head: str) -> str:
    """Return what stands below ``head``, the last column of tables, with folds taken out."""
    found, start = "", 0
    for line in text.splitlines():
        start = line.index(head) if line.rstrip().endswith(head) else start
        found += line[start:].strip()
    return found


def figure(value: float) -> str:
    return words.format_number(float(value))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("family", families.names())
def test_the_verdict_has_a_row_for_each_baseline_and_the_champion(
    family: str, width: int, screen: Callable[..., str]
) -> None:
    metrics = figures(family)
    model = registered(family, metrics)
    metric = model["verdict"]["metric"]
    stages = [{"stage": "finetune", "family": family, "state": "Completed", "seconds": 1234.5}]
    text = screen(width, show.outcome, {"stages": stages, "registered": [model]}, [family])
    gate_ = params.read(ROOT / "params.yaml")[family]["gate"]
    counted = gate_["baselines"]
    assert len(counted) >= 2
    for baseline in counted:
        marked = [line for line in text.splitlines() if line[:1] in ("✓", "✗")]
        [line] = [line for line in marked if line[1:].strip().startswith(baseline[:9])]
        lead = families.lead(metric, metrics, baseline, gate_["larger_is_better"])
        assert lead is not None
        margins = [metrics[f"{baseline}/{metric}.margin_{end}"] for end in ("low", "high")]
        assert lead == (margins[0] if gate_["larger_is_better"] else -margins[1])
        assert figure(metrics[f"{baseline}/{metric}"]) in line
        assert f"{lead:+.4f}" in line
        assert ("✓" in line) is (lead > 0) and ("✗" in line) is (lead <= 0)
    assert "champion (version 12)" in text or width < 80
    assert "champion" in text and "floor" in text
    assert figure(metrics[f"{metric}.low"]) in text and figure(metrics[f"{metric}.high"]) in text
    assert "CC-BY-NC-4.0" in text
    assert solid(words.worth(model)) in solid(text)
    folded = solid(" ".join(shlex.quote(word) for word in families.wording(family).example))
    assert folded in solid(text)
    assert "127.0.0.1:5000" not in text, "nothing listens there"


@pytest.mark.parametrize("family", families.names())
def test_the_stored_verdict_has_every_figure_and_stays_narrow(family: str) -> None:
    metrics = figures(family)
    model = registered(family, metrics)
    text = gate.markdown(family, model["verdict"], metrics, model["warnings"])
    for name in metrics:
        if "/" not in name and not name.endswith((".low", ".high")):
            assert f"| {name} |" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert max(line.count("|") for line in tables) <= 6
    assert max(map(len, tables)) <= 120


def test_the_sentence_is_made_of_true_figures() -> None:
    metrics = {
        "accuracy": 0.876,
        "macro_f1": 0.9,
        "tfidf_logreg/accuracy": 0.82,
        "tfidf_logreg/macro_f1": 0.8,
        "tfidf_logreg/macro_f1.margin_low": 0.05,
        "majority/accuracy": 0.5,
        "majority/macro_f1": 0.3,
        "majority/macro_f1.margin_low": 0.4,
    }
    model = registered("sentiment", metrics, champion=False)
    assert words.worth(model) == (
        "sentiment: of 100 reviews it gets 88 right, "
        "word counts (TF-IDF + logistic regression) 82; it is the champion (version 13)."
    )
    metrics |= {"tfidf_logreg/accuracy": 0.875, "tfidf_logreg/macro_f1.margin_low": -0.01}
    model = registered("sentiment", metrics, champion=False)
    assert words.worth(model) == (
        "sentiment: of 1000 reviews it gets 876 right, "
        "word counts (TF-IDF + logistic regression) 875; it did not pass the gate and is kept as "
        "challenger (version 13)."
    )


@pytest.mark.parametrize("family", families.names())
def test_the_sentence_tells_a_figure_that_the_family_measures(family: str) -> None:
    assert families.wording(family).figure in figures(family)
    assert re.search(r"of 1000?\b", words.worth(registered(family, figures(family))))


def test_a_figure_below_its_own_floor_is_named(screen: Callable[..., str]) -> None:
    metrics = figures("tutorial") | {"accepted_share": 0.9, "honoured_share": 0.5}
    model = registered("tutorial", metrics, champion=False)
    text = screen(80, show.outcome, {"stages": [], "registered": [model]}, ["tutorial"])
    assert "✗ honoured_share reaches its floor: 0.5000, needed >= 0.7000" in text
    assert "accepted_share" not in text


def test_a_challenger_is_asked_by_its_version(screen: Callable[..., str]) -> None:
    model = registered("sentiment", figures("sentiment"))
    model["aliases"] = ["challenger"]
    text = screen(80, show.outcome, {"stages": [], "registered": [model]}, ["sentiment"])
    assert "predict sentiment --version 13 --text" in text


def test_the_command_works_where_the_environment_is_not_activated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.chdir(tmp_path)
    assert words.beauty_command("predict", "x y") == ".venv/bin/beauty predict 'x y'"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert words.beauty_command("why") == f"{tmp_path}/.venv/bin/beauty why"
    monkeypatch.setenv("PATH", str(Path(tmp_path / ".venv/bin")))
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/beauty").touch(mode=0o755)
    assert words.beauty_command("why") == "beauty why"


def test_only_a_report_that_exists_is_named(screen: Callable[..., str]) -> None:
    model = registered("sentiment", figures("sentiment"))
    result = {"stages": [], "registered": [model]}
    assert "The report" not in screen(80, show.outcome, result, ["sentiment"])
    Path("build/sentiment/report").mkdir(parents=True)
    Path("build/sentiment/report/index.html").write_text("<p>")
    text = screen(80, show.outcome, result, ["sentiment"])
    assert "build/sentiment/report/index.html" in text


def test_the_account_of_the_data_is_summed_up_and_named(screen: Callable[..., str]) -> None:
    model = registered("sentiment", figures("sentiment"))
    result = {"stages": [], "registered": [model]}
    assert "Read: " not in screen(80, show.outcome, result, ["sentiment"])
    counts = {
        "what": "reviews",
        "read": 1234,
        "kept": 1200,
        "dropped": [{"reason": "the text is there already", "count": 30}],
        "rejected": [{"reason": "no text", "count": 3}, {"reason": "too short", "count": 1}],
        "parts": {},
    }
    content = {"counts": [counts], "aside": [], "contradicted": [], "guessed": [{}]}
    write_json(Path("build/sentiment/data/account.json"), content)
    text = screen(80, show.outcome, result, ["sentiment"])
    assert "Read: 1,234 reviews, 1,200 kept, 30 dropped, 4 rejected; 1 guess" in text
    assert "build/sentiment/data/account.json" in text


def test_a_served_mlflow_is_linked(
    screen: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    model = registered("sentiment", figures("sentiment"))
    model["mlflow_url"] = "http://mlflow.example/#/models/sentiment/versions/13"
    text = screen(80, show.outcome, {"stages": [], "registered": [model]}, ["sentiment"])
    assert model["mlflow_url"] in text


def test_what_was_done_beside_a_failure_is_shown(screen: Callable[..., str]) -> None:
    stages = [
        {"stage": "ingest", "family": "sentiment", "state": "Completed", "seconds": 1.0},
        {"stage": "pretrain", "family": "sentiment", "state": "Failed", "seconds": 0.0},
    ]
    text = screen(80, show.outcome, {"stages": stages, "registered": []}, ["sentiment"], True)
    assert "Failed" in text and "Completed" in text
    assert "sentiment: not registered, for pretrain failed; run it again." in text


@pytest.mark.parametrize("width", WIDTHS)
def test_versions(width: int, screen: Callable[..., str]) -> None:
    rows = []
    for family in families.names():
        model = registered(family, figures(family))
        for version in (13, 12):
            lineage = {
                "git_commit": "030629a" * 5,
                "git_dirty": version == 13,
                "data_source": f"s3://a-bucket-with-a-long-name/and/a/prefix/{family}",
            }
            row = {"family": family, "version": version, "aliases": ["champion", "challenger"]}
            rows.append({**row, "gate": model["verdict"], "lineage": lineage})
    rows[1]["gate"] = {**rows[1]["gate"], "metric": "ndcg_of_something_else", "value": 0.879}
    text = screen(width, show.versions, rows)
    for family in families.names():
        assert f"s3://a-bucket-with-a-long-name/and/a/prefix/{family}" in column(text, "data")
    assert "030629a0" in text and "* with changes" in text
    assert "0.879" in text and "0.8790" not in text


@pytest.mark.parametrize("width", WIDTHS)
def test_why(width: int, screen: Callable[..., str]) -> None:
    because = [f"beauty_models/intake/a_long_name_{'x' * 60}.py changed", "[red]is a reason[/]"]
    because += ["params.yaml families.recommend.finetune.epochs: 1 → 2"]
    rows = [{"stage": "finetune", "family": "recommend", "stale": True, "because": because}]
    text = screen(width, show.reasons, rows)
    assert "x" * 60 in solid(text) and "[red]is a reason[/]" in text
    assert "paramsfinetune.epochs:1→2" in solid(text) and "families" not in text


@pytest.mark.parametrize("width", WIDTHS)
def test_why_counts_many_modules_and_says_how_to_see_all(
    width: int, screen: Callable[..., str]
) -> None:
    because = [f"beauty_models.room.m{number} changed" for number in range(248)]
    because.append("pretrain@sentiment is stale")
    rows = [{"stage": "finetune", "family": "sentiment", "stale": True, "because": because}]
    text = solid(screen(width, show.reasons, rows))
    assert "248moduleschanged:beauty_models.room.m0,beauty_models.room.m1," in text
    assert "beauty_models.room.m4and243more(`beautywhysentiment--json`namesall)" in text
    assert "room.m5" not in text and "pretrain@sentimentisstale" in text
    few = [{**rows[0], "because": because[:5]}]
    text = solid(screen(width, show.reasons, few))
    assert "beauty_models.room.m4changed" in text and "more" not in text


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("family", families.names())
def test_evaluation_has_every_figure_of_the_model(
    family: str, width: int, screen: Callable[..., str]
) -> None:
    metrics = figures(family)
    metric = params.read(ROOT / "params.yaml")[family]["gate"]["metric"]
    result = {"family": family, "version": 3, "rejected": 4, "seen_in_training": 5}
    result |= evaluate._sort_metrics(metrics)
    text = screen(width, show.evaluation, result)
    narrow = "".join(line[: text.index("this model")] for line in text.splitlines())
    for name, value in result["metrics"].items():
        assert name[:12] in narrow and figure(value) in text
        assert name in text or width < 80
        for end in result["intervals"].get(name, []):
            assert figure(end) in text
    for name, baseline in result["baselines"].items():
        if metric in baseline:
            assert name[:12] in narrow and figure(baseline[metric]) in text


@pytest.mark.parametrize("width", WIDTHS)
def test_answers(width: int, screen: Callable[..., str]) -> None:
    narrow = [{"sku": "007", "name": "[b]red[/b] :smile:", "score": 0.91}]
    text = screen(width, show.rows, narrow)
    assert "007" in text and "[b]red[/b] :smile:" in text and "0.91 " in text
    wide = [
        {
            "text": "很好 " * 40 + "W" * 90,
            "class": "positive",
            "probabilities": {"negative": 0.0912, "positive": 0.9088},
            "aspects": {"colour": {"polarity": "positive", "probability": 0.8}},
            "price": None,
        }
    ]
    text = screen(width, show.rows, wide)
    for part in ("W" * 90, "很好" * 40, "negative0.0912,positive0.9088", "colour:polaritypositive"):
        assert part in solid(text)
    nested = {
        "answer": {"class": {"label": "dress", "probability": 0.9}},
        "garments": [{"id": f"sku-{n}", "name": "a red dress " * 9} for n in range(3)],
    }
    text = screen(width, show.rows, nested)
    assert "sku-0" in text and "sku-2" in text


def test_lines_of_progress_say_how_long_it_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with progress.bar("finetune", total=100, done=50) as shown:
        for _ in range(5):  # ten seconds a step
            now += 10.0
            shown.advance(1, "loss 0.5")
        now += 10.0
        shown.advance(45, "loss 0.4")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "progress: 0.5100 finetune: 8:10 left, loss 0.5"
    assert lines[4] == "progress: 0.5500 finetune: 7:30 left, loss 0.5"
    assert lines[5] == "progress: 1.0000 finetune: loss 0.4"
    assert progress.time_left(10.0, 1, 400) == "1:06:40"
    assert progress.time_left(1.0, 1, 400) == "" and progress.time_left(10.0, 0, 400) == ""


def test_bars_show_the_time_that_is_left_in_80_columns() -> None:
    screen = Console(width=80, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    with show.bars_on(screen) as on_event:
        on_event("start", "finetune", "sentiment", None)
        text = "finetune: 1:20:00 left, epoch 2/4, loss 0.310"
        on_event("progress", "finetune", "sentiment", {"share": 0.5, "text": text})
    drawn = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "1:20:00 left, epoch 2/4" in drawn and "…" not in drawn
