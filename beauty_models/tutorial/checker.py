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

from beauty_models.tutorial.grammar import MIN_STEPS
from beauty_models.tutorial.structure import Request, Tutorial

LONGEST_REQUEST = 2000  # characters, all fields together
MOST_STEPS = 12
SHORTEST_STEP = 4  # characters that are letters or digits
SAME_STEP = 0.8  # Jaccard similarity of the words of two steps, from which they are one

Kind = Literal[
    "medical", "unsafe", "allergen", "empty", "repeated", "contradictory", "length", "language"
]

_I = re.IGNORECASE
# fmt: off
MEDICAL = [
    r"\b(?:cures?|cured|curing|heals?|healed|healing|treats?|treated|treatment (?:of|for)|remed(?:y|ies) for|gets? rid of)\b"
    r"[^.。;!?]{0,40}\b(?:acne|eczema|rosacea|psoriasis|dermatitis|infections?|disease|cancer|melasma|wounds?|burns?|rash(?:es)?|herpes|fungus|scars?)\b",
    r"\b(?:anti-?inflammatory|antibiotic|prescription|clinically proven|medically proven|doctor[- ]recommended|dermatologist[- ]approved)\b",
    r"\b(?:diagnos\w+|steroids?|hydrocortisone|tretinoin|isotretinoin|lidocaine)\b",
    r"(?:治愈|治疗|根治|医治|疗效|药效|祛除|消除|根除)[^。；！？]{0,15}(?:痘|痤疮|湿疹|皮炎|玫瑰痤疮|银屑病|牛皮癣|感染|疤|癌|疱疹|真菌|过敏|黄褐斑|色斑)",
    r"(?:处方药|激素药膏|抗生素|医学证明|临床证明|医生推荐|药到病除|消炎药)",
]
UNSAFE = [
    r"\b(?:undiluted|neat|pure) (?:essential oils?|lemon juice|vinegar|peroxide|acid)\b",
    r"\b(?:lemon juice|bleach|ammonia|toothpaste|baking soda|hydrogen peroxide|superglue|super glue|nail glue|craft glitter|acetone)\b[^.。;!?]{0,50}\b(?:on|onto|over|into|around|near)\b[^.。;!?]{0,25}\b(?:skin|face|eyes?|eyelids?|lids?|lips?|lashes|cheeks?|pimples?|waterline)\b",
    r"\b(?:on|onto|to|over|around) (?:the |your )?(?:skin|face|eyes?|eyelids?|lids?|lips?|lashes|cheeks?)\b[^.。;!?]{0,30}\b(?:superglue|super glue|nail glue|craft glitter|bleach|acetone|toothpaste)\b",
    r"\b(?:inject\w*|micro-?needl\w*|derma ?roller|scalpel|razor blade)\b",
    r"\b(?:share|lend|borrow)\b[^.。;!?]{0,30}\b(?:mascara|eyeliner|lipstick|lip brush)\b",
    r"\bheat(?:ed|ing)? (?:the |your )?(?:eyelash curler|curler|needle|pin)\b|\b(?:lighter|flame|match)\b[^.。;!?]{0,40}\b(?:curler|eyeliner|kajal|pencil)\b",
    r"\b(?:broken|cracked|bleeding|infected|open) skin\b[^.。;!?]{0,40}\b(?:apply|scrub|peel|exfoliat\w+)\b|\b(?:apply|scrub|peel|exfoliate)\b[^.。;!?]{0,40}\b(?:broken|bleeding|infected|open) (?:skin|wounds?)\b",
    r"\b(?:skip|without|no need for) (?:the )?(?:patch test|sunscreen after (?:acid|peel|retinol))\b",
    r"\b(?:leave|sleep)\b[^.。;!?]{0,30}\b(?:contact lens(?:es)?|false lashes|acid|peel)\b[^.。;!?]{0,30}\bovernight\b",
    r"(?:502胶|强力胶|漂白剂|氨水|牙膏|小苏打|双氧水|白醋|柠檬汁|洗甲水|指甲胶)[^。；！？]{0,20}(?:脸|皮肤|眼|唇|睫毛|痘|面部)",
    r"(?:脸|皮肤|眼皮|眼睑|眼线|嘴唇|睫毛)[^。；！？]{0,15}(?:502胶|强力胶|漂白|牙膏|小苏打|双氧水|白醋|柠檬汁|洗甲水|指甲胶)",
    r"(?:自己|在家|自行)[^。；！？]{0,8}(?:注射|打针|水光针|微针|刷酸换肤|割双眼皮)|注射|水光针|刀片刮|打火机|纯精油|未稀释",
    r"(?:共用|借用)[^。；！？]{0,8}(?:睫毛膏|眼线|口红|唇刷)|(?:破损|伤口|流血|感染)[^。；！？]{0,12}(?:涂|擦|抹|磨|去角质)",
    r"(?:戴着|戴)[^。；！？]{0,6}(?:美瞳|隐形眼镜|假睫毛)[^。；！？]{0,8}(?:睡觉|过夜)",
]
HARMFUL_REQUESTS = [
    r"\b(?:mercury|lead (?:paint|powder)|hydroquinone|bleach(?:ing)? (?:my|the|your|his|her|a|skin)|skin bleach\w*|superglue|super glue|ammonia|arsenic)\b",
    r"\b(?:inject\w*|filler at home|diy botox|scalpel|self[- ]harm|cut(?:ting)? (?:myself|yourself|skin)|burn (?:myself|someone|her|his)|poison\w*|suicid\w*|overdose|weapon|bomb|explosive)\b",
    r"\b(?:hide|conceal|cover(?: up)?|disguise)\b[^.。;!?]{0,30}\b(?:abuse|crime|needle marks?|track marks?|evidence|from (?:the )?police)\b",
    r"\b(?:blackface|yellowface|look like a minor|make (?:a )?(?:child|kid|toddler|minor)s? (?:look )?(?:sexy|older))\b",
    r"\b(?:cure|treat|heal)\b[^.。;!?]{0,20}\b(?:cancer|eczema|psoriasis|infection|acne|disease)\b",
    r"水银|汞|铅粉|氢醌|漂白皮肤|强力胶|502|注射|打针|水光针|自残|自杀|割腕|毒药|投毒|炸弹|武器|砒霜",
    r"(?:遮|掩盖|隐藏)[^。；！？]{0,10}(?:家暴|罪证|针眼|犯罪)|治(?:好|愈|疗)[^。；！？]{0,10}(?:癌|湿疹|皮炎|牛皮癣|感染|痘|病)|(?:儿童|小孩|未成年)[^。；！？]{0,6}(?:性感|成熟)",
]
RULE_CHANGES = [
    r"\b(?:ignore|disregard|forget|override|bypass|skip|drop)\b[^.。;!?]{0,40}\b(?:instructions?|rules?|prompts?|guidelines?|safety|filters?|checks?|checker|above|previous|restrictions?)\b",
    r"\b(?:system prompt|developer mode|jailbreak|dan mode|do anything now|no restrictions|without (?:any )?(?:restrictions|rules|filters)|you are now|act as (?:an? )?(?:unrestricted|unfiltered)|pretend (?:you are|to be))\b",
    r"(?:忽略|无视|忘记|忘掉|绕过|跳过|解除|关闭)[^。；！？]{0,15}(?:指令|规则|提示|限制|要求|安全|检查|过滤|以上|上面|之前)",
    r"系统提示|开发者模式|越狱|不受(?:任何)?限制|你现在是|扮演一个没有",
    r"#{2,}\s*(?:request|tutorial|system|instruction)|<\|[^|]{0,40}\|>|\[/?INST\]|<</?SYS>>",
]
# allergen → words that stand for it or contain it
ALLERGENS = {
    "fragrance": ["fragrance", "perfume", "parfum", "scented", "eau de", "香精", "香水", "香料", "香氛"],
    "nuts": ["nut", "nuts", "almond", "walnut", "hazelnut", "macadamia", "shea", "argan", "坚果", "杏仁", "核桃", "榛子", "夏威夷果", "乳木果", "摩洛哥坚果"],
    "lanolin": ["lanolin", "wool wax", "wool alcohol", "羊毛脂"],
    "latex": ["latex", "lash glue", "eyelash glue", "乳胶", "睫毛胶"],
    "nickel": ["nickel", "metal curler", "metal tweezers", "镍"],
    "alcohol": ["alcohol", "ethanol", "酒精", "乙醇"],
    "beeswax": ["beeswax", "propolis", "honey", "蜂蜡", "蜂胶", "蜂蜜"],
    "essential oil": ["essential oil", "tea tree", "lavender oil", "peppermint oil", "精油", "茶树", "薰衣草油"],
    "salicylic acid": ["salicylic", "bha", "水杨酸"],
    "vitamin c": ["vitamin c", "ascorbic", "维生素c", "抗坏血酸"],
    "retinol": ["retinol", "retinal", "retinoid", "视黄醇", "维a", "a醇"],
    "carmine": ["carmine", "cochineal", "胭脂虫"],
    "soy": ["soy", "soya", "soybean", "大豆"],
    "milk": ["milk", "casein", "lactose", "yoghurt", "yogurt", "牛奶", "乳蛋白", "酸奶"],
    "gluten": ["gluten", "wheat", "barley", "小麦", "麸质"],
}
ALLERGEN_NAMES = {
    "香精": "fragrance", "香料": "fragrance", "香水": "fragrance", "perfume": "fragrance", "parfum": "fragrance",
    "坚果": "nuts", "nut": "nuts", "tree nuts": "nuts", "almond": "nuts", "杏仁": "nuts", "羊毛脂": "lanolin", "乳胶": "latex", "镍": "nickel",
    "酒精": "alcohol", "蜂蜡": "beeswax", "精油": "essential oil", "essential oils": "essential oil", "水杨酸": "salicylic acid",
    "维生素c": "vitamin c", "视黄醇": "retinol", "胭脂虫红": "carmine", "大豆": "soy", "牛奶": "milk", "小麦": "gluten",
}
# words that contradict each other within one step, and what one step forbids that another does
_NEVER = re.compile(
    r"(?:\b(?:never|do not|don't|avoid|skip|no need (?:to|for))\s+(?:use\s+|apply\s+|add\s+|any\s+|the\s+|using\s+|applying\s+|to\s+)*([a-z][a-z ]{2,20}))|(?:(?:不要|别|切勿|禁止|避免|不用|无需)(?:再)?(?:使用|用|涂|上|擦)([\u4e00-\u9fff]{2,5}))", _I
)
# fmt: on
_DO = (
    r"(?:\b(?:apply|use|add|put on|dust|sweep|pat|blend|dab|press|brush)\b"
    r"(?:\s+\w+){{0,4}}?\s+(?:the\s+)?{0}\b)|(?:(?:^|[^不别勿免])(?:涂|使用|用|上|扫|拍|刷|擦)(?:上|一层|点|些|适量)?{0})"
)
_WORD = re.compile(r"[a-z0-9]+(?:['-][a-z]+)*|[\u3400-\u9fff]", _I)


