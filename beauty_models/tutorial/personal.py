"""Personal data in articles and their comments, masked: people's names, mail, telephone numbers.

Telephone numbers are found by phonenumbers (Google's libphonenumber), given names by the lists of
Faker, Chinese ones by Faker's family names and jieba's dictionary. The patterns here say where a
name may stand: names are masked where somebody is quoted, signs or is spoken of by title, and from
then on wherever the article repeats them, but not everywhere: Rose, Olive and Charlotte Tilbury are
colours, oils and brands in articles about make-up.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable

import jieba
import phonenumbers
from faker.providers.person.en_US import Provider as EnglishNames
from faker.providers.person.zh_CN import Provider as ChineseNames

NAME = "[name]"
MAIL = "[mail]"
PHONE = "[phone]"

COMMON_FAMILY_NAMES = 100
# Where numbers without a country code may be from.
REGIONS = ("CN", "US", "GB", "HK", "TW")

_MAIL = re.compile(
    r"[A-Za-z0-9][\w.+%-]{0,63}\s?(?:@|\(at\)|\[at\]|"
    r"＠)\s?[A-Za-z0-9][\w-]{0,62}(?:\.[A-Za-z0-9-]{2,63}){1,4}"
)  # noqa: E501, RUF001
# Handles of social networks; u/ is Reddit's. Not inside of addresses.
_HANDLE = re.compile(r"(?<![\w/@.])(?:@|u/)[A-Za-z0-9_][\w.-]{1,40}(?<![.-])|@[一-鿿\w-]{2,16}")
_CHINESE_ID = re.compile(r"(?<!\d)[1-9]\d{5}(?:19|20)\d{2}[01]\d[0-3]\d{4}[\dXx](?!\d)")

_WORD = r"[A-Z][a-zà-öø-ÿ]+(?:[-'’][A-Z]?[a-zà-öø-ÿ]+)?"
_PERSON = (
    rf"{_WORD}(?: (?:[A-Z]\.|van|von|de|da|del|bin|al-){{0,1}} ?{_WORD}| "
    rf"[A-Z]\.?(?![\w'’])){{0,2}}"
)
_VERB = (
    r"(?:says|said|explains|explained|notes|noted|adds|added|writes|wrote|shares|shared|"
    r"recommends|"
    r"recommended|advises|advised|suggests|suggested|emphasi[sz]es|emphasi[sz]ed|reports|"
    r"reported|"
    r"commented|comments|replied|asks|asked|told|tells|warns|agrees|swears|reviewed|points out)"
)
_TITLED = re.compile(rf"\b(?:Dr|Mr|Mrs|Ms|Prof|Professor|Doctor)\.? ({_PERSON})(?![\w+])")
_SPEAKING = [
    re.compile(
        rf"(?:^|(?<=[.!?,”\"'’)\s])) ?({_PERSON})(?:, (?:\d{{2}}|[a-z][^.,]{{2,60}}),)? {_VERB}\b"
    ),
    re.compile(rf"\b{_VERB} ({_PERSON})(?=[,.;:!?”\"]|$| (?:from|of|in|on)\b)"),
]
# Signatures, by-lines, and the first words of comments: "— Anna M.", "by Anna Smith", "Anna, 34:".
_SIGNED = [
    re.compile(rf"(?:^|[\s”\"’*])[—–―-]{{1,2}} ?({_PERSON})(?=[,.)*]|\s*$)"),
    re.compile(
        rf"\b(?:[Bb]y|[Ww]ritten by|[Pp]osted by|[Rr]eview(?:ed)? by|[Cc]omment (?:by|from)|"
        rf"[Aa]uthor:|[Nn]ame:|[Tt]hanks,?|[Ll]ove,|[Xx]oxo,?|[Cc]ontact|[Rr]egards,?) "
        rf"({_PERSON})"
    ),
    re.compile(
        rf"^({_WORD}(?: [A-Z]\.?| {_WORD})?)(?:,? \(?\d{{2}}\)?)?(?:,? from [A-Z]\w+)?(?:,? "
        rf"[\d.]+ stars?| wrote)? ?[:：]"
    ),
    re.compile(
        rf"\b(?:[Mm]y (?:friend|sister|mum|mom|mother|daughter|aunt|cousin|colleague|husband|"
        rf"wife|boyfriend|girlfriend|dermatologist|facialist|neighbou?r)|[Mm]y name is|I'm|I am|"
        rf"[Rr]eader|[Uu]ser|[Cc]ustomer) ({_PERSON})"
    ),
]
# Chinese: what stands before or after a name.
_HAN_NAME = r"[一-鿿]{2,4}"
_CHINESE = [
    re.compile(
        rf"(?:作者|文|撰文|编辑|摄影|模特|署名|姓名|联系人|用户|网友|读者|买家|顾客|粉丝|昵称|"
        rf"评论人)\s*[:：/｜|]?\s*[“\"「]?({_HAN_NAME})(?=[”\"」:：，。,.\s（(]|说|表示|留言|"
        rf"评论|反馈|$)"
    ),
    re.compile(rf"(?:^|[\s。！？”])[—–―-]{{1,2}}\s?({_HAN_NAME})\s*$"),
    re.compile(rf"^({_HAN_NAME})\s*[:：](?=.{{4}})"),
    re.compile(
        rf"(?:^|[，。！？、；\s“（])({_HAN_NAME})(?=(?:说|表示|留言|评论|告诉|回复|分享道|"
        rf"反馈)[，,:：道我“])"
    ),
    re.compile(
        rf"(?:我叫|我是|名叫|叫做|朋友|闺蜜|同事|医生|老师)({_HAN_NAME})(?=[，。,.：:！!]|说|的)"
    ),
]
_CHINESE_TITLED = re.compile(r"([一-鿿]{1,3})(?=(?:先生|女士|小姐|医生|教授|老师|博士))")

# Words that stand where names stand and are none, brands first.
_NO_NAME = frozenset(
    [
        "jart",
        "bronner",
        "sturm",
        "gross",
        "dennis",
        "barbara",
        "hauschka",
        "brandt",
        "perricone",
        "loretta",
        "idriss",
        "murad",
        "zein",
        "roebuck",
        "lipp",
        "obagi",
        "charlotte",
        "tilbury",
        "paula",
        "bobbi",
        "brown",
        "sunday",
        "riley",
        "mary",
        "kay",
        "estee",
        "lauder",
        "calvin",
        "klein",
        "tom",
        "ford",
        "marc",
        "jacobs",
        "kiehl",
        "rare",
        "fenty",
        "laura",
        "mercier",
        "huda",
        "kat",
        "von",
        "drunk",
        "elephant",
        "reliable",
        "clean",
        "bubble",
        "mario",
        "badescu",
        "peter",
        "thomas",
        "roth",
        "tata",
        "harper",
        "kate",
        "somerville",
        "vaseline",
        "cerave",
        "cetaphil",
        "olay",
        "clinique",
        "avene",
        "bioderma",
        "nivea",
        "neutrogena",
        "laneige",
        "innisfree",
        "cosrx",
        "aveeno",
        "eucerin",
        "sephora",
        "ulta",
        "amazon",
        "reddit",
        "google",
        "instagram",
        "tiktok",
        "youtube",
        "ordinary",
        "pros",
        "cons",
        "tip",
        "tips",
        "note",
        "step",
        "steps",
        "morning",
        "evening",
        "night",
        "day",
        "am",
        "pm",
        "hand",
        "face",
        "eye",
        "eyes",
        "lip",
        "lips",
        "skin",
        "hair",
        "nails",
        "myth",
        "fact",
        "question",
        "answer",
        "winner",
        "rose",
        "olive",
        "hazel",
        "jasmine",
        "violet",
        "lily",
        "ruby",
        "pearl",
        "amber",
        "ginger",
        "sage",
        "basil",
        "rosemary",
        "lavender",
        "iris",
        "daisy",
        "poppy",
        "ivy",
        "fern",
        "heather",
        "coral",
        "crystal",
        "jade",
        "opal",
        "cherry",
        "peach",
        "berry",
        "apricot",
        "clementine",
        "aloe",
        "vera",
        "shea",
        "joy",
        "grace",
        "hope",
        "faith",
        "dawn",
        "eve",
        "autumn",
        "summer",
        "april",
        "may",
        "june",
        "august",
        "christmas",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "january",
        "february",
        "march",
        "july",
        "september",
        "october",
        "november",
        "december",
        "korean",
        "japanese",
        "french",
        "english",
        "chinese",
        "american",
        "european",
        "asian",
        "indian",
        "african",
        "it",
        "this",
        "that",
        "these",
        "those",
        "they",
        "we",
        "you",
        "he",
        "she",
        "i",
        "one",
        "some",
        "many",
        "most",
        "others",
        "people",
        "users",
        "experts",
        "dermatologists",
        "studies",
        "research",
        "everyone",
        "someone",
        "nobody",
        "community",
        "online",
        "what",
        "when",
        "where",
        "why",
        "how",
        "who",
        "which",
        "if",
        "the",
        "a",
        "an",
        "and",
        "but",
        "or",
        "so",
        "as",
        "at",
        "by",
        "in",
        "of",
        "on",
        "to",
        "for",
        "from",
        "with",
        "my",
        "your",
        "our",
        "their",
        "his",
        "her",
        "its",
        "no",
        "not",
        "yes",
        "always",
        "never",
        "also",
        "however",
    ]
)


@functools.cache
def _given_names() -> frozenset[str]:
    return frozenset(name.casefold() for name in EnglishNames.first_names)


@functools.cache
def _family_names() -> frozenset[str]:
    return frozenset(name.casefold() for name in EnglishNames.last_names)


@functools.cache
def _chinese_family_names() -> frozenset[str]:
    # in the order of how many bear them; the rarer ones are common words, such as 班 and 位
    return frozenset(list(ChineseNames.last_names)[:COMMON_FAMILY_NAMES])


@functools.cache
def _chinese_words() -> dict[str, bool]:
    """Return the words of jieba's dictionary up to four characters → whether they are names."""
    words = {}
    with jieba.Tokenizer().get_dict_file() as lines:
        for line in lines:
            word, _, tag = line.decode("utf-8").rstrip().split(" ")
            if len(word) <= 4:
                words[word] = tag.startswith("nr")
    return words


