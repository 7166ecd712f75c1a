"""The files of a delivery: which count, which are left aside, and that nothing outside is opened.

A folder comes from a NAS, an archive or a warehouse as often as from a camera: it holds thumbnails
of the system, links, and folders whose names are columns.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from beauty_models.intake import account, folders

PARTITION = re.compile(r"([^=/]+)=(.*)")
NOT_FOLLOWED = (
    "a link out of the delivery, in a circle or to nothing: not followed; put the files "
    "themselves there"
)
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # what Hive and Spark write for a null


def look(raw: Path) -> folders.Delivery:
    """Return what lies below ``raw``; links are followed inside it, and never out of it.

    What is left aside is told: a class of photos may hang on a link.
    """
    found = folders.walk(raw)
    delivery = found._replace(files=[path for path in found.files if not account.is_aside(path)])
    for link in delivery.links:
        account.leave_aside("links", NOT_FOLLOWED, link)
    # Nobody needs a line for each of these; in a table they are one.
    if account.is_open():
        for path in delivery.litter:
            account.leave_aside("files and folders", "hidden, or a system's own", path)
    return delivery


def partition_values(file: Path, raw: Path) -> dict[str, str]:
    """Return column → value of the folders ``column=value`` between ``raw`` and ``file``.

    Hive and Spark leave a column that they partition by out of the files.
    """
    values = {}
    for step in file.relative_to(raw).parts[:-1]:
        match = PARTITION.fullmatch(step)
        if match:
            name, value = map(unquote, match.groups())
            values[name] = "" if value == NO_VALUE else value
    return values
