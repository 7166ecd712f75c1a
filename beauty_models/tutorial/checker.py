"""What must not be published: requests that are refused, tutorials that are repaired or refused.

Rules, not a model: each can be read, and says why it acted. They catch what they name and no more;
an editor reads every text before it is published.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from beauty_models.tutorial import rules
from beauty_models.tutorial.grammar import MIN_STEPS
from beauty_models.tutorial.negation import contradicts, first_said, uses
from beauty_models.tutorial.readable import known_share
from beauty_models.tutorial.structure import Request, Tutorial

LONGEST_REQUEST = 2000  # characters, all fields together
MOST_STEPS = 12
SHORTEST_STEP = 4  # characters that are letters or digits
SAME_STEP = 0.8  # Jaccard similarity of the words of two steps, from which they are one

LEAST_KNOWN = {"zh": 0.45, "en": 0.8}
"""Least share of a tutorial's words (Chinese: pairs of characters) that the articles hold, too.

Of the starter's held-out tutorials the lowest are 0.54 and 0.89; Chinese with its characters mixed
has 0.24 at most.
"""

Kind = Literal["medical", "unsafe", "allergen", "empty", "repeated", "contradictory", "unreadable"]

_I = re.IGNORECASE
_NUMBER = re.compile(r"^\s*\d{1,2}\s*[.)、:]\s+")  # a step's own, which stands there already
_TOOL = re.compile(r"\b(?:with|using|use|take|grab) (?:an?|the|your) ([a-z]{3,})", _I)
_WORD = re.compile(r"[a-z0-9]+(?:['-][a-z]+)*|[\u3400-\u9fff]", _I)


def compiled(patterns: Iterable[str]) -> list[re.Pattern[str]]:
    """Return the patterns, blind to capitals."""
    return [re.compile(pattern, _I) for pattern in patterns]


_MEDICAL = compiled(rules.MEDICAL)
_UNSAFE = compiled(rules.UNSAFE)
_HARMFUL = compiled(rules.HARMFUL_REQUESTS)
_RULE_CHANGES = compiled(rules.RULE_CHANGES)


class RefusedError(ValueError):
    """A request that is not answered, or a tutorial that is not given out; it says why."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with a tutorial, and where."""

    kind: Kind
    step: int  # from 1; 0 is the title or the whole
    reason: str


@dataclass(frozen=True)
class Checked:
    """A tutorial that may be shown to an editor, and what was taken out of it."""

    tutorial: Tutorial
    repairs: tuple[Finding, ...]


def _plain(text: str) -> str:
    """Return ``text`` in one form, so that no look-alike or hidden character passes a rule."""
    narrow = unicodedata.normalize("NFKC", text).replace("’", "'")
    visible = "".join(c for c in narrow if unicodedata.category(c) != "Cf")
    return " ".join(visible.split())


def _first(patterns: Iterable[re.Pattern[str]], text: str) -> str:
    for pattern in patterns:
        match = pattern.search(text)
        if match:
            return match.group()
    return ""


def words(text: str) -> list[str]:
    """Return the words of ``text`` in small letters; each Han character is one."""
    return [word.casefold() for word in _WORD.findall(text)]


def check_request(request: Request) -> None:
    """Refuse what is not to be answered.

    Raises:
        RefusedError: nothing is asked for, too much is, it asks for something harmful or medical,
            or tries to change the rules.
    """
    parts = [request.look, request.occasion, request.skin_type, request.language]
    parts += [*request.products, *request.excluded]
    text = _plain(" \n ".join(parts))
    if not words(request.look) and not request.products:
        raise RefusedError("the request names no look, no title and no product: say what to make")
    if len(text) > LONGEST_REQUEST:
        raise RefusedError(
            f"the request has {len(text):,} characters; at most {LONGEST_REQUEST:,} are read"
        )
    if not 0 <= request.steps <= MOST_STEPS:
        raise RefusedError(
            f"steps: from 1 to {MOST_STEPS}, or 0 which leaves it to the model "
            f"(got {request.steps})"
        )
    if found := _first(_RULE_CHANGES, text):
        raise RefusedError(f"the request tries to change the rules ({found!r}); name a look only")
    if found := _first(_HARMFUL, text):
        raise RefusedError(f"the request asks for something harmful ({found!r})")
    if found := _first(_MEDICAL, text) or _first(_UNSAFE, text):
        raise RefusedError(f"the request asks for medical or unsafe advice ({found!r})")


def allergen_words(allergen: str) -> list[str]:
    """Return the words that stand for ``allergen``: its own, and those known to contain it."""
    name = _plain(allergen).casefold()
    known = rules.ALLERGENS.get(rules.ALLERGEN_NAMES.get(name, name), [])
    return [name, *known]


def contains_allergen(text: str, allergen: str) -> str:
    """Return the word of ``text`` that stands for ``allergen``, or ""."""
    plain = _plain(text).casefold()
    for word in allergen_words(allergen):
        # what is said to be free of it does not contain it
        without = rf"{re.escape(word)}[- ]?free|(?:no|without|free of) {re.escape(word)}"
        without += rf"|(?:无|不含|免){re.escape(word)}"
        rest = re.sub(without, " ", plain)
        found = re.search(rf"\b{re.escape(word)}", rest) if word.isascii() else word in rest
        if word and found:
            return word
    return ""