def known_names(texts: Iterable[str]) -> frozenset[str]:
    """Return the family names of the people that an article speaks of by title or quotes.

    Later it calls them by these alone: "Dr. Anna Smith says", then "Smith adds".
    """
    names = set()
    for text in texts:
        for pattern in (_TITLED, *_SPEAKING):
            for match in pattern.finditer(text):
                person = match[1]
                titled = pattern is _TITLED and not _is_brand(person)
                if titled or (" " in person and is_english_name(person)):
                    names.add(person.split()[-1].strip(".,'’"))
    return frozenset(name for name in names if len(name) > 2)


def mask(text: str, found: Counter[str], known: frozenset[str] = frozenset()) -> str:
    """Return ``text`` with `MAIL`, `PHONE` and `NAME` instead of personal data; ``found`` counts.

    ``known`` are the article's `known_names`. What was masked is counted, never written down.
    """
    text = _replace(_MAIL, MAIL, text, found, "mail")
    text = _replace(_CHINESE_ID, PHONE, text, found, "identity_number")
    text = _mask_phones(text, found)
    text = _replace(_HANDLE, NAME, text, found, "handle")
    return _mask_names(text, found, known)


def _replace(
    pattern: re.Pattern[str], masked: str, text: str, found: Counter[str], kind: str
) -> str:
    text, count = pattern.subn(masked, text)
    if count:
        found[kind] += count
    return text


