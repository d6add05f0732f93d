"""What a rollout is to be compared with: the same by distance alone, and that of a shuffled sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from nucleoscope.result import Check

NEAR = 8  # tokens from a row's own, within which every rollout agrees


def centres(rows: Tensor) -> Tensor:
    """Where each row of weights [M, T] lies, in tokens."""
    weight = rows.double().abs()
    return (weight @ torch.arange(rows.shape[1]).double()) / weight.sum(1)


def by_distance(rows: Tensor, count: int) -> Tensor:  # [M, T]
    """1 / (1 + distance) from each row's centre, as shares of what the row sums to: ranks by nearness alone."""
    near = 1.0 / (1.0 + (torch.arange(count).double() - centres(rows)[:, None]).abs())
    return near / near.sum(1, keepdim=True) * rows.double().sum(1, keepdim=True)


def ranks(values: Tensor) -> Tensor:
    """Ranks from 0 along the last axis, in float64; equal numbers share their mean."""
    order = values.argsort(-1)
    rank = torch.empty_like(values, dtype=torch.float64)
    rank.scatter_(-1, order, torch.arange(values.shape[-1]).double().expand(values.shape))
    held = values.gather(-1, order)
    new = torch.cat(
        [torch.ones_like(held[..., :1], dtype=torch.bool), held[..., 1:] != held[..., :-1]], -1
    )
    group = new.cumsum(-1) - 1
    total = torch.zeros_like(rank).scatter_add_(-1, group, rank.gather(-1, order))
    many = torch.zeros_like(rank).scatter_add_(-1, group, torch.ones_like(rank))
    return rank.scatter_(-1, order, (total / many.clamp(min=1)).gather(-1, group))


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Rank correlation along the last axis; NaN where one side is constant."""
    one, two = (r - r.mean(-1, keepdim=True) for r in (ranks(a.double()), ranks(b.double())))
    made: Tensor = (one * two).sum(-1) / (one.norm(dim=-1) * two.norm(dim=-1))
    return made


def far_from(rows: Tensor) -> list[Tensor]:
    """For each row, the tokens further than NEAR from its centre; all where hardly any are."""
    at = torch.arange(rows.shape[1]).double()
    found = [((at - centre).abs() > NEAR).nonzero()[:, 0] for centre in centres(rows)]
    return [each if len(each) > 2 else torch.arange(rows.shape[1]) for each in found]


def told_controls(scores: Tensor, controls: list[Tensor], rows: Tensor) -> tuple[Check, ...]:
    """How much of the ranking of far tokens each control has, as one check; fails where one has nearly all."""
    names = ("distance alone", "the shuffled sequence")[: len(controls)]
    means = []
    for control in controls:
        found = [
            spearman(scores[:, at][..., tokens], control[:, at][..., tokens]).nanmean()
            for at, tokens in enumerate(far_from(rows))
        ]
        means.append(float(torch.stack(found).nanmean()))
    told = ", ".join(f"{rho:.2f} with {name}" for rho, name in zip(means, names, strict=True))
    good = all(not rho > 0.9 for rho in means)
    return (Check("beyond its controls", good, f"rank correlation of far tokens {told}"),)
