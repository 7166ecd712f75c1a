"""The model and its baselines on pairs of a bare face and another person's look."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from beauty_models.evaluation import bootstrap
from beauty_models.evaluation.comparison import MIN_GROUPS, MethodMetrics, margin, with_interval
from beauty_models.families import Metrics
from beauty_models.makeup import Evaluate
from beauty_models.makeup import metrics as distances
from beauty_models.makeup.baselines import BASELINES, Transfer
from beauty_models.makeup.dataset import Faces
from beauty_models.makeup.regions import MADE_UP
from beauty_models.progress import bar, log_line

AT_ONCE = 32  # pairs whose faces are held at once
FEW_PAIRS = 10  # of a skin tone; a mean of fewer is no figure to compare

AVERAGED = [f"{part}_distance" for part in MADE_UP] + [
    "identity_distance",
    "background_change",
    "looks_better",
]
"""Figures that are means over the pairs, with an interval each."""

TONES = {
    "very light": 55.0,
    "light": 41.0,
    "intermediate": 28.0,
    "tan": 10.0,
    "brown": -30.0,
    "dark": -np.inf,
}
"""Skin tone → the individual typology angle above which it begins, in degrees.

Chardon et al. 1991; Del Bino & Bernerd 2013 for the names.
"""

MakeUp = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(bare, its regions, reference, its regions), uint8 [n, 3, side, side] and [n, side, side] →
made-up faces, uint8 [n, 3, side, side]."""


class Pairs(NamedTuple):
    """Which bare face wears whose look; positions in `Faces` [n]."""

    bare: NDArray[np.int64]
    reference: NDArray[np.int64]


def draw_pairs(faces: Faces, count: int, seed: int) -> Pairs:
    """Return ``count`` references for each bare face, all of other persons, or as many as exist.

    Raises:
        ValueError: there is no bare face, or nobody else's look to give it.
    """
    persons = faces.frame["person"].to_numpy(str)
    keys = faces.frame["key"].to_numpy(str)
    looks = faces.made_up.numpy()
    bare_rows = []
    reference_rows = []
    for bare in faces.bare.numpy():
        others = looks[persons[looks] != persons[bare]]
        # A source of chance for each face, so that one more photo redraws no other's references.
        random = np.random.default_rng((seed, zlib.crc32(keys[bare].encode())))
        chosen = random.permutation(others)[:count]
        bare_rows += [bare] * len(chosen)
        reference_rows += chosen.tolist()
    if not bare_rows:
        raise ValueError(
            f"the test part has {len(faces.bare)} bare and {len(looks)} made-up faces, and none of "
            "two persons make a pair; bring more photos or raise families.makeup.ingest.split.test "
            "in params.yaml"
        )
    return Pairs(np.array(bare_rows, np.int64), np.array(reference_rows, np.int64))


def by_face(transfer: Transfer) -> MakeUp:
    """Return a baseline, which takes one face at a time, as a `MakeUp`."""

    def make_up(
        bare: torch.Tensor,
        regions: torch.Tensor,
        reference: torch.Tensor,
        reference_regions: torch.Tensor,
    ) -> torch.Tensor:
        made_up = []
        for face in range(len(bare)):
            image = transfer(
                _pixels(bare[face]),
                regions[face].numpy(),
                _pixels(reference[face]),
                reference_regions[face].numpy(),
            )
            made_up.append(torch.from_numpy(np.array(image)).permute(2, 0, 1))
        return torch.stack(made_up)

    return make_up


def methods(model: MakeUp) -> dict[str, MakeUp]:
    """Return the model and all baselines by name, the model first."""
    found = {"model": model}
    for name, baseline in BASELINES.items():
        found[name] = by_face(baseline)
    return found


def _pixels(picture: torch.Tensor) -> NDArray[np.uint8]:
    """Return a picture [3, side, side] as [side, side, 3]."""
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())


def _batches(count: int) -> Iterator[slice]:
    for start in range(0, count, AT_ONCE):
        yield slice(start, start + AT_ONCE)


