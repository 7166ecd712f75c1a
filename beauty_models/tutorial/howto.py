"""Which articles are how-tos, and what their title, products, tools and ordered steps are.

Steps stand on pages in many layouts: marked ("Step 2", 第二步), as numbered or bulleted lists, one
under each heading, with bold lead-ins, or as plain paragraphs that begin with a verb. Each layout
proposes candidates; one counts as steps when most of its units tell to do something with the hands.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from beauty_models.tutorial import lexicon
from beauty_models.tutorial.articles import Given
from beauty_models.tutorial.blocks import Block
from beauty_models.tutorial.cleaning import sentences
from beauty_models.tutorial.structure import Tutorial, item_line, one_line

LONGEST_STEP = 400  # characters; explanations beyond are left out, whole sentences
MOST_STEPS = 24  # a longer list is a catalogue
MOST_ITEMS = 16  # products or tools of a tutorial

# Least share of units that are actions, by layout; markup that says "step" needs the fewest.
LEAST_QUALITY = {
    "marked": 0.4,
    "numbered list": 0.55,
    "numbered headings": 0.7,
    "bulleted list": 0.6,
    "bare bullets": 0.75,
    "headings": 0.7,
    "lead-ins": 0.7,
    "paragraphs": 0.7,
    "sentences": 0.7,
}
# Where several layouts would do, the one whose markup says more.
PREFERENCE = {
    "marked": 1.6,
    "numbered list": 1.5,
    "numbered headings": 1.3,
    "bulleted list": 1.2,
    "bare bullets": 1.1,
    "headings": 1.1,
    "lead-ins": 1.1,
    "paragraphs": 0.7,
    "sentences": 0.8,
}
AGAINST_TITLE = 0.15  # more is asked where the title promises no how-to
STATED_LOOK = 0.2  # less is asked where the front matter names a look
LEAST_COVERAGE = 0.1  # of the article's characters that the steps' own text has

BARE_COVERAGE = 0.3

_MARK = re.compile(
    r"^\W{0,4}(?:step|part)\s*(\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten)"
    r"(?:\s*(?:&|and|-|–)\s*\d{1,2})?\b\s*[:.,)—–-]*\s*"  # noqa: RUF001
    r"|^\W{0,4}(?:第\s*[一二三四五六七八九十\d]{1,3}\s*步|步骤\s*[一二三四五六七八九十\d]{1,3})\s*[:：，,、.．]?\s*",  # noqa: RUF001
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"^\W{0,3}(?:\d{1,2}\s*[.)、．:：]|[①-⑳]|[一二三四五六七八九十]{1,2}[、.．])\s*"
)  # noqa: RUF001
_HAN = re.compile("[一-鿿]")
_WORDS = re.compile(r"[A-Za-z][A-Za-z'’-]*")
_CLAUSE_ZH = re.compile("[，。；：！、,;:!]")  # noqa: RUF001
_SITE = re.compile(r"\s+[|–—]\s+[^|–—]{2,40}$")  # noqa: RUF001


@dataclass
class Unit:
    """What may be a step: its name and the texts that belong to it."""

    name: str
    texts: list[str]
    first: int  # block
    nested: bool = False  # has lists or headings of its own, among which only some instruct
    action: float = 0.0


@dataclass
class Procedure:
    """Candidate steps in one layout."""

    form: str
    units: list[Unit] = field(default_factory=list)
    quality: float = 0.0  # share of units that tell to do something
    coverage: float = 0.0  # of the article's characters


# ---- is a sentence an instruction?


def instructs(sentence: str) -> bool:
    """Return whether a sentence tells to do something with the hands."""
    if sentence.rstrip("\"'”’) ").endswith(("?", "？")):  # noqa: RUF001
        return False
    if len(_HAN.findall(sentence)) > 2:
        return _instructs_zh(sentence)
    pieces = re.split(r"[:;—–]|, (?:and|then|or) |\. ", sentence)  # noqa: RUF001
    return any(_clause_instructs(piece) for piece in pieces[:4])


def _clause_instructs(clause: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(clause[:300])]
    words = _without_openers(words)
    if not words:
        return False
    if words[0] in lexicon.ACTIONS:
        return not _is_noun_phrase(words)
    if words[0] in lexicon.SUBORDINATES and "," in clause:
        # "Once it is dry, brush …": the instruction follows a comma
        for part in clause.split(",")[1:3]:
            rest = _without_openers([word.lower() for word in _WORDS.findall(part)])
            if rest and rest[0] in lexicon.ACTIONS:
                return True
    # "I apply …", "you dab …": a page that shows how its author does it
    return len(words) > 1 and words[0] in ("i", "we", "you") and words[1] in lexicon.ACTIONS


def _without_openers(words: list[str]) -> list[str]:
    place = 0
    while place < len(words) - 1 and words[place] in lexicon.OPENERS:
        place += 1
    return words[place:]


def _is_noun_phrase(words: list[str]) -> bool:
    """Return whether the first word is no verb here: "Powder is …", "Work and play are …"."""
    follows = words[1:3]
    verbs = {"is", "are", "was", "were", "has", "have", "can", "will", "does", "may", "should"}
    return bool(verbs & set(follows))


def _instructs_zh(sentence: str) -> bool:
    if lexicon.ZH_STATEMENT.search(sentence):
        return False
    return any(lexicon.ZH_ACTION.match(clause.strip()) for clause in _CLAUSE_ZH.split(sentence))


def _instructions(texts: Iterable[str]) -> list[str]:
    return [part for text in texts for part in sentences(text) if instructs(part)]


# ---- candidates


def find_steps(
    blocks: Sequence[Block], title: str, least: int, stated: bool = False
) -> Procedure | None:
    """Return the best candidate that counts as the article's steps, or None.

    ``stated``: the front matter names a look, as pages do that show how it is made.
    """
    total = sum(len(block.text) for block in blocks) or 1
    proposals: list[Callable[[Sequence[Block], str], list[Procedure]]] = [
        _marked,
        _lists,
        _headed,
        _paragraphs,
        _in_one_paragraph,
    ]
    best: Procedure | None = None
    best_value = 0.0
    for propose in proposals:
        for candidate in propose(blocks, title):
            _measure(candidate, total)
            acting = sum(unit.action >= 0.6 for unit in candidate.units)
            if acting < least or len(candidate.units) > MOST_STEPS:
                continue
            if not _counts(candidate, title, stated):
                continue
            value = candidate.quality * (1 + candidate.coverage) * min(len(candidate.units), 6)
            value *= PREFERENCE[candidate.form]
            if value > best_value:
                best, best_value = candidate, value
    return best


def _measure(candidate: Procedure, total: int) -> None:
    units = candidate.units
    if units:
        candidate.quality = sum(unit.action for unit in units) / len(units)
    length = sum(len(text) for unit in units for text in unit.texts)
    candidate.coverage = min(1.0, length / total)


def _counts(candidate: Procedure, title: str, stated: bool) -> bool:
    least = LEAST_QUALITY[candidate.form] - (STATED_LOOK if stated else 0)
    promised = stated or bool(lexicon.TITLE_FOR.search(title))
    listed = lexicon.TITLE_CATALOGUE.search(title) or lexicon.TITLE_QUESTION.search(title)
    # the best creams, ten mistakes, tips: each of them with a sentence on how to use it
    if listed and not promised and candidate.form not in ("marked", "numbered list"):
        return False
    if candidate.form == "bare bullets":
        enough = len(candidate.units) >= 4 and candidate.coverage >= BARE_COVERAGE
        return enough and candidate.quality >= least
    if candidate.form == "bulleted list" and not promised:
        # some bullets of advice stand in any article
        return candidate.quality >= least and candidate.coverage >= 2 * LEAST_COVERAGE
    if lexicon.TITLE_AGAINST.search(title) and not promised:
        least += AGAINST_TITLE
    covered = candidate.coverage >= (LEAST_COVERAGE / 2 if promised else LEAST_COVERAGE)
    return candidate.quality >= least and covered


def _context(blocks: Sequence[Block], place: int) -> list[str]:
    """Return the headings above a block, nearest first, and the line before it if it leads in."""
    context = []
    before = place - 1
    if before >= 0 and blocks[before].kind in ("paragraph", "item"):
        text = blocks[before].text
        short = len(text) < 60 and (bool(blocks[before].lead) or text.endswith((":", "：")))  # noqa: RUF001
        if short or text.endswith((":", "：")):  # noqa: RUF001
            context.append(sentences(text)[-1])
    level = blocks[place].level if blocks[place].kind == "heading" else 7
    for block in reversed(blocks[:place]):
        if block.kind == "heading" and block.level < level:
            context.append(block.text)
            level = block.level
    return context


def _action(unit: Unit, context: Sequence[str], least: int = 1) -> float:
    """Return 1 for a unit that instructs, a little less for a mere step of a routine, else 0."""
    if lexicon.USE_NAME.match(unit.name):
        return 0.0
    # a heading such as "Apply gentle pressure" instructs itself
    count = len(_instructions(unit.texts)) + (least > 1 and instructs(unit.name))
    if count >= least:
        return 1.0
    if least == 1 and _places(sentences(unit.texts[0])[0]):
        return 0.8
    routine = any(lexicon.ROUTINE.search(line) for line in context[:2])
    named = bool(lexicon.STEP_NAME.search(unit.name or unit.texts[0][:60]))
    if routine and named and not _gives_advice(unit):
        return 0.8
    return 0.0


def _places(sentence: str) -> bool:
    """Return whether a sentence names a product and no verb: "Bronzer where the sun would go"."""
    if len(_HAN.findall(sentence)) > 2:
        return False
    match = lexicon.PRODUCTS_EN.search(sentence)
    if match is None or len(sentence[: match.start()].split()) > 3:
        return False
    return not re.search(lexicon.STATING, sentence)


def _gives_advice(unit: Unit) -> bool:
    words = _without_openers([word.lower() for word in _WORDS.findall(" ".join(unit.texts)[:60])])
    return bool(words) and words[0] in lexicon.ADVICE


def _marked(blocks: Sequence[Block], title: str) -> list[Procedure]:
    """Propose blocks that call themselves steps, each with what follows until the next one."""
    places = [place for place, block in enumerate(blocks) if _MARK.match(block.text)]
    units = []
    for index, place in enumerate(places):
        block = blocks[place]
        limit = places[index + 1] if index + 1 < len(places) else len(blocks)
        rest = _MARK.sub("", block.text).strip()
        name = _MARK.sub("", block.lead).strip() if block.lead else ""
        unit = Unit(name, [] if block.kind == "heading" else [rest], place)
        if block.kind == "heading":
            unit.name = rest
        for follower in blocks[place + 1 : limit]:
            if not _belongs(block, follower):
                break
            unit.nested = unit.nested or follower.kind == "item"
            unit.texts.append(follower.text)
        if not unit.texts:
            unit.texts.append(rest)
        step = bool(lexicon.STEP_NAME.search(unit.name or rest[:60]))
        unit.action = max(_action(unit, []), 0.6 if step else 0.0)
        units.append(unit)
    return [Procedure("marked", units)] if units else []


def _belongs(step: Block, follower: Block) -> bool:
    """Return whether a block that follows a step's first one is part of it."""
    if step.kind == "heading":
        return follower.kind != "heading" or follower.level > step.level
    if step.kind == "item":
        return follower.kind == "item" and follower.level > step.level
    # after a paragraph only its list; the next paragraph may be the closing one
    return follower.kind == "item"


