"""One trace per module, thrown away as soon as anything it depends on has changed."""

from __future__ import annotations

import contextlib
import copy
import threading
import weakref
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.engine.answers import outputs
from nucleoscope.engine.answers.marks import Key, content, mark, of_training, structure
from nucleoscope.engine.answers.read import Leaves, Read
from nucleoscope.engine.answers.saturation import Unsaturated
from nucleoscope.engine.answers.steady import answer, check_finite, check_steady
from nucleoscope.engine.graph import Graph, Untraceable
from nucleoscope.engine.tracing.trace import quiet, refuse_scripted, trace
from nucleoscope.engine.values.forward import Forward

KEPT_IN_DOUBLE = 20_000_000  # numbers in parameters and buffers
MOST_HELD = 8  # traces of a model, one for each shape of input, `func` and tensor asked about


@dataclass
class _Held:
    structure: dict[str, Key]
    kept: set[str] = field(default_factory=set)  # places that forward writes and does not read
    returns: dict[Key, Any] = field(
        default_factory=dict
    )  # what the model and `func` return, without numbers
    graphs: dict[Key, Graph | Untraceable] = field(default_factory=dict)
    content: Key = ()
    double: list[Tensor] = field(default_factory=list)  # the weights in float64, for verification
    forwards: dict[Key, Forward] = field(default_factory=dict)

    def graph(
        self, key: Key, model: nn.Module, example: Tensor, others: tuple[Tensor, ...], layout: str,
        read: Read, leaves: Leaves,
    ) -> Graph | Untraceable:  # fmt: skip
        """The model's trace up to what is read, or why there is none."""
        if key not in self.graphs:
            self.kept |= _written_by_forward(model, example, others, read)
            try:
                made: Any = trace(model, example, others, layout, read.func, leaves.ending())
            except Untraceable as error:
                made = error
            _keep(self.graphs, key, made)
            self.forwards = {
                k: f for k, f in self.forwards.items() if f.graph in self.graphs.values()
            }
            self.structure = structure(model, self.kept)
        return self.graphs[key]


_held: weakref.WeakKeyDictionary[nn.Module, _Held] = weakref.WeakKeyDictionary()
# Calls of several threads take turns: torch.export is not made for threads, and while a model is
# exported its weights are others, which nobody else may see. One call uses all cores as it is.
in_turn = threading.RLock()


@dataclass(frozen=True)
class Traced:
    """A model with its weights packed, and how far the trace goes."""

    forward: Forward
    leaves: Leaves
    untraced: str = ""  # why `func` is none of it: whole outputs are made, and given to it


def traced(
    model: nn.Module, example: Tensor, others: tuple[Tensor, ...], layout: str,
    dtype: torch.dtype, device: torch.device, precision: str, read: Read,
) -> Traced:  # fmt: skip
    """The model's Graph up to what is asked about, from the cache where nothing has changed.

    Structure (submodules, modes, settings, weights' places and shapes) decides whether the graph
    stands; content (the weights' numbers) decides whether the packed weights do.
    """
    refuse_scripted(model)
    with in_turn:
        held = _held.get(model)
        if held is None or held.structure != structure(model, held.kept):
            held = _held[model] = _Held(structure(model))
        numbers = content(model)
        if held.content != numbers:
            check_finite(model)
        shapes: Key = (layout, *((t.shape[1:], t.dtype) for t in (example, *others)))
        asked: Key = (shapes, None if read.func is None else mark(read.func))
        if asked not in held.returns:
            watching = Unsaturated() if read.func else contextlib.nullcontext()
            with watching:
                one = answer(model, example, others)
                made = _made(read, one)
            _keep(held.returns, asked, (outputs.skeleton(one), outputs.skeleton(made)))
        returned, made = held.returns[asked]
        leaves = read.leaves(made)
        leaves.check()
        graph = held.graph((asked, leaves.key), model, example, others, layout, read, leaves)
        untraced = ""
        if isinstance(graph, Untraceable):
            if read.func is None or not isinstance(returned, Tensor):
                raise graph
            plain, untraced = Read(None), str(graph)
            whole = plain.leaves(returned)
            bare: Key = ((shapes, None), whole.key)
            graph = held.graph(bare, model, example, others, layout, plain, whole)
            if isinstance(graph, Untraceable):
                raise graph
        if held.content != numbers:
            held.forwards, held.content, held.double = {}, numbers, []
        place: Key = (id(graph), dtype, str(device), precision)
        if place not in held.forwards:
            held.forwards[place] = Forward(graph, dtype, device, precision=precision)
        return Traced(held.forwards[place], leaves, untraced)


