"""What the methods on attention share: the request read, the model taken apart, one sequence after the other."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.engine.attention.capture.run import Attention, Captured, captured, unwrapped
from nucleoscope.engine.attention.conditioning import Conditioning
from nucleoscope.engine.device import home
from nucleoscope.engine.shuffle import shuffles
from nucleoscope.engine.tracing.cache import in_turn
from nucleoscope.methods.attention.token_rows import Spans, TokenMap, read_rows, read_tokens
from nucleoscope.naive.methods.full_float32 import full_float32
from nucleoscope.reading import Sequences, read_model, read_others, read_sequences
from nucleoscope.result import Check

LIMIT = 8 << 30  # bytes of queries, keys and values of one sequence that are kept at once


@dataclass(frozen=True)
class Attending:
    """A model whose attention is at hand, and the sequences."""

    model: nn.Module
    captured: Captured
    X: Tensor  # as the model takes it
    args: tuple[Tensor, ...]
    sequences: Sequences | None  # letters; None where X holds numbers of tokens
    layers: tuple[int, ...]  # which of the captured ones, first to last
    tokens: int
    places: TokenMap | None
    memory: int

    @property
    def columns(self) -> Tensor | None:
        """The sequences as an attribution keeps them, [N, 4, L]; None of tokens."""
        if self.sequences is None:
            return None
        return self.sequences.columns.detach().cpu().to(torch.int8)

    def inputs(self, at: int, X: Tensor | None = None) -> tuple[Tensor, ...]:
        """What the model is given of one sequence, or of another in its place."""
        given = self.X[at : at + 1] if X is None else X
        return (given, *(arg[at : at + 1] for arg in self.args))

    def top_down(self, inputs: tuple[Tensor, ...]) -> Iterator[Attention]:
        """The layers from the last to the first; where not all fit into memory, the model runs once a part."""
        for wanted in self.parts():
            held = self.captured.layers(inputs, wanted)
            while held:  # of a part, one layer at most is still held when the next is made
                yield held.pop()

    def parts(self) -> Iterator[set[int]]:
        """Which layers are held together, from the last to the first."""
        left = list(self.layers)
        while left:
            count = self._together(left)
            wanted, left = left[len(left) - count :], left[: len(left) - count]
            yield set(wanted)

    def _together(self, left: list[int]) -> int:
        room = self.memory
        for count, at in enumerate(reversed(left)):
            room -= self.captured.bytes_of(at)
            if room < 0:
                return max(count, 1)
        return len(left)

    def shuffled(self, at: int, n: int, seed: int) -> Iterator[Tensor]:
        """One sequence with its dinucleotides shuffled, or its tokens but for the first and last, n times."""
        if self.sequences is not None:
            made = shuffles(self.sequences, n, seed + at, self.X.dtype)[at]
            for each in made:
                turned = each if self.sequences.layout == "NCL" else each.T
                yield turned[None].to(self.X)
            return
        source = torch.Generator().manual_seed(seed + at)
        for _ in range(n):
            order = torch.randperm(self.X.shape[1] - 2, generator=source).to(self.X.device) + 1
            ends = self.X[at : at + 1, :1], self.X[at : at + 1, -1:]
            yield torch.cat([ends[0], self.X[at : at + 1, order], ends[1]], 1)


@contextlib.contextmanager
def attending(
    model: Any, X: Tensor, args: tuple[Tensor, ...] | None, *, layers: Any, tokens: Spans | None,
    layout: str, alphabet: str, precision: str, memory: int | None,
) -> Iterator[Attending]:  # fmt: skip
    """Read a request and take the model apart. Raises TypeError, ValueError, IndexError, Untraceable."""
    net, _ = unwrapped(model)
    dtype = read_model(net)
    sequences = read_sequences(X, alphabet, layout) if _is_one_hot(X) else None
    if precision not in ("fp32", "fp64"):
        raise ValueError(f"precision={precision!r}: use 'fp32' or 'fp64'")
    others = read_others(args, len(X))
    if precision == "fp64" and dtype != torch.float64:
        net, dtype = copy.deepcopy(net).double(), torch.float64
        others = tuple(a.double() if a.is_floating_point() else a for a in others)
    device = home(net)
    with in_turn, full_float32({device}), torch.inference_mode(False):  # relevance has gradients
        given = X.detach().to(device, dtype if sequences is not None else None)
        given = given.clone() if given.is_inference() else given
        others = tuple((a.clone() if a.is_inference() else a).to(device) for a in others)
        apart = captured(net, (given[:1], *(a[:1] for a in others)))
        chosen, count = _layers(apart, layers)
        length = None if sequences is None else sequences.letters.shape[1]
        places = read_tokens(tokens, count, length)
        limit = LIMIT if memory is None else _read_memory(memory, apart, chosen)
        yield Attending(net, apart, given, others, sequences, chosen, count, places, limit)


def _read_memory(memory: Any, captured: Captured, layers: tuple[int, ...]) -> int:
    if not isinstance(memory, Integral) or isinstance(memory, bool):
        raise TypeError(f"memory={memory!r}: a number of bytes, e.g. 2 << 30 for 2 GiB")
    most = max(layers, key=captured.bytes_of)
    if int(memory) < (needed := captured.bytes_of(most)):
        raise ValueError(
            f"memory={memory}: queries, keys and values of {captured.names[most]} alone take {needed:,} bytes; "
            "give as many, or a shorter sequence"
        )
    return int(memory)


def _is_one_hot(X: Any) -> bool:
    """Whether X is to be read as letters, and not as numbers of tokens [N, T]."""
    if not isinstance(X, Tensor):
        raise TypeError(f"X: expected a torch.Tensor, got {type(X).__name__}")
    whole = not (X.is_floating_point() or X.is_complex())
    if whole and X.ndim == 2:
        if X.shape[0] == 0 or X.shape[1] < 3:
            raise ValueError(
                f"X: shape {tuple(X.shape)}; must be [N, T] with one sequence or more of 3 or more tokens"
            )
        return False
    return True


def _layers(captured: Captured, asked: Any) -> tuple[tuple[int, ...], int]:
    """Which layers a row passes, first to last, and how many tokens each has."""
    count = len(captured.sites)
    if asked is None:
        chosen = list(range(count))
        blocked = [each for each in captured.refused if each.square]
        if blocked:
            raise ValueError(
                "model: not all of its attention could be captured, and rows would skip a layer: "
                f"{captured.refusals[captured.refused.index(blocked[0])]}. Pass layers= to go through the "
                f"captured ones alone: {captured.names}"
            )
    else:
        listed = [asked] if isinstance(asked, Integral) else list(asked)
        wrong = [
            each
            for each in listed
            if not isinstance(each, Integral) or not -count <= int(each) < count
        ]
        if wrong or not listed:
            raise IndexError(
                f"layers={asked!r}: the model has {count} attention layers, from 0: {captured.names}"
            )
        chosen = sorted({int(each) % count for each in listed})
    apart = [(one, at) for at in chosen for one in sorted(captured.beside[at]) if one in chosen]
    if apart:
        one, other = apart[0]
        raise ValueError(
            f"model: attention layers {one} ({captured.lines[one]}) and {other} ({captured.lines[other]}) "
            "lie beside each other: neither reads what the other gives, and rows that pass from layer to layer "
            "would go through both in turn. Pass layers= with one of them"
        )
    sizes = {captured.tokens_of(at) for at in chosen}
    if len(sizes) > 1 or any(queries != keys for queries, keys in sizes):
        told = ", ".join(
            f"{captured.names[at]} {captured.tokens_of(at)[0]} by {captured.tokens_of(at)[1]}"
            for at in chosen
        )
        raise ValueError(
            f"model: rows pass from layer to layer only where all have as many queries as keys ({told}). Pass "
            "layers= with those that do"
        )
    return tuple(chosen), next(iter(sizes))[0]


def rows_for(request: Attending, rows: Any) -> Tensor:  # [M, T]
    """The rows that are asked about, where and as the layers compute."""
    read = read_rows(rows, request.tokens, request.places)
    kept = torch.float64 if request.X.dtype == torch.float64 else torch.float32
    return read.to(request.X.device, kept)


def read_heads(heads: Any, request: Attending, *, each: bool = True) -> Any:
    """Heads to average: None all, "each" every one apart, or their numbers. Raises ValueError."""
    counts = {request.captured.heads_of(at) for at in request.layers}
    if heads is None or (each and heads == "each" and len(counts) == 1):
        return heads
    listed = [heads] if isinstance(heads, Integral) else heads
    known = isinstance(listed, list | tuple) and len(listed) > 0
    if not known or not all(isinstance(h, Integral) and 0 <= int(h) < min(counts) for h in listed):
        apart = ", 'each' for every one by itself (where all layers have as many)" if each else ""
        raise ValueError(
            f"heads={heads!r}: use None for the mean of all{apart}, or numbers from 0 to {min(counts) - 1}"
        )
    return tuple(int(h) for h in listed)


def read_number(name: str, value: Any, low: float, high: float) -> float:
    """A number in [low, high]. Raises TypeError or ValueError."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}={value!r}: a number from {low:g} to {high:g}") from error
    if not low <= number <= high:
        raise ValueError(f"{name}={value!r}: a number from {low:g} to {high:g}")
    return number


