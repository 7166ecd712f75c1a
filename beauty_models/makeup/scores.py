"""The model and its baselines on pairs of a bare face and another person's look.

Where the data say what the bare face looks like in that make-up, errors to this truth are measured;
distances to the reference's colors are measured of all pairs.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from beauty_models.backbones import efficientnet
from beauty_models.evaluation import bootstrap
from beauty_models.evaluation.comparison import MIN_GROUPS, MethodMetrics, margin, with_interval
from beauty_models.families import Metrics
from beauty_models.makeup import Evaluate
from beauty_models.makeup import metrics as distances
from beauty_models.makeup.baselines import BASELINES, Transfer
from beauty_models.makeup.dataset import Faces, Results
from beauty_models.makeup.regions import MADE_UP
from beauty_models.progress import bar, log_line

AT_ONCE = 32  # pairs whose faces are held at once
FEW_PAIRS = 10  # of a skin tone, or with a truth; a mean of fewer is no figure to compare

ERRORS = [f"{part}_error" for part in MADE_UP]
DISTANCES = [f"{part}_distance" for part in MADE_UP]
AVERAGED = [
    "look_error",
    *ERRORS,
    "look_distance",
    *DISTANCES,
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

MakeUp = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(bare, its regions, reference, its regions), uint8 [n, 3, side, side] and [n, side, side] →
made-up faces, uint8 [n, 3, side, side]."""


UNKNOWN = -1  # in place of a truth


class Pairs(NamedTuple):
    """Which bare face wears whose look; positions in `Faces` [n]."""

    bare: NDArray[np.int64]
    reference: NDArray[np.int64]
    truth: NDArray[np.int64]  # position in `Results`, or `UNKNOWN`


def draw_pairs(faces: Faces, results: Results, count: int, seed: int) -> Pairs:
    """Return ``count`` references for each bare face, all of other persons, or as many as exist.

    Those with a known result come first, and all of them, should there be more than ``count``.
    Rendered looks are there beside the ``count`` real ones.

    Raises:
        ValueError: there is no bare face, or nobody else's look to give it.
    """
    persons = faces.frame["person"].to_numpy(str)
    keys = faces.frame["key"].to_numpy(str)
    looks = faces.made_up.numpy()
    bare_rows: list[int] = []
    reference_rows: list[int] = []
    truth_rows: list[int] = []
    for bare in faces.bare.numpy():
        known = (results.bare == bare).nonzero()[0]
        chosen = results.reference[known].tolist()
        others = looks[persons[looks] != persons[bare]]
        # A source of chance for each face, so that one more photo redraws no other's references.
        number = zlib.crc32(keys[bare].encode())
        random = np.random.default_rng((seed, number))
        wanted = count + int(results.rendered[known].sum())
        for reference in random.permutation(others).tolist():
            if len(chosen) < wanted and reference not in chosen:
                chosen.append(reference)
        bare_rows += [bare] * len(chosen)
        reference_rows += chosen
        truth_rows += known.tolist()
        truth_rows += [UNKNOWN] * (len(chosen) - len(known))
    if not bare_rows:
        raise ValueError(
            f"the test part has {len(faces.bare)} bare and {len(looks)} made-up faces, and none of "
            "two persons make a pair; bring more photos or raise families.makeup.ingest.split.test "
            "in params.yaml"
        )
    return Pairs(
        np.array(bare_rows, np.int64),
        np.array(reference_rows, np.int64),
        np.array(truth_rows, np.int64),
    )


def by_face(transfer: Transfer) -> MakeUp:
    """Return a baseline, which takes one face at a time, as a `MakeUp`."""

    def make_up(
        bare: Tensor,
        regions: Tensor,
        reference: Tensor,
        reference_regions: Tensor,
    ) -> Tensor:
        made_up = []
        for face in range(len(bare)):
            image = transfer(
                _pixels(bare[face]),
                regions[face].numpy(),
                _pixels(reference[face]),
                reference_regions[face].numpy(),
            )
            # A copy: torch warns of an array that it must not write to.
            pixels = torch.from_numpy(np.array(image))
            made_up.append(pixels.permute(2, 0, 1))
        return torch.stack(made_up)

    return make_up


def methods(model: MakeUp) -> dict[str, MakeUp]:
    """Return the model and all baselines by name, the model first."""
    found = {"model": model}
    for name, baseline in BASELINES.items():
        found[name] = by_face(baseline)
    return found


def _pixels(picture: Tensor) -> NDArray[np.uint8]:
    """Return a picture [3, side, side] as [side, side, 3]."""
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())