def _lists(blocks: Sequence[Block], title: str) -> list[Procedure]:
    """Propose each list, and lists for morning and evening together."""
    found: list[tuple[Procedure, bool]] = []
    place = 0
    while place < len(blocks):
        block = blocks[place]
        if block.kind != "item":
            place += 1
            continue
        units, end = _list_units(blocks, place)
        context = _context(blocks, place)
        ordered = block.number > 0
        candidate = _judged_list(units, context, ordered)
        if candidate is not None:
            daytime = any(lexicon.DAYTIME.search(line) for line in context[:2])
            found.append((candidate, daytime))
        place = end
    proposals = [candidate for candidate, _ in found]
    routine = [unit for candidate, daytime in found if daytime for unit in candidate.units]
    parts = sum(daytime for _, daytime in found)
    if parts > 1:
        proposals.append(Procedure("numbered list", routine))
    return proposals


def _list_units(blocks: Sequence[Block], place: int) -> tuple[list[Unit], int]:
    """Return the items of the list that begins at ``place``, nested ones in theirs, and its end."""
    first = blocks[place]
    units: list[Unit] = []
    while place < len(blocks):
        block = blocks[place]
        if block.kind == "item" and block.level > first.level and units:
            units[-1].texts.append(block.text)
            units[-1].nested = True
        elif block.kind == "item" and block.group == first.group:
            units.append(Unit(block.lead, [_NUMBER.sub("", block.text)], place))
        elif not _goes_on(blocks, place, first, units):
            break
        else:
            units[-1].texts.append(block.text)
        place += 1
    return units, place


