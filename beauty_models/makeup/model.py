"""The network that makes up a bare face as a reference is made up, and how it is saved.

Content goes one way (BeautyREC, Yan et al. 2022): the pretrained encoder sees the bare face, the
pretrained decoder draws what changes. Style is a code for each part of a look, of the reference's
features and colors there and of both faces' colors everywhere, by which the decoder's maps are
scaled and shifted inside of that part alone (SPADE, Park et al. 2019). The same code says how far
the part's mean and deviation go to the reference's: a lipstick comes over, the color of the other
person's skin should not. A network that was never trained changes nothing. With
``correspondence: attention`` every place of the bare face also looks up its own style among the
reference's places of the same part (PSGAN, Jiang et al. 2020).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, cast

import diffusers
import torch
from diffusers.models.autoencoders import vae
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from beauty_models.device import device, precision
from beauty_models.files import read_json, write_json
from beauty_models.makeup import lab, regions
from beauty_models.makeup.dataset import normalized
from beauty_models.training.finite import require_finite

# diffusers' `AutoencoderTiny`, the bases of which mypy does not see.
TinyAutoencoder = Any
RESIDUAL_BLOCK: Any = vars(vae)["AutoencoderTinyBlock"]

PARTS = tuple(regions.MADE_UP)
LEVELS = 257  # quantiles that are kept of a part's colors, the least and the greatest among them
SKETCH = 5  # of them that a style code is made of
LEAST_PIXELS = 4  # a part that is smaller is not there: hidden by hair, or the eye is closed
MATCHES = (0.0, 0.25, 0.5, 0.75, 0.99)
"""How far a part's colors can be moved to the reference's own after the network, the least first.

Not all the way: the last hundredth costs a face more of its likeness than it brings. On 16 pairs of
photos 1 gave an identity_distance of 0.0517 and 0.99 gave 0.0510."""
LEAST_DEVIATION = 0.5  # of L, a or b: a flat part has no pattern to strengthen
GAINS = (0.5, 2.0)  # by which differences within a part are weakened or strengthened at most
LAB_UNIT = 50.0  # divides L, a and b, so that networks see numbers about 1
ROWS = 32  # faces at a time where nothing is learned


@dataclass(frozen=True)
class Config:
    """The shape of a generator, beside that of its autoencoder."""

    size: int  # pixels a side of the faces
    style: int  # width of a part's style code
    correspondence: str  # regions or attention


class PartColors(NamedTuple):
    """What the parts of faces are colored like."""

    quantiles: Tensor  # of L, a and b, ascending [n, parts, 3, LEVELS]
    mean: Tensor  # of them [n, parts, 3]
    deviation: Tensor  # of them [n, parts, 3]
    present: Tensor  # which parts there are, bool [n, parts]


class Places(NamedTuple):
    """A reference's places, for attention."""

    keys: Tensor  # [n, places, style]
    values: Tensor  # [n, places, style + 3]
    parts: Tensor  # share of each part in each place [n, parts, places]


class Look(NamedTuple):
    """All that is known of a reference: computed once, put on many faces."""

    codes: Tensor  # [n, parts, style]
    colors: PartColors
    places: Places | None  # with attention

    def at(self, rows: Tensor) -> Look:
        """Return the looks of ``rows``, numbers [m]."""
        colors = PartColors(*[part[rows] for part in self.colors])
        places = None
        if self.places is not None:
            places = Places(*[part[rows] for part in self.places])
        return Look(self.codes[rows], colors, places)


Match = dict[str, float]
"""Part of a look → one of `MATCHES`."""
NO_MATCH: Match = dict.fromkeys(PARTS, 0.0)


def build_autoencoder(
    channels: int, latent_channels: int, blocks: int, downsamplings: int
) -> TinyAutoencoder:
    """Return an untrained autoencoder of constant width (diffusers; Bohan's TAESD)."""
    widths = (channels,) * (downsamplings + 1)
    # None at full resolution: a block there costs as much as four at half of it.
    residual_blocks = (0, *(blocks,) * downsamplings)
    network: TinyAutoencoder = diffusers.AutoencoderTiny
    return network(
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        num_encoder_blocks=residual_blocks,
        num_decoder_blocks=residual_blocks[::-1],
        latent_channels=latent_channels,
    )


