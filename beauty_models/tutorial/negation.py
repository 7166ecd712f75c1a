"""Whether a text says to do something or not to: "do not apply …", "千万不要涂…".

It errs on the strict side: what is not plainly negated counts as said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_I = re.IGNORECASE
REACH = 24  # characters between a negation and what it denies; further on a clause turns elsewhere

_ENGLISH_NEGATION = (
    r"\b(?:never|(?:do|does|did|will|would|should|must|can|is|are|may)(?: not|n't)|cannot|won't"
    r"|avoid|refrain from|stay away from)\b"
)
_CHINESE_NEGATION = (
    # 特别, 分别 and the like hold the character and deny nothing
    r"(?:不要|切勿|切忌|(?<![特分区个类级差告])别|禁止|严禁|避免|不能|不可以?|不得|不应该?|不宜"
    r"|不用|无需|无法|并不|不会|请勿)"
)
_NEGATION = re.compile(f"{_ENGLISH_NEGATION}|{_CHINESE_NEGATION}", _I)
# "do not forget to apply" says to apply, "not only cures" says that it cures
_TURNS_ROUND = re.compile(
    r"\b(?:forget|hesitate|fail|skip|miss|neglect|afraid|worry|only|just|without|until|unless)\b"
    r"|忘|犹豫|漏|担心|害怕|怕|仅|只|但|错过|小看",
    _I,
)
# a comma or one of these begins another clause, which the negation does not reach
_OTHER_CLAUSE = re.compile(
    r"[,;:.!?，；：。！？、]|\b(?:and|but|then|instead|so|because|if|when)\b|而是|而要|然后|再|就|改",
    _I,
)


def negated(text: str, start: int, end: int | None = None) -> bool:
    """Return whether what stands in ``text`` at ``start`` is denied or forbidden by its clause.

    A match that runs to ``end`` over the border of a clause is not: "don't use bleach, put ammonia
    on the skin".
    """
    if end is not None and _OTHER_CLAUSE.search(text, start, end):
        return False
    last = None
    for found in _NEGATION.finditer(text, 0, start):
        last = found
    # a match may begin with its own verb: "avoid" then stands right before it
    if last is None or start - last.end() > REACH:
        return False
    between = text[last.end() : start]
    if last.start() > 0 and re.search(r"(?:not|n't|不)\W*$", text[: last.start()], _I):
        return False  # "do not avoid": twice denied
    # the start of what is matched may carry the verb that turns it round: "do not skip the …" is
    # left to the pattern, which then is about skipping
    return not (_TURNS_ROUND.search(between) or _OTHER_CLAUSE.search(between))


def first_said(patterns: list[re.Pattern[str]], text: str) -> str:
    """Return the first match of ``patterns`` in ``text`` that is not negated, or ""."""
    for pattern in patterns:
        place = 0
        # not finditer: behind a denied match another may begin within it
        while match := pattern.search(text, place):
            if not negated(text, match.start(), match.end()):
                return match.group()
            place = match.start() + 1
    return ""


@dataclass(frozen=True)
class Use:
    """A step's word about a thing: use it, or do not, and where ("" is anywhere)."""

    thing: str  # "" where the step does not say what: "do not apply near the eyes"
    place: str
    forbidden: bool


_VERBS = (
    r"(?:apply|applying|use|using|add|adding|put|putting|dust|dusting|sweep|pat|blend|dab|press"
    r"|brush)"
)
_PLACES = (
    r"eyes?|eye area|eyelids?|lids?|lips?|lash(?:es)?|waterline|cheeks?|cheekbones?|nose|forehead"
    r"|chin|t-?zone|brows?|face|skin|neck|hair|roots|nails?|cuticles?"
)
_USE = re.compile(
    rf"\b{_VERBS}\s+(?P<thing>(?:[a-z'-]+\s+){{0,5}}?)"
    rf"(?:(?:near|on|onto|around|over|to|into|across|along|under|below|above|close to)\s+"
    rf"(?:your |the |this |that |both |upper |lower |inner |outer )*(?P<place>{_PLACES})\b"
    r"|(?=$|[.,;!?]))",
    _I,
)
_SKIPPED = re.compile(
    r"\b(?:avoid|skip|no|without|leave out)\s+(?:any |the |using |applying )*"
    r"(?P<thing>[a-z'-]+(?:\s+(?!today|here|if|for|on|in|at|and|or|as|this)[a-z'-]+)?)",
    _I,
)
_CHINESE_PLACES = r"眼周|眼睛|眼皮|眼睑|眼部|嘴唇|唇部|脸颊|两颊|鼻子|鼻翼|额头|下巴|T区|脸上|全脸"
_CHINESE_USE = re.compile(
    rf"(?:在(?P<place>{_CHINESE_PLACES})(?:附近|周围)?)?(?P<verb>使用|用|涂|上|擦|扫|拍|刷)"
    r"(?:上|一层|一点|点|些|适量|任何)?(?P<thing>[\u4e00-\u9fff]{2,5})",
    _I,
)
WHOLE = ("skin", "face", "脸上", "全脸")  # what is forbidden there is forbidden anywhere
# "do not use too much powder" forbids no powder
_AMOUNT = re.compile(r"\b(?:too|much|many|more|heavy|thick|all)\b|太多|过多|太厚|过量", _I)
_FILLERS = {"the", "a", "an", "any", "your", "some", "more", "it", "this", "that", "them", "of"}


def _head(words: str) -> str:
    """Return the last word of ``words`` that names a thing, in the singular, or ""."""
    kept = [word for word in words.casefold().split() if word not in _FILLERS]
    if not kept:
        return ""
    word = kept[-1]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _place(word: str | None) -> str:
    place = (word or "").casefold().replace(" area", "")
    if place in WHOLE:
        return ""
    return place[:-1] if place.endswith("s") and place != "lashes" else place


def uses(text: str) -> list[Use]:
    """Return what ``text`` says to use, and not to use."""
    found = []
    for match in _USE.finditer(text):
        thing, place = _head(match["thing"]), _place(match["place"])
        if (thing or place) and not _AMOUNT.search(match["thing"]):
            found.append(Use(thing, place, negated(text, match.start())))
    for match in _SKIPPED.finditer(text):
        denied = negated(text, match.start())
        if not denied and not _AMOUNT.search(match["thing"]):
            found.append(Use(_head(match["thing"]), "", True))
    for match in _CHINESE_USE.finditer(text):
        if not _AMOUNT.search(match["thing"]):
            found.append(Use(match["thing"], match["place"] or "", negated(text, match.start())))
    return found


def contradicts(forbidden: Use, other: Use) -> bool:
    """Return whether a step that says ``other`` does what ``forbidden`` forbids.

    Chinese has no blanks: of two things one may go on where the other ends.
    """
    if other.forbidden or (forbidden.place and forbidden.place != other.place):
        return False
    if not forbidden.thing:
        return bool(forbidden.place) and not other.thing
    same_start = other.thing.startswith(forbidden.thing) or forbidden.thing.startswith(other.thing)
    return (
        bool(other.thing)
        and same_start
        and (forbidden.thing == other.thing or not forbidden.thing.isascii())
    )
