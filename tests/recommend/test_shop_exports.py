"""One shop, as each system exports it: the same products, prices and pictures come out of ingest.

A shirt in two colors with pictures of their own, and a belt, which has no variants.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import pandas as pd
import pytest

from beauty_models import params
from beauty_models.intake import shops, synthetic, tables
from beauty_models.params import Split
from beauty_models.recommend.data import ingest
from beauty_models.recommend.prices import Price, prices

ROOT = Path(__file__).parents[2]

SHOPIFY = """\
Handle,Title,Body (HTML),Type,Option1 Name,Option1 Value,Variant SKU,Variant Price,Image Src,\
Image Position,Variant Image
shirt,Gaia Shirt,<p>Soft &amp;amp; warm cotton.</p>,Shirts,Color,Red,S-R,19.90,\
https://x/shirt.png,1,https://x/red.png
shirt,,,,,Blue,S-B,24.90,https://x/back.png,2,https://x/blue.png
belt,Dune Belt,Of brown leather.,Belts,Title,Default Title,BELT,1299.00,https://x/belt.png,1,
"""
SHOPIFY_2025 = """\
Title,URL handle,Description,Type,SKU,Option1 name,Option1 value,Price,Product image URL,\
Image position,Variant image URL
Gaia Shirt,shirt,<p>Soft &amp;amp; warm cotton.</p>,Shirts,S-R,Color,Red,19.90,\
https://x/shirt.png,1,https://x/red.png
,shirt,,,S-B,,Blue,24.90,https://x/back.png,2,https://x/blue.png
Dune Belt,belt,Of brown leather.,Belts,BELT,Title,Default Title,1299.00,https://x/belt.png,1,
"""
WOOCOMMERCE = """\
ID,Type,SKU,Name,Description,Regular price,Categories,Images,Parent,Attribute 1 name,\
Attribute 1 value(s)
10,variable,shirt,Gaia Shirt,<p>Soft &amp;amp; warm cotton.</p>,,"All, All > Shirts",\
"https://x/shirt.png, https://x/back.png",,Color,"Red, Blue"
11,variation,S-R,Gaia Shirt - Red,,19.90,,https://x/red.png,id:10,Color,Red
12,variation,S-B,Gaia Shirt - Blue,,24.90,,https://x/blue.png,shirt,Color,Blue
13,simple,BELT,Dune Belt,Of brown leather.,1299.00,All > Belts,https://x/belt.png,,,
"""
MAGENTO = (
    """\
