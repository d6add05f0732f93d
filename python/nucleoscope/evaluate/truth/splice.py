"""Measured biology: donor sites of genes, which CI-SpliceAI learnt from annotation."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from nucleoscope.demo import load_sequence
from nucleoscope.evaluate.data import Data
from nucleoscope.evaluate.truth.measured import data_folder, packaged
from nucleoscope.models import load_ci_spliceai
from nucleoscope.scan.letters import one_hot

CONTEXT = 5000  # bases that the model reads on either side of one
STRETCH = (40_000, 80_000)  # of the demo's human sequence, where sites are looked for
DONOR = 2  # of the model's classes
SURE = 0.5


class LogOdds(nn.Module):
    """The log-odds of a class at the one position that is left of a network's output, (N, 1)."""

    def __init__(self, network: nn.Module, which: int) -> None:
        super().__init__()
        self.network, self.which = network, which

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, 10001] -> [N, 1]
        return torch.logit(self.network(x)[:, self.which])


def splice_donors(data: str | Path | None = None, *, count: int = 4) -> tuple[nn.Module, Data]:
    """CI-SpliceAI's first network, and donors of human genes in their 10 kb.

    `planted` are the nine bases that pair with U1 snRNA, the last three of the exon and the first six of the
    intron. Sites are those of 30 kb of chr22 that the network calls with a probability over 0.5 and that
    have GT or GC behind them, the surest first; the model answers log-odds, since its softmax saturates.

    data: a folder with the wheel of cispliceai 1.2.2, or ``cispliceai/CI-SpliceAI.pb``; None: what
    NUCLEOSCOPE_DATA names.

    Raises FileNotFoundError that says what is missing, ValueError where there are fewer sites than `count`.
    Source: Strauch et al. 2022 (PLOS ONE, 10.1371/journal.pone.0269159), CC BY 4.0.
    """
    path = packaged(
        data_folder(data), "cispliceai", "cispliceai/CI-SpliceAI.pb", "CI-SpliceAI's networks"
    )
    network = load_ci_spliceai(path)[0].requires_grad_(False)
    bases = load_sequence()[1].upper()
    first, end = STRETCH
    with torch.inference_mode():
        chance = network(one_hot([bases[first:end]]))[0, DONOR]
    sites: list[int] = []
    for at in chance.argsort(descending=True).tolist():
        place = first + CONTEXT + at  # the exon's last base
        if chance[at] < SURE or len(sites) == count:
            break
        if bases[place + 1 : place + 3] in ("GT", "GC"):
            sites.append(place)
    if len(sites) < count:
        raise ValueError(f"count={count}: {len(sites)} donors are called in this stretch")
    X = one_hot([bases[at - CONTEXT : at + CONTEXT + 1] for at in sites])
    planted = torch.zeros(count, X.shape[2], dtype=torch.bool)
    planted[:, CONTEXT - 2 : CONTEXT + 7] = True
    return LogOdds(network, DONOR).eval(), Data(X, 0, planted)
