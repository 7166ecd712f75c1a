"""Package files that `make install` fetches beside the environment, because pip unpacks them not.

They are read from memory; nothing of them is unpacked or run.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

FOLDER = Path(sys.prefix) / "share/beauty-models"


def fetched(pattern: str) -> Path:
    """Return the fetched file whose name fits ``pattern``; the place it belongs to where none does.

    A pattern, because a wheel's name says for which interpreter and machine it was built.
    """
    return next(iter(sorted(FOLDER.glob(pattern))), FOLDER / pattern)


def read_fetched(file: Path) -> bytes:
    """Return the content of a file that `fetched` named.

    Raises:
        ValueError: it is not there.
    """
    if not file.exists():
        raise ValueError(f"{file}: not there; `make install` fetches it")
    return file.read_bytes()


def check_published(content: bytes, sha256: str, file: Path) -> None:
    """Refuse ``content``, of ``file``, when it is not what was published.

    Raises:
        ValueError: its SHA-256 differs.
    """
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(
            f"{file}: not the file that was published, its SHA-256 differs; "
            "delete it, `make install` fetches it again"
        )
