"""A model with its attention taken out and put back: forwards that tell each layer's queries, keys and values."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Graph, GraphModule, Interpreter, Node
from torch.utils._pytree import tree_unflatten

from nucleoscope.engine.answers.marks import Key, structure
from nucleoscope.engine.answers.steady import answer
from nucleoscope.engine.attention.capture.find import Refused, Site, beside, find, tensors_of
from nucleoscope.engine.attention.capture.layer import Layer
from nucleoscope.engine.attention.capture.linear import LinearLayer
from nucleoscope.engine.attention.capture.logits import NotCaptured
from nucleoscope.engine.attention.capture.output import projection
from nucleoscope.engine.graph import Untraceable
from nucleoscope.engine.tracing.trace import (
    module_name,
    quiet,
    refuse_scripted,
    source_line,
    uncompiled,
)
from nucleoscope.naive.ops._scores import shared
from nucleoscope.wrapped import unwrapped as unwrapped

Attention = Layer | LinearLayer
MOST_HELD = 4  # of one model, for as many shapes of inputs


class Captured:
    """A model's attention layers, in the order in which they run, and its forward without any matrix of weights.

    Exported for one sequence at a time, once; the weights are the model's own. Raises Untraceable where
    torch.export cannot follow the model, ValueError where it has no attention that can be taken apart, and what
    `answer` raises where the model itself does not take the inputs.
    """

    def __init__(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        refuse_scripted(model)
        with uncompiled(model), _slow_path(), _attributes_kept(model):
            self.program = _export(model, inputs)
        graph = self.program.graph
        self.sites, self.refused = find(graph, self.program.graph_signature.user_inputs)
        if not self.sites:
            raise NotCaptured(_nothing(self.refused))
        self.beside = beside(graph, self.sites)
        self.names = [module_name(site.node) or site.node.name for site in self.sites]
        self.lines = [source_line(site.node) for site in self.sites]
        self.refusals = [f"{source_line(each.node)}: {each.why}" for each in self.refused]
        self._told: Callable[[int, Attention, Tensor], Tensor] | None = None
        run = Graph()  # a copy: what the sites know of theirs stays as it was
        places: dict[Node, Any] = {}
        run.output(run.graph_copy(graph, places))
        for at, site in enumerate(self.sites):
            self._take_out(run, places, at, site)
        run.eliminate_dead_code()
        self.module = GraphModule(self.program.graph_module, run)  # which holds graphs within ops

    def _take_out(self, run: Graph, places: dict[Node, Any], at: int, site: Site) -> None:
        def attention(*tensors: Tensor) -> Tensor:
            try:
                layer = site.layer(tensors_of(site, tensors), self.names[at], self.lines[at])
            except NotCaptured as why:
                name, line = self.names[at], self.lines[at]
                raise NotCaptured(
                    f"model: attention in {name} cannot be taken apart: {line}: {why}"
                ) from why
            made = layer.values()
            if self._told is not None:
                made = self._told(at, layer, made)
            return _laid_out(site.shaped(made), strides)

        strides = site.node.meta["val"].stride()
        attention.__name__ = f"attention_{at}"
        old = places[site.node]
        with run.inserting_after(old):
            put = run.call_function(attention, tuple(places[leaf] for leaf in site.leaves))
        old.replace_all_uses_with(put, delete_user_cb=lambda user: user is not put)

    def forward(
        self, inputs: tuple[Tensor, ...], told: Callable[[int, Attention, Tensor], Tensor]
    ) -> Any:
        """The model's answer to one sequence; `told` is given (which, layer, what it gives) of every layer.

        What it returns goes on in the place of what the layer gives.
        """
        self._told = told
        try:
            runner = Interpreter(self.module)
            runner.extra_traceback = False  # errors are the layers' own words
            made = runner.run(*self._arguments(inputs), enable_io_processing=False)
        finally:
            self._told = None
        spec = self.program.call_spec.out_spec
        return tree_unflatten(list(made), spec)

    def layers(self, inputs: tuple[Tensor, ...], wanted: set[int] | None = None) -> list[Attention]:
        """The layers of one sequence, all or those wanted, out of any graph of gradients."""
        kept: list[Attention] = []

        def keep(at: int, layer: Attention, made: Tensor) -> Tensor:
            if wanted is None or at in wanted:
                kept.append(layer.detached())
            return made

        with torch.no_grad():
            self.forward(inputs, keep)
        return kept

    def layers_and_gradients(
        self,
        inputs: tuple[Tensor, ...],
        read: Callable[[Any], Tensor],
        wanted: set[int] | None = None,
    ) -> tuple[list[Attention], list[Tensor], Tensor]:
        """Layers, the gradient of a number of the output at what each gives [1, H, L, E], and that number.

        Of all layers or those wanted; what lies below the first of them is not kept for the gradient.
        """
        kept: list[Attention] = []
        given: list[Tensor] = []

        def keep(at: int, layer: Attention, made: Tensor) -> Tensor:
            if wanted is not None and at not in wanted:
                return made
            kept.append(layer.detached())
            given.append(made if made.requires_grad else made.detach().requires_grad_(True))
            return given[-1]

        with torch.enable_grad():
            number = read(self.forward(inputs, keep))
            if number.numel() != 1:
                raise ValueError("one number is needed for a gradient")
            made = torch.autograd.grad(number.sum(), given, allow_unused=True)
        filled = [torch.zeros_like(g) if d is None else d for g, d in zip(given, made, strict=True)]
        half = (torch.float16, torch.bfloat16)
        grads = [d.float() if d.dtype in half else d for d in filled]
        return kept, grads, number.detach()

    def norms(self, at: int, layer: Attention) -> Tensor:  # [1, H, Lk]
        """The length of what each key hands on, head by head: of its value through the output projection.

        Raises NotCaptured where what attention gives goes into no linear layer.
        """
        weight, columns = projection(self.sites[at].node, self.sites[at].labels_of_output)
        held = self._value_of(weight).detach().to(layer.value)  # [D, H E]
        per_head = held[:, columns.to(held.device)].movedim(0, -1)  # [H, E, D]
        gram = per_head @ per_head.mT
        value = shared(layer.value, layer.query)
        return ((value @ gram) * value).sum(-1).clamp(min=0).sqrt()

    def tokens_of(self, at: int) -> tuple[int, int]:
        """(queries, keys) of a layer."""
        return self.sites[at].size

    def heads_of(self, at: int) -> int:
        """The heads of a layer."""
        return self.sites[at].heads

    def bytes_of(self, at: int) -> int:
        """What a layer's tensors take."""
        held = (leaf.meta["val"] for leaf in self.sites[at].leaves)
        return sum(t.numel() * max(t.element_size(), 4) for t in held if isinstance(t, Tensor))

    def _value_of(self, node: Node) -> Tensor:
        """A weight of the model, by the node that stands for it."""
        for spec in self.program.graph_signature.input_specs:
            if spec.arg.name == node.name:
                held: Tensor = self.program.state_dict[str(spec.target)]
                return held
        raise NotCaptured(f"{node.name} is no weight of the model")

    def _arguments(self, inputs: tuple[Tensor, ...]) -> Iterator[Any]:
        given = iter(inputs)
        state, constants = self.program.state_dict, self.program.constants
        for spec in self.program.graph_signature.input_specs:
            if spec.kind is InputKind.USER_INPUT:
                yield next(given)
            elif spec.target in state:
                yield state[spec.target].detach()
            else:
                yield constants[spec.target]


