"""Cleaning, masking and recognising: what goes, what stays, which articles are how-tos."""

from __future__ import annotations

from collections import Counter

import pytest

from beauty_models.tutorial.blocks import Block, read_html, read_markdown
from beauty_models.tutorial.cleaning import Removed, clean, promoted_names, repeated_blocks
from beauty_models.tutorial.howto import extract, instructs
from beauty_models.tutorial.personal import known_names, mask
from beauty_models.tutorial.structure import Tutorial


def how_to(text: str, title: str = "A soft look", language: str = "en") -> Tutorial:
    return extract(read_markdown(text), title, language, {}, 3)[0]


def cleaned(text: str) -> list[str]:
    return [block.text for block in clean(read_markdown(text), [], set(), Removed())]


@pytest.mark.parametrize(
    "sentence",
    [
        "Share your tips in the comments below!",
        "This post contains affiliate links.",
        "Use the code GLOW20 for 20% off at checkout.",
        "Download the app for iOS.",
        "Subscribe to our newsletter.",
        "Shop the palette here.",
        "记得关注我的公众号。",
        "点击下方链接购买同款。",
        "评论区告诉我你的答案，一键三连！",
    ],
)
def test_promotion_goes_and_its_neighbour_stays(sentence: str) -> None:
    own = "Tap the colour on thinly. It dries fast."
    assert cleaned(f"{own} {sentence}") == [own]


def test_what_only_sounds_like_promotion_stays() -> None:
    for own in (
        "Download nothing, look at the skin.",
        "Buy a brush that sheds no hair.",
        "Follow the lash line with the pencil.",
        "点一点腮红在脸颊。",
    ):
        assert cleaned(own) == [own]


def test_addresses_sources_and_shortcodes_go() -> None:
    text = (
        "# Look\n\nSee https://shop.example.com/p?utm_source=x for more colours of it.\n\n"
        "{{< skin-quiz >}}\n\nWash first. | example.skin\n\n## Sources\n\n- https://a.example/b\n\n"
        "## After\n\nSleep well, and take it off before."
    )
    assert cleaned(text) == [
        "Look",
        "See for more colours of it.",
        "Wash first.",
        "After",
        "Sleep well, and take it off before.",
    ]


def test_a_site_that_many_articles_link_to_and_name_is_promoted() -> None:
    praise = read_markdown("Try [Glowify](https://www.glowify.com) and see. Dry skin is dry.")
    cited = read_markdown("A study says so ([source](https://ncbi.nlm.nih.gov/1)).")
    names = promoted_names([praise, praise, praise, cited, cited, cited])
    assert names == {"glowify": 3}
    texts = [block.text for block in clean(praise, names, set(), Removed())]
    assert texts == ["Dry skin is dry."]


def test_what_every_page_prints_goes_but_steps_do_not() -> None:
    printed = "Welcome to the blog where everything glows all day long."
    step = "Rinse the face with lukewarm water and pat it dry."
    pages = [read_markdown(f"{printed}\n\n- {step}\n\nPage {number}") for number in range(3)]
    assert repeated_blocks(pages) == {printed}
    assert repeated_blocks(pages[:2]) == set()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to anna.smith@example.com today.", "Write to [mail] today."),
        ("Call +49 170 1234567 or 13812345678.", "Call [phone] or [phone]."),
        ("Thanks to @glow_girl and u/skinfan22.", "Thanks to [name] and [name]."),
        ("“It lasts,” says Maria Lopez, 34.", "“It lasts,” says [name], 34."),
        ("Dr. Haleh Bakshandeh advises sleep.", "Dr. [name] advises sleep."),
        ("Best cream ever. — Jessica M.", "Best cream ever. — [name]"),
        ("Sarah: it made my skin calm.", "[name]: it made my skin calm."),
        ("用户李小雨：用了一周皮肤很舒服。", "用户[name]：用了一周皮肤很舒服。"),
        ("电话13812345678，找王医生。", "电话[phone]，找[name]医生。"),
    ],
)
def test_personal_data_are_masked(text: str, masked: str) -> None:
    assert mask(text, Counter()) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Jart+ and Charlotte Tilbury sell it.",
        "Olive and Rose are warm colours, says the shop.",
        "White Clay: Absorbs oil.",
        "Don't Miss Out on This Look!",
        "Use 50 ml, shade 12345, on 2024-05-01, for 3 to 4 minutes.",
        "高光和温水：先用高光。",
        "四十位阿姨都说好看。",
    ],
)
def test_what_is_no_personal_data_stays(text: str) -> None:
    assert mask(text, Counter()) == text


def test_a_name_is_masked_wherever_the_article_repeats_it() -> None:
    texts = ["Dr. Jessie Cheung is asked.", "Later Cheung laughs."]
    found: Counter[str] = Counter()
    assert mask(texts[1], found, known_names(texts)) == "Later [name] laughs."
    assert found == {"name": 1}


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("Blend the edges.", True),
        ("Then, gently, pat it dry.", True),
        ("Once it is dry, brush it upwards.", True),
        ("Powder is cheap.", False),
        ("Blend or buff?", False),
        ("The cream makes skin soft.", False),
        ("用手指轻轻拍开。", True),
        ("额头扫上散粉。", True),
        ("这款散粉的成分很简单。", False),
    ],
)
def test_instructions(sentence: str, told: bool) -> None:
    assert instructs(sentence) is told


