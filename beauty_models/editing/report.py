"""index.html: how well holes are filled, by what, where it goes wrong, and what it cannot do."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from beauty_models.editing import WORDING, Evaluate
from beauty_models.editing.fills import FILLS
from beauty_models.editing.holes import KINDS
from beauty_models.editing.metrics import METRICS
from beauty_models.editing.model import Editor, Images
from beauty_models.editing.scores import FRECHET, MODEL, Scores
from beauty_models.evaluation.metrics import format_value, metric_named
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
from beauty_models.evaluation.sections import interval_text, margin_text, metric_card, verdict_card
from beauty_models.families import Metrics

CAPTIONS = {MODEL: "what serves"} | WORDING.names
KIND_WORDS = {"box": "boxes", "stroke": "brush strokes", "object": "outlines of products"}
SHOWN = 128  # pixels a side of a photo on the page
BOARD_ROWS = 3
HOLE_COLOR = (255, 0, 200)  # a pink that few products have
GRID = (
    # Eight in a row on a desk, three on a phone.
    "display: grid; grid-template-columns: repeat(auto-fit, minmax(84px, 1fr)); "
    "gap: 8px; margin: 14px 0 20px"
)
COMPARED = (
    "psnr_hole",
    *(f"psnr_hole_{kind}" for kind in KINDS),
    "ssim_hole",
    *(f"ssim_hole_{kind}" for kind in KINDS),
    "filled_well",
)

Pixels = NDArray[np.uint8]  # [h, w, 3]


def _picture(pixels: Pixels, description: str) -> Html:
    """Return a photo as the page carries it; each pixel is a square of its own color."""
    large = Image.fromarray(pixels)
    factor = max(1, SHOWN // pixels.shape[0])
    large = large.resize((pixels.shape[1] * factor, pixels.shape[0] * factor), Image.Resampling.BOX)
    stream = io.BytesIO()
    large.save(stream, "PNG", compress_level=9)
    style = "width: 100%; border-radius: 8px; display: block"
    return image(stream.getvalue(), description, style=style)


def _tile(pixels: Pixels, caption: str, note: str) -> Html:
    below = tag("div", tag("strong", caption), _class="small")
    return tag("div", _picture(pixels, caption), below, tag("div", note, _class="soft small"))


def _with_hole(photo: Pixels, hole: NDArray[np.bool_]) -> Pixels:
    return np.where(hole[..., None], np.array(HOLE_COLOR, np.uint8), photo)


def _psnr(error: float) -> float:
    return float(10 * np.log10(255**2 / max(error, 1 / 12)))


def _strips(scores: Scores, served: dict[str, str], chosen: list[tuple[int, str]]) -> Html:
    """Return a strip for each (photo, kind of hole): the hole, every fill, the photo."""
    strips = []
    for row, kind in chosen:
        photo = scores.photos.images[row]
        holed = _with_hole(photo, scores.holes[kind][row])
        tiles = [_tile(holed, "the hole", KIND_WORDS[kind])]
        for name, by_kind in scores.filled.items():
            if name == MODEL:
                continue  # it is one of the others
            values = scores.rows.iloc[row]
            told = f"{_psnr(values[f'{name}/{kind}/error']):.1f} dB"
            if name == served[kind]:
                told += ", serves"
            # The long names stand in the table.
            tiles.append(_tile(by_kind[kind][row], name.replace("_", " "), told))
        tiles.append(_tile(photo, "the photo", scores.photos.products[row]))
        strips.append(tag("div", *tiles, style=GRID))
    return tag("div", *strips)


def _ranked(scores: Scores) -> list[tuple[int, str]]:
    """Return (photo, kind of hole), the worst filled first, each photo once."""
    found = []
    for row in range(len(scores.rows)):
        values = scores.rows.iloc[row]
        errors = {kind: float(values[f"{MODEL}/{kind}/error"]) for kind in KINDS}
        # In turn, so that all kinds are seen.
        kind = KINDS[row % len(KINDS)]
        found.append((errors[kind], row, kind))
    found.sort(key=lambda item: (-item[0], item[1]))
    return [(row, kind) for _, row, kind in found]


def _comparison(scores: Scores) -> Html:
    """Return each method's figures, and by how much what serves leads over it."""
    judges = [metric_named(name, METRICS) for name in ("psnr_hole", "ssim_hole")]
    shown = [metric_named(name, METRICS) for name in COMPARED]
    rows = []
    for method, values in scores.metrics.items():
        name = tag("strong", CAPTIONS[method]) if method == MODEL else html(CAPTIONS[method])
        cells: list[object] = [name, *(format_value(metric, values) for metric in shown)]
        cells.append(interval_text(judges[0], values))
        for judge in judges:
            cells.append("" if method == MODEL else margin_text(judge, values))
        rows.append(cells)
    columns = ["", *(metric.caption for metric in shown), "PSNR: interval"]
    columns += [f"{judge.caption}: what serves −" for judge in judges]
    return table(columns, rows, set(range(1, len(columns))))