def encode(autoencoder: TinyAutoencoder, pictures: Tensor) -> list[Tensor]:
    """Return the encoder's maps of ``pictures`` [n, 3, side, side], one for each scale.

    The largest comes first; the last one has the latent channels.
    """
    maps = []
    values = (pictures + 1) / 2
    layers = list(autoencoder.encoder.layers)
    values = layers[0](values)
    for layer in layers[1:]:
        if isinstance(layer, nn.Conv2d):
            maps.append(values)  # before the side is halved
        values = layer(values)
    return [*maps, values]


def shrink(maps: Tensor, side: int) -> Tensor:
    """Return ``maps`` [n, c, large, large] as means over cells, [n, c, side, side]."""
    return avg_pool2d(maps, maps.shape[-1] // side)


@torch.no_grad()
def part_colors(pictures: Tensor, masks: Tensor) -> PartColors:
    """Return the colors of the parts of ``pictures`` [n, 3, side, side], -1 to 1.

    ``masks`` [n, parts, side, side] say where the parts are.
    """
    n, parts = masks.shape[:2]
    colors = lab.from_pictures(pictures).flatten(2)
    inside = masks.flatten(2)
    quantiles = colors.new_zeros(n, parts, 3, LEVELS)
    mean = colors.new_zeros(n, parts, 3)
    deviation = colors.new_zeros(n, parts, 3)
    present = inside.sum(-1) >= LEAST_PIXELS
    for row, part in present.nonzero().tolist():
        chosen = inside[row, part]
        # Each channel by itself: quantiles of L, of a and of b, not of colors.
        values = colors[row][:, chosen].sort(1).values
        quantiles[row, part] = _at_levels(values)
        mean[row, part] = values.mean(1)
        deviation[row, part] = values.std(1)
    return PartColors(quantiles, mean, deviation, present)


def _at_levels(ascending: Tensor) -> Tensor:
    """Return the `LEVELS` quantiles [3, LEVELS] of ``ascending`` values [3, m]."""
    last = ascending.shape[1] - 1
    position = torch.linspace(0, last, LEVELS, device=ascending.device)
    below = position.floor().long().clamp(max=last)
    above = (below + 1).clamp(max=last)
    lower = ascending[:, below]
    upper = ascending[:, above]
    return torch.lerp(lower, upper, position - below)


@torch.no_grad()
def match_colors(pictures: Tensor, masks: Tensor, wanted: PartColors) -> Tensor:
    """Return ``pictures`` with the distribution of L, a and b of each part as ``wanted`` has it.

    Histogram matching by quantiles: every rank keeps its place, a darker pixel stays darker.

    Args:
        pictures: [n, 3, side, side], -1 to 1.
        masks: where their parts are, bool [n, parts, side, side].
        wanted: of n faces; a part that one of them lacks stays as it is.
    """
    colors = lab.from_pictures(pictures)
    matched = colors.clone()
    inside = masks & wanted.present[..., None, None]
    shown = inside.flatten(2).any(-1)
    for row, part in shown.nonzero().tolist():
        chosen = inside[row, part]
        values = colors[row][:, chosen]
        last = values.shape[1] - 1
        # Equal colors stay equal, at the middle of their ranks: in any order they would be noise.
        ascending = values.sort(1).values
        less = torch.searchsorted(ascending, values)
        less_or_equal = torch.searchsorted(ascending, values, right=True)
        rank = (less + less_or_equal - 1) / 2
        # A part of one pixel has no ranks.
        levels_per_rank = (LEVELS - 1) / max(1, last)
        position = rank * levels_per_rank
        below = position.floor().long().clamp(max=LEVELS - 1)
        above = (below + 1).clamp(max=LEVELS - 1)
        target = wanted.quantiles[row, part]
        lower = target.gather(1, below)
        upper = target.gather(1, above)
        matched[row][:, chosen] = torch.lerp(lower, upper, position - below)
    changed = inside.any(1, keepdim=True)
    return torch.where(changed, lab.to_pictures(matched), pictures)


class StyleEncoder(nn.Module):
    """Features and colors of a reference's parts → a style code [n, parts, style] of each."""

    def __init__(self, features: int, style: int) -> None:
        super().__init__()
        # The sketch, mean and deviation of three channels, and which part it is.
        statistics = 3 * (SKETCH + 2)
        known = features + statistics + len(PARTS)
        self.layers = nn.Sequential(
            nn.Linear(known, 2 * style),
            nn.SiLU(),
            nn.Linear(2 * style, style),
        )

    def forward(self, maps: list[Tensor], masks: Tensor, colors: PartColors) -> Tensor:
        """Return the codes; ``maps`` are the encoder's, ``masks`` float [n, parts, side, side]."""
        pooled = []
        for values in maps:
            share = shrink(masks, values.shape[-1])
            total = share.sum((2, 3)).clamp(min=1e-3)
            sums = torch.einsum("nphw,nchw->npc", share, values.float())
            pooled.append(sums / total[..., None])
        step = (LEVELS - 1) // (SKETCH - 1)
        sketch = colors.quantiles[..., ::step].flatten(2)
        statistics = torch.cat([sketch, colors.mean, colors.deviation], -1)
        # One-hot: all parts share the layers.
        which = torch.eye(len(PARTS), device=masks.device)
        which = which.expand(len(masks), -1, -1)
        known = torch.cat([*pooled, statistics / LAB_UNIT, which], -1)
        codes: Tensor = self.layers(known)
        return codes


def _spread(values: Tensor, masks: Tensor) -> Tensor:
    """Return ``values`` [n, parts, c] at every pixel of their parts, [n, c, side, side].

    Elsewhere it is 0. ``masks`` are float [n, parts, side, side].
    """
    # Not as a matrix product, which autocast would round to bfloat16: L would be off by a quarter.
    by_part = values[..., None, None] * masks[:, :, None]
    return by_part.sum(1)


def _as_rows(maps: Tensor) -> Tensor:
    """Return ``maps`` [n, c, side, side] with a row for each place, [n, places, c]."""
    return maps.flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Where each place of a bare face finds its style: among places of the same part.

    Places are like each other by their features and by where they lie in the aligned face.
    """

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels + 2, style, 1)
        self.value = nn.Conv2d(channels, style, 1)
        self.norm = nn.GroupNorm(1, channels)  # a reference in other light has the same shapes

    def _described(self, features: Tensor) -> Tensor:
        side = features.shape[-1]
        line = torch.linspace(-2, 2, side, device=features.device)
        across = line.expand(len(features), 1, side, side)
        down = across.transpose(2, 3)
        return torch.cat([self.norm(features), across, down], 1)

    def places(self, features: Tensor, masks: Tensor, colors: Tensor) -> Places:
        """Return the places of references.

        Args:
            features: of the encoder's smallest maps [n, c, side, side].
            masks: float, at the pictures' size [n, parts, large, large].
            colors: L, a and b of the pictures, by `LAB_UNIT` [n, 3, large, large].
        """
        side = features.shape[-1]
        share = shrink(masks, side).flatten(2)
        keys = _as_rows(self.query(self._described(features)))
        # The colors go along as they are, so that attention can copy them.
        values = torch.cat([self.value(features), shrink(colors, side)], 1)
        return Places(keys, _as_rows(values), share)

    def forward(self, features: Tensor, masks: Tensor, places: Places) -> Tensor:
        """Return the style and the color [n, style + 3, side, side] that each place finds.

        They are 0 in a place that lies in no part, or whose part the reference lacks.
        """
        n, _, side, _ = features.shape
        queries = _as_rows(self.query(self._described(features)))
        share = shrink(masks, side).flatten(2)
        keys = places.keys.float().transpose(1, 2)
        width = queries.shape[-1]
        logits = queries.float() @ keys / width**0.5
        # How much two places have of the same part; a logarithm, so that none is minus infinity.
        alike = torch.einsum("npq,npk->nqk", share, places.parts)
        logits = logits + alike.clamp(min=1e-9).log()
        found = logits.softmax(-1) @ places.values.float()
        known = alike.amax(-1, keepdim=True) > 0
        columns = (found * known.float()).transpose(1, 2)
        in_rows: Tensor = columns.unflatten(2, (side, side))
        return in_rows


class TransferGenerator(nn.Module):
    """Bare faces and looks → what changes of the pixels, [n, 3, side, side]."""

    def __init__(self, config: Config, autoencoder: TinyAutoencoder) -> None:
        super().__init__()
        self.config = config
        self.autoencoder = autoencoder
        channels = autoencoder.config["encoder_block_out_channels"][0]
        scales = len(autoencoder.config["encoder_block_out_channels"])
        latent_channels = autoencoder.config["latent_channels"]
        features = channels * scales + latent_channels
        self.style = StyleEncoder(features, config.style)
        decoder = list(autoencoder.decoder.layers)
        blocks = sum(isinstance(layer, RESIDUAL_BLOCK) for layer in decoder)
        # The decoder's last layer draws a face; these two draw what changes of one.
        self.refine = nn.Conv2d(channels + 3, channels, 3, padding=1)
        self.change = nn.Conv2d(channels, 3, 1)
        # An untrained network changes nothing.
        for parameter in self.change.parameters():
            nn.init.zeros_(parameter)
        # Means and deviations of the bare part, and of all parts of both faces: from the skin of
        # both it can tell the light from the lipstick.
        seen = 6 + 2 * 6 * len(PARTS)
        self.mix = nn.Sequential(
            nn.Linear(config.style + seen, config.style),
            nn.SiLU(),
        )
        # Nothing at first: what the reference gives is learned, not taken for granted.
        self.share = nn.Linear(config.style, 3)
        for parameter in self.share.parameters():
            nn.init.zeros_(parameter)
        self.modulations = nn.ModuleList()
        for _ in range(blocks + 1):
            self.modulations.append(nn.Linear(config.style, 2 * channels))
        self.attention: Attention | None = None
        self.attended = nn.ModuleList()
        if config.correspondence == "attention":
            self.attention = Attention(channels, config.style)
            for _ in range(blocks + 1):
                # The style that each place found, and the color there.
                self.attended.append(nn.Conv2d(config.style + 3, 2 * channels, 1))
        for layer in [*self.modulations, *self.attended]:
            # Begins almost as the pretrained decoder.
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def look(self, reference: Tensor, label_map: Tensor) -> Look:
        """Return the look of ``reference`` [n, 3, side, side], -1 to 1, with its ``label_map``."""
        masks = regions.masks(label_map)
        colors = part_colors(reference, masks)
        maps = encode(self.autoencoder, reference)
        codes = self.style(maps, masks.float(), colors)
        places = None
        if self.attention is not None:
            in_lab = lab.from_pictures(reference) / LAB_UNIT
            places = self.attention.places(maps[-2], masks.float(), in_lab)
        return Look(codes, colors, places)

    def _modulate(
        self,
        values: Tensor,
        number: int,
        codes: Tensor,
        masks: Tensor,
        attended: Tensor | None,
    ) -> Tensor:
        """Return ``values`` [n, c, side, side] scaled and shifted, part by part."""
        share = shrink(masks, values.shape[-1])
        change = torch.einsum("npc,nphw->nchw", self.modulations[number](codes), share)
        if attended is not None:
            local = self.attended[number](attended)
            larger = interpolate(local, values.shape[-2:], mode="bilinear")
            change = change + larger * share.sum(1, keepdim=True)
        scale, shift = change.chunk(2, 1)
        return values * (1 + scale) + shift

    def forward(self, bare: Tensor, label_map: Tensor, look: Look) -> Tensor:
        """Return what changes in each pixel of ``bare`` [n, 3, side, side], -1 to 1.

        It is 0 where ``label_map`` [n, side, side] shows nothing that is made up, and in parts that
        the reference lacks.
        """
        masks = regions.masks(label_map)
        colors = part_colors(bare, masks)
        both = colors.present & look.colors.present
        masks = masks & both[..., None, None]
        inside = masks.float()
        codes = self._codes(colors, look)
        in_lab = lab.from_pictures(bare)
        # How each pixel differs from its part's mean, in the part's deviations.
        mean = _spread(colors.mean, inside)
        deviation = _spread(colors.deviation, inside).clamp(min=LEAST_DEVIATION)
        anywhere = inside.sum(1, keepdim=True)
        standard = (in_lab - mean) / deviation
        standard = standard.clamp(-3, 3) * anywhere
        drawn = self._draw(bare, standard, inside, codes, look)
        # The part with the mean and the deviation of the reference's (Reinhard et al. 2001), of
        # which `share` says how much is wanted of L, a and b each.
        ratio = look.colors.deviation / colors.deviation.clamp(min=LEAST_DEVIATION)
        gain = _spread(ratio.clamp(*GAINS), inside)
        wanted_mean = _spread(look.colors.mean, inside)
        reference_like = gain * (in_lab - mean) + wanted_mean
        share = _spread(self.share(codes).float(), inside)
        moved = torch.lerp(in_lab, reference_like, share)
        made_up = lab.to_pictures(moved + LAB_UNIT * drawn.float())
        # Without soft edges: whoever puts the change on a photo makes them, at its resolution.
        return (made_up - bare) * anywhere

    def _codes(self, colors: PartColors, look: Look) -> Tensor:
        """Return what is known of each part of bare faces and their looks, [n, parts, style]."""
        own = torch.cat([colors.mean, colors.deviation], -1)
        wanted = look.colors
        others = torch.cat([wanted.mean, wanted.deviation], -1)
        both = torch.cat([own, others], -1) / LAB_UNIT
        # All parts of both faces, told to each part.
        everywhere = both.flatten(1)[:, None]
        everywhere = everywhere.expand(-1, len(PARTS), -1)
        known = torch.cat([look.codes, own / LAB_UNIT, everywhere], -1)
        codes: Tensor = self.mix(known)
        return codes

    def _draw(
        self,
        bare: Tensor,
        standard: Tensor,
        masks: Tensor,
        codes: Tensor,
        look: Look,
    ) -> Tensor:
        """Return the change beyond that of means and deviations: L, a and b by `LAB_UNIT`."""
        maps = encode(self.autoencoder, bare)
        attended = None
        if self.attention is not None and look.places is not None:
            attended = self.attention(maps[-2], masks, look.places)
        values = torch.tanh(maps[-1] / 3) * 3  # as diffusers' decoder does
        number = 0
        for layer in list(self.autoencoder.decoder.layers)[:-1]:
            values = layer(values)
            if isinstance(layer, RESIDUAL_BLOCK):
                values = self._modulate(values, number, codes, masks, attended)
                number += 1
        # Fine patterns come from the face itself; the latents know nothing so small.
        values = torch.cat([values, standard], 1)
        values = self.refine(values).relu()
        values = self._modulate(values, number, codes, masks, attended)
        change: Tensor = self.change(values.relu())
        return change


class PatchDiscriminator(nn.Module):
    """Is the make-up of this patch a photo's? (Isola et al. 2017), with spectral norm.

    It sees what is inside of the parts, and which part each pixel lies in.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [3 + len(PARTS), channels, 2 * channels, 4 * channels]
        layers: list[nn.Module] = []
        for narrow, wide in zip(widths, widths[1:], strict=False):
            halving = nn.Conv2d(narrow, wide, 4, 2, 1)
            layers.append(_spectral(halving))
            layers.append(nn.LeakyReLU(0.2))
        # One score for each patch, not one for the face.
        scoring = nn.Conv2d(widths[-1], 1, 3, 1, 1)
        layers.append(_spectral(scoring))
        self.layers = nn.Sequential(*layers)

    def forward(self, pictures: Tensor, label_map: Tensor) -> Tensor:
        """Return the scores [n, 1, rows, columns] of patches; a photo's should be 1."""
        masks = regions.masks(label_map).float()
        seen = pictures * masks.sum(1, keepdim=True)
        described = torch.cat([seen, masks], 1)
        scores: Tensor = self.layers(described)
        return scores


def _spectral(layer: nn.Module) -> nn.Module:
    """Return ``layer`` with its weight's largest singular value held at 1 (Miyato et al. 2018)."""
    return nn.utils.parametrizations.spectral_norm(layer)


class Transfer:
    """A trained generator that serves: uint8 faces and label maps in, changes out.

    After the generator the colors of each part are moved to the reference's own distribution, by
    the quantiles in its look (`match_colors`), as far as ``match`` says: what the generator drew
    says which pixel is how dark and how red beside the others, the quantiles say which shade
    exactly.
    """

    def __init__(self, generator: TransferGenerator, match: Match, precision: str = "auto") -> None:
        self.generator = generator.to(device()).eval()
        self.match = match
        self.precision = precision

    @property
    def size(self) -> int:
        """Pixels a side of the faces."""
        return self.generator.config.size

    @torch.inference_mode()
    def look(self, reference: Tensor, reference_regions: Tensor) -> Look:
        """Return the look of ``reference``, uint8 [n, 3, size, size], to be put on many faces."""
        with precision(self.precision):
            return self.generator.look(
                normalized(reference.to(device())), reference_regions.to(device())
            )

    @torch.inference_mode()
    def put_on(self, bare: Tensor, bare_regions: Tensor, look: Look) -> Tensor:
        """Return what ``look`` changes on ``bare`` faces, float [n, 3, size, size].

        One look goes on all of them, or each has its own.

        Raises:
            NotFiniteError: the network holds NaN.
        """
        pictures = normalized(bare.to(device()))
        label_map = bare_regions.to(device())
        if len(look.codes) != len(bare):
            first = torch.zeros(len(bare), dtype=torch.long)
            look = look.at(first.to(device()))
        changes = []
        for start in range(0, len(bare), ROWS):
            end = min(start + ROWS, len(bare))
            rows = torch.arange(start, end, device=device())
            change = self._changes(pictures[rows], label_map[rows], look.at(rows))
            changes.append(change)
        all_changes = torch.cat(changes).cpu()
        return require_finite(all_changes, "makeup: the changes of the pixels")

    def _changes(self, pictures: Tensor, label_map: Tensor, look: Look) -> Tensor:
        with precision(self.precision):
            change = self.generator(pictures, label_map, look).float()
        strength = torch.tensor([self.match[part] for part in PARTS], device=device())
        if not strength.any():
            return cast(Tensor, change)
        masks = regions.masks(label_map)
        # A part that the bare face lacks has no pixel here; one that the reference lacks stays.
        made_up = match_colors(pictures + change, masks, look.colors)
        # Once more: L, a and b that are matched one by one may be no color that sRGB has, and what
        # was clipped is brought back. It takes a quarter off the distance of lips.
        made_up = match_colors(made_up, masks, look.colors)
        of_each_face = strength[None, :, None].expand(len(pictures), -1, 1)
        weight = _spread(of_each_face, masks.float())
        # A weight of 0 gives the change to the bit: outside of the parts there is none.
        return torch.lerp(change, made_up - pictures, weight)

    def delta(
        self,
        bare: Tensor,
        bare_regions: Tensor,
        reference: Tensor,
        reference_regions: Tensor,
    ) -> Tensor:
        """Return what changes when ``bare`` faces wear the make-up of ``reference``.

        Args:
            bare: faces, uint8 [n, 3, size, size].
            bare_regions: their label maps, uint8 [n, size, size].
            reference: n faces or one for all, uint8.
            reference_regions: their label maps.

        Returns:
            Change of pixels -1 to 1, [n, 3, size, size]; 0 outside of the parts of a look.
        """
        return self.put_on(bare, bare_regions, self.look(reference, reference_regions))

    def __call__(
        self,
        bare: Tensor,
        bare_regions: Tensor,
        reference: Tensor,
        reference_regions: Tensor,
    ) -> Tensor:
        """Return the made-up faces [n, 3, size, size], -1 to 1; arguments are those of `delta`."""
        change = self.delta(bare, bare_regions, reference, reference_regions)
        return (normalized(bare) + change).clamp(-1, 1)


def continued(change: Tensor, label_map: Tensor, pixels: int = 2) -> Tensor:
    """Return ``change`` [n, 3, side, side] carried on by some ``pixels`` beyond the made-up parts.

    For who enlarges it and cuts it at the photo's own edges: between a change and none the enlarged
    one would fade inside of the lips, and leave a pale rim.
    """
    known = regions.masks(label_map).any(1, keepdim=True).float()
    for _ in range(pixels):
        share = avg_pool2d(known, 3, stride=1, padding=1)
        total = avg_pool2d(change * known, 3, stride=1, padding=1)
        mean = total / share.clamp(min=1e-6)
        change = torch.where(known > 0, change, mean)
        known = (share > 0).float()
    return change


def save(generator: TransferGenerator, match: Match, folder: Path) -> None:
    """Write ``generator``, and how far its colors are matched, into the existing ``folder``.

    Its autoencoder is in a folder of its own, for diffusers.
    """
    generator.autoencoder.save_pretrained(folder / "autoencoder")
    weights = {}
    for name, value in generator.state_dict().items():
        if not name.startswith("autoencoder."):
            weights[name] = value.cpu().contiguous()
    save_file(weights, folder / "transfer.safetensors")
    described = asdict(generator.config) | {"parts": list(PARTS), "match": match}
    write_json(folder / "transfer.json", described)


def load_autoencoder(folder: Path) -> TinyAutoencoder:
    """Return the autoencoder in ``folder``, as diffusers saved it.

    Raises:
        ValueError: there is none, or its weights are not finite.
    """
    network: TinyAutoencoder = diffusers.AutoencoderTiny
    # Not by `from_pretrained`, which would look on the hub for a folder that is not there.
    try:
        config = read_json(folder / "config.json")
        # diffusers writes this key itself, and warns of it when it reads it.
        config.pop("block_out_channels", None)
        autoencoder = network.from_config(config)
        autoencoder.load_state_dict(load_file(folder / "diffusion_pytorch_model.safetensors"))
    except (OSError, RuntimeError, TypeError, ValueError, SafetensorError) as error:
        raise ValueError(f"{folder}: not an autoencoder of diffusers: {error}") from error
    for name, value in autoencoder.state_dict().items():
        require_finite(value, f"{folder}: the weights {name}")
    return autoencoder


def _saved_match(saved: dict[str, Any], file: Path) -> Match:
    """Return how far colors are matched, of the content of transfer.json."""
    match = saved.get("match")
    if not isinstance(match, dict) or set(match) != set(PARTS):
        raise ValueError(
            f"{file}: no match for each of {list(PARTS)}; it was made by an earlier version, "
            "retrain it"
        )
    for part, strength in match.items():
        if not isinstance(strength, float) or not 0 <= strength <= 1:
            raise ValueError(f"{file}: match of {part} is {strength!r}, not from 0 to 1")
    return match


def load(folder: Path, precision: str = "auto") -> Transfer:
    """Return the transfer saved in ``folder``; ``precision`` is auto, float32 or bfloat16.

    Raises:
        ValueError: the folder is not a saved generator of these parts.
    """
    saved: dict[str, Any] = read_json(folder / "transfer.json")
    if saved.get("parts") != list(PARTS):
        raise ValueError(
            f"{folder / 'transfer.json'}: made for the parts {saved.get('parts')}, this version "
            f"has {list(PARTS)}; retrain or restore the folder"
        )
    match = _saved_match(saved, folder / "transfer.json")
    settings = {field.name: saved[field.name] for field in fields(Config)}
    config = Config(**settings)
    generator = TransferGenerator(config, load_autoencoder(folder / "autoencoder"))
    weights = load_file(folder / "transfer.safetensors")
    for name, value in weights.items():
        require_finite(value, f"{folder / 'transfer.safetensors'}: the weights {name}")
    missing, unexpected = generator.load_state_dict(weights, strict=False)
    # Not strict: the autoencoder has a folder of its own.
    if unexpected or any(not name.startswith("autoencoder.") for name in missing):
        raise ValueError(
            f"{folder / 'transfer.safetensors'}: not the weights of this model; retrain or restore "
            "the folder"
        )
    return Transfer(generator, match, precision)
