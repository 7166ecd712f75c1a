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

_TEMPLATE = [
    *("item_sku", "item_name", "product_description", "bullet_point1", "item_type_name"),
    *("main_image_url", "other_image_url1", "other_image_url10", "other_image_url2"),
    *("parent_child", "parent_sku", "relationship_type", "variation_theme", "color_name"),
    *("standard_price", "currency", "list_price", "update_delete"),
]
_TEMPLATE_ROWS: list[dict[str, str]] = [
    {
        "item_sku": "shirt",
        "item_name": "Gaia Shirt",
        "product_description": "<p>Soft &amp;amp; warm cotton.</p>",
        "bullet_point1": "Très légère, élégante et déjà lavée à l'eau",
        "item_type_name": "Shirts",
        "main_image_url": "https://x/shirt.png",
        "other_image_url1": "https://x/back.png",
        "parent_child": "Parent",
        "variation_theme": "Color",
    },
    {
        "item_sku": "S-R",
        "item_name": "Gaia Shirt (Red)",
        "item_type_name": "Shirts",
        "main_image_url": "https://x/red.png",
        "parent_child": "Child",
        "parent_sku": "shirt",
        "relationship_type": "Variation",
        "color_name": "Red",
        "standard_price": "19.90",
        "currency": "EUR",
        "list_price": "99.00",
    },
    {
        "item_sku": "S-B",
        "item_name": "Gaia Shirt (Blue)",
        "item_type_name": "Shirts",
        "main_image_url": "https://x/blue.png",
        "parent_child": "Child",
        "parent_sku": "shirt",
        "relationship_type": "Variation",
        "color_name": "Blue",
        "standard_price": "24.90",
        "currency": "EUR",
    },
    {"item_sku": "OLD", "item_name": "Gaia Shirt", "update_delete": "Delete"},
    {
        "item_sku": "BELT",
        "item_name": "Dune Belt",
        "product_description": "Of brown leather.",
        "bullet_point1": "Fabriquée à la main près de Sète, très résistante",
        "item_type_name": "Belts",
        "main_image_url": "https://x/belt.png",
        "standard_price": "1299.00",
        "currency": "EUR",
    },
]
_SINCE_2024 = {
    "item_sku": "contribution_sku#1.value",
    "item_name": "item_name[marketplace_id=A1PA][language_tag=de_DE]#1.value",
    "product_description": "product_description[marketplace_id=A1PA]#1.value",
    "bullet_point1": "bullet_point[marketplace_id=A1PA][language_tag=de_DE]#1.value",
    "item_type_name": "item_type_name[marketplace_id=A1PA][language_tag=de_DE]#1.value",
    "main_image_url": "main_product_image_locator[marketplace_id=A1PA]#1.media_location",
    "parent_child": "parentage_level[marketplace_id=A1PA]#1.value",
    "parent_sku": "child_parent_sku_relationship[marketplace_id=A1PA]#1.parent_sku",
    "color_name": "color[marketplace_id=A1PA][language_tag=de_DE]#1.value",
    "standard_price": "purchasable_offer[marketplace_id=A1PA][audience=ALL]#1.our_price#1."
    "schedule#1.value_with_tax",
    "currency": "purchasable_offer[marketplace_id=A1PA][audience=ALL]#1.currency",
    "update_delete": "::record_action",
}
for _number in (1, 2, 10):
    _SINCE_2024[f"other_image_url{_number}"] = (
        f"other_product_image_locator_{_number}[marketplace_id=A1PA]#1.media_location"
    )


def amazon_rows(head: list[list[str]], names: list[str]) -> list[list[str]]:
    """Return the rows of a template whose last row of ``head`` is the columns' names."""
    body = [[row.get(name, "") for name in _TEMPLATE] for row in _TEMPLATE_ROWS]
    width = len(names)
    return [row + [""] * (width - len(row)) for row in [*head, names]] + body


