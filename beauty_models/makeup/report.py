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
from beauty_models.makeup.dataset import Faces, Results
from beauty_models.makeup.metrics import METRICS
from beauty_models.makeup.model import Match
from beauty_models.makeup.scores import (
    FEW_PAIRS,
    MakeUp,
    Pairs,
    Scores,
    make_up_pairs,
    methods,
    references,
)
from beauty_models.makeup.sheets import grid

RIVALS = {
    "look_error": ("copy", "mean_std", "histogram_matching"),
    "look_distance": ("copy", "mean_std"),
}
"""Figure that judges → baselines that the verdict speaks of.

Histogram matching copies the very distributions that distances compare: it is their lower bound,
not a rival.
"""
CAPTIONS = {"model": "this model"} | WORDING.names
SHOWN = 128  # pixels a side of a face on the page
QUALITY = 88  # of its JPEG
BOARD_ROWS = 3  # pairs in the small picture of the report
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


def _words(row: pd.Series, method: str, figure: str) -> str:
    """Return a figure, error or distance, of lips, skin and eyes of one pair.

    A dash stands where a part is hidden, or the truth is not known.
    """
    words = []
    for part in ("lips", "skin", "eyes"):
        value = row[f"{method}/{part}_{figure}"]
        told = "–" if pd.isna(value) else f"{value:.1f}"
        words.append(f"{part} {told}")
    return ", ".join(words)


def _tile(picture: torch.Tensor, caption: str, note: str) -> Html:
    below = tag("div", tag("strong", caption), _class="small")
    return tag("div", _picture(picture, caption), below, tag("div", note, _class="soft small"))


def _pairs(rows: pd.DataFrame, faces: Faces) -> Pairs:
    """Return the numbers of the faces and of the truth of ``rows``."""
    position = {key: place for place, key in enumerate(faces.frame["key"])}
    return Pairs(
        rows["bare"].map(position).to_numpy(np.int64),
        rows["reference"].map(position).to_numpy(np.int64),
        rows["truth"].to_numpy(np.int64),
    )


def _write_board(
    file: Path, rows: pd.DataFrame, faces: Faces, results: Results, model: MakeUp
) -> None:
    """Write a small picture of some ``rows``: bare, the look, and made up by the model in each."""
    pairs = _pairs(rows, faces)
    columns = [
        faces.images[torch.tensor(pairs.bare)],
        references(faces, results, pairs),
        make_up_pairs(methods(model)["model"], faces, results, pairs),
    ]
    # A row of the board is a pair.
    tiles = torch.stack(columns, 1).flatten(0, 1)
    Image.fromarray(grid(tiles, len(columns))).save(file)


def _strips(rows: pd.DataFrame, faces: Faces, results: Results, model: MakeUp, figure: str) -> Html:
    """Return a strip for each pair of ``rows``: bare, reference, what each method makes, the truth.

    ``figure`` is error or distance; it stands below the faces.
    """
    pairs = _pairs(rows, faces)
    compared = methods(model)
    del compared["copy"]  # the bare face stands at the left anyway
    made_up = {}
    for name, method in compared.items():
        made_up[name] = make_up_pairs(method, faces, results, pairs)
    looks = references(faces, results, pairs)
    strips = []
    for place, (_, row) in enumerate(rows.iterrows()):
        bare = faces.images[pairs.bare[place]]
        tiles = [
            _tile(bare, "bare", _words(row, "copy", figure)),
            _tile(looks[place], "the look", "on another person"),
        ]
        for name, pictures in made_up.items():
            # The long names stand in the table.
            caption = CAPTIONS[name] if name == "model" else name.replace("_", " ")
            tiles.append(_tile(pictures[place], caption, _words(row, name, figure)))
        if pairs.truth[place] >= 0:
            tiles.append(_tile(results.images[pairs.truth[place]], "the truth", "this very photo"))
        strips.append(tag("div", *tiles, style=GRID))
    return tag("div", *strips)


