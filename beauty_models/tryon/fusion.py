"""Three ways to make one feature of a text and a picture, behind one interface; either of the two may be missing."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from beauty_models.training import bert


class Places(NamedTuple):
    """What one network makes of its input: ``values`` [n, places, width], ``mask`` [n, places] of what is real, ``there`` [n]."""

    values: torch.Tensor
    mask: torch.Tensor
    there: torch.Tensor


class Concat(nn.Module):
    """Fusion by concatenation: one layer over both features side by side."""

    def __init__(self, text: int, image: int, width: int, heads: int) -> None:
        super().__init__()
        self.join = nn.Sequential(nn.Linear(text + image, width), nn.GELU())

    def forward(
        self, text: torch.Tensor, image: torch.Tensor, words: Places, patches: Places
    ) -> torch.Tensor:
        """Return the fused features [n, width] of ``text`` [n, text width] and ``image`` [n, image width]."""
        fused: torch.Tensor = self.join(torch.cat([text, image], -1))
        return fused


class Gated(nn.Module):
    """Fusion by a weighted average whose weights the inputs decide: the gated multimodal unit (Arevalo et al. 2017, eq. 1–3)."""

    def __init__(self, text: int, image: int, width: int, heads: int) -> None:
        super().__init__()
        self.text, self.image, self.gate = (
            nn.Linear(text, width),
            nn.Linear(image, width),
            nn.Linear(text + image, width),
        )

    def forward(
        self, text: torch.Tensor, image: torch.Tensor, words: Places, patches: Places
    ) -> torch.Tensor:
        """Return the fused features [n, width] of ``text`` [n, text width] and ``image`` [n, image width]."""
        weight = torch.sigmoid(self.gate(torch.cat([text, image], -1)))
        fused: torch.Tensor = weight * torch.tanh(self.text(text)) + (1 - weight) * torch.tanh(
            self.image(image)
        )
        return fused


class Cross(nn.Module):
    """Fusion by cross-attention: every word looks at the places of the picture, every place at the words (Lu et al. 2019)."""

    def __init__(self, text: int, image: int, width: int, heads: int) -> None:
        super().__init__()
        self.text, self.image = (
            nn.Sequential(nn.LayerNorm(w), nn.Linear(w, width), nn.LayerNorm(width))
            for w in (text, image)
        )
        self.no_text, self.no_image = (
            nn.Parameter(torch.zeros(width)),
            nn.Parameter(torch.zeros(width)),
        )
        self.to_image, self.to_text = (
            nn.MultiheadAttention(width, heads, batch_first=True) for _ in range(2)
        )
        self.join = nn.Sequential(nn.LayerNorm(2 * width), nn.Linear(2 * width, width), nn.GELU())

    def forward(
        self, text: torch.Tensor, image: torch.Tensor, words: Places, patches: Places
    ) -> torch.Tensor:
        """Return the fused features [n, width] of the outputs by place, ``words`` and ``patches``."""
        said, said_mask = _shown(self.text(words.values), words, self.no_text)
        seen, seen_mask = _shown(self.image(patches.values), patches, self.no_image)
        told = (
            said
            + self.to_image(said, seen, seen, key_padding_mask=~seen_mask, need_weights=False)[0]
        )
        looked = (
            seen
            + self.to_text(seen, said, said, key_padding_mask=~said_mask, need_weights=False)[0]
        )
        fused: torch.Tensor = self.join(
            torch.cat([bert.mean(told, said_mask), bert.mean(looked, seen_mask)], -1)
        )
        return fused


def _shown(
    values: torch.Tensor, places: Places, missing: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``values`` and their mask, with one learned place instead of all where the input is not there."""
    first = torch.zeros_like(places.mask)
    first[:, 0] = True
    there = places.there[:, None]
    return torch.where(there[..., None], values, missing), torch.where(there, places.mask, first)


FUSIONS: dict[str, type[Concat] | type[Gated] | type[Cross]] = {
    "concat": Concat,
    "gated": Gated,
    "cross": Cross,
}
