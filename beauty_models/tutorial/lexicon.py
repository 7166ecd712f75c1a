"""The words by which how-tos are known, in English and Chinese: actions, products, tools, looks.

A list of words and no model: there is no labelled set of make-up how-tos that may be shipped, and a
list can be read, corrected and extended by an editor.
"""

# ruff: noqa: E501, SIM905 - lists of words and patterns read best in full lines

from __future__ import annotations

import re

# fmt: off
# What hands do to a face, hair or nails: an English sentence that begins with one is an instruction.
ACTIONS = frozenset("""
add adjust airbrush aim allow angle anchor apply arrange avoid-not backcomb bend blend blot blow blow-dry
boil bounce braid break brush buff build bundle burn carry carve change chill choose clamp clean cleanse
clear clip close coat color colour comb combine conceal connect contour cool cover crimp cross curl
curve cut dab damp dampen deepen define detangle diffuse dilute dip dissolve distribute divide dot double
double-cleanse drag drape draw dry dust ease echo edge elongate emphasise emphasize erase even exfoliate
extend fade fan fasten feather file fill finish fix flick flip flush fluff fold follow frame freeze gather
glaze glide glue grab grate grind groom hide highlight hold hydrate incorporate intensify join keep knead
lather lay layer leave lengthen lift line lock loop lower make mark mash mask massage match measure melt
mirror mist mix moisten moisturise moisturize mould move nudge open outline paint part pass pat peel pencil
pick pin pinch place plait plump pluck point polish pop pour powder prep prepare press prime prop protect
pull pump push put rake reapply refresh remove repeat reposition rest retouch rinse roll rotate rub run
saturate scoop scrape scrub scrunch seal section secure separate set shade shake shampoo shape sharpen shave
shield shine sift sit sketch skim sleep slick slide slip smear smile smoke smooth smudge snip soak soap soften
soften spiral splash spoon spread spray spritz sprinkle squeeze stamp start starting steam stick stipple stir
stop straighten strengthen stretch strip stroke stipple style suck suds sweep swab swipe swirl take tap tape
tease tie tighten tightline tilt tint tip tone top touch towel trace transfer treat trim tuck tug turn twirl
twist unclip undo unpin unplait unroll untie unwind use wait warm wash wear weave wet whisk whip wiggle
wind wing wipe work wrap write zigzag drop dunk lie lean look raise relax hang begin beginning continue end go
""".split()) - {"avoid-not"}
# Imperatives that give advice and move no hand: many of them make a list of tips.
ADVICE = frozenset("""
avoid be consider consult choose remember opt try understand listen stay limit eat drink ensure invest
know learn check research read buy seek look watch track talk ask stick incorporate embrace introduce
adopt manage reduce maintain keep switch balance focus support address visit prioritise prioritize patch
""".split())
# Words that may stand before the verb of an instruction.
OPENERS = frozenset("""
first firstly second secondly third thirdly fourth next then now finally lastly last afterwards
begin again also and but so just only simply gently lightly carefully slowly softly thoroughly quickly
always please immediately optionally instead otherwise meanwhile still later here evenly generously
sparingly briefly loosely firmly loosely tightly twice very barely do
""".split())
SUBORDINATES = frozenset("""
if when once after before while with using on in for to at from as until should where over under between
by working holding starting beginning keeping looking without within during every each since because
though although depending whatever whoever wherever unless taking
""".split())

