"""What the Prefect UI is given: keys and progress lines; and which server a run talks to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from beauty_models.progress import bar
from flows.artifacts import artifact_key, parse_progress
from flows.settings import configure, running_ui


def test_reads_the_lines_that_a_stage_prints(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("finetune", total=4) as shown:
        shown.advance(4, note="loss 0.5")
    assert parse_progress(capsys.readouterr().out.strip()) == (1.0, "finetune: loss 0.5")
    assert parse_progress("progress: soon") is None


def test_keys_are_what_prefect_accepts() -> None:
    assert artifact_key("picture", "Try_On", "ROC curve.2") == "picture-try-on-roc-curve-2"


def test_a_dead_ui_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    Path(".beauty").mkdir()
    Path(".beauty/ui.json").write_text(
        json.dumps(
            {"prefect": "http://127.0.0.1:9", "mlflow": "http://127.0.0.1:9", "pid": os.getpid()}
        )
    )
    assert running_ui() == {}  # lives, but nothing answers
    Path(".beauty/ui.json").write_text(
        json.dumps(
            {"prefect": "http://127.0.0.1:9", "mlflow": "http://127.0.0.1:9", "pid": ended.pid}
        )
    )
    assert running_ui() == {}
    before = dict(os.environ)
    try:
        configure()
        assert "PREFECT_API_URL" not in os.environ
        assert os.environ["PREFECT_HOME"] == str(tmp_path / ".beauty/prefect")
    finally:
        os.environ.clear()
        os.environ.update(before)
