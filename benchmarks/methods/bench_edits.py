"""Edits: many variants in one call against tangermeme, and a region's pairs against the plain double loop.

Answers are held to float64 before anything is timed; sides are timed in turn, in seconds of the processor on one
thread, so that neither other programs nor threads that wait for each other count. tangermeme scores one edit a row
of X, so its sequences are repeated; the double loop is timed on a sample of pairs and scaled.
"""

from __future__ import annotations

import copy
import dataclasses
import statistics
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from benchmarks.nets import BPNetCounts
from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.pairs.meeting import Meeting
from nucleoscope.engine.prepare import ask, forward, make_plan
from nucleoscope.engine.tracing.opened import opened
from nucleoscope.models import Basset
from nucleoscope.naive.methods.edited import changes

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from tangermeme.variant_effect import substitution_effect

ROUNDS = 3
SEQUENCES, EDITS, REGION = 200, 1000, 100
NETS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "Basset": (Basset, 600),
    "BPNet": (BPNetCounts, 2114),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seconds(job: Callable[[], object]) -> float:
    """Of the processor."""
    begun = time.process_time()
    job()
    return time.process_time() - begun


def ready(name: str, count: int) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    make, length = NETS[name]
    model = make()
    letters = torch.randint(0, 4, (max(count, 5), length))
    X = nn.functional.one_hot(letters, 4).movedim(2, 1).float().contiguous()
    with torch.no_grad():  # BatchNorm's statistics are those of sequences
        model.train()(X[:5])
    return model.eval(), X[:count]


def in_turn(
    benchmark, ours: Callable[[], object], beside: Callable[[], float], name: str
) -> dict[str, object]:
    """Time ours and, before each round, what stands beside it; the seconds of both, and how often ours fits."""
    theirs: list[float] = []
    own: list[float] = []
    benchmark.pedantic(
        lambda: own.append(seconds(ours)), setup=lambda: theirs.append(beside()), rounds=ROUNDS
    )
    factors = [peer / mine for mine, peer in zip(own, theirs, strict=True)]
    told = {"ours": own, name: theirs, "factor": statistics.median(factors)}
    benchmark.extra_info |= told
    return told


@pytest.mark.benchmark(group="variants")
@pytest.mark.parametrize("name", NETS)
def bench_variants(name: str, benchmark) -> None:
    model, X = ready(name, SEQUENCES)
    random = np.random.default_rng(0)
    which = np.sort(random.integers(SEQUENCES, size=EDITS))
    position = random.integers(X.shape[2], size=EDITS)
    here = X.argmax(1)[which, position].numpy()
    letter = (here + random.integers(1, 4, size=EDITS)) % 4
    ref, alt = (["ACGT"[i] for i in each] for each in (here, letter))
    rows = torch.from_numpy(np.stack([np.arange(EDITS), position, letter], 1))

    def ours() -> Tensor:
        made = nucleoscope.variant_effect(model, X, which, position, ref, alt)
        return made.changes

    def theirs() -> Tensor:
        before, after = substitution_effect(model, X[which], rows, device="cpu")
        made: Tensor = (after - before).flatten(1).mean(1)
        return made

    some = random.permutation(EDITS)[:24]
    edited = X[which[some]].clone()
    edited[range(24), :, position[some]] = torch.eye(4)[letter[some]]
    double = copy.deepcopy(model).double()
    pairs = zip(range(24), edited.double(), strict=True)
    exact = changes(double, X[which[some]].double(), (), pairs)[:, 0]
    got = ours()
    assert (got[some] - exact).abs().max() <= 1e-5 * exact.abs().max()
    # theirs: two forwards an edit; ours: one a sequence, and an edit's windows
    windows, _, whole = nucleoscope.plan(model, X[:1]).work(position)
    arithmetic = 2 * EDITS * whole / (SEQUENCES * whole + EDITS * windows)
    benchmark.extra_info["arithmetic"] = arithmetic
    told = in_turn(benchmark, ours, lambda: seconds(theirs), "tangermeme")
    print(f"{name}, variants: {told}")  # noqa: T201 - the result


def by_multiply_adds(model: nn.Module, X: Tensor, sites: range) -> float:
    """A forward over what a pair comes to by itself, on average over some from the nearest to the furthest."""
    asked = ask(
        model, X, None, start=sites.start, end=sites.stop, layout="NCL", alphabet="ACGT", precision="fp32",
        memory=None, device=None,
    )  # fmt: skip
    held = forward(asked, Read(None, None))
    plan = make_plan(asked, held)
    plan = dataclasses.replace(plan, traced=opened(plan.traced))
    first, second = np.triu_indices(len(sites), 1)
    near = np.argsort(second - first, kind="stable")
    at = np.array(sites)
    windows = {n: spans for n, (spans,) in plan.spread.windows([(at, at + 1)]).items()}
    meeting = Meeting(plan, windows, first[near], second[near])
    each = [meeting.work(slice(pair, pair + 1)) for pair in meeting.sample()]
    return held.forward.work / float(np.mean(each))


@pytest.mark.benchmark(group="pairs")
@pytest.mark.parametrize("name", NETS)
def bench_pairs(name: str, benchmark) -> None:
    model, X = ready(name, 1)
    start = (X.shape[2] - REGION) // 2
    sites = range(start, start + REGION)

    def ours() -> nucleoscope.Pairs:
        return nucleoscope.pairwise(model, X, start=sites.start, end=sites.stop)

    got = ours()
    random = np.random.default_rng(0)
    sample = []
    while len(sample) < 48:
        (i, j), (a, b) = sorted(random.choice(REGION, 2, replace=False)), random.integers(4, size=2)
        if X[0, a, sites[i]] == X[0, b, sites[j]] == 0:
            sample.append((a, i, b, j))

    def doubles(kind: torch.dtype) -> Tensor:
        """f(ab) - f(0) of the sample, and f(a) - f(0), f(b) - f(0)."""
        edits = []
        for a, i, b, j in sample:
            for put in (((a, i), (b, j)), ((a, i),), ((b, j),)):
                edited = X[0].to(kind)
                edited = edited.clone()
                for letter, site in put:
                    edited[:, sites[site]] = torch.eye(4)[letter].to(kind)
                edits.append((0, edited))
        own = copy.deepcopy(model).to(kind)
        return changes(own, X.to(kind), (), edits, batch=32)[:, 0].view(-1, 3)

    both, one, two = doubles(torch.float64).T
    mine = torch.stack([got.interactions[(0, *pair)] for pair in sample])
    assert (mine - (both - one - two)).abs().max() <= 1e-5 * got.singles.abs().max()

    def loop() -> float:
        """The double loop: a forward a pair, as a batch of them."""
        edits = [(0, X[0].clone()) for _ in sample]
        spent = seconds(lambda: changes(model, X, (), edits, batch=32))
        return spent / len(sample) * (got.facts["edits"] + got.facts["pairs_skipped"])

    benchmark.extra_info["arithmetic"] = by_multiply_adds(model, X, sites)
    told = in_turn(benchmark, ours, loop, "loop")
    benchmark.extra_info |= {name: got.facts[name] for name in ("pairs", "pairs_skipped")}
    print(f"{name}, pairs: {told}")  # noqa: T201 - the result