def compiled(patterns: Iterable[str]) -> list[re.Pattern[str]]:
    """Return the patterns, blind to capitals."""
    return [re.compile(pattern, _I) for pattern in patterns]


_MEDICAL = compiled(MEDICAL)
_UNSAFE = compiled(UNSAFE)
_HARMFUL = compiled(HARMFUL_REQUESTS)
_RULE_CHANGES = compiled(RULE_CHANGES)


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
    known = ALLERGENS.get(ALLERGEN_NAMES.get(name, name), [])
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
    if found := _first(_MEDICAL, plain):
        return "medical", f"a medical claim: {found!r}"
    if found := _first(_UNSAFE, plain):
        return "unsafe", f"an unsafe instruction: {found!r}"
    for allergen in excluded:
        if word := contains_allergen(text, allergen):
            return "allergen", f"{word!r} is or holds {allergen}, which the request excludes"
    return None


def _similar(a: set[str], b: set[str]) -> bool:
    return len(a & b) >= SAME_STEP * len(a | b)


def _forbidden(steps: Iterable[str]) -> list[tuple[int, str]]:
    """Return what steps say must not be used, with the step's number."""
    found = []
    for number, step in enumerate(steps, start=1):
        for match in _NEVER.finditer(_plain(step)):
            thing = (match.group(1) or match.group(2) or "").strip()
            if thing:
                # of "powder on the lids" the thing is the first word
                found.append((number, thing.split()[0] if thing.isascii() else thing))
    return found


