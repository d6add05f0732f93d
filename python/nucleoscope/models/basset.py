"""Basset (Kelley et al. 2016): accessibility of 164 cell types from 600 bp."""

from __future__ import annotations

from torch import Tensor, nn

from nucleoscope.models.layers import dense_head

KERNELS, POOLS = (19, 11, 7), (3, 4, 4)


class Basset(nn.Module):
    """DNase peaks of 164 cell types.

    Input: one-hot (N, 4, 600), alphabet ACGT, N a column of zeros.
    Output: (N, 164) probabilities; attribute log-odds, the sigmoid saturates.

    Three convolutions without padding (19, 11 and 7 taps; 300, 200 and 200 wide), each with BatchNorm,
    ReLU and a max-pool (3, 4, 4); the 10 positions that are left are flattened, channels first, into two
    layers of 1,000 and the output. Receptive field 168, stride 48 before the flatten; 4,135,064 parameters.

    Source: Kelley, Snoek & Rinn, Genome Research 26:990 (2016), in the graph of the published weights. The
    authors' repository went on to pad its convolutions and to round pools up, which makes 13 positions:
    weights of one do not fit the other.
    """

    alphabet = "ACGT"

    def __init__(
        self, length: int | None = None, targets: int = 164, *, small: bool = False
    ) -> None:
        super().__init__()
        self.length = length or (200 if small else 600)
        widths, hidden = ((8, 6, 6), 10) if small else ((300, 200, 200), 1000)
        layers: list[nn.Module] = []
        wide, cells = 4, self.length
        for width, kernel, pool in zip(widths, KERNELS, POOLS, strict=True):
            layers += [nn.Conv1d(wide, width, kernel), nn.BatchNorm1d(width), nn.ReLU()]
            layers.append(nn.MaxPool1d(pool))
            wide, cells = width, (cells - kernel + 1) // pool
        if cells < 1:
            raise ValueError(f"length={self.length}: Basset needs 168 bases for one cell")
        self.tower = nn.Sequential(*layers)
        self.head = nn.Sequential(*dense_head(wide * cells, hidden, targets))

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, targets]
        made: Tensor = self.head(self.tower(x).flatten(1))
        return made
