"""Shades of make-up: a color by hex, by r,g,b or by its name in a table, and the nearest ones."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage import color as colorspaces

from beauty_models.intake import encodings, tables
from beauty_models.intake.columns import pick
from beauty_models.makeup.palette import PALETTE
from beauty_models.progress import log_line

SUGGESTED = 5  # near names in a message
LISTED = 12  # shades of one name in a message
LEAST_LIKENESS = 0.5  # of a name that is suggested: difflib's ratio

OWN = "our own shades"
COLUMNS = {
    "name": ["name", "shade", "shade_name", "shade_text", "color_name", "名称", "色名", "色号"],
    "hex": ["hex", "hex_code", "color", "colour", "color_hex", "颜色", "色值"],
    "rgb": ["rgb"],
    "red": ["r", "red"],
    "green": ["g", "green"],
    "blue": ["b", "blue"],
    "brand": ["brand", "品牌"],
    "product": ["product", "series", "product_name", "系列", "产品"],
}
"""What a shade has → the names that a table's column or a JSON key may have for it."""

# More names that a shade may be asked by; where `name` is empty the first of them is its name.
OTHER_NAMES = ("specific", "description", "id", "sku", "code", "name_en", "name_zh", "english")
NOTHING = ("", "na", "n/a", "none", "null", "-")

# What shops write beside a shade's name, which is no part of it.
_STOCK_NOTE = re.compile(r"^out of stock:\s*|\s+selected$", re.IGNORECASE)
_HEX = re.compile(r"#?([0-9a-f]{6}|[0-9a-f]{3})", re.IGNORECASE)
_TRIPLE = re.compile(r"(?:rgb\()?\s*(\d{1,3})\s*[,;]\s*(\d{1,3})\s*[,;]\s*(\d{1,3})\s*\)?")


class Shade(NamedTuple):
    """One color that can be put on."""

    name: str  # "" where only a color was given
    rgb: tuple[int, int, int]  # sRGB, 0 to 255
    brand: str = ""
    product: str = ""
    other_names: tuple[str, ...] = ()
    table: str = ""  # where it stands

    @property
    def hex(self) -> str:
        """The color as ``#RRGGBB``."""
        return "#{:02X}{:02X}{:02X}".format(*self.rgb)

    @property
    def title(self) -> str:
        """Brand, product and name, as far as they are known."""
        return " ".join(word for word in (self.brand, self.product, self.name) if word)

    @property
    def lab(self) -> NDArray[np.float64]:
        """The color in CIELAB (D65), [3]."""
        lab: NDArray[np.float64] = lab_of(np.array([self.rgb], np.uint8))[0]
        return lab


class Near(NamedTuple):
    """A shade and how far it is from the color that was asked for."""

    shade: Shade
    distance: float  # ΔE2000