def _goes_on(blocks: Sequence[Block], place: int, first: Block, units: list[Unit]) -> bool:
    """Return whether the numbering of a list goes on after this paragraph, which is an item's."""
    following = blocks[place + 1 : place + 3]
    later = any(block.kind == "item" and block.group == first.group for block in following)
    return bool(units) and blocks[place].kind in ("paragraph", "quote") and later


def _judged_list(units: list[Unit], context: list[str], ordered: bool) -> Procedure | None:
    near = context[0] if context else ""
    stepwise = any(lexicon.STEPS_HEADING.search(line) for line in context[:1])
    excluded = bool(lexicon.NO_STEPS_HEADING.search(near)) and not stepwise
    daytime = any(lexicon.DAYTIME.search(line) for line in context[:2])
    for unit in units:
        named = context if ordered or daytime or stepwise else []
        unit.action = _action(unit, named)
        if _gives_advice(unit) and unit.action == 1.0:
            unit.action = 0.5
    if excluded:
        return None
    if ordered:
        return Procedure("numbered list", units)
    # of bullets that nothing calls steps, more of them must instruct, and be most of the article
    return Procedure("bulleted list" if stepwise or daytime else "bare bullets", units)


def _headed(blocks: Sequence[Block], title: str) -> list[Procedure]:
    """Propose the sections of one level: numbered ones, and runs of those that instruct."""
    proposals = []
    choices = _choices(blocks, title)
    for level in range(1, 7):
        places = [place for place in _places_of_level(blocks, level) if place not in choices]
        if _alternatives(blocks, places, title):
            continue
        numbered = [place for place in places if _NUMBER.match(blocks[place].text)]
        if len(numbered) > 1:
            units = [_section(blocks, place, title, least=2) for place in numbered]
            proposals.append(Procedure("numbered headings", _instructing_run(units, gap=1)))
        units = [_section(blocks, place, title, least=1) for place in places]
        proposals.append(Procedure("headings", _instructing_run(units, gap=0)))
    return proposals


