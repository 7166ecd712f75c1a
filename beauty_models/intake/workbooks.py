"""The records of workbooks of Excel and OpenDocument, as people fill them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import python_calamine

from beauty_models.intake import account, template_rows
from beauty_models.intake.records import Record, cell_text

Rows = list[list[Any]]  # of a sheet


def records(file: Path) -> Iterator[Record]:
    """Yield the records of an Excel or OpenDocument workbook.

    Raises:
        ValueError: it cannot be read.
    """
    sheets: dict[str, Rows] = {}
    try:
        with python_calamine.load_workbook(str(file)) as book:
            for name in book.sheet_names:
                rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
                if any(any(cell not in ("", None) for cell in row) for row in rows):
                    sheets[name] = rows
    except (python_calamine.CalamineError, OSError) as error:
        flaw = str(error).splitlines()[0]
        raise ValueError(
            f"{file}: not a workbook that can be read ({flaw:.100}); without a password, or "
            "saved as CSV, it can"
        ) from None
    if not sheets:
        return
    number = 0
    for place, rows in enumerate(_sheets_to_read(file, sheets)):
        head = _header_row(rows)
        template = template_rows.find(rows)
        if template is not None:
            template_rows.tell(template, str(file))
            # What stands between its header and its data is an example.
            rows = rows[: template.header + 1] + rows[template.data :]
        if place:
            head += 1  # the columns are known
        else:
            number = head
        # Rows are counted on through the sheets, so that each has a number of its own.
        for row in rows[head:]:
            number += 1
            cells = [cell_text(None if value == "" else value) for value in row]
            if any(cells):
                yield Record(number, cells)


def _sheets_to_read(file: Path, sheets: dict[str, Rows]) -> list[Rows]:
    """Return the sheet with most rows, and those that go on with its columns.

    The others are left aside and told.
    """
    templates = [name for name in sheets if template_rows.find(sheets[name])]
    # Beside it lie Amazon's own sheets, such as that of all valid values, which is longer.
    main = max(templates or sheets, key=lambda name: len(sheets[name]))
    if account.reading().sheets == "first":
        main = next(iter(sheets))
    header = sheets[main][_header_row(sheets[main])]
    chosen = []
    for name, rows in sheets.items():
        same = rows[_header_row(rows)] == header and account.reading().sheets == "auto"
        if name == main or same:
            chosen.append(name)
        else:
            reason = f"other columns than the sheet {main}, which is read; save it as CSV"
            account.leave_aside("sheets", reason, f"{file}: {name}")
    if len(chosen) > 1:
        evidence = "they have the same columns"
        account.guess(
            "sheets", f"{len(chosen)} as one", sure="certain", evidence=evidence, file=str(file)
        )
    return [sheets[name] for name in chosen]


def _header_row(rows: Rows) -> int:
    """Return the place of the header: the first row that is filled by more than half.

    Above it people write a title.
    """
    if template := template_rows.find(rows):
        return template.header
    filled = [sum(cell not in ("", None) for cell in row) for row in rows]
    return next(place for place, count in enumerate(filled) if count > max(filled) / 2)
