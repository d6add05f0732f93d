"""What a message needs when a model cannot be differentiated: which piece, in which layer, at which line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves

from nucleoscope.engine.gradients import kinks

TORCH = str(Path(torch.__file__).parent)
NUMBERS = ("item", "tolist", "numpy", "__array__", "__float__", "__int__")  # leave torch altogether


class Cuts(TorchFunctionMode):
    """While it is on, it notes the functions of torch that take what has a gradient and give what has none."""

    def __init__(self) -> None:
        super().__init__()
        self.floating: list[str] = []  # their values go on without one
        self.others: list[str] = []  # comparisons, indices, numbers of Python's

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call the function as it is, and look at what came of it."""
        made = func(*args, **(kwargs or {}))
        if any(isinstance(t, Tensor) and t.requires_grad for t in tree_leaves((args, kwargs))):
            out = [t for t in tree_leaves(made) if isinstance(t, Tensor)]
            if out and not any(t.requires_grad for t in out):
                floating = any(t.is_floating_point() for t in out)
                (self.floating if floating else self.others).append(_called(func))
            elif not out and getattr(func, "__name__", "") in NUMBERS:
                self.others.append(_called(func))
        return made

    def __str__(self) -> str:
        return "; ".join(dict.fromkeys(self.floating or self.others))


def _called(func: Any) -> str:
    """A function of torch and the line that called it, in code that is not torch's."""
    frame: Any = sys._getframe(2)
    while frame.f_back and frame.f_code.co_filename.startswith((TORCH, __file__)):
        frame = frame.f_back
    called = (resolve_name(func) or str(func)).removesuffix(".__get__")
    said = " under torch.no_grad" if not torch.is_grad_enabled() else ""
    return f"{called}{said} at {frame.f_code.co_filename}:{frame.f_lineno}"


def not_finite(model: nn.Module, ask: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> str:
    """Where NaN or infinite numbers come up first: in the answer's making, or on the gradient's way back."""
    owners: dict[Any, str] = {}
    told: list[str] = []
    hooks = list(_watched(model, owners, told))
    leaf = inputs[0].detach().clone().requires_grad_()
    try:
        with torch.enable_grad(), torch.autograd.set_detect_anomaly(True, check_nan=False):
            made = ask(leaf.clone(), *inputs[1:])
    finally:
        for hook in hooks:
            hook.remove()
    if told:
        return f"its values are first not finite in {told[0]}"
    if not torch.isfinite(made).all():
        return "its values are first not finite in what is read off its output"
    for each in kinks.functions(made):
        each.register_hook(_Watch(each, owners, told))
    torch.autograd.grad(made.sum(), leaf, allow_unused=True)
    return f"the gradient is first not finite, going back, in {told[0]}" if told else ""


def _watched(model: nn.Module, owners: dict[Any, str], told: list[str]) -> Iterator[Any]:
    """Hooks by which every module notes the functions of autograd that it added, and its first bad value."""
    inside: list[str] = []  # the modules that are being called, innermost last

    def before(said: str) -> Callable[..., None]:
        def note(_module: nn.Module, given: Any) -> None:
            if inside:
                _claim(given, inside[-1], owners)
            inside.append(said)

        return note

    def after(said: str) -> Callable[..., None]:
        def note(_module: nn.Module, given: Any, made: Any) -> None:
            inside.pop()
            _claim(made, said, owners)
            if _finite(tree_leaves(given)) and not _finite(tree_leaves(made)):
                told.append(said)

        return note

    for name, module in model.named_modules():
        said = f"layer {name!r}" if name else "the model's own forward"
        yield module.register_forward_pre_hook(before(said))
        yield module.register_forward_hook(after(said))


def _claim(made: Any, owner: str, owners: dict[Any, str]) -> None:
    """Whatever lies behind these tensors and is nobody's yet is the owner's."""
    waiting = [t.grad_fn for t in tree_leaves(made) if isinstance(t, Tensor)]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in owners:
            owners[node] = owner
            waiting += [before for before, _ in node.next_functions]


class _Watch:
    """A hook on one function of autograd's graph: finite numbers came in and others went out."""

    def __init__(self, node: Any, owners: dict[Any, str], told: list[str]) -> None:
        self._said = (
            f"{owners.get(node, 'what is read off the output')} ({kinks.name(node)}{_line(node)})"
        )
        self._told = told

    def __call__(self, made: tuple[Any, ...], given: tuple[Any, ...]) -> None:
        if _finite(given) and not _finite(made):
            self._told.append(self._said)


def _finite(values: Iterable[Any]) -> bool:
    return all(bool(torch.isfinite(t).all()) for t in values if isinstance(t, Tensor))


def _line(node: Any) -> str:
    """The line of the user's code that called the function, where anomaly mode has kept it."""
    kept = [line for line in node.metadata.get("traceback_", ()) if TORCH not in line]
    own = [line for line in kept if f"{Path('nucleoscope', 'engine')}" not in line]
    if not own:
        return ""
    place = own[-1].strip().splitlines()[0].replace('File "', "").replace('", line ', ":")
    return f" at {place.partition(',')[0]}"


def forbidden(error: RuntimeError) -> str:
    """Why a model cannot be differentiated, by what torch says of it."""
    said = str(error)
    if "inplace operation" in said or "in-place operation" in said:
        return (
            "model: its forward writes in place over values that its gradient needs, so there is none: "
            f"{said.partition('Hint:')[0].strip()} Let it work on copies: x = x + y, not x += y."
        )
    return f"model: it cannot be differentiated: {said}"
