"""The words by which the checker knows what must not be published.

Regular expressions, blind to capitals, in English and Chinese. Each stays within one clause, so two
harmless clauses do not add up to a fault.
"""

from __future__ import annotations

MEDICAL = [
    (
        r"\b(?:cures?|cured|curing|heals?|healed|healing|treats?|treated"
        r"|treatment (?:of|for)|remed(?:y|ies) for|gets? rid of)\b[^.。;!?]{0,40}\b(?:acne"
        r"|eczema|rosacea|psoriasis|dermatitis|infections?|disease|cancer"
        r"|melasma|wounds?|burns?|rash(?:es)?|herpes|fungus|scars?)\b"
    ),
    (
        r"\b(?:anti-?inflammatory|antibiotic|prescription|clinically proven"
        r"|medically proven|doctor[- ]recommended|dermatologist[- ]approved)\b"
    ),
    (
        r"\b(?:diagnos\w+|steroids?|hydrocortisone|tretinoin|isotretinoin"
        r"|lidocaine|chlorhexidine|antiseptics?|antifungals?|ibuprofen|aspirin)\b"
    ),
    (
        r"(?:治愈|治疗|根治|医治|疗效|药效|祛除|消除|根除)[^。；！？]{0,15}(?:痘"
        r"|痤疮|湿疹|皮炎|玫瑰痤疮|银屑病|牛皮癣|感染|疤|癌|疱疹|真菌|过敏"
        r"|黄褐斑|色斑)"
    ),
    (
        r"(?:处方药|激素药膏|抗生素|医学证明|临床证明|医生推荐|药到病除"
        r"|消炎药)"
    ),
]
"""What only a medicine may claim."""

UNSAFE = [
    (
        r"\b(?:undiluted|neat|pure) (?:essential oils?|lemon juice|vinegar"
        r"|peroxide|acid)\b"
    ),
    (
        r"\b(?:lemon juice|bleach|ammonia|toothpaste|baking soda|hydrogen peroxide"
        r"|superglue|super glue|nail glue|craft glitter|acetone)\b[^.。;!?]{0,50}\b(?:on|to"
        r"|onto|over|into|around|near)\b[^.。;!?]{0,25}\b(?:skin|face|eyes?"
        r"|eyelids?|lids?|lips?|lashes|cheeks?|pimples?|waterline)\b"
    ),
    (
        r"\b(?:on|onto|to|over|around) (?:the |your )?(?:skin|face|eyes?"
        r"|eyelids?|lids?|lips?|lashes|cheeks?)\b[^.。;!?]{0,30}\b(?:superglue"
        r"|super glue|nail glue|craft glitter|bleach|acetone|toothpaste)\b"
    ),
    r"\b(?:inject\w*|micro-?needl\w*|derma ?roller|scalpel|razor blade)\b",
    (
        r"\b(?:put|place|use|apply|insert|spray|push)\b[^.。;!?]{0,50}\b(?:in|into|inside|up)"
        r" (?:your |the |each |a )*(?:mouth|nostrils?|nose|ears?|eyes)\b"
    ),
    (
        r"\b(?:razor|scissors|blade|knife)\b[^.。;!?]{0,40}\b(?:cheeks?|eyes?|eyelids?|lids?|lips?"
        r"|mouth)\b|\b(?:cheeks?|eyelids?|lids?|lips?|mouth)\b[^.。;!?]{0,20}\bscissors\b"
    ),
    r"\b(?:machetes?|swords?|axes?|hammers?|drills?|chainsaws?|guns?)\b",
    r"\b(?:blot|wipe|wash|clean|remove|dab)\w*\b[^.。;!?]{0,20}\bblood\b|\bblood (?:from|off)\b",
    (
        r"\b(?:share|lend|borrow)\b[^.。;!?]{0,30}\b(?:mascara|eyeliner"
        r"|lipstick|lip brush)\b"
    ),
    (
        r"\bheat(?:ed|ing)? (?:the |your )?(?:eyelash curler|curler|needle"
        r"|pin)\b|\b(?:lighter|flame|match)\b[^.。;!?]{0,40}\b(?:curler"
        r"|eyeliner|kajal|pencil)\b"
    ),
    (
        r"\b(?:broken|cracked|bleeding|infected|open) skin\b[^.。;!?]{0,40}\b(?:apply"
        r"|scrub|peel|exfoliat\w+)\b|\b(?:apply|scrub|peel|exfoliate)\b[^.。;!?]{0,40}\b(?"
        r":broken|bleeding|infected|open) (?:skin|wounds?)\b"
    ),
    (
        r"\b(?:skip|without|no need for) (?:the )?(?:patch test|sunscreen after (?:acid"
        r"|peel|retinol))\b"
    ),
    (
        r"\b(?:leave|sleep)\b[^.。;!?]{0,30}\b(?:contact lens(?:es)?|false lashes"
        r"|acid|peel)\b[^.。;!?]{0,30}\bovernight\b"
    ),
    (
        r"(?:502胶|强力胶|漂白剂|氨水|牙膏|小苏打|双氧水|白醋|柠檬汁|洗甲水"
        r"|指甲胶)[^。；！？]{0,20}(?:脸|皮肤|眼|唇|睫毛|痘|面部)"
    ),
    (
        r"(?:脸|皮肤|眼皮|眼睑|眼线|嘴唇|睫毛)[^。；！？]{0,15}(?:502胶"
        r"|强力胶|漂白|牙膏|小苏打|双氧水|白醋|柠檬汁|洗甲水|指甲胶)"
    ),
    (
        r"(?:自己|在家|自行)[^。；！？]{0,8}(?:注射|打针|水光针|微针|刷酸换肤"
        r"|割双眼皮)|注射|水光针|刀片刮|打火机|纯精油|未稀释"
    ),
    (
        r"(?:共用|借用)[^。；！？]{0,8}(?:睫毛膏|眼线|口红|唇刷)|(?:破损"
        r"|伤口|流血|感染)[^。；！？]{0,12}(?:涂|擦|抹|磨|去角质)"
    ),
    (
        r"(?:戴着|戴)[^。；！？]{0,6}(?:美瞳|隐形眼镜|假睫毛)[^。；！？]{0,8}(?:睡觉"
        r"|过夜)"
    ),
]
"""What harms skin, eyes or hygiene."""