STEPS = ["Apply primer to the lids.", "Blend shadow into the crease.", "Brush on mascara."]


@pytest.mark.parametrize(
    "page",
    [
        "\n".join(f"{n}. {step}" for n, step in enumerate(STEPS, 1)),
        "\n".join(f"{n}、{step}" for n, step in enumerate(STEPS, 1)),
        "\n\n".join(f"## Step {n}\n\n{step}" for n, step in enumerate(STEPS, 1)),
        "\n\n".join(f"**Step {n}:** {step}" for n, step in enumerate(STEPS, 1)),
        "## How to do it\n\n" + "\n".join(f"- {step}" for step in STEPS),
        "First, apply primer. Then blend shadow into the crease. Finally, brush on mascara.",
        "\n\n".join(STEPS),
    ],
)
def test_steps_are_found_in_every_layout(page: str) -> None:
    steps = how_to(f"An evening look that needs no time at all.\n\n{page}\n\nThat was all.").steps
    assert len(steps) == 3
    for step, word in zip(steps, ("primer", "crease", "mascara"), strict=True):
        assert word in step and not step[0].isdigit() and "Step" not in step


def test_chinese_steps() -> None:
    steps = "第一步，用粉扑把气垫按在脸中央。\n\n第二步，眉笔补眉尾。\n\n第三步，涂润唇膏。"
    text = f"赶时间也能画。\n\n{steps}"
    tutorial = how_to(text, "通勤裸妆", "zh")
    assert tutorial.steps == ("用粉扑把气垫按在脸中央。", "眉笔补眉尾。", "涂润唇膏。")
    assert tutorial.products == ("气垫", "眉笔", "润唇膏") and tutorial.tools == ("粉扑",)
    assert tutorial.look == "natural" and tutorial.occasion == "office"


def test_products_and_fields_are_read_from_the_text() -> None:
    tutorial = how_to(
        "1. Apply foundation with a damp sponge.\n2. Press on powder.\n3. Blend cream blush.",
        "How to wear a smoky eye on your wedding day with oily skin",
    )
    assert tutorial.products == ("foundation", "powder", "cream blush")
    assert tutorial.tools == ("damp sponge",)
    assert (tutorial.look, tutorial.occasion, tutorial.skin_type) == ("smoky", "wedding", "oily")


@pytest.mark.parametrize(
    ("title", "text"),
    [
        (
            "The best creams",
            "## 1. Cream A\n\nApply it. Rub it in.\n\n## 2. Cream B\n\nApply it. Pat it.\n\n"
            "## 3. Cream C\n\nSmooth it on. Wait.",
        ),
        (
            "Things to know",
            "1. Sunscreen expires after a year.\n2. Powder is dry.\n3. Lipstick melts in the sun.",
        ),
        (
            "How machines look at skin",
            "## Step 1: Picture\n\nA camera sends it.\n\n## Step 2: Data\n\nA program compares it."
            "\n\n## Step 3: Answer\n\nThe owner reads it.",
        ),
        ("Two steps", "1. Apply primer.\n2. Blend it."),
    ],
)
def test_other_lists_are_no_steps(title: str, text: str) -> None:
    assert how_to(text, title).steps == ()


REMEDIES = """# How to soothe skin

## Remedies

### 1. Aloe

Apply the gel to clean skin. Rinse it off after ten minutes.

### 2. Oats

Stir oats into a bath. Soak for ten minutes and pat the skin dry.

### 3. Milk

Dip a cloth into cool milk. Press it onto the skin and rinse.
"""


def test_things_to_choose_from_are_no_steps() -> None:
    assert how_to(REMEDIES, "How to soothe skin").steps == ()
    stepwise = REMEDIES.replace("## Remedies", "## Steps")
    assert len(how_to(stepwise, "How to soothe skin").steps) == 3
    parts = stepwise.replace("\n\nApply", "\n\n#### How to use\n\nApply")
    parts = parts.replace("\n\nStir", "\n\n#### How to use\n\nStir")
    assert how_to(parts, "How to soothe skin").steps == ()
    # a routine says of each of its steps how to use what it takes, too
    assert len(how_to(parts, "An evening routine").steps) == 3


def test_broken_html_is_read() -> None:
    blocks, title = read_html("<title>T</title><h2>Hi<p>one<ul><li>two<li>three <b>x</ul>four")
    assert title == "T"
    assert [block.text for block in blocks] == ["Hi", "one", "two", "three x", "four"]


@pytest.mark.parametrize("text", ["[" * 50_000, "<!--" * 20_000, "**a " * 20_000, "> " * 5_000])
def test_hostile_markup_ends(text: str) -> None:
    blocks = read_markdown(text)
    assert all(isinstance(block, Block) for block in blocks)