def _of_text(text: str, excluded: Iterable[str]) -> tuple[Kind, str] | None:
    """Return what is wrong with one text by itself."""
    plain = _plain(text)
    if found := first_said(_MEDICAL, plain):
        return "medical", f"a medical claim: {found!r}"
    if found := first_said(_UNSAFE, plain):
        return "unsafe", f"an unsafe instruction: {found!r}"
    for allergen in excluded:
        if word := contains_allergen(text, allergen):
            return "allergen", f"{word!r} is or holds {allergen}, which the request excludes"
    return None


def _similar(a: set[str], b: set[str]) -> bool:
    return len(a & b) >= SAME_STEP * len(a | b)


def _contradictions(steps: tuple[str, ...]) -> list[Finding]:
    """Return the steps that do what another step forbids."""
    said = [uses(_plain(step)) for step in steps]
    findings = []
    for forbidding, of_step in enumerate(said, start=1):
        for forbidden in of_step:
            if not forbidden.forbidden:
                continue
            thing = " ".join(part for part in (forbidden.thing, forbidden.place) if part)
            for number, others in enumerate(said, start=1):
                does = any(contradicts(forbidden, other) for other in others)
                if number != forbidding and does:
                    reason = f"step {forbidding} says not to use {thing!r}, step {number} does"
                    findings.append(Finding("contradictory", number, reason))
    return findings


def findings(tutorial: Tutorial, request: Request) -> list[Finding]:
    """Return all that is wrong with ``tutorial``, the title first."""
    found = []
    for text in (tutorial.title, *tutorial.tools, *tutorial.products):
        if problem := _of_text(text, request.excluded):
            found.append(Finding(problem[0], 0, problem[1]))
    seen: list[set[str]] = []
    for number, step in enumerate(tutorial.steps, start=1):
        step_words = words(step)
        if sum(len(word) for word in step_words) < SHORTEST_STEP:
            found.append(Finding("empty", number, f"step {number} says nothing"))
            continue
        if problem := _of_text(step, request.excluded):
            found.append(Finding(problem[0], number, problem[1]))
        if any(_similar(set(step_words), other) for other in seen):
            found.append(Finding("repeated", number, f"step {number} repeats an earlier one"))
        seen.append(set(step_words))
    return found + _contradictions(tutorial.steps)


def _unknown_tools(steps: Iterable[str], request: Request, known: frozenset[str]) -> list[Finding]:
    """Return the steps that are done with a thing of which no article and no request speaks."""
    if not known:
        return []
    wished = set(words(" ".join([request.look, *request.products])))
    found = []
    for number, step in enumerate(steps, start=1):
        for tool in map(str.casefold, _TOOL.findall(_plain(step))):
            if tool not in known and tool not in wished:
                reason = f"step {number} uses {tool!r}, of which no article speaks"
                found.append(Finding("unreadable", number, reason))
    return found


def unreadable(steps: Iterable[str], language: str, known: frozenset[str]) -> str:
    """Return why ``steps`` are no text of ``language``, or ""."""
    if not known:
        return ""
    share = known_share(" ".join(steps), known)
    if share >= LEAST_KNOWN.get(language, LEAST_KNOWN["en"]):
        return ""
    return (
        f"it makes no sense: {1 - share:.0%} of its words or pairs of characters are in no article"
    )


def _harmless(items: tuple[str, ...], request: Request) -> tuple[str, ...]:
    return tuple(item for item in items if _of_text(item, request.excluded) is None)


def check(tutorial: Tutorial, request: Request, known: frozenset[str] = frozenset()) -> Checked:
    """Return ``tutorial`` without what must not be published; later steps move up.

    Args:
        known: the units of the articles that the model learned from (`readable`); none knows all.

    Raises:
        RefusedError: the title itself is at fault, too few steps are left, or they consist of what
            nobody writes.
    """
    unnumbered = tuple(_NUMBER.sub("", step) for step in tutorial.steps)
    tutorial = replace(tutorial, steps=unnumbered)
    found = findings(tutorial, request)
    found += _unknown_tools(tutorial.steps, request, known)
    of_title = _of_text(tutorial.title, request.excluded)
    if of_title:
        raise RefusedError(f"the title has {of_title[1]}")
    products = _harmless(tutorial.products, request)
    tools = _harmless(tutorial.tools, request)
    bad = {finding.step for finding in found if finding.step}
    steps = tuple(s for number, s in enumerate(tutorial.steps, start=1) if number not in bad)
    least = min(MIN_STEPS, request.steps or MIN_STEPS)
    if len(steps) < least:
        reasons = "; ".join(finding.reason for finding in found) or "it was cut"
        raise RefusedError(f"{len(steps)} steps are left, {least} are needed: {reasons}")
    if reason := unreadable(steps, tutorial.language, known):
        raise RefusedError(reason)
    repaired = replace(tutorial, steps=steps, products=products, tools=tools)
    return Checked(repaired, tuple(found))
