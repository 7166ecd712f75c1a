"""What the things look like that a translation must keep: one pattern with named alternatives.

Every repetition has a bound, so that a line of 100,000 characters takes no longer than its length.
"""

from __future__ import annotations

import re

SENTINEL = re.compile(r"<([0-9]|[12][0-9]|3[01])>")

# a digit group, a number, several of them with signs between: 1,299.00 · 20 x 30 · 1/2 · 10:30
# A range is two numbers: in one language it is 34–42, in another 34 to 42.
_GROUPED = r"\d{1,3}(?:[,\u00a0\u202f'’]\d{3}){1,5}(?!\d)(?:[.,]\d{1,9})?"
# Between full-width and between Arabic digits other signs part a number: ３．５ and ٣٫٥.
_FULL_WIDTH = r"[０-９]{1,18}(?:[．，：.,:][０-９]{1,9}){0,5}"
_ARABIC = r"[٠-٩۰-۹]{1,18}(?:[٫٬.,][٠-٩۰-۹]{1,9}){0,5}"
_FRACTION = "[¼-¾⅐-⅞↉]"
_NUMBER = (
    rf"(?:{_GROUPED}|{_FULL_WIDTH}|{_ARABIC}"
    rf"|\d{{1,18}}(?:[.,:]\d{{1,9}}){{0,5}}(?:[ ]?{_FRACTION})?|{_FRACTION}|(?<![\w.,])\.\d{{1,9}})"
)
_NUMBERS = rf"{_NUMBER}(?:[ ]?(?:[x×*/]|\bx)[ ]?{_NUMBER}){{0,5}}"
# not behind a letter or digit, where a minus is a hyphen
_SIGN = r"(?<![\w)])[+−±≥≤≈-]"
# ①, Ⅳ, and what stands above or below a line
_FIGURE = "[①-⓿]|[Ⅰ-ↈ]{1,8}|[⁰¹²³⁴-⁹₀-₉]{1,8}"

UNIT_SYMBOLS = {
    "毫升": "ml",
    "升": "l",
    "毫克": "mg",
    "千克": "kg",
    "公斤": "kg",
    "克": "g",
    "毫米": "mm",
    "厘米": "cm",
    "公分": "cm",
    "ミリリットル": "ml",
    "リットル": "l",
    "キログラム": "kg",
    "グラム": "g",
    "センチメートル": "cm",
    "センチ": "cm",
    "ミリメートル": "mm",
    "밀리리터": "ml",
    "리터": "l",
    "킬로그램": "kg",
    "그램": "g",
    "센티미터": "cm",
    "밀리미터": "mm",
    "円": "JPY",
    "원": "KRW",
    "元": "元",  # of China or of Taiwan: nobody but the shop knows
}
"""Unit in Chinese, Japanese or Korean characters → its symbol, which everybody reads.

Currencies are among them. Left out is what may mean something else (米 is rice, too, and in 米色 a
colour), and inches, which are words in other languages as well.
"""
# 원피스 is a dress, 円形 round, 元素 an element
_NO_WORD_BEHIND = {"원": "피료통두단목형액색산자소칙", "円": "形柱筒盤卓周", "元": "素气氣宝寶旦件"}
_UNIT_WORDS = "|".join(
    word + (f"(?![{_NO_WORD_BEHIND[word]}])" if word in _NO_WORD_BEHIND else "")
    for word in sorted(UNIT_SYMBOLS, key=len, reverse=True)
)
UNIT_WORD = re.compile(rf"([ ]?)({_UNIT_WORDS})")
# Words such as inches or Gramm are the model's to translate; a bare "in" is a preposition mostly.
_UNIT = (
    r"(?:fl\.?[ ]?oz|oz|ml|mL|ML|cl|dl|kg|KG|mg|µg|μg|mcg|lbs?|mm|cm|CM|km(?:/h)?|ft"
    r"|mAh|Ah|kWh|Wh|kW|kHz|MHz|GHz|Hz|dB|dpi|px|rpm|psi|lm|GB|TB|MB|IU"
    r"|m²|m³|cm²|cm³|kcal|kJ|mph|cc|MP|[gLlmVW]|(?<=\d)(?:in|A|T|D|K|h))(?![A-Za-z0-9_])"
)
_MEASURE = rf"(?:{_SIGN})?{_NUMBERS}(?:[ \u00a0\u202f]?(?:{_UNIT}|[%％‰°″]C?F?|{_UNIT_WORDS}))"
_CURRENCY = r"(?:(?:US|HK|NT|MX|NZ|AU|CA|SG|AR|BR|CL|CO|RD|[ABCRST])?\$|[€£¥￥₩₹₽₺฿₫₪₴₱₦₡₵₸])"
_CURRENCY_CODE = (
    r"(?:USD|EUR|GBP|JPY|CNY|RMB|KRW|TWD|NTD|HKD|AUD|NZD|CAD|CHF|SGD|SEK|NOK|DKK|ISK|PLN|CZK"
    r"|HUF|RON|BGN|RSD|UAH|RUB|KZT|ILS|AED|SAR|QAR|KWD|BHD|OMR|EGP|TND|NGN|KES|GHS|ZAR"
    r"|INR|PKR|BDT|LKR|IDR|MYR|THB|VND|MXN|BRL|ARS|CLP|UYU)"
)
# only behind a number: kr. is a word in other places
_CURRENCY_WORD = r"(?:zł|Kč|kr\.?|руб\.?)"
_BOUND = r"(?<![A-Za-z0-9_])"
_EMOJI = "[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55]\ufe0f?[\U0001f3fb-\U0001f3ff]?"