def _choice(editor: Editor) -> Html:
    """Return what each fill scored on validation, and which one serves."""
    rows = []
    for name, by_kind in editor.validation.items():
        cells: list[object] = [CAPTIONS[name]]
        for kind in KINDS:
            value = f"{by_kind[kind]:.2f}"
            cells.append(tag("strong", value) if editor.served[kind] == name else value)
        rows.append(cells)
    columns = ["", *(KIND_WORDS[kind] for kind in KINDS)]
    return table(columns, rows, set(range(1, len(columns))))


def _cards(scores: Scores, editor: Editor, others: Metrics) -> Html:
    model = scores.metrics[MODEL]
    judge = metric_named("psnr_hole", METRICS)
    names = list(dict.fromkeys(editor.served.values()))
    told = ", ".join(f"{KIND_WORDS[kind]}: {name}" for kind, name in editor.served.items())
    cards = [
        verdict_card(judge, scores.metrics, FILLS, CAPTIONS),
        metric_card(judge, model),
        metric_card(metric_named("ssim_hole", METRICS), model),
        stat_card("what serves", ", ".join(names), f"the best on the validation part; {told}"),
        stat_card(
            "changed outside of holes", f"{model['outside_change']:.0f}", "levels of 255, at most"
        ),
    ]
    if "cutout_iou" in others:
        edges = f"edges {others['boundary_f']:.3f} (F-measure, one pixel off at most)"
        cards.append(stat_card("cut-outs: IoU", f"{others['cutout_iou']:.3f}", edges))
    return stat_cards(cards)


def _steps(steps: dict[int, dict[str, float]]) -> Html:
    rows = []
    for count, values in steps.items():
        rows.append([f"{count}", f"{values['psnr_hole']:.2f}", f"{values['ssim_hole']:.3f}"])
    return table(["steps", "PSNR in the hole, dB", "SSIM in the hole"], rows, {0, 1, 2})


def _frechet(figures: Metrics) -> Html:
    rows = []
    names = {
        FRECHET: CAPTIONS[MODEL],
        f"generator/{FRECHET}": "whole photos out of nothing",
        "generator/effnet_frechet_floor": "for these: half of the photos from the other half",
    }
    for name, value in figures.items():
        if "frechet" in name:
            method = name.removesuffix(f"/{FRECHET}")
            rows.append([names.get(name) or CAPTIONS[method], f"{value:.2f}"])
    return table(["", "Fréchet distance"], rows, {1})


def _limits(scores: Scores, params: Evaluate) -> Html:
    """Return what a reader must know before believing the figures."""
    unit = "products" if scores.by_product else "photos, for there are few products"
    points = [
        "PSNR is that of the mean squared error over all holes of a kind, and then the mean of the "
        "kinds; a mean of each hole's own PSNR would be that of holes in plain grounds, which have "
        "no bound. SSIM is the mean within the hole of the usual map (11 pixels, Gaussian).",
        "Both reward the mean of all that could be there, which is smooth. A fill that invents "
        "sharp detail, as the diffusion model does, may look better than its figures.",
        "Holes are cut into whole photos, so what was there is known. A hole over a whole product "
        "has no right answer but the ground.",
        f"Photos of {scores.photos.images.shape[1]} pixels: larger ones are filled in a crop "
        "around the hole at that size, and lose detail there by as much as they are larger.",
        f"Intervals: {params.confidence:.0%}, {params.bootstrap:,} resamples of {unit}.",
    ]
    return section("What it cannot do, and how it was measured", *(tag("p", p) for p in points))


