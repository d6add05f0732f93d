"""What the filters of a first layer look for: motifs of what makes them fire, in a form that is theirs alone."""

from __future__ import annotations

import math
from inspect import signature
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nucleoscope.alphabet import alphabet_of, complement, known
from nucleoscope.models.one_layer import check_layer, watched


class KernelMotif(NamedTuple):
    """A filter's motif: what it is made of, and the letters' probabilities."""

    filter: int
    sites: int  # subsequences above the threshold
    threshold: float  # in the units of `unit`'s output
    probabilities: Tensor  # [A, K]
    unit: str = "convolution"  # "BatchNorm" where one stands behind the convolution

    @property
    def information(self) -> Tensor:
        """Bits a position, [K], against equal letters: 0 where nothing is known, log2(A) for one letter."""
        p = self.probabilities
        bits: Tensor = (torch.special.xlogy(p, p).sum(0) + math.log(len(p))) / math.log(2)
        return bits


def kernel_motifs(
    model: nn.Module,
    layer: nn.Conv1d,
    X: Tensor,  # [N, A, L] one-hot
    *args: Tensor,
    share: float = 0.5,
    both_strands: bool = False,
    alphabet: str | None = None,
    pseudocount: float = 1.0,
    batch: int = 256,
) -> list[KernelMotif]:
    """A motif for each filter of a first layer, of all subsequences where it exceeds a share of its largest value.

    What a filter gives is taken behind the BatchNorm that reads the convolution, where the model has one: there a
    threshold means what goes into the activation, and a negative scale turns round what a filter fires on.
    `KernelMotif.unit` says which of the two it was. `share` 0.5 is Basset's threshold. A filter that is nowhere
    above 0 has no sites, and equal letters. With `both_strands` the reverse complements are read too, by the
    pairs of `alphabet`. Subsequences that hold an N or reach over an end are left out. The model is run once, on
    the first sequence (and its `args`); a layer by itself is a model too.

    Equivalent to::

        made = norm(conv(X))
        letters = mean(one_hot(X[n][:, i : i + K]) for n, i where made[n, f, i] > share * made[:, f].max())

    Raises TypeError for a layer of another kind, ValueError for a dilated, strided or grouped one, one that is no
    part of the model or is read by several BatchNorms, for a model in training mode and for other input. Source:
    Alipanahi et al. 2015; Kelley et al. 2016.
    """
    alphabet = alphabet_of(model, alphabet)
    _check(layer, X, share, alphabet, batch)
    check_layer(model, layer)
    norm = _norm_behind(model, layer, (X[:1], *(t[:1] for t in args)))
    taps, filters = layer.kernel_size[0], layer.out_channels
    parts = [X]
    if both_strands:
        parts.append(X.flip(2)[:, complement(alphabet, "both_strands=True").to(X.device)])
    counts = torch.zeros(filters, X.shape[1], taps, dtype=torch.float64)
    found = torch.zeros(filters, dtype=torch.long)
    with torch.no_grad():
        chunks = [chunk for part in parts for chunk in part.split(batch)]
        tops = torch.stack([_fired(layer, norm, c, alphabet).amax((0, 2)) for c in chunks]).amax(0)
        thresholds = share * tops.clamp(min=0)
        for chunk in chunks:
            made = _fired(layer, norm, chunk, alphabet)
            above = (made > thresholds[:, None]) & (tops > 0)[:, None]
            windows = chunk.unfold(2, taps, 1).double()  # [N, A, L - K + 1, K]
            counts += torch.einsum("nfi,ncik->fck", above.double(), windows)
            found += above.sum((0, 2))
    filled = counts + pseudocount / X.shape[1]
    probabilities = filled / filled.sum(1, keepdim=True)
    unit = "BatchNorm" if norm else "convolution"
    return [
        KernelMotif(f, int(found[f]), float(thresholds[f]), probabilities[f], unit)
        for f in range(filters)
    ]


def _check(layer: nn.Module, X: Tensor, share: float, alphabet: str, batch: int) -> None:
    if not isinstance(layer, nn.Conv1d):
        raise TypeError(
            f"layer: a {type(layer).__name__}, where a model's first nn.Conv1d is needed"
        )
    if layer.stride != (1,) or layer.dilation != (1,) or layer.groups != 1:
        raise ValueError(
            "layer: stride, dilation and groups must be 1: a filter is then one stretch of letters"
        )
    letters, taps = layer.in_channels, layer.kernel_size[0]
    if X.ndim != 3 or not len(X) or X.shape[1] != letters or X.shape[2] < taps:
        raise ValueError(
            f"X: shape {tuple(X.shape)}, where [N, {letters}, at least {taps}] is needed, with a sequence in it"
        )
    if len(alphabet) != letters:
        raise ValueError(
            f"alphabet={alphabet!r}: the layer reads {letters} letters; name each once"
        )
    if not 0 < share < 1:
        raise ValueError(f"share: {share} is not between 0 and 1")
    if not isinstance(batch, int) or batch < 1:
        raise ValueError(f"batch={batch!r}: sequences that are read at once, 1 or more")