def make_up_pairs(method: MakeUp, faces: Faces, pairs: Pairs) -> torch.Tensor:
    """Return the bare faces of ``pairs`` with the looks of their references."""
    bare = torch.tensor(pairs.bare)
    reference = torch.tensor(pairs.reference)
    return method(
        faces.images[bare],
        faces.regions[bare],
        faces.images[reference],
        faces.regions[reference],
    )


class _Colors:
    """The colors of the references' parts, each computed once for all methods."""

    def __init__(self, faces: Faces) -> None:
        self._faces = faces
        self._known: dict[tuple[int, str], distances.Colors] = {}

    def of(self, face: int, part: str) -> distances.Colors:
        if (face, part) not in self._known:
            image = _pixels(self._faces.images[face])
            regions = self._faces.regions[face].numpy()
            self._known[face, part] = distances.part_colors(image, regions, part)
        return self._known[face, part]


def _distances(
    made_up: torch.Tensor, faces: Faces, pairs: Pairs, colors: _Colors
) -> dict[str, list[float]]:
    """Return the distances of colors and what changed elsewhere, of each pair."""
    values: dict[str, list[float]] = {f"{part}_distance": [] for part in MADE_UP}
    values |= {"background_change": [], "background_change_max": []}
    for row, (bare, reference) in enumerate(zip(pairs.bare, pairs.reference, strict=True)):
        image = _pixels(made_up[row])
        regions = faces.regions[bare].numpy()
        for part in MADE_UP:
            worn = distances.part_colors(image, regions, part)
            distance = distances.color_distance(worn, colors.of(int(reference), part))
            values[f"{part}_distance"].append(distance)
        mean, most = distances.background_change(image, _pixels(faces.images[bare]), regions)
        values["background_change"].append(mean)
        values["background_change_max"].append(most)
    return values


def measure(
    faces: Faces, pairs: Pairs, compared: Mapping[str, MakeUp], *, identity: bool
) -> pd.DataFrame:
    """Return a row for each pair: who, and ``method/metric`` for each of ``compared``.

    NaN is a part that one of the two faces hides. ``identity`` tells whether the network that
    measures it is here.
    """
    colors = _Colors(faces)
    columns: dict[str, list[float]] = {}
    with bar("evaluate: pairs", len(pairs.bare)) as progress:
        for batch in _batches(len(pairs.bare)):
            some = Pairs(pairs.bare[batch], pairs.reference[batch])
            if identity:
                bare = distances.features(faces.images[torch.tensor(some.bare)])
            for name, method in compared.items():
                made_up = make_up_pairs(method, faces, some)
                values = _distances(made_up, faces, some, colors)
                if identity:
                    moved = distances.cosine_distance(bare, distances.features(made_up))
                    values["identity_distance"] = moved.tolist()
                for metric, measured in values.items():
                    columns.setdefault(f"{name}/{metric}", []).extend(measured)
            progress.advance(len(some.bare))
    described = {
        "bare": faces.frame["key"].to_numpy(str)[pairs.bare],
        "reference": faces.frame["key"].to_numpy(str)[pairs.reference],
        "person": faces.frame["person"].to_numpy(str)[pairs.bare],
        "skin_tone": faces.frame["skin_tone"].to_numpy(float)[pairs.bare],
    }
    frame = pd.DataFrame(described | columns)
    for name in compared:
        frame[f"{name}/looks_better"] = _looks_better(frame, name)
    return frame


def _looks_better(frame: pd.DataFrame, method: str) -> pd.Series[float]:
    """Return 1 where lips and skin are both nearer to the reference than those of the bare face."""
    better = pd.Series(1.0, frame.index)
    for metric in ("lips_distance", "skin_distance"):
        own = frame[f"{method}/{metric}"]
        bare = frame[f"copy/{metric}"]
        better *= (own < bare).astype(float).where(own.notna() & bare.notna())
    return better


@dataclass
class Scores:
    """Everything that was measured on pairs."""

    pairs: pd.DataFrame  # as `measure` returns it
    metrics: MethodMetrics  # method → figures with intervals and margins
    tones: pd.DataFrame  # as `by_tone` returns it
    gap: str  # in words: between which skin tones the figures differ most; "" with one tone
    gap_size: float  # in units of CIELAB
    by_person: bool  # whether whole persons were resampled
    notes: list[str]