def lab_of(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return sRGB colors, uint8 [n, 3], in CIELAB (D65)."""
    lab: NDArray[np.float64] = colorspaces.rgb2lab(rgb[None])[0]
    return lab


def _ciede2000(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ΔE2000 (Sharma et al. 2005) of colors [..., 3] that are broadcast to each other."""
    return np.asarray(colorspaces.deltaE_ciede2000(a, b))  # type: ignore[no-untyped-call]


def plain(name: str) -> str:
    """Return a name as it is compared: width, capitals and spaces do not count."""
    words = unicodedata.normalize("NFKC", name).casefold().replace("_", " ").split()
    return " ".join(words)


def parse_color(text: str) -> tuple[int, int, int] | None:
    """Return what ``#RRGGBB``, ``#RGB`` or ``r,g,b`` (0 to 255) says; None where it is no color.

    Raises:
        ValueError: three numbers, and one is above 255.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    if digits := _HEX.fullmatch(text):
        written = digits[1]
        if len(written) == 3:
            written = "".join(2 * digit for digit in written)
        red, green, blue = bytes.fromhex(written)
        return red, green, blue
    triple = _TRIPLE.fullmatch(text)
    if triple is None:
        return None
    red, green, blue = (int(number) for number in triple.groups())
    if max(red, green, blue) > 255:
        raise ValueError(f"color {text}: red, green and blue go from 0 to 255")
    return red, green, blue


@dataclass
class ShadeTable:
    """Shades that can be asked for by name, or found by their color."""

    source: str
    shades: list[Shade]
    rejected: list[str] = field(default_factory=list)  # rows without a color, and why

    @cached_property
    def _by_name(self) -> dict[str, list[Shade]]:
        """Plain name, alone and behind brand and product → the shades that have it."""
        by_name: dict[str, list[Shade]] = defaultdict(list)
        for shade in self.shades:
            keys = set()
            for name in (shade.name, *shade.other_names):
                for before in ((), (shade.brand,), (shade.product,), (shade.brand, shade.product)):
                    keys.add(plain(" ".join([*before, name])))
            for key in keys:
                by_name[key].append(shade)
        return by_name

    @cached_property
    def _names(self) -> dict[str, str]:
        """Plain name → the name as it is written."""
        names: dict[str, str] = {}
        for shade in self.shades:
            for name in (shade.name, *shade.other_names):
                names.setdefault(plain(name), name)
        return names

    @cached_property
    def lab(self) -> NDArray[np.float64]:
        """All colors in CIELAB, [n, 3]."""
        # Reshaped, so that a table without shades has three columns, too.
        rgb = np.array([shade.rgb for shade in self.shades], np.uint8)
        return lab_of(rgb.reshape(-1, 3))

    def find(self, name: str) -> Shade | None:
        """Return the shade called ``name``, alone or with its brand, product or both before it.

        None where there is none.

        Raises:
            ValueError: shades of several colors have the name; the message lists them.
        """
        named = self._by_name.get(plain(name), [])
        if len({shade.rgb for shade in named}) > 1:
            raise ValueError(_several(name, named, self.source))
        return named[0] if named else None

    def suggestions(self, name: str) -> list[str]:
        """Return names that ``name`` may have meant, the likeliest first."""
        asked = plain(name)
        # 1797901 is like 1792499 and tells nobody anything.
        names = [known for known in self._names if not known.isdigit()]
        holding = [known for known in names if asked in known]
        # The shortest holds least besides what was asked for.
        holding.sort(key=len)
        similar = difflib.get_close_matches(asked, names, SUGGESTED, LEAST_LIKENESS)
        near = list(dict.fromkeys([*holding[:SUGGESTED], *similar]))
        return [self._names[key] for key in near[:SUGGESTED]]

    def nearest(self, lab: NDArray[np.float64], count: int) -> list[list[Near]]:
        """Return for each color of ``lab`` [k, 3] the ``count`` nearest shades, nearest first."""
        if not self.shades:
            return [[] for _ in lab]
        # 100 colors × 7,000 shades at once are 700,000 numbers for each term of the formula.
        distances = _ciede2000(lab[:, None], self.lab[None])
        found = []
        for row in distances:
            order = np.argsort(row, kind="stable")[:count]
            found.append([Near(self.shades[place], float(row[place])) for place in order])
        return found


def _several(name: str, shades: Sequence[Shade], source: str) -> str:
    """Return the message that ``name`` is that of several colors."""
    colors = defaultdict(list)
    for shade in shades:
        colors[shade.hex].append(shade.title)
    lines = [f"  {hex} {titles[0]}" for hex, titles in colors.items()]
    more = len(lines) - LISTED
    if more > 0:
        lines = [*lines[:LISTED], f"  and {more} more"]
    return "\n".join(
        [
            f"{name!r} names {len(colors)} different colors in {source}; "
            "say which by its brand and product before the name, or by its color:",
            *lines,
        ]
    )


@lru_cache(1)
def own() -> ShadeTable:
    """Return the shades that come with this package; each has an English and a Chinese name."""
    shades = []
    for entry in PALETTE:
        rgb = parse_color(entry.hex)
        assert rgb is not None
        shades.append(Shade(entry.english, rgb, other_names=(entry.chinese,), table=OWN))
    return ShadeTable(OWN, shades)


def find_shade(text: str, table: ShadeTable | None = None) -> Shade:
    """Return the shade that ``text`` says: a color, or a name in ``table`` or our own shades.

    The table is asked before our own shades.

    Raises:
        ValueError: no shade has that name, or several of different colors do.
    """
    asked = [table, own()] if table is not None else [own()]
    for known in asked:
        if shade := known.find(text):
            return shade
    # After the names: FADED is five letters, but "FACADE" is a color as well as a name.
    if rgb := parse_color(text):
        return Shade("", rgb)
    near = []
    for known in asked:
        near.extend(known.suggestions(text))
    where = " or ".join(known.source for known in asked)
    meant = f"; near are {', '.join(map(repr, near[:SUGGESTED]))}" if near else ""
    raise ValueError(
        f"no shade {text!r} in {where}{meant}; give a name, #RRGGBB or r,g,b"
        + ("" if table is not None else ", or a table of shades with --shades")
    )


def _text(value: Any) -> str:
    text = "" if value is None else str(value).strip()
    return "" if text.casefold() in NOTHING else text


_Row = tuple[str, dict[str, Any], dict[str, str]]
"""Where a shade stands, for people; its cells; field → the column that holds it."""


def _shade(cells: dict[str, Any], columns: dict[str, str], place: str, table: str) -> Shade | str:
    """Return the shade in one row, or why there is none."""
    values = {name: _text(cells.get(column)) for name, column in columns.items()}
    try:
        rgb = _row_color(values)
    except ValueError as error:
        return f"{place}: {error}"
    if rgb is None:
        return f"{place}: no color as hex or r,g,b"
    names = [values.get("name", "")]
    names.extend(_text(cells.get(name)) for name in OTHER_NAMES)
    names = [_STOCK_NOTE.sub("", name).strip() for name in names]
    names = list(dict.fromkeys(name for name in names if name))
    if not names:
        return f"{place}: no name"
    brand = values.get("brand", "")
    product = values.get("product", "")
    # The first name is shown; by any of them the shade is found.
    return Shade(names[0], rgb, brand, product, tuple(names[1:]), table)


def _row_color(values: dict[str, str]) -> tuple[int, int, int] | None:
    for name in ("hex", "rgb"):
        if values.get(name) and (rgb := parse_color(values[name])):
            return rgb
    parts = [values.get(name, "") for name in ("red", "green", "blue")]
    # Tables that were once spreadsheets have 154.0
    return parse_color(",".join(part.removesuffix(".0") for part in parts))


def _columns(header: Sequence[str], file: Path) -> dict[str, str]:
    columns = pick(header, COLUMNS)
    colored = "hex" in columns or "rgb" in columns or {"red", "green", "blue"} <= set(columns)
    named = "name" in columns or any(name in header for name in OTHER_NAMES)
    if colored and named:
        return columns
    wanted = "the name of a shade (name, shade)" if colored else "a color (hex, or r, g and b)"
    raise ValueError(f"{file}: no column for {wanted}; it has {', '.join(header)}")


def _table_rows(file: Path) -> Iterator[_Row]:
    table = tables.read(file)
    columns = _columns(list(table.rows.columns), file)
    for row in table.rejected.to_dict("records"):
        yield f"row {row['row']} ({row['reason']})", {}, {}
    frame: pd.DataFrame = table.rows
    for number, cells in zip(frame.index, frame.to_dict("records"), strict=True):
        named = {str(name): cell for name, cell in cells.items()}
        yield f"row {number}", named, columns


def _json_objects(
    node: Any, above: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """Yield each object that has no list in it, with the names of the objects around it.

    Shades stand in a list, or in lists of brands and series, however deep.
    """
    if isinstance(node, list):
        for child in node:
            yield from _json_objects(child, above)
        return
    if not isinstance(node, dict):
        return
    children = [value for value in node.values() if isinstance(value, list | dict)]
    # [154, 61, 87] is a color, no list of shades.
    children = [child for child in children if not _is_triple(child)]
    if not children:
        yield node, above
        return
    name = _text(node.get("name"))
    for child in children:
        yield from _json_objects(child, (*above, name) if name else above)


def _is_triple(node: Any) -> bool:
    if not isinstance(node, list) or len(node) != 3:
        return False
    return all(isinstance(channel, int) for channel in node)


def _json_rows(file: Path) -> Iterator[_Row]:
    try:
        content = json.loads(encodings.decode(file.read_bytes(), str(file)))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}: not valid JSON: {error}") from None
    if isinstance(content, dict) and all(isinstance(value, str) for value in content.values()):
        # {"classic red": "#B3121D"}
        content = [{"name": name, "hex": color} for name, color in content.items()]
    for number, (found, above) in enumerate(_json_objects(content, ()), start=1):
        cells: dict[str, Any] = {}
        for key, value in found.items():
            cells[key] = ",".join(map(str, value)) if _is_triple(value) else value
        if above:
            cells.setdefault("brand", above[0])
        if len(above) > 1:
            cells.setdefault("product", above[-1])
        yield f"shade {number}", cells, pick(list(cells), COLUMNS)


def read_table(file: Path) -> ShadeTable:
    """Return the shades of a table: CSV, TSV, JSON, JSON Lines or Parquet, in any encoding.

    What has no color or no name is left out and told.

    Raises:
        ValueError: it cannot be read, or holds no shade.
    """
    if not file.is_file():
        raise ValueError(f"--shades {file}: no such file")
    rows = _json_rows(file) if file.suffix.lower() == ".json" else _table_rows(file)
    table = ShadeTable(file.name, [])
    for place, cells, columns in rows:
        shade = _shade(cells, columns, place, file.name)
        if isinstance(shade, str):
            table.rejected.append(shade)
        else:
            table.shades.append(shade)
    if not table.shades:
        reason = f" ({table.rejected[0]})" if table.rejected else ""
        raise ValueError(f"{file}: no shade in it{reason}")
    if table.rejected:
        first = "; ".join(table.rejected[:3])
        log_line(f"{file}: {len(table.rejected)} rows are no shade and left out: {first}")
    return table
