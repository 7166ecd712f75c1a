"""Archives of several files in a delivery, .zip and .tar, read as a folder would be.

Nothing is written outside the folder that it is unpacked to, no link is made, and there are limits
on what comes out. A .zip with a table alone in it needs no unpacking: `tables` reads that.
"""

from __future__ import annotations

import filecmp
import io
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow as pa

from beauty_models.intake import account, delivery, encodings, folders, tables

TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
ENDINGS = (".zip", *TAR)
UNREADABLE = (".7z", ".rar")  # their packers are no part of Python
LARGEST = 50_000_000_000  # bytes that an archive unpacks to
MOST_FILES = 2_000_000
SPARE = 500_000_000  # bytes of the disk that stay free
CHUNK = 1 << 20  # bytes
UTF8_NAMES = 0x800  # flag of a member of a .zip
ENCRYPTED = 0x1

BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    RuntimeError,  # zipfile's, of an odd method of packing, too (NotImplementedError)
    lzma.LZMAError,
    pa.ArrowException,
    EOFError,
    OSError,
)


class Member(NamedTuple):
    """A file in an archive."""

    name: str
    stream: IO[bytes]


def is_archive(file: Path) -> bool:
    """Return whether ``file`` is an archive, by its name, and no table alone in a .zip."""
    return bool(_ending(file.name)) and not tables.is_table(file)


def _ending(name: str) -> str:
    """Return which of `ENDINGS` a name has, the longest that fits; "" for none."""
    fitting = [ending for ending in ENDINGS if name.casefold().endswith(ending)]
    return max(fitting, key=len, default="")


@contextmanager
def as_folders(raw: Path, data: Path) -> Iterator[Path]:
    """Yield ``raw``, or a folder beside ``data`` with its files and what its archives hold.

    ``photos.zip`` becomes a folder ``photos``; one whose files lie beside it already is left aside.
    Where ``raw`` is a file it is the only one of its folder. The folder is gone when the block
    ends.

    Raises:
        ValueError: ``raw`` is not there, or an archive is broken, needs a password, or is larger
            than the limits.
    """
    if not raw.exists():
        raise ValueError(f"{raw}: no such file or folder; give what was delivered")
    alone = raw.is_file()
    found = folders.Delivery([raw], [], []) if alone else delivery.look(raw)
    above = raw.parent if alone else raw
    archives = [file for file in found.files if is_archive(file)]
    for file in found.files:
        if file.name.casefold().endswith(UNREADABLE):
            account.leave_aside("archives", "cannot be unpacked here; deliver .zip", file)
    if not archives and not alone:
        yield raw
        return
    folder = data.with_name(f".{data.name}.unpacked")
    # A run that was killed has left one.
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for file in found.files:
            if file not in archives:
                _put(file, folder / file.relative_to(above))
        for file in archives:
            _unpack_beside(file, folder / file.relative_to(above))
        yield folder
    except ValueError as error:
        # The folder is gone when somebody reads the message.
        told = str(error).replace(f"{folder}/", f"{above}/").replace(str(folder), str(raw))
        raise (ValueError(told) if type(error) is ValueError else error) from error.__cause__
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put(file: Path, target: Path) -> None:
    """Make ``file`` appear at ``target``, without a copy where the disk is the same."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source = file.resolve()  # a link of the delivery, which leads inside it
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _unpack_beside(file: Path, place: Path) -> None:
    """Unpack ``file``, whose own path in the new folder is ``place``, to a folder beside that."""
    stem = file.name[: -len(_ending(file.name))]
    beside = [file.with_name(stem), file.parent]
    target = place.with_name(stem)
    if not stem or target.exists():
        target = place  # another folder has that name: this one is called photos.zip
    names = unpack(file, target)
    for other in beside:
        if names and all(_is_same(target / name, other / name) for name in names):
            account.leave_aside("archives", "their files lie unpacked beside them", file)
            shutil.rmtree(target)
            return


def _is_same(one: Path, other: Path) -> bool:
    return other.is_file() and filecmp.cmp(one, other, shallow=False)


def unpack(
    file: Path, folder: Path, is_needed: Callable[[str], bool] = lambda name: True
) -> list[str]:
    """Unpack an archive into ``folder`` and return the paths of its files below that.

    Litter (`folders`), links, and names that lead out are left out; archives in it stay packed and
    are left out, too. All but litter is told. Files that are not ``is_needed`` are empty.

    Raises:
        ValueError: it is broken, needs a password, or holds more than the limits allow.
    """
    refused: dict[str, list[str]] = {}
    written: dict[str, None] = {}  # an ordered set: of a name that is there twice the last counts
    allowance = min(LARGEST, shutil.disk_usage(_existing(folder)).free - SPARE)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for member in _members(file, refused, allowance):
            steps = _steps(member.name)
            if steps is None:
                refused.setdefault("names that lead out", []).append(member.name)
            elif any(map(folders.is_litter, steps)):
                continue
            elif _ending(steps[-1]) or steps[-1].casefold().endswith(UNREADABLE):
                refused.setdefault("archives within", []).append(member.name)
            else:
                name = "/".join(steps)
                content = member.stream if is_needed(name) else io.BytesIO()
                allowance -= _write(content, folder / name, file, allowance)
                written[name] = None
            if len(written) > MOST_FILES:
                raise ValueError(f"{file}: more than {MOST_FILES:,} files; deliver it in parts")
    except BROKEN as error:
        flaw = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{file}: cannot be unpacked ({flaw:.100}); download it again, or unpack it yourself"
        ) from None
    for reason, names in refused.items():
        reason = f"{reason}, such as {names[0]!r:.60}"
        account.leave_aside("files of archives", reason, file, len(names))
    return list(written)


def _existing(folder: Path) -> Path:
    """Return the nearest folder above that is there."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def _steps(name: str) -> list[str] | None:
    """Return the folders and the file of a member's name; None where it leads out."""
    path = name.replace("\\", "/")
    if path.startswith("/") or path[1:2] == ":":
        return None
    steps = [step for step in path.split("/") if step not in ("", ".")]
    return None if ".." in steps or not steps else steps