# An item that is nothing but one of these is a step of a routine ("Toner", "SPF 30").
STEP_NAME = re.compile(
    r"\b(?:(?:double )?cleans\w*|wash\w*|ton(?:er|ing|e)\b|essences?|serums?|moistur\w+|sun "
    r"?(?:screen|"
    r"protection|block)|spf|exfoliat\w+|masks?|masking|eye (?:cream|care)|retin\w+|tretinoin|"
    r"treat(?:ment)?s?\b|"
    r"spot treat\w*|vitamin c|azelaic|hydrat\w+|face oil|facial oil|oil cleanse|micellar|lip "
    r"(?:care|balm)|"
    r"prim(?:er|ing)|foundation|conceal\w*|powder|blush\w*|mascara|brows?|lipstick|antioxidant|"
    r"acid\b|"
    r"protect\w*|shav\w+|rinse|emulsion|lotion|cream|gel|balm)\b",
    re.IGNORECASE,
)
ROUTINE = re.compile(
    r"\b(?:routines?|regimens?|a\.?m\.?|p\.?m\.?|mornings?|evenings?|night(?:time|ly)?|daytime|"
    r"steps?|"
    r"layer(?:ing)?|order of)\b|早上|晚上|早间|夜间|晨间|步骤|流程|护肤顺序",
    re.IGNORECASE,
)
DAYTIME = re.compile(
    r"\b(?:a\.?m\.?|p\.?m\.?|mornings?|evenings?|night(?:time)?|nights)\b|早上|晚上|早间|夜间|"
    r"晨间|日间",
    re.IGNORECASE,
)
# Headings and lead-ins under which the steps stand.
STEPS_HEADING = re.compile(
    r"\b(?:steps?|how[- ]to|how (?:to|i|we|you)\b|method|directions|instructions|"
    r"routine|tutorial|procedure|technique|let's|the look|do it|get the look|here's what to do|"
    r"step-by-step|"
    r"in this order|process|recipe)\b|步骤|教程|做法|画法|手法|方法|怎么(?:画|做|化|用|编|涂)|"
    r"开始|流程|操作|上妆",
    re.IGNORECASE,
)
# Headings and lead-ins of lists that are no steps, whatever verbs their items begin with.
NO_STEPS_HEADING = re.compile(
    r"\b(?:tips?|considerations?|mistakes?|important|notes?|remember|ingredients?|benefits?|"
    r"pros|cons|"
    r"habits?|reasons?|strateg\w+|insights?|avoid|myths?|facts?|faqs?|questions?|products?|"
    r"recommend\w*|"
    r"what to (?:look|expect|know|avoid|use|buy)|look for|who should|causes?|signs?|symptoms?|"
    r"why|summary|"
    r"takeaways?|conclusion|final|lifestyle|features?|options|alternatives|extras?|tricks|"
    r"you(?:'ll)? need|"
    r"need(?:ed)?|shopping|supplies|materials|tools|kit|bag|pack|solutions|concerns|when to|"
    r"foods?|"
    r"top-rated|best|to try|troubleshoot\w*|q ?& ?a|variations?|swaps?|colou?rs?)\b|"
    r"小贴士|注意|提示|误区|原因|成分|好处|优点|缺点|推荐|避免|常见问题|问答|准备|需要|清单|"
    r"产品|工具|总结|选购|挑选|"
    r"配色|换法|补救|收尾的话|为什么|Q&A",
    re.IGNORECASE,
)
TITLE_FOR = re.compile(
    r"\bhow to\b|\bhow i\b|\broutine\b|\bstep(?:s|-by-step)\b|\btutorial\b|\bdiy\b|\brecipe\b|"
    r"\bin \w+ (?:steps|minutes)"
    r"|教程|步骤|怎么(?:画|化|做|编|涂|打造)|如何|画法|手法|打造|分钟",
    re.IGNORECASE,
)
TITLE_AGAINST = re.compile(
    r"\bvs\b|\bversus\b|\breview\b|\bcomparison\b|\bcomparing\b|\bbest\b|\btop\b|^why\b|^what\b|"
    r"^is\b|^are\b"
    r"|^does?\b|^can\b|\bmistakes?\b|\bmyths?\b|\btruth\b|\btrends?\b|\bingredients?\b|"
    r"\bbenefits?\b|\bscience\b"
    r"|\bsurprising\b|\bunderstanding\b|\beverything you need to know\b|\bai\b|\bstory\b|"
    r"\bjourney\b|\bdebunk"
    r"|测评|对比|盘点|^买|^挑|趋势|误区|为什么|成分|科普|真相|多久|选购|问答|专访|知识",
    re.IGNORECASE,
)

