"""Rules for an integral over [0, 1]: nodes, weights, and a null rule that tells how far off they may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
LEAST = 8  # nodes below which an error bar is not to be believed

# captum's names are accepted; the weights here always sum to 1.
NAMES = {
    "midpoint": "midpoint",
    "riemann_middle": "midpoint",
    "gauss_legendre": "gauss_legendre",
    "gausslegendre": "gauss_legendre",
    "trapezoid": "trapezoid",
    "riemann_trapezoid": "trapezoid",
    "left": "left",
    "riemann_left": "left",
    "right": "right",
    "riemann_right": "right",
}

# A jump anywhere between two nodes is off by 1 / sqrt(12) of a node's weight in midpoints, in quadratic mean,
# and by 1 / sqrt(2) in halves + - - +: with the root of 2 / 3 the null rule would be twice the error. Of eight
# nodes of trained nets it is more than that, so it is meant to be 1.8 times.
OF_JUMPS = 0.9 * float(np.sqrt(2 / 3))


@dataclass(frozen=True)
class Rule:
    """Sum of weights[k] * f(nodes[k]); the same with `null` is 0 for a straight line, and else an error.

    The null rule's size stands for the rule's error: it is scaled so that what is no trend at all
    counts in it as much as in the rule.
    """

    name: str
    nodes: Numbers  # [n], in rising order
    weights: Numbers  # [n], sum 1
    null: Numbers  # [n], sum 0

    def __len__(self) -> int:
        return len(self.nodes)


def rule(name: str, n: int) -> Rule:
    """The rule of that name with n nodes. Raises ValueError for an unknown name or too few nodes."""
    if name not in NAMES:
        raise ValueError(f"method={name!r}: use one of {', '.join(map(repr, NAMES))}, or 'auto'")
    kind = NAMES[name]
    least = 2 if kind == "trapezoid" else 1
    if n < least:
        raise ValueError(f"n_steps={n}: the rule {kind!r} needs at least {least}")
    if kind == "gauss_legendre":
        nodes, weights = np.polynomial.legendre.leggauss(n)
        nodes, weights = (nodes + 1) / 2, weights / 2
        return Rule(kind, nodes, weights, _highest_null(nodes, weights))
    steps, weights = np.arange(n), np.full(n, 1 / n)
    if kind == "trapezoid":
        nodes, weights = steps / (n - 1), np.full(n, 1 / (n - 1))
        weights[[0, -1]] /= 2
    else:
        nodes = (steps + {"midpoint": 0.5, "left": 0.0, "right": 1.0}[kind]) / n
    null = halves(weights)
    return Rule(kind, nodes, weights, OF_JUMPS * null if kind == "midpoint" else null)


def signs(n: int) -> Numbers:
    """+ - - + + - - + ...: two halves of equally spaced nodes between which no straight trend differs."""
    return np.where(np.isin(np.arange(n) % 4, (0, 3)), 1.0, -1.0)


def halves(weights: Numbers) -> Numbers:
    """Half the difference between what the nodes marked + and those marked - give as rules of their own."""
    sign = signs(len(weights))
    if len(weights) == 1:
        return np.zeros(1)
    plus, minus = weights[sign > 0].sum(), weights[sign < 0].sum()
    return np.where(sign > 0, weights / plus, -weights / minus) / 2


def _highest_null(nodes: Numbers, weights: Numbers) -> Numbers:
    """What is 0 for all polynomials of degree n - 2, as large as the weights: a divided difference."""
    if len(nodes) == 1:
        return np.zeros(1)
    apart = nodes[:, None] - nodes[None] + np.eye(len(nodes))
    logs = -np.log(np.abs(apart)).sum(1)
    made: Numbers = np.prod(np.sign(apart), 1) * np.exp(logs - logs.max())
    return made * float(np.linalg.norm(weights) / np.linalg.norm(made))


def clenshaw_curtis(n: int) -> Rule:
    """n = 2^k + 1 Chebyshev nodes, every second of which are those of the rule with 2^(k-1) + 1.

    Source: Clenshaw and Curtis 1960 (Numer. Math. 2, 197). Its null rule is the difference to the
    rule inside it.
    """
    m = n - 1
    if m < 2 or m & (m - 1):
        raise ValueError(f"n={n}: Clenshaw-Curtis rules are nested for 2^k + 1 nodes")
    nodes, weights = _clenshaw_curtis(m)
    null = weights.copy()
    null[::2] -= _clenshaw_curtis(m // 2)[1]
    return Rule("clenshaw_curtis", nodes, weights, null)


def _clenshaw_curtis(m: int) -> tuple[Numbers, Numbers]:
    angle = np.pi * np.arange(m + 1) / m
    j = np.arange(1, m // 2 + 1)
    share = np.where(j == m / 2, 1.0, 2.0) / (4.0 * j**2 - 1)
    weights = (1 - np.cos(2 * angle[:, None] * j) @ share) / m
    weights[[0, -1]] /= 2
    return (1 - np.cos(angle)) / 2, weights