def _mask_phones(text: str, found: Counter[str]) -> str:
    # most texts have no run of seven digits: the matcher is not asked then
    if len(re.findall(r"\d", text)) < 7:
        return text
    spans: list[tuple[int, int]] = []
    for region in REGIONS:
        for match in phonenumbers.PhoneNumberMatcher(text, region):
            if all(match.end <= start or match.start >= end for start, end in spans):
                spans.append((match.start, match.end))
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + PHONE + text[end:]
    found["phone"] += len(spans)
    return text


def _english_spans(text: str, known: frozenset[str]) -> dict[int, int]:
    """Return where English names begin → where they end."""
    spans = {}
    for name in known:
        for match in re.finditer(rf"\b{re.escape(name)}\b", text):
            spans[match.start()] = match.end()
    for match in _TITLED.finditer(text):
        if not _is_brand(match[1]):
            spans[match.start(1)] = match.end(1)
    for pattern in (*_SPEAKING, *_SIGNED):
        # of "White Clay: …" the family name alone says nothing
        colon = pattern is _SIGNED[2]
        for match in pattern.finditer(text):
            if is_english_name(match[1], given_only=colon):
                spans.setdefault(match.start(1), match.end(1))
    return spans


def _chinese_spans(text: str) -> dict[int, int]:
    """Return where Chinese names begin → where they end."""
    spans = {}
    for pattern in _CHINESE:
        for match in pattern.finditer(text):
            if is_chinese_name(match[1]):
                spans[match.start(1)] = match.end(1)
    for match in _CHINESE_TITLED.finditer(text):
        name = _titled_chinese(match[1])
        if name:
            spans.setdefault(match.end(1) - len(name), match.end(1))
    return spans


