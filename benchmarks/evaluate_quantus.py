"""Metrics against Quantus 0.6 on the same model, sequences and scores: `python -m benchmarks.evaluate_quantus`.

Both sides make at least as many edits of the same sequences, in as many steps; they are asked in turn and timed by
processor time. Where the definitions are the same, the answers are compared before anything is timed; where
Quantus's differs from its source, ours is compared with the closed form of an additive model. `ours_seconds` is
the metric itself, on data that `evaluate.run` checks once; `call_seconds` the call as Quantus is called, which
checks it each time. Needs `pip install quantus==0.6.0`.
"""

from __future__ import annotations

import json
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.machine import conditions
from nucleoscope.compat import quantus as ours
from nucleoscope.evaluate import Background, Case, Data, Explained

RESULTS = Path(__file__).parent / "results" / "evaluate_quantus.json"
N, L, ROUNDS = 256, 200, 7
PARTS = 20  # steps of a curve, of L / 20 positions each
ZEROS = Background("zeros")


class Additive(nn.Module):
    """The sum of a weight for each letter at each position: its exact attribution is known."""

    def __init__(self) -> None:
        super().__init__()
        drawn = torch.randn(4, L, generator=torch.Generator().manual_seed(0))
        self.weight = nn.Parameter(drawn)

    def forward(self, X: Tensor) -> Tensor:
        return (X * self.weight).sum((1, 2))[:, None]


@dataclass(frozen=True)
class Given:
    """What both sides are given."""

    model: nn.Module
    x: Any
    y: Any
    a: Any  # [N, 1, L]
    s: Any

    def ask(self, metric: Any, **more: Any) -> Any:
        """One call, as Quantus is called."""
        arrays = {"a_batch": self.a, "s_batch": self.s}
        return metric(self.model, self.x, self.y, **arrays, device="cpu", softmax=False, **more)

    def case(self) -> Case:
        """The same for a metric of ours by itself."""
        X = torch.from_numpy(self.x)

        def again(model: Any, X: Tensor) -> Explained:
            return Explained.read(explain(model, X)[:, 0], X)

        data = Data(X, 0, torch.from_numpy(self.s[:, 0] > 0))
        return Case(self.model, data, Explained(torch.from_numpy(self.a[:, 0]).double()), again)


def given() -> Given:
    drawn = torch.randint(4, (N, L), generator=torch.Generator().manual_seed(1))
    x = nn.functional.one_hot(drawn, 4).transpose(1, 2).float()
    model = Additive().eval()
    scores = (x * model.weight.detach()).sum(1, keepdim=True)  # exact against zeros
    mask = np.zeros((N, 1, L))
    mask[:, :, 40:60] = 1
    return Given(model, x.numpy(), np.zeros(N, int), scores.numpy(), mask)


@dataclass(frozen=True)
class Pair:
    """A metric of both sides. same: whether the definitions are; then the answers are."""

    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    same: bool
    exact: float | None = None  # what ours must say of the exact attribution
    more: dict[str, Any] | None = None  # of their call


def explain(model: Any, inputs: Any, targets: Any = None, **_: Any) -> Any:  # noqa: ARG001
    """Input times gradient: cheap, so that the metric's own code is what is timed."""
    X = torch.as_tensor(inputs, dtype=torch.float32).requires_grad_()
    (made,) = torch.autograd.grad(model(X)[:, 0].sum(), X)
    return (made * X).detach().sum(1, keepdim=True).numpy()