def _batches(count: int) -> Iterator[slice]:
    for start in range(0, count, AT_ONCE):
        yield slice(start, start + AT_ONCE)


def references(faces: Faces, results: Results, pairs: Pairs) -> Tensor:
    """Return the faces that show the looks of ``pairs``, uint8 [n, 3, side, side]."""
    shown = faces.images[torch.tensor(pairs.reference)]
    truth = torch.tensor(pairs.truth)
    known = truth != UNKNOWN
    # A rendered look is on a face that is bare among the faces.
    shown[known] = results.worn[truth[known]]
    return shown


def make_up_pairs(method: MakeUp, faces: Faces, results: Results, pairs: Pairs) -> Tensor:
    """Return the bare faces of ``pairs`` with the looks of their references."""
    bare = torch.tensor(pairs.bare)
    return method(
        faces.images[bare],
        faces.regions[bare],
        references(faces, results, pairs),
        faces.regions[torch.tensor(pairs.reference)],
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


def _compared(
    made_up: Tensor, faces: Faces, results: Results, pairs: Pairs, colors: _Colors
) -> dict[str, list[float]]:
    """Return errors, distances and what changed elsewhere, of each pair.

    A rendered look has no distance: real ones are what distances tell of.
    """
    names = [*ERRORS, *DISTANCES, "background_change", "background_change_max"]
    values: dict[str, list[float]] = {name: [] for name in names}
    for row, (bare, reference, truth) in enumerate(zip(*pairs, strict=True)):
        image = _pixels(made_up[row])
        regions = faces.regions[bare].numpy()
        for part in MADE_UP:
            worn = distances.part_colors(image, regions, part)
            # What the reference hides nobody can put on: its error is left out, as the distance is.
            distance = distances.color_distance(worn, colors.of(int(reference), part))
            error = np.nan
            if truth != UNKNOWN and not np.isnan(distance):
                wanted = _pixels(results.images[truth])
                error = distances.part_error(image, wanted, regions, part)
            values[f"{part}_error"].append(error)
            rendered = truth != UNKNOWN and results.rendered[truth]
            values[f"{part}_distance"].append(np.nan if rendered else distance)
        before = _pixels(faces.images[bare])
        mean, most = distances.background_change(image, before, regions)
        values["background_change"].append(mean)
        values["background_change_max"].append(most)
    return values


def measure(
    faces: Faces,
    results: Results,
    pairs: Pairs,
    compared: Mapping[str, MakeUp],
    *,
    identity: bool,
) -> pd.DataFrame:
    """Return a row for each pair: who, and ``method/metric`` for each of ``compared``.

    NaN is a part that one of the two faces hides, or a truth that is not known. ``identity`` tells
    whether the network that measures it is here.
    """
    colors = _Colors(faces)
    columns: dict[str, list[float]] = {}
    with bar("evaluate: pairs", len(pairs.bare)) as progress:
        for batch in _batches(len(pairs.bare)):
            some = Pairs(*[column[batch] for column in pairs])
            if identity:
                bare = efficientnet.features(faces.images[torch.tensor(some.bare)])
            for name, method in compared.items():
                made_up = make_up_pairs(method, faces, results, some)
                values = _compared(made_up, faces, results, some, colors)
                if identity:
                    moved = distances.cosine_distance(bare, efficientnet.features(made_up))
                    values["identity_distance"] = moved.tolist()
                for metric, measured in values.items():
                    columns.setdefault(f"{name}/{metric}", []).extend(measured)
            progress.advance(len(some.bare))
    described = {
        "bare": faces.frame["key"].to_numpy(str)[pairs.bare],
        "reference": faces.frame["key"].to_numpy(str)[pairs.reference],
        "truth": pairs.truth,
        "rendered": _is_rendered(results, pairs),
        "person": faces.frame["person"].to_numpy(str)[pairs.bare],
        "skin_tone": faces.frame["skin_tone"].to_numpy(float)[pairs.bare],
    }
    frame = pd.DataFrame(described | columns)
    for name in compared:
        errors = [f"{name}/{metric}" for metric in ERRORS]
        # Of a pair that shows all parts: a mean of fewer would be of other parts for each pair.
        frame[f"{name}/look_error"] = frame[errors].mean(axis=1, skipna=False)
        apart = [f"{name}/{part}_distance" for part in ("lips", "skin")]
        frame[f"{name}/look_distance"] = frame[apart].mean(axis=1, skipna=False)
    for name in compared:
        frame[f"{name}/looks_better"] = _looks_better(frame, name)
    return frame


def _is_rendered(results: Results, pairs: Pairs) -> NDArray[np.bool_]:
    """Return of each pair whether its look was rendered [n]."""
    rendered = np.zeros(len(pairs.truth), bool)
    known = pairs.truth != UNKNOWN
    rendered[known] = results.rendered[pairs.truth[known]]
    return rendered


def judged_by(frame: pd.DataFrame) -> str:
    """Return the figure that says most of these pairs: the error where truths are known."""
    known = frame["copy/look_error"].notna().sum()
    return "look_error" if known >= FEW_PAIRS else "look_distance"


def _looks_better(frame: pd.DataFrame, method: str) -> pd.Series[float]:
    """Return 1 where a pair is better than the bare face by the figure that judges them, else 0."""
    metric = judged_by(frame)
    own = frame[f"{method}/{metric}"]
    bare = frame[f"copy/{metric}"]
    nearer = (own < bare).astype(float)
    return nearer.where(own.notna() & bare.notna())


@dataclass
class Scores:
    """Everything that was measured on pairs."""

    pairs: pd.DataFrame  # as `measure` returns it
    metrics: MethodMetrics  # method → figures with intervals and margins
    tones: pd.DataFrame  # as `by_tone` returns it
    gap: str  # in words: between which skin tones the figures differ most; "" with one tone
    gap_size: float  # in units of CIEDE2000 (errors) or CIELAB (distances)
    by_person: bool  # whether whole persons were resampled
    judged_by: str  # look_error, or look_distance where no truth is known
    notes: list[str]


def compare(faces: Faces, results: Results, model: MakeUp, params: Evaluate) -> Scores:
    """Return how ``model`` and the baselines do on the faces and ``results`` of a test part.

    Raises:
        ValueError: as `draw_pairs`.
    """
    pairs = draw_pairs(faces, results, params.pairs, params.seed)
    missing = efficientnet.extractor_missing()
    notes = []
    if missing:
        notes.append(f"identity_distance was not measured: {missing}.")
        log_line(f"evaluate: {notes[-1]}")
    compared = methods(model)
    frame = measure(faces, results, pairs, compared, identity=not missing)
    # Of few persons every resample is much the same, and an interval would be too narrow.
    by_person = frame["person"].nunique() >= MIN_GROUPS
    groups = frame["person"].to_numpy(str) if by_person else None
    figures = {name: _figures(frame, name, groups, params) for name in compared}
    tones = by_tone(frame, list(compared))
    judge = judged_by(frame)
    gap, size = largest_gap(tones, judge.removeprefix("look_"))
    return Scores(frame, figures, tones, gap, size, by_person, judge, notes)


def _figures(
    frame: pd.DataFrame, method: str, groups: NDArray[np.str_] | None, params: Evaluate
) -> dict[str, float]:
    """Return the means of one method with intervals, and the model's paired margins over it."""
    compared = frame[f"{method}/looks_better"].notna()
    values = {"n": float(compared.sum())}
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
    most = frame[f"{method}/background_change_max"].max()
    values["background_change_max"] = float(most)
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
                column = f"{method}/{metric}"
                if column in part:
                    row[column] = part[column].mean()
        rows.append(row)
    return pd.DataFrame(rows)


def largest_gap(tones: pd.DataFrame, figure: str) -> tuple[str, float]:
    """Return the largest difference between two skin tones, in words and in the figure's units.

    The ``figure`` is "error" or "distance". Lips, skin and eyes are looked at; tones of fewer than
    `FEW_PAIRS` pairs are left out.
    """
    is_tone = tones["tone"] != "unknown"
    # A mean of few pairs differs from any other by chance.
    enough = tones[is_tone & (tones["pairs"] >= FEW_PAIRS)].set_index("tone")
    words = ""
    largest = 0.0
    for part in MADE_UP:
        values = enough[f"model/{part}_{figure}"].dropna()
        if len(values) < 2:
            continue
        gap = float(values.max() - values.min())
        if gap > largest:
            largest = gap
            worst = f"{values.max():.2f} on {values.idxmax()} skin"
            best = f"{values.min():.2f} on {values.idxmin()} skin"
            words = f"{part}: {worst}, {best}"
    return words, largest


def flat(scores: Scores) -> Metrics:
    """Return the figures under the names of evaluate.json: ``metric`` and ``baseline/metric``."""
    found: Metrics = {}
    for method, values in scores.metrics.items():
        prefix = "" if method == "model" else f"{method}/"
        for name, value in values.items():
            found[prefix + name] = value
    if scores.gap:
        found["skin_tone_gap"] = scores.gap_size
    return found
