"""Tables drawn from known values in all dialects: those values come out, or a reason does.

Never another value, never a traceback, never fewer rows without a word.
"""

from __future__ import annotations

import csv
from pathlib import Path

import known as k
from hypothesis import given
from hypothesis import strategies as st

UNICODE = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]
PACKED = ["", "", ".gz", ".bz2", ".zst", ".zip"]


def written(folder: Path, name: str, content: bytes, suffix: str = "") -> Path:
    file = folder / f"{name}{suffix}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(k.packed(content, name, suffix))
    return file


@k.examples(150)
@given(
    known=k.known_tables(),
    dialect=k.DIALECTS,
    encoding=st.sampled_from(UNICODE),
    suffix=st.sampled_from(PACKED),
)
def test_delimited_text(
    known: k.Known, dialect: k.Dialect, encoding: str, suffix: str, tmp_path: Path
) -> None:
    content = k.delimited(known, dialect).encode(encoding)
    k.check(written(tmp_path, "a.csv", content, suffix), known, whole=True)


@k.examples(100)
@given(known=k.known_tables(), delimiter=st.sampled_from([",", ";", "\t", "|"]))
def test_text_without_quoting(known: k.Known, delimiter: str, tmp_path: Path) -> None:
    plain, text = k.without_quoting(known, delimiter)
    k.check(written(tmp_path, "a.tsv", text.encode()), plain, whole=False)


@k.examples(100)
@given(
    known=k.known_tables(),
    dialect=k.DIALECTS,
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONE]),
)
def test_text_with_backslashes(
    known: k.Known, dialect: k.Dialect, quoting: int, tmp_path: Path
) -> None:
    dialect = dialect._replace(doubled=False, quoting=quoting)
    content = k.delimited(known, dialect).encode()

    def same(cell: str) -> str:
        # Two backslashes are one where something else says that the file escapes by them. A UNC
        # path alone does not. Escaped one by one, \r and \n are two line ends.
        return k.one_line_end(cell).replace("\\\\", "\\").replace("\n\n", "\n")

    k.check(written(tmp_path, "a.csv", content), known, whole=False, same=same)


@k.examples(60)
@given(known=k.known_tables(), encoding=st.sampled_from(UNICODE), suffix=st.sampled_from(PACKED))
def test_json(known: k.Known, encoding: str, suffix: str, tmp_path: Path) -> None:
    for name, text in k.json_files(known).items():
        k.check(written(tmp_path, name, text.encode(encoding), suffix), known, whole=True)