_held: weakref.WeakKeyDictionary[nn.Module, tuple[dict[str, Key], dict[Key, Captured]]]
_held = weakref.WeakKeyDictionary()


def captured(model: nn.Module, inputs: tuple[Tensor, ...]) -> Captured:
    """The model taken apart for inputs of these shapes, kept as long as nothing but its weights changes.

    Not for several threads at once. Raises as `Captured` does.
    """
    now = structure(model)
    held = _held.get(model)
    if held is None or held[0] != now:
        held = _held[model] = (now, {})
    key = tuple((tuple(each.shape), each.dtype) for each in inputs)
    if key not in held[1]:
        made = Captured(model, inputs)
        if len(held[1]) >= MOST_HELD:
            held[1].pop(next(iter(held[1])))
        held[1][key] = made
    return held[1][key]


def _export(model: nn.Module, inputs: tuple[Tensor, ...]) -> ExportedProgram:
    try:
        with quiet(), torch.no_grad():
            exported = torch.export.export(model, inputs, strict=False)
            functional: ExportedProgram = exported.run_decompositions({})
            return functional
    except Exception as error:  # torch.export raises many kinds; all mean the same to the caller
        answer(
            model, inputs[0], inputs[1:]
        )  # unless the model itself fails: then an argument is wrong
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        told = " ".join(lines[:3])[:400]
        raise Untraceable(f"{type(error).__name__}: {told}{_cache(told)}") from error


def _cache(told: str) -> str:
    if "Cache" not in told:
        return ""
    return (
        ". The model returns the keys and values that it keeps for the next token, which is no tensor: set "
        "model.config.use_cache = False"
    )


@contextmanager
def _attributes_kept(model: nn.Module) -> Iterator[None]:
    """What forward writes on its modules while it is exported is none of it afterwards: no numbers are in it."""
    before = [(part, dict(vars(part))) for part in model.modules()]
    try:
        yield
    finally:
        for part, held in before:
            for name in set(vars(part)) - set(held):
                del vars(part)[name]
            vars(part).update(held)


def _laid_out(tensor: Tensor, strides: tuple[int, ...]) -> Tensor:
    """The same numbers with the axes in the order of these strides: views of a trace rely on it."""
    order = sorted(range(tensor.ndim), key=lambda at: -strides[at])
    back = [order.index(at) for at in range(tensor.ndim)]
    return tensor.permute(order).contiguous().permute(back)


@contextmanager
def _slow_path() -> Iterator[None]:
    """nn.TransformerEncoder in single ops, not in one that keeps its attention to itself."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _nothing(refused: list[Refused]) -> str:
    if not refused:
        return "model: there is no attention in it: no softmax of products of queries with keys, and no linear one"
    first = refused[0]
    return f"model: its attention cannot be taken apart: {source_line(first.node)}: {first.why}"
