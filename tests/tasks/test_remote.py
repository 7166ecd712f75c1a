"""The DVC remote is looked at before the first stage of a shared run, not after the last."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mini import dvc, runs
from processes import deaf_server, free_port

from tasks.pipeline import remote


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve S3 with one bucket; yield the address of the server."""
    import boto3
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(port=0)
    running.start()
    host, port = running.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    credentials(monkeypatch)
    boto3.session.Session().resource("s3", endpoint_url=endpoint).create_bucket(Bucket="results")
    yield endpoint
    running.stop()


def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def add(url: str, *options: str) -> None:
    dvc("remote", "add", "-q", "-f", "-d", *options, "store", url)


def told() -> str:
    began = time.monotonic()
    with pytest.raises(ValueError) as error:
        remote.check()
    assert time.monotonic() - began < remote.ANSWER_S + 60  # a loaded machine, and no endless wait
    return str(error.value)


def test_a_folder_is_looked_at(project: Path, tmp_path: Path) -> None:
    assert "no default remote; `dvc remote add -d NAME URL`" in told()
    add(str(tmp_path / "not/there/yet"))
    remote.check()
    assert not (tmp_path / "not").exists()
    (tmp_path / "file").write_text("")
    add(str(tmp_path / "file/below"), "--local")
    message = told()
    assert f"{tmp_path}/file is no folder" in message and "comes from .dvc/config.local" in message


def test_a_store_that_is_well_is_taken_and_a_missing_bucket_told(
    project: Path, bucket: str
) -> None:
    add("s3://results/prefix")
    dvc("remote", "modify", "store", "endpointurl", bucket)
    remote.check()
    dvc("remote", "modify", "store", "url", "s3://reslts/prefix")
    assert "there is no bucket reslts" in told()


@pytest.mark.parametrize("how", ["dead", "deaf"])
def test_a_store_that_does_not_answer_ends_a_shared_run_before_its_first_stage(
    project: Path, prefect_server: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.retrain import retrain

    credentials(monkeypatch)
    with deaf_server() as deaf:
        port = deaf if how == "deaf" else free_port()
        add("s3://results/prefix")
        dvc("remote", "modify", "store", "endpointurl", f"http://me:hidden@127.0.0.1:{port}")
        message = told()
        assert "the DVC remote 'store' at s3://results/prefix does not answer" in message
        assert "comes from .dvc/config:" in message and "hidden" not in message
        with pytest.raises(ValueError, match="the DVC remote 'store'"):
            retrain(only_stages=True, share=True)
    assert runs() == []
