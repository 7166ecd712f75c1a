"""Files of translation tools: TMX 1.4, XLIFF 1.2 and 2.0, as units of texts by language.

Read by defusedxml: declared entities (billion laughs) and external ones are refused; the document
type that a TMX names is not fetched.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from beauty_models.intake import packed
from beauty_models.translate import PARALLEL_SUFFIXES, TMX

LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
# Of an XLIFF target: somebody has still to translate it, what stands there is a draft or a copy.
UNTRANSLATED = {"new", "needs-translation", "needs-l10n", "needs-adaptation", "initial"}
NATIVE_CODE = {"bpt", "ept", "ph", "it", "ut"}  # their text is a tag of the text itself


class MemoryUnit(NamedTuple):
    """A unit as a translation tool writes it."""

    number: int  # counted from 1
    id: str
    kind: str
    texts: list[tuple[str, str]]  # (language as the file writes it, text)
    fault: str  # why it is no translation, or ""


def is_memory(file: Path) -> bool:
    """Return whether ``file`` is TMX or XLIFF by its name, compressed or not."""
    return bool(_format(file))


def _format(file: Path) -> str:
    suffix = file.suffix.lower()
    if suffix in packed.COMPRESSED:
        suffix = file.with_suffix("").suffix.lower()
    return suffix if suffix in PARALLEL_SUFFIXES else ""


def units(file: Path) -> Iterator[MemoryUnit]:
    """Yield the units of ``file``.

    Raises:
        ValueError: the XML is broken, or declares entities.
    """
    read = _tmx if _format(file) in TMX else _xliff
    try:
        yield from read(packed.content(file))
    except DefusedXmlException as error:
        raise ValueError(
            f"{file}: the XML declares entities ({type(error).__name__}), which no translation "
            "needs and attacks use: not read; export it without them"
        ) from None
    except (defusedxml.ElementTree.ParseError, LookupError) as error:
        raise ValueError(f"{file}: broken XML ({error!s:.100}); export it again") from None


def _tmx(content: bytes) -> Iterator[MemoryUnit]:
    number = 0
    for _, element in defusedxml.ElementTree.iterparse(io.BytesIO(content)):
        if _name(element) != "tu":
            continue
        number += 1
        texts = []
        for variant in _children(element, "tuv"):
            # TMX 1.1 had an attribute of its own
            language = variant.get(LANGUAGE) or variant.get("lang") or ""
            segment = _child(variant, "seg")
            texts.append((language, "" if segment is None else _text(segment)))
        yield MemoryUnit(number, element.get("tuid", ""), _kind(element), texts, "")
        element.clear()  # the memory of what has been read


def _kind(unit: Element) -> str:
    for prop in _children(unit, "prop"):
        if prop.get("type", "").casefold().removeprefix("x-") in ("kind", "type", "field"):
            return (prop.text or "").strip()
    return ""


def _xliff(content: bytes) -> Iterator[MemoryUnit]:
    number = 0
    source = target = ""
    events = defusedxml.ElementTree.iterparse(io.BytesIO(content), events=("start", "end"))
    for event, element in events:
        name = _name(element)
        if event == "start":
            if name == "file" and element.get("source-language"):
                source = element.get("source-language", "")
                target = element.get("target-language", "")
            elif name == "xliff" and element.get("srcLang"):
                source = element.get("srcLang", "")
                target = element.get("trgLang", "")
            continue
        if name == "trans-unit":
            number += 1
            yield _trans_unit(number, element, source, target)
            element.clear()
        elif name == "unit":
            for segment in _children(element, "segment"):
                number += 1
                yield _segment(number, element, segment, source, target)
            element.clear()


def _trans_unit(number: int, unit: Element, source: str, target: str) -> MemoryUnit:
    """Return a unit of XLIFF 1.2."""
    translated = _child(unit, "target")
    state = "" if translated is None else translated.get("state", "")
    language = target if translated is None else translated.get(LANGUAGE, target)
    sides = _sides(_child(unit, "source"), translated, source, language)
    return MemoryUnit(number, unit.get("id", ""), "", sides, _fault(unit, state))


def _segment(number: int, unit: Element, segment: Element, source: str, target: str) -> MemoryUnit:
    """Return a segment of XLIFF 2.0, of which a unit may have several."""
    state = segment.get("state", "")
    sides = _sides(_child(segment, "source"), _child(segment, "target"), source, target)
    name = "/".join(filter(None, (unit.get("id", ""), segment.get("id", ""))))
    return MemoryUnit(number, name, "", sides, _fault(unit, state))


def _sides(
    source: Element | None, target: Element | None, from_tag: str, to_tag: str
) -> list[tuple[str, str]]:
    sides = []
    for element, tag in ((source, from_tag), (target, to_tag)):
        sides.append((tag, "" if element is None else _text(element)))
    return sides


def _fault(unit: Element, state: str) -> str:
    if unit.get("translate") == "no":
        return "the file says that it is not to be translated"
    if state in UNTRANSLATED:
        return f"not translated yet: the file says state {state}"
    return ""


def _text(element: Element) -> str:
    """Return the text of a segment; of inline elements the text, too.

    Those of TMX hold the tag of the original (``<bpt>&lt;b&gt;</bpt>`` is <b>); those of XLIFF that
    are mere marks are left out, what they enclose stays.
    """
    pieces = [element.text or ""]
    for child in element:
        if _name(child) in NATIVE_CODE:
            pieces.append("".join(child.itertext()))
        else:
            pieces.append(_text(child))
        pieces.append(child.tail or "")
    return "".join(pieces)


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _children(element: Element, name: str) -> list[Element]:
    return [child for child in element if _name(child) == name]


def _child(element: Element, name: str) -> Element | None:
    return next(iter(_children(element, name)), None)
