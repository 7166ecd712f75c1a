"""Raw data that needs no network: people that this project draws, bare and made up.

They come as a shop would deliver its photos: pictures in folders, label maps beside them, a table
of who is seen, and one of results: the truth that a drawing has and a photo does not, the very same
photo of a bare face with somebody else's make-up on.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from beauty_models.files import new_file, write_json
from beauty_models.makeup.drawing.canvas import Lab
from beauty_models.makeup.drawing.people import BARE, Hair, Look, Person, Scene
from beauty_models.makeup.drawing.portrait import draw
from beauty_models.makeup.regions import label_map_png
from beauty_models.makeup.transfers import COLUMNS, TABLE

Generator = np.random.Generator

LICENSE = {
    "license": "Apache-2.0",
    "commercial_use": True,
    "attribution": "Faces drawn by beauty_models/makeup/drawing; none is a real person's.",
}

HAIR_COLORS: dict[str, Lab] = {
    "black": (9.0, 1.0, 2.0),
    "dark brown": (18.0, 6.0, 10.0),
    "brown": (29.0, 9.0, 17.0),
    "light brown": (42.0, 9.0, 24.0),
    "blond": (64.0, 5.0, 32.0),
    "red": (36.0, 26.0, 32.0),
    "grey": (60.0, 0.0, 3.0),
}
IRIS_COLORS: list[Lab] = [
    (18.0, 10.0, 14.0),
    (26.0, 13.0, 20.0),
    (36.0, 7.0, 22.0),
    (40.0, -9.0, 14.0),
    (44.0, -4.0, -16.0),
    (50.0, -2.0, -6.0),
]
STYLES = ["short", "side", "bob", "long", "curly", "bun", "bald"]

# Lipsticks as they are worn, from nude to plum, by their Lab colours; each is varied a little.
LIPSTICKS: list[Lab] = [
    (38.0, 58.0, 34.0),
    (33.0, 52.0, 20.0),
    (48.0, 58.0, 8.0),
    (60.0, 42.0, 8.0),
    (58.0, 46.0, 34.0),
    (56.0, 22.0, 18.0),
    (44.0, 26.0, 20.0),
    (28.0, 30.0, 4.0),
    (24.0, 34.0, 14.0),
    (40.0, 44.0, -14.0),
]
SHADOWS: list[tuple[Lab, Lab]] = [
    ((62.0, 10.0, 20.0), (30.0, 10.0, 12.0)),
    ((58.0, 24.0, 18.0), (32.0, 18.0, 10.0)),
    ((62.0, 24.0, 0.0), (36.0, 26.0, -12.0)),
    ((60.0, 8.0, 44.0), (36.0, 16.0, 28.0)),
    ((58.0, -4.0, -24.0), (26.0, 4.0, -26.0)),
    ((58.0, -24.0, 12.0), (30.0, -14.0, 8.0)),
    ((50.0, 26.0, -24.0), (24.0, 22.0, -22.0)),
    ((44.0, 1.0, 2.0), (16.0, 0.0, 0.0)),
    ((48.0, 36.0, 30.0), (28.0, 24.0, 14.0)),
]


class Data(NamedTuple):
    """How much is written."""

    people: int
    group: int  # people who wear each other's looks; a split keeps them together
    bare: int  # photos of a person
    made_up: int
    size: int  # pixels a side


STARTER = Data(people=132, group=3, bare=2, made_up=2, size=96)
TOY = Data(people=20, group=2, bare=1, made_up=1, size=32)


def _varied(random: Generator, color: Lab, by: float) -> Lab:
    lightness, red, yellow = (np.array(color) + by * random.standard_normal(3)).tolist()
    # Neither black nor white: a cosmetic has a color of its own in any light.
    return (min(max(lightness, 4.0), 92.0), red, yellow)


def _skin(random: Generator, share: float) -> Lab:
    """Return a skin's colour; ``share`` 0 to 1 goes from the darkest to the lightest.

    The individual typology angle (Chardon et al. 1991) runs over its whole range.
    """
    angle = -62 + 128 * share + random.uniform(-3, 3)
    # Skin is most yellow in the middle of the range (Xiao et al. 2017).
    from_middle = abs(2 * share - 1)
    yellow = 17 - 7 * from_middle**2 + random.uniform(-2, 2)
    steepness = math.tan(math.radians(min(angle, 66)))
    lightness = 50 + yellow * steepness
    red = 10 + 3 * (1 - share) + random.uniform(-2, 2.5)
    # The very darkest skin is less red than dark skin.
    if share < 0.15:
        red -= 2
    return (float(np.clip(lightness, 24, 80)), red, yellow)


def _lip_color(random: Generator, skin: Lab) -> Lab:
    lightness, red, yellow = skin
    lip_lightness = lightness * 0.8 + random.uniform(-3, 2)
    # Melanin hides some of the blood in lips, too.
    shows = 0.55 + 0.45 * min(1.0, lightness / 65)
    lip_red = red + random.uniform(7, 14) * shows
    lip_yellow = yellow * 0.75 + random.uniform(-2, 2)
    return (lip_lightness, lip_red, lip_yellow)


def _hair(random: Generator, share: float, has_beard: bool) -> Hair:
    names = list(HAIR_COLORS)
    # Fair hair with fair skin, mostly; dyed hair is everywhere.
    fair = [0.14, 0.2, 0.2, 0.16, 0.16, 0.06, 0.08]
    dark = [0.6, 0.22, 0.06, 0.03, 0.02, 0.01, 0.06]
    weights = np.array(fair) * share + np.array(dark) * (1 - share)
    color = HAIR_COLORS[str(random.choice(names, p=weights / weights.sum()))]
    shares = (
        [0.42, 0.26, 0.02, 0.05, 0.12, 0.03, 0.1]
        if has_beard
        else [0.08, 0.14, 0.22, 0.27, 0.15, 0.11, 0.03]
    )
    style = str(random.choice(STYLES, p=shares))
    fringe = style in ("bob", "long") and random.random() < 0.25
    return Hair(
        color=_varied(random, color, 2),
        style=style,
        hairline=random.uniform(0.4, 0.48) if fringe else random.uniform(0.68, 0.92),
        curve=random.uniform(0.1, 0.2) if fringe else random.uniform(0.45, 0.95),
        parting=random.uniform(-0.8, 0.8),
    )


def person(random: Generator, share: float) -> Person:
    """Return somebody drawn at random; ``share`` 0 to 1 is the skin's place among all tones."""
    skin = _skin(random, share)
    bearded = random.random() < 0.24
    length = random.uniform(1.24, 1.48)
    nose_end = random.uniform(0.5, 0.6)
    style = random.random()
    return Person(
        skin=skin,
        redness=random.uniform(0, 1) ** 2,
        freckles=random.uniform(0.3, 0.8) if random.random() < 0.18 else 0.0,
        shine=random.uniform(0, 1),
        age=random.uniform(0, 1) ** 1.6,
        jaw=random.uniform(0.64, 0.79) + 0.05 * bearded,
        chin=random.uniform(0.28, 0.41) + 0.04 * bearded,
        length=length,
        eyes=(random.uniform(0.19, 0.235), random.uniform(0.4, 0.46)),
        lids=(random.uniform(0.085, 0.14), random.uniform(0.05, 0.08)),
        tilt=random.uniform(-0.02, 0.07),
        iris=_varied(random, IRIS_COLORS[_iris(random, share)], 2),
        brows=(random.uniform(0.045, 0.085) + 0.02 * bearded, random.uniform(0.24, 0.31)),
        arch=random.uniform(0.02, 0.08) - 0.01 * bearded,
        nose=(random.uniform(0.19, 0.28), nose_end),
        lips=(random.uniform(0.31, 0.4), random.uniform(0.06, 0.12), random.uniform(0.09, 0.165)),
        lip_color=_lip_color(random, skin),
        hair=_hair(random, share, bearded),
        beard=float(random.choice([0.35, 0.5, 1.0])) if bearded else 0.0,
        glasses=("round" if style < 0.06 else "square") if style < 0.13 else "",
        texture=int(random.integers(2**31)),
    )