# Verbs of sentences that state something: "Powder is …", "This cream deeply nourishes …".
STATING = re.compile(
    r"\b(?:is|are|was|were|isn't|aren't|has|have|had|can|could|will|would be|may|might|should|"
    r"does|do|did|offers?|provides?|"
    r"contains?|helps?|keeps?|makes?|gives?|works?|hydrates|nourishes|moisturi[sz]es|reduces?|"
    r"removes|prevents?|protects|"
    r"suits?|costs?|comes? (?:in|with)|known|considered|described|praised|absorbs|leaves|lasts?|"
    r"tends?|seems?|became|"
    r"improves?|boosts?|soothes|brightens|strips?|causes?|targets|fights|cleanses|and its)\b",
    re.IGNORECASE,
)

# Titles of catalogues and of answers: what they list is no sequence.
TITLE_CATALOGUE = re.compile(
    r"\bbest\b|\btop\b|\bmistakes?\b|\bmyths?\b|\bhabits?\b|\btips\b|\bvs\b|\breviews?\b|"
    r"\bbrands?\b|\bsolutions\b"
    r"|盘点|误区|清单|推荐|合集|^买|^挑|选购",
    re.IGNORECASE,
)
TITLE_QUESTION = re.compile(r"^(?:why|what|is|are|do|does|did|can|should|which)\b", re.IGNORECASE)
# What stands under each of several things to choose from: masks, scrubs, remedies.
ALTERNATIVE_PARTS = frozenset(
    (
        *("how to use", "how to do it", "how to use it", "how to apply", "directions"),
        *("ingredients", "key ingredients", "recommended products", "benefits", "pros", "cons"),
        *("why we love it", "best for", "用法", "使用方法", "配料", "材料", "功效", "优点", "缺点"),
    )
)
# Headings over things of which one does one, and not over steps of which one does all in order.
ALTERNATIVES_HEADING = re.compile(
    r"\b(?:secrets|strategies|ways|remedies|methods|options|habits|alternatives|ideas)\b"
    r"|秘诀|方法|妙招|偏方|选择",
    re.IGNORECASE,
)
# Names of items that are occasions to use a thing, one as good as the other, and no steps.
USE_NAME = re.compile(
    r"(?:as (?:a|an|your)|on|for|throughout|post|in|added|during|when|if)\b[\w "
    r",'-]*$", re.IGNORECASE
)

