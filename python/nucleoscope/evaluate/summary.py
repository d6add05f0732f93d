"""What a table of results comes to: means with intervals, ranks, and whether another seed ranks alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nucleoscope.evaluate.quality import DRAWS, interval
from nucleoscope.evaluate.results import Answer, Results
from nucleoscope.evaluate.statistics import ranks

LEAST = 5  # sequences of a ranking: all of fewer speak for one of two equals by chance too often, 4 with 1 in 16


@dataclass(frozen=True)
class Mean:
    """What an explainer scored in a metric on a model, over sequences and seeds, with its bootstrap interval."""

    explainer: str
    model: str
    metric: str
    higher_is_better: bool
    value: float  # NaN where it failed, was refused, or is undefined for all sequences
    low: float
    high: float
    defined: int  # sequences that have a value
    rank: float  # among the explainers of this model and metric, 1 the best, ties sharing; NaN where there is none
    reason: str = ""  # why it failed or was refused
    compared: int = 0  # sequences of which all explainers have a value: it is ranked by these, if they are `LEAST`
    undefined: int = 0  # sequences without a value
    why: str = ""  # they have none, as the metric says it


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b of the ranking of explainers between seeds or models, mean over pairs, with its interval."""

    model: str
    metric: str
    tau: float  # NaN for one seed, or fewer than two explainers with a value
    low: float
    high: float
    seeds: int  # that were compared; models of `agreement_between`
    explainers: int


def by_sequence(results: Results) -> dict[tuple[str, str, str], Tensor]:
    """Each sequence's value [N] by model, metric and explainer: the mean over the seeds at which it is defined.

    All that is shown of results is made of these: an explainer that failed or was refused with one seed has none,
    as the sequences and seeds of the others would not be its own.
    """
    return {
        (*key, name): values
        for key, group in _groups(results)
        for name, values in _of_sequences(group).items()
    }


def means(results: Results) -> list[Mean]:
    """Means over sequences with 95 % intervals, sequences resampled, their seeds averaged first.

    Undefined values are left out of a mean, and counted: `defined`, `undefined`. Explainers are ranked by means
    over the same sequences, those of which each of them has a value, so that none is ranked by easier ones; where
    these are fewer than `LEAST`, nobody is ranked.
    """
    made = []
    for (model, metric), group in _groups(results):
        tables = _of_sequences(group)
        ranked, compared = _ranked(tables, group[0].higher_is_better)
        for name in dict.fromkeys(each.cell.explainer for each in group):
            why = next((e.reason for e in group if e.cell.explainer == name and e.reason), "")
            value, low, high, many = _NOTHING
            undefined = 0
            if name in tables:
                value, low, high, many = _average(tables[name])
                undefined = len(tables[name]) - many
            made.append(Mean(
                name, model, metric, group[0].higher_is_better, value, low, high, many,
                ranked.get(name, float("nan")), why, compared if name in ranked else 0, undefined,
                group[0].undefined if undefined else "",
            ))  # fmt: skip
    return made


def agreement(results: Results) -> list[Agreement]:
    """How alike explainers are ranked with another seed: of backgrounds, of edits, and of the explainers' own.

    The interval is over resampled sequences, the same ones for all explainers and seeds. Sequences count of which
    each of them has a value; NaN where these are fewer than `LEAST`.
    """
    made = []
    for (model, metric), group in _groups(results):
        tables = _tables(group)
        whole = [t for t in tables.values() if not t.isnan().all(1).any()]
        seeds = max((len(t) for t in whole), default=0)
        whole = [t for t in whole if len(t) == seeds]
        if seeds < 2 or len(whole) < 2:
            made.append(Agreement(model, metric, *(float("nan"),) * 3, seeds, len(whole)))
            continue
        values = _enough(torch.stack(whole))  # [E, S, N]
        tau = _tau(values.mean(2))
        low, high = interval(_tau(_resampled(values)))
        made.append(Agreement(model, metric, float(tau), low, high, seeds, len(whole)))
    return made


def agreement_between(results: Results, models: Sequence[str], name: str) -> list[Agreement]:
    """How alike explainers are ranked on several models, such as networks that were trained with other seeds.

    Of each metric; an explainer without a value on one of the models does not take part, and of each model those
    sequences count of which all others have one. The interval is over sequences, resampled for each model by
    itself; NaN where of one these are fewer than `LEAST`. `name` stands in the place of a model's in what is
    returned.

    Raises ValueError for fewer than two models, or one that is not among the results.
    """
    there = {each.cell.model for each in results.answers}
    if len(set(models)) < 2 or not there.issuperset(models):
        raise ValueError(f"models={list(models)}: two or more of {', '.join(sorted(there))}")
    held: dict[str, dict[str, dict[str, Tensor]]] = {}  # metric, model, explainer
    for (model, metric), group in _groups(results):
        if model in models:
            held.setdefault(metric, {})[model] = {
                e: t for e, t in _of_sequences(group).items() if not t.isnan().all()
            }
    return [_between(name, metric, list(of.values())) for metric, of in held.items()]


