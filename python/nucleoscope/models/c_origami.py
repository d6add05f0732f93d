"""C.Origami (Tan et al. 2023): a Hi-C map of 2 Mb from sequence, CTCF and accessibility."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.models.layers import Residual, check_track


class Geometry(NamedTuple):
    """Widths and lengths; the defaults are the published ones."""

    length: int = 2_097_152
    stem: int = 16
    tower: tuple[int, ...] = (16, 16, 16, 16, 32, 32, 64, 64, 64, 64, 128, 128)
    hidden: int = 256
    layers: int = 8
    heads: int = 8
    dense: int = 512
    dilations: tuple[int, ...] = (2, 4, 8, 16, 32)


SMALL = Geometry(96, 4, (4, 6), 8, 2, 2, 12, (2,))


class COrigami(nn.Module):
    """Contacts between bins of 8,192 bases.

    Input: one-hot sequence (N, 5, 2097152), alphabet **ATCGN** (N a letter of its own; the reverse complement
    swaps A with T and C with G, which is no flip of channels), and signals (N, 2, 2097152): log2 fold change
    of CTCF ChIP, ln(1 + x) of ATAC. Output: (N, 256, 256), ln(1 + contacts); not symmetric.

    Two like towers of strided residual convolutions, one of sequence and one of the signals, to 256 positions;
    eight transformer layers; each pair of positions side by side into dilated 3x3 convolutions. Receptive
    field 163,803, stride 8,192 before the attention: one base changes at most 20 of 256 positions before
    everything changes; 12,840,369 parameters.

    Source: Tan et al., Nature Biotechnology 41:1140 (2023), for which a patent is filed and no licence given:
    written from the description. **Known defect of the original**: its positional encoding is added along
    the batch, so that it tells an example's number in the batch and not a position, and the same example
    answers otherwise in another place of the batch. Here every example gets what the first of a batch
    gets there, the constant (0, 1, 0, 1, ...): right for batches of one, and attention knows no positions.
    """

    alphabet = "ATCGN"
    first_of_batch: Tensor

    def __init__(self, *, small: bool = False, geometry: Geometry | None = None) -> None:
        super().__init__()
        g = geometry or (SMALL if small else Geometry())
        self.length = g.length
        self.sequence, self.signals = tower(5, g), tower(2, g)
        self.join = nn.Conv1d(2 * g.tower[-1], g.hidden, 1)
        first = torch.arange(g.hidden, dtype=torch.get_default_dtype()) % 2
        self.register_buffer("first_of_batch", first, persistent=False)
        self.transformer = nn.ModuleList(Layer(g) for _ in range(g.layers))
        self.first_map = nn.Conv2d(2 * g.hidden, g.hidden, 3, padding=1)
        self.first_norm = nn.BatchNorm2d(g.hidden)
        self.maps = nn.ModuleList(residual_map(g.hidden, d) for d in g.dilations)
        self.head = nn.Conv2d(g.hidden, 1, 1)

    def forward(self, x: Tensor, signals: Tensor) -> Tensor:
        check_track("signals", signals, 2, x.shape[2])
        h = self.join(torch.cat([self.sequence(x), self.signals(signals)], 1))
        h = h.transpose(1, 2) + self.first_of_batch
        for each in self.transformer:
            h = each(h)
        h = h.transpose(1, 2)  # [N, C, bins]
        bins = h.shape[2]
        pairs = torch.cat(
            [h[:, :, None].expand(-1, -1, bins, -1), h[:, :, :, None].expand(-1, -1, -1, bins)], 1
        )
        made = F.relu(self.first_norm(self.first_map(pairs)))
        for each in self.maps:
            made = F.relu(each(made))
        contacts: Tensor = self.head(made).squeeze(1)
        return contacts


class Layer(nn.Module):
    """Attention and two dense layers, each behind a LayerNorm and added to what came in: [N, L, C]."""

    def __init__(self, g: Geometry) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(g.hidden)
        self.attention = nn.MultiheadAttention(g.hidden, g.heads, dropout=0.1, batch_first=True)
        self.dense = Residual(
            nn.LayerNorm(g.hidden), nn.Linear(g.hidden, g.dense), nn.ReLU(), nn.Dropout(0.1),
            nn.Linear(g.dense, g.hidden), nn.Dropout(0.1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        made: Tensor = self.dense(x + self.attention(normed, normed, normed, need_weights=False)[0])
        return made


def tower(entering: int, g: Geometry) -> nn.Sequential:
    """Strided convolutions, each but the first with a residual unit behind it."""
    layers: list[nn.Module] = [
        nn.Conv1d(entering, g.stem, 3, stride=2, padding=1), nn.BatchNorm1d(g.stem), nn.ReLU()
    ]  # fmt: skip
    for a, b in zip((g.stem, *g.tower[:-1]), g.tower, strict=True):
        layers += [nn.Conv1d(a, b, 5, stride=2, padding=2), nn.BatchNorm1d(b), nn.ReLU()]
        unit = [nn.Conv1d(b, b, 5, padding=2), nn.BatchNorm1d(b), nn.ReLU()]
        layers += [Residual(*unit, nn.Conv1d(b, b, 5, padding=2), nn.BatchNorm1d(b)), nn.ReLU()]
    return nn.Sequential(*layers)


def residual_map(channels: int, dilation: int) -> Residual:
    """Twice a dilated 3x3 convolution with BatchNorm, a ReLU between, added to what came in."""

    def conv() -> list[nn.Module]:
        made = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        return [made, nn.BatchNorm2d(channels)]

    return Residual(*conv(), nn.ReLU(), *conv())