def pairs(theirs: Any) -> list[Pair]:
    plain = {
        "abs": True,
        "normalise": False,
        "disable_warnings": True,
        "display_progressbar": False,
    }
    signed = {**plain, "abs": False}
    curve = {"features_in_step": 4 * L // PARTS, "perturb_baseline": 0.0}
    again = {"explain_func": explain, "explain_func_kwargs": {}}
    return [
        Pair("Sparseness", ours.Sparseness, lambda: theirs.Sparseness(**plain), True),
        Pair("Complexity", ours.Complexity, lambda: theirs.Complexity(**plain), True),
        Pair("PointingGame", ours.PointingGame, lambda: theirs.PointingGame(**plain), True),
        Pair("RelevanceRankAccuracy", ours.RelevanceRankAccuracy,
             lambda: theirs.RelevanceRankAccuracy(**plain), True),
        Pair("RelevanceMassAccuracy", ours.RelevanceMassAccuracy,
             lambda: theirs.RelevanceMassAccuracy(**plain), True),
        Pair("AUC", ours.AUC, lambda: theirs.AUC(**plain), True),
        Pair("PixelFlipping", lambda: ours.PixelFlipping(steps=PARTS, background=ZEROS),
             lambda: theirs.PixelFlipping(**signed, **curve), False),
        Pair("SensitivityN", lambda: ours.SensitivityN(sizes=PARTS, subsets=3, background=ZEROS),
             lambda: theirs.SensitivityN(**signed, **curve, n_max_percentage=0.8), False, 1.0),
        Pair("Monotonicity", lambda: ours.Monotonicity(steps=PARTS, background=ZEROS),
             lambda: theirs.Monotonicity(**signed, **curve), False),
        Pair("MonotonicityCorrelation", lambda: ours.MonotonicityCorrelation(positions=PARTS, background=ZEROS),
             lambda: theirs.MonotonicityCorrelation(**signed, **curve, nr_samples=1), False, 1.0),
        Pair("MaxSensitivity", lambda: ours.MaxSensitivity(draws=PARTS, extent=PARTS),
             lambda: theirs.MaxSensitivity(**signed, nr_samples=PARTS), False, None, again),
        Pair("Completeness", lambda: ours.Completeness(background=ZEROS),
             lambda: theirs.Completeness(**signed), False, 0.0),
    ]  # fmt: skip


def timed(ask: Callable[[], Any]) -> float:
    begin = time.process_time()
    ask()
    return time.process_time() - begin


def measured(pair: Pair, held: Given) -> dict[str, Any]:
    """Answers first, then times, the sides in turn. Of what Quantus cannot run here the error is kept."""
    more = pair.more or {}
    said = np.asarray(held.ask(pair.ours(), **more), float)
    assert said.shape == (N,), f"{pair.name}: {said.shape}"
    if pair.exact is not None:
        assert np.allclose(said, pair.exact, atol=1e-3), f"{pair.name}: {said.mean()}"
    row: dict[str, Any] = {"ours": float(np.nanmean(said)), "same_definition": pair.same}
    try:
        theirs = held.ask(pair.theirs(), **more)
    except Exception as error:  # part of what is to be known of it
        return row | {"quantus_fails": f"{type(error).__name__}: {error}"[:200]}
    numbers = np.asarray(
        [v for v in np.ravel(theirs) if isinstance(v, int | float | np.number | np.bool_)], float
    )
    row |= {
        "quantus": float(np.nanmean(numbers)) if len(numbers) else None,
        "quantus_numbers": len(numbers),
    }
    if pair.same:
        assert np.allclose(said, numbers, atol=1e-5), f"{pair.name}: {np.abs(said - numbers).max()}"
    case, metric = held.case(), pair.ours().metric
    times: dict[str, list[float]] = {"quantus": [], "ours": [], "call": []}
    for _ in range(ROUNDS):
        times["quantus"].append(timed(lambda: held.ask(pair.theirs(), **more)))
        times["ours"].append(timed(lambda: metric(case)))
        times["call"].append(timed(lambda: held.ask(pair.ours(), **more)))
    middle = {side: statistics.median(each) for side, each in times.items()}
    ratios = sorted(q / o for q, o in zip(times["quantus"], times["ours"], strict=True))
    return row | {
        **{f"{side}_seconds": seconds for side, seconds in middle.items()},
        "times": middle["quantus"] / middle["ours"], "least": ratios[0], "most": ratios[-1],
        "times_of_the_call": middle["quantus"] / middle["call"],
    }  # fmt: skip


def main() -> None:
    warnings.simplefilter("ignore")
    import quantus

    held, rows = given(), {}
    for pair in pairs(quantus):
        rows[pair.name] = measured(pair, held)
        print(pair.name, json.dumps(rows[pair.name]))  # noqa: T201
    told = {
        "sequences": N, "length": L, "rounds": ROUNDS, "clock": "processor seconds, medians, sides in turn",
        "quantus": quantus.__version__, "numpy": np.__version__, "conditions": conditions(), "metrics": rows,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
