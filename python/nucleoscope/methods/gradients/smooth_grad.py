"""SmoothGrad: the gradient averaged over noisy copies of the sequence, whose noise may be other letters."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.answers.read import Func
from nucleoscope.engine.gradients.backward import Inputs
from nucleoscope.engine.gradients.integral import relative
from nucleoscope.engine.gradients.path import Points, sums
from nucleoscope.engine.gradients.quadrature import halves
from nucleoscope.methods.dinucleotide_shuffle import read_count, read_random_state
from nucleoscope.methods.gradients.differentiating import Found, Opened, attributed
from nucleoscope.reading import Sequences
from nucleoscope.result import Attribution

Model = nn.Module | Callable[..., Any]
NOISES = ("gaussian", "substitutions")


def smooth_grad(
    model: Model | Sequence[Model],
    X: Tensor,  # [N, 4, L] one-hot
    args: tuple[Tensor, ...] | None = None,  # further inputs, each [N, ...]
    *,
    target: Any = None,
    n_samples: int = 50,
    noise: str = "gaussian",
    level: float = 0.1,
    random_state: int | None = None,
    func: Func | None = None,
    hypothetical: bool = False,
    center: str = "mean",
    layout: str = "NCL",
    alphabet: str | None = None,
    precision: str = "fp32",
    memory: int | None = None,
    progress: bool = False,
    reverse_complement: bool = False,
    shifts: Sequence[int] = (0,),
) -> Attribution:  # scores [N, 4, L], or [N, T, 4, L] for a list of targets
    """The mean gradient at noisy copies of each sequence: what is left where a kink nearby does not count.

    `error_bar` is half the difference between two halves of the copies relative to the map's size, and
    stands for one standard error of the mean.

    Parameters
    ----------
    model, X, args, target, func, layout, alphabet, memory, progress, reverse_complement, shifts
        As of `saturation_mutagenesis`.
    n_samples
        Copies of each sequence, 2 or more.
    noise, level
        ``"gaussian"``: added to every number of X, with `level` as its standard deviation; a letter is 1.
        ``"substitutions"``: copies stay sequences, each letter is another one with probability `level`.
    random_state
        What copies follow from, with the sequence's letters and the copy's number; None: others each time.
    hypothetical, center, precision
        As of `saliency`.

    Returns
    -------
    Attribution
        ``scores``, and ``error_bar`` [N, T].

    Raises
    ------
    TypeError, ValueError, IndexError
        As `saliency`, and for noise that cannot be.

    Source: Smilkov et al. 2017 (arXiv 1706.03825).

    Equivalent to (one model, one strand, no shift)::

        G = mean of gradient(copy) over copies
        scores = G - G.mean(1, keepdim=True)
        scores if hypothetical else scores * X
    """
    alphabet = alphabet_of(model, alphabet)
    if noise not in NOISES:
        raise ValueError(f"noise={noise!r}: use one of {', '.join(map(repr, NOISES))}")
    most = 1.0 if noise == "substitutions" else float("inf")
    if not isinstance(level, float | int) or isinstance(level, bool) or not 0 < level <= most:
        raise ValueError(
            f"level={level!r}: above 0; a probability of substitution, or a standard deviation"
        )
    many, seed = read_count("n_samples", n_samples), read_random_state(random_state)
    if many < 2:
        raise ValueError("n_samples=1: 2 or more; one copy is no mean")
    errors: list[tuple[Tensor, Tensor]] = []

    def explain(opened: Opened) -> Found:
        noisy = Noise(opened.asked.sequences, noise, float(level), seed)
        raw, original, error = _mean(opened, noisy, many, progress)
        there = opened.asked.sequences.columns.cpu()[:, None]
        off, size = (
            ((g - g.mean(2, keepdim=True) if center == "mean" else g) * there) for g in (error, raw)
        )
        errors.append(tuple(g.flatten(2).pow(2).sum(2).sqrt() for g in (off, size)))  # type: ignore[arg-type]
        return Found(raw, original)

    made = attributed(
        "smooth_grad", explain, model, X, args, target=target, func=func, center=center,
        hypothetical=hypothetical, layout=layout, alphabet=alphabet, precision=precision, memory=memory,
        reverse_complement=reverse_complement, shifts=shifts,
        more={"noise": noise, "level": level, "n_samples": str(many)},
    )  # fmt: skip
    off, size = (torch.stack(part).mean(0) for part in zip(*errors, strict=True))
    return replace(made, error_bar=relative(off, size))


@dataclass(frozen=True)
class Noise:
    """Noisy copies of sequences, of which each follows from the seed, its letters and its number alone."""

    sequences: Sequences
    kind: str
    level: float
    seed: int

    def copy(self, n: int, k: int) -> Tensor:  # [A, L]
        """Copy k of sequence n."""
        letters, columns = self.sequences.letters[n], self.sequences.columns[n].double().cpu()
        spelled = zlib.crc32(np.ascontiguousarray(letters).tobytes())
        draw = np.random.default_rng([self.seed % 2**64, spelled, k])
        size, length = columns.shape
        if self.kind == "gaussian":
            return columns + self.level * torch.from_numpy(draw.standard_normal((size, length)))
        hit = (draw.random(length) < self.level) & (letters >= 0) & (letters < size)
        other = torch.from_numpy((letters + draw.integers(1, size, length)) % size)[hit]
        made = columns.clone()
        made[:, hit] = torch.nn.functional.one_hot(other, size).t().to(made)
        return made


def _mean(opened: Opened, noisy: Noise, many: int, progress: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The mean gradient, the targets of the sequences themselves, and half the difference of two halves."""
    share = np.full(many, 1 / many)
    share, parts = np.stack([share, halves(share)]), []
    with tqdm(
        total=len(opened) * many, unit=" gradients", disable=not progress, unit_scale=True
    ) as bar:
        for rows, inputs in opened.blocks():

            def place(points: Points, rows: slice = rows, inputs: Inputs = inputs) -> Inputs:
                pairs = zip(points.row.tolist(), points.node.tolist(), strict=True)
                copies = torch.stack([noisy.copy(rows.start + n, k) for n, k in pairs])
                row = points.row.to(inputs[0].device)
                return (opened.as_given(copies), *(t[row] for t in inputs[1:]))

            (made,) = sums(opened.backward, place, len(inputs[0]), share, bar.update)
            parts.append((made[0], opened.backward.values(inputs).cpu(), made[1]))
    raw, original, error = (torch.cat(part) for part in zip(*parts, strict=True))
    return opened.columns(raw), original, opened.columns(error)
