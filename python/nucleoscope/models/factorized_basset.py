"""Factorized Basset (Wnuk et al. 2019): Basset with each wide kernel as a chain of narrow ones."""

from __future__ import annotations

from torch import Tensor, nn

from nucleoscope.models.layers import dense_head

# (channels, taps) of the convolutions of a block, and the pool behind it
BLOCKS = (
    (((48, 3), (64, 3), (100, 3), (150, 7), (300, 7)), 3),
    (((200, 7), (200, 3), (200, 3)), 4),
    (((200, 7),), 4),
)
SMALL = (
    (((5, 3), (6, 3), (6, 3), (7, 7), (8, 7)), 3),
    (((6, 7), (6, 3), (6, 3)), 4),
    (((6, 7),), 4),
)


class FactorizedBasset(nn.Module):
    """Accessibility of 164 cell types, as Basset's.

    Input: one-hot (N, 4, 1000), alphabet ACGT. Output: (N, 164) probabilities; attribute log-odds.

    Nine convolutions that keep the length (3 and 7 taps), each with BatchNorm and ReLU; max-pools of 3, 4 and
    4 behind the fifth, eighth and ninth; then Basset's head. Receptive field 168, stride 48 before the flatten.

    Source: Wnuk et al., bioRxiv 10.1101/458385 (2019). The paper's text fixes the factors, not the length:
    1,000 bases here, where others time it.
    """

    alphabet = "ACGT"

    def __init__(
        self, length: int | None = None, targets: int = 164, *, small: bool = False
    ) -> None:
        super().__init__()
        self.length = length or (200 if small else 1000)
        layers: list[nn.Module] = []
        wide, cells = 4, self.length
        for convs, pool in SMALL if small else BLOCKS:
            for channels, taps in convs:
                layers += [nn.Conv1d(wide, channels, taps, padding=taps // 2)]
                layers += [nn.BatchNorm1d(channels), nn.ReLU()]
                wide = channels
            layers.append(nn.MaxPool1d(pool))
            cells //= pool
        if cells < 1:
            raise ValueError(f"length={self.length}: Factorized Basset needs 48 bases for one cell")
        self.tower = nn.Sequential(*layers)
        self.head = nn.Sequential(*dense_head(wide * cells, 10 if small else 1000, targets))

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, targets]
        made: Tensor = self.head(self.tower(x).flatten(1))
        return made