def _alternatives(blocks: Sequence[Block], places: Sequence[int], title: str) -> bool:
    """Return whether the sections at ``places`` are things to choose from: recipes, remedies.

    Each then has parts of the same names, such as "How to use", or what stands over them says so.
    A routine says of each of its steps how to use what it takes, too.
    """
    if lexicon.ROUTINE.search(title):
        return False
    seen: Counter[str] = Counter()
    for place in places:
        parts = set()
        for block in blocks[place + 1 :]:
            if block.kind == "heading" and block.level <= blocks[place].level:
                break
            part = block.text.strip(" :：*").casefold()  # noqa: RUF001
            if part in lexicon.ALTERNATIVE_PARTS:
                parts.add(part)
        seen.update(parts)
    if seen and max(seen.values()) > 1:
        return True
    numbered = [place for place in places if _NUMBER.match(blocks[place].text)]
    if len(numbered) < 2:
        return False
    # the heading, and the line that leads in, if there is one
    above = [line for line in _context(blocks, numbered[0])[:2] if line != title]
    said = " ".join(above)
    if lexicon.STEPS_HEADING.search(said):
        return False
    return bool(lexicon.ALTERNATIVES_HEADING.search(said))


def _places_of_level(blocks: Sequence[Block], level: int) -> list[int]:
    return [
        place
        for place, block in enumerate(blocks)
        if block.kind == "heading" and block.level == level
    ]


def _choices(blocks: Sequence[Block], title: str) -> set[int]:
    """Return the places of the blocks that stand in sections of things to choose from."""
    inside: set[int] = set()
    for level in range(1, 7):
        places = _places_of_level(blocks, level)
        if not _alternatives(blocks, places, title):
            continue
        for place in places:
            for number in range(place + 1, len(blocks)):
                if blocks[number].kind == "heading" and blocks[number].level <= level:
                    break
                inside.add(number)
    return inside


