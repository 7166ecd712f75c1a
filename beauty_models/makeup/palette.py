"""Our own shades, so that names work without anybody's table: what shops call such colors."""

from __future__ import annotations

from typing import NamedTuple


class OwnShade(NamedTuple):
    """One shade with its names."""

    english: str
    chinese: str
    hex: str


LIPS = (
    OwnShade("classic red", "正红", "#B3121D"),
    OwnShade("maple red", "枫叶红", "#A6392B"),
    OwnShade("brick red", "砖红", "#9C3B30"),
    OwnShade("tomato red", "番茄红", "#BE3327"),
    OwnShade("orange red", "橘红", "#D2401F"),
    OwnShade("pumpkin", "南瓜色", "#C0592D"),
    OwnShade("coral", "珊瑚色", "#E8705A"),
    OwnShade("watermelon", "西瓜红", "#DC4557"),
    OwnShade("rose", "玫瑰色", "#C43A5C"),
    OwnShade("dried rose", "干枯玫瑰", "#A35357"),
    OwnShade("bean paste", "豆沙色", "#B5656B"),
    OwnShade("fuchsia", "玫红", "#C21E6B"),
    OwnShade("cherry blossom", "樱花粉", "#E38DA0"),
    OwnShade("berry", "浆果色", "#8E2450"),
    OwnShade("plum", "梅子色", "#6E2742"),
    OwnShade("wine red", "酒红", "#7A1628"),
    OwnShade("red brown", "红棕", "#7F3A2C"),
    OwnShade("chocolate", "巧克力色", "#5A2E24"),
    OwnShade("milk tea", "奶茶色", "#A9715F"),
    OwnShade("nude", "裸色", "#B87A68"),
)
CHEEKS = (
    OwnShade("peach", "蜜桃色", "#EE9A7F"),
    OwnShade("apricot", "杏色", "#E9A37E"),
    OwnShade("baby pink", "嫩粉", "#F0A3AE"),
    OwnShade("rosy pink", "玫瑰粉", "#DB7381"),
    OwnShade("terracotta", "陶土色", "#BD6A4C"),
    OwnShade("mulled wine", "红酒腮红", "#8F3A45"),
)
EYES = (
    OwnShade("champagne", "香槟色", "#D9BFA0"),
    OwnShade("rose gold", "玫瑰金", "#C48B7C"),
    OwnShade("bronze", "古铜色", "#8A5A33"),
    OwnShade("earth brown", "大地色", "#7B5643"),
    OwnShade("smoky gray", "烟灰色", "#55524F"),
    OwnShade("lilac", "丁香紫", "#9C86B8"),
    OwnShade("midnight blue", "午夜蓝", "#2B3A67"),
    OwnShade("forest green", "森林绿", "#3C5A44"),
)
SKIN = (
    OwnShade("porcelain", "瓷白", "#F3DECF"),
    OwnShade("ivory", "象牙白", "#EDD2B8"),
    OwnShade("natural", "自然色", "#E1BC9B"),
    OwnShade("beige", "米色", "#D3A883"),
    OwnShade("sand", "沙色", "#C39169"),
    OwnShade("honey", "蜂蜜色", "#AE7A50"),
    OwnShade("caramel", "焦糖色", "#96633F"),
    OwnShade("chestnut", "栗色", "#744A31"),
    OwnShade("espresso", "浓缩咖啡", "#4E3124"),
)
PALETTE = (*LIPS, *CHEEKS, *EYES, *SKIN)
