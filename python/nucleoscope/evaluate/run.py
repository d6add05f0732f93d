"""Explainers by models by seeds, each cell by itself: explained, watched, measured, kept."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from nucleoscope.evaluate.asked import (
    by_name,
    digest,
    read_data,
    read_metrics,
    read_models,
    read_seeds,
)
from nucleoscope.evaluate.case import Case, Explained
from nucleoscope.evaluate.cells import Cells, Found, told
from nucleoscope.evaluate.content import content
from nucleoscope.evaluate.data import Data
from nucleoscope.evaluate.explainers import Explainer, read_explainers
from nucleoscope.evaluate.judging import quality
from nucleoscope.evaluate.metrics.metric import Metric
from nucleoscope.evaluate.pool import over_processes
from nucleoscope.evaluate.quality import Quality
from nucleoscope.evaluate.results import Answer, Cell, Results, Scores
from nucleoscope.evaluate.versions import versions
from nucleoscope.evaluate.watching import watched


@dataclass(frozen=True, eq=False)
class Job:
    """All that a worker needs."""

    explainers: Mapping[str, Explainer]
    models: Mapping[str, Any]
    data: Mapping[str, Data]
    metrics: Mapping[str, Metric]
    batch_size: int

    def cell(self, cell: Cell, remembered: dict[bytes, Tensor]) -> Found:
        """Explain and measure one cell; what goes wrong is part of the answer."""
        model, data = self.models[cell.model], self.data[cell.model]
        explainer = self.explainers[cell.explainer]

        def explain(asked: Any, X: Tensor) -> Explained:
            return explainer(asked, X, data.target, cell.seed)

        try:
            explained, cost = watched(explain, model, data.X)
        except (Exception, SystemExit) as error:
            return self.failed(cell, told(error))
        case = Case(model, data, explained, explain, cell.seed, self.batch_size, remembered)
        measured = {
            name: self.measured(cell, name, case, cost.seconds, cost.memory)
            for name in self.metrics
        }
        return Found(cell, explained.positions.detach().float().numpy(), measured)

    def failed(self, cell: Cell, reason: str) -> Found:
        """A cell of which nothing is known but why."""
        return Found(cell, None, {name: self.none(cell, name, reason) for name in self.metrics})

    def measured(self, cell: Cell, name: str, case: Case, *cost: float) -> Answer:
        """One metric of a cell."""
        metric, begin = self.metrics[name], time.perf_counter()
        try:
            values = metric(case).detach().cpu()
            if values.shape != (len(case.data),) or values.dtype != torch.float64:
                got = f"{values.dtype} of shape {tuple(values.shape)}"
                raise TypeError(f"metrics give one float64 for each sequence; got {got}")
        except (Exception, SystemExit) as error:
            return self.none(cell, name, told(error))
        taken = time.perf_counter() - begin
        return Answer(
            cell, name, metric.category, metric.higher_is_better, values.numpy(), "ok", "", cost[0], taken,
            cost[1], getattr(metric, "undefined", ""),
        )  # fmt: skip

    def none(self, cell: Cell, name: str, reason: str, status: str = "failed") -> Answer:
        """An answer without values."""
        metric = self.metrics[name]
        return Answer(
            cell, name, metric.category, metric.higher_is_better, np.empty(0), status, reason
        )


def run(
    explainers: Mapping[str, Any],
    models: Mapping[str, Any],
    data: Data | Mapping[str, Data],
    metrics: Sequence[Metric] | Mapping[str, Metric],
    *,
    seeds: Sequence[int] = (0,),
    workers: int = 0,
    out: str | Path | None = None,
    batch_size: int = 256,
    progress: bool = False,
) -> Results:
    """Every explainer asked about every model, and every metric asked of what it says.

    Parameters
    ----------
    explainers
        By name: one of ours ("mutagenesis", "saliency", "input_x_gradient", "smooth_grad", "integrated_gradients",
        "expected_gradients", "deep_lift_shap", or "random", the control), an `Explainer` (`of_captum`,
        `of_tangermeme`, `of_shap`), or any function of (model, inputs, targets), as Quantus takes them.
    models
        By name, in eval mode, each from ``[B, 4, L]``. They are left as they are.
    data
        One for all models, or one for each by its name.
    metrics
        Of `nucleoscope.evaluate.metrics`, or your own; their names, or those of a mapping, are the table's.
    seeds
        Of everything that is drawn: backgrounds, sets, edits, and what explainers draw themselves.
    workers
        Processes of this machine beside this one; the cores are shared out among them. An explainer that ends its
        process (a segmentation fault, too much memory) is recorded as failed and the run goes on. 0: this process
        itself, without the seconds that another takes to start; such an explainer ends it, with all that is not in
        `out`, from where the run goes on when it is asked for with 1 worker.
    out
        A folder for finished cells: a run that was stopped goes on there, and one with other explainers, models,
        data, metrics, seeds or versions, by their content, is refused.
    batch_size
        Sequences of one call of a model.
    progress
        Show how many of the cells (an explainer, a model, a seed) are done, their rate and the time left.

    Returns
    -------
    Results
        A value for each sequence, NaN where it is undefined. An explainer that raises, returns another shape or
        NaN, changes the model, its input or torch's settings, or says something else when it is asked again is
        recorded with the reason, and so is a metric that fails. A model that is no better than chance at its
        labels is not explained: its answers are "refused".

    Raises
    ------
    TypeError, ValueError
        For what cannot be meant: names that come twice, data for no model, a model in training mode.

    Equivalent to::

        {(e, m, k, s): metrics[k](Case(models[m], data[m], explainers[e](models[m], data[m].X, seed=s)))}
    """
    told_models, asked = read_models(models), read_seeds(seeds)
    job = Job(
        read_explainers(by_name("explainers", explainers)), told_models,
        read_data(data, list(told_models)), read_metrics(metrics), batch_size,
    )  # fmt: skip
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
        raise ValueError(f"workers={workers!r}: a number of processes, or 0 for this one")
    facts = _facts(job, asked)  # before a model is asked, which may count
    found = {name: quality(model, job.data[name], batch_size) for name, model in job.models.items()}
    cells = Cells(None if out is None else Path(out), facts["request"])
    every = [Cell(e, m, s) for m in job.models for s in asked for e in job.explainers]
    fit = [cell for cell in every if _passed(found[cell.model]) and not cells.has(cell)]
    for each in tqdm(
        over_processes(job, fit, workers), total=len(fit), unit=" cells", disable=not progress
    ):
        cells.keep(each)
    return _results(job, every, cells, {n: q for n, q in found.items() if q is not None}, facts)


def _passed(found: Quality | None) -> bool:
    return found is None or found.passed


def _results(
    job: Job, every: list[Cell], cells: Cells, qualities: dict[str, Quality], facts: dict[str, Any]
) -> Results:
    answers: list[Answer] = []
    maps: dict[tuple[str, str], Scores] = {}
    for cell in every:
        held = qualities.get(cell.model)
        if not _passed(held):
            said = f"the model is not explained: {held}"
            answers += [job.none(cell, name, said, "refused") for name in job.metrics]
            continue
        found = cells.read(cell)
        answers += found.answers.values()
        if found.positions is not None:
            maps.setdefault((cell.explainer, cell.model), found.positions)
    return Results(tuple(answers), facts, qualities, maps)


def _facts(job: Job, seeds: list[int]) -> dict[str, Any]:
    """What was asked, by which a resumed run is known, and what it ran on."""
    request = {
        "explainers": {name: str(each) for name, each in job.explainers.items()},
        "models": {name: content(each) for name, each in job.models.items()},
        "data": {name: digest(each) for name, each in job.data.items()},
        "metrics": {name: _named(each) for name, each in job.metrics.items()},
        "seeds": seeds,
        "versions": versions(),
    }
    return {"request": request, "python": platform.python_version(), "machine": platform.machine()}


def _named(metric: Metric) -> str:
    """A metric in a line, and a digest of all of it: another of the same name and options is another."""
    said = repr(metric)
    said = type(metric).__qualname__ if " at 0x" in said else said
    return f"{said} #{content(metric)[:16]}"
