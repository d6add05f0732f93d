"""How well attention is determined: its spectrum, its spread, its inputs; head by head, without the matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nucleoscope.engine.attention.capture.run import Attention
from nucleoscope.engine.attention.fold import weight_blocks

Product = Callable[[Tensor], Tensor]
# Bytes of weights that are kept while they are multiplied again and again: the eight heads of 4,096 tokens, the
# most that spectra are made of unasked. Making them anew for each product takes two to eight times as long.
HELD = 1 << 29
SHOWN = 5  # singular values that are kept


@dataclass(frozen=True)
class Conditioning:
    """One layer's attention P, a number a head. Lists, so that it can be saved as text."""

    layer: str
    line: str
    tokens: int
    entropy: list[float]  # mean over queries, in nats; ln(tokens) is even
    perplexity: list[float]  # median over queries: how many keys a query reads
    sharp: list[float]  # share of queries that read fewer than 2 keys
    sink: list[float]  # the largest share of all attention that one key gets
    sink_token: list[int]
    saturation: list[float]  # mean trace of the softmax's Jacobian; 0: one key each, no gradient
    rank_one: list[float]  # ||P - 1 mean(P)|| / ||P||; 0: all queries read alike
    singular: list[list[float]]  # the largest few, lower bounds; [] where not asked for
    stable_rank: list[float]  # ||P||_F^2 / sigma_1^2
    effective_rank: list[float]  # exp of the entropy of the singular values, estimated
    kappa: dict[str, list[float]]  # of query, key and value: largest over smallest singular value
    stable: dict[str, list[float]]  # their stable ranks
    collinearity: float  # mean cosine between the keys of two tokens
    identifiable: list[
        float
    ]  # ||r P U U^T|| / ||r P||, U the range of the values and 1; [] without rows


def measured(
    layer: Attention,
    identifiable: Tensor | None = None,
    steps: int = 24,
    probes: int = 4,
    seed: int = 0,
) -> Conditioning:
    """All of it; `steps` of Golub-Kahan with `probes` starting vectors a head, none for 0 steps."""
    found = layer.statistics()
    queries, keys = layer.tokens
    squares = found.squares[0].double().sum(-1)  # ||P||_F^2
    columns = found.columns[0].double()
    apart = (squares - columns.square().sum(-1) / queries).clamp(min=0)
    perplexity = found.entropy[0].exp()
    sigma, effective = spectrum(layer, steps, probes, seed) if steps else (None, None)
    first = sigma[:, 0] if sigma is not None else None
    inputs = {"query": layer.query, "key": layer.key, "value": layer.value}
    return Conditioning(
        layer=layer.name, line=layer.line, tokens=keys,
        entropy=found.entropy[0].mean(-1).tolist(),
        perplexity=perplexity.median(-1).values.tolist(),
        sharp=(perplexity < 2).double().mean(-1).tolist(),
        sink=(columns.amax(-1) / queries).tolist(), sink_token=columns.argmax(-1).tolist(),
        saturation=(1 - found.squares[0]).mean(-1).tolist(),
        rank_one=(apart / squares).sqrt().tolist(),
        singular=[] if sigma is None else sigma[:, :SHOWN].tolist(),
        stable_rank=[] if first is None else (squares / first.square()).tolist(),
        effective_rank=[] if effective is None else effective.tolist(),
        kappa={name: kappa(tensor[0]) for name, tensor in inputs.items()},
        stable={name: stable_rank(tensor[0]) for name, tensor in inputs.items()},
        collinearity=collinearity(layer.key[0]),
        identifiable=[] if identifiable is None else identifiable.tolist(),
    )  # fmt: skip