# Chinese: what hands do, and how a clause that tells to do it begins.
_ZH_DO = (
    "(?:涂|抹|拍|按|扫|刷|画|描|晕|点|叠|贴|夹|喷|冲|擦|敷|卷|梳|编|扎|剪|锉|磨|推|揉|取|蘸|挤|"
    "沾|卸|填|勾|洗|泡|铺|压|遮|"
    "盖|抿|吹|绑|别|固定|揭|撕|静置|晾|定住|定妆|打底|上色|提亮|打圈|喷|倒|滴|搓|托|拉|缠|绕|盘|"
    "抓|分|搭|修|剃|刮|打湿|戴|粘|"
    "停|等|闭眼|睁|找|转|弯|裹|包|浸|带|补|加|选|换|量|标|连|收|留|放|塞|挑|清洁|去角质|按摩|"
    "热敷|冷敷|烘|照灯)"
)
_ZH_ADVERB = (
    "(?:先|再|接着|然后|最后|轻轻|慢慢|薄薄|均匀|继续|立刻|同样|顺手|随后|之后|记得|只|全部|"
    "重点|分别|依次|第[一二三四五六七八九十]步"
    "|首先|其次|紧接着|等它|一点点|反复|快速|稍微|少量|大面积|仔细|直接|另外|趁|干后|接下来)"
)
ZH_ACTION = re.compile(
    rf"^{_ZH_ADVERB}*(?:(?:用|把|将|拿|沿|从|往|顺着|在|对着|以|给|由|让|趁|取|蘸|"
    rf"挤).{{0,24}}?{_ZH_DO}|{_ZH_DO})"
    rf"|^.{{1,10}}(?:膏|霜|液|粉|笔|刷|蛋|扑|油|乳|喷雾|水|夹|签|胶|影|腮红|高光|遮瑕|唇釉|口红|"
    rf"梳|剪|片|棉|手指|指腹|"
    rf"毛巾|泡沫|啫喱|精华|面膜)(?:左右|上下|只|先|再|轻轻|薄薄|从|在|沿|往|顺着|均匀|全|多|少|"
    rf"贴着|蘸|选)?.{{0,6}}?{_ZH_DO}"
    # a place of the face, what a hand does there and how far: 额头扫上散粉, 鼻子上拍一点妆前乳
    rf"|^.{{1,8}}?(?:轻轻|薄薄|着|再|先|左右|反复|均匀)*{_ZH_DO}(?:上|一|点|住|匀|开|到|在|进|"
    rf"出|两|满)"
)
# What knowledge says and instructions do not.
ZH_STATEMENT = re.compile("因为|所以|其实|意味着|来自|研究|据说|一般来说|通常|往往|属于|指的是|是因为|成分|品牌|价格|有人")
SEQUENCE_WORD = re.compile(
    r"^(?:first(?:ly)?|second(?:ly)?|third(?:ly)?|next|then|now|after(?: that|wards)?|finally|"
    r"lastly|last|to (?:start|"
    r"begin|finish)|once|when|start|begin|from here)\b|^(?:首先|先|其次|然后|接着|再|接下来|"
    r"随后|之后|最后|第[一二三四五六七八九十]+)",
    re.IGNORECASE,
)

# Field value → how articles write it; the values are those of the starter's front matter.
LOOKS = {
    "glass skin": r"glass[- ]skin|dewy|水光|玻璃肌|水润肌",
    "smoky": r"smok(?:e?y|ed|e)\b|烟熏",
    "cat eye": r"cat[- ]?eye|winged? liner|\bwing(?:ed)?\b|猫眼|上扬眼线",
    "bold lip": r"bold lip|red lip|statement lip|dark lip|berry lip|红唇|浓唇",
    "glitter": r"glitter|sparkl|face gems|亮片|闪片|贴钻",
    "monochrome": r"monochrom|one[- ]colou?r|同色|单色妆|单色系",
    "sculpted": r"contour|sculpt|修容|立体",
    "soft glam": r"soft glam|glam\b|bridal|新娘|轻奢妆",
    "vintage": r"vintage|retro|pin-?up|(?:twent|thirt|fift|sixt|sevent|ninet)ies|复古|民国|港风",
    "brows": r"\b(?:eye)?brows?\b|眉",
    "lashes": r"\b(?:eye)?lash(?:es)?\b|mascara|睫毛",
    "grooming": r"groom|beard|shav(?:e|ing)|\bmen(?:'s)?\b|男士|男生|刮胡|剃须",
    "nails": r"\bnails?\b|manicure|pedicure|polish|美甲|指甲|甲油",
    "hair": r"\bhair\b|braid|plait|\bbun\b|ponytail|blow-?dry|发型|编发|头发|马尾|丸子头|卷发",
    "hanfu": r"hanfu|汉服|古风",
    "korean": r"korean make-?up|韩系|韩式",
    "douyin": r"douyin|抖音",
    "stage": r"stage make-?up|舞台妆",
    "matte": r"\bmatte\b|shine-free|哑光|雾面",
    "skin care": r"skin ?care|routine|cleans|moisturi[sz]|serum|face mask|exfoliat|sunscreen|acne|护肤|面膜|洁面|防晒",
    "base": r"foundation|\bbase\b|conceal|底妆|粉底",
    "natural": r"natural|no[- ]make-?up|everyday|barely there|自然|裸妆|伪素颜|素颜|淡妆",
}
OCCASIONS = {
    "wedding": r"wedding|brid(?:e|al)|groom\b|婚礼|新娘|伴娘|婚",
    "party": r"part(?:y|ies)\b|night out|new year|clubbing|派对|聚会|年会|跨年",
    "date": r"\bdates?\b night|first date|date night|romantic|约会|情人节",
    "interview": r"interview|面试",
    "graduation": r"graduat|prom\b|毕业",
    "stage": r"\bstage\b|theatre|recital|performance|舞台|演出|表演",
    "festival": r"festival|carnival|halloween|concert|音乐节|节日|春节",
    "school": r"\bschool\b|\bclass(?:room)?\b|teen|校园|上学|开学|学生",
    "travel": r"travel|flight|plane|holiday|beach|camping|旅行|旅游|出差|飞机",
    "office": r"\boffice\b|\bwork(?:day|place)?\b (?:look|make-?up)|commut|video call|通勤|上班|职场|办公室",
    "home": r"at home\b|\bdiy\b|in bed\b|sunday|居家|在家|周末",
    "everyday": r"every ?day|daily|day-to-day|morning|日常|每天|早八",
}
SKIN_TYPES = {
    "all": r"\ball skin(?: types)?|every skin type|any skin type|所有肤质|任何肤质|各种肤质",
    "sensitive": r"sensitive|reactive skin|eczema|rosacea|敏感",
    "combination": r"combination (?:skin)?|combo skin|混合|混油|混干",
    "oily": r"\boily\b|acne[- ]prone|oil[- ]prone|油皮|油性|油肌",
    "dry": r"\bdry(?:,| )(?:\w+ )?skin|dehydrated|flaky skin|干皮|干性|干燥",
    "normal": r"normal skin|中性皮肤|中性肌",
}

