"""What a column of prices says: amounts and currencies, as they are written all over the world.

price-parser finds amount and currency in a cell. Whether a mark before three digits divides
thousands or decimals (``19.900``) no cell says alone: its currency or the others of its column do.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from price_parser import Price as Parsed

from beauty_models.intake import account

# Signs of one currency each, and its ISO 4217 code. "$", "¥", "kr" and "Rs" are of several, and
# stay as they are written.
CODES = {
    "€": "EUR",
    "£": "GBP",
    "₹": "INR",
    "₩": "KRW",
    "₽": "RUB",
    "руб": "RUB",
    "fr": "CHF",
    "zł": "PLN",
    "₺": "TRY",
    "tl": "TRY",
    "₫": "VND",
    "฿": "THB",
    "₪": "ILS",
    "₴": "UAH",
    "r$": "BRL",
    "us$": "USD",
    "a$": "AUD",
    "ca$": "CAD",
    "hk$": "HKD",
    "nt$": "TWD",
    "nz$": "NZD",
    "kč": "CZK",
    "ft": "HUF",
    "元": "CNY",
    "円": "JPY",
    "원": "KRW",
}
# No other currency has three decimals: "1.299 €" is over a thousand.
THREE_DECIMALS = {"KWD", "BHD", "OMR", "JOD", "TND", "IQD", "LYD"}
AMBIGUOUS = "may have thousands or decimals behind the mark, and the others do not say"
SETTING = "reading.prices"
MARKS = {"decimal_point": ".", "decimal_comma": ","}
NOTHING = {"", "-", "–", "—", "n/a", "na", "nan", "null", "none"}

_MARKS = str.maketrans("’‘´`′٬٫", "''''''.")
_SPACE_OF_THOUSANDS = re.compile(r"(?<=\d)\s(?=\d{3}(?:\D|$))")
# No cents: "12,-", "1299.–", "1,299/-", "129:-"
_NO_CENTS = re.compile(r"(\d(?:[\d.,']*\d)?)(?:([.,])[-–—]+|[:/][-–—]|[-–—]+$)")
_NUMBER = re.compile(r"(?:(?<![\w.,])[.,])?\d(?:[\d.,']*\d)?")
_WHOLE = re.compile(r"\d+|\d{1,3}(?:[.,']\d{3})+|\d{1,2}(?:,\d{2})*,\d{3}")  # the last is India's
_BETWEEN = re.compile(r"[^\d]*?(?:[-–—~〜至]|\b(?:to|bis|à|a|до)\b)[^\d]*")  # two ends of a range
_BELOW_ZERO = re.compile(r"^[^\w]*[-–−]\W*\d")
_NO_PRICE = re.compile(r"[%\[\]]")  # a discount, or a rule: [PERCENT]10


class Price(NamedTuple):
    """A price as it was written."""

    amount: float
    currency: str  # an ISO 4217 code, or the sign where it is of several currencies; "" for none


def prices(cells: Sequence[str], name: str, written_with: str = "auto") -> list[Price | None]:
    """Return what each cell of a column says, None where it says no price, or could say two.

    ``1.299,00 €``, ``¥1,299``, ``Rs. 1,299/-``, ``CHF 1'299.–``. Of a range and of "from 10 €" it
    is the lower price. What is left out is told.

    Args:
        cells: one column of one file.
        name: of the file, for the messages.
        written_with: ``decimal_point`` or ``decimal_comma``, where a cell leaves it open; ``auto``
            goes by the other cells.
    """
    written = [_plain(cell) for cell in cells]
    marks = decimal_marks(written)
    said = [mark for mark in ".," if marks[mark]]
    decimal = MARKS.get(written_with) or (said[0] if len(said) == 1 else "")
    if decimal and marks["?"]:
        evidence = f"{marks[decimal]:,} can only be read so, {marks['?']:,} either way"
        sure = account.sureness(marks[decimal])
        if written_with in MARKS:
            evidence, sure = f"ingest.{SETTING}", "certain"
        taken = f"decimals behind {decimal!r}"
        account.guess("prices", taken, sure=sure, evidence=evidence, file=name)
    found: list[Price | None] = []
    unread: list[str] = []
    ambiguous: list[str] = []
    for cell, text in zip(cells, written, strict=True):
        price = None
        if text.casefold() not in NOTHING:
            try:
                price = _price(text, decimal)
            except _AmbiguousError:
                ambiguous.append(cell)
            else:
                unread += [] if price else [cell]
        found.append(price)
    if ambiguous:
        # Few prices have three decimals: thousands are the likelier reading.
        mark = "," if "," in _plain(ambiguous[0]) else "."
        thousands, decimals = MARKS if mark == "," else reversed(MARKS)
        reason = (
            f"{AMBIGUOUS}, such as {ambiguous[0]!r:.40}, which is over a thousand with {thousands} "
            f"and has three decimals with {decimals}"
        )
        option = account.remedy(SETTING, thousands)
        account.leave_aside("prices", reason, name, len(ambiguous), option)
    if unread:
        reason = f"not understood, such as {unread[0]!r:.40}; write 1299.00"
        account.leave_aside("prices", reason, name, len(unread))
    return found


class _AmbiguousError(ValueError):
    """A price that could be two."""


def _plain(cell: str) -> str:
    """Return ``cell`` with ASCII digits and marks, no spaces in numbers, and ``.–`` as cents."""
    text = unicodedata.normalize("NFKC", cell).translate(_MARKS).strip()
    digits = [str(unicodedata.decimal(mark)) if mark.isdecimal() else mark for mark in text]
    return _NO_CENTS.sub(_with_cents, _SPACE_OF_THOUSANDS.sub("'", "".join(digits)))


def _with_cents(match: re.Match[str]) -> str:
    """Return a number for which ``.–`` says that it has no cents: ``1.299.–`` is 1.299,00."""
    number, mark = match.groups()
    if _decimal_mark(number) == "?":
        return f"{number},00" if "." in number else f"{number}.00"
    bare = number.isdecimal() and mark
    return f"{number}{mark}00" if bare else number


def decimal_marks(cells: Iterable[str]) -> Counter[str]:
    """Return how many numbers in ``cells`` have their decimals behind which mark: "." or ",".

    Under "?" how many do not say.
    """
    return Counter(_decimal_mark(number) for cell in cells for number in _NUMBER.findall(cell))


def _decimal_mark(number: str) -> str:
    """Return which mark divides decimals in ``number``; "" for none, "?" where either may be."""
    points, commas = number.count("."), number.count(",")
    if points and commas:
        return "." if number.rfind(".") > number.rfind(",") else ","
    if points + commas != 1:
        return ""  # none, or thousands alone: 1.299.000
    mark = "." if points else ","
    whole, _, rest = number.partition(mark)
    # Nothing has 0 or 1299 thousands, nor two marks for them: 1'299.00.
    if len(rest) == 3 and whole not in ("", "0") and len(whole) <= 3:
        return "?"
    return mark


def _price(text: str, decimal: str) -> Price | None:
    """Return the price that ``text`` says, None for none; ``decimal`` is its column's mark.

    Raises:
        _AmbiguousError: thousands or decimals, nobody knows.
    """
    if _NO_PRICE.search(text) or _BELOW_ZERO.search(text):
        return None
    numbers = list(_NUMBER.finditer(text))
    currency = _currency(text)
    if len(numbers) == 1:
        amount = _amount(numbers[0].group(), currency, decimal)
        return None if amount is None else Price(amount, currency)
    # "3 for 10 €" and "10 € / 100 ml" are no ranges.
    if len(numbers) != 2 or not _BETWEEN.fullmatch(text, numbers[0].end(), numbers[1].start()):
        return None
    low, high = (_amount(number.group(), currency, decimal) for number in numbers)
    return Price(low, currency) if low is not None and high is not None and low <= high else None


def _currency(text: str) -> str:
    sign = (Parsed.fromstring(text).currency or "").rstrip(".")
    if not sign:
        # Behind the number, where price-parser does not know them.
        sign = next((sign for sign in ("元", "円", "원") if sign in text), "")
    return CODES.get(sign.casefold(), sign.upper() if len(sign) == 3 else sign)


def _amount(number: str, currency: str, decimal: str) -> float | None:
    """Return what ``number`` says; None for digits that nobody writes a price with: 1,2,3."""
    mark = _decimal_mark(number)
    other = {".": ",", ",": "."}
    if mark == "?":
        written = "." if "." in number else ","
        if currency and currency not in THREE_DECIMALS:
            mark = other[written]
        elif decimal:
            mark = decimal
        else:
            raise _AmbiguousError
    # Whatever is there divides thousands.
    mark = mark or ("," if "." in number else ".")
    number = f"0{number}" if number[0] == mark else number  # .50
    whole = number.rpartition(mark)[0] if mark in number else number
    if not _WHOLE.fullmatch(whole):
        return None
    amount = Parsed.fromstring(number.replace("'", ""), decimal_separator=mark).amount
    return None if amount is None else float(amount)