def _iris(random: Generator, share: float) -> int:
    fair = np.array([0.14, 0.2, 0.18, 0.16, 0.2, 0.12])
    dark = np.array([0.7, 0.25, 0.05, 0.0, 0.0, 0.0])
    shares = share * fair + (1 - share) * dark
    return int(random.choice(len(IRIS_COLORS), p=shares))


def _foundation(random: Generator, skin: Lab) -> Lab:
    lightness, red, yellow = skin
    return (
        lightness + random.uniform(-3, 5),
        red + random.uniform(-3, 3),
        yellow + random.uniform(-3, 5),
    )


def look(random: Generator, skin: Lab) -> Look:
    """Return a look drawn at random, as it suits ``skin``."""
    finish = random.choice(["matte", "satin", "gloss"])
    gloss = {"matte": 0.0, "satin": 0.35, "gloss": 1.0}[str(finish)]
    shadow, outer = SHADOWS[int(random.integers(len(SHADOWS)))]
    depth = 0.72 + 0.28 * min(1.0, skin[0] / 65)  # the same cosmetics look darker on dark skin
    popular = LIPSTICKS[int(random.integers(len(LIPSTICKS)))]
    lipstick = _varied(random, popular, 3)
    # Blush goes with the skin in lightness, and is much redder.
    blush_lightness = skin[0] * 0.78 + 6
    blush_red = 30 + random.uniform(0, 16)
    blush_yellow = random.uniform(-2, 18)
    lined = random.random() < 0.65
    return Look(
        lipstick=(lipstick[0] * depth, lipstick[1], lipstick[2]),
        lips=random.uniform(0.7, 0.97),
        gloss=gloss,
        shadow=_varied(random, (shadow[0] * depth, shadow[1], shadow[2]), 3),
        outer_shadow=_varied(random, (outer[0] * depth, outer[1], outer[2]), 3),
        shadows=random.uniform(0.45, 0.95) if random.random() < 0.88 else 0.0,
        shimmer=random.uniform(0.3, 1) if random.random() < 0.35 else 0.0,
        blush_color=(blush_lightness, blush_red, blush_yellow),
        blush=random.uniform(0.25, 0.9) if random.random() < 0.8 else 0.0,
        foundation_color=_foundation(random, skin),
        foundation=random.uniform(0.4, 0.9) if random.random() < 0.85 else 0.0,
        dewy=random.uniform(0.3, 1) if random.random() < 0.35 else 0.0,
        liner=random.uniform(0.2, 1) if lined else 0.0,
        wing=random.uniform(0.3, 1) if lined and random.random() < 0.6 else 0.0,
    )


