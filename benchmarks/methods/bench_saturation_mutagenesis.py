"""All substitutions of one sequence: the engine, tangermeme's windowed path and the plain loop in turn.

The sides are timed in turn, round by round, so that a change in the machine's speed meets all of them.
The plain loop is timed on a sample of edits and scaled; the answers are held to float64 before any of it.
"""

from __future__ import annotations

import copy
import statistics
import time
import warnings
from collections.abc import Callable

import pytest
import tangermeme.saturation_mutagenesis as peer
import torch
from torch import Tensor, nn

import nucleoscope
from benchmarks.cases import CASES
from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis as naive

ROUNDS = 3
SAMPLED_SITES = 16
LOOP_BATCHES = (8, 32)
PEER_BATCHES = (32, 64, 128)


def seconds(job: Callable[[], object]) -> float:
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun


def ours(model: nn.Module, X: Tensor, verify: int = 2) -> Tensor:
    return nucleoscope.saturation_mutagenesis(model, X, hypothetical=True, verify=verify).scores


class Windowed:
    """tangermeme's fast=True with its 30-second gate opened; `engaged` tells whether it was taken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engaged = False
        monkeypatch.setattr(peer, "_FAST_MIN_SECONDS", 0.0)
        decide = peer._fast_path

        def watched(*args: object, **kwargs: object) -> object:
            made = decide(*args, **kwargs)
            self.engaged = made[0] is not None
            return made

        monkeypatch.setattr(peer, "_fast_path", watched)

    def __call__(self, model: nn.Module, X: Tensor, batch: int) -> Tensor:
        self.engaged = False
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # torch.export's inside the peer; and that it falls back
            made: Tensor = peer.saturation_mutagenesis(
                model, X, batch_size=batch, hypothetical=True
            )
        assert self.engaged, (
            "tangermeme fell back to fast=False: this would not be its windowed path"
        )
        return made


def error(model: nn.Module, X: Tensor, scores: Tensor) -> float:
    """Largest difference from a float64 loop over sampled sites, relative to the largest effect."""
    sites = torch.linspace(0, X.shape[2] - 1, SAMPLED_SITES).long().tolist()
    double = copy.deepcopy(model).double()
    parts = [naive(double, X.double(), sites=range(s, s + 1))[0, 0, :, 0] for s in sites]
    exact = torch.stack(parts, 1)
    exact = exact - exact.mean(0)
    return float((scores[0][:, sites] - exact).abs().max() / scores.abs().max())


@pytest.mark.benchmark(group="saturation mutagenesis")
@pytest.mark.parametrize("name", CASES)
def bench_saturation_mutagenesis(name: str, benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    model, X = CASES[name].ready()
    windowed = Windowed(monkeypatch)
    first = seconds(lambda: ours(model, X))  # pays for the trace
    gaps = {
        "ours": error(model, X, ours(model, X)),
        "tangermeme": error(model, X, windowed(model, X, 64)),
    }
    assert gaps["ours"] <= 1e-5, gaps
    assert gaps["tangermeme"] <= 1e-2, gaps

    sites = range(X.shape[2] // 2, X.shape[2] // 2 + SAMPLED_SITES)
    scale = X.shape[2] / len(sites) * 3 / 4  # the plain loop tries the letter there as well
    times: dict[str, list[float]] = {}

    def others() -> None:
        for batch in PEER_BATCHES:
            spent = seconds(lambda batch=batch: windowed(model, X, batch))
            if windowed.engaged:  # a run that fell back is not its windowed path
                times.setdefault(f"tangermeme fast=True, batch {batch}", []).append(spent)
        for batch in LOOP_BATCHES:
            spent = seconds(lambda batch=batch: naive(model, X, sites=sites, batch=batch)) * scale
            times.setdefault(f"plain loop, batch {batch} (sampled)", []).append(spent)

    benchmark.pedantic(lambda: ours(model, X), setup=others, rounds=ROUNDS, warmup_rounds=0)
    assert any(side.startswith("tangermeme") for side in times), "its windowed path never engaged"
    benchmark.extra_info.update(
        error=gaps, first_call=first, edits=3 * X.shape[2],
        others={side: sorted(spent) for side, spent in times.items()},
        medians={side: statistics.median(spent) for side, spent in times.items()},
    )  # fmt: skip