def _section(blocks: Sequence[Block], place: int, title: str, least: int) -> Unit:
    head = blocks[place]
    unit = Unit(_NUMBER.sub("", head.text).strip(), [], place)
    excluded = False
    for block in blocks[place + 1 :]:
        if block.kind == "heading":
            if block.level <= head.level:
                break
            unit.nested = True
            stepwise = bool(lexicon.STEPS_HEADING.search(block.text))
            excluded = bool(lexicon.NO_STEPS_HEADING.search(block.text)) and not stepwise
            continue
        unit.nested = unit.nested or block.kind == "item"
        if not excluded:
            unit.texts.append(block.text)
    if not unit.texts:
        return unit
    # the title may promise "tips" and give steps
    context = [line for line in _context(blocks, place) if line != title]
    tips = bool(context) and bool(re.search(r"\btips?\b", context[0], re.I))
    about = lexicon.NO_STEPS_HEADING.search(unit.name) or head.text.endswith(("?", "？"))  # noqa: RUF001
    if not about and not tips:
        steps = any(lexicon.ROUTINE.search(line) for line in context)
        named = steps and bool(lexicon.STEP_NAME.search(unit.name))
        unit.action = _action(unit, [], 1 if named or not unit.nested else least)
        if _share_instructing(unit) < 0.25 and not named:
            unit.action = 0.0
    return unit


def _share_instructing(unit: Unit) -> float:
    parts = [part for text in unit.texts for part in sentences(text)]
    return sum(instructs(part) or _places(part) for part in parts) / max(1, len(parts))


def _instructing_run(units: list[Unit], gap: int) -> list[Unit]:
    """Return the longest run of units that instruct, with at most ``gap`` others in a row in it."""
    best: list[Unit] = []
    run: list[Unit] = []
    misses = 0
    for unit in [*units, Unit("", [], -1)]:
        if unit.action > 0:
            run.append(unit)
            misses = 0
            continue
        misses += 1
        if misses > gap or unit.first < 0:
            if len(run) > len(best):
                best = run
            run = []
        elif run:
            run.append(unit)
    while best and best[-1].action == 0:
        best = best[:-1]
    return best


def _paragraphs(blocks: Sequence[Block], title: str) -> list[Procedure]:
    """Propose runs of paragraphs that instruct, with bold lead-ins or without."""
    units = []
    leads = 0
    excluded = False
    choices = _choices(blocks, title)
    for place, block in enumerate(blocks):
        if block.kind == "heading":
            stepwise = bool(lexicon.STEPS_HEADING.search(block.text))
            excluded = bool(lexicon.NO_STEPS_HEADING.search(block.text)) and not stepwise
            continue
        if place in choices:
            continue
        if block.kind != "paragraph":
            # lists are proposed by `_lists`; here one ends a run
            if block.kind == "item":
                units += [Unit("", [], place)] * 2
            continue
        unit = Unit(block.lead, [_NUMBER.sub("", block.text)], place)
        share = _share_instructing(unit)
        opens = bool(lexicon.SEQUENCE_WORD.match(unit.texts[0]))
        enough = share >= (0.2 if block.lead or opens else 0.34)
        if enough and not excluded and not block.text.endswith(("?", "？")):  # noqa: RUF001
            unit.action = 1.0
            leads += bool(block.lead)
        units.append(unit)
    run = _instructing_run(units, gap=1)
    form = "lead-ins" if leads > len(run) / 2 else "paragraphs"
    return [Procedure(form, run)] if run else []


def _in_one_paragraph(blocks: Sequence[Block], title: str) -> list[Procedure]:
    """Propose the sentences of a paragraph that go First …, then …, finally …"""
    proposals = []
    for place, block in enumerate(blocks):
        if block.kind != "paragraph":
            continue
        parts = sentences(block.text)
        opened = [bool(lexicon.SEQUENCE_WORD.match(part)) for part in parts]
        if sum(opened) < 2 or len(parts) < 3:
            continue
        units: list[Unit] = []
        for part, opens in zip(parts, opened, strict=True):
            if opens or instructs(part) or not units:
                action = float(instructs(part) or _places(part))
                units.append(Unit("", [part], place, action=action))
            else:
                units[-1].texts.append(part)
        proposals.append(Procedure("sentences", _instructing_run(units, gap=1)))
    return proposals


# ---- the tutorial


