"""Pictures: hostile files are refused in words, odd ones become upright RGB, copies are known.

Shards give back what they got.
"""

from __future__ import annotations

import base64
import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw, TiffImagePlugin

from beauty_models.intake import shards
from beauty_models.intake.images import (
    BadImageError,
    Files,
    PerceptualHash,
    PerceptualHashes,
    content_key,
    encode,
    near_duplicates,
    open_image,
    perceptual_hash,
    shrink,
)
from beauty_models.params import Pictures
from beauty_models.training import augmentation

RULES = Pictures(
    max_pixels=10_000_000,
    min_side=16,
    side=256,
    duplicate_hash_distance=4,
    duplicate_color_distance=8,
)


# A photo as an iPhone keeps it, drawn here and packed by libheif.
HEIC = (
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAb5tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAA"
    "AAAAAAAAAAADRpbG9jAAAAAERAAAIAAQAAAAAB4gABAAAAAAAAAGEAAgAAAAACQwABAAAAAAAAACQAAAA4aWluZgAA"
    "AAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA/Wlwcn"
    "AAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroC"
    "QGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm"
    "5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AA"
    "AAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAABppcmVmAAAAAAAAAA5jZHNjAAIAAQ"
    "ABAAAAjW1kYXQAAABdKAGvCeA5IyS///t8X97/NYX//kaScE4+8JH//fx5t/7sbdRXZWDShA9nsdL0K/EqR3J2fMbC"
    "GGieI0JiZuPP1UDE1rLR60BjrxCDklcRGMf5cbSJ617Uqtb7YVBcAAAABkV4aWYAAE1NACoAAAAIAAEBEgADAAAAAQ"
    "AGAAAAAAAA"
)


def drawn(size: tuple[int, int] = (80, 60), color: str = "red", shape: int = 0) -> Image.Image:
    """Return a picture with something to recognise in it."""
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    width, height = size
    pen.rectangle(
        (width * 0.1, height * 0.1, width * (0.4 + 0.1 * shape), height * 0.9), fill=color
    )
    pen.ellipse((width * 0.5, height * (0.1 + 0.12 * shape), width * 0.9, height * 0.7), fill=color)
    return image


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def opened(content: bytes) -> Image.Image:
    return open_image(content, RULES.max_pixels, RULES.min_side)


