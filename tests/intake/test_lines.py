"""Large tables: lines that stay on the disk are the lines of the text, batches are the table."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beauty_models.intake import lines, tables
from beauty_models.intake.encodings import clean
from beauty_models.intake.lines import Lines

ENDS = st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n"])
PIECES = st.binary(max_size=6) | st.text("aé好\ufeff\U0001f600,\"'", max_size=8).map(str.encode)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(PIECES, ENDS), max_size=12),
    PIECES,
    st.sampled_from(["utf-8", "gb18030", "cp932", "cp1252"]),
    st.integers(1, 40),
)
def test_lines_on_the_disk_are_those_of_the_whole_text(
    rows: list[tuple[bytes, bytes]], last: bytes, encoding: str, block: int
) -> None:
    content = b"".join(piece + end for piece, end in rows) + last
    # A NUL between \r and \n would make one line of two; no text has it.
    content = content.replace(b"\0", b"")
    expected = io.StringIO(clean(content.decode(encoding, "lost")), newline=None).readlines()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        file = Path(folder, "file.csv")
        file.write_bytes(content)
        patch.setattr(lines, "BLOCK", block)
        found = Lines(file, encoding)
        read = list(found)
        # A last line that is a byte order mark and no more is an empty one here.
        assert [line for line in read if line] == expected
        assert [found[number] for number in reversed(range(len(found)))] == read[::-1]
        assert found[1:4] == read[1:4]
        shouted = found.mapped(str.upper)
        assert list(shouted) == [line.upper() for line in read]


def _large(folder: Path, suffix: str) -> Path:
    rows = pd.DataFrame(
        {
            "text": [f'好 {number}, "quoted"\nsecond line' for number in range(100)],
            "label": [str(number % 2) for number in range(100)],
        }
    )
    file = folder / f"rows{suffix}"
    if suffix == ".parquet":
        rows.to_parquet(file)
    else:
        text = rows.to_csv(index=False)
        file.write_text(text + "too,many,cells\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_batches_are_the_table(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _large(tmp_path, suffix)
    whole = tables.read(file)
    monkeypatch.setattr(lines, "LARGE", 0)
    monkeypatch.setattr(lines, "BLOCK", 50)
    found = list(tables.batches(file, most=7))
    assert len(found) == -(-(len(whole.rows) + len(whole.rejected)) // 7)
    shares = [table.read for table in found]
    assert shares == sorted(shares) and 0 < shares[0] < 0.2 and shares[-1] == 1
    pd.testing.assert_frame_equal(pd.concat([table.rows for table in found]), whole.rows)
    rejected = [tuple(row) for table in found for row in table.rejected.to_numpy()]
    assert rejected == [tuple(row) for row in whole.rejected.to_numpy()]