HARMFUL_REQUESTS = [
    (
        r"\b(?:mercury|lead (?:paint|powder)|hydroquinone|bleach(?:ing)? (?:my"
        r"|the|your|his|her|a|skin)|skin bleach\w*|superglue|super glue"
        r"|ammonia|arsenic)\b"
    ),
    (
        r"\b(?:inject\w*|filler at home|diy botox|scalpel|self[- ]harm|cut(?:ting)? (?:mys"
        r"elf|yourself|skin)|burn (?:myself|someone|her|his)|poison\w*|suicid\w*"
        r"|overdose|weapon|bomb|explosive)\b"
    ),
    (
        r"\b(?:hide|conceal|cover(?: up)?|disguise)\b[^.。;!?]{0,30}\b(?:abuse"
        r"|crime|needle marks?|track marks?|evidence|from (?:the )?police)\b"
    ),
    (
        r"\b(?:blackface|yellowface|look like a minor|make (?:a )?(?:child"
        r"|kid|toddler|minor)s? (?:look )?(?:sexy|older))\b"
    ),
    (
        r"\b(?:cure|treat|heal)\b[^.。;!?]{0,20}\b(?:cancer|eczema|psoriasis"
        r"|infection|acne|disease)\b"
    ),
    (
        r"水银|汞|铅粉|氢醌|漂白皮肤|强力胶|502|注射|打针|水光针|自残|自杀"
        r"|割腕|毒药|投毒|炸弹|武器|砒霜"
    ),
    (
        r"(?:遮|掩盖|隐藏)[^。；！？]{0,10}(?:家暴|罪证|针眼|犯罪)|治(?:好"
        r"|愈|疗)[^。；！？]{0,10}(?:癌|湿疹|皮炎|牛皮癣|感染|痘|病)|(?:儿童"
        r"|小孩|未成年)[^。；！？]{0,6}(?:性感|成熟)"
    ),
]
"""What a request must not ask for."""