def _title(scores: Scores) -> str:
    model = scores.metrics[MODEL]["psnr_hole"]
    best = max(FILLS, key=lambda name: scores.metrics[name]["psnr_hole"])
    value = scores.metrics[best]["psnr_hole"]
    surely = all(scores.metrics[name]["psnr_hole.margin_low"] > 0 for name in FILLS)
    verdict = (
        "better than by any simple method" if surely else "not surely better than by simple methods"
    )
    return f"Holes are filled {verdict}: {model:.1f} dB, {CAPTIONS[best]} {value:.1f}"


def _board(scores: Scores, chosen: list[tuple[int, str]]) -> Pixels:
    """Return a row of each: the hole, the best fill that learns nothing, what serves, the photo."""
    best = max(FILLS, key=lambda name: scores.metrics[name]["psnr_hole"])
    rows = []
    for row, kind in chosen:
        photo = scores.photos.images[row]
        holed = _with_hole(photo, scores.holes[kind][row])
        fills = [scores.filled[name][kind][row] for name in (best, MODEL)]
        rows.append(np.concatenate([holed, *fills, photo], 1))
    return np.concatenate(rows)


def _chosen(scores: Scores, examples: int) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Return the worst filled (photo, kind of hole), and some of the others."""
    ranked = _ranked(scores)
    half = max(1, examples // 2)
    rest = ranked[half:]
    # Evenly over the ranks, so that they show what is usual and not only what is best.
    places = np.linspace(0, len(rest) - 1, min(half, len(rest))).round().astype(int)
    return ranked[:half], [rest[place] for place in np.unique(places)]


def _compared_sections(scores: Scores, editor: Editor, params: Evaluate) -> list[Html]:
    """Return the sections on filled holes: the worst, others, the figures, what serves."""
    worst, usual = _chosen(scores, params.examples)
    return [
        section(
            "Where it does worst",
            _strips(scores, editor.served, worst),
            lead="Held-out photos with a hole; below each fill stands its PSNR in the hole.",
        ),
        section(
            "Others, from worse to better",
            _strips(scores, editor.served, usual) if usual else placeholder("None."),
        ),
        section(
            "Beside simple methods",
            _comparison(scores),
            lead="Larger is better everywhere. The last columns are what serves minus the method, "
            "with the interval.",
        ),
        section(
            "What serves",
            _choice(editor),
            lead="PSNR in the hole on the validation part, dB; the best of each kind serves.",
        ),
    ]


def _generative_sections(
    others: Metrics, steps: dict[int, dict[str, float]], drawn: Images | None, examples: int
) -> list[Html]:
    """Return the sections on the diffusion model and on how real fills look; those there are."""
    parts = []
    if steps:
        parts.append(
            section(
                "The diffusion model: quality against steps",
                _steps(steps),
                lead="Of the same holes of some test photos. Few steps give the mean of what could "
                "be there, which these figures reward.",
            )
        )
    if FRECHET in others:
        parts.append(
            section(
                "How real it looks",
                _frechet(others),
                lead="Fréchet distance of EfficientNet-lite0's features from those of the photos, "
                "smaller is better. It is not the FID of papers and compares with these rows only.",
            )
        )
    if drawn is not None:
        tiles = [_picture(photo, "a product that nobody has") for photo in drawn[:examples]]
        parts.append(section("Products that nobody has", tag("div", *tiles, style=GRID)))
    return parts


def write_report(
    folder: Path,
    scores: Scores,
    editor: Editor,
    others: Metrics,
    steps: dict[int, dict[str, float]],
    drawn: Images | None,
    params: Evaluate,
) -> None:
    """Write holes.parquet, index.html and the small picture `WORDING` names to ``folder``.

    Args:
        folder: of the report.
        scores: as `scores.compare` returned them.
        editor: the model.
        others: figures of cut-outs and Fréchet distances.
        steps: as `scores.by_steps` returned them.
        drawn: photos of the unconditional model; None without one.
        params: the block ``evaluate``.
    """
    scores.rows.to_parquet(folder / "holes.parquet", index=False)
    worst, usual = _chosen(scores, params.examples)
    board = _board(scores, (usual or worst)[:BOARD_ROWS])
    Image.fromarray(board).save(folder / WORDING.picture)
    products = pd.Series(scores.photos.products).nunique()
    content = page(
        _title(scores),
        _cards(scores, editor, others),
        *_compared_sections(scores, editor, params),
        *_generative_sections(others, steps, drawn, params.examples),
        _limits(scores, params),
        subtitle=f"{len(scores.rows):,} test photos of {products:,} products, a hole of each kind "
        "in each.",
    )
    (folder / "index.html").write_text(content, encoding="utf-8")
