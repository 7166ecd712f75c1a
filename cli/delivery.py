"""What lies at a source, as ``beauty init`` sees it: tables, pictures, and the family they suit."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from beauty_models.intake import archives, columns, images, public_sets, shops, tables
from beauty_models.intake.provenance import ABOUT
from beauty_models.makeup import BARE_FOLDERS, MADE_UP_FOLDERS, folder_word
from beauty_models.translate import PARALLEL_SUFFIXES
from beauty_models.translate.locales import Locales
from beauty_models.tutorial import ARTICLE_SUFFIXES
from cli import edit
from tasks.sources import fetch, local, s3
from tasks.sources.manifest import is_data_file
from tasks.state import STATE, OnLine

# Folders of pictures that are parts of the data, not classes.
PARTS = {"train", "training", "validation", "valid", "val", "test"}
FEWEST_ARTICLES = 3  # a README or two beside a table are no delivery of articles
ARTICLE_LENGTH = 800  # characters; the median of reviews is a fifth of that


@dataclass
class Delivery:
    """What lies at a source: its tables, read, and the paths of its other files."""

    source: str
    tables: dict[str, tables.Table] = field(default_factory=dict)
    pictures: list[str] = field(default_factory=list)
    articles: list[str] = field(default_factory=list)
    parallel: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    public_set: public_sets.Found | None = None  # its tables are not read: ingest knows them


def read_delivery(source: str, log_line: OnLine) -> Delivery:
    """Return what lies at ``source``; of an S3 prefix only the tables are downloaded.

    Raises:
        ValueError: nothing is there, or a table cannot be read.
    """
    kind = fetch.source_kind(source)
    if kind in edit.DRAWN:
        raise ValueError(f"{source}: needs no settings; `beauty retrain` runs it")
    delivery = Delivery(source)
    if kind == "local":
        delivery.public_set = public_sets.recognize(Path(source))
        if delivery.public_set:
            for path, _ in local.find_files(source):
                if _suffix(path) in images.SUFFIXES:
                    delivery.pictures.append(path)
            return delivery
        STATE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=STATE, prefix="init-") as temporary:
            for number, (path, file) in enumerate(local.find_files(source)):
                _add_local(delivery, path, file, Path(temporary) / str(number))
        return delivery
    connection = s3.client()
    objects = [item for item in s3.list_objects(connection, source) if is_data_file(item.path)]
    readable = [item for item in objects if tables.may_be_table(item.path)]
    STATE.mkdir(parents=True, exist_ok=True)
    # Only looked at: `beauty retrain` fetches the delivery as a whole, with a manifest.
    with tempfile.TemporaryDirectory(dir=STATE, prefix="init-") as temporary:
        folder = Path(temporary) / "tables"
        folder.mkdir()
        s3.download(connection, readable, folder, Path(temporary) / "parts", log_line)
        # Within the block: the tables are read here, and their files end with it.
        for item in objects:
            _add_local(delivery, item.path, folder / item.path, Path(temporary) / "unpacked")
    return delivery


def _add_local(delivery: Delivery, path: str, file: Path, folder: Path) -> None:
    """Put a file where it belongs; of an archive its files, unpacked to ``folder`` for a look."""
    # Of S3 only what may be a table has been downloaded.
    if not file.is_file() or not archives.is_archive(file):
        _add(delivery, path, file)
        return
    for name in archives.unpack(file, folder):
        _add(delivery, f"{path}/{name}", folder / name)
    shutil.rmtree(folder)


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _add(delivery: Delivery, path: str, file: Path) -> None:
    """Put one file where it belongs."""
    if PurePosixPath(path).name in ABOUT:
        return
    if _suffix(path) in images.SUFFIXES:
        delivery.pictures.append(path)
    elif not tables.is_table(file):
        kind = delivery.articles if _suffix(path) in ARTICLE_SUFFIXES else delivery.others
        if _suffix(path) in PARALLEL_SUFFIXES:
            kind = delivery.parallel
        kind.append(path)
    else:
        # A shop without cross-sells exports the header of that table all the same.
        try:
            table = tables.read(file)
            # As ingest sees it: a shop's export has other columns than the file.
            delivery.tables[path] = table._replace(rows=shops.unified(table.rows))
        except tables.EmptyTableError:
            delivery.others.append(path)


def pick(table: tables.Table, block: dict[str, Any], maps: dict[str, str]) -> dict[str, str]:
    """Return field → column by the names that params.yaml lists, or by the user's."""
    # A family that reads no tables lists no columns.
    names: dict[str, list[str]] = dict(block["ingest"].get("columns", {}))
    # The user's word alone: another column may have one of the known names, and be the wrong one.
    for field_name, column in maps.items():
        names[field_name] = [column]
    return columns.pick(list(table.rows.columns), names)


def class_folders(delivery: Delivery) -> Counter[str]:
    """Return class → pictures, a class being the folder in which pictures lie."""
    folders = [PurePosixPath(path).parent.name for path in delivery.pictures]
    return Counter(name for name in folders if name and name.casefold() not in PARTS)


