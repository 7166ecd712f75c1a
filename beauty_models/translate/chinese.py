"""Simplified or traditional Chinese, by characters that are written in one of the two only.

The characters were chosen for product texts; a text with none of them may be either.
"""

from __future__ import annotations

# fmt: off
SIMPLIFIED = frozenset(
    "万与专业东丝两严个丰临为丽举义乐习书买乱争亏亚产亲亿仅从仓仪们价众优伙会伞伟传伤伦伪体侠"
    "侧侦储儿党兰关兴养兽内册写军农冲决况冻净减凤凭凯击刘则刚创别剂剑剧劝办务动劲劳势匀华协单卖卢卫"
    "厂厅历压厌厚厨县参双发变叙叠号叶吃吗听启员响哑唤啸喷团园围国图圆圣场块坚坛垫垒"
    "壮声壳处备复够头夹夺奋奖妆妇娇娱婴孙学宁宝实宠审宽宾对寻导寿将尔尘尝层属岁岛峡币师帐带帮"
    "库应庙废开异弃张弥弯弹强归当录彻径怀态总恋恒恶悬惊惧惯户扑执扩扫扬扰抚护报担拟拥择拨挂"
    "挡挤挥损换据摄摆敌数断无旧时旷显晒晓晕暂术机杀杂权条来杨极构枪柜标栅栏树样档桥检楼横欢"
    "欧残毁毕气汇汉汤沟沪泪洁洒浅浆浇测济浏浓涂润涩渐温湾湿滞满滤漆潜灯灵灾炉点炼烂热烧爱爷牵犹"
    "独狮猎猫献玛环现电画畅疗疮盐盖盘睁码砖础确碍礼离种积称稳穷窃竞笔筑筛签简粮紧纠红纤约级纪纯纱纲"
    "纳纵纷纸纹纺纽线练组细织终绒结绕绘给络绝统绢绣继绩绪续绳维绵综绿缀缎缓编缝缠缤缩缸网罗罢职联"
    "肠肤肿胀胁胆胜胶脉脏脑脚脱脸腊腻舆舰艰艺节芦苏苹药莱莲获营萧萨蓝蕴虑虚虫虽蚀蚁蛮蜡蝇补衬袜装裤"
    "观规视览觉触誉计订认讨让训议记讲许论设访证评识诉词译试诗诚话诞询该详语误说请读课调谈谢谱贝负贡财"
    "责败货质贩购贯贱贴贵费贺资赏赛赞赵趋跃车轨转轮软轴轻载较辅辆输辑边达迁过运还这进远违连迟适选递逻"
    "遗邮郁采释里钉针钓钙钛钢钥钩钮钱钻铁铂铃铅铜铝铬铭银铺链销锁锅锋锐错锡锦键镀镁镍镜镶长门闪闭"
    "问间闹闻阀阅阔队阳阴阶际陆陈险随隐难雾韧页顶项顺须顾顿预领颈频颗题颜额风飞饭饮饰饱饼馆马驱驾驶"
    "骑骨验鱼鲁鲜鸟鸡鸭鸽鹅鹰麦黄齐齿龄龙龟"
)
TRADITIONAL = frozenset(
    "萬與專業東絲兩嚴個豐臨為麗舉義樂習書買亂爭虧亞產親億僅從倉儀們價眾優夥會傘偉傳傷倫偽體俠"
    "側偵儲兒黨蘭關興養獸內冊寫軍農衝決況凍淨減鳳憑凱擊劉則剛創別劑劍劇勸辦務動勁勞勢勻華協單賣盧衛"
    "廠廳歷壓厭廚縣參雙發變敘疊號葉嗎聽啟員響啞喚嘯噴團園圍國圖圓聖場塊堅壇墊壘"
    "壯聲殼處備復夠頭夾奪奮獎妝婦嬌娛嬰孫學寧寶實寵審寬賓對尋導壽將爾塵嘗層屬歲島峽幣師帳帶幫"
    "庫應廟廢開異棄張彌彎彈強歸當錄徹徑懷態總戀恆惡懸驚懼慣戶撲執擴掃揚擾撫護報擔擬擁擇撥掛"
    "擋擠揮損換據攝擺敵數斷無舊時曠顯曬曉暈暫術機殺雜權條來楊極構槍櫃標柵欄樹樣檔橋檢樓橫歡"
    "歐殘毀畢氣匯漢湯溝滬淚潔灑淺漿澆測濟瀏濃塗潤澀漸溫灣濕滯滿濾潛燈靈災爐點煉爛熱燒愛爺牽猶"
    "獨獅獵貓獻瑪環現電畫暢療瘡鹽蓋盤睜碼磚礎確礙禮離種積稱穩窮竊競筆築篩簽簡糧緊糾紅纖約級紀純紗綱"
    "納縱紛紙紋紡紐線練組細織終絨結繞繪給絡絕統絹繡繼績緒續繩維綿綜綠綴緞緩編縫纏繽縮網羅罷職聯"
    "腸膚腫脹脅膽勝膠脈臟腦腳脫臉臘膩輿艦艱藝節蘆蘇蘋藥萊蓮獲營蕭薩藍蘊慮虛蟲雖蝕蟻蠻蠟蠅補襯襪裝褲"
    "觀規視覽覺觸譽計訂認討讓訓議記講許論設訪證評識訴詞譯試詩誠話誕詢該詳語誤說請讀課調談謝譜貝負貢財"
    "責敗貨質販購貫賤貼貴費賀資賞賽贊趙趨躍車軌轉輪軟軸輕載較輔輛輸輯邊達遷過運還這進遠違連遲適選遞邏"
    "遺郵鬱採釋裡釘針釣鈣鈦鋼鑰鉤鈕錢鑽鐵鉑鈴鉛銅鋁鉻銘銀鋪鏈銷鎖鍋鋒銳錯錫錦鍵鍍鎂鎳鏡鑲長門閃閉"
    "問間鬧聞閥閱闊隊陽陰階際陸陳險隨隱難霧韌頁頂項順須顧頓預領頸頻顆題顏額風飛飯飲飾飽餅館馬驅駕駛"
    "騎驗魚魯鮮鳥雞鴨鴿鵝鷹麥黃齊齒齡龍龜"
)
# fmt: on

