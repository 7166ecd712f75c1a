"""The pictures of a public set, by the names that its annotations use; no other name will do."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from beauty_models.intake.images import Files


class Photos:
    """The pictures below a delivered folder.

    `Files.find` is content with the end of a name, for shops write addresses. Here every folder of
    a name counts: ``train/image/000001.jpg`` is not ``validation/image/000001.jpg``.
    """

    def __init__(self, files: Files) -> None:
        self._paths = [path.relative_to(files.raw).as_posix() for path in files.all()]
        self._by_end: dict[int, dict[str, list[str]]] = {}  # steps → end of so many → paths

    def __len__(self) -> int:
        return len(self._paths)

    def find(self, name: str) -> tuple[str, str]:
        """Return the path that ends with all of ``name``, and "", or "" and why there is none."""
        steps = name.count("/") + 1
        if steps not in self._by_end:
            self._by_end[steps] = self._ends(steps)
        found = self._by_end[steps].get(name.casefold(), [])
        if len(found) == 1:
            return found[0], ""
        if found:
            return "", f"{len(found)} picture files end with {name}, such as {found[0]}"
        return "", f"no picture file {name}"

    def _ends(self, steps: int) -> dict[str, list[str]]:
        ends = defaultdict(list)
        for path in self._paths:
            end = "/".join(path.split("/")[-steps:])
            ends[end.casefold()].append(path)
        return ends

    def by_stem(self) -> dict[str, list[str]]:
        """Return name without folders and suffix → the paths that have it."""
        stems = defaultdict(list)
        for path in self._paths:
            stems[Path(path).stem.casefold()].append(path)
        return stems

    def unnamed(self, named: set[str]) -> int:
        """Return how many pictures are not among ``named``."""
        return sum(path not in named for path in self._paths)