_LABELS = [name.replace("_", " ").title() for name in _TEMPLATE]
_OLD_HEAD = [["TemplateType=fptcustom", "Version=2021.1014", "The top 3 rows are for Amazon"]]
AMAZON_ROWS = amazon_rows([*_OLD_HEAD, _LABELS], _TEMPLATE)
AMAZON_NEW_ROWS = amazon_rows(
    [
        ["settings=attributeRow=4&dataRow=6&feedType=113&labelRow=3"],
        ["Listing Identity"],
        _LABELS,
    ],
    [_SINCE_2024.get(name, name) for name in _TEMPLATE],
)
# An example of Amazon's own, which is no product of the shop.
AMAZON_NEW_ROWS.insert(4, ["ABC123", "Example", *[""] * (len(_TEMPLATE) - 2)])
AMAZON = "\n".join("\t".join(row) for row in AMAZON_ROWS)
AMAZON_NEW = "\r\n".join("\t".join(row) for row in AMAZON_NEW_ROWS)

EXPORTS = {
    "amazon": ("flat file.txt", AMAZON),
    "amazon since 2024": ("flat file.tsv", AMAZON_NEW),
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
    assert "of the store views de, which repeat products" in capsys.readouterr().out


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


REPORT = """\
item-name\titem-description\tlisting-id\tseller-sku\tprice\tquantity\topen-date\timage-url\t\
item-is-marketplace\tproduct-id-type\titem-condition\tzshop-category1\tasin1\tproduct-id\tstatus
Gaia Shirt\tSoft &amp; warm cotton.\t0101A\tS-R\t19.90\t3\t2024-03-01 10:00:00 PST\t\
https://x/red.png\ty\t1\t11\t\tB01\tB01\tActive
15" Dune Belt\tOf "brown" leather.\t0101B\tBELT\t1299.00\t0\t2024-03-02 10:00:00 PST\t\
https://x/belt.png\ty\t1\t11\t\tB02\tB02\tInactive
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("text", [AMAZON, AMAZON_NEW], ids=["before 2024", "since"])
def test_an_inventory_file_in_any_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    file = tmp_path / "flat file.txt"
    file.write_bytes(text.encode(encoding))
    table = tables.read(file)
    assert table.rejected.empty
    lines = text.replace("\r\n", "\n").split("\n")
    # Rows are told by their lines in the file.
    [belt] = [number for number, line in enumerate(lines, 1) if line.startswith("BELT")]
    rows = shops.unified(table.rows)
    assert list(rows["sku"]) == ["shirt", "S-R", "S-B", "BELT"] and rows.index[-1] == belt
    shirt, red, *_ = rows.to_dict("records")
    assert "Très légère" in shirt["description"]
    assert (red["parent"], red["price"], red["attributes"]) == (
        "shirt",
        "19.90 EUR",
        '{"color": "Red"}',
    )


def test_amazons_pictures_go_by_their_numbers(tmp_path: Path) -> None:
    names = ["item_sku", "item_name", "other_image_url10", "other_image_url2", "main_image_url"]
    row = pd.DataFrame([["A", "Belt", "c.png", "b.png", "a.png"]], columns=names)
    [said] = shops.unified(row).to_dict("records")
    assert said["image"].split("\n") == ["a.png", "b.png", "c.png"]


def test_rows_that_delete_a_listing_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "flat file.txt"
    file.write_text(AMAZON)
    assert "OLD" not in set(shops.unified(tables.read(file).rows)["sku"])
    assert "update_delete says that they delete a listing" in capsys.readouterr().out


def test_a_report_of_listings_is_read(tmp_path: Path) -> None:
    items = ingested(tmp_path, "Active Listings Report.txt", REPORT).set_index("product")
    assert dict(items["price"]) == {"S-R": 19.9, "BELT": 1299.0}
    assert items.loc["BELT", "name"] == '15" Dune Belt'