def _mask_names(text: str, found: Counter[str], known: frozenset[str]) -> str:
    spans = {**_chinese_spans(text), **_english_spans(text, known)}
    # the longest of those that overlap: "Anna Smith", not "Smith"
    end = 0
    pieces = []
    for start in sorted(spans):
        if start < end:
            continue
        pieces.append(text[end:start])
        end = spans[start]
        found["name"] += 1
    return NAME.join([*pieces, text[end:]]) if pieces else text


def _is_brand(name: str) -> bool:
    return any(part.strip(".'’").casefold() in _NO_NAME for part in name.split())


def is_english_name(name: str, given_only: bool = False) -> bool:
    """Return whether ``name``, which stands where a name may stand, begins with a given name.

    A family name behind a word that is no known given name is taken too, unless ``given_only``:
    before a colon stands "White Clay" more often.
    """
    parts = [part.strip(".,'’").casefold() for part in name.split()]
    if any(part in _NO_NAME for part in parts):
        return False
    if parts[0] in _given_names():
        return True
    # a given name that the list lacks, before a family name that it has
    return not given_only and len(parts) > 1 and parts[-1] in _family_names()


def is_chinese_name(name: str) -> bool:
    """Return whether ``name``, which stands where a name may stand, is a person's.

    It begins with a family name, or 小, 阿 or 老 before one as among friends, and is no other word
    of jieba's dictionary.
    """
    family = _chinese_family_names()
    # the dictionary takes a second to read: most that stand there are no names at the first glance
    if name[0] not in family and name[0] not in "小阿老":
        return False
    words = _chinese_words()
    if name in words:
        return words[name]
    if len(name) == 2 and name[0] in "小阿老":
        return name[1] in family
    if name[0] not in family or len(name) > 3:
        return False
    return len(name) == 2 or (name[:2] not in words and words.get(name[1:], True))


def _titled_chinese(before: str) -> str:
    """Return what of the characters before 先生 or 医生 is a name: the family name, or all."""
    for length in (3, 2, 1):
        name = before[-length:]
        if len(name) < length:
            continue
        if length == 1 and name in _chinese_family_names():
            return name
        if length > 1 and is_chinese_name(name):
            return name
    return ""
