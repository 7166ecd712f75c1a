"""The account of a messy delivery adds up, says all that was guessed, and fits the screen."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from beauty_models import params
from beauty_models.evaluation.page import page
from beauty_models.evaluation.sections import add_account
from beauty_models.intake import account, delivery
from beauty_models.intake.rejected import Rejected
from beauty_models.params import Reading
from beauty_models.sentiment import Ingest
from beauty_models.sentiment.data import ingest

FRENCH = "très déçue ça sent dès le début à éviter même où la qualité paraît"
SETTINGS: Ingest = params.load("sentiment", Path(__file__).parents[2] / "params.yaml").ingest


def some(count: int, salt: str) -> list[tuple[str, str]]:
    """Return reviews that have nothing in common, with stars 5 and 1 in turn."""
    reviews = []
    for place in range(count):
        digest = hashlib.sha256(f"{salt}{place}".encode()).hexdigest()
        words = [digest[at : at + 4] for at in range(0, 40, 4)]
        reviews.append((" ".join(words), "51"[place % 2]))
    return reviews


def put(raw: Path, name: str, content: str | bytes) -> None:
    file = raw / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def table(reviews: list[tuple[str, str]], header: str = "text,stars", mark: str = ",") -> str:
    return "\n".join([header.replace(",", mark), *(mark.join(row) for row in reviews)])


def messy(raw: Path) -> Path:
    """Write a delivery in which every file has another oddity; return it."""
    french = [
        (
            f"{FRENCH} {text}",
            stars,
        )
        for text, stars in some(30, "french")
    ]
    put(raw, "windows.csv", table(french).encode("cp1252"))
    put(raw, "german.csv", table(some(30, "german"), mark=";"))
    quotes = some(30, "quotes")
    quotes[3] = (f'"{quotes[3][0]}', "5")
    quotes[9] = (f'{quotes[9][0]} 7"', "1")
    put(raw, "quotes.tsv", table(quotes, mark="\t"))
    put(raw, "excel.csv", "sep=;\n" + table(some(20, "excel"), mark=";"))
    put(raw, "excel.txt", table(some(20, "unicode"), mark="\t").encode("utf-16"))
    put(raw, "packed.csv.gz", gzip.compress(table(some(20, "packed")).encode(), mtime=0))
    dated = [(*row, f"{day:02}/03/2024") for day, row in enumerate(some(24, "dated"), 1)]
    put(raw, "dated.csv", "text,stars,date\n" + "\n".join(map(",".join, dated)))
    undated = [(*row, f"{day:02}/03/2024") for day, row in enumerate(some(12, "undated"), 1)]
    put(raw, "undated.csv", "text,stars,date\n" + "\n".join(map(",".join, undated)))
    nested = [{"review": {"text": text, "stars": int(s)}} for text, s in some(20, "nested")]
    put(raw, "shop.jsonl", "\n".join(map(json.dumps, nested)))
    put(raw, "points.csv", table([(text, f"{int(s) * 2}/10") for text, s in some(20, "points")]))
    hive = raw / "rating=5/part-0.parquet"
    put(raw, "rating=5/part-0.parquet", b"")
    pq.write_table(pa.table({"text": [text.encode() for text, _ in some(10, "hive")]}), hive)
    both = [(text, "pos" if s == "5" else "neg", s) for text, s in some(60, "both")]
    both[7] = (both[7][0], "pos", "1")
    put(raw, "both.csv", "text,label,stars,age\n" + "\n".join(",".join((*r, "30")) for r in both))
    # Two rows without a text, one of too many cells, a copy and a contradiction.
    faults = [*some(20, "faults"), ("", "5"), ("", "1"), ("too,many", "5")]
    faults += [some(1, "excel")[0], (some(1, "german")[0][0], "1")]
    put(raw, "faults.csv", table(faults))
    put(raw, "notes.docx", b"PK")
    put(raw, "@eaDir/windows.csv/SYNO.csv", "text,stars\nlitter,5")
    put(raw, "Thumbs.db", b"x")
    (raw / "gone.csv").symlink_to(raw.parent / "elsewhere.csv")
    return raw


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("messy")
    ingest(raw=messy(folder / "raw"), data=folder / "data", params=SETTINGS)
    text = (folder / "data/account.json").read_text(encoding="utf-8")
    assert str(folder) not in text
    # The same delivery elsewhere gives the same bytes.
    shutil.move(folder / "raw", folder / "other")
    (folder / "other/gone.csv").unlink()
    (folder / "other/gone.csv").symlink_to(folder / "elsewhere.csv")
    ingest(raw=folder / "other", data=folder / "again", params=SETTINGS)
    assert (folder / "again/account.json").read_text(encoding="utf-8") == text
    read: dict[str, Any] = json.loads(text)
    return read


def test_what_was_read_is_what_was_kept_dropped_and_rejected(content: dict[str, Any]) -> None:
    [counts] = content["counts"]
    assert counts["what"] == "reviews"
    dropped = {row["reason"]: row["count"] for row in counts["dropped"]}
    rejected = {row["reason"]: row for row in counts["rejected"]}
    # 30 + 30 + 30 + 20 + 20 + 20 + 24 + 12 + 20 + 20 + 10 + 60, and 25 with faults.
    assert counts["read"] == 321
    assert dropped == {"the text is there already": 1}
    assert {reason: row["count"] for reason, row in rejected.items()} == {
        "no text": 2,
        "3 cells where the header has 2": 1,
        "the same text has different labels": 2,
    }
    assert rejected["no text"]["example"] == "faults.csv:22"
    assert counts["kept"] == 321 - 1 - 5
    parts = counts["parts"]
    assert sum(parts.values()) == counts["kept"] and parts["without label"] == 0


def test_what_was_left_aside_is_counted_and_named(content: dict[str, Any]) -> None:
    aside = {
        (row["what"], place): row["reason"] for row in content["aside"] for place in row["places"]
    }
    assert aside["files", "notes.docx"] == "no table that is read"
    assert ("files and folders", "@eaDir") in aside and ("files and folders", "Thumbs.db") in aside
    assert "out of the delivery" in aside["links", "gone.csv"]
    assert aside["columns", "both.csv: age"] == "no field takes them"
    [dates] = [row for row in content["aside"] if row["what"] == "dates"]
    # Of 12 days one is the third of March either way.
    assert dates["places"] == {"undated.csv": 11}
    assert dates["option"] == "--set sentiment.ingest.reading.dates=day_first"


def test_what_was_guessed_is_said_with_how_sure_it_is(content: dict[str, Any]) -> None:
    guessed = {(row["subject"], file): row for row in content["guessed"] for file in row["files"]}
    expected = {
        ("encoding", "windows.csv"): ("cp1252 (fr)", "certain"),
        ("encoding", "excel.txt"): ("utf-16-le", "certain"),
        ("separator", "german.csv"): (";", "certain"),
        ("separator", "excel.csv"): (";", "certain"),
        ("dates", "dated.csv"): ("the day first", "certain"),
        ("column", "shop.jsonl"): ("text is review.text", "likely"),
        ("scale", ""): ("10 is 5 stars", "certain"),
        ("quotes", "quotes.tsv"): (
            "a quotation mark that begins a cell is a part of its text",
            "likely",
        ),
    }
    for place, (taken, sure) in expected.items():
        row = guessed.pop(place)
        assert (row["taken"], row["sure"]) == (taken, sure), place
    # The other column of the nested objects is the same kind of guess; no file else is guessed at.
    assert set(guessed) <= {("column", "shop.jsonl")}
    [told] = content["contradicted"]
    assert (told["disagree"], told["of"], told["example"]) == (1, 60, "both.csv:9")


@pytest.mark.parametrize("width", [80, account.PIPE_WIDTH])
def test_the_table_fits_and_loses_nothing(content: dict[str, Any], width: int) -> None:
    screen = Console(file=io.StringIO(), width=width, highlight=False, emoji=False)
    screen.print(account.table(content))
    output = screen.file
    assert isinstance(output, io.StringIO)
    printed = output.getvalue()
    assert max(map(len, printed.splitlines())) <= width
    flat = "".join(printed.split())
    for line in account.lines(content):
        for cell in line:
            assert "".join(cell.split()) in flat, cell


def test_a_page_carries_the_account_escaped(content: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(page("Title", "before"), encoding="utf-8")
    add_account(file, [account.Line("read", "1", "<b>rows</b>", "a.csv:1")])
    text = file.read_text(encoding="utf-8")
    assert "&lt;b&gt;rows" in text and text.index("before") < text.index("a.csv:1")
    assert text.endswith("</main></body></html>\n")


def test_nothing_is_said_twice_on_the_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(
        tmp_path / "raw",
        "windows.csv",
        table(
            [
                (
                    f"{FRENCH} {t}",
                    s,
                )
                for t, s in some(60, "x")
            ]
        ).encode("cp1252"),
    )
    ingest(raw=tmp_path / "raw", data=tmp_path / "data", params=SETTINGS)
    assert capsys.readouterr().out.count("cp1252") == 1


def test_an_ingest_that_fails_says_what_it_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reviews = [
        (
            f"{FRENCH} {text}",
            "5",
        )
        for text, _ in some(60, "x")
    ]
    put(tmp_path / "raw", "windows.csv", table(reviews).encode("cp1252"))
    for number in range(30):
        put(tmp_path / "raw", f"{number}.jpg", b"a photo")
    with pytest.raises(ValueError, match="needs two classes"):
        ingest(raw=tmp_path / "raw", data=tmp_path / "data", params=SETTINGS)
    said = capsys.readouterr().out
    assert "windows.csv: encoding read as cp1252 (fr)" in said
    # Thirty lines would push the error off the screen.
    assert "30 files left aside, no table that is read" in said and said.count(".jpg") == 1
    assert not (tmp_path / "data").exists()


def reading(**changes: Any) -> Reading:
    return account.AUTO.model_copy(update=changes)


def test_params_say_how_an_ambiguous_file_is_read(tmp_path: Path) -> None:
    """Each stop or loss names an option; set, it is obeyed."""
    rows = enumerate(some(12, "undated"), 1)
    days = [(*row, f"{day:02}/03/2024") for day, row in rows]
    more = [(*row, "2024-03-01") for row in some(60, "more")]
    put(tmp_path / "raw", "a.csv", "text,stars,date\n" + "\n".join(map(",".join, [*days, *more])))
    put(tmp_path / "raw", "b.csv", "text,stars\nNaïve café,5\n".encode("mac_roman"))
    with pytest.raises(
        ValueError,
        match=r"or say which with --set sentiment\.ingest\.reading\.encoding=\S+ \(or \S+\)$",
    ):
        ingest(raw=tmp_path / "raw", data=tmp_path / "data", params=SETTINGS)
    told = SETTINGS.model_copy(
        update={"reading": reading(encoding="mac-roman", dates="month_first")}
    )
    ingest(raw=tmp_path / "raw", data=tmp_path / "data", params=told)
    parts = [
        pq.read_table(tmp_path / f"data/{part}.parquet").to_pylist()
        for part in ("train", "validation", "test")
    ]
    found = {row["text"]: row for part in parts for row in part}
    assert "Naïve café" in found
    months = {found[text]["date"].month for text, _, _ in days if text in found}
    assert months == set(range(1, 13))


def test_files_set_aside_by_params_are_not_read(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "x")
    put(tmp_path, "old/b.csv", "x")
    with account.opened("sentiment", tmp_path, reading(aside=["old/*"])) as book:
        assert [path.name for path in delivery.look(tmp_path).files] == ["a.csv"]
    [row] = book.content()["aside"]
    assert (row["reason"], row["places"]) == ("ingest.reading.aside says so", {"old/b.csv": 1})


def test_unknown_encodings_are_refused_in_params() -> None:
    with pytest.raises(ValueError, match="'cp125x' is no encoding that Python knows"):
        Reading(encoding="cp125x", dates="auto", quotes="auto", sheets="auto", aside=[])


@pytest.mark.parametrize("name", ["https://cdn/a.jpg", "a.csv", "shop/a.csv: price//eur"])
def test_names_are_printed_as_they_were_delivered(tmp_path: Path, name: str) -> None:
    book = account.Account("recommend", tmp_path, account.AUTO)
    assert book.place(name) == name
    assert book.place(f"{tmp_path}/{name}") == name
    assert book.place("/elsewhere/a.csv") == "a.csv"


def test_numbers_that_do_not_add_up_are_a_fault_of_ours(tmp_path: Path) -> None:
    with pytest.raises(AssertionError), account.opened("x", tmp_path, account.AUTO) as book:
        book.settle("rows", read=3, kept=1, rejected=[Rejected("a", 1, "r", "")])


def test_reasons_that_differ_in_a_name_are_one() -> None:
    rows = [Rejected("a.csv", n, f"no picture file https://x/{n}.jpg", "") for n in (4, 3)]
    rows += [Rejected("a.csv", 9, "label 'x y' is none of good, bad", "")]
    groups = account.grouped(rows)
    assert [(group["count"], group["example"]) for group in groups] == [
        (2, "a.csv:3"),
        (1, "a.csv:9"),
    ]
    assert groups[0]["reason"] == "no picture file …"
    assert groups[1]["reason"] == "label 'x y' is none of good, bad"


def test_accounts_of_several_processes_add_up(tmp_path: Path) -> None:
    """What two parts of a delivery say is what one process would have said of both."""
    files = [f"part-{number:02}.csv" for number in range(30)]

    def told(names: list[str]) -> account.Account:
        with account.opened("x", tmp_path, account.AUTO) as book:
            for name in names:
                account.leave_aside("files", "no table", tmp_path / name)
                account.guess(
                    "dates", "the day first", sure="likely", evidence="3", file=tmp_path / name
                )
        return book

    whole = told(files).content()
    first = told(files[:10])
    first.add(told(files[10:]).content())
    assert first.content()["aside"][0]["count"] == whole["aside"][0]["count"] == 30
    assert len(first.content()["guessed"]) == 1