def compare(faces: Faces, model: MakeUp, params: Evaluate) -> Scores:
    """Return how ``model`` and the baselines do on the faces of a test part.

    Raises:
        ValueError: as `draw_pairs`.
    """
    pairs = draw_pairs(faces, params.pairs, params.seed)
    missing = distances.extractor_missing()
    notes = []
    if missing:
        notes.append(f"identity_distance was not measured: {missing}.")
        log_line(f"evaluate: {notes[-1]}")
    compared = methods(model)
    frame = measure(faces, pairs, compared, identity=not missing)
    # Of few persons every resample is much the same, and an interval would be too narrow.
    by_person = frame["person"].nunique() >= MIN_GROUPS
    groups = frame["person"].to_numpy(str) if by_person else None
    figures = {name: _figures(frame, name, groups, params) for name in compared}
    tones = by_tone(frame, list(compared))
    gap, size = largest_gap(tones)
    return Scores(frame, figures, tones, gap, size, by_person, notes)


def _figures(
    frame: pd.DataFrame, method: str, groups: NDArray[np.str_] | None, params: Evaluate
) -> dict[str, float]:
    """Return the means of one method with intervals, and the model's paired margins over it."""
    values = {"n": float(frame[f"{method}/looks_better"].notna().sum())}
    for metric in AVERAGED:
        if f"{method}/{metric}" not in frame:
            continue
        theirs = frame[f"{method}/{metric}"].to_numpy(float)
        ours = frame[f"model/{metric}"].to_numpy(float)
        known = ~np.isnan(theirs) & ~np.isnan(ours)
        # A part that hair or a beard hides in every photo has no figure.
        if not known.any():
            continue
        rows = theirs[known, None]
        some = None if groups is None else groups[known]
        values |= with_interval(metric, rows, bootstrap.mean, some, params)
        if method != "model":
            values |= margin(metric, ours[known, None], rows, bootstrap.mean, some, params)
    values["background_change_max"] = float(frame[f"{method}/background_change_max"].max())
    return values


def tone(angle: float) -> str:
    """Return the name of a skin tone by its individual typology angle in degrees."""
    for name, least in TONES.items():
        if angle > least:
            return name
    return "unknown"  # the angle is NaN: no skin is seen


def by_tone(frame: pd.DataFrame, compared: list[str]) -> pd.DataFrame:
    """Return a row for each skin tone of bare faces: pairs, persons and each method's means."""
    names = frame["skin_tone"].map(tone)
    rows = []
    for name in [*TONES, "unknown"]:
        part = frame[names == name]
        if part.empty:
            continue
        row: dict[str, object] = {"tone": name, "pairs": len(part)}
        row["persons"] = part["person"].nunique()
        for method in compared:
            for metric in AVERAGED:
                if f"{method}/{metric}" in part:
                    row[f"{method}/{metric}"] = part[f"{method}/{metric}"].mean()
        rows.append(row)
    return pd.DataFrame(rows)


def largest_gap(tones: pd.DataFrame) -> tuple[str, float]:
    """Return the largest difference between two skin tones, in words and in units of CIELAB.

    Lips, skin and eyes are looked at; tones of fewer than `FEW_PAIRS` pairs are left out.
    """
    enough = tones[(tones["pairs"] >= FEW_PAIRS) & (tones["tone"] != "unknown")].set_index("tone")
    words = ""
    largest = 0.0
    for part in MADE_UP:
        values = enough[f"model/{part}_distance"].dropna()
        if len(values) < 2:
            continue
        gap = float(values.max() - values.min())
        if gap > largest:
            largest = gap
            words = (
                f"{part}: {values.max():.2f} on {values.idxmax()} skin, "
                f"{values.min():.2f} on {values.idxmin()} skin"
            )
    return words, largest


def flat(scores: Scores) -> Metrics:
    """Return the figures under the names of evaluate.json: ``metric`` and ``baseline/metric``."""
    found: Metrics = {}
    for method, values in scores.metrics.items():
        prefix = "" if method == "model" else f"{method}/"
        found |= {prefix + name: value for name, value in values.items()}
    if scores.gap:
        found["skin_tone_gap"] = scores.gap_size
    return found
