"""What the filters of a first layer look for: motifs of what makes them fire, in a form that is theirs alone."""

from __future__ import annotations

import gzip
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class KernelMotif(NamedTuple):
    """A filter's motif: what it is made of, and the letters' probabilities."""

    filter: int
    sites: int  # subsequences above the threshold
    threshold: float  # in the units of the convolution's output
    probabilities: Tensor  # [4, K]

    @property
    def information(self) -> Tensor:
        """Bits a position, [K], against equal letters: 0 where nothing is known, 2 where one letter is there."""
        p = self.probabilities
        bits: Tensor = torch.special.xlogy(p, p).sum(0) / math.log(2) + 2
        return bits


def kernel_motifs(
    conv: nn.Conv1d,
    X: Tensor,  # [N, 4, L] one-hot
    *,
    share: float = 0.5,
    both_strands: bool = False,
    pseudocount: float = 1.0,
    batch: int = 256,
) -> list[KernelMotif]:
    """A motif for each filter, of all subsequences at which it exceeds a share of its largest value.

    `share` 0.5 is Basset's threshold. A filter that is nowhere above 0 has no sites, and equal letters. With
    `both_strands` the reverse complements are read too (alphabet ACGT or any in which turning both axes is the
    complement). Subsequences that hold an N or reach over an end are left out.

    Equivalent to::

        letters = mean(one_hot(X[n][:, i : i + K]) for n, i where conv(X)[n, f, i] > share * conv(X)[:, f].max())

    Raises TypeError for a layer of another kind, ValueError for a dilated, strided or grouped one and for other
    input. Source: Alipanahi et al. 2015; Kelley et al. 2016.
    """
    if not isinstance(conv, nn.Conv1d):
        raise TypeError(f"conv: a {type(conv).__name__}, where a model's first nn.Conv1d is needed")
    if conv.stride != (1,) or conv.dilation != (1,) or conv.groups != 1:
        raise ValueError(
            "conv: stride, dilation and groups must be 1: a filter is then one stretch of letters"
        )
    if X.ndim != 3 or X.shape[1] != conv.in_channels or X.shape[2] < conv.kernel_size[0]:
        raise ValueError(
            f"X: shape {tuple(X.shape)}, where [N, {conv.in_channels}, at least {conv.kernel_size[0]}] is needed"
        )
    if not 0 < share < 1:
        raise ValueError(f"share: {share} is not between 0 and 1")
    taps, filters = conv.kernel_size[0], conv.out_channels
    parts = [X, X.flip([1, 2])] if both_strands else [X]
    counts = torch.zeros(filters, X.shape[1], taps, dtype=torch.float64)
    found = torch.zeros(filters, dtype=torch.long)
    with torch.no_grad():
        chunks = [chunk for part in parts for chunk in part.split(batch)]
        tops = torch.stack([_fired(conv, chunk).amax((0, 2)) for chunk in chunks]).amax(0)
        thresholds = share * tops.clamp(min=0)
        for chunk in chunks:
            above = (_fired(conv, chunk) > thresholds[:, None]) & (tops > 0)[:, None]
            windows = chunk.unfold(2, taps, 1).double()  # [N, 4, L - K + 1, K]
            counts += torch.einsum("nfi,ncik->fck", above.double(), windows)
            found += above.sum((0, 2))
    filled = counts + pseudocount / X.shape[1]
    probabilities = filled / filled.sum(1, keepdim=True)
    return [
        KernelMotif(f, int(found[f]), float(thresholds[f]), probabilities[f])
        for f in range(filters)
    ]


def _fired(conv: nn.Conv1d, X: Tensor) -> Tensor:
    """The convolution at whole stretches of known letters; -inf where one is not."""
    made = F.conv1d(X.to(conv.weight.dtype), conv.weight, conv.bias)
    taps = conv.kernel_size[0]
    known = X.amax(1) == 1
    return made.masked_fill(~known.unfold(1, taps, 1).all(2)[:, None], -torch.inf)


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
    output is not one tensor.
    """
    if all(layer is not module for module in model.modules()):
        raise ValueError("layer: it is not a part of the model")
    held: list[Tensor] = []
    keep = layer.register_forward_hook(lambda _m, _i, made: held.append(made))
    try:
        with torch.no_grad():
            original = model(X, *args)
    finally:
        keep.remove()
    if len(held) != 1:
        raise ValueError(
            f"layer: it was run {len(held)} times in one forward, and must be run once"
        )
    if not isinstance(original, Tensor):
        raise ValueError(
            f"model: it gives a {type(original).__name__}; wrap it so that it gives one tensor"
        )
    axes = [axis for axis in range(held[0].ndim) if axis != 1]
    means = held[0].mean(axes)
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


class Match(NamedTuple):
    """A motif of a data base that is like a filter's."""

    filter: int
    name: str
    p_value: float


def tomtom(
    motifs: Sequence[KernelMotif], known: Mapping[str, Tensor], nearest: int = 1
) -> list[Match]:
    """The nearest known motifs of each filter, by TOMTOM (memelite): p-values of one comparison, uncorrected.

    Filters without sites are left out. `known` is what `read_meme` gives. Source: Gupta et al. 2007; Schreiber
    2025.
    """
    try:
        import memelite
    except ImportError as error:
        raise ImportError("TOMTOM is memelite's: pip install 'nucleoscope[motifs]'") from error
    asked = [motif for motif in motifs if motif.sites]
    if not asked:
        raise ValueError("motifs: none has a site, so there is nothing to compare")
    names = list(known)
    p, *_ = memelite.tomtom(
        [m.probabilities.numpy() for m in asked], [known[name].numpy() for name in names]
    )
    order = torch.as_tensor(p).sort(dim=1)
    return [
        Match(motif.filter, names[int(i)], float(value))
        for motif, places, values in zip(asked, order.indices, order.values, strict=True)
        for i, value in zip(places[:nearest], values[:nearest], strict=True)
    ]


def read_meme(path: str | Path) -> dict[str, Tensor]:
    """Name -> letter probabilities [4, K] of a MEME motif file, plain or gzipped (JASPAR's).

    Raises ValueError where a matrix has other than four columns, or another number of rows than it says.
    """
    path = Path(path)
    text = gzip.open(path, "rt").read() if path.suffix == ".gz" else path.read_text()  # noqa: SIM115
    made: dict[str, Tensor] = {}
    for part in text.split("\nMOTIF ")[1:]:
        lines = part.splitlines()
        name = " ".join(lines[0].split())
        start = next((i for i, line in enumerate(lines) if line.startswith("letter-prob")), None)
        if start is None:
            raise ValueError(f"{path}: motif {name} has no letter-probability matrix")
        words = lines[start].split()
        width = int(words[words.index("w=") + 1]) if "w=" in words else 0
        rows = []
        for line in lines[start + 1 :]:
            if not line.strip() or not (line.strip()[0].isdigit() or line.strip()[0] == "."):
                break
            rows.append([float(word) for word in line.split()])
        if (width and len(rows) != width) or not rows or any(len(row) != 4 for row in rows):
            raise ValueError(
                f"{path}: motif {name} has {len(rows)} rows, where w= {width} rows of four are told"
            )
        made[name] = torch.tensor(rows, dtype=torch.float64).T
    if not made:
        raise ValueError(f"{path}: no MOTIF in it: is it a MEME file?")
    return made
