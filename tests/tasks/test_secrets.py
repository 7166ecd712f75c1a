"""No password, key or token in a file, a log or on a page; state that only its owner reads."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from beauty_models.files import new_folder, write_json
from cli import edit
from tasks.registry import connection, registry
from tasks.secrets import redact
from tasks.sources import fetch
from tasks.state import STATE

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://me:pa%40ss@mlflow:5000/x", "http://***@mlflow:5000/x"),
        ("postgresql+psycopg2://u:p@ss/w@db/mlflow", "postgresql+psycopg2://***@ss/w@db/mlflow"),
        ("s3://AKIA:secret@bucket/prefix", "s3://***@bucket/prefix"),
        ("https://token@host/repo.git", "https://***@host/repo.git"),
        (
            "https://b.example/x?X-Amz-Signature=abc&part=1",
            "https://b.example/x?X-Amz-Signature=***&part=1",
        ),
        (
            "see https://h/?a=1&access_token=abc for more",
            "see https://h/?a=1&access_token=*** for more",
        ),
        ("s3://bucket/a@b/c", "s3://bucket/a@b/c"),
        ("http://127.0.0.1:5000/#/models", "http://127.0.0.1:5000/#/models"),
    ],
)
def test_addresses_are_shown_without_their_secrets(address: str, shown: str) -> None:
    assert redact(address) == shown


def test_a_source_with_a_key_in_it_is_refused_unwritten() -> None:
    with pytest.raises(ValueError, match="AWS_ACCESS_KEY_ID") as error:
        fetch.check_source("s3://AKIAEXAMPLE:abcdef@bucket/reviews")
    assert "abcdef" not in str(error.value) and "AKIAEXAMPLE" not in str(error.value)


def test_a_secret_is_not_set_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text, encoding="utf-8")
    for address in ("s3://AKIA:abcdef@bucket", "https://h/x?X-Amz-Signature=abcdef"):
        with pytest.raises(ValueError, match="credentials") as error:
            edit.apply(edit.from_sets([f"sentiment.source={address}"]))
        assert "abcdef" not in str(error.value)
    assert Path("params.yaml").read_text(encoding="utf-8") == text


def test_an_error_of_mlflow_does_not_repeat_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://bob:geheim@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ValueError, match="MLflow at") as error:
        registry.versions("sentiment")
    assert "geheim" not in str(error.value)


def test_state_is_private_and_saved_files_share_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    former = os.umask(0o022)
    try:
        with new_folder(Path("build/model")) as folder:
            save_file({"x": torch.zeros(1)}, folder / "model.safetensors")
            write_json(folder / "config.json", {})
    finally:
        os.umask(former)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in Path("build/model").iterdir()}
    assert modes == {0o644}
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    STATE.mkdir()
    STATE.chmod(0o755)  # as an earlier version made it: what lies in it is closed as well
    with connection.registration_lock("lips"):  # any first command that touches the state
        pass
    assert stat.S_IMODE(STATE.stat().st_mode) == 0o700