def _contradictions(steps: tuple[str, ...]) -> list[Finding]:
    """Return the steps that do what another step forbids."""
    findings = []
    for forbidding, thing in _forbidden(steps):
        does = re.compile(_DO.format(re.escape(thing)), _I)
        for number, step in enumerate(steps, start=1):
            if number != forbidding and does.search(_plain(step)):
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


def check(tutorial: Tutorial, request: Request) -> Checked:
    """Return ``tutorial`` without what must not be published; later steps move up.

    Raises:
        RefusedError: the title itself is at fault, or too few steps are left.
    """
    found = findings(tutorial, request)
    of_title = _of_text(tutorial.title, request.excluded)
    if of_title:
        raise RefusedError(f"the title has {of_title[1]}")
    lists: dict[str, tuple[str, ...]] = {}
    for name in ("products", "tools"):
        values = getattr(tutorial, name)
        lists[name] = tuple(v for v in values if _of_text(v, request.excluded) is None)
    bad = {finding.step for finding in found if finding.step}
    steps = tuple(s for number, s in enumerate(tutorial.steps, start=1) if number not in bad)
    least = min(MIN_STEPS, request.steps or MIN_STEPS)
    if len(steps) < least:
        reasons = "; ".join(finding.reason for finding in found) or "it was cut"
        raise RefusedError(f"{len(steps)} steps are left, {least} are needed: {reasons}")
    return Checked(replace(tutorial, steps=steps, **lists), tuple(found))
