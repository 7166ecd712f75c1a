"""Product feeds in XML, RSS 2.0 or Atom with Google Merchant's names, as records of a table.

Read by defusedxml: declared entities (billion laughs) and external ones are refused.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from beauty_models.intake.records import Record

NAMESPACE = "base.google.com/ns"  # of Google's names, with http or https, 1.0 or none behind it
ITEMS = ("item", "entry")  # of RSS and of Atom
SEVERAL = "\n"  # between the values of an element that is there several times


def is_feed(head: str) -> bool:
    """Return whether a file that begins with ``head`` is a feed of products.

    Other XML, a sitemap or the boxes of a picture, is no table.
    """
    return NAMESPACE in head and ("<rss" in head or "<feed" in head)


def records(content: bytes, name: str) -> Iterator[Record]:
    """Yield the records of a feed: a header of all names, then an item each, numbered from 1.

    What lies deeper than an item's own elements is left out: the price of a shipping is no price
    of the product.

    Raises:
        ValueError: the XML is broken, or declares entities.
    """
    items: list[dict[str, str]] = []
    try:
        for _, element in defusedxml.ElementTree.iterparse(io.BytesIO(content)):
            if _split(element.tag)[1] in ITEMS:
                items.append(_cells(element))
                element.clear()  # the memory of what has been read
    except DefusedXmlException as error:
        raise ValueError(
            f"{name}: the XML declares entities ({type(error).__name__}), which no feed needs and "
            "attacks use: not read; export it without them"
        ) from None
    except (defusedxml.ElementTree.ParseError, LookupError, ValueError) as error:
        raise ValueError(f"{name}: broken XML ({error!s:.100}); download it again") from None
    header = list(dict.fromkeys(key for item in items for key in item))
    yield Record(0, header)
    for number, item in enumerate(items, start=1):
        yield Record(number, [item.get(key, "") for key in header])


def _split(tag: Any) -> tuple[str, str]:
    """Return namespace and name of ``{http://base.google.com/ns/1.0}price``."""
    namespace, _, name = str(tag).rpartition("}")
    return namespace.removeprefix("{"), name


def _cells(item: Any) -> dict[str, str]:
    """Return name → text of an item's elements; Google's own names go before those of RSS."""
    own: dict[str, list[str]] = {}
    google: dict[str, list[str]] = {}
    for element in item:
        namespace, name = _split(element.tag)
        if any(NAMESPACE in str(child.tag) for child in element):
            continue
        # HTML that nobody escaped is elements, too.
        text = " ".join(" ".join(element.itertext()).split())
        texts = google if NAMESPACE in namespace else own
        # Atom's link has its address in an attribute.
        texts.setdefault(name, []).append(text or element.get("href", ""))
    return {name: SEVERAL.join(filter(None, said)) for name, said in (own | google).items()}
