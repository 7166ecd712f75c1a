"""From a request to a tutorial that may be shown: refuse, write, check, write again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from beauty_models.intake.text import language as language_of
from beauty_models.tutorial import checker
from beauty_models.tutorial.checker import Finding, RefusedError
from beauty_models.tutorial.generation import OnText, Sampling, generate, prompt_ids
from beauty_models.tutorial.model import LanguageModel
from beauty_models.tutorial.structure import Request, Tutorial, generated_note

ATTEMPTS = 3  # drafts of one tutorial, before the request counts as one that cannot be answered
DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True)
class Answer:
    """What became of a request; ``tutorial`` is None where ``refused`` says why."""

    request: Request
    tutorial: Tutorial | None
    refused: str
    repairs: tuple[Finding, ...]
    unmet: tuple[str, ...]  # wishes that the tutorial does not honour

    def row(self) -> dict[str, Any]:
        """Return the answer for JSON."""
        if self.tutorial is None:
            return {"look": self.request.look, "error": self.refused}
        return {
            **asdict(self.tutorial),
            "note": generated_note(self.tutorial.language),
            "repairs": [finding.reason for finding in self.repairs],
            "unmet": list(self.unmet),
        }


def with_language(request: Request) -> Request:
    """Return ``request`` with the language that it is written in, where it names none."""
    if request.language:
        return request
    told = language_of(" ".join([request.look, *request.products]))
    # "und": two English words give nothing away
    return replace(request, language=DEFAULT_LANGUAGE if told == "und" else told)


def wishes(request: Request, tutorial: Tutorial) -> dict[str, bool]:
    """Return each wish of ``request`` and whether ``tutorial`` honours it in what its steps say.

    That a product stands in the list of products is forced, and counts nothing.
    """
    steps = " ".join(tutorial.steps).casefold()
    honoured = {}
    for product in request.products:
        honoured[f"uses {product}"] = product.casefold() in steps
    if request.steps:
        honoured[f"{request.steps} steps"] = len(tutorial.steps) == request.steps
    if request.language:
        honoured[f"language {request.language}"] = _in_language(steps, request.language)
    if request.skin_type and request.skin_type != "all":
        said = f"{tutorial.title} {steps}".casefold()
        terms = SKIN_WORDS.get(request.skin_type, [request.skin_type])
        honoured[f"{request.skin_type} skin"] = any(term.casefold() in said for term in terms)
    return honoured


SKIN_WORDS = {
    "dry": ["dry", "干"],
    "oily": ["oil", "shine", "油"],
    "combination": ["combination", "t-zone", "t zone", "t区", "混合", "混油", "混干"],
    "sensitive": ["sensitive", "gentle", "fragrance", "敏感", "温和", "泛红"],
    "normal": ["normal", "any skin", "中性"],
}
"""Skin type → words by which a text speaks of it."""


def _in_language(text: str, language: str) -> bool:
    # a few English product names in a Chinese text change nothing; "und" is a text of few words
    return language_of(text) in (language, "und")


def write(
    language_model: LanguageModel,
    requests: Sequence[Request],
    sampling: Sampling,
    on_text: OnText | None = None,
) -> list[Answer]:
    """Return an answer to each request, in their order; drafts that fail are written again.

    A request that is refused, and drafts that cannot be repaired, give an answer that says why.
    """
    answers: list[Answer | None] = [None] * len(requests)
    waiting: list[tuple[int, Request]] = []
    for number, request in enumerate(requests):
        told = with_language(request)
        try:
            checker.check_request(request)
            _check_language(language_model, told)
            prompt_ids(language_model, told)
        except ValueError as refusal:
            answers[number] = Answer(request, None, str(refusal), (), ())
            continue
        waiting.append((number, told))
    for attempt in range(ATTEMPTS):
        if not waiting:
            break
        seed = sampling.seed + attempt * len(requests)
        listener = on_text if attempt == 0 else None
        drafts = generate(
            language_model,
            [request for _, request in waiting],
            replace(sampling, seed=seed),
            listener,
        )
        failed = []
        for (number, request), draft in zip(waiting, drafts, strict=True):
            answer = _checked(request, draft.tutorial, language_model.known)
            answers[number] = answer
            if answer.tutorial is None:
                failed.append((number, request))
        waiting = failed
        if sampling.temperature == 0:  # the same draft would come again
            break
    return [answer for answer in answers if answer is not None]


def _check_language(language_model: LanguageModel, request: Request) -> None:
    """Refuse what the model never learned to write.

    Raises:
        RefusedError: it learned requests of other languages only.
    """
    learned = language_model.languages
    if learned and request.language not in learned:
        raise RefusedError(
            f"this model learned to write {', '.join(learned)}, not {request.language!r}: its base "
            f"({language_model.card['base']}) has to know a language before it can write in it; "
            "say --language, or train another base with finetune.languages"
        )


def _checked(request: Request, tutorial: Tutorial, known: frozenset[str]) -> Answer:
    try:
        checked = checker.check(tutorial, request, known)
    except RefusedError as refusal:
        return Answer(request, None, f"no draft could be shown: {refusal}", (), ())
    honoured = wishes(request, checked.tutorial)
    unmet = tuple(wish for wish, met in honoured.items() if not met)
    return Answer(request, checked.tutorial, "", checked.repairs, unmet)