def _between(name: str, metric: str, of: list[dict[str, Tensor]]) -> Agreement:
    every = [e for e in of[0] if all(e in each for each in of)]
    if len(every) < 2:
        return Agreement(name, metric, *(float("nan"),) * 3, len(of), len(every))
    values = [_enough(torch.stack([each[e] for e in every])) for each in of]  # of each [E, N]
    tau = _tau(torch.stack([v.mean(1) for v in values], 1))
    drawn = [_resampled(v, seed) for seed, v in enumerate(values)]  # [DRAWS, E]
    low, high = interval(_tau(torch.stack(drawn, 2)))
    return Agreement(name, metric, float(tau), low, high, len(of), len(every))


def _groups(results: Results) -> Iterator[tuple[tuple[str, str], list[Answer]]]:
    groups: dict[tuple[str, str], list[Answer]] = {}
    for each in results.answers:
        groups.setdefault((each.cell.model, each.metric), []).append(each)
    yield from groups.items()


def _of_sequences(group: list[Answer]) -> dict[str, Tensor]:
    return {name: table.nanmean(0) for name, table in _tables(group).items()}  # over seeds


def _tables(group: list[Answer]) -> dict[str, Tensor]:
    """[seeds, N] for each explainer that has values with every seed."""
    found: dict[str, list[Tensor]] = {}
    broken = {each.cell.explainer for each in group if each.status != "ok"}
    for each in group:
        if each.cell.explainer not in broken:
            found.setdefault(each.cell.explainer, []).append(torch.from_numpy(each.values))
    return {name: torch.stack(rows) for name, rows in found.items()}


def _everywhere(values: Tensor) -> Tensor:  # [..., N] -> [..., n]
    """Of the sequences alone that have a value throughout."""
    return values[..., ~values.isnan().flatten(0, -2).any(0)]


def _enough(values: Tensor) -> Tensor:  # [..., N] -> [..., n]
    """The same; of none where they are too few to rank by."""
    there = _everywhere(values)
    return there if there.shape[-1] >= LEAST else there[..., :0]


def _resampled(values: Tensor, seed: int = 0) -> Tensor:  # [..., N] -> [DRAWS, ...]
    """Means over sequences drawn with replacement; what is undefined does not count."""
    count, draws = values.shape[-1], torch.Generator().manual_seed(seed)
    if not count:
        return torch.full((DRAWS, *values.shape[:-1]), torch.nan, dtype=torch.float64)
    taken = torch.randint(count, (DRAWS, count), generator=draws)
    often = torch.zeros(DRAWS, count, dtype=torch.float64).scatter_add_(
        1, taken, torch.ones(DRAWS, count, dtype=torch.float64)
    )
    there = ~values.isnan()
    total = torch.einsum("dn,...n->d...", often, values.nan_to_num(0.0))
    return total / torch.einsum("dn,...n->d...", often, there.double())


_NOTHING = (*(float("nan"),) * 3, 0)


def _average(each: Tensor) -> tuple[float, float, float, int]:  # [N]
    defined = int((~each.isnan()).sum())
    if not defined:
        return _NOTHING
    return float(each.nanmean()), *interval(_resampled(each)), defined


def _ranked(tables: dict[str, Tensor], higher: bool) -> tuple[dict[str, float], int]:  # of [N]
    """Ranks of those with any value, by the sequences of which all of them have one, and how many these are.

    NaN where these are too few.
    """
    there = {name: each for name, each in tables.items() if not each.isnan().all()}
    if not there:
        return {}, 0
    values = _everywhere(torch.stack(list(there.values())))
    if values.shape[1] < LEAST:
        return dict.fromkeys(there, float("nan")), values.shape[1]
    means_of = values.mean(1)
    found = ranks(-means_of if higher else means_of)
    return dict(zip(there, found.tolist(), strict=True)), values.shape[1]


def _tau(values: Tensor) -> Tensor:  # [..., E, S] -> [...]
    """Kendall's tau-b between the columns, the mean over pairs of them."""
    of_seeds = values.transpose(-1, -2)
    order = (of_seeds[..., :, None] - of_seeds[..., None, :]).sign().flatten(-2)  # [..., S, E * E]
    across = order @ order.transpose(-1, -2)  # [..., S, S]
    size = across.diagonal(dim1=-2, dim2=-1)
    tau = across / (size[..., :, None] * size[..., None, :]).sqrt()
    first, second = torch.triu_indices(tau.shape[-1], tau.shape[-1], 1)
    return tau[..., first, second].nanmean(-1)
