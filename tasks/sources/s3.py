"""Fetch objects from S3: listed page by page, read in ranges side by side, resumed after a break.

Each object is read into a folder for downloads under a name made from bucket, key and ETag. So what
a killed run has fetched is used by the next one, and can never be mixed with another version of the
object. In the end it is checked against its ETag. boto3 finds the credentials, the region and
``AWS_ENDPOINT_URL`` in its usual places.
"""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from beauty_models.progress import log_line
from tasks.state import OnLine

PART = 16 * 2**20  # bytes of one ranged request
THREADS = 8  # ranged requests at once
ATTEMPTS = 4  # of one range whose connection breaks
LINE_EVERY_S = 2.0  # between two progress lines


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

    # boto3's default session is not made for threads.
    session = boto3.session.Session()
    retries = {"mode": "standard", "total_max_attempts": 5}
    return session.client("s3", config=Config(retries=retries, max_pool_connections=THREADS * 2))


@contextmanager
def _translated_errors(bucket: str, key: str) -> Iterator[None]:
    """Turn what boto3 raises into an error that says what to check, and holds no credentials.

    Raises:
        ValueError: trying again does not help.
        RuntimeError: it may.
        ChangedError: the object has another ETag than the request asked for.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        PartialCredentialsError,
    )

    url = f"s3://{bucket}/{key}"
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError):
        raise ValueError(
            f"{url}: no AWS credentials found; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        ) from None
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        # 412 answers our IfMatch: the object was replaced since it was listed.
        if code in ("412", "PreconditionFailed"):
            raise ChangedError(url) from None
        raise ValueError(f"{url}: {_remedy(code, bucket, error.response)}") from None
    except BotoCoreError as error:
        raise RuntimeError(
            f"{url}: {error}; check the network, AWS_REGION and AWS_ENDPOINT_URL"
        ) from None


REFUSED = {
    "403",
    "AccessDenied",
    "Forbidden",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "AllAccessDisabled",
}
"""Codes of S3 and of stores that speak its protocol."""


def _remedy(code: str, bucket: str, response: Mapping[str, Any]) -> str:
    """Return what an error code of S3 means, and what to do.

    ``response`` is all of the answer, which names the region of a bucket that is elsewhere.
    """
    if code in REFUSED:
        return (
            f"S3 refused ({code}); check the credentials in use (AWS_PROFILE) and that they may "
            "s3:ListBucket and s3:GetObject here"
        )
    if code == "NoSuchBucket":
        return f"there is no bucket {bucket!r}; check its name, AWS_REGION and AWS_ENDPOINT_URL"
    if code in ("404", "NoSuchKey", "NotFound"):
        return "there is no such object (any more); list the prefix again"
    if code in ELSEWHERE:
        headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        region = response.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region")
        if region:
            return f"the bucket is in {region}: set AWS_REGION={region}"
        return f"the bucket is in another region ({code}): set AWS_REGION to it"
    return REMEDIES.get(code, f"S3 answered {code}")


ELSEWHERE = {
    "301",
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}
"""Codes of a bucket that another region holds."""

REMEDIES = {
    "RequestTimeTooSkewed": (
        "the clock of this machine is off by more than a quarter of an hour: set it (timedatectl)"
    ),
    "InvalidObjectState": (
        "the object is archived (GLACIER or the like): restore it first, or leave it out of the "
        "prefix"
    ),
    "RequestPayer": "whoever reads the bucket pays for it (requester pays): copy it to your own",
    "SlowDown": "the store is asked too often (SlowDown): try again later",
    "InvalidBucketName": "that is no name of a bucket; an address is s3://BUCKET/PREFIX",
}
"""Code → what it means and what to do."""


def _relative_path(key: str, prefix: str) -> str:
    """Return where ``key`` goes below the folder.

    Raises:
        ValueError: it would lie outside, or no disk has such a name.
    """
    path = PurePosixPath(key).name if key == prefix else key.removeprefix(prefix)
    # A slash too many makes a folder without a name, which programs that upload make by mistake.
    steps = [step for step in path.split("/") if step]
    # Keys are a stranger's: any text is one, such as a/../../etc/passwd.
    if not steps or {".", ".."} & set(steps) or "\\" in path or "\0" in path:
        raise ValueError("its name would lie outside the data folder, or is none for a file")
    return "/".join(steps)


def _matches(steps: list[str], pattern: list[str]) -> bool:
    """Return whether a key's ``steps`` match those of a glob; ``**`` is any number of folders."""
    if not pattern:
        return not steps
    if pattern[0] == "**":
        rest = pattern[1:]
        return any(_matches(steps[start:], rest) for start in range(len(steps) + 1))
    return bool(steps) and fnmatchcase(steps[0], pattern[0]) and _matches(steps[1:], pattern[1:])