def scene(random: Generator) -> Scene:
    """Return how a photo is taken, drawn at random."""
    # The lamp is before the face and never below it, as at a mirror or a window.
    light_x = random.uniform(-0.75, 0.75)
    light_y = random.uniform(-0.8, -0.1)
    light_z = random.uniform(0.6, 1.0)
    warmth = float(np.clip(random.normal(0.0, 0.05), -0.12, 0.14))
    open_mouth = random.random() < 0.3
    color = _varied(random, (60.0, 0.0, 3.0), 1)
    wall = (random.uniform(25, 92), *random.normal(0, 9, 2).tolist())
    return Scene(
        yaw=float(np.clip(random.normal(0, 0.13), -0.3, 0.3)),
        pitch=float(np.clip(random.normal(0, 0.05), -0.1, 0.1)),
        roll=float(np.clip(random.normal(0, 0.07), -0.18, 0.18)),
        face=random.uniform(0.275, 0.315),
        shift=(random.uniform(-0.025, 0.025), random.uniform(-0.06, -0.02)),
        light=(light_x, light_y, light_z),
        ambient=random.uniform(0.35, 0.62),
        warmth=warmth,
        exposure=random.uniform(0.95, 1.25),
        smile=random.uniform(0.3, 1.0) if open_mouth else random.uniform(-0.15, 0.65),
        mouth=random.uniform(0.05, 0.16) if open_mouth else 0.0,
        gaze=(random.uniform(-0.035, 0.035), random.uniform(-0.012, 0.012)),
        raised=random.uniform(-0.015, 0.035),
        wall=wall,
        floor=_varied(random, (random.uniform(10, 80), color[1], color[2]), 8),
        bokeh=int(random.integers(0, 9)),
        clothes=(random.uniform(10, 88), *random.normal(0, 20, 2).tolist()),
        noise=random.uniform(0.003, 0.014),
        seed=int(random.integers(2**31)),
    )


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=4)
    return stream.getvalue()