_MODIFIER = (
    r"(?:(?:liquid|cream|powder|gel|matte|tinted|waterproof|gentle|hydrating|foaming|clay|sheet|"
    r"mineral|chemical|oil-free|"
    r"light(?:weight)?|rich|brown|black|nude|clear|loose|pressed|satin|shimmer|translucent|"
    r"fragrance-free|mild|oil|"
    r"water-based|micellar|cold|barrier|vitamin c|niacinamide|hyaluronic(?: acid)?|retinol|"
    r"salicylic acid|glycolic acid|"
    r"broad-spectrum|facial|face|body|green tea) ){0,2}"
)
PRODUCTS_EN = re.compile(
    rf"\b{_MODIFIER}(?:foundation|concealer|corrector|skin tint|bb cream|cc cream|primer|"
    rf"setting spray|setting powder|powder|"
    r"blush(?:er)?|bronzer|contour|highlighter|eye ?shadow|eye ?liner|kohl|mascara|false lashes|"
    r"lash glue|brow (?:gel|pencil|"
    r"powder|wax)|brow pencil|lip (?:balm|gloss|liner|stain|tint|oil|mask|scrub)|lipstick|gloss|"
    r"cleansing (?:oil|balm|milk)|"
    r"micellar water|cleanser|face wash|toner|essence|serum|ampoule|emulsion|moisturi[sz]er|"
    r"(?:eye|night|day|hand|foot|barrier|"
    r"shaving) cream|face oil|facial oil|sunscreen|spf \d+|exfoliant|exfoliator|face scrub|"
    r"sugar scrub|scrub|(?:clay|sheet|hair|"
    r"face|overnight|sleeping) mask|retinol|retinoid|tretinoin|azelaic acid|salicylic acid|"
    r"glycolic acid|vitamin c|spot treatment|"
    r"nail polish(?: remover)?|base coat|top coat|cuticle oil|shampoo|conditioner|hairspray|"
    r"hair oil|dry shampoo|mousse|"
    r"leave-in conditioner|heat protect(?:ant|ion spray)|pomade|beard oil|aftershave(?: balm)?|"
    r"petroleum jelly|vaseline|"
    r"honey|yogh?urt|oatmeal|turmeric|lemon juice|aloe vera(?: gel)?|coconut oil|olive oil|"
    r"jojoba oil|tea tree oil|rose water|"
    r"rosewater|egg white|sugar|milk|cinnamon|avocado|banana|charcoal|apple cider vinegar|green "
    r"tea|glycerin|distilled water|"
    r"body lotion|lotion|glitter|face gems)\b",
    re.IGNORECASE,
)
TOOLS_EN = re.compile(
    r"\b(?:(?:damp|blending|angled|flat|fluffy|small|large|clean|soft|fan|kabuki|foundation|"
    r"powder|blush|concealer|lip|brow|"
    r"liner|shader|smudger|pencil|round|cotton|make-?up|warm|cool|microfib(?:re|er)|wide-tooth|"
    r"tail|nail|lash|eyelash|pore) ){0,2}"
    r"(?:brush(?:es)?|sponges?|beauty blender|spoolie|tweezers|lash curler|eyelash curler|"
    r"curler|powder puff|puff|cotton (?:buds?|"
    r"pads?|swabs?|balls?)|q-tips?|towel|flannel|washcloth|cloth|tissues?|comb|hairdryer|hair "
    r"dryer|curling iron|straightener|"
    r"hairpins?|bobby pins?|hair ties?|clips?|nail file|nail clippers?|razor|scissors|gua "
    r"sha(?: stone)?|jade roller|roller|"
    r"blotting paper|fingertips|fingers?|headband|bowl|tape|mirror|toothbrush|steamer|extractor|"
    r"spatula)\b",
    re.IGNORECASE,
)
PRODUCTS_ZH = re.compile(
    "(?:防水|控油|保湿|滋润|哑光|雾面|珠光|透明|棕色|黑色|裸色|豆沙色|红色|粉色|液体|膏状|温和|"
    "清爽|氨基酸|物理|轻薄|持妆|深棕色|浅棕色|"
    "大地色|香槟色|玫瑰色|裸粉色|蜜桃色|焦糖色|舒缓|润色|水润|眼部|眼影|睫毛|身体|足部)?"
    "(?:粉底液|粉底霜|粉底|气垫|遮瑕膏|遮瑕液|遮瑕|妆前乳|隔离霜|隔离|素颜霜|散粉|蜜粉|粉饼|"
    "定妆粉|定妆喷雾|腮红膏|腮红液|腮红|修容粉|修容|"
    "高光液|高光粉|高光|眼影膏|眼影液|眼影|眼线笔|眼线液|眼线胶笔|眼线膏|卧蚕笔|睫毛膏|"
    "睫毛打底膏|假睫毛|睫毛胶|眉笔|眉粉|眉胶|染眉膏|眉皂|打底膏|"
    "口红|唇膏|唇釉|唇蜜|唇泥|染唇液|唇线笔|润唇膏|唇膜|洁面乳|洗面奶|洁面|卸妆油|卸妆膏|卸妆水|"
    "爽肤水|化妆水|精华油|精华液|精华|乳液|面霜|眼霜|"
    "防晒霜|防晒乳|防晒|面膜|泥膜|磨砂膏|身体乳|护手霜|指甲油|底油|亮油|指缘油|卸甲水|洗发水|"
    "护发素|发膜|发油|护发精油|发蜡|发泥|定型喷雾|发胶|"
    "干洗喷雾|喷雾|剃须泡沫|须后水|亮片|贴钻|花钿|胭脂)"
)
TOOLS_ZH = re.compile(
    "(?:斜角|扁头|细头|大号|小号|晕染|粉底|眼影|腮红|修容|遮瑕|眉|唇|鼻影|扇形|螺旋|圆头|散粉|"
    "湿)?(?:刷子|刷|美妆蛋|海绵|粉扑|睫毛夹|镊子|"
    "棉签|化妆棉|毛巾|纸巾|吸油纸|眉剪|小剪刀|剪刀|修眉刀|剃须刀|胶带|手指|指腹|梳子|尖尾梳|"
    "宽齿梳|吹风机|卷发棒|皮筋|发夹|一字夹|指甲锉|"
    "指甲剪|橘木棒|镜子|发插|浴帽)"
)
# fmt: on
