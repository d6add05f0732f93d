"""What the field asks models about, ready to be a `func`: profile scores, counts, genes, ratios, log-odds.

Each makes one number or one tensor a sequence of what a model returns, [B, ...], in ops that are traced with
the model, so that nothing is computed but what they read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Index = Any  # as Python indexes one sequence's output
Func = Callable[[Tensor], Tensor]


def profile_score(logits: Tensor) -> Tensor:  # [B, ...] -> [B]
    """The shape of a profile as one number: its logits, weighed by the probabilities they give.

    The logits are of one multinomial: all positions, strands and tracks of a sequence together; pass
    ``lambda out: profile_score(out["profile"][:, 0])`` for one of several. They are centred, so that a
    constant added to all of them counts nothing. The probabilities carry no gradient.

    Raises ValueError for one number a sequence, which has no shape.

    Source: BPNet, Avsec et al. 2021 (Nat. Genet. 53, 354), as in bpnet-lite and ChromBPNet.

    Equivalent to::

        z = logits.flatten(1)
        z = z - z.mean(1, keepdim=True)
        (torch.softmax(z, 1).detach() * z).sum(1)
    """
    if logits.ndim < 2 or logits[0].numel() < 2:
        raise ValueError(f"logits: a profile [B, ...] is needed, got shape {tuple(logits.shape)}")
    z = logits.flatten(1)
    z = z - z.mean(1, keepdim=True)
    return (torch.softmax(z, 1).detach() * z).sum(1)


def log_counts(profile: Tensor) -> Tensor:  # [B, C, L] -> [B, C]; [B, L] -> [B]
    """The logarithm of the reads that a profile adds up to, of a model that predicts counts a position.

    The last axis is the length. BPNet's own counts head gives this number as it is.

    Source: log(1 + counts), Avsec et al. 2021 (Nat. Genet. 53, 354).

    Equivalent to::

        torch.log(1 + profile.sum(-1))
    """
    if profile.ndim < 2:
        raise ValueError(
            f"profile: positions are needed, [B, ..., L], got shape {tuple(profile.shape)}"
        )
    return torch.log1p(profile.sum(-1))


def bins(where: slice | Sequence[int], how: str = "mean", axis: int = -1) -> Func:
    """The bins of a gene, or of any other set, as one: their mean or their sum along one axis of the output.

    where: a slice, or the numbers of the bins, each once; those of a gene's exons in Borzoi. axis: which axis
    of the output [B, ...] they count; not the first, which is the batch. [B, C, L] gives [B, C].

    Raises ValueError or TypeError for what is no set of bins, IndexError (of the function returned) for
    bins that the output has not got.

    Source: gene-level scores, Linder et al. 2025 (Borzoi, Nat. Genet. 57, 949).

    Equivalent to::

        output.index_select(axis, torch.tensor(where)).sum(axis)  # or mean
    """
    if how not in ("mean", "sum"):
        raise ValueError(f"how={how!r}: use 'mean' or 'sum'")
    if axis == 0:
        raise ValueError("axis=0: the first axis is the batch; bins lie along another")
    chosen = where if isinstance(where, slice) else [int(at) for at in where]
    if isinstance(chosen, list) and (not chosen or len(set(chosen)) < len(chosen)):
        raise ValueError(f"where={where!r}: each bin once, and one at least")

    def of_bins(output: Tensor) -> Tensor:
        many = output.shape[axis]
        which = (
            range(many)[chosen] if isinstance(chosen, slice) else [_bin(at, many) for at in chosen]
        )
        if not len(which):
            raise IndexError(f"where={where!r}: it selects none of {many} bins")
        first, last = min(which), max(which) + 1
        part = output.narrow(axis, first, last - first)
        if len(which) < last - first:
            share = torch.zeros(last - first, dtype=output.dtype, device=output.device)
            share[[at - first for at in which]] = 1.0
            part = part * share.view(-1, *[1] * (output.ndim - 1 - axis % output.ndim))
        total = part.sum(axis)
        return total / len(which) if how == "mean" else total

    return of_bins


def _bin(at: int, many: int) -> int:
    if not -many <= at < many:
        raise IndexError(f"where: bin {at} of an output that has {many}")
    return at % many


def ratio(above: Index, below: Index, log: bool = False) -> Func:
    """What one part of the output is relative to another: the quotient of their means, [B].

    above, below: indices into one sequence's output, as for `target`. log: the logarithm of the quotient, as a
    difference of logarithms; both means must then be positive.

    Equivalent to::

        output[:, above].flatten(1).mean(1) / output[:, below].flatten(1).mean(1)
    """

    def of_two(output: Tensor) -> Tensor:
        a, b = (_mean(output, index) for index in (above, below))
        return torch.log(a) - torch.log(b) if log else a / b

    return of_two


def _mean(output: Tensor, index: Index) -> Tensor:
    at = (slice(None), *(index if isinstance(index, tuple) else (index,)))
    picked = output[at]
    return picked.mean(list(range(1, picked.ndim))) if picked.ndim > 1 else picked


def log_odds(probability: Tensor) -> Tensor:  # [B, ...] -> [B, ...]
    """How probable against how improbable, of a head that ends in a sigmoid or a softmax.

    A head that is sure moves by less than its own rounding, whatever an edit does; its log-odds do not
    saturate. Where the model is traced they are read before the sigmoid or softmax, and nothing cancels:
    what a sigmoid was given, or, of a softmax, a class's logit against the logsumexp of the others.

    Source: the logit, Berkson 1944 (J. Am. Stat. Assoc. 39, 357).

    Equivalent to::

        torch.log(probability) - torch.log(1 - probability)
    """
    return torch.logit(probability)
