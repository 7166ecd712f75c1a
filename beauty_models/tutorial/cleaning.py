"""What is no text of an article: promotion, links, tracking, sources, what every page repeats."""

# ruff: noqa: E501, SIM905 - lists of words and patterns read best in full lines

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from beauty_models.tutorial.blocks import Block, join_chinese

PROMOTED_SHARE = 0.02  # of the articles that link to a site, from which it is one they promote
PROMOTED_ARTICLES = 3
REPEATED_ARTICLES = 3  # that have the same block, from which the page printed it and not the author
SHORTEST_REPEATED = 40  # characters; shorter ones are headings and phrases that anybody writes
# Sites that articles cite or that are known by a common word: a link to them promotes nothing.
CITED = frozenset(
    "wikipedia youtube youtu google apple amazon instagram facebook twitter pinterest reddit "
    "tiktok"
    " nih gov ncbi doi sciencedirect pubmed nature healthline webmd mayoclinic medium example"
    " github weibo bilibili zhihu baidu xiaohongshu douyin weixin qq sephora walmart ulta"
    " cloudinary shopify media hearstapps images cdn".split()
)

# fmt: off
# Sentences that sell, track or ask for a click instead of saying something.
_PROMOTION = re.compile("|".join([
    # English: apps, newsletters, shops, codes
    r"\b(?:download|install|get|try)\b[^.]{0,60}\b(?:app|for (?:android|ios|iphone|free)|on the"
    r" (?:app store|play store)|google play)\b",
    r"\b(?:available|find (?:it|us)|get it) (?:on|in|at) (?:the )?(?:app store|google play|play"
    r" store|amazon)\b",
    r"\bon (?:ios|android) (?:and|or) (?:ios|android)\b",
    r"\b(?:sign up|subscribe|join)\b[^.]{0,60}\b(?:newsletter|mailing list|e-?mails?|updates|free"
    r" trial|waitlist|channel|community today)\b",
    r"\b(?:affiliate|sponsored|paid partnership|in partnership with|gifted by|earn a (?:small"
    r" )?commission|at no (?:extra|additional) cost to you|amazon associate)\b",
    r"\b(?:use|with|enter)\b[^.]{0,20}\b(?:promo |discount |coupon |voucher |my "
    r")?code\b[^.]{0,40}"
    r"(?:\boff\b|%|discount|checkout|save)",
    r"\b\d{1,2} ?% off\b|\bfree shipping\b|\bmoney[- ]back\b|\blimited[- ]time (?:offer|deal)\b",
    r"\b(?:shop|buy|order|book|pre-?order|add to (?:cart|bag|basket))\b[^.]{0,40}\b(?:now|today|"
    r"here|online|our|link|via)\b",
    r"\b(?:click|tap|swipe)\b[^.]{0,30}\b(?:here|below|link|button|up)\b|\blink in (?:my |our "
    r")?bio",
    r"\b(?:visit|check out|explore|discover|browse) (?:our|my)\b|\bvisit (?:the )?website\b",
    r"\bour (?:app|store|shop|website|products?|collection|range|platform|tool|experts?|advanced|"
    r"ai|newsletter|skin(?:care)? (?:quiz|analysis|assessment))\b",
    r"\b(?:scan your face|take (?:the|our) quiz|skin (?:analysis|scan|quiz) (?:now|today))\b",
    # English: asking for comments and follows
    r"\b(?:share|tell|let)\b[^.?!]{0,80}\b(?:in the )?comments?\b(?: section)?(?: below)?",
    r"\b(?:leave|drop)\b[^.]{0,30}\bcomments?\b|\bcomment below\b|\bcomments below\b",
    r"\b(?:follow|tag) (?:us|me)\b|\blike and (?:share|subscribe)\b|\bdon't forget to (?:like|"
    r"share"
    r"|subscribe)\b|\bshare this (?:post|article)\b|\bpin (?:it|this) for later\b",
    r"\bread more (?:blogs?|posts?|articles?)\b|\b(?:more|other) (?:blogs?|posts?) (?:on|about|"
    r"related)\b|\byou (?:may|might) also (?:like|enjoy)\b|\brelated (?:posts?|articles?):",
    r"\ball rights reserved\b|\bcookie(?:s| policy)\b|\bprivacy policy\b|^advertisement$|^ad$",
    r"\bwhat(?:'s| is| are) your (?:favou?rite|go-?to)\b[^?]{0,120}\?",
    r"\b(?:have|do) you (?:tried|have a favou?rite)\b[^?]{0,120}\?",
    # Chinese
    r"(?:关注|搜索|添加|加)(?:一下)?(?:我|我们|本|官方)?的?(?:公众号|微信|小红书|抖音|微博|账号|"
    r"店铺|企鹅群|粉丝群|社群)",
    r"(?:公众号|微信号|v信|V信|薇信|wx|WX|QQ群)\s*[:：]|(?:扫|识别)(?:一扫|"
    r"描)?[^。]{0,8}(?:二维码|码领|码加)",
    r"(?:优惠券|折扣码|优惠码|满减|包邮|秒杀|限时(?:优惠|折扣|抢购)|领券|淘口令|下单立减|立减|"
    r"买一送一|赠品多多)",
    r"(?:点击|戳|点)(?:下方|这里|此处|左下角|链接|原文|下面)|(?:购买|下单|商品|店铺)链接|"
    r"阅读原文",
    r"(?:下载|安装)[^。]{0,12}(?:APP|App|app|客户端|小程序)",
    r"(?:点赞|转发|收藏|评论区)[^。]{0,12}(?:告诉|留言|分享|见|关注|一键三连)|一键三连|"
    r"求(?:关注|点赞)|欢迎(?:留言|转发|关注)",
    r"(?:广告|赞助|合作推广|商务合作|推广合作|好物分享链接)(?:[:：]|$)|本文(?:含|包含|"
    r"由).{0,12}(?:广告|推广|赞助)",
    r"(?:旗舰店|官方店|直播间)[^。]{0,16}(?:购买|下单|有售|同款|优惠|上架)",
    r"版权所有|未经许可.{0,6}转载|转载请注明",
]), re.IGNORECASE)