# what both write, by a slip of either list
_BOTH = SIMPLIFIED & TRADITIONAL
_ONLY_SIMPLIFIED = SIMPLIFIED - _BOTH - frozenset("吃厚气骨内里缸漆横强册郁采万与")
_ONLY_TRADITIONAL = TRADITIONAL - _BOTH - frozenset("內強冊")
# what Japanese writes as simplified Chinese does
_JAPANESE = frozenset(
    "与万来国学会体号宝声旧当断数条楼残湾温灯炉点独猫献礼称窃台虫蛮装触誉麦黄属峡双参写寿将担据机欧状"
    "浅随乱争亏励医区寝尽辞胆恋惨泪洁济润灵艳芦苏径恒奖妆丽岁弥栏样铁静脚脱"
)
CLEAR = 2  # characters of one kind, and none of the other, by which a text is of that kind


def variant(text: str) -> str:
    """Return ``simplified`` or ``traditional``, "" where ``text`` does not say or is in both."""
    simplified = sum(map(_ONLY_SIMPLIFIED.__contains__, text))
    traditional = sum(map(_ONLY_TRADITIONAL.__contains__, text))
    if simplified >= CLEAR and not traditional:
        return "simplified"
    if traditional >= CLEAR and not simplified:
        return "traditional"
    return ""


def is_no_japanese(text: str) -> bool:
    """Return whether ``text`` has characters that Chinese writes and Japanese does not."""
    return sum(map((_ONLY_SIMPLIFIED - _JAPANESE).__contains__, text)) >= CLEAR
