"""All substitutions of one sequence: the engine, tangermeme's windowed path and the plain loop in turn.

The sides are timed in turn, round by round, so that a change in the machine's speed meets all of them.
The plain loop is timed on a sample of edits and scaled, the windowed path on all of them and on half, which
tells what a call costs from what a site does; the answers are held to float64 before any of it.
A network of this size may take minutes, so they are best timed one by one; `benchmarks/report.py` says how the
results come together.
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
from benchmarks.cases import CASES, Case
from benchmarks.structure import multiply_adds
from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis as naive
from nucleoscope.ops import has_bf16

BF16_TOLERANCE = 5e-2
LOOP_BATCHES = (8, 32)


def seconds(job: Callable[[], object]) -> float:
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun


def ours(
    case: Case, model: nn.Module, X: Tensor, verify: int = 2, precision: str = "fp32",
    sites: range | None = None,
) -> Tensor:  # fmt: skip
    sites = case.range if sites is None else sites
    return nucleoscope.saturation_mutagenesis(
        model, X, start=sites.start, end=sites.stop, hypothetical=True, verify=verify,
        precision=precision,
    ).scores  # fmt: skip


def sgemm() -> float:
    """The machine's rate of matrix products now, in FLOP/s."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    return 2 * 2048**3 / seconds(lambda: a @ b)


def further(case: Case, job: Callable[[range], object], whole: float) -> float:
    """Seconds of one site more: by a line through half of the sites and `whole`, the seconds of all of them.

    What a call costs whatever it edits (an export, originals, a verification) is not in it.
    """
    few, many = len(case.range) // 2, len(case.range)
    return (whole - seconds(lambda: job(case.middle(few)))) / (many - few)


class Peer:
    """tangermeme: fast=True with its 30-second gate opened, where `engaged` tells whether it was taken,
    and fast=False."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engaged = False
        monkeypatch.setattr(peer, "_FAST_MIN_SECONDS", 0.0)
        decide = peer._fast_path

        def watched(*args: object, **kwargs: object) -> object:
            made = decide(*args, **kwargs)
            self.engaged = made[0] is not None
            return made

        monkeypatch.setattr(peer, "_fast_path", watched)

    def __call__(
        self, model: nn.Module, X: Tensor, sites: range, batch: int, fast: bool = True
    ) -> Tensor:
        self.engaged = False
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # torch.export's inside the peer; and that it falls back
            made: Tensor = peer.saturation_mutagenesis(
                model, X, start=sites.start, end=sites.stop, batch_size=batch, hypothetical=True, fast=fast
            )  # fmt: skip
        return made


def truth(case: Case, model: nn.Module, X: Tensor, mine: Tensor) -> tuple[list[int], Tensor]:
    """Some sites, counted from the case's first, the strongest among them: their float64 scores."""
    sites = case.range
    judged = sorted({round(i) for i in torch.linspace(0, len(sites) - 1, case.judged).tolist()})
    judged.append(int(mine[0].abs().amax(0).argmax()))
    double = copy.deepcopy(model).double()
    parts = [
        naive(double, X.double(), sites=range(sites[s], sites[s] + 1), batch=4)[0, 0, :, 0]
        for s in judged
    ]
    exact = torch.stack(parts, 1)
    return judged, exact - exact.mean(0)


def compile_loop(case: Case, model: nn.Module, X: Tensor) -> nn.Module:
    """The model under torch.compile, compiled for the loop's batches."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.compile's own
        compiled: nn.Module = torch.compile(model, dynamic=False)
        naive(compiled, X, sites=case.middle(case.loop_sites), batch=LOOP_BATCHES[-1])
    return compiled


def median(spent: list[float]) -> float:
    return statistics.median(spent)


@pytest.mark.benchmark(group="saturation mutagenesis")
@pytest.mark.parametrize("name", CASES)
def bench_saturation_mutagenesis(name: str, benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    model, X = case.ready()
    windowed, sites = Peer(monkeypatch), case.range
    compiled = compile_loop(case, model, X) if case.compiled else None
    first = seconds(lambda: ours(case, model, X))  # pays for the trace
    mine = ours(case, model, X)
    judged, exact = truth(case, model, X, mine)

    def error(scores: Tensor) -> float:
        return float((scores[0][:, judged] - exact).abs().max() / exact.abs().max())

    gaps = {"ours": error(mine)}
    assert gaps["ours"] <= case.tolerance, gaps
    bf16 = case.bf16 and has_bf16()
    if bf16:
        gaps["bf16"] = error(ours(case, model, X, precision="bf16"))
        assert gaps["bf16"] <= BF16_TOLERANCE, gaps
    times: dict[str, list[float]] = {}
    a_site: dict[str, list[float]] = {}  # seconds of one more
    rates: list[float] = []
    unverified: list[float] = []
    brief: list[float] = []  # under bf16, without verification

    loop = case.middle(case.loop_sites)

    def beside() -> None:
        for batch in case.peer_batches if case.peer else ():
            side = f"tangermeme fast=True, batch {batch}"
            spent = seconds(lambda batch=batch: windowed(model, X, sites, batch))
            if windowed.engaged:  # a run that fell back is not its windowed path
                times.setdefault(side, []).append(spent)
                more = further(
                    case, lambda some, batch=batch: windowed(model, X, some, batch), spent
                )
                a_site.setdefault(side, []).append(more)
        # the plain loop tries the letter there as well; both run the original once
        scale = (3 * len(sites) + 1) / (4 * len(loop) + 1)
        for batch in LOOP_BATCHES:
            spent = seconds(lambda batch=batch: naive(model, X, sites=loop, batch=batch)) * scale
            times.setdefault(f"plain loop, batch {batch} (sampled)", []).append(spent)
        if case.peer:
            spent = seconds(lambda: windowed(model, X, loop, LOOP_BATCHES[-1], fast=False))
            spent *= len(sites) / len(loop)
            times.setdefault("tangermeme fast=False (sampled)", []).append(spent)
        if compiled is not None:
            spent = seconds(lambda: naive(compiled, X, sites=loop, batch=LOOP_BATCHES[-1])) * scale
            times.setdefault("torch.compile, plain loop (sampled)", []).append(spent)
        rates.append(sgemm())
        unverified.append(seconds(lambda: ours(case, model, X, verify=0)))
        if case.peer:
            more = further(case, lambda some: ours(case, model, X, 0, sites=some), unverified[-1])
            a_site.setdefault("nucleoscope", []).append(more)
        if bf16:
            brief.append(seconds(lambda: ours(case, model, X, verify=0, precision="bf16")))

    benchmark.pedantic(
        lambda: ours(case, model, X), setup=beside, rounds=case.rounds, warmup_rounds=0
    )
    counted = multiply_adds(model, case.length, sites) if case.local else None
    benchmark.extra_info.update(
        error=gaps, judged_sites=len(judged), first_call=first, edits=3 * len(sites),
        multiply_adds=counted, sgemm=median(rates), without_verification=median(unverified),
        bf16_without_verification=median(brief) if brief else None,
        sampled_sites={"plain loop": len(loop)},
        further_site={side: median(spent) for side, spent in a_site.items()},
        others={side: sorted(spent) for side, spent in times.items()},
        medians={side: median(spent) for side, spent in times.items()},
    )  # fmt: skip
