"""Three ways to make one feature of a text and a picture, behind one interface.

Either of the two may be missing.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from beauty_models.training import bert


class TokenFeatures(NamedTuple):
    """What one network makes of its input; a token is a piece of a word or a place of a picture."""

    values: torch.Tensor  # [n, tokens, width]
    mask: torch.Tensor  # [n, tokens], of the tokens that are real
    present: torch.Tensor  # [n], of the examples that have this input


class ConcatFusion(nn.Module):
    """Fusion by concatenation: one layer over both features side by side."""

    def __init__(self, text: int, image: int, width: int, heads: int) -> None:
        super().__init__()
        self.join = nn.Sequential(nn.Linear(text + image, width), nn.GELU())

    def forward(
        self, text: torch.Tensor, image: torch.Tensor, words: TokenFeatures, patches: TokenFeatures
    ) -> torch.Tensor:
        """Return the fused features [n, width].

        Args:
            text: mean features [n, text width].
            image: mean features [n, image width].
            words: what ``text`` is the mean of, which this fusion does not read.
            patches: the same of ``image``.
        """
        fused: torch.Tensor = self.join(torch.cat([text, image], -1))
        return fused


class GatedFusion(nn.Module):
    """Fusion by a weighted average whose weights the inputs decide.

    The gated multimodal unit (Arevalo et al. 2017, eq. 1-3).
    """

    def __init__(self, text: int, image: int, width: int, heads: int) -> None:
        super().__init__()
        self.text = nn.Linear(text, width)
        self.image = nn.Linear(image, width)
        self.gate = nn.Linear(text + image, width)

    def forward(
        self, text: torch.Tensor, image: torch.Tensor, words: TokenFeatures, patches: TokenFeatures
    ) -> torch.Tensor:
        """Return the fused features [n, width]; the arguments are those of `ConcatFusion`."""
        weight = torch.sigmoid(self.gate(torch.cat([text, image], -1)))
        from_text = torch.tanh(self.text(text))
        from_image = torch.tanh(self.image(image))
        fused: torch.Tensor = weight * from_text + (1 - weight) * from_image
        return fused


class CrossAttentionFusion(nn.Module):
    """Fusion by cross-attention (Lu et al. 2019).

    Every word looks at the places of the picture, every place at the words.
    """

    def __init__(self, text: int, image: int, width: int, heads: int) -> None:
        super().__init__()
        # These names, as those of the other fusions, are the weights' in saved models.
        self.text = _projection(text, width)
        self.image = _projection(image, width)
        self.no_text = nn.Parameter(torch.zeros(width))
        self.no_image = nn.Parameter(torch.zeros(width))
        self.to_image = nn.MultiheadAttention(width, heads, batch_first=True)
        self.to_text = nn.MultiheadAttention(width, heads, batch_first=True)
        both = 2 * width
        self.join = nn.Sequential(nn.LayerNorm(both), nn.Linear(both, width), nn.GELU())

    def forward(
        self, text: torch.Tensor, image: torch.Tensor, words: TokenFeatures, patches: TokenFeatures
    ) -> torch.Tensor:
        """Return the fused features [n, width] of ``words`` and ``patches``, token by token."""
        word, word_mask = _with_missing(self.text(words.values), words, self.no_text)
        patch, patch_mask = _with_missing(self.image(patches.values), patches, self.no_image)
        # Attention's mask says what is padding, ours what is real. Without its weights it may use
        # the fused kernels.
        seen, _ = self.to_image(
            word,
            patch,
            patch,
            key_padding_mask=~patch_mask,
            need_weights=False,
        )
        read, _ = self.to_text(
            patch,
            word,
            word,
            key_padding_mask=~word_mask,
            need_weights=False,
        )
        pooled_words = bert.mean_pool(word + seen, word_mask)
        pooled_patches = bert.mean_pool(patch + read, patch_mask)
        fused: torch.Tensor = self.join(torch.cat([pooled_words, pooled_patches], -1))
        return fused


def _projection(inputs: int, width: int) -> nn.Sequential:
    # Normalized before and behind: the features of two networks differ in size, and attention
    # compares them.
    return nn.Sequential(
        nn.LayerNorm(inputs),
        nn.Linear(inputs, width),
        nn.LayerNorm(width),
    )


def _with_missing(
    values: torch.Tensor, tokens: TokenFeatures, missing: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``values`` [n, tokens, width] and their mask.

    Where the input is missing, one learned token ``missing`` [width] stands instead of all: the
    softmax of attention over nothing is NaN.
    """
    # Shapes stay as they are, so that rows with and without the input share a batch.
    first = torch.zeros_like(tokens.mask)
    first[:, 0] = True
    present = tokens.present[:, None]
    values = torch.where(present[..., None], values, missing)
    return values, torch.where(present, tokens.mask, first)


FUSIONS: dict[str, type[ConcatFusion] | type[GatedFusion] | type[CrossAttentionFusion]] = {
    "concat": ConcatFusion,
    "gated": GatedFusion,
    "cross": CrossAttentionFusion,
}