def list_objects(s3: Any, url: str, on_line: OnLine = log_line) -> list[Object]:
    """Return the objects at or below ``s3://bucket/prefix``, or that a glob matches, by path.

    Folder markers and empty objects are left out. One whose name no file can have is, too, and
    ``on_line`` is told.

    Raises:
        ValueError: S3 refuses, or nothing is there.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    prefix = prefix.rstrip("/")
    found, similar_keys = _listed(s3, bucket, prefix)
    folder = prefix
    # A key may really have a star in it: as it stands first.
    if not found and glob.has_magic(prefix):
        steps = prefix.split("/")
        plain = list(takewhile(lambda step: not glob.has_magic(step), steps))
        folder = "/".join(plain)
        below, _ = _listed(s3, bucket, folder)
        for item in below:
            rest = item["Key"].removeprefix(folder).strip("/").split("/")
            if _matches(rest, steps[len(plain) :]):
                found.append(item)
    objects = _usable(bucket, found, folder, on_line)
    if not objects:
        near = f"; near it: {', '.join(sorted(similar_keys)[:3])}" if similar_keys else ""
        raise ValueError(f"{url}: no object with content is there; check bucket and prefix{near}")
    _refuse_clashes(objects)
    return sorted(objects, key=lambda item: item.path)


def _listed(s3: Any, bucket: str, prefix: str) -> tuple[list[Any], set[str]]:
    """Return what S3 lists at or below ``prefix``, and keys that only begin with the same text."""
    found = []
    similar_keys = set()
    with _translated_errors(bucket, prefix):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                key = item["Key"]
                # S3's prefix is one of text: reviews also lists reviews-2024/a.csv.
                if prefix == "" or key == prefix or key.startswith(f"{prefix}/"):
                    found.append(item)
                else:
                    similar_keys.add(key)
    return found, similar_keys


def _usable(bucket: str, listed: list[Any], prefix: str, on_line: OnLine) -> list[Object]:
    """Return the objects of ``listed`` that have content and a name that a file can have."""
    by_path: dict[str, Object] = {}
    for item in listed:
        key = item["Key"]
        if not item["Size"]:
            continue
        try:
            path = _relative_path(key, prefix)
        except ValueError as error:
            on_line(f"s3://{bucket}/{key}: left out, {error}")
            continue
        if path in by_path:
            on_line(f"s3://{bucket}/{key}: left out, {by_path[path].key} has the same name here")
            continue
        by_path[path] = Object(bucket, key, path, item["Size"], item["ETag"].strip('"'))
    return list(by_path.values())


def _refuse_clashes(objects: list[Object]) -> None:
    """Refuse a key that is both an object and the folder of others, which no disk can hold.

    Raises:
        ValueError: there is one.
    """
    paths = {item.path for item in objects}
    for item in objects:
        folders = {str(parent) for parent in PurePosixPath(item.path).parents}
        for clash in paths & folders:
            raise ValueError(
                f"s3://{item.bucket}/{item.key}: {clash} is an object and a folder at once; "
                "rename one of them"
            )


def _read_range(s3: Any, item: Object, start: int, file: Path) -> int:
    """Write the range of ``item`` from byte ``start`` on to its place in ``file``, and note it.

    Returns:
        Its length in bytes.

    Raises:
        ChangedError: the object was replaced since it was listed.
        RuntimeError: the connection broke again and again.
    """
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    end = min(start + PART, item.bytes)
    for attempt in range(ATTEMPTS):
        try:
            with _translated_errors(item.bucket, item.key):
                answer = s3.get_object(
                    Bucket=item.bucket,
                    Key=item.key,
                    Range=f"bytes={start}-{end - 1}",
                    IfMatch=f'"{item.etag}"',
                )
            # boto3's own retries end with the headers: a body that breaks off is ours to repeat.
            content = answer["Body"].read()
            break
        except (HTTPClientError, IncompleteReadError, OSError) as error:
            if attempt == ATTEMPTS - 1:
                raise RuntimeError(
                    f"s3://{item.bucket}/{item.key}: the connection broke {ATTEMPTS} times at "
                    f"byte {start}: {error}"
                ) from None
            # 0.2, 0.4, 0.8 seconds: what is down for longer is for the next run.
            time.sleep(0.2 * 2**attempt)
    if len(content) != end - start:
        raise ChangedError(f"s3://{item.bucket}/{item.key}")
    with file.open("r+b") as target:
        target.seek(start)
        target.write(content)
    # After the content: killed in between, the range is read again.
    with file.with_suffix(".done").open("a") as done:
        done.write(f"{PART} {start}\n")
    return len(content)


def _multipart_etag(file: Path, sizes: list[int]) -> str:
    """Return the ETag that S3 gives a file uploaded in parts of these sizes.

    It is the MD5 of the parts' MD5s, and their number.
    """
    parts = []
    with file.open("rb") as content:
        for size in sizes:
            part = hashlib.md5(usedforsecurity=False)
            while size and (block := content.read(min(size, 2**20))):
                part.update(block)
                size -= len(block)
            parts.append(part.digest())
    whole = hashlib.md5(b"".join(parts), usedforsecurity=False)
    return f"{whole.hexdigest()}-{len(parts)}"


def _fits_multipart_etag(s3: Any, item: Object, file: Path) -> bool:
    """Return whether ``file`` fits the ETag of an object uploaded in parts.

    True also when the server does not tell the sizes of the parts.
    """

    def part_size(number: int) -> int:
        head = s3.head_object(Bucket=item.bucket, Key=item.key, PartNumber=number)
        return int(head["ContentLength"])

    count = int(item.etag.partition("-")[2])
    first = part_size(1)
    last = item.bytes - first * (count - 1)
    # Nearly every program uploads parts of one size: that saves a request for each part.
    if last > 0 and _multipart_etag(file, [first] * (count - 1) + [last]) == item.etag:
        return True
    sizes = [part_size(number + 1) for number in range(count)]
    # A store that ignores PartNumber answers with the whole object's size each time.
    return sum(sizes) != item.bytes or _multipart_etag(file, sizes) == item.etag


def _verify(s3: Any, item: Object, file: Path) -> None:
    """Compare ``file`` with the object's ETag where that is a checksum.

    It is none for objects encrypted with a key of KMS or of the customer.

    Raises:
        ValueError: the content does not fit the ETag.
    """
    # An object that was uploaded in one request has its MD5 for an ETag.
    with file.open("rb") as content:
        if hashlib.file_digest(content, "md5").hexdigest() == item.etag:
            return
    with _translated_errors(item.bucket, item.key):
        head = s3.head_object(Bucket=item.bucket, Key=item.key, IfMatch=f'"{item.etag}"')
        no_checksum = (
            head.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in head
        )
        if no_checksum or ("-" in item.etag and _fits_multipart_etag(s3, item, file)):
            return
    # Gone, so that the next attempt reads all of it anew.
    file.unlink()
    file.with_suffix(".done").unlink()
    raise ValueError(
        f"s3://{item.bucket}/{item.key}: what arrived does not fit its ETag {item.etag}; "
        "fetch again"
    )


def _part_file(downloads: Path, item: Object) -> Path:
    """Return the file of a download; beside it ``….done`` lists the ranges that it has."""
    identity = f"{item.bucket}/{item.key} {item.etag}"
    return downloads / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.part"


def _missing_ranges(downloads: Path, item: Object) -> list[int]:
    """Return the starts of the ranges of ``item`` that are still to be read.

    Its file has its full length afterwards.
    """
    file = _part_file(downloads, item)
    done = file.with_suffix(".done")
    # One without the other is what a killed run left between two steps.
    if not file.exists() or not done.exists():
        done.write_text("")
        file.touch()
    os.truncate(file, item.bytes)
    # A line has the size of the ranges, since another release may read in other ones.
    lines = set(done.read_text().split("\n"))
    return [start for start in range(0, item.bytes, PART) if f"{PART} {start}" not in lines]


def _read_all(s3: Any, items: list[Object], downloads: Path, on_line: OnLine) -> None:
    """Read all ranges of ``items`` that are not there yet."""
    missing = [(item, start) for item in items for start in _missing_ranges(downloads, item)]
    total = sum(item.bytes for item in items)
    done = total - sum(min(PART, item.bytes - start) for item, start in missing)
    if done:
        on_line(f"fetch: {done:,} of {total:,} bytes are there from an earlier attempt")
    last_line = 0.0
    pool = ThreadPoolExecutor(THREADS)
    try:
        running: dict[Future[int], Object] = {}
        for item, start in missing:
            future = pool.submit(_read_range, s3, item, start, _part_file(downloads, item))
            running[future] = item
        for future in as_completed(running):
            done += future.result()
            if time.monotonic() - last_line >= LINE_EVERY_S or done == total:
                last_line = time.monotonic()
                on_line(f"progress: {done / total:.4f} fetch: {running[future].key}")
    finally:
        # After an error: what was not begun is not worth a request.
        pool.shutdown(cancel_futures=True)


def download(s3: Any, items: list[Object], folder: Path, downloads: Path, on_line: OnLine) -> None:
    """Read ``items`` into ``folder``; ``downloads`` holds what an earlier, broken attempt has read.

    Raises:
        ChangedError: an object was replaced since it was listed.
        ValueError: S3 refuses, or the content does not fit its checksum.
        RuntimeError: the connection breaks again and again.
    """
    downloads.mkdir(parents=True, exist_ok=True)
    _read_all(s3, items, downloads, on_line)
    # All are checked before the first is moved: a failure leaves the folder as it was.
    for item in items:
        _verify(s3, item, _part_file(downloads, item))
    for item in items:
        file = _part_file(downloads, item)
        target = folder / item.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, target)
        file.with_suffix(".done").unlink()
