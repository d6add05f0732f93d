"""What a scan was asked for and by what it was made, as its manifest and its files tell it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from nucleoscope.scan.genome.genome import digest
from nucleoscope.scan.shards.shipping import fingerprint, listed

# Where models came from that were made from names and files, as long as they live: their own state stays as it is.
_SOURCES: WeakKeyDictionary[nn.Module, dict[str, str]] = WeakKeyDictionary()


def came_from(model: nn.Module, name: str, weights: Path | None) -> None:
    """Keep by what name a model was asked for, and from what file its weights are."""
    _SOURCES[model] = {"name": name} | ({} if weights is None else {"weights": weights.name})


def models_of(model: Any) -> list[dict[str, str]]:
    """Each model of a call by itself: its class, its name and its file of weights where these are known, and the
    SHA-256 of its structure and weights."""
    return [
        {
            "class": f"{type(each).__module__}.{type(each).__qualname__}",
            **_SOURCES.get(each, {}),
            "sha256": fingerprint(each),
        }
        for each in listed(model)
    ]


def of_call(model: Any, genome: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Model, genome and parameters, the first two by their contents."""
    return {
        "parameters": {k: told(v) for k, v in sorted(parameters.items())},
        "model": ", ".join(f"{type(m).__module__}.{type(m).__qualname__}" for m in listed(model)),
        "model_sha256": fingerprint(model),
        "genome": genome.name,
        "genome_sha256": digest(genome),
    }


def told(value: object) -> str:
    """As the manifest writes it; a function by its name, since its address changes."""
    return getattr(value, "__qualname__", None) or repr(value)


def versions() -> dict[str, str]:
    """Of what decides numbers."""
    return {name: importlib.metadata.version(name) for name in ("nucleoscope", "torch", "numpy")}


def compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise ValueError where a folder holds what was asked for otherwise, naming it."""
    changed = [key for key in now if before.get(key) != now[key]]
    if changed:
        listed = "; ".join(f"{key} was {before.get(key)!r}, now {now[key]!r}" for key in changed)
        raise ValueError(f"this folder's scan asked for something else: {listed}")