class _Norms(TorchFunctionMode):
    """Notes the scale and shift of each BatchNorm that reads what a layer gave."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[Tensor] = []  # by the layer
        self.found: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = signature(func).bind(*args, **kwargs).arguments if func is F.batch_norm else {}
        if any(given.get("input") is each for each in self.made):
            mean, var = given["running_mean"], given["running_var"]
            if mean is None or var is None:
                raise ValueError(
                    "model: the BatchNorm behind the layer keeps no statistics, so a filter's output depends on "
                    "the batch"
                )
            weight, bias = given.get("weight"), given.get("bias")
            scale = (var + given.get("eps", 1e-5)).rsqrt() * (1.0 if weight is None else weight)
            self.found.append((scale, (0.0 if bias is None else bias) - mean * scale))
        return func(*args, **kwargs)


@torch.no_grad()
def _norm_behind(
    model: nn.Module, layer: nn.Conv1d, inputs: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor] | None:
    """Scale and shift [F] of the BatchNorm that reads the layer, if there is one."""
    norms = _Norms()
    hook = layer.register_forward_hook(lambda _m, _i, made: norms.made.append(made))
    try:
        with norms:
            model(*(t.to(layer.weight.dtype) if t.is_floating_point() else t for t in inputs))
    finally:
        hook.remove()
    if not norms.made:
        raise ValueError("layer: the model does not run it")
    first = norms.found[0] if norms.found else None
    for other in norms.found[1:]:
        if any(not torch.equal(a, b) for a, b in zip(other, norms.found[0], strict=True)):
            raise ValueError("layer: several BatchNorms read it; a filter has then no one output")
    return first


def _fired(conv: nn.Conv1d, norm: tuple[Tensor, Tensor] | None, X: Tensor, alphabet: str) -> Tensor:
    """What the filters give at whole stretches of known letters; -inf where one is not."""
    made = F.conv1d(X.to(conv.weight.dtype), conv.weight, conv.bias)
    if norm:
        made = made * norm[0][:, None] + norm[1][:, None]
    whole = known(X, alphabet).unfold(1, conv.kernel_size[0], 1).all(2)
    return made.masked_fill(~whole[:, None], -torch.inf)


class Canonical(NamedTuple):
    """Filters in the one form that has no mean over letters and length 1, and what was taken out."""

    kernels: Tensor  # [F, 4, K]
    scale: Tensor  # [F]
    offset: Tensor  # [F]


def canonical(conv: nn.Conv1d) -> Canonical:
    """A layer's filters freed of what its values do not tell.

    On one-hot letters a constant added to a position's four weights is a constant of the output, which the bias
    takes back; and in front of BatchNorm, or of ReLU and a linear layer, a filter may be any factor larger. So the
    heights of a filter's letters mean nothing until both are fixed.

    Equivalent to::

        conv(x) == scale * conv1d(x, kernels) + offset + bias        # x one-hot, no N, no padding
    """
    weight = conv.weight.detach()
    middle = weight.mean(1, keepdim=True)
    centred = weight - middle
    scale = centred.flatten(1).norm(dim=1)
    safe = torch.where(scale > 0, scale, torch.ones_like(scale))
    return Canonical(centred / safe[:, None, None], scale, middle.sum((1, 2)))


def filter_influence(model: nn.Module, layer: nn.Module, X: Tensor, *args: Tensor) -> Tensor:
    """How much the answer changes when one filter's map is replaced by its mean: [F, *output], mean of |change|.

    The mean is over the sequences and positions of X. `layer` is a module of the model that gives [N, F, ...]. In
    the units of the output. A filter that another one can replace has little influence, and is not useless for it.

    Equivalent to::

        (model(X, with map f at its mean) - model(X)).abs().mean(0)

    Source: Kelley et al. 2016. Raises ValueError where the layer is not a part of the model, is not run, or the
    output is not one tensor, and for a model in training mode.
    """
    check_layer(model, layer)
    with torch.no_grad():
        original, maps = watched(model, layer, X, *args)
    if not isinstance(original, Tensor):
        raise ValueError(
            f"model: it gives a {type(original).__name__}; wrap it so that it gives one tensor"
        )
    means = maps.mean([axis for axis in range(maps.ndim) if axis != 1])
    influence = []
    for f, mean in enumerate(means):

        def replace(
            _m: nn.Module, _i: object, made: Tensor, f: int = f, mean: Tensor = mean
        ) -> Tensor:
            changed = made.clone()
            changed[:, f] = mean
            return changed

        hook = layer.register_forward_hook(replace)
        try:
            with torch.no_grad():
                influence.append((model(X, *args) - original).abs().mean(0))
        finally:
            hook.remove()
    return torch.stack(influence)