sku,store_view_code,attribute_set_code,product_type,categories,name,description,price,base_image,\
small_image,additional_attributes,additional_images,configurable_variations
S-R,,Top,simple,Default Category/Shirts,Gaia Shirt-Red,,19.9000,/r/e/red.png,,"color=Red",\
"/r/e/red.png",
S-B,,Top,simple,Default Category/Shirts,Gaia Shirt-Blue,,24.9000,/b/l/blue.png,,\
"""
    + '"color=Blue,""care=wash, by hand"""'
    + """,,
shirt,,Top,configurable,"Default Category/Shirts,Default Category",Gaia Shirt,\
<p>Soft &amp;amp; warm cotton.</p>,,/s/h/shirt.png,/s/h/shirt.png,,"/s/h/shirt.png,/b/a/back.png",\
"sku=S-R,color=Red|sku=S-B,color=Blue"
shirt,de,,,,Gaia Hemd,,,,,,,
BELT,,Belt,simple,Default Category/Belts,Dune Belt,Of brown leather.,1299.0000,no_selection,\
/b/e/belt.png,,,
"""
)
BIGCOMMERCE = """\
Item Type,Product ID,Product Name,Product Code/SKU,Product Description,Price,Category,\
Product Image File - 1,Product Image Is Thumbnail - 1,Product Image Sort - 1,\
Product Image File - 2,Product Image Is Thumbnail - 2,Product Image Sort - 2
Product,77,Gaia Shirt,shirt,<p>Soft &amp;amp; warm cotton.</p>,19.90,All/Shirts,\
a/1/back.png,N,1,a/1/shirt.png,Y,0
  SKU,,[S]Color=Red:#FF0000,S-R,,,,,,,,,
  SKU,,[S]Color=Blue:#0000FF,S-B,,,,,,,,,
  Rule,,,S-R,,,,a/1/red.png,,,,,
  Rule,,[S]Color=Blue,,,[ADD]5.00,,a/1/blue.png,,,,,
Product,78,Dune Belt,BELT,Of brown leather.,1299.00,All/Belts,a/1/belt.png,Y,0,,,
"""
BIGCOMMERCE_NEW = """\
Item,ID,Name,Type,SKU,Options,Price,Categories,Description,Image URL (Import),Image is Thumbnail,\
Image Sort Order,Variant Image URL
Product,77,Gaia Shirt,physical,shirt,,19.90,All/Shirts,<p>Soft &amp;amp; warm cotton.</p>,,,,
Variant,1,,,S-R,Type=Swatch|Name=Color|Value=Red[#ff0000],19.90,,,,,,https://x/red.png
Variant,2,,,S-B,Type=Swatch|Name=Color|Value=Blue[#0000ff],24.90,,,,,,https://x/blue.png
Image,3,,,,,,,,https://x/back.png,FALSE,1,
Image,4,,,,,,,,https://x/shirt.png,TRUE,0,
Product,78,Dune Belt,physical,BELT,,1299.00,All/Belts,Of brown leather.,https://x/belt.png,TRUE,0,
"""
MERCHANT = """\
id\ttitle\tdescription\tprice\timage link\tadditional image link\titem group id\tcolor\t\
google product category\tproduct type
S-R\tGaia Shirt\tSoft &amp;amp; warm cotton.\t19.90 EUR\thttps://x/red.png\t\
https://x/shirt.png,https://x/back.png\tshirt\tRed\t212\tAll > Shirts
S-B\tGaia Shirt\tSoft &amp;amp; warm cotton.\t24.90 EUR\thttps://x/blue.png\t\
https://x/shirt.png\tshirt\tBlue\t212\tAll > Shirts
BELT\tDune Belt\tOf brown leather.\t1299.00 EUR\thttps://x/belt.png\t\t\t\t169\tAll > Belts
"""
RSS = """\
<?xml version="1.0" encoding="ISO-8859-1"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
<item><g:id>S-R</g:id><title>Gaia Shirt</title><description><![CDATA[Soft &amp; warm cotton.]]>
</description><g:price>19.90 EUR</g:price><g:image_link>https://x/red.png</g:image_link>
<g:additional_image_link>https://x/shirt.png</g:additional_image_link>
<g:additional_image_link>https://x/back.png</g:additional_image_link>
<g:shipping><g:country>DE</g:country><g:price>4.90 EUR</g:price></g:shipping>
<g:item_group_id>shirt</g:item_group_id><g:color>Red</g:color>
<g:product_type>All &gt; Shirts</g:product_type></item>
<item><g:id>S-B</g:id><g:title>Gaia Shirt</g:title><title>Gaia Shirt in blue, buy now</title>
<description>Soft &amp;amp; warm cotton.</description><g:price>24.90 EUR</g:price>
<g:image_link>https://x/blue.png</g:image_link><g:item_group_id>shirt</g:item_group_id>
<g:color>Blue</g:color><g:product_type>All &gt; Shirts</g:product_type></item>
<item><g:id>BELT</g:id><title>Dune Belt</title><description>Of brown leather.</description>
<g:price>1299.00 EUR</g:price><g:image_link>https://x/belt.png</g:image_link>
<g:product_type>All &gt; Belts</g:product_type></item>
</channel></rss>
"""
ATOM = RSS.replace('<rss version="2.0" ', '<feed xmlns="http://www.w3.org/2005/Atom" ')
for before, after in {
    "<channel>": "",
    "</channel></rss>": "</feed>",
    "<item>": "<entry>",
    "</item>": '<link href="https://x/p"/></entry>',
    "description>": "summary>",
}.items():
    ATOM = ATOM.replace(before, after)

EXPORTS = {
    "shopify": ("products_export.csv", SHOPIFY),
    "shopify 2025": ("products_export.csv", SHOPIFY_2025),
    "woocommerce": ("wc-product-export.csv", WOOCOMMERCE),
    "magento": ("export_catalog_product.csv", MAGENTO),
    "bigcommerce": ("bulk-edit.csv", BIGCOMMERCE),
    "bigcommerce, newer": ("products.csv", BIGCOMMERCE_NEW),
    "google, tsv": ("feed.tsv", MERCHANT),
    "google, txt": ("feed.txt", MERCHANT),
    "google, rss": ("feed.xml", RSS),
    "google, atom": ("feed.xml", ATOM),
}
PICTURES = ("shirt", "back", "red", "blue", "belt")


def ingested(tmp_path: Path, file: str, text: str) -> pd.DataFrame:
    """Return the items that the stage makes of an export beside its pictures."""
    raw = tmp_path / "raw"
    (raw / "media").mkdir(parents=True)
    (raw / file).write_text(text, encoding="latin-1")
    for number, name in enumerate(PICTURES):
        kind, color = list(synthetic.KINDS)[number % 2], list(synthetic.COLORS)[number]
        stream = io.BytesIO()
        synthetic.product(kind, color, "plain", size=96, seed=number).save(stream, "PNG")
        (raw / "media" / f"{name}.png").write_bytes(stream.getvalue())
    everything = Split(train=0.0, validation=0.0, test=1.0)
    settings = params.load("recommend", ROOT / "params.yaml").ingest
    ingest(
        raw=raw, data=tmp_path / "data", params=settings.model_copy(update={"split": everything})
    )
    return pd.read_parquet(tmp_path / "data" / "test.parquet")