def _write(stream: IO[bytes], target: Path, file: Path, allowance: int) -> int:
    """Write a member to ``target`` and return its size, which is counted, not believed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with target.open("wb") as out:
        while content := stream.read(CHUNK):
            size += len(content)
            if size > allowance:
                raise _too_large(file)
            out.write(content)
    return size


def _too_large(file: Path) -> ValueError:
    return ValueError(
        f"{file}: it unpacks to more than {LARGEST:,} bytes, or than this disk has room for; "
        "deliver it in parts"
    )


def _members(file: Path, refused: dict[str, list[str]], allowance: int) -> Iterator[Member]:
    """Yield the files of an archive, each to be read before the next; note links in ``refused``."""
    if _ending(file.name) == ".zip":
        yield from _zip_members(file, refused, allowance)
    else:
        yield from _tar_members(file, refused)


def _zip_members(file: Path, refused: dict[str, list[str]], allowance: int) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        # Before anything is written: what it says of itself is true of all but attacks.
        if sum(member.file_size for member in members) > allowance:
            raise _too_large(file)
        if any(member.flag_bits & ENCRYPTED for member in members):
            raise ValueError(f"{file}: needs a password; unpack it first")
        names = _names(members, file)
        for member, name in zip(members, names, strict=True):
            if stat.S_ISLNK(member.external_attr >> 16):
                refused.setdefault("links", []).append(name)
                continue
            try:
                stream = archive.open(member)
            except (NotImplementedError, RuntimeError) as error:
                raise ValueError(f"{file}: {error!s:.100}; unpack it yourself") from None
            with stream:
                yield Member(name, stream)


def _names(members: list[zipfile.ZipInfo], file: Path) -> list[str]:
    """Return the members' names, decoded where no flag says that they are UTF-8.

    Windows writes them in the encoding of its language. zipfile takes them for cp437, the PC's
    first, in which those of other alphabets are line-drawing characters.
    """
    odd = [member for member in members if not member.flag_bits & UTF8_NAMES]
    written = [member.filename.encode("cp437", "replace") for member in odd]
    encoding = _encoding(written, file)
    decoded = {}
    for member, name in zip(odd, written, strict=True):
        decoded[id(member)] = name.decode(encoding, "replace")
    return [decoded.get(id(member), member.filename) for member in members]


def _encoding(names: list[bytes], file: Path) -> str:
    text = b"\n".join(names)
    try:
        text.decode()
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8"
    if all(letter.isalpha() for letter in text.decode("cp437") if ord(letter) > 127):
        return "cp437"
    return encodings.encoding_of(io.BytesIO(text), f"the names in {file}")


def _tar_members(file: Path, refused: dict[str, list[str]]) -> Iterator[Member]:
    compressed = file.name.casefold().endswith(("zst", "zstd"))
    source = pa.input_stream(str(file), compression="zstd") if compressed else file.open("rb")
    # One pass: a stream cannot be wound back, and need not be.
    with source, tarfile.open(fileobj=source, mode="r|" if compressed else "r|*") as archive:
        for member in archive:
            if member.isdir():
                continue
            stream = archive.extractfile(member) if member.isreg() else None
            if stream is None:
                # A link that stays inside shows what is there anyway.
                refused.setdefault("links and devices", []).append(member.name)
                continue
            yield Member(member.name, stream)
