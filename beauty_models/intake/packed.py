"""Packed files: unpacked in memory, with a limit on what they unpack to."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path

import pyarrow as pa

from beauty_models.intake import delivery

COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}  # suffix → pyarrow's name
# What zipfile and its decoders raise of archives that are damaged. A password is a RuntimeError, an
# odd method of packing NotImplementedError, a name that is no UTF-8 a ValueError.
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    struct.error,
)
LARGEST = 4_000_000_000  # bytes of a table once it is unpacked


def content(file: Path) -> bytes:
    """Return the content of ``file``, unpacked.

    Raises:
        ValueError: it is not what its suffix says, or larger than `LARGEST` unpacked.
    """
    if file.suffix.lower() == ".zip":
        return _from_archive(file)
    codec = COMPRESSED.get(file.suffix.lower())
    if codec is None:
        return file.read_bytes()
    try:
        with pa.input_stream(str(file), compression=codec) as stream:
            content: bytes = stream.read(LARGEST + 1)
    except (pa.ArrowException, OSError) as error:
        flaw = str(error).splitlines()[0]
        raise ValueError(f"{file}: cannot be unpacked ({flaw:.100}); download it again") from None
    if len(content) > LARGEST:
        raise ValueError(
            f"{file}: unpacked it has more than {LARGEST:,} bytes; deliver it in parts"
        )
    return content


def _from_archive(file: Path) -> bytes:
    """Return the content of the only file in an archive."""
    refuse_bomb(file)
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.read(only_file(file))
    except DAMAGED as error:
        raise ValueError(f"{file}: cannot be unpacked ({error!s:.100}); unpack it first") from None


def refuse_bomb(file: Path) -> None:
    """Refuse a workbook or archive that unpacks to more than `LARGEST`.

    Raises:
        ValueError: it does.
    """
    if not zipfile.is_zipfile(file):
        return  # the older .xls is no archive
    # zipfile reads no more of a member than it says here.
    size = sum(member.file_size for member in _members(file))
    if size > LARGEST:
        raise ValueError(
            f"{file}: unpacked it has {size:,} bytes, {LARGEST:,} are read at most; deliver "
            "it in parts"
        )


def _members(file: Path) -> list[zipfile.ZipInfo]:
    """Return what an archive says that it holds.

    Raises:
        ValueError: it is damaged.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.infolist()
    except DAMAGED as error:
        raise ValueError(f"{file}: a damaged archive ({error!s:.100}); pack it again") from None


def only_file(file: Path) -> str:
    """Return the name of the file in an archive that holds no other one, or ""."""
    if not file.is_file() or not zipfile.is_zipfile(file):
        return ""
    try:
        names = [member.filename for member in _members(file) if not member.is_dir()]
    except ValueError:
        return ""
    wanted = [name for name in names if not any(map(delivery.is_litter, name.split("/")))]
    return wanted[0] if len(wanted) == 1 else ""
