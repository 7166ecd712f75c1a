"""Looks at every text of a delivery: alone, in its column, beside its neighbours and translations.

What cannot be right gets its reason in `Unit.reasons`; the texts themselves are cleaned in place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from beauty_models.intake import languages
from beauty_models.intake.text import language as language_by_script
from beauty_models.progress import bar
from beauty_models.translate import Ingest, checks
from beauty_models.translate.chinese import variant
from beauty_models.translate.cleaning import LOST, clean
from beauty_models.translate.deliveries import UNKNOWN, Unit
from beauty_models.translate.shifts import find_shifts

JUDGED = 2000  # texts of a column by which its language is judged, at most


def inspect(units: Sequence[Unit], params: Ingest, removed: Counter[str]) -> None:
    """Clean the texts of all ``units`` and give a reason to those that cannot be taken.

    ``removed`` counts the texts of which something invisible was left out, by what it was.
    """
    with bar("ingest: check", len(units)) as progress:
        for unit in units:
            _inspect_alone(unit, params, removed)
            progress.advance()
    _inspect_columns(units, params)
    _inspect_rows(units)
    for unit in units:
        _inspect_together(unit, params)


def _inspect_alone(unit: Unit, params: Ingest, removed: Counter[str]) -> None:
    """Clean a unit's texts, tell the languages of those without, and look at each alone."""
    for tag, text in list(unit.texts.items()):
        cleaned = clean(text, removed)
        if tag == UNKNOWN:
            unit.texts.pop(tag)
            tag = _language_of(cleaned, params)
        unit.texts[tag] = cleaned
        reason = unit.fault or _fault(cleaned, tag, params)
        if reason:
            unit.reasons[tag] = reason
    _reject_other_side(unit)


def _reject_other_side(unit: Unit) -> None:
    """Reject both sides of a pair of which one is rejected, and say why."""
    if not unit.is_pair or not unit.reasons:
        return
    first, reason = next(iter(unit.reasons.items()))
    for tag in unit.texts:
        unit.reasons.setdefault(tag, f"its other side is not taken: {first}, {reason}")


def _language_of(text: str, params: Ingest) -> str:
    """Return the tag of a text of which the delivery says no language, `UNKNOWN` if none is sure.

    Of Chinese the characters say which one; where they do not, it is simplified, as most is.
    """
    code = language_by_script(text)
    if code == UNKNOWN and len(text) >= languages.SHORTEST:
        classified, probability = languages.classify(text)
        if probability >= checks.CERTAIN:
            code = classified
    if code == "zh":
        code = "zh-TW" if variant(text) == "traditional" else "zh-CN"
    return code if code in params.languages else UNKNOWN


def _fault(text: str, tag: str, params: Ingest) -> str:
    """Return what is wrong with one text by itself, or ""."""
    if not text:
        return "empty"
    if tag == UNKNOWN:
        return "nothing says its language: a column `language` is needed"
    if len(text) < params.min_characters:
        return f"shorter than {params.min_characters} characters"
    if len(text) > params.max_characters:
        most = params.max_characters
        return f"{len(text)} characters, a text has {most} at most: deliver it in pieces"
    if LOST.search(text):
        return "characters that are lost: private or replaced ones"
    return checks.script_fault(text, tag)


def _inspect_columns(units: Sequence[Unit], params: Ingest) -> None:
    """Reject the texts of a column that holds another language than it says.

    Those that were rejected already vote, too: the rest of their column is no better.
    """
    columns: dict[tuple[str, str], list[Unit]] = {}
    for unit in units:
        for tag, text in unit.texts.items():
            if text and tag != UNKNOWN:
                columns.setdefault((unit.file, tag), []).append(unit)
    for (_, tag), holding in columns.items():
        telling = [unit.texts[tag] for unit in holding if not _is_copied(unit, tag)]
        step = max(1, len(telling) // JUDGED)
        votes = checks.column_languages(telling[::step], tag)
        wrong = checks.wrong_language(votes, tag, params.max_wrong_language)
        if not wrong:
            continue
        share = votes[wrong] / votes.total()
        reason = f"the column says {tag} and holds {wrong} ({share:.0%} of its texts)"
        for unit in holding:
            unit.reasons.setdefault(tag, reason)


def _is_copied(unit: Unit, tag: str) -> bool:
    """Return whether a unit says the same in another language: a name, which tells none."""
    return list(unit.texts.values()).count(unit.texts[tag]) > 1


def _inspect_rows(units: Sequence[Unit]) -> None:
    """Reject the texts of columns that slipped by a row."""
    files: dict[tuple[str, str], list[Unit]] = {}
    for unit in units:
        # titles and descriptions of one table have lengths of their own
        stem = unit.kind if unit.id.endswith(f":{unit.kind}") else ""
        files.setdefault((unit.file, stem), []).append(unit)
    for rows in files.values():
        for number, reasons in find_shifts(rows).items():
            unit = rows[number]
            for tag, reason in reasons.items():
                if tag in unit.texts:
                    unit.reasons.setdefault(tag, reason)


def _inspect_together(unit: Unit, params: Ingest) -> None:
    """Look at the texts of a unit beside each other."""
    for tag, text in unit.good().items():
        others = [other for other in unit.texts if other != tag]
        reason = checks.language_fault(text, tag, others)
        if reason:
            unit.reasons[tag] = reason
    # each on what the check before it has left
    unit.reasons.update(checks.length_faults(unit.good(), params.max_length_ratio))
    unit.reasons.update(checks.number_faults(unit.good()))
    _reject_other_side(unit)
