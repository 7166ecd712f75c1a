"""Where the generator begins: a Gaussian over the principal components of faces, eigenfaces.

Aligned faces are described well by some dozen components (Turk & Pentland 1991). StyleGAN2 begins
with colored noise and needs a hundred thousand pictures until it draws a face; on two cores there
is time for some thousand. One that begins here draws blurred faces at once, and learns what a
Gaussian lacks: edges, and parts that are either there or not.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import interpolate

from beauty_models.makeup.dataset import normalized

LARGEST = 64  # pixels a side: what is finer is not for a few components to say
MOST_FACES = 1024  # that the components are of, drawn at random


class Eigenfaces(nn.Module):
    """Noise z [n, components] → faces [n, 3, size, size], -1 to 1 and beyond; nothing in it learns.

    Until `fit` it draws grey pictures.
    """

    mean: torch.Tensor
    axes: torch.Tensor  # each as long as the faces' deviation along it

    def __init__(self, components: int, size: int) -> None:
        super().__init__()
        self.size = size
        side = min(size, LARGEST)
        self.register_buffer("mean", torch.zeros(3, side, side))
        self.register_buffer("axes", torch.zeros(components, 3, side, side))

    @torch.no_grad()
    def fit(self, faces: torch.Tensor) -> None:
        """Take the components of ``faces``, uint8 [n, 3, size, size], two at least.

        Where there are fewer than z has numbers, the rest of z has no say here.
        """
        n = len(faces)
        if n > MOST_FACES:
            order = torch.randperm(n)
            chosen = order[:MOST_FACES].to(faces.device)
            faces = faces[chosen]
        shape = self.mean.shape
        pictures = normalized(faces)
        small = interpolate(pictures, shape[1:], mode="area")
        # In double precision and on the CPU: the same components on every device.
        rows = small.flatten(1)
        rows = rows.double().cpu()
        mean = rows.mean(0)
        _, lengths, directions = torch.linalg.svd(rows - mean, full_matrices=False)
        # The last of n directions is what rounding left: n faces differ in n - 1.
        differing = len(rows) - 1
        count = min(len(self.axes), differing)
        deviations = lengths / differing**0.5
        axes = directions * deviations[:, None]
        kept = axes[:count]
        self.mean.copy_(mean.unflatten(0, shape))
        self.axes[:count].copy_(kept.unflatten(1, shape))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return the faces."""
        # Not as autocast would: in bfloat16 a sum of 64 components is off by levels that one sees.
        axes = self.axes.flatten(1)
        with torch.autocast(z.device.type, enabled=False):
            apart = z.float() @ axes
        apart = apart.unflatten(1, self.mean.shape)
        faces: torch.Tensor = self.mean + apart
        side = faces.shape[-1]
        if side == self.size:
            return faces
        times = self.size / side
        return interpolate(faces, scale_factor=times, mode="bicubic")
