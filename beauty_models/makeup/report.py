"""index.html: do looks come over, on whose skin less well, and what the model cannot do."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from beauty_models.evaluation.metrics import displayed_metrics, format_value, metric_named
from beauty_models.evaluation.page import (
    Html,
    html,
    image,
    page,
    placeholder,
    section,
    stat_card,
    stat_cards,
    table,
    tag,
)
from beauty_models.evaluation.sections import (
    interval_text,
    margin_text,
    metric_card,
    verdict_card,
)
from beauty_models.families import Metrics
from beauty_models.makeup import WORDING, Evaluate
from beauty_models.makeup.dataset import Faces
from beauty_models.makeup.metrics import METRICS
from beauty_models.makeup.scores import FEW_PAIRS, MakeUp, Pairs, Scores, make_up_pairs, methods

LIPS = metric_named("lips_distance", METRICS)
BEATEN = ("copy", "mean_std")
"""Baselines that the verdict speaks of.

Histogram matching copies the very distributions that the distances compare: it is their lower
bound, not a rival.
"""
CAPTIONS = {"model": "this model"} | WORDING.names
SHOWN = 128  # pixels a side of a face on the page
QUALITY = 88  # of its JPEG
GRID = (
    "display: grid; grid-template-columns: repeat(auto-fit, minmax(84px, 150px)); "
    "gap: 8px; margin: 14px 0 20px"
)


def _picture(picture: torch.Tensor, description: str) -> Html:
    """Return a face [3, side, side] as the page carries it."""
    pixels = picture.permute(1, 2, 0).numpy()
    large = Image.fromarray(np.ascontiguousarray(pixels))
    large = large.resize((SHOWN, SHOWN), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    large.save(stream, "JPEG", quality=QUALITY)
    style = "width: 100%; border-radius: 8px; display: block"
    return image(stream.getvalue(), description, kind="jpeg", style=style)


def _distances(row: pd.Series, method: str) -> str:
    """Return the distances of lips, skin and eyes of one pair; a dash where a part is hidden."""
    words = []
    for part in ("lips", "skin", "eyes"):
        value = row[f"{method}/{part}_distance"]
        words.append(f"{part} {'–' if pd.isna(value) else format(value, '.1f')}")
    return ", ".join(words)


def _tile(picture: torch.Tensor, caption: str, note: str) -> Html:
    below = tag("div", tag("strong", caption), _class="small")
    return tag("div", _picture(picture, caption), below, tag("div", note, _class="soft small"))


def _strips(rows: pd.DataFrame, faces: Faces, model: MakeUp) -> Html:
    """Return a strip for each pair of ``rows``: bare, reference, and what each method makes."""
    position = {key: place for place, key in enumerate(faces.frame["key"])}
    pairs = Pairs(
        rows["bare"].map(position).to_numpy(np.int64),
        rows["reference"].map(position).to_numpy(np.int64),
    )
    compared = methods(model)
    del compared["copy"]  # the bare face stands at the left anyway
    made_up = {name: make_up_pairs(method, faces, pairs) for name, method in compared.items()}
    strips = []
    for place, (_, row) in enumerate(rows.iterrows()):
        bare = faces.images[pairs.bare[place]]
        reference = faces.images[pairs.reference[place]]
        tiles = [
            _tile(bare, "bare", _distances(row, "copy")),
            _tile(reference, "the look", "of another person"),
        ]
        for name, pictures in made_up.items():
            # The long names stand in the table.
            caption = CAPTIONS[name] if name == "model" else name.replace("_", " ")
            tiles.append(_tile(pictures[place], caption, _distances(row, name)))
        strips.append(tag("div", *tiles, style=GRID))
    return tag("div", *strips)


def _examples(pairs: pd.DataFrame, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return pairs to show: those whose lips are worst, and others over all that is left."""
    known = pairs.dropna(subset=["model/lips_distance"])
    order = known.sort_values(["model/lips_distance", "bare", "reference"], ascending=False)
    # One look of a face is enough to see what goes wrong with it.
    order = order.drop_duplicates("bare")
    worst = order.head(max(1, count // 2))
    rest = order.iloc[len(worst) :]
    places = np.linspace(0, len(rest) - 1, min(count - len(worst), len(rest))).round().astype(int)
    return worst, rest.iloc[np.unique(places)]


def _comparison(scores: Scores) -> Html:
    """Return each method's figures, and the model's lead over it."""
    metrics = displayed_metrics(METRICS, scores.metrics["model"])
    rows = []
    for method, values in scores.metrics.items():
        name = tag("strong", CAPTIONS[method]) if method == "model" else html(CAPTIONS[method])
        rows.append(
            [
                name,
                *(format_value(metric, values) for metric in metrics),
                interval_text(LIPS, values),
                "" if method == "model" else margin_text(LIPS, values),
            ]
        )
    columns = ["", *(metric.caption for metric in metrics), "lips, interval", "lips, this model −"]
    return table(columns, rows, set(range(1, len(columns))))


def _tones(scores: Scores) -> Html:
    """Return the figures of each skin tone, side by side."""
    shown = [("model", part) for part in ("lips", "skin", "eyes")] + [("copy", "lips")]
    rows = []
    for _, row in scores.tones.iterrows():
        few = tag("span", "few pairs", _class="tag") if row["pairs"] < FEW_PAIRS else ""
        cells: list[object] = [tag("span", row["tone"], " ", few)]
        cells += [f"{row['persons']}", f"{row['pairs']}"]
        for method, part in shown:
            cells.append(_number(row[f"{method}/{part}_distance"]))
        better = row["model/looks_better"]
        cells.append("–" if pd.isna(better) else f"{better:.0%}")
        rows.append(cells)
    columns = ["skin tone", "persons", "pairs", "lips", "skin", "eyes", "lips, bare", "nearer"]
    return table(columns, rows, set(range(1, len(columns))))


def _number(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.2f}"


def _cards(scores: Scores) -> Html:
    model = scores.metrics["model"]
    cards = []
    if LIPS.name in model:
        cards.append(verdict_card(LIPS, scores.metrics, BEATEN, CAPTIONS))
    better = model.get("looks_better")
    if better is not None:
        low, high = model["looks_better.low"], model["looks_better.high"]
        cards.append(
            stat_card(
                "looks nearer than the bare face", f"{better:.0%}", f"{low:.0%} to {high:.0%}"
            )
        )
    for name in ("lips_distance", "skin_distance"):
        if name in model:
            cards.append(metric_card(metric_named(name, METRICS), model))
    elsewhere = f"{model['background_change_max']:.0f} of 255"
    cards.append(stat_card("changed elsewhere, at most", elsewhere, "outside lips, skin and lids"))
    return stat_cards(cards)


GENERATED = {
    "effnet_frechet_distance": "this generator",
    "pca_gaussian/effnet_frechet_distance": "eigenfaces at random (PCA and a Gaussian)",
    "effnet_frechet_floor": "real training faces: the floor",
}


def _generator(figures: Metrics, samples: torch.Tensor | None) -> Iterator[Html]:
    """Yield the section on the generator of faces, if there is one."""
    if not figures:
        return
    rows = [[caption, f"{figures[name]:.2f}"] for name, caption in GENERATED.items()]
    share = figures["memorized"]
    floor = figures["memorized_floor"]
    content = [table(["", "Fréchet distance"], rows, {1})]
    if samples is not None:
        tiles = [_picture(sample, "a face that nobody has") for sample in samples]
        content.append(tag("div", *tiles, style=GRID))
    yield section(
        "Faces that nobody has",
        *content,
        tag(
            "p",
            f"{share:.0%} of them are nearer to a training face than its own nearest neighbour is; "
            f"of real test faces {floor:.0%} are. Many more would mean that it remembers faces.",
        ),
        lead="Fréchet distance of EfficientNet-lite0's features from the test faces, smaller is "
        "better. It is not the FID of papers and compares with these rows only.",
    )


def _limits(scores: Scores, params: Evaluate) -> Html:
    """Return what a reader must know before believing the figures."""
    unit = "persons" if scores.by_person else "pairs, for there are few persons"
    points = [
        "Distances compare the colors of a part as a whole, in units of CIELAB: about 2 is seen "
        "side by side. They do not see where in the part a color lies.",
        "They include light and shade of the reference's photo. Histogram matching copies just "
        "what they compare, shine and shadow of the other photo with it: it is their lower bound.",
        "The skin takes the look's own shade: that of a much lighter or darker person changes the "
        "face's tone, and the distance of skin rewards it. Foundation is to be tried in one's own "
        "shade.",
        "A part that hair, a beard or a hand hides in one of the two faces is not counted.",
        "Faces that look far aside, closed eyes and covered mouths are not among the test faces "
        "in any number; nothing here says how the model does on them.",
        "Brows, lashes and hair are never changed, so a look's brows do not come over.",
        f"Intervals: {params.confidence:.0%}, {params.bootstrap:,} resamples of {unit}.",
        *scores.notes,
    ]
    return section("What it cannot do, and how it was measured", *(tag("p", p) for p in points))


def _title(scores: Scores) -> str:
    values = scores.metrics["model"]
    better = values.get("looks_better")
    if better is None:
        return "Does the look come over?"
    count = round(better * values["n"])
    return f"{count:,} of {values['n']:,.0f} looks come nearer"


def write_report(
    folder: Path,
    scores: Scores,
    faces: Faces,
    model: MakeUp,
    params: Evaluate,
    generated: Metrics,
    samples: torch.Tensor | None = None,
) -> None:
    """Write pairs.parquet and index.html to ``folder``.

    Args:
        folder: of the report.
        scores: as `scores.compare` returned them.
        faces: those of the test part.
        model: makes up the faces of the strips again.
        params: the block ``evaluate``.
        generated: figures of `synthesis.generator_figures`; none without a generator.
        samples: faces of the generator, uint8 [n, 3, side, side].
    """
    scores.pairs.to_parquet(folder / "pairs.parquet", index=False)
    worst, others = _examples(scores.pairs, params.examples)
    persons = scores.pairs["person"].nunique()
    gap = f"Largest difference: {scores.gap}." if scores.gap else "Too few pairs to compare tones."
    nothing = placeholder("No pair shows lips on both faces.")
    content = page(
        _title(scores),
        _cards(scores),
        section(
            "Where it does worst",
            _strips(worst, faces, model) if len(worst) else nothing,
            lead="The pairs whose lips are farthest from the look. Below each face the distances "
            "of its parts from the look, in CIELAB units.",
        ),
        section(
            "Beside simple methods",
            _comparison(scores),
            lead="Smaller distances are better. Each bare face wears the looks of other persons; "
            "the last column is the model's mean minus the method's, with its interval.",
        ),
        section(
            "Others, from worse to better",
            _strips(others, faces, model) if len(others) else placeholder("None."),
        ),
        section(
            "On every skin",
            _tones(scores),
            tag("p", gap),
            lead="By the individual typology angle of the bare face's skin in its photo, from very "
            "light (above 55°) to dark (below −30°). Strong or colored light shifts it.",
        ),
        *_generator(generated, samples),
        _limits(scores, params),
        subtitle=f"{len(scores.pairs):,} pairs of a bare test face and another person's look, "
        f"{persons:,} bare persons.",
    )
    (folder / "index.html").write_text(content, encoding="utf-8")
