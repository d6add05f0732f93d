"""Measured biology: nearly all 5' splice sites of nine bases, and the Shapley values of what was measured."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import torch
from torch import Tensor, nn

from nucleoscope.diagnostics.coalitions import shapley_values
from nucleoscope.evaluate.data import Data
from nucleoscope.evaluate.quality import judged
from nucleoscope.evaluate.truth.measured import data_folder, inside, packaged
from nucleoscope.scan.letters import one_hot

TABLE = "mpsa_data.csv.gz"
SITES = 9
RIDGE = 1.0


class Pairwise(nn.Module):
    """The logarithm (base 10) of inclusion, from letters and pairs of letters.

    Input: one-hot (N, 4, 9), ACGT with T for U. Output: (N, 1). A weight for each letter and each pair of
    letters, fitted by ridge regression in closed form: seeds and steps play no part.
    """

    def __init__(self) -> None:
        super().__init__()
        self.single = nn.Linear(4 * SITES, 1)
        self.pair = nn.Linear(4 * SITES, 4 * SITES, bias=False)  # the upper triangle of pairs

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, 9] -> [N, 1]
        flat = x.flatten(1)
        made: Tensor = self.single(flat) + (self.pair(flat) * flat).sum(1, keepdim=True)
        return made


def brca2(
    data: str | Path | None = None, *, count: int = 64, seed: int = 0
) -> tuple[nn.Module, Data]:
    """A pairwise model of inclusion of BRCA2's exon 17, and splice sites with Shapley values of the measurements.

    30,483 of the 32,768 sites NNN/GYNNNN were measured, so that the game can be played on the measurements
    themselves: v(S) is the mean of all that was measured of sites which agree with this one at the positions
    S, and `exact` its Shapley values over nine positions (512 coalitions), in log10 of percent spliced in. It
    is what the assay says, not what the model does: explanations of the model are held against it through the
    model's own error, which `labels` tell (measured, of sites the model was not fitted to), and `quality` of
    all such sites.

    data: a folder with mavenn's wheel or its ``mpsa_data.csv.gz`` below ``mavenn``; None: what
    NUCLEOSCOPE_DATA names. count: sites, drawn from the held-out ones by `seed`, half of them with the
    invariant GT and inclusion over 1 %.

    Raises FileNotFoundError that says what is missing. Source: Wong et al. 2018 (Mol. Cell 71, 1012); mavenn
    1.1.4.
    """
    path = packaged(data_folder(data), "mavenn", f"mavenn/{TABLE}", "BRCA2's splice sites")
    with inside(path, TABLE) as table:
        X, y, held = _read(table)
    model = fit(X[~held], y[~held])
    source = torch.Generator().manual_seed(seed)
    out = held.nonzero()[:, 0]
    active = out[y[out] > 0]
    rest = out[y[out] <= 0]
    half = [
        part[torch.randperm(len(part), generator=source)[: count // 2]] for part in (active, rest)
    ]
    chosen = torch.cat(half)
    exact = torch.stack([shapley_values(landscape(X, y, X[n])) for n in chosen])
    with torch.no_grad():
        stated = judged(model(X[out].float())[:, 0].double(), y[out])
    return model, Data(X[chosen].float(), 0, None, exact, None, y[chosen], stated)


def _read(table: Path) -> tuple[Tensor, Tensor, Tensor]:
    """One-hot sites [N, 4, 9], log10 of percent spliced in [N], and which are held out [N]."""
    with gzip.open(table, "rt") as file:
        rows = list(csv.DictReader(file))
    X = one_hot([row["x"].replace("U", "T") for row in rows])
    y = torch.tensor([float(row["y"]) for row in rows], dtype=torch.float64)
    held = torch.tensor([row["set"] == "test" for row in rows])
    return X, y, held


def fit(X: Tensor, y: Tensor) -> Pairwise:
    """The ridge solution for weights of letters and pairs of letters at different sites."""
    flat = X.flatten(1).double()  # [N, 36]: letter by site
    site = torch.arange(4 * SITES) % SITES
    first, second = torch.triu_indices(4 * SITES, 4 * SITES, 1)
    apart = site[first] != site[second]
    first, second = first[apart], second[apart]
    features = torch.cat([flat, flat[:, first] * flat[:, second]], 1)
    middle = y.mean()
    gram = features.T @ features + RIDGE * torch.eye(features.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(gram, features.T @ (y - middle))
    model = Pairwise()
    with torch.no_grad():
        model.single.weight.copy_(weights[None, : flat.shape[1]])
        model.single.bias.copy_(middle)
        model.pair.weight.zero_()
        model.pair.weight[first, second] = weights[flat.shape[1] :].float()
    return model.eval().requires_grad_(False)


def landscape(X: Tensor, y: Tensor, site: Tensor) -> Tensor:
    """The mean measurement of all sites that agree with one [4, 9] at each subset of positions, [512].

    Each measured site agrees at one set of positions; sums over supersets give all subsets at once.
    """
    agree = (X * site).sum(1).bool()  # [N, 9]
    code = (agree.long() << torch.arange(SITES)).sum(1)
    total = torch.zeros(2, 2**SITES, dtype=torch.float64)
    total.index_add_(1, code, torch.stack([y, torch.ones_like(y)]))
    subset = torch.arange(2**SITES)
    for k in range(SITES):
        without = subset[(subset >> k & 1) == 0]
        total[:, without] += total[:, without | 1 << k]
    return total[0] / total[1]  # the site itself was measured, so that no count is 0
