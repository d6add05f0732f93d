"""Redundancy: whether single edits miss what motifs do together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.diagnostics.coalitions import (
    Regions,
    coalition_table,
    interactions,
    read_regions,
    shapley_values,
)
from nucleoscope.diagnostics.finding import Finding
from nucleoscope.engine.answers.read import Func

REDUNDANT = 0.2  # of the joint effect that single edits miss
CANCELLED = 0.1  # joint effect over the largest of any coalition; below it there is no index


def redundancy(
    model: nn.Module,
    X: Tensor,  # [N, 4, L] one-hot
    regions: Regions,  # 2 to 8 stretches [start, end), such as motifs' instances
    args: tuple[Tensor, ...] | None = None,
    *,
    n: int = 10,
    background: Tensor | None = None,  # [N, n, 4, L] one-hot; dinucleotide shuffles by default
    random_state: int = 0,
    target: Any = None,
    func: Func | None = None,
    precision: str = "fp32",
) -> Finding:
    """Whether regions stand in for each other, so that editing one at a time shows less than they do.

    With v(s) the answer where the regions of s are kept and the others are replaced, D_k = v(all) - v(all but
    k) is what a single edit sees, D = v(all) - v(none) what there is to see. The **index** rho = 1 - sum D_k
    / D is 0 where regions add up, near 1 where any one of them is enough (OR, saturation), below 0 where each
    is needed (AND of two: -1). Shapley values share D fairly, sum phi_k = D, so 1 - rho is also what a
    single-edit map shows of the regions' Shapley values. The **interaction** of two, v(all) - v(-j) - v(-k) +
    v(-j -k), is given beside it: rho has no meaning where D is near 0 and the regions cancel. For y = 1 -
    exp(-3 k) and two copies a single edit shows 9.5 % of a copy's Shapley value, for three 0.7 %.

    All 2^K subsets are run, as edits on the delta engine. Fires where the median rho over sequences is above
    0.2.

    values: rho (median), rho_of (a sequence each, None where the regions cancel), single [N, K], shapley [N,
    K], joint [N], interaction [N, K, K], all in the output's units.

    Raises TypeError or ValueError for regions that overlap, are fewer than 2 or more than 8, or lie outside,
    and what `substitution_effect` refuses. Source: Shapley 1953; Greenside et al. 2018 (Bioinformatics 34,
    i629) for interactions of motifs.

    Equivalent to::

        rho = 1 - sum(v(all) - v(all but k) for k in regions) / (v(all) - v(none))
    """
    spans = read_regions(regions, X.shape[2])
    table = coalition_table(
        model, X, spans, args, n=n, background=background, random_state=random_state, target=target,
        func=func, precision=precision,
    )  # fmt: skip
    return from_table(table, spans)


def from_table(table: Tensor, regions: Any) -> Finding:
    """What a full coalition table [N, 2 ** K] says of redundancy; `regions` are kept as they are."""
    whole = table.shape[-1] - 1
    players = table.shape[-1].bit_length() - 1
    joint = table[:, whole] - table[:, 0]
    single = torch.stack([table[:, whole] - table[:, whole & ~(1 << k)] for k in range(players)], 1)
    largest = (table - table[:, :1]).abs().amax(1)
    counted = joint.abs() > CANCELLED * largest
    rho = torch.where(counted, 1 - single.sum(1) / joint, torch.nan)
    median = float(rho[counted].median()) if counted.any() else float("nan")
    values = {
        "rho": median, "rho_of": rho.tolist(), "regions": regions,
        "single": single.tolist(), "shapley": shapley_values(table).tolist(), "joint": joint.tolist(),
        "interaction": interactions(table).tolist(),
    }  # fmt: skip
    limits = {"rho": REDUNDANT, "cancelled": CANCELLED}
    return Finding("redundancy", median > REDUNDANT, _sentence(median, players), values, limits)


def _sentence(rho: float, regions: int) -> str:
    if rho != rho:
        return f"the {regions} regions cancel or do nothing together: read their interactions, not the index."
    if rho > REDUNDANT:
        return (
            f"single edits show {1 - rho:.0%} of what the {regions} regions do together: they stand "
            "in for each "
            "other, and a low score does not mean that a region is not used."
        )
    if rho < -REDUNDANT:
        return (
            f"single edits add up to {1 - rho:.1f} times what the {regions} regions do together: each "
            "needs the "
            "others. None is hidden, and their scores must not be added."
        )
    return f"single edits add up to {1 - rho:.0%} of what the {regions} regions do together."