def _save(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with new_file(file) as temporary:
        temporary.write_bytes(content)


class Shot(NamedTuple):
    """A photo that is to be drawn."""

    name: str  # of the file, below ``images`` and ``masks``
    look: Look
    scene: Scene


class Model(NamedTuple):
    """Somebody who is drawn: bare and made up, each time in another scene."""

    name: str
    person: Person
    bare: list[Shot]
    made_up: list[Shot]


def _model(number: int, data: Data) -> Model:
    # A source of chance for each, so that one more choice changes one person only.
    random = np.random.default_rng((11, number))
    # Evenly over all tones, in an order that a split cuts anywhere.
    share = (number * 0.618034) % 1
    shown = person(random, share)
    bare = []
    made_up = []
    for photo in range(data.bare + data.made_up):
        name = f"{number:03}-{photo}.png"
        if photo < data.bare:
            bare.append(Shot(f"non-makeup/{name}", BARE, scene(random)))
        else:
            worn = look(random, shown.skin)
            made_up.append(Shot(f"makeup/{name}", worn, scene(random)))
    return Model(f"person{number:03}", shown, bare, made_up)


def _draw_photos(raw: Path, model: Model, data: Data) -> None:
    """Write the photos of a model with their label maps."""
    for shot in [*model.bare, *model.made_up]:
        portrait = draw(model.person, shot.look, shot.scene, data.size)
        _save(raw / "images" / shot.name, _png(portrait.image))
        _save(raw / "masks" / shot.name, label_map_png(portrait.regions))


def _draw_results(raw: Path, group: Sequence[Model], data: Data) -> list[tuple[str, str, str]]:
    """Write each bare photo once more in the looks of the others; return rows of `TABLE`."""
    rows = []
    for model in group:
        for position, shot in enumerate(model.bare):
            for other in group:
                if other is model:
                    continue
                reference = other.made_up[position % data.made_up]
                # Foundation is bought in one's own shade.
                worn = dataclasses.replace(reference.look, foundation_color=model.person.skin)
                result = f"results/{Path(shot.name).stem}-as-{Path(reference.name).stem}.png"
                portrait = draw(model.person, worn, shot.scene, data.size)
                _save(raw / result, _png(portrait.image))
                rows.append((f"images/{shot.name}", f"images/{reference.name}", result))
    return rows


def _write_table(file: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with (
        new_file(file) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _deliver(raw: Path, data: Data) -> None:
    """Write photos, label maps, results, tables and licence, the same bytes every time."""
    raw.mkdir(parents=True, exist_ok=True)
    people: list[tuple[str, str, str]] = []
    results: list[tuple[str, str, str]] = []
    for first in range(0, data.people, data.group):
        last = min(first + data.group, data.people)
        group = [_model(number, data) for number in range(first, last)]
        for model in group:
            _draw_photos(raw, model, data)
            for shot in [*model.bare, *model.made_up]:
                people.append((f"images/{shot.name}", model.name, f"group{first:03}"))
        results += _draw_results(raw, group, data)
    _write_table(raw / "people.csv", ("path", "person", "group"), people)
    _write_table(raw / TABLE, COLUMNS, results)
    write_json(raw / "LICENSE.json", LICENSE)


def starter(*, raw: Path) -> None:
    """Write 528 photos of 132 people, 96 pixels a side, and 528 results.

    Of each person there are two bare photos and two looks. People come in groups of three, and each
    bare photo is drawn again in a look of either of the two others. Skins run over all tones, and
    light, pose, mouth, hair, beard and glasses vary.
    """
    _deliver(raw, STARTER)


def toy(*, raw: Path) -> None:
    """Write 40 photos of 20 people, 32 pixels a side, and 20 results; they are always the same."""
    _deliver(raw, TOY)