def step_text(unit: Unit) -> str:
    """Return a unit as one step: its name, and of its text whole sentences up to `LONGEST_STEP`."""
    parts = [part for text in unit.texts for part in sentences(text)]
    name = one_line(_MARK.sub("", _NUMBER.sub("", unit.name))).rstrip(":：.。 ")  # noqa: RUF001
    if unit.nested:
        # a section with lists of its own: what it says beside the instructions is no step
        parts = [part for part in parts if instructs(part)] or parts[:1]
    kept: list[str] = []
    length = len(name)
    for part in parts:
        if kept and length + len(part) > LONGEST_STEP:
            break
        kept.append(part)
        length += len(part) + 1
    chinese = bool(_HAN.search("".join(kept)))
    text = ("" if chinese else " ").join(kept)
    text = _MARK.sub("", _NUMBER.sub("", text)).strip()
    text = text[:LONGEST_STEP] if len(text) > 2 * LONGEST_STEP else text
    begins_with_name = text.casefold().startswith(name.casefold())
    if name and not begins_with_name:
        text = f"{name}{'：' if chinese else ': '}{text}"  # noqa: RUF001
    return one_line(text)


def find_title(blocks: Sequence[Block], given: Given, page_title: str) -> str:
    """Return the title that is stated, or the first heading, or what the page calls itself."""
    stated = str(given.get("title", ""))
    first = next((block.text for block in blocks if block.kind == "heading"), "")
    title = stated or first or page_title
    return one_line(_SITE.sub("", title)).strip("#*_ ")


def extract(
    blocks: Sequence[Block], title: str, language: str, given: Given, least: int
) -> tuple[Tutorial, str]:
    """Return the how-to that an article is, and its layout; without steps and "" if it is none."""
    procedure = find_steps(blocks, title, least, stated=bool(given.get("look")))
    steps: tuple[str, ...] = ()
    if procedure is not None:
        texts = [step_text(unit) for unit in procedure.units]
        steps = tuple(dict.fromkeys(text for text in texts if text))
    if len(steps) < least:
        steps = ()
    whole = "\n".join(block.text for block in blocks)
    described = "\n".join([*steps, *_needs(blocks)]) or whole
    products = _listed(given, "products") or _mentioned(described, language, "products")
    tools = _listed(given, "tools") or _mentioned(described, language, "tools")
    intro = whole[:400]
    first_sentence = sentences(whole)[0][:120] if whole else ""
    tutorial = Tutorial(
        title=title or one_line(first_sentence),
        language=language,
        look=_stated(given, "look") or _named(lexicon.LOOKS, [title, intro]),
        occasion=_stated(given, "occasion") or _named(lexicon.OCCASIONS, [title, intro]),
        skin_type=_stated(given, "skin_type") or _named(lexicon.SKIN_TYPES, [title, intro]),
        products=products,
        tools=tuple(tool for tool in tools if tool not in products),
        steps=steps,
    )
    form = procedure.form if procedure is not None and steps else ""
    return tutorial, form


def _stated(given: Given, name: str) -> str:
    value = given.get(name, "")
    return one_line(value) if isinstance(value, str) else ""


def _listed(given: Given, name: str) -> tuple[str, ...]:
    value = given.get(name, [])
    items = [value] if isinstance(value, str) else value
    lines = [item_line(item) for item in items]
    return tuple(dict.fromkeys(line for line in lines if line))


def _needs(blocks: Sequence[Block]) -> list[str]:
    """Return the texts of the section that says what is needed."""
    texts = []
    wanted = False
    for block in blocks:
        if block.kind == "heading":
            wanted = bool(
                re.search(r"need|ingredients|supplies|kit\b|准备|需要|清单", block.text, re.I)
            )
        elif wanted or re.match(
            r"(?:you(?:'ll| will)? need|needed|ingredients|准备|需要)", block.text, re.I
        ):
            texts.append(block.text)
    return texts


def _mentioned(text: str, language: str, kind: str) -> tuple[str, ...]:
    """Return the products or tools that ``text`` names, in its order."""
    patterns = {
        ("products", "zh"): lexicon.PRODUCTS_ZH,
        ("tools", "zh"): lexicon.TOOLS_ZH,
        ("products", "en"): lexicon.PRODUCTS_EN,
        ("tools", "en"): lexicon.TOOLS_EN,
    }
    pattern = patterns.get((kind, language), patterns[kind, "en"])
    found: dict[str, None] = {}
    for match in pattern.finditer(text):
        found.setdefault(" ".join(match[0].lower().split()))
    return tuple(found)[:MOST_ITEMS]


def _named(values: dict[str, str], texts: Sequence[str]) -> str:
    """Return the value whose words the first text has that has any; the most frequent one of it."""
    for text in texts:
        counts = {value: len(re.findall(pattern, text, re.I)) for value, pattern in values.items()}
        best = max(counts, key=lambda value: counts[value])
        if counts[best]:
            return best
    return ""
