"""What a person asks: a product cut out, on another ground, in another color, or a hole filled."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beauty_models.editing import edits, sheet
from beauty_models.editing.edits import Wish
from beauty_models.editing.serving import Served, parser
from beauty_models.files import new_file
from beauty_models.intake.images import Files
from beauty_models.progress import bar

SHEET = "contact-sheet.jpg"
NETWORK_ACTIONS = ("inpaint", "remove")


def predict(*, model: Path, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return the answer to an action on a photo, or one for each photo of a folder.

    Nothing is stored but what ``--save FOLDER`` asks for.

    Raises:
        ValueError: the photo or an option cannot be used; the message says why.
    """
    options = parser().parse_args(arguments)
    wish = edits.wish_of(vars(options))
    served = Served(model)
    if Path(options.photo).is_dir():
        return _predict_folder(options, wish, served)
    result = edits.edit(options.photo, wish, served.editor)
    answer = {"photo": options.photo} | result.answer
    if options.save:
        stem = f"{Path(options.photo).stem}-{options.do}"
        return [answer | {"picture": edits.save(result, options.photo, options.save, stem)}]
    answer["notes"] = [*answer["notes"], "the picture was not kept; --save FOLDER keeps it"]
    return [answer]


def _predict_folder(
    options: argparse.Namespace, wish: Wish, served: Served
) -> list[dict[str, Any]]:
    """Edit each photo of a folder; return an answer for each, and write a contact sheet."""
    folder = Path(options.photo)
    if not options.save:
        raise ValueError(f"{folder} is a folder: --save FOLDER says where its pictures go")
    target = options.save.resolve()
    if target == folder.resolve():
        raise ValueError(f"--save {options.save}: is the folder of the photos; give another one")
    files = [path for path in Files(folder).all() if target not in path.parents]
    if not files:
        raise ValueError(f"{folder}: there is no photo in it")
    answers = []
    pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []

    def edit(path: Path) -> edits.Result:
        name = path.relative_to(folder.resolve())
        return edits.edit(str(path), _for_file(wish, name), served.editor)

    # A network has threads of its own.
    workers = 1 if wish.action in NETWORK_ACTIONS else os.cpu_count() or 1
    with bar(f"predict: {wish.action}", len(files)) as progress:
        for path, edited in _side_by_side(edit, files, workers):
            progress.advance(note=path.name)
            name = path.relative_to(folder.resolve())
            answer: dict[str, Any] = {"photo": str(name)}
            try:
                result = edited.result()
            except ValueError as error:
                # One bad photo ends no run: it is told with the others' answers.
                answers.append(answer | {"error": str(error)})
                continue
            place = edits.save(result, str(path), options.save, name.with_suffix("").as_posix())
            answers.append(answer | result.answer | {"picture": place})
            if len(pairs) < sheet.MOST:
                pairs.append((sheet.tile(result.before), sheet.tile(result.after)))
    if pairs:
        with new_file(options.save / SHEET) as temporary:
            temporary.write_bytes(sheet.contact_sheet(pairs))
    return answers


def _side_by_side(
    edit: Callable[[Path], edits.Result], files: list[Path], workers: int
) -> Iterator[tuple[Path, Future[edits.Result]]]:
    """Yield each of ``files``, in order, with what ``edit`` makes of it.

    No more are begun than the workers need: finished photos wait in memory.
    """
    with ThreadPoolExecutor(workers) as pool:
        begun: deque[tuple[Path, Future[edits.Result]]] = deque()
        for path in files:
            begun.append((path, pool.submit(edit, path)))
            if len(begun) > workers:
                yield begun.popleft()
        yield from begun


def _for_file(wish: Wish, name: Path) -> Wish:
    """Return the wish for one file of a folder: its mask has its name in a folder of masks."""
    if not wish.mask or not Path(wish.mask).is_dir():
        return wish
    for file in Files(Path(wish.mask)).all():
        below = file.relative_to(Path(wish.mask).resolve())
        if below.with_suffix("") == name.with_suffix(""):
            return dataclasses.replace(wish, mask=str(file))
    raise ValueError(f"no mask for it in {wish.mask}: it needs the photo's name")