def suitable_families(
    delivery: Delivery, blocks: dict[str, Any], maps: dict[str, str]
) -> dict[str, str]:
    """Return family → why, the likeliest first."""
    translations, only = _as_translations(delivery, blocks)
    if only:
        # Its column of texts is no review's.
        return {"translate": translations}
    reasons = _by_content(delivery, blocks, maps)
    if translations:
        reasons["translate"] = translations
    return reasons


def _by_content(delivery: Delivery, blocks: dict[str, Any], maps: dict[str, str]) -> dict[str, str]:
    """Return family → why of the families that are known by columns and folders."""
    # Family → table → the fields for which the table has a column of a known name.
    fields: dict[str, dict[str, set[str]]] = {}
    for family, block in blocks.items():
        fields[family] = {}
        for path, table in delivery.tables.items():
            fields[family][path] = set(pick(table, block, maps))
    reasons: dict[str, str] = {}
    for path, known in fields.get("recommend", {}).items():
        if {"sku", "image"} <= known and known & {"name", "description"} and delivery.pictures:
            reasons["recommend"] = f"{path} has SKUs, texts and the names of pictures"
    if "tutorial" in blocks and (shown := _as_articles(delivery, fields["tutorial"])):
        # a table of articles has a column of texts, too, and is no table of reviews for that
        return reasons | {"tutorial": shown}
    # A catalogue has texts, too, and often a rating: it is no table of reviews for that.
    if "recommend" not in reasons:
        reasons |= _as_reviews(delivery, fields.get("sentiment", {}))
    reasons |= _as_garments(delivery, fields.get("tryon", {}))
    folders = class_folders(delivery)
    if "makeup" in blocks and (shown := _as_faces(folders)):
        return {"makeup": shown} | reasons
    # Beside tables folders may be anything, so they decide only where nothing else does.
    if "tryon" in blocks and len(folders) > 1 and (not delivery.tables or not reasons):
        reasons["tryon"] = f"its pictures lie in {len(folders)} folders, one per class"
    return reasons


def _as_translations(delivery: Delivery, blocks: dict[str, Any]) -> tuple[str, bool]:
    """Return why ``delivery`` suits translate, and whether it is for nothing else.

    A shop's catalogue in two languages has pictures or labels that other families want.
    """
    if "translate" not in blocks:
        return "", False
    block = blocks["translate"]
    if delivery.parallel and not delivery.tables:
        return f"{delivery.parallel[0]} is a translation tool's file", True
    locales = Locales(block["ingest"]["languages"])
    for path, table in delivery.tables.items():
        header = list(table.rows.columns)
        found = locales.columns(header)
        spoken = dict.fromkeys(item.language for item in found)
        if len(spoken) > 1:
            # id and kind beside the languages are all that a table of translations has
            only = len(header) - len(found) <= 2 and not delivery.pictures
            return f"{path} has texts in {', '.join(spoken)}", only
        if {"source", "target"} <= set(pick(table, block, {})):
            return f"{path} has source and target", not delivery.pictures
    return "", False


def _as_reviews(delivery: Delivery, fields: dict[str, set[str]]) -> dict[str, str]:
    """Return why ``delivery`` suits sentiment, by known columns or else by a column of texts."""
    reasons = {}
    for path, known in fields.items():
        label = _first_of(("label", "rating"), known)
        if "text" in known and label:
            reasons["sentiment"] = f"{path} has texts and their {label}"
    if reasons or delivery.pictures:
        return reasons
    for path, table in delivery.tables.items():
        if columns.text_column(table.rows):
            reasons["sentiment"] = f"{path} has a column of texts and no pictures lie beside it"
    return reasons


def _as_articles(delivery: Delivery, fields: dict[str, set[str]]) -> str:
    """Return why ``delivery`` suits tutorial: files of text, or a table of long texts."""
    if len(delivery.articles) >= FEWEST_ARTICLES and not delivery.tables:
        return f"it has {len(delivery.articles):,} files of text, such as {delivery.articles[0]}"
    for path, known in fields.items():
        rows = delivery.tables[path].rows
        # reviews have titles, too; nobody writes them as long as an article
        column = columns.text_column(rows) if {"text", "title"} <= known else ""
        if column and rows[column].str.len().median() >= ARTICLE_LENGTH:
            return f"{path} has long texts with their titles"
    return ""


def _as_faces(folders: Counter[str]) -> str:
    """Return why folders of these names suit makeup; "" where they do not."""
    made_up = [name for name in folders if folder_word(name) in MADE_UP_FOLDERS]
    bare = [name for name in folders if folder_word(name) in BARE_FOLDERS]
    if not made_up or not bare:
        return ""
    return f"its pictures lie in folders called {made_up[0]} and {bare[0]}"


def _as_garments(delivery: Delivery, fields: dict[str, set[str]]) -> dict[str, str]:
    """Return why ``delivery`` suits tryon, by a label beside texts or pictures."""
    reasons = {}
    for path, known in fields.items():
        label = _first_of(("fit", "class"), known)
        if label and known & {"text", "image"}:
            reasons["tryon"] = f"{path} has a {label} column"
    return reasons


def _first_of(names: tuple[str, ...], known: set[str]) -> str:
    return next((name for name in names if name in known), "")
