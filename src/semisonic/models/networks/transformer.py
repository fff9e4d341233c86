"""``transformer``: patches of log-mel that attend to each other, for clips of any length."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.models.encoder import DownStep, Encoder
from semisonic.models.necks import Backbone, GlobalPoolNeck, Shape

PATCH, WIDTH, HEADS, DEPTH = 16, 192, 3, 4


class Attention(nn.Module):
    """Multi-head attention between the tokens of a clip that are true in ``counts``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, counts: Tensor | None) -> Tensor:
        """The attention output of each token, shape (batch, token, width)."""
        parts = self.qkv(x).unflatten(2, (3, self.heads, -1))  # (batch, token, 3, head, each)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        heard = F.scaled_dot_product_attention(q, k, v, attn_mask=counts)
        y: Tensor = self.out(heard.transpose(1, 2).flatten(2))
        return y


class TransformerLayer(nn.Module):
    """Attention, then two dense layers, each added to what comes in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm, self.dense_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.dense = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, counts: Tensor | None) -> Tensor:
        """The tokens, shape (batch, token, width)."""
        x = x + self.attention(self.attention_norm(x), counts)
        y: Tensor = x + self.dense(self.dense_norm(x))
        return y


class PatchTransformer(Encoder):
    """Patches to tokens, layers, and back to a map of tokens.

    Parameters
    ----------
    in_channels : int
    """

    no_frames = "its patches see the whole clip"

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, WIDTH
        size = (PATCH, PATCH)
        self.plan = (DownStep(size, size, ceil=True),)
        self.patches = nn.Conv2d(in_channels, WIDTH, size, size)
        self.layers = nn.ModuleList(TransformerLayer(WIDTH, HEADS) for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The code, shape (batch, width, mel / 16, frame / 16), rounded up.

        With ``n_frames``, padding frames do not influence the others.
        """
        counts = None
        if n_frames is not None:
            beyond = torch.arange(x.shape[3], device=x.device) >= n_frames[:, None]
            x = x.masked_fill(beyond[:, None, None], 0.0)
        x = self.patches(F.pad(x, (0, -x.shape[3] % PATCH, 0, -x.shape[2] % PATCH)))
        rows, columns = x.shape[2:]
        if n_frames is not None:
            column = torch.arange(columns, device=x.device).repeat(rows)
            counts = (column < self.frames_after(n_frames)[:, None])[:, None, None]
        x = (x + positions(rows, columns, x)).flatten(2).transpose(1, 2)
        for layer in self.layers:
            x = layer(x, counts)
        code: Tensor = self.norm(x).transpose(1, 2).unflatten(2, (rows, columns))
        return code


def positions(rows: int, columns: int, like: Tensor) -> Tensor:
    """Sines and cosines of row and column, shape (width, rows, columns)."""
    row, column = (sines(n, WIDTH // 2, like) for n in (rows, columns))
    return torch.cat(
        (row[:, :, None].expand(-1, -1, columns), column[:, None].expand(-1, rows, -1))
    )


def sines(n: int, width: int, like: Tensor) -> Tensor:
    """Sines and cosines of the place at many rates (Vaswani et al. 2017), shape (width, n)."""
    number = torch.arange(width // 2, device=like.device, dtype=torch.float32)
    rate = torch.exp(number * (-2 * math.log(10_000.0) / width))
    angle = rate[:, None] * torch.arange(n, device=like.device)
    return torch.cat((angle.sin(), angle.cos())).to(like.dtype)


def transformer(shape: Shape) -> Backbone:
    """Four layers of width 192, the mean over patches."""
    return Backbone(
        "transformer", PatchTransformer(shape[0]), GlobalPoolNeck(WIDTH, over_time="mean")
    )


NETWORKS = {"transformer": transformer}