def bomb() -> bytes:
    """Return a PNG of 30,000 × 30,000 pixels in a few kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    packed = zlib.compress(b"\0" * 3_000_000, 9)
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"<html>not found</html>", "not a picture"),
        (saved(drawn(), "JPEG")[:300], "broken or cut off"),
        (saved(drawn(), "PNG")[:120], "broken or cut off"),
        (bomb(), "more than [0-9,]+ pixels"),
        (saved(Image.new("L", (4000, 4000)), "PNG"), "4000 × 4000 pixels"),
        (saved(drawn((12, 40)), "PNG"), "its shorter side needs 16"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n", "not a picture"),
        (saved(drawn(), "TIFF")[:200], "broken or cut off"),
    ],
)
def test_hostile_pictures_are_refused_in_words(content: bytes, reason: str) -> None:
    with pytest.raises(BadImageError, match=reason):
        opened(content)


def test_random_damage_is_always_a_reason_or_a_picture() -> None:
    random = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        whole = bytearray(saved(drawn(), kind))
        for _ in range(60):
            broken = bytearray(whole)
            for place in random.integers(0, len(broken), 8):
                broken[place] = random.integers(0, 256)
            with suppress(BadImageError):
                assert opened(bytes(broken)).mode == "RGB"


def test_odd_pictures_become_upright_rgb() -> None:
    red = (237, 28, 36)
    assert np.allclose(
        np.asarray(opened(saved(Image.new("CMYK", (40, 40), (0, 255, 255, 0)), "JPEG")))[20, 20],
        (255, 0, 0),
        atol=20,
    )
    grey = Image.fromarray(np.full((40, 40), 40_000, np.uint16))
    assert abs(int(np.asarray(opened(saved(grey, "PNG")))[0, 0, 0]) - 156) <= 1, (
        "16 bits are scaled, not clipped"
    )
    assert np.asarray(opened(saved(Image.new("RGBA", (40, 40), (*red, 0)), "PNG"))).min() == 255, (
        "transparent is white"
    )
    frames = [Image.new("RGB", (40, 40), color) for color in (red, "blue")]
    assert np.allclose(
        np.asarray(opened(saved(frames[0], "GIF", save_all=True, append_images=frames[1:])))[0, 0],
        red,
        atol=8,
    ), "the first frame"
    exif = Image.Exif()
    exif[274] = 6  # taken with the camera turned
    assert opened(saved(drawn((80, 60)), "JPEG", exif=exif)).size == (60, 80)
    assert (
        opened(saved(Image.new("L", (40, 40), 7), "PNG")).mode
        == opened(saved(Image.new("1", (40, 40)), "PNG")).mode
        == "RGB"
    )
    assert opened(saved(drawn().convert("P"), "PNG")).mode == "RGB"


def test_odd_metadata_costs_no_picture_and_no_turn() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    content = saved(drawn((80, 60)), "JPEG", exif=exif)
    assert opened(content).size == (60, 80)
    # EXIF's tag of the lens's speed as -1/0, which cannot be written again.
    exif[0x9201] = TiffImagePlugin.IFDRational(1, 2)
    whole = exif.tobytes()
    place = whole.rindex(struct.pack(">2i", 1, 2))
    broken = whole[:place] + struct.pack(">2i", -1, 0) + whole[place + 8 :]
    assert opened(saved(drawn((80, 60)), "JPEG", exif=broken)).size == (60, 80)


def test_colors_are_those_that_a_browser_shows() -> None:
    """A profile that swaps red and green: what is kept has them where a browser shows them."""
    wide = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    at = {
        wide[i : i + 4]: i for i in range(132, 132 + 12 * struct.unpack(">I", wide[128:132])[0], 12)
    }
    red, green = at[b"rXYZ"], at[b"gXYZ"]
    swapped = bytearray(wide)
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    image = Image.new("RGB", (40, 40), (200, 30, 30))
    for kind in ("PNG", "JPEG"):
        seen = opened(saved(image, kind, icc_profile=bytes(swapped))).getpixel((20, 20))
        assert isinstance(seen, tuple) and seen[1] > 190 and seen[0] < 45
        # sRGB's own profile, and one that is broken, change nothing.
        plain = opened(saved(image, kind)).getpixel((20, 20))
        assert opened(saved(image, kind, icc_profile=wide)).getpixel((20, 20)) == plain
        assert opened(saved(image, kind, icc_profile=b"x" * 200)).getpixel((20, 20)) == plain
    clear = Image.new("RGBA", (40, 40), (200, 30, 30, 0))
    assert opened(saved(clear, "PNG", icc_profile=bytes(swapped))).getpixel((5, 5)) == (255,) * 3


def test_photos_of_phones_are_read(tmp_path: Path) -> None:
    assert opened(saved(drawn((80, 60)), "AVIF")).size == (80, 60)
    # 64 × 48 pixels, blue left and red right.
    photo = opened(base64.b64decode(HEIC))
    assert photo.size == (64, 48)
    left, right = photo.getpixel((8, 24)), photo.getpixel((56, 24))
    assert isinstance(left, tuple) and isinstance(right, tuple)
    assert left[2] > 150 > left[0] and right[0] > 150 > right[2]
    with pytest.raises(BadImageError):
        opened(base64.b64decode(HEIC)[:400])


def test_formats_that_nobody_reads_are_found_and_refused(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.CR2").write_bytes(b"II*\0" + bytes(100))
    [found] = Files(tmp_path).all()
    with pytest.raises(BadImageError, match="export it as JPEG|broken"):
        opened(Files(tmp_path).read(found))


def test_a_copy_is_known_again_and_a_recolour_is_not_one() -> None:
    photo = drawn((300, 240))
    copy = opened(saved(photo.resize((200, 160)), "JPEG", quality=60))
    others = [drawn((300, 240), "green"), drawn((300, 240), "red", shape=3)]
    hashes = [perceptual_hash(picture) for picture in (photo, copy, *others, others[0])]
    assert near_duplicates(hashes, RULES) == [-1, 0, -1, -1, 2]


def test_near_duplicates_are_those_of_comparing_all_pairs() -> None:
    random = np.random.default_rng(0)
    hashes = []
    for _ in range(40):
        noise = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8))
        hashes.append(perceptual_hash(noise.resize((64, 64))))
    for changed in (0, 1, 4, 5, 9):
        for original in hashes[:8]:
            flips = sum(1 << int(bit) for bit in random.choice(64, changed, replace=False))
            hashes.append(original._replace(bits=original.bits ^ flips))
    expected: list[int] = []
    for index, candidate in enumerate(hashes):
        kept = [
            i
            for i in range(index)
            if expected[i] < 0
            and (hashes[i].bits ^ candidate.bits).bit_count() <= 4
            and np.abs(hashes[i].colors - candidate.colors).mean() <= 8
        ]
        expected.append(kept[0] if kept else -1)
    assert near_duplicates(hashes, RULES) == expected and any(match >= 0 for match in expected)


def test_references_of_a_table_find_their_file_and_never_leave_the_folder(tmp_path: Path) -> None:
    (tmp_path / "outside.jpg").write_bytes(b"x")
    raw = tmp_path / "raw"
    for path in (
        "images/w/h/a_main.jpg",
        "images/w/b/b.PNG",
        "x/same.jpg",
        "y/same.jpg",
        ".hidden/h.jpg",
    ):
        (raw / path).parent.mkdir(parents=True, exist_ok=True)
        (raw / path).write_bytes(b"x")
    (raw / "images/link.jpg").symlink_to(tmp_path / "outside.jpg")
    files = Files(raw)
    shop = "https://shop.example/media/catalog/product/w/h/a_main.jpg?width=200"
    for reference in (
        "/w/h/a_main.jpg",
        "images/w/h/a_main.jpg",
        "a_main.jpg",
        "w\\h\\A_Main.jpg",
        shop,
    ):
        assert files.find(reference) == raw.resolve() / "images/w/h/a_main.jpg", reference
    assert files.find("b.png") and files.find("x/same.jpg")
    assert [
        files.find(bad)
        for bad in ("same.jpg", "../outside.jpg", "link.jpg", "h.jpg", "", "/etc/passwd")
    ] == [None] * 6
    assert len(files.all()) == 4


@given(st.data())
def test_the_longest_end_that_any_file_has_decides(data: st.DataObject) -> None:
    steps = st.lists(st.sampled_from(["a", "b", "A", "a.jpg", "b.jpg"]), min_size=1, max_size=4)
    kept = data.draw(st.lists(steps.map("/".join).map("{}.png".format), max_size=8, unique=True))
    asked = data.draw(steps.map("/".join).map("{}.png".format))
    files = Files(Path("/raw"))
    paths = sorted(files.raw / name for name in kept)
    vars(files)["_all"] = paths  # none of them need be on the disk
    expected = None
    parts = asked.casefold().split("/")
    for start in range(len(parts)):
        end = "/".join(parts[start:])
        whole = [path for path in paths if str(path).casefold() == f"/raw/{end}"]
        ending = [path for path in paths if str(path).casefold().endswith(f"/{end}")]
        if whole or ending:
            only = ending[0] if len(ending) == 1 else None
            expected = whole[0] if whole else only
            break
    assert files.find(asked) == expected


@pytest.mark.parametrize(
    "size",
    ["_800x", "_x600", "_200x200@2x", "_grande", "_1024x1024_crop_center", "_800x.progressive"],
)
def test_the_size_in_an_address_of_shopify_is_none_of_the_name(tmp_path: Path, size: str) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "dress.jpg")
    Image.new("RGB", (40, 40)).save(tmp_path / "dress_small.jpg")
    files = Files(tmp_path)
    expected = None if "progressive" in size else tmp_path.resolve() / "dress.jpg"
    for host in ("cdn.shopify.com/s/files/1/2", "shop.example/cdn/shop/files"):
        assert files.find(f"https://{host}/dress{size}.jpg?v=1") == expected
    # The file of that very name goes first, and elsewhere such an end is a part of the name.
    small = files.find("https://cdn.shopify.com/s/dress_small.jpg")
    assert small == tmp_path.resolve() / "dress_small.jpg"
    assert files.find(f"https://shop.example/dress{size}.jpg") is None


def test_nothing_repeats_nothing() -> None:
    assert near_duplicates([], RULES) == []


def test_hashes_are_kept_as_they_were() -> None:
    rng = np.random.default_rng(1)
    given_hashes = {}
    kept = PerceptualHashes()
    for number in range(30):
        colors = rng.integers(0, 256, (8, 8, 3), np.int16)
        one = PerceptualHash(int(rng.integers(2**63)) * 2 + number % 2, colors)
        given_hashes[f"key {number}"] = one
        kept.add(f"key {number}", one)
        kept.add("key 0", one)  # which is there: it stays
    assert list(kept) == list(given_hashes)
    for key, one in given_hashes.items():
        assert kept[key].bits == one.bits and (kept[key].colors == one.colors).all()


def test_shards_give_back_what_they_got(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 20_000)
    monkeypatch.setattr(shards, "BATCH_BYTES", 6_000)
    written = {
        content_key(jpeg): jpeg
        for jpeg in (encode(drawn((64, 48), (i, 90, 200 - i))) for i in range(0, 200, 10))
    }
    shards.write(tmp_path, "train", [*written.items(), *written.items()])
    shards.write(tmp_path, "test", [])
    assert len(list(tmp_path.glob("train.images-*.arrow"))) > 1
    pictures = shards.Pictures(tmp_path, "train", "test")
    assert len(pictures) == len(written) and all(
        pictures.jpeg(key) == jpeg for key, jpeg in written.items()
    )
    with shards.Places(tmp_path, "train") as places:
        assert all(places.jpeg(key) == jpeg for key, jpeg in reversed(written.items()))
    assert len(shards.Pictures(tmp_path, "test")) == 0
    batch = pictures.tensor(list(written), 32, augmentation.letterbox(32))
    assert batch.shape == (20, 3, 32, 32) and batch[3, 0, 16, 6] < 60 < 230 < batch[3, 0, 0, 0], (
        "padded with the border's white"
    )
    cropped = pictures.tensor(list(written)[:2], 24, augmentation.center_crop(24))
    assert cropped.shape == (2, 3, 24, 24)


def test_augmentation_repeats_itself_and_keeps_the_hue(tmp_path: Path) -> None:
    jpeg = encode(drawn((64, 48), (200, 30, 30)))
    shards.write(tmp_path, "train", [("a", jpeg), ("b", jpeg)])
    pictures = shards.Pictures(tmp_path, "train")
    draw = [
        pictures.tensor(
            ["a", "b"],
            32,
            augmentation.random_augmentation(
                32, 7, step, crop_scale=(0.5, 1.0), color_jitter=0.3, erasing_probability=0.0
            ),
        )
        for step in (1, 1, 2)
    ]
    assert (
        (draw[0] == draw[1]).all()
        and (draw[0] != draw[2]).any()
        and (draw[0][0] != draw[0][1]).any()
    )
    pixels = draw[0].float().permute(0, 2, 3, 1).reshape(-1, 3)
    colored = pixels[(pixels.max(1).values - pixels.min(1).values) > 60]
    assert len(colored) and (colored.argmax(1) == 0).all(), "red stays red"
    blank = pictures.tensor(
        ["a"],
        32,
        augmentation.random_augmentation(
            32, 7, 1, crop_scale=(1.0, 1.0), color_jitter=0.0, erasing_probability=1.0
        ),
    )
    assert (
        blank
        != pictures.tensor(
            ["a"],
            32,
            augmentation.random_augmentation(
                32, 7, 1, crop_scale=(1.0, 1.0), color_jitter=0.0, erasing_probability=0.0
            ),
        )
    ).any()


def test_shrink_never_enlarges() -> None:
    assert shrink(drawn((300, 150)), 75).size == (150, 75)
    assert shrink(drawn((30, 50)), 75).size == (30, 50)
