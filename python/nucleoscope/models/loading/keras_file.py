"""The layers of a Keras HDF5 file, as arrays."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Layer(NamedTuple):
    """A layer with weights: its name, what it is, and its arrays by their last name."""

    name: str
    kind: str  # "conv", "dense", "separable", "batch norm", "layer norm", "attention"
    arrays: dict[str, np.ndarray]


def keras_layers(path: Path, most: int | None = None) -> list[Layer]:
    """The layers in the order of the file; layers that Keras numbered itself, in the order of their numbers.

    `most`: how many numbers the model could take. A file can declare far more than it holds.

    Raises ImportError without h5py, ValueError for a file that is no Keras model, for one of more numbers than
    that, for a layer of a kind that is not known and for one of several arrays of a name (a model in a model).
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            "Keras' files are read by h5py: pip install 'nucleoscope[keras]'"
        ) from error
    try:
        file = h5py.File(path)
    except OSError as error:
        raise ValueError(f"{path.name} is no HDF5 file: {error}") from error
    with file:
        root = file.get("model_weights", file)
        named = root.attrs.get("layer_names", list(root))
        names = [n.decode() if isinstance(n, bytes) else str(n) for n in named]
        layers = []
        for name in names:
            if isinstance(root.get(name), h5py.Group):
                arrays = _arrays(root[name], f"{path.name}: layer {name}", most)
                if most is not None:
                    most -= sum(array.size for array in arrays.values())
                if arrays:
                    layers.append(Layer(name, kind_of(name, arrays), arrays))
    if not layers:
        raise ValueError(f"{path.name} holds no layer with weights: is it a Keras model?")
    return in_turn(layers)


def _arrays(group: Any, where: str, most: int | None) -> dict[str, np.ndarray]:
    """A layer's arrays by their last name; each is read only once its size is known to be within `most`."""
    found: dict[str, Any] = {}
    group.visititems(found.__setitem__)
    arrays: dict[str, np.ndarray] = {}
    for inner, held in found.items():
        if not hasattr(held, "dtype"):
            continue
        if most is not None and (held.size or 0) > most:
            raise ValueError(
                f"{where} declares {inner} {held.shape}: with it the file has more numbers than this model takes. "
                "Is it this model's, with this geometry?"
            )
        if held.dtype.kind not in "fiu":
            raise ValueError(f"{where} holds {inner} of {held.dtype}, which are no real numbers")
        if _last(inner) in arrays:
            raise ValueError(
                f"{where} holds several arrays {_last(inner)!r}: a model in a model is not read; save its layers "
                "by themselves"
            )
        arrays[_last(inner)] = held[()]
    return arrays


def _last(name: str) -> str:
    """``conv1d/kernel:0`` -> ``kernel``; the parts of an attention layer keep their own name before it."""
    parts = name.split(":")[0].split("/")
    part = parts[-2] if len(parts) > 1 and parts[-2].endswith("_layer") else ""
    return f"{part}/{parts[-1]}".lstrip("/")


def kind_of(name: str, arrays: dict[str, np.ndarray]) -> str:
    """What a layer is, by what it holds."""
    if "q_layer/kernel" in arrays:
        return "attention"
    if "depthwise_kernel" in arrays:
        return "separable"
    if "moving_mean" in arrays:
        return "batch norm"
    if "gamma" in arrays:
        return "layer norm"
    kernel = arrays.get("kernel")
    if kernel is not None and kernel.ndim in (2, 3):
        return "conv" if kernel.ndim == 3 else "dense"
    held = ", ".join(f"{key} {value.shape}" for key, value in arrays.items())
    raise ValueError(f"layer {name} holds {held}: no layer of that kind is read")


def in_turn(layers: list[Layer]) -> list[Layer]:
    """Where a kind's names are one word and numbers, sorted by them: the order in which they were made."""
    made: list[Layer] = []
    for kind in dict.fromkeys(layer.kind for layer in layers):
        of_kind = [layer for layer in layers if layer.kind == kind]
        if len({re.sub(r"_\d+$", "", layer.name) for layer in of_kind}) == 1:
            of_kind.sort(key=number)
        made += of_kind
    return made


def number(layer: Layer) -> int:
    """``conv1d_12`` -> 12, ``conv1d`` -> 0."""
    found = re.search(r"_(\d+)$", layer.name)
    return int(found[1]) if found else 0