def told_conditioning(found: list[Conditioning]) -> tuple[Check, ...]:
    """What limits how far weights can be trusted, as checks of a result."""
    if not found:
        return ()
    shares = [each for layer in found for each in layer.identifiable]
    checks = []
    if shares:
        low, high, mean = min(shares), max(shares), sum(shares) / len(shares)
        detail = (
            f"{mean:.2f} of what a head hands on shows in what it gives ({low:.2f} to {high:.2f} by head); the "
            "rest could be any other weights"
        )
        checks.append(Check("identifiable fraction", mean >= 0.5, detail))
    checks.append(_conditioned(found))
    return tuple(checks)


def _conditioned(found: list[Conditioning]) -> Check:
    tokens = found[0].tokens

    def over(get: Callable[[Conditioning], list[float]]) -> tuple[float, float]:
        numbers = [each for layer in found for each in get(layer)] or [float("nan")]
        return min(numbers), max(numbers)

    read, sink = over(lambda c: c.perplexity), over(lambda c: c.sink)
    kappa, sharp = over(lambda c: c.kappa["key"]), over(lambda c: c.sharp)
    rank, effective = over(lambda c: c.stable_rank), over(lambda c: c.effective_rank)
    ranks = f"stable rank {rank[0]:.1f} to {rank[1]:.1f}, " if rank[0] == rank[0] else ""
    flags = []
    if kappa[1] > 3e3:
        flags.append(f"keys are collinear (condition {kappa[1]:.0e})")
    if effective[0] < 0.05 * tokens:
        flags.append(f"a head is of effective rank {effective[0]:.1f} of {tokens}")
    if sharp[1] > 0.5:
        flags.append(f"a head reads one key alone at {sharp[1]:.0%} of queries")
    detail = (
        f"a query reads {read[0]:.0f} to {read[1]:.0f} of {tokens} keys (median, by head), {ranks}one key draws "
        f"up to {sink[1]:.0%}, condition of keys {kappa[0]:.0f} to {kappa[1]:.0f}"
    )
    return Check("conditioning", not flags, "; ".join([detail, *flags]))
