"""Fetch objects from S3: listed page by page, read in ranges side by side, resumed after a break, checked against their ETags.

Objects are read into a folder for downloads, each under a name made from bucket, key and ETag, so what a killed run has
fetched is used by the next one and can never be mixed with another version of the object. boto3 finds the credentials, the
region and ``AWS_ENDPOINT_URL`` in its usual places.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tasks.state import OnLine

PART = 16 * 2**20  # bytes of one ranged request
THREADS = 8  # ranged requests at once
ATTEMPTS = 4  # of one range whose connection breaks
LINE_EVERY = 2.0  # seconds between two progress lines


class Object(NamedTuple):
    """One object of a listing."""

    bucket: str
    key: str
    path: str  # where it goes, relative to the folder
    bytes: int
    etag: str  # without quotes


class ChangedError(Exception):
    """The object is not the one that was listed any more."""


def client() -> Any:
    """Return a boto3 S3 client that tries a request five times."""
    import boto3
    from botocore.config import Config

    session = boto3.session.Session()  # boto3's default one is not made for threads
    return session.client(
        "s3",
        config=Config(
            retries={"mode": "standard", "total_max_attempts": 5}, max_pool_connections=THREADS * 2
        ),
    )


@contextmanager
def _explained(bucket: str, key: str) -> Iterator[None]:
    """Turn what boto3 raises into an error that says what to check, and holds no credentials; a RuntimeError may be tried again."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        PartialCredentialsError,
    )

    place = f"s3://{bucket}/{key}"
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError):
        raise ValueError(
            f"{place}: no AWS credentials found; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from None
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in ("412", "PreconditionFailed"):
            raise ChangedError(place) from None
        raise ValueError(f"{place}: {_remedy(code, bucket)}") from None
    except BotoCoreError as error:
        raise RuntimeError(
            f"{place}: {error}; check the network, AWS_REGION and AWS_ENDPOINT_URL"
        ) from None


def _remedy(code: str, bucket: str) -> str:
    if code in (
        "403",
        "AccessDenied",
        "Forbidden",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "AllAccessDisabled",
    ):
        return f"S3 refused ({code}); check the credentials in use (AWS_PROFILE) and that they may s3:ListBucket and s3:GetObject here"
    if code == "NoSuchBucket":
        return f"there is no bucket {bucket!r}; check its name, AWS_REGION and AWS_ENDPOINT_URL"
    if code in ("404", "NoSuchKey", "NotFound"):
        return "there is no such object (any more); list the prefix again"
    return f"S3 answered {code}"


def _relative(key: str, prefix: str) -> str:
    """Return where ``key`` goes below the folder.

    Raises:
        ValueError: it would lie outside.
    """
    path = PurePosixPath(key).name if key == prefix else key.removeprefix(prefix).removeprefix("/")
    if (
        path.startswith("/")
        or "\\" in path
        or "\0" in path
        or not {".", "..", ""}.isdisjoint(path.split("/"))
    ):
        raise ValueError(
            f"object {key!r}: its name would lie outside the data folder; rename it or choose another prefix"
        )
    return path


def list_objects(s3: Any, url: str) -> list[Object]:
    """Return the objects at or below ``s3://bucket/prefix``, sorted by path; folder markers and empty objects are left out.

    Raises:
        ValueError: S3 refuses, nothing is there, or an object's name would lead outside the folder.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    prefix = prefix.rstrip("/")
    found, beside = [], set()
    with _explained(bucket, prefix):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                key, size = item["Key"], item["Size"]
                if not (prefix == "" or key == prefix or key.startswith(f"{prefix}/")):
                    beside.add(key)
                elif size:
                    found.append(
                        Object(bucket, key, _relative(key, prefix), size, item["ETag"].strip('"'))
                    )
    if not found:
        near = f"; near it: {', '.join(sorted(beside)[:3])}" if beside else ""
        raise ValueError(f"{url}: no object with content is there; check bucket and prefix{near}")
    paths = {item.path for item in found}
    for item in found:
        if clash := paths & {str(parent) for parent in PurePosixPath(item.path).parents}:
            raise ValueError(
                f"s3://{bucket}/{item.key}: {clash.pop()} is an object and a folder at once; rename one of them"
            )
    return sorted(found, key=lambda item: item.path)


def _read_range(s3: Any, item: Object, start: int, file: Path) -> int:
    """Write the range of ``item`` that starts at byte ``start`` to its place in ``file`` and note it; return its length."""
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    end = min(start + PART, item.bytes)
    for attempt in range(ATTEMPTS):
        try:
            with _explained(item.bucket, item.key):
                answer = s3.get_object(
                    Bucket=item.bucket,
                    Key=item.key,
                    Range=f"bytes={start}-{end - 1}",
                    IfMatch=f'"{item.etag}"',
                )
            content = answer["Body"].read()
            break
        except (HTTPClientError, IncompleteReadError, OSError) as error:
            if attempt == ATTEMPTS - 1:
                raise RuntimeError(
                    f"s3://{item.bucket}/{item.key}: the connection broke {ATTEMPTS} times at byte {start}: {error}"
                ) from None
            time.sleep(0.2 * 2**attempt)
    if len(content) != end - start:
        raise ChangedError(f"s3://{item.bucket}/{item.key}")
    with file.open("r+b") as target:
        target.seek(start)
        target.write(content)
    with file.with_suffix(".done").open("a") as done:
        done.write(f"{PART} {start}\n")
    return len(content)


def _digest(file: Path, sizes: list[int]) -> str:
    """Return the ETag that S3 gives a file uploaded in parts of these sizes: the MD5 of the parts' MD5s."""
    parts = []
    with file.open("rb") as content:
        for size in sizes:
            part = hashlib.md5(usedforsecurity=False)
            while size and (block := content.read(min(size, 2**20))):
                part.update(block)
                size -= len(block)
            parts.append(part.digest())
    return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"


def _fits_parts(s3: Any, item: Object, file: Path) -> bool:
    """Return whether ``file`` fits the ETag of an object uploaded in parts; True when the server does not tell their sizes."""

    def size(part: int) -> int:
        return int(
            s3.head_object(Bucket=item.bucket, Key=item.key, PartNumber=part)["ContentLength"]
        )

    count, first = int(item.etag.partition("-")[2]), size(1)
    even = [first] * (count - 1) + [
        item.bytes - first * (count - 1)
    ]  # nearly every program uploads parts of one size
    if even[-1] > 0 and _digest(file, even) == item.etag:
        return True
    sizes = [size(part + 1) for part in range(count)]
    return sum(sizes) != item.bytes or _digest(file, sizes) == item.etag


def _check(s3: Any, item: Object, file: Path) -> None:
    """Compare ``file`` with the object's ETag where that is a checksum: not for objects encrypted with a key of KMS or the customer.

    Raises:
        ValueError: the content does not fit the ETag.
    """
    with file.open("rb") as content:
        if hashlib.file_digest(content, "md5").hexdigest() == item.etag:
            return
    with _explained(item.bucket, item.key):
        head = s3.head_object(Bucket=item.bucket, Key=item.key, IfMatch=f'"{item.etag}"')
        no_checksum = (
            head.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in head
        )
        if no_checksum or ("-" in item.etag and _fits_parts(s3, item, file)):
            return
    file.unlink()
    file.with_suffix(".done").unlink()
    raise ValueError(
        f"s3://{item.bucket}/{item.key}: what arrived does not fit its ETag {item.etag}; fetch again"
    )


def _part_file(downloads: Path, item: Object) -> Path:
    return (
        downloads
        / f"{hashlib.sha256(f'{item.bucket}/{item.key} {item.etag}'.encode()).hexdigest()[:32]}.part"
    )


def _missing(downloads: Path, item: Object) -> list[int]:
    """Return the starts of the ranges of ``item`` that are still to be read; its file has its full length afterwards."""
    file = _part_file(downloads, item)
    done = file.with_suffix(".done")
    if not file.exists() or not done.exists():
        done.write_text("")
        file.touch()
    os.truncate(file, item.bytes)
    have = set(done.read_text().split("\n"))
    return [start for start in range(0, item.bytes, PART) if f"{PART} {start}" not in have]


def _download(s3: Any, items: list[Object], downloads: Path, say: OnLine) -> None:
    """Read all ranges of ``items`` that are not there yet."""
    todo = [(item, start) for item in items for start in _missing(downloads, item)]
    total, said = sum(item.bytes for item in items), 0.0
    done = total - sum(min(PART, item.bytes - start) for item, start in todo)
    if done:
        say(f"fetch: {done:,} of {total:,} bytes are there from an earlier attempt")
    pool = ThreadPoolExecutor(THREADS)
    try:
        running: dict[Future[int], Object] = {
            pool.submit(_read_range, s3, item, start, _part_file(downloads, item)): item
            for item, start in todo
        }
        for ready in as_completed(running):
            done += ready.result()
            if time.monotonic() - said >= LINE_EVERY or done == total:
                said = time.monotonic()
                say(f"progress: {done / total:.4f} fetch: {running[ready].key}")
    finally:
        pool.shutdown(cancel_futures=True)


def download(s3: Any, items: list[Object], folder: Path, downloads: Path, say: OnLine) -> None:
    """Read ``items`` into ``folder``; ``downloads`` holds what an earlier, broken attempt has read.

    Raises:
        ChangedError: an object was replaced since it was listed.
        ValueError: S3 refuses, or the content does not fit its checksum.
        RuntimeError: the connection breaks again and again.
    """
    downloads.mkdir(parents=True, exist_ok=True)
    _download(s3, items, downloads, say)
    for item in items:
        _check(s3, item, _part_file(downloads, item))
    for item in items:
        file, target = _part_file(downloads, item), folder / item.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, target)
        file.with_suffix(".done").unlink()
