"""Metrics against Quantus 0.6 on the same model, sequences and scores: `python -m benchmarks.evaluate_quantus`.

Both sides ask for the same sequences in as many steps, or ours for more; they are asked in turn and timed by
processor time. Where the definitions are the same, the answers are compared before anything is timed; where
Quantus's differs from its source, ours is compared with the closed form of an additive model. `ours_seconds` is
the metric itself, on data that `evaluate.run` checks once; `call_seconds` the call as Quantus is called, which
checks it each time. Of both sides the sequences that the model answered are counted, and the time that the model
and the explainer took is told apart: `times_beyond_the_model` is of what is left. One thread: a second one that
waits for work counts as processor time, and more of it beside short calls. Needs `pip install quantus==0.6.0`.
"""

from __future__ import annotations

import copy
import json
import math
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
N, L, ROUNDS, TURN = 256, 200, 7, 0.1
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


class Layers(nn.Module):
    """Three layers to be redrawn one by one."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.find, self.join = nn.Conv1d(4, 8, 7, padding=3), nn.Conv1d(8, 8, 5, padding=2)
            self.head = nn.Linear(8, 1)

    def forward(self, X: Tensor) -> Tensor:
        hidden = torch.relu(self.join(torch.relu(self.find(X))))
        made: Tensor = self.head(hidden.mean(2))
        return made


class Watch:
    """How many sequences a model answered, and the processor seconds of that and of explaining."""

    def __init__(self) -> None:
        self.sequences, self.seconds, self.inside = 0, 0.0, False

    def of(self, ask: Callable[..., Any], X: Any) -> Any:
        """One call of a model or of an explainer; what that asks of the model is not timed twice."""
        if self.inside:
            return ask()
        self.inside, begin = True, time.process_time()
        self.sequences += len(X)
        made = ask()
        self.seconds += time.process_time() - begin
        self.inside = False
        return made


class Watched(nn.Module):
    """A model under watch. Copies of it are under the same one."""

    def __init__(self, model: nn.Module, watch: Watch) -> None:
        super().__init__()
        self.model, self.watch = model, watch

    def __deepcopy__(self, memo: dict[int, Any]) -> Watched:
        return Watched(copy.deepcopy(self.model, memo), self.watch)

    def forward(self, X: Tensor) -> Tensor:
        made: Tensor = self.watch.of(lambda: self.model(X), X)
        return made


@dataclass(frozen=True)
class Given:
    """What both sides are given."""

    model: Watched
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


def given(model: nn.Module) -> Given:
    drawn = torch.randint(4, (N, L), generator=torch.Generator().manual_seed(1))
    x = nn.functional.one_hot(drawn, 4).transpose(1, 2).float().contiguous()  # as a net likes it
    watched = Watched(model, Watch()).eval()
    scores = torch.from_numpy(
        explain(watched, x.numpy())
    )  # of the additive model exact, against zeros
    mask = np.zeros((N, 1, L))
    mask[:, :, 40:60] = 1
    return Given(watched, x.numpy(), np.zeros(N, int), scores.numpy(), mask)


@dataclass(frozen=True)
class Pair:
    """A metric of both sides. same: whether the definitions are; then the answers are."""

    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    same: bool
    exact: float | None = None  # what ours must say of the exact attribution
    more: dict[str, Any] | None = None  # of their call
    model: type[nn.Module] = Additive


def explain(model: Any, inputs: Any, targets: Any = None, **_: Any) -> Any:  # noqa: ARG001
    """Input times gradient: cheap, so that the metric's own code is what is timed."""

    def made() -> Any:
        X = torch.as_tensor(inputs, dtype=torch.float32).requires_grad_()
        (slope,) = torch.autograd.grad(model(X)[:, 0].sum(), X)
        return (slope * X).detach().sum(1, keepdim=True).numpy()

    watch = next(each.watch for each in model.modules() if isinstance(each, Watched))
    return watch.of(made, inputs)


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
        Pair("SensitivityN", lambda: ours.SensitivityN(sizes=PARTS // 3 + 1, subsets=3, background=ZEROS),
             lambda: theirs.SensitivityN(**signed, **curve, n_max_percentage=0.8), False, 1.0),
        Pair("Monotonicity", lambda: ours.Monotonicity(steps=PARTS, background=ZEROS),
             lambda: theirs.Monotonicity(**signed, **curve), False),
        Pair("MonotonicityCorrelation", lambda: ours.MonotonicityCorrelation(positions=PARTS, background=ZEROS),
             lambda: theirs.MonotonicityCorrelation(**signed, **curve, nr_samples=1), False, 1.0),
        Pair("MaxSensitivity", lambda: ours.MaxSensitivity(draws=PARTS, extent=PARTS, moves=math.inf),
             lambda: theirs.MaxSensitivity(**signed, nr_samples=PARTS), False, None, again),
        Pair("Completeness", lambda: ours.Completeness(relative_to="nothing", background=ZEROS),
             lambda: theirs.Completeness(**signed), False, 0.0),
        Pair("MPRT", ours.MPRT, lambda: theirs.MPRT(**plain), False, None, again,
             Layers),
    ]  # fmt: skip


def timed(watch: Watch, ask: Callable[[], Any]) -> tuple[float, float, int]:
    """Of one call: processor seconds, how many of them were the model's and the explainer's, and sequences asked.

    Short calls are repeated for `TURN` seconds; one that comes but once after another's waits for memory.
    """
    watch.sequences, watch.seconds, calls = 0, 0.0, 0
    begin = time.process_time()
    while (taken := time.process_time() - begin) < TURN:
        ask()
        calls += 1
    return taken / calls, watch.seconds / calls, watch.sequences // calls


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
    sides = {
        "quantus": lambda: held.ask(pair.theirs(), **more),
        "ours": lambda: metric(case),
        "call": lambda: held.ask(pair.ours(), **more),
    }
    runs: dict[str, list[tuple[float, float, int]]] = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side, ask in sides.items():
            runs[side].append(timed(held.model.watch, ask))
    middle = {
        side: [statistics.median(c) for c in zip(*each, strict=True)] for side, each in runs.items()
    }
    ratios = sorted(q[0] / o[0] for q, o in zip(runs["quantus"], runs["ours"], strict=True))
    own = {side: seconds - model for side, (seconds, model, _) in middle.items()}
    return row | {
        **{f"{side}_seconds": seconds for side, (seconds, _, _) in middle.items()},
        **{f"{side}_model_seconds": model for side, (_, model, _) in middle.items()},
        **{f"{side}_answers": int(asked) for side, (_, _, asked) in middle.items()},
        "times": middle["quantus"][0] / middle["ours"][0], "least": ratios[0], "most": ratios[-1],
        "times_beyond_the_model": own["quantus"] / own["ours"],
        "times_of_the_call": middle["quantus"][0] / middle["call"][0],
    }  # fmt: skip


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    import quantus

    rows = {}
    for pair in pairs(quantus):
        rows[pair.name] = measured(pair, given(pair.model()))
        print(pair.name, json.dumps(rows[pair.name]))  # noqa: T201
    told = {
        "sequences": N, "length": L, "rounds": ROUNDS, "seconds_a_turn": TURN,
        "clock": "processor seconds, medians, sides in turn",
        "quantus": quantus.__version__, "numpy": np.__version__, "conditions": conditions(), "metrics": rows,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