_ALTERNATIVES = {
    # what a text itself has in the form of a sentinel
    "sentinel": r"<\d{1,4}>",
    # a value between quotes may have a > in it
    "tag": r"<!--[^<>]{0,2000}-->|</?[A-Za-z](?:[^<>\"']|\"[^\"<]{0,500}\"|'[^'<]{0,500}'){0,2000}>"
    r"|</?[A-Za-z][^<>]{0,2000}>|<%[^<>%]{0,200}%>|<!\[CDATA\[|\]\]>",
    "entity": r"&(?:[A-Za-z]{2,10}|#\d{1,7}|#[xX][0-9A-Fa-f]{1,6});",
    "address": r"(?:https?|ftp)://[^\s<>\"'，。、；）】」\u3000]{1,2000}(?<![.,;:!?)])"
    r"|(?<![\w@./])www\.[^\s<>\"'，。、；）】」\u3000]{1,500}(?<![.,;:!?)])"
    r"|(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}",
    # {size} {{x}} ${x} %{x} {n, plural, one {# item} other {# items}} %s %(n)d %1$s $1 {% if %}
    # %size% %%
    "placeholder": r"\{%[^{}%]{1,200}%\}|[$%#]?\{\{[^{}]{1,200}\}\}|\[\[[^\[\]]{1,200}\]\]"
    r"|\{[ ]?\w{1,60},[ ]?(?:plural|select|selectordinal|number|date|time|choice)"
    r"(?:[^{}]{0,500}\{[^{}]{0,500}(?:\{[^{}]{0,200}\}[^{}]{0,500}){0,9}\}){0,20}[^{}]{0,500}\}"
    r"|[$%#]?\{[^{}]{0,80}\}"
    r"|(?<![\d%])%(?:\d{1,2}\$)?(?:\(\w{1,60}\))?[+#0-]{0,3}\d{0,3}(?:\.\d{1,2})?[sdifgexXuc@]"
    r"(?![A-Za-z])"
    r"|%%|(?<![\w%])%[A-Za-z_]\w{2,40}%(?![\w%])|\$\d{1,2}(?![\d.,])|__[A-Z][A-Z0-9_]{0,60}__",
    "price": rf"(?:{_CURRENCY}|{_BOUND}{_CURRENCY_CODE})[ \u00a0]?{_NUMBERS}"
    # French writes a space between thousands; only before a currency is it surely one number
    rf"|(?:\d{{1,3}}(?:[ ]\d{{3}}){{1,4}}(?:,\d\d)?|{_NUMBERS})(?:,[-–—])?[ \u00a0\u202f]?"
    rf"(?:{_CURRENCY}|(?:{_CURRENCY_CODE}|{_CURRENCY_WORD})(?![A-Za-z\u00c0-\u024f]))",
    # 2XL XL S/M/L (M), S after the word size
    "size": rf"{_BOUND}(?:\d{{1,2}}XL|X{{1,4}}[SL]|[SML](?:[ ]?[/–-][ ]?(?:X{{0,4}}[SML]|\d?XL))+)"
    r"(?![A-Za-z0-9_])"
    r"|(?<=[(（])(?:X{0,4}[SML]|\d{1,2}XL)(?=[)）])|(?<=[Ss]ize: )[SML](?!\w)"
    r"|(?<=[Ss]ize )[SML](?!\w)|(?<=尺码)[SML](?!\w)|(?<=サイズ)[SML](?!\w)"
    r"|(?<=[Tt]aille )[SML](?!\w)|(?<=Größe )[SML](?!\w)|(?<=[Tt]alla )[SML](?!\w)",
    # SPF50+ B12 A4 WX-4400-B SM-G991B 3D B07XJ8C8F5; SPF 50, N°5, pH 5.5, UK 8, 34 DD; H₂O
    "code": rf"{_BOUND}(?:[A-Z]{{1,8}}[-_/.]?\d|\d{{1,8}}[-_]?[A-Z](?![a-z]))[A-Z0-9]{{0,20}}"
    r"(?:[-_/.][A-Z0-9]{1,20}){0,6}\+{0,4}(?![A-Za-z0-9_])|PA\+{1,4}"
    r"|SPF[ ]\d{1,3}\+{0,4}|(?<![A-Za-z])(?:N[°º]|No\.|Nr\.|№)[ ]?\d{1,5}"
    r"|(?<![A-Za-z])pH[ ]?\d{1,2}(?:[.,]\d{1,2})?"
    rf"|{_BOUND}(?:UK|EU|US|FR|IT|JP)[ ]\d{{1,2}}(?:[.,]5)?(?![\w.,]?\d)"
    # 34 DD, and 34 B where no word comes behind
    rf"|{_BOUND}(?:2[68]|3[02468]|4[02468])[ ](?:AA|DDD?|[A-H](?![ ]\w))(?![\w-])"
    # H₂O, m²
    r"|(?<![A-Za-z])(?:[A-Z][a-z]?){0,3}[A-Z][a-z]?[₀-₉]{1,3}(?:[A-Z][a-z]?[₀-₉]{0,3}){0,5}"
    r"(?![a-z])|(?<![A-Za-z])[mkc]?m[²³](?![A-Za-z])",
    "measure": _MEASURE,
    "number": rf"(?:{_SIGN})?{_NUMBERS}|{_FIGURE}",
    # a flag; an emoji with what colours it and what is joined to it; a mark
    "symbol": rf"[\U0001f1e6-\U0001f1ff]{{2}}|{_EMOJI}(?:\u200d{_EMOJI}){{0,6}}|[®™©]",
}
"""Kind → pattern; at one place the first that fits counts."""

PROTECTED = re.compile("|".join(f"(?P<{kind}>{form})" for kind, form in _ALTERNATIVES.items()))