# Sections of which nothing is the article's own.
_DROPPED_SECTION = re.compile(
    r"^(?:sources?|references?|citations?|resources|related (?:posts?|articles?|reading)|read "
    r"(?:more"
    r"|next)|further reading|you (?:may|might) also like|share(?: this)?(?: post)?|about (?:the "
    r")?"
    r"(?:author|us)|disclosures?|where to buy|shop (?:the|this) (?:look|post|story)|newsletter|"
    r"subscribe|tags|categories|leave a (?:reply|comment)|follow us|advertisement|table of "
    r"contents|"
    r"contents|参考(?:资料|文献)|相关(?:阅读|文章|推荐)|推荐阅读|延伸阅读|关于(?:作者|我们)|"
    r"购买(?:链接|渠道)|广告|"
    r"标签|分享到|目录|版权声明)\s*[:：]?$",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"\(?\b(?:https?://|www\.)[^\s<>()（），。；、]+\)?"
    r"|\b[a-z0-9-]{2,40}\.(?:com|net|org|cn|co|io|shop|store|skin|app|"
    r"link)(?:/[^\s<>()（），。]*)?(?![\w@])",
    re.IGNORECASE,
)
# A site's mark behind a copied text.
_WATERMARK = re.compile(r"\s*[|｜]\s*(?:www\.)?[a-z0-9-]{2,40}(?:\.[a-z]{2,6}){1,2}/?\s*$", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)*]*\s+(?=[\"'“‘(]?[A-Z0-9\[\u4e00-\u9fff])|(?<=[。！？])(?![”』」）])")
# fmt: on


@dataclass
class Removed:
    """How much was taken out of the articles, in blocks and characters."""

    promotion: int = 0
    repeated: int = 0
    sources: int = 0
    links: int = 0
    characters: int = 0  # of promotion and repetition


def sentences(text: str) -> list[str]:
    """Return the sentences of ``text``, each with its final punctuation."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


def promoted_names(articles: Sequence[Sequence[Block]]) -> dict[str, int]:
    """Return the names of sites that the delivery promotes → in how many articles.

    A site that many articles link to, and whose name they also write, is its owner's or a
    customer's; what is merely cited is linked and not named.
    """
    linking: Counter[str] = Counter()
    naming: Counter[str] = Counter()
    for blocks in articles:
        names = {_site_name(host) for block in blocks for host in block.hosts}
        linking.update(names - CITED - {""})
    least = max(PROMOTED_ARTICLES, PROMOTED_SHARE * len(articles))
    candidates = {name for name, count in linking.items() if count >= least}
    for blocks in articles:
        text = " ".join(block.text for block in blocks)
        naming.update(name for name in candidates if _names(name).search(text))
    return {name: naming[name] for name in sorted(candidates) if naming[name] >= least}


def _site_name(host: str) -> str:
    """Return the name of a site: of shop.example.co.uk it is example."""
    labels = host.split(".")
    while len(labels) > 1 and len(labels[-1]) <= 4 and labels[-1] not in CITED:
        last = labels.pop()
        if len(labels) == 1 or len(last) > 3:
            break
    name = labels[-1] if labels else ""
    return name if len(name) >= 4 else ""


def _names(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z]){re.escape(name)}(?![a-z])", re.IGNORECASE)


def repeated_blocks(articles: Sequence[Sequence[Block]]) -> set[str]:
    """Return the texts that stand in many articles word for word."""
    counts: Counter[str] = Counter()
    for blocks in articles:
        # no items: "Rinse with lukewarm water and pat dry." is a step that one author writes often
        texts = {block.text for block in blocks if block.kind != "item"}
        counts.update(text for text in texts if len(text) >= SHORTEST_REPEATED)
    return {text for text, count in counts.items() if count >= REPEATED_ARTICLES}


def clean(
    blocks: Iterable[Block], promoted: Iterable[str], repeated: set[str], removed: Removed
) -> list[Block]:
    """Return the ``blocks`` that are the article's own, without addresses; ``removed`` counts."""
    named = [_names(name) for name in promoted]
    kept: list[Block] = []
    dropped_level = 0  # of the heading whose section is dropped; 0 is none
    for block in blocks:
        if block.kind == "heading":
            if dropped_level and block.level > dropped_level:
                continue
            dropped_level = 0
        elif dropped_level:
            removed.sources += 1
            continue
        title = block.text if block.kind == "heading" else block.lead or block.text
        if _DROPPED_SECTION.match(title.strip("*_ ")):
            dropped_level = block.level if block.kind == "heading" else 0
            removed.sources += 1
            continue
        if block.text in repeated:
            removed.repeated += 1
            removed.characters += len(block.text)
            continue
        piece = _without_promotion(block, named, removed)
        if piece is not None:
            kept.append(piece)
    return _without_empty_sections(kept)


def _without_promotion(
    block: Block, named: list[re.Pattern[str]], removed: Removed
) -> Block | None:
    """Return ``block`` without sentences that promote and without addresses; None if none stays."""
    marked = _WATERMARK.sub("", block.text)
    removed.links += marked != block.text
    parts = sentences(marked)
    own = [part for part in parts if not is_promotion(part, named)]
    lost = len(marked) - sum(map(len, own))
    if len(own) < len(parts):
        removed.promotion += 1
        removed.characters += lost
    # what is left of an item that begins by selling is no step
    whole = block.kind == "item" and bool(parts) and is_promotion(parts[0], named)
    if not own or whole:
        return None
    text = join_chinese(" ".join(own))
    bare = _ADDRESS.sub("", text)
    removed.links += bare != text
    bare = re.sub(r"\(\s*\)|\[\s*\]|（\s*）", "", bare)
    bare = re.sub(r"[ \t]+([,.;:!?)])", r"\1", " ".join(bare.split())).strip()
    # "Source:" and "|" say nothing without the address that followed
    if not re.search(r"\w", bare) or (bare != text and len(bare) < 12):
        return None
    lead = block.lead if bare.startswith(block.lead) else ""
    return replace(block, text=bare, lead=lead)


def is_promotion(sentence: str, named: Iterable[re.Pattern[str]] = ()) -> bool:
    """Return whether a sentence sells, asks for a click, or names what the delivery promotes."""
    straight = sentence.replace("’", "'")
    if _PROMOTION.search(straight):
        return True
    return any(name.search(straight) for name in named)


def _without_empty_sections(blocks: list[Block]) -> list[Block]:
    """Return ``blocks`` without headings that nothing follows any more."""
    kept: list[Block] = []
    for block in reversed(blocks):
        if block.kind == "heading":
            below = kept[-1] if kept else None
            # a heading of a lower level below it is content of its own
            empty = below is None or (below.kind == "heading" and below.level <= block.level)
            if empty:
                continue
        kept.append(block)
    return kept[::-1]
