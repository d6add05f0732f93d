"""Rollout to every token at Enformer's geometry, against the code that stores each layer's matrices.

python -m benchmarks.attention_all_rows --out benchmarks/results/attention_all_rows.json

Beside seconds stands the time that processors spent, which other programs on the machine do not lengthen by
their turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.machine import conditions
from nucleoscope.engine.attention.capture.layer import Layer
from nucleoscope.engine.attention.fold import Rollout
from nucleoscope.naive.methods.attention_rollout import attention_rollout
from nucleoscope.ops import Scores

TOKENS, LAYERS, HEADS, CHANNELS = 1536, 11, 8, 64


def made(seed: int = 0) -> list[Layer]:
    """Layers of Gaussian queries and keys, logits of standard deviation 1."""
    source = torch.Generator().manual_seed(seed)
    shape = (1, HEADS, TOKENS, CHANNELS)
    return [
        Layer(str(at), "", *(torch.randn(shape, generator=source) for _ in range(3)), Scores())
        for at in range(LAYERS)
    ]


def materialising(layers: list[Layer]) -> Tensor:
    """What public tools do: every matrix of every head, their mean, and the product."""
    joint = torch.eye(TOKENS)
    for layer in layers:
        weights = (layer.query @ layer.key.mT * CHANNELS**-0.5).softmax(-1)[0].mean(0)
        joint = (0.5 * torch.eye(TOKENS) + 0.5 * weights) @ joint
    return joint


def ours(layers: list[Layer]) -> Tensor:
    """Rows handed down by the mean of all heads, of which no head's own matrix is made."""
    return Rollout(0.5).down(((layer, None) for layer in reversed(layers)), torch.eye(TOKENS))


def main() -> None:
    """Time both in turn, after their answers were held against float64."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    layers = made()
    exact = attention_rollout(
        [
            (layer.query.double() @ layer.key.double().mT * CHANNELS**-0.5).softmax(-1)[0]
            for layer in layers
        ],
        torch.eye(TOKENS, dtype=torch.float64),
    )
    ways: dict[str, Callable[[list[Layer]], Tensor]] = {
        "ours": ours,
        "materialising": materialising,
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    errors = {
        name: float((way(layers) - exact).norm() / exact.norm()) for name, way in ways.items()
    }
    assert all(error < 1e-5 for error in errors.values()), errors
    for _ in range(given.repeats):
        for name, way in ways.items():
            began, before = time.perf_counter(), time.process_time()
            way(layers)
            found[name].append(time.perf_counter() - began)
            spent[name].append(time.process_time() - before)

    def ratio(times: dict[str, list[float]]) -> dict[str, object]:
        pairs = [b / a for a, b in zip(times["ours"], times["materialising"], strict=True)]
        return {"median": statistics.median(pairs), "each": pairs}

    told = {
        "case": f"{TOKENS} tokens, {LAYERS} layers, {HEADS} heads of {CHANNELS}, every token a row",
        "seconds": found, "times as fast": ratio(found),
        "processor seconds": spent, "times as fast by processor": ratio(spent),
        "relative error": errors, "threads": torch.get_num_threads(), "machine": conditions(),
    }  # fmt: skip
    text = json.dumps(told, indent=2)
    if given.out:
        given.out.write_text(text + "\n")
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