def _made(read: Read, output: Any) -> Any:
    """What `func` makes of an output that the model gave, or why it cannot."""
    try:
        with torch.no_grad():
            return read.made(output)
    except torch.OutOfMemoryError:
        raise
    except (TypeError, ValueError) as error:
        if str(error).startswith("func: "):
            raise
        raise _of_func(output, error) from error
    except Exception as error:
        raise _of_func(output, error) from error


def _of_func(output: Any, error: Exception) -> ValueError:
    what = tuple(output.shape) if isinstance(output, Tensor) else outputs.described(output)
    return ValueError(
        f"func: it fails on the model's output, {what}: {type(error).__name__}: {error}"
    )


def _keep(held: dict[Key, Any], key: Key, value: Any) -> None:
    """Add to what is held of a model, and let the oldest go: a `func` may be new at every call."""
    held[key] = value
    while len(held) > MOST_HELD:
        del held[next(iter(held))]


def is_held(model: nn.Module) -> bool:
    """Whether there is a trace from an earlier call."""
    held = _held.get(model) if isinstance(model, nn.Module) else None
    return held is not None and bool(held.graphs)


def forget(model: nn.Module) -> None:
    """Throw the model's trace away."""
    _held.pop(model, None)


def _written_by_forward(
    model: nn.Module, example: Tensor, others: tuple[Tensor, ...], read: Read
) -> set[str]:
    """Check that answers are steady, and tell which attributes a forward changes all the same.

    What only the first forward writes (a mask made when it is first needed) is not among them: the model has
    answered once before.
    """
    before = structure(model)
    alone = check_steady(model, example, others, read)
    if alone.dtype in (torch.float16, torch.bfloat16):
        raise Untraceable(
            f"its output is {alone.dtype}, in which most effects are lost to rounding. Let forward return "
            "what it has before it is rounded"
        )
    after = structure(model)
    return {place for place in before | after if before.get(place) != after.get(place)}


def in_double(model: nn.Module) -> nn.Module:
    """The traced model as it is now, copied with its weights in float64.

    Only the weights are kept from one call to the next (if they are few): they are known by their
    numbers, while a setting may have changed unseen.
    """
    with in_turn:
        held = _held[model]
        double = held.double or [_double(t) for t in _floats(model)]
        if sum(t.numel() for t in double) <= KEPT_IN_DOUBLE:
            held.double = double
        return doubled(model, double)


def doubled(model: nn.Module, weights: list[Tensor] | None = None) -> nn.Module:
    """A copy of the model in float64; `weights` are its own, cast already, where they are at hand."""
    cast = [_double(t) for t in _floats(model)] if weights is None else weights
    with in_turn, quiet():  # torch.export's own attributes warn when they are copied
        memo: dict[int, Any] = {id(t): d for t, d in zip(_floats(model), cast, strict=True)}
        memo |= {id(each): each for each in of_training(model)}
        made = copy.deepcopy(model, memo)
    for norm in made.modules():  # an eps that is left open is the number type's own
        if isinstance(norm, nn.RMSNorm) and norm.eps is None:
            norm.eps = torch.finfo(torch.float32).eps
    return made


def _floats(model: nn.Module) -> list[Tensor]:
    return [t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()]


def _double(tensor: Tensor) -> Tensor:
    made = tensor.detach().double()
    return nn.Parameter(made, requires_grad=False) if isinstance(tensor, nn.Parameter) else made