RULE_CHANGES = [
    (
        r"\b(?:ignore|disregard|forget|override|bypass|skip|drop)\b[^.。;!?]{0,40}\b(?:ins"
        r"tructions?|rules?|prompts?|guidelines?|safety|filters?|checks?"
        r"|checker|above|previous|restrictions?)\b"
    ),
    (
        r"\b(?:system prompt|developer mode|jailbreak|dan mode|do anything now"
        r"|no restrictions|without (?:any )?(?:restrictions|rules|filters)"
        r"|you are now|act as (?:an? )?(?:unrestricted|unfiltered)|pretend (?:you are"
        r"|to be))\b"
    ),
    (
        r"(?:忽略|无视|忘记|忘掉|绕过|跳过|解除|关闭)[^。；！？]{0,15}(?:指令"
        r"|规则|提示|限制|要求|安全|检查|过滤|以上|上面|之前)"
    ),
    r"系统提示|开发者模式|越狱|不受(?:任何)?限制|你现在是|扮演一个没有",
    (
        r"#{2,}\s*(?:request|tutorial|system|instruction)|<\|[^|]{0,40}\|>"
        r"|\[/?INST\]|<</?SYS>>"
    ),
]
"""What tries to make the model or the checker do something else than write a look."""

# fmt: off
ALLERGENS = {
    "fragrance": ["fragrance", "perfume", "parfum", "scented", "eau de", "香精", "香水",
        "香料", "香氛"],
    "nuts": ["nut", "nuts", "almond", "walnut", "hazelnut", "macadamia", "shea", "argan",
        "坚果", "杏仁", "核桃", "榛子", "夏威夷果", "乳木果", "摩洛哥坚果"],
    "lanolin": ["lanolin", "wool wax", "wool alcohol", "羊毛脂"],
    "latex": ["latex", "lash glue", "eyelash glue", "乳胶", "睫毛胶"],
    "nickel": ["nickel", "metal curler", "metal tweezers", "镍"],
    "alcohol": ["alcohol", "ethanol", "酒精", "乙醇"],
    "beeswax": ["beeswax", "propolis", "honey", "蜂蜡", "蜂胶", "蜂蜜"],
    "essential oil": ["essential oil", "tea tree", "lavender oil", "peppermint oil",
        "精油", "茶树", "薰衣草油"],
    "salicylic acid": ["salicylic", "bha", "水杨酸"],
    "vitamin c": ["vitamin c", "ascorbic", "维生素c", "抗坏血酸"],
    "retinol": ["retinol", "retinal", "retinoid", "视黄醇", "维a", "a醇"],
    "carmine": ["carmine", "cochineal", "胭脂虫"],
    "soy": ["soy", "soya", "soybean", "大豆"],
    "milk": ["milk", "casein", "lactose", "yoghurt", "yogurt", "牛奶", "乳蛋白", "酸奶"],
    "gluten": ["gluten", "wheat", "barley", "小麦", "麸质"],
}
"""Allergen → words that stand for it, or for what contains it."""

ALLERGEN_NAMES = {
    "香精": "fragrance",
    "香料": "fragrance",
    "香水": "fragrance",
    "perfume": "fragrance",
    "parfum": "fragrance",
    "坚果": "nuts",
    "nut": "nuts",
    "tree nuts": "nuts",
    "almond": "nuts",
    "杏仁": "nuts",
    "羊毛脂": "lanolin",
    "乳胶": "latex",
    "镍": "nickel",
    "酒精": "alcohol",
    "蜂蜡": "beeswax",
    "精油": "essential oil",
    "essential oils": "essential oil",
    "水杨酸": "salicylic acid",
    "维生素c": "vitamin c",
    "视黄醇": "retinol",
    "胭脂虫红": "carmine",
    "大豆": "soy",
    "牛奶": "milk",
    "小麦": "gluten",
}
"""Other names of allergens → their keys in `ALLERGENS`."""
# fmt: on