def spectrum(layer: Attention, steps: int, probes: int, seed: int) -> tuple[Tensor, Tensor]:
    """Singular values of P by head, largest first [H, steps], and the effective rank [H].

    Golub and Kahan's bidiagonalisation with both bases kept orthogonal, from random vectors. Singular
    values so found are lower bounds, the largest exact first. The smallest are out of reach without the
    matrix and say nothing, since a softmax of products of few channels is of low rank numerically: there is
    no condition number of P. The effective rank is Lanczos quadrature of the starting vectors.
    """
    queries, keys = layer.tokens
    steps = min(steps, queries, keys)
    times, times_transposed = _products(layer)
    source = torch.Generator().manual_seed(seed)
    shape = (1, layer.heads, keys, probes)
    start = torch.randn(shape, generator=source, dtype=torch.float64).sign().to(layer.query)
    right = [start / start.norm(dim=2, keepdim=True)]
    left: list[Tensor] = []
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    for at in range(steps):
        u = times(right[-1]) - (beside[-1] * left[-1] if at else 0.0)
        u, alpha = _unit(_orthogonal(u, left))
        left.append(u)
        diagonal.append(alpha)
        v = times_transposed(u) - alpha * right[-1]
        v, beta = _unit(_orthogonal(v, right))
        right.append(v)
        beside.append(beta)
    main = torch.cat(diagonal, 2)[0].mT.double()  # [H, probes, steps]
    upper = torch.cat(beside, 2)[0].mT.double()[..., :-1]
    bidiagonal = torch.diag_embed(main) + torch.diag_embed(upper, offset=1)
    _, sigma, rotated = torch.linalg.svd(bidiagonal)
    weights = rotated[..., 0].square()  # of the starting vector on each right singular vector
    trace = (weights * sigma).sum(-1).mean(1)
    spread = torch.xlogy(weights * sigma, sigma).sum(-1).mean(1)
    # With p = sigma / sum(sigma): -sum p ln p = ln(sum sigma) - sum(sigma ln sigma) / sum(sigma).
    effective = (math.log(keys) + trace.log() - spread / trace).exp()
    return sigma.amax(1), effective


def _products(layer: Attention) -> tuple[Product, Product]:
    """P x and P^T y; weights that fit into a few megabytes are made once, others anew each time."""
    queries, keys = layer.tokens
    if layer.heads * queries * keys * layer.query.element_size() <= HELD:
        held = torch.cat([weights for _, _, weights in weight_blocks(layer)], 2)
        return (lambda x: held @ x), (lambda y: held.mT @ y)
    return layer.values, (lambda y: layer.apply(y.mT.contiguous()).mT)


def _orthogonal(vector: Tensor, basis: list[Tensor]) -> Tensor:
    for _ in range(2):
        for each in basis:
            vector = vector - (vector * each).sum(2, keepdim=True) * each
    return vector


def _unit(vector: Tensor) -> tuple[Tensor, Tensor]:
    """A vector over its length, and the length; where nothing is left, zeros."""
    length = vector.norm(dim=2, keepdim=True)
    small = length < 1e-6 if vector.dtype == torch.float32 else length < 1e-13
    length = length.masked_fill(small, 0.0)
    return (vector / length.masked_fill(small, 1.0)).masked_fill(small, 0.0), length


def _gram(tensor: Tensor) -> Tensor:
    """Eigenvalues of X^T X [H, D], in float64, ascending and not below 0."""
    held = tensor.double()
    made: Tensor = torch.linalg.eigvalsh(held.mT @ held)
    return made.clamp(min=0)


def kappa(tensor: Tensor) -> list[float]:
    """Largest over smallest singular value of [H, L, D]; infinite where one is 0."""
    values = _gram(tensor)
    return (values[:, -1] / values[:, 0]).sqrt().tolist()


def stable_rank(tensor: Tensor) -> list[float]:
    """||X||_F^2 / sigma_1^2 of [H, L, D]; 0 where X is 0."""
    values = _gram(tensor)
    return (values.sum(-1) / values[:, -1]).nan_to_num(0.0).tolist()


def collinearity(tensor: Tensor) -> float:
    """Mean cosine between two tokens' channels of all heads [H, L, D]: 1 where all point one way."""
    held = tensor.double().transpose(0, 1).flatten(1)
    unit = torch.nn.functional.normalize(held, dim=1)
    count = len(unit)
    return float((unit.sum(0).square().sum() - count) / max(count * (count - 1), 1))


def identifiable(layer: Attention, moved: Tensor) -> Tensor:
    """||m U U^T|| / ||m|| by row of moved [H, M, L], averaged: [H].

    U spans the values' channels and 1. Whatever weights do at right angles to it changes neither what the
    head gives nor that they sum to 1, so no one can know that part of them (Brunner et al. 2020).
    """
    value = layer.value[0].double()
    ones = torch.ones_like(value[..., :1])
    basis, triangle = torch.linalg.qr(torch.cat([value, ones], -1))  # [G, L, E + 1]
    scale = triangle.diagonal(dim1=-2, dim2=-1).abs()
    basis = basis * (scale > 1e-10 * scale.amax(-1, keepdim=True))[:, None]
    basis = basis.repeat_interleave(layer.heads // len(basis), 0)
    held = moved.double()
    made: Tensor = (held @ basis).norm(dim=-1) / held.norm(dim=-1)
    return made.nan_to_num(0.0).mean(-1)
