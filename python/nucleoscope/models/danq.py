"""DanQ (Quang & Xie 2016): DeepSEA's features by a convolution and a bidirectional LSTM."""

from __future__ import annotations

import torch
from torch import Tensor, nn

TAPS, CELL = 26, 13


class DanQ(nn.Module):
    """The 919 chromatin features of DeepSEA.

    Input: one-hot (N, 4, 1000), alphabet AGCT in the published data (DeepSEA's). Output: (N, 919)
    probabilities; attribute log-odds.

    One convolution of 26 taps without padding, ReLU, a max-pool of 13; a bidirectional LSTM of 320 over the 75
    positions; its states, flattened position by position, into layers of 925 and 919. Receptive field 38,
    stride 13 before the LSTM, which sees everything. 46,926,479 parameters in the paper's framework; torch's
    LSTM keeps a second bias a gate, which makes 46,929,039.

    Source: Quang & Xie, Nucleic Acids Research 44:e107 (2016).
    """

    alphabet = "AGCT"

    def __init__(self, targets: int = 919, *, small: bool = False) -> None:
        super().__init__()
        self.length = 120 if small else 1000
        width, states, hidden = (6, 4, 8) if small else (320, 320, 925)
        cells = (self.length - TAPS + 1) // CELL
        self.conv = nn.Conv1d(4, width, TAPS)
        self.pool = nn.MaxPool1d(CELL)
        self.drop = nn.Dropout(0.2)
        self.lstm = nn.LSTM(width, states, batch_first=True, bidirectional=True)
        self.head = nn.Sequential(
            nn.Dropout(0.5), nn.Flatten(), nn.Linear(2 * states * cells, hidden), nn.ReLU(),
            nn.Linear(hidden, targets), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, targets]
        found = self.drop(self.pool(torch.relu(self.conv(x))))
        states, _ = self.lstm(found.transpose(1, 2))  # [N, cells, 2 * states]
        made: Tensor = self.head(states)
        return made