def _examples(scores: Scores, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return pairs to show: the worst by the figure that judges, and others over all the rest."""
    column = f"model/{scores.judged_by}"
    known = scores.pairs.dropna(subset=[column])
    order = known.sort_values([column, "bare", "reference"], ascending=False)
    # One look of a face is enough to see what goes wrong with it.
    order = order.drop_duplicates("bare")
    worst = order.head(max(1, count // 2))
    rest = order.iloc[len(worst) :]
    others = min(count - len(worst), len(rest))
    # Evenly over the ranks, so that they show what is usual and not only what is best.
    places = np.linspace(0, len(rest) - 1, others).round()
    return worst, rest.iloc[np.unique(places.astype(int))]


def _comparison(scores: Scores) -> Html:
    """Return each method's figures, and the model's lead over it."""
    judge = metric_named(scores.judged_by, METRICS)
    metrics = displayed_metrics(METRICS, scores.metrics["model"])
    rows = []
    for method, values in scores.metrics.items():
        name = tag("strong", CAPTIONS[method]) if method == "model" else html(CAPTIONS[method])
        rows.append(
            [
                name,
                *(format_value(metric, values) for metric in metrics),
                interval_text(judge, values),
                "" if method == "model" else margin_text(judge, values),
            ]
        )
    columns = ["", *(metric.caption for metric in metrics)]
    columns += [f"{judge.caption}: interval", f"{judge.caption}: this model −"]
    return table(columns, rows, set(range(1, len(columns))))


def _tones(scores: Scores) -> Html:
    """Return the figures of each skin tone, side by side."""
    figure = _figure(scores)
    shown = [("model", part) for part in ("lips", "skin", "eyes")]
    shown += [("copy", part) for part in ("lips", "skin")]
    rows = []
    for _, row in scores.tones.iterrows():
        few = tag("span", "few pairs", _class="tag") if row["pairs"] < FEW_PAIRS else ""
        cells: list[object] = [tag("span", row["tone"], " ", few)]
        cells += [f"{row['persons']}", f"{row['pairs']}"]
        for method, part in shown:
            cells.append(_number(row[f"{method}/{part}_{figure}"]))
        better = row["model/looks_better"]
        cells.append("–" if pd.isna(better) else f"{better:.0%}")
        rows.append(cells)
    columns = ["skin tone", "persons", "pairs", "lips", "skin", "eyes"]
    columns += ["lips, bare", "skin, bare", "nearer"]
    return table(columns, rows, set(range(1, len(columns))))


def _figure(scores: Scores) -> str:
    """Return error or distance, whichever judges."""
    return scores.judged_by.removeprefix("look_")


def _number(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.2f}"


MATCH_CAPTION = "colors matched after the network"


def _cards(scores: Scores, match: Match) -> Html:
    model = scores.metrics["model"]
    judge = metric_named(scores.judged_by, METRICS)
    cards = []
    if judge.name in model:
        cards.append(verdict_card(judge, scores.metrics, RIVALS[judge.name], CAPTIONS))
    better = model.get("looks_better")
    if better is not None:
        low, high = model["looks_better.low"], model["looks_better.high"]
        ends = f"{low:.0%} to {high:.0%}, by the {judge.caption}"
        cards.append(stat_card("nearer than the bare face", f"{better:.0%}", ends))
    for part in ("lips", "skin", "eyes"):
        name = f"{part}_{_figure(scores)}"
        if name in model:
            cards.append(metric_card(metric_named(name, METRICS), model))
    shares = ", ".join(f"{part} {strength:.0%}" for part, strength in match.items())
    cards.append(stat_card(MATCH_CAPTION, shares, "chosen on the validation part"))
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
        "Errors compare each pixel with the truth, the same photo of the same face in that "
        "make-up, by CIEDE2000: about 2 is seen side by side. Light, shade and skin stay those of "
        "the bare face, and so they should.",
        "Distances compare the colors of a part as a whole with those of another face, in units "
        "of CIELAB. They reward the other's light and skin tone, and do not see where in the part "
        "a color lies. Histogram matching copies just what they compare: it is their lower bound.",
    ]
    if scores.judged_by == "look_distance":
        points.append(
            "No truth is known of these faces (transfers.csv, or ingest.rendered_looks), so "
            "distances judge. Skin then takes the look's own shade: that of a much lighter or "
            "darker person changes the face's tone. Foundation is to be tried in one's own shade."
        )
    rendered = int(scores.pairs["rendered"].sum())
    if rendered:
        points.append(
            f"{rendered:,} of the pairs have a truth that was rendered: the same shades were put "
            "on both faces by the program that tries shades on. They tell whether make-up comes "
            "over without the other's skin and light, not how a make-up artist's work does. "
            "Distances are those of the real looks."
        )
    points += [
        "A part that hair, a beard or a hand hides in one of the two faces is not counted.",
        "Faces that look far aside, closed eyes and covered mouths are not among the test faces "
        "in any number; nothing here says how the model does on them.",
        "Brows, lashes and hair are never changed, so a look's brows do not come over.",
        f"Intervals: {params.confidence:.0%}, {params.bootstrap:,} resamples of {unit}.",
        *scores.notes,
    ]
    return section("What it cannot do, and how it was measured", *(tag("p", p) for p in points))


def _title(scores: Scores) -> str:
    """Return what was measured, as a sentence."""
    judge = scores.judged_by
    value = scores.metrics["model"].get(judge)
    bare = scores.metrics["copy"].get(judge)
    if value is None or bare is None:
        return "Does the look come over?"
    if judge == "look_error":
        return f"{value:.1f} from the truth, where the bare face is {bare:.1f} (CIEDE2000)"
    return f"Colors {value:.1f} from the look's, where the bare face's are {bare:.1f} (CIELAB)"


def write_report(
    folder: Path,
    scores: Scores,
    faces: Faces,
    results: Results,
    model: MakeUp,
    match: Match,
    params: Evaluate,
    generated: Metrics,
    samples: torch.Tensor | None = None,
) -> None:
    """Write pairs.parquet, index.html and the small picture `WORDING` names to ``folder``.

    Args:
        folder: of the report.
        scores: as `scores.compare` returned them.
        faces: those of the test part.
        results: those of the test part.
        model: makes up the faces of the strips again.
        match: how far colors are moved to the reference's after the network.
        params: the block ``evaluate``.
        generated: figures of `synthesis.generator_figures`; none without a generator.
        samples: faces of the generator, uint8 [n, 3, side, side].
    """
    scores.pairs.to_parquet(folder / "pairs.parquet", index=False)
    worst, others = _examples(scores, params.examples)
    # What is usual; the page itself shows the worst as well.
    shown = others if len(others) else worst
    if len(shown):
        _write_board(folder / WORDING.picture, shown[:BOARD_ROWS], faces, results, model)
    figure = _figure(scores)
    wanted = "the truth" if figure == "error" else "the look's colors"
    persons = scores.pairs["person"].nunique()
    gap = f"Largest difference: {scores.gap}." if scores.gap else "Too few pairs to compare tones."
    nothing = placeholder("No pair shows all that is compared on both faces.")
    content = page(
        _title(scores),
        _cards(scores, match),
        section(
            "Where it does worst",
            _strips(worst, faces, results, model, figure) if len(worst) else nothing,
            lead=f"The pairs that are farthest from {wanted}. Below each face stands the {figure} "
            "of its parts.",
        ),
        section(
            "Beside simple methods",
            _comparison(scores),
            lead="Smaller errors and distances are better. Each bare face wears the looks of other "
            "persons; the last column is the model's mean minus the method's, with its interval.",
        ),
        section(
            "Others, from worse to better",
            _strips(others, faces, results, model, figure) if len(others) else placeholder("None."),
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
