"""Objects come in complete, resumed, checked and only when they changed; the S3 server is real."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tasks.sources import fetch, s3

MB = 2**20


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(port=0)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(
    server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Any]:
    """Yield a boto3 bucket of the test's own; small ranges, one at a time."""
    import boto3

    settings = {
        "ACCESS_KEY_ID": "testing",
        "SECRET_ACCESS_KEY": "hunter2",
        "DEFAULT_REGION": "us-east-1",
        "ENDPOINT_URL": server,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(s3, "PART", 256 * 1024)
    monkeypatch.setattr(s3, "THREADS", 1)
    monkeypatch.setattr(s3, "LINE_EVERY_S", 0.0)
    made = (
        boto3.session.Session()
        .resource("s3")
        .create_bucket(Bucket=f"bucket-{abs(hash(request.node.name))}")
    )
    yield made
    made.objects.delete()


def take(
    url: str, folder: Path, say: Any = print, former: Any = None, raw: Path | None = None
) -> dict[str, Any]:
    folder.mkdir()
    return fetch.take_snapshot(
        "sentiment", url, "", folder, folder.with_name("downloads"), say, former, raw
    )


def upload(bucket: Any, key: str, parts: list[bytes]) -> None:
    started = bucket.Object(key).initiate_multipart_upload()
    done = [
        {"PartNumber": n, "ETag": started.Part(n).upload(Body=part)["ETag"]}
        for n, part in enumerate(parts, 1)
    ]
    started.complete(MultipartUpload={"Parts": done})


def test_more_objects_than_one_page_holds(bucket: Any) -> None:
    from moto.s3.models import s3_backends

    store = s3_backends["123456789012"]["aws"]  # the server's own, which saves a thousand requests
    for number in range(1005):
        store.put_object(bucket.name, f"in/{number:04}.csv", b"x")
    assert [item.path for item in s3.list_objects(s3.client(), f"s3://{bucket.name}/in")] == [
        f"{number:04}.csv" for number in range(1005)
    ]


def test_a_prefix_is_a_folder_or_an_object(bucket: Any, tmp_path: Path) -> None:
    for key in (
        "in/a.csv",
        "in/b/c.csv",
        "in/b/",
        "in/.hidden",
        "in/manifest.json",
        "in/empty.csv",
        "inner/d.csv",
    ):
        bucket.put_object(Key=key, Body=b"" if key.endswith(("/", "empty.csv")) else key.encode())
    manifest = take(f"s3://{bucket.name}/in", tmp_path / "1")
    assert [entry["path"] for entry in manifest["files"]] == ["a.csv", "b/c.csv"]
    assert (tmp_path / "1/b/c.csv").read_text() == "in/b/c.csv"
    assert [
        entry["path"] for entry in take(f"s3://{bucket.name}/in/a.csv", tmp_path / "2")["files"]
    ] == ["a.csv"]
    with pytest.raises(ValueError, match=r"no object .* near it: in/\.hidden"):
        take(f"s3://{bucket.name}/i", tmp_path / "3")


@pytest.mark.parametrize(
    "sizes", [[5 * MB, 5 * MB, 1000], [6 * MB, 5 * MB, 7]], ids=["even", "uneven"]
)
def test_multipart_objects_are_checked_against_their_etag(
    bucket: Any, tmp_path: Path, sizes: list[int]
) -> None:
    parts = [bytes([65 + n]) * size for n, size in enumerate(sizes)]
    upload(bucket, "in/big.csv", parts)
    assert take(f"s3://{bucket.name}/in", tmp_path / "1")["files"][0]["etag"].endswith("-3")
    assert (tmp_path / "1/big.csv").read_bytes() == b"".join(parts)


@pytest.mark.parametrize("multipart", [False, True])
def test_damaged_content_is_refused_and_read_again_next_time(
    bucket: Any, tmp_path: Path, multipart: bool
) -> None:
    if multipart:
        upload(bucket, "in/x.csv", [b"x" * 5 * MB, b"y"])
    else:
        bucket.put_object(Key="in/x.csv", Body=b"x" * 300_000)
    [item] = s3.list_objects(s3.client(), f"s3://{bucket.name}/in")
    part = s3._part_file(tmp_path / "downloads", item)
    part.parent.mkdir()
    part.write_bytes(b"?" * item.bytes)
    part.with_suffix(".done").write_text(
        "".join(f"{s3.PART} {start}\n" for start in range(0, item.bytes, s3.PART))
    )
    with pytest.raises(ValueError, match="does not fit its ETag"):
        take(f"s3://{bucket.name}/in", tmp_path / "1")
    take(f"s3://{bucket.name}/in", tmp_path / "2")
    assert (tmp_path / "2/x.csv").read_bytes()[:10] == b"x" * 10


def test_a_broken_download_goes_on_where_it_stopped(bucket: Any, tmp_path: Path) -> None:
    content = bytes(range(256)) * 8192  # 2 MiB, eight ranges
    bucket.put_object(Key="in/x.csv", Body=content)

    def break_off(line: str) -> None:
        if line.startswith("progress: 0.5"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(f"s3://{bucket.name}/in", tmp_path / "1", break_off)
    lines: list[str] = []
    take(f"s3://{bucket.name}/in", tmp_path / "2", lines.append)
    assert "from an earlier attempt" in lines[0] and not lines[0].startswith("fetch: 0 ")
    assert (tmp_path / "2/x.csv").read_bytes() == content
    assert not (tmp_path / "downloads").exists()


def test_an_object_replaced_while_it_is_read_is_read_once_more(bucket: Any, tmp_path: Path) -> None:
    bucket.put_object(Key="in/x.csv", Body=b"a" * 5 * MB)
    lines: list[str] = []

    def replace(line: str) -> None:
        if not any("replaced" in said for said in lines) and line.startswith("progress: 0.0"):
            bucket.put_object(Key="in/x.csv", Body=b"b" * 5 * MB)
        lines.append(line)

    take(f"s3://{bucket.name}/in", tmp_path / "1", replace)
    assert any("was replaced while it was read" in line for line in lines)
    assert set((tmp_path / "1/x.csv").read_bytes()) == {ord("b")}


def test_an_object_replaced_again_and_again_is_an_error(bucket: Any, tmp_path: Path) -> None:
    bucket.put_object(Key="in/x.csv", Body=b"a" * 5 * MB)
    times = iter(range(1000))

    def replace(line: str) -> None:
        bucket.put_object(Key="in/x.csv", Body=f"{next(times):4}".encode() * MB)

    with pytest.raises(ValueError, match="x.csv: it was replaced while it was read, twice"):
        take(f"s3://{bucket.name}/in", tmp_path / "1", replace)


def test_only_what_changed_is_read_again(bucket: Any, tmp_path: Path) -> None:
    for name in "abc":
        bucket.put_object(Key=f"in/{name}.csv", Body=name.encode() * 10)
    former = take(f"s3://{bucket.name}/in", tmp_path / "1")
    bucket.put_object(Key="in/b.csv", Body=b"new")
    bucket.Object("in/c.csv").delete()
    manifest = take(f"s3://{bucket.name}/in", tmp_path / "2", former=former, raw=tmp_path / "1")
    assert [entry["path"] for entry in manifest["files"]] == ["a.csv", "b.csv"]
    assert (tmp_path / "2/a.csv").samefile(tmp_path / "1/a.csv")
    assert (tmp_path / "2/b.csv").read_text() == "new" and (
        tmp_path / "1/b.csv"
    ).read_text() == "b" * 10


def test_a_strange_name_costs_its_object_and_nothing_else(bucket: Any, tmp_path: Path) -> None:
    keys = ["in/../../evil.csv", "in/a\\b.csv", "in/./c.csv", "in//d.csv", "in/d.csv", "in/e.csv"]
    for key in keys:
        bucket.put_object(Key=key, Body=key.encode())
    said: list[str] = []
    manifest = take(f"s3://{bucket.name}/in", tmp_path / "1", said.append)
    assert [entry["path"] for entry in manifest["files"]] == ["d.csv", "e.csv"]
    assert (tmp_path / "1/d.csv").read_text() == "in//d.csv"
    told = "\n".join(said)
    for key in keys[:3]:
        assert f"{bucket.name}/{key}: left out, its name would lie outside" in told
    assert f"{bucket.name}/in/d.csv: left out, in//d.csv has the same name here" in told


@pytest.mark.parametrize("key", ["in/../x", "in/a/../../x", "in/a\\..\\x", "in/./x", "in//"])
def test_strange_names_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="outside the data folder"):
        s3._relative_path(key, "in")


def test_a_glob_stays_within_its_folders(bucket: Any) -> None:
    for key in (
        "in/a.csv",
        "in/b.csv",
        "in/b.json",
        "in/2025/c.csv",
        "in/2025/x/d.csv",
        "in/e*.csv",
    ):
        bucket.put_object(Key=key, Body=b"x")

    def paths(pattern: str) -> list[str]:
        return [item.path for item in s3.list_objects(s3.client(), f"s3://{bucket.name}/{pattern}")]

    assert paths("in/*.csv") == ["a.csv", "b.csv", "e*.csv"]
    assert paths("in/*/*.csv") == ["2025/c.csv"]
    assert paths("in/**/*.csv") == ["2025/c.csv", "2025/x/d.csv", "a.csv", "b.csv", "e*.csv"]
    assert paths("in/[ab].*") == ["a.csv", "b.csv", "b.json"]
    # A key that really has a star in it is that key.
    assert paths("in/e*.csv") == ["e*.csv"]
    with pytest.raises(ValueError, match="no object with content"):
        paths("in/*.tsv")


@pytest.mark.parametrize(
    ("status", "code", "more", "remedy"),
    [
        (301, "PermanentRedirect", "", "in eu-west-1: set AWS_REGION=eu-west-1"),
        (400, "AuthorizationHeaderMalformed", "", "in eu-west-1: set AWS_REGION=eu-west-1"),
        (403, "RequestTimeTooSkewed", "", "the clock of this machine is off"),
        (403, "InvalidObjectState", "", "archived .* restore it first"),
    ],
)
def test_what_a_store_answers_is_told_with_its_remedy(
    bucket: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: str,
    more: str,
    remedy: str,
) -> None:
    """A server on loopback that answers every request so, as S3 words it."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<Error><Code>{code}</Code>{more}</Error>".encode()
            self.send_response(status)
            self.send_header("x-amz-bucket-region", "eu-west-1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as answering:
        threading.Thread(target=answering.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{answering.server_port}")
        try:
            with pytest.raises(ValueError, match=remedy):
                take(f"s3://{bucket.name}/in", tmp_path / "1")
        finally:
            answering.shutdown()


def test_an_object_that_is_also_a_folder_is_refused(bucket: Any) -> None:
    bucket.put_object(Key="in/a", Body=b"x")
    bucket.put_object(Key="in/a/b", Body=b"x")
    with pytest.raises(ValueError, match="an object and a folder at once"):
        s3.list_objects(s3.client(), f"s3://{bucket.name}/in")


def test_refusals_say_what_to_check_and_hold_no_secret(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.core import set_initial_no_auth_action_count

    with pytest.raises(
        ValueError,
        match="there is no bucket 'nowhere-at-all'; check its name, AWS_REGION and "
        "AWS_ENDPOINT_URL",
    ):
        take("s3://nowhere-at-all/in", tmp_path / "1")
    with pytest.raises(
        ValueError, match=f"s3://{bucket.name}/in: S3 refused .* check the credentials"
    ) as refused:
        set_initial_no_auth_action_count(0)(take)(f"s3://{bucket.name}/in", tmp_path / "2")
    assert "hunter2" not in str(refused.value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(ValueError, match="no AWS credentials found; set AWS_PROFILE"):
        take(f"s3://{bucket.name}/in", tmp_path / "3")


def test_a_server_that_does_not_answer_is_no_mistake_of_the_user(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(RuntimeError, match="check the network, AWS_REGION and AWS_ENDPOINT_URL"):
        take(f"s3://{bucket.name}/in", tmp_path / "1")