@pytest.mark.parametrize("system", EXPORTS)
def test_the_same_shop_comes_out_of_every_export(tmp_path: Path, system: str) -> None:
    items = ingested(tmp_path, *EXPORTS[system])
    # The item that shows an SKU alone comes last, and counts.
    shared_first = items.sort_values("skus", key=lambda skus: -skus.str.len())
    bought = {sku: row for _, row in shared_first.iterrows() for sku in row["skus"]}
    assert set(bought) >= {"S-R", "S-B", "BELT"}
    of_shirt = bought["S-R"]["product"]
    assert of_shirt == bought["S-B"]["product"] != bought["BELT"]["product"]
    assert bought["BELT"]["price"] == 1299.0
    currencies = {"EUR"} if "EUR" in EXPORTS[system][1] else set()
    assert set(items["currency"].dropna()) == currencies
    prices = items[items["product"] == of_shirt].explode("skus").set_index("skus")["price"]
    # A picture that both share is sold "from" the lower price.
    assert prices.loc[["S-R"]].max() == 19.9 and prices.loc[["S-B"]].max() == 24.9
    assert items["key"].nunique() == len(PICTURES)
    assert bought["S-R"]["color"] == "Red" and bought["S-B"]["color"] == "Blue"
    assert bought["S-R"]["name"] == "Gaia Shirt" and bought["S-R"]["category"] == "Shirts"
    texts = [caption["text"] for caption in bought["S-R"]["captions"]]
    assert "Soft & warm cotton." in texts
    assert bought["BELT"]["category"] == "Belts"


@pytest.mark.parametrize("system", EXPORTS)
def test_the_main_picture_comes_first(tmp_path: Path, system: str) -> None:
    name, text = EXPORTS[system]
    (tmp_path / name).write_text(text)
    rows = shops.unified(tables.read(tmp_path / name).rows)
    rows.columns = rows.columns.str.casefold()
    image = "images" if system == "woocommerce" else "image"
    cells = dict(zip(rows["sku"], rows[image], strict=True))
    assert "red.png" in re.split("[\n,]", cells["S-R"])[0]
    assert "belt.png" in cells["BELT"]
    of_both = [cell for cell in cells.values() if "shirt.png" in cell and "back.png" in cell]
    assert of_both and all(cell.index("shirt.png") < cell.index("back.png") for cell in of_both)


@pytest.mark.parametrize(
    ("rule", "price"),
    [("[FIXED]25.00", "25.00"), ("[REMOVE]4.90", "15.00"), ("[PERCENT]10", "[PERCENT]10")],
)
def test_a_rule_that_is_not_understood_is_no_price(tmp_path: Path, rule: str, price: str) -> None:
    file = tmp_path / "bulk-edit.csv"
    file.write_text(BIGCOMMERCE.replace("[ADD]5.00", rule))
    rows = shops.unified(tables.read(file).rows).set_index("sku")
    assert rows.loc["S-B", "price"] == price and rows.loc["S-R", "price"] == "19.90"
    # The cell reads as no price, and ingest says so.
    assert prices([price], "x") == [None if "PERCENT" in price else Price(float(price), "")]


def test_further_store_views_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "export.csv"
    file.write_text(MAGENTO)
    assert shops.unified(tables.read(file).rows)["sku"].is_unique
    assert "1 rows are of the store views de" in capsys.readouterr().out


@pytest.mark.parametrize(
    "entity",
    [
        '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">',
        '<!ENTITY b SYSTEM "file:///etc/passwd">',
    ],
)
def test_a_feed_with_entities_is_refused(tmp_path: Path, entity: str) -> None:
    file = tmp_path / "feed.xml"
    head, _, rest = RSS.partition("\n")
    file.write_text(f"{head}\n<!DOCTYPE rss [{entity}]>\n{rest.replace('Dune', '&b;')}")
    with pytest.raises(ValueError, match="declares entities"):
        tables.read(file)


def test_other_xml_is_no_table_and_a_feed_cut_off_stops(tmp_path: Path) -> None:
    file = tmp_path / "boxes.xml"
    file.write_text("<annotation><object><name>skirt</name></object></annotation>")
    assert not tables.is_table(file)
    file.write_text(RSS[:900])
    with pytest.raises(ValueError, match="broken XML"):
        tables.read(file)
