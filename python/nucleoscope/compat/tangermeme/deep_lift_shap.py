"""tangermeme's deep_lift_shap and saliency, argument for argument."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from nucleoscope import dinucleotide_shuffle
from nucleoscope import saliency as by_autograd
from nucleoscope.compat.pairs import Pairs
from nucleoscope.compat.tangermeme.inputs import hard, others_as, place_of, ready, typed


class AttributionReferencesResult(NamedTuple):
    """Attributions and the references that they were made with."""

    attributions: Tensor
    references: Tensor


def deep_lift_shap(
    model: nn.Module,
    X: Tensor,  # [N, 4, L]
    args: tuple[Tensor, ...] | None = None,  # each [N, ...]
    target: int = 0,
    batch_size: int = 32,
    references: Callable[..., Tensor] | Tensor = dinucleotide_shuffle,
    n_shuffles: int = 20,
    return_references: bool = False,
    hypothetical: bool = False,
    warning_threshold: float = 0.001,
    additional_nonlinear_ops: Any = None,
    print_convergence_deltas: bool = False,
    raw_outputs: bool = False,
    only_warn: bool = False,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    random_state: int | None = None,
    verbose: bool = False,
) -> Tensor | AttributionReferencesResult:  # [N, 4, L], raw [N, n, 4, L], on the CPU
    """What each base adds to an output, compared with references, as tangermeme 1.6 reports it.

    Every op has its rule, so `additional_nonlinear_ops` must be None. A `references` function is called as
    ``references(X, n=n_shuffles, random_state=random_state)`` once; the default draws uniformly, and other
    shuffles than tangermeme's from the same seed. `only_warn` changes nothing: X is one-hot or refused.

    Raises ValueError for outputs that are not [B, T], and for an op without a rule; warns where a contribution's
    sum misses the output's difference by more than `warning_threshold`.
    """
    if additional_nonlinear_ops is not None:
        raise ValueError(
            "additional_nonlinear_ops: every op goes by the trace here, and none by its module: pass None"
        )
    del only_warn
    letters = hard(X)
    kind, made = typed(model, dtype), []
    given = references if isinstance(references, Tensor) else references(
        letters.to(kind), n=n_shuffles, random_state=random_state
    )  # fmt: skip
    if given.ndim != 4 or given.shape[:1] + given.shape[2:] != letters.shape:
        raise ValueError(
            f"references: of shape {tuple(given.shape)}; must be [N, n, 4, L] for X {tuple(letters.shape)}"
        )
    others = others_as(args, len(letters), kind)
    with ready(model, place_of(device)) as place:
        others = tuple(t.to(place) for t in others)
        pairs = Pairs(
            model, letters[:1].to(place, kind), others, lambda y: _squeezed(y)[:, [target]]
        )
        for i in tqdm(range(len(letters)), disable=not verbose):
            x, own = letters[i : i + 1].to(place, kind), tuple(t[i : i + 1] for t in others)
            total = []
            for b in given[i].to(place, kind).split(batch_size):
                m, change = pairs(x, b, own)
                gap = ((x - b) * m[:, 0]).sum((1, 2)) - change[:, 0]
                _tell(gap.abs(), warning_threshold, print_convergence_deltas)
                total.append((m[:, 0] if raw_outputs else _contributions(m[:, 0], b)).cpu())
            each = torch.cat(total)
            if not raw_outputs:
                each = each.mean(0) * (1.0 if hypothetical else letters[i])
            made.append(each)
    attributions = torch.stack(made)
    return (
        AttributionReferencesResult(attributions, given.cpu())
        if return_references
        else attributions
    )


def saliency(
    model: nn.Module, X: Tensor, args: Any = None, target: int = 0, batch_size: int = 32,
    hypothetical: bool = False, gradient_correction: bool = True, func: Callable[..., Any] | None = None,
    dtype: str | torch.dtype | None = None, device: str | torch.device | None = None, verbose: bool = False,
) -> Tensor:  # fmt: skip
    """The gradient of an output, less its mean over letters, as tangermeme 1.6 reports it: [N, 4, L].

    The engine picks its own batches. Raises what `nucleoscope.saliency` raises.
    """
    del batch_size
    letters, kind = hard(X), typed(model, dtype)
    others = None if args is None else others_as(tuple(args), len(letters), kind)
    with ready(model, place_of(device)):
        found = by_autograd(
            model, letters.to(kind), others, target=target, func=func, hypothetical=hypothetical,
            center="mean" if gradient_correction else "none", progress=verbose,
            precision="fp64" if kind == torch.float64 else "fp32",
        )  # fmt: skip
    return found.scores.cpu()


def _squeezed(y: Tensor) -> Tensor:
    if y.ndim < 2 or y[0].numel() != y.shape[1]:
        raise ValueError(
            f"model: it returns {tuple(y.shape[1:])} for one sequence; [B, T] is needed: wrap it"
        )
    return y.reshape(y.shape[:2])


def _contributions(m: Tensor, b: Tensor) -> Tensor:
    return m - (m * b).sum(1, keepdim=True)


def _tell(gap: Tensor, threshold: float, printed: bool) -> None:
    if printed:
        tqdm.write(str(gap))
    if bool((gap > threshold).any()):
        warnings.warn(f"Convergence deltas too high: {gap}", RuntimeWarning, stacklevel=3)
