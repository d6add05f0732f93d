"""A Keras file's layers, kind by kind in the order in which they were made, as the tensors of our models."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.models.borzoi import Borzoi
from nucleoscope.models.bpnet import BPNet
from nucleoscope.models.chrom_bpnet import ChromBPNet, ProfileNet
from nucleoscope.models.deep_cre import DeepCRE
from nucleoscope.models.deep_starr import DeepSTARR
from nucleoscope.models.loading.keras_file import Layer
from nucleoscope.models.mpra_dragonn import MPRADragoNN
from nucleoscope.models.relative_attention import RelativeAttention
from nucleoscope.models.splice_ai import SpliceAI

Slot = tuple[str, nn.Module]  # a kind of layer, and the module that takes it
FLATTENED = (DeepCRE, DeepSTARR, MPRADragoNN)  # Keras flattens positions first, we channels
READ = (*FLATTENED, BPNet, ProfileNet, SpliceAI, Borzoi)
KINDS: tuple[tuple[type[nn.Module], str], ...] = (
    (nn.Conv1d, "conv"),
    (nn.Linear, "dense"),
    (nn.BatchNorm1d, "batch norm"),
    (nn.LayerNorm, "layer norm"),
)


def from_keras(model: nn.Module, layers: list[Layer], source: str) -> dict[str, Tensor]:
    """Name -> tensor. Raises ValueError where the numbers of layers of a kind differ, or no map is known."""
    if isinstance(model, ChromBPNet):
        raise ValueError(
            f"{source}: ChromBPNet's two nets come in two files: load each into model.accessibility and model.bias"
        )
    if not isinstance(model, READ):
        raise ValueError(
            f"{source}: it is not known which of Keras' layers are which of {type(model).__name__}'s; known are "
            + ", ".join(kind.__name__ for kind in READ)
        )
    names = {module: name for name, module in model.named_modules()}
    slots = list(ORDER.get(type(model), in_turn)(model))
    tensors: dict[str, Tensor] = {}
    flat = _width(model) if isinstance(model, FLATTENED) else 0
    for kind in dict.fromkeys([kind for kind, _ in slots] + [layer.kind for layer in layers]):
        here = [module for each, module in slots if each == kind]
        there = [layer for layer in layers if layer.kind == kind]
        if len(here) != len(there):
            listed = ", ".join(layer.name for layer in there) or "none"
            raise ValueError(
                f"{source}: {type(model).__name__} has {len(here)} layers of kind {kind}, the file {len(there)} "
                f"({listed})"
            )
        for number, (module, layer) in enumerate(zip(here, there, strict=True)):
            turned = flat if kind == "dense" and number == 0 else 0
            check_parts(kind, layer, turned, source)
            for part, array in MAKE[kind](layer.arrays, turned).items():
                tensors[f"{names[module]}.{part}"] = torch.from_numpy(np.ascontiguousarray(array))
    return tensors


def in_turn(model: nn.Module) -> Iterator[Slot]:
    """The layers in the order in which the model holds them."""
    for module in model.modules():
        for kind, name in KINDS:
            if isinstance(module, kind):
                yield name, module


def splice_ai(model: SpliceAI) -> Iterator[Slot]:
    """A join is made right behind its group there."""
    yield from in_turn(nn.ModuleList([model.first, model.skip]))
    for group, join in zip(model.groups, model.joins, strict=True):
        yield from in_turn(group)
        yield "conv", join
    yield "conv", model.last


def borzoi(model: Borzoi) -> Iterator[Slot]:
    """1x1 convolutions behind the transformer are dense layers there; a step up comes before its skip."""
    yield "conv", model.stem
    yield from in_turn(model.tower)
    for module in model.transformer.modules():
        if isinstance(module, RelativeAttention):
            yield "attention", module
    for part in model.transformer:
        for module in part.modules():
            if isinstance(module, nn.LayerNorm):
                yield "layer norm", module
        yield from (("dense", m) for m in part[1].modules() if isinstance(m, nn.Linear))  # type: ignore[index]
    for up, skip, join in zip(model.up, model.skips, model.joins, strict=True):
        for block in (up, skip):
            yield "batch norm", block[0]  # type: ignore[index]
            yield "dense", block[2]  # type: ignore[index]
        yield "separable", join
    if model.geometry.final:
        yield "batch norm", model.final[0][0]  # type: ignore[index]
        yield "dense", model.final[0][2]  # type: ignore[index]
    yield from (("dense", head) for head in model.heads.values())


ORDER: dict[type[nn.Module], Callable[..., Iterator[Slot]]] = {SpliceAI: splice_ai, Borzoi: borzoi}


def _width(model: nn.Module) -> int:
    """Channels of the last convolution, which are flattened."""
    return [m for m in model.modules() if isinstance(m, nn.Conv1d)][-1].out_channels


def _conv(arrays: dict[str, np.ndarray], _: int) -> dict[str, np.ndarray]:
    return {"weight": arrays["kernel"].transpose(2, 1, 0), **_bias(arrays)}  # (taps, in, out)


def _dense(arrays: dict[str, np.ndarray], channels: int) -> dict[str, np.ndarray]:
    kernel = arrays["kernel"]  # (in, out)
    if channels:
        kernel = kernel.reshape(-1, channels, kernel.shape[1]).swapaxes(0, 1).reshape(kernel.shape)
    return {"weight": kernel.T, **_bias(arrays)}


def _batch_norm(arrays: dict[str, np.ndarray], _: int) -> dict[str, np.ndarray]:
    mean, var = arrays["moving_mean"], arrays["moving_variance"]
    return {**_scaled(arrays, mean), "running_mean": mean, "running_var": var}


def _layer_norm(arrays: dict[str, np.ndarray], _: int) -> dict[str, np.ndarray]:
    return _scaled(arrays, next(iter(arrays.values())))


def _scaled(arrays: dict[str, np.ndarray], like: np.ndarray) -> dict[str, np.ndarray]:
    """Scale and shift; 1 and 0 where the layer was made with scale=False or center=False."""
    gamma, beta = np.ones_like(like), np.zeros_like(like)
    return {"weight": arrays.get("gamma", gamma), "bias": arrays.get("beta", beta)}


def _separable(arrays: dict[str, np.ndarray], _: int) -> dict[str, np.ndarray]:
    return {
        "0.weight": arrays["depthwise_kernel"].transpose(1, 2, 0),
        "1.weight": arrays["pointwise_kernel"].transpose(2, 1, 0),
        "1.bias": arrays["bias"],
    }


def _attention(arrays: dict[str, np.ndarray], _: int) -> dict[str, np.ndarray]:
    parts = {"query": "q", "keys": "k", "values": "v", "distance": "r_k", "out": "embedding"}
    made = {f"{ours}.weight": arrays[f"{theirs}_layer/kernel"].T for ours, theirs in parts.items()}
    return made | {
        "out.bias": arrays["embedding_layer/bias"],
        "content_bias": arrays["r_w_bias"][0],
        "distance_bias": arrays["r_r_bias"][0],
    }


def _bias(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"bias": arrays["bias"]} if "bias" in arrays else {}


# What a layer of a kind has to hold, and what it may.
PARTS: dict[str, tuple[set[str], set[str]]] = {
    "conv": ({"kernel"}, {"bias"}),
    "dense": ({"kernel"}, {"bias"}),
    "batch norm": ({"moving_mean", "moving_variance"}, {"gamma", "beta"}),
    "layer norm": (set(), {"gamma", "beta"}),
    "separable": ({"depthwise_kernel", "pointwise_kernel", "bias"}, set()),
    "attention": (
        {f"{n}_layer/kernel" for n in ("q", "k", "v", "r_k", "embedding")}
        | {"embedding_layer/bias", "r_w_bias", "r_r_bias"},
        set(),
    ),
}


def check_parts(kind: str, layer: Layer, channels: int, source: str) -> None:
    """Raise ValueError where a layer holds more or less than is read of it, or cannot be put channels first."""
    needed, allowed = PARTS[kind]
    said = [
        f"{what} {', '.join(sorted(names))}"
        for what, names in (
            ("lacks", needed - set(layer.arrays)),
            ("holds what is not read:", set(layer.arrays) - needed - allowed),
        )
        if names
    ]
    if said:
        raise ValueError(f"{source}: layer {layer.name}, {kind}, {' and '.join(said)}")
    if channels and layer.arrays["kernel"].shape[0] % channels:
        raise ValueError(
            f"{source}: layer {layer.name} reads {len(layer.arrays['kernel'])} numbers, which is no multiple of "
            f"{channels} channels: was the model made with the file's geometry?"
        )


MAKE: dict[str, Callable[[dict[str, np.ndarray], int], dict[str, np.ndarray]]] = {
    "conv": _conv,
    "dense": _dense,
    "batch norm": _batch_norm,
    "layer norm": _layer_norm,
    "separable": _separable,
    "attention": _attention,
}
