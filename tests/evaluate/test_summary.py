"""Means, ranks and Kendall's tau of tables that are written down, against scipy's and by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from nucleoscope.evaluate.results import Answer, Cell, Results
from nucleoscope.evaluate.summary import agreement, agreement_between, means
from nucleoscope.evaluate.telling import told

NAN = float("nan")


def results(*tables: tuple[str, list[list[float]]], model: str = "net", why: str = "") -> Results:
    """Of each explainer a row for each seed, a number a sequence."""
    return Results(tuple(
        Answer(Cell(name, model, seed), "m", "truth", True, np.array(row, float), undefined=why)
        for name, rows in tables for seed, row in enumerate(rows)
    ))  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_tau_is_scipys(seed: int) -> None:
    """Tau-b of the means, ties among them; the mean over pairs of seeds."""
    draw = np.random.default_rng(seed)
    values = draw.integers(0, 3, (6, 3, 2)).astype(float)  # explainers, seeds, sequences: many ties
    found = agreement(results(*((f"e{i}", rows.tolist()) for i, rows in enumerate(values))))
    of_seeds = values.mean(2)
    pairs = itertools.combinations(range(3), 2)
    expected = np.mean(
        [scipy.stats.kendalltau(of_seeds[:, a], of_seeds[:, b]).statistic for a, b in pairs]
    )
    assert found[0].tau == pytest.approx(expected)
    assert (found[0].seeds, found[0].explainers) == (3, 6)


def test_an_interval_of_rankings_that_never_change_has_no_width() -> None:
    """Whichever sequences are drawn: the same order, or the reverse."""
    up = [[[i + 0.1 * n for n in range(9)]] * 2 for i in range(4)]
    (same,) = agreement(results(*zip("abcd", up, strict=True)))
    assert (same.tau, same.low, same.high) == (1, 1, 1)
    turned = [[rows[0], [-v for v in rows[1]]] for rows in up]
    (other,) = agreement(results(*zip("abcd", turned, strict=True)))
    assert (other.tau, other.low, other.high) == (-1, -1, -1)


def test_an_interval_of_two_that_are_alike_by_chance() -> None:
    """Two explainers, whose order in one seed hangs on which of two sequences is drawn more often.

    Drawn twice, each sequence is alone with 1/4, and both once with 1/2, a tie that has no tau.
    """
    (found,) = agreement(results(("a", [[1, 1], [1, 0]]), ("b", [[0, 0], [0, 1]])))
    assert math.isnan(found.tau)  # tied in the second seed
    assert (found.low, found.high) == (-1, 1)


def test_a_tie_of_all_has_no_ranking() -> None:
    (found,) = agreement(results(("a", [[1, 2], [1, 2]]), ("b", [[1, 2], [1, 2]])))
    assert math.isnan(found.tau)
    assert [m.rank for m in means(results(("a", [[1, 2]]), ("b", [[1, 2]])))] == [1.5, 1.5]


def test_explainers_are_ranked_by_the_same_sequences() -> None:
    """One that has no value where all others are bad would be the best by its own mean."""
    held = results(
        ("steady", [[1.0, 0.9, 0.2, 0.3]]), ("silent", [[0.8, 0.8, NAN, NAN]]), why="it is hard"
    )
    steady, silent = means(held)
    assert silent.value > steady.value  # by its own sequences
    assert (steady.rank, silent.rank) == (1, 2)
    assert (steady.compared, silent.compared) == (2, 2)
    assert (steady.defined, steady.undefined, steady.why) == (4, 0, "")
    assert (silent.defined, silent.undefined, silent.why) == (2, 2, "it is hard")
    apart = results(("one", [[1.0, NAN]]), ("other", [[NAN, 1.0]]))
    assert all(math.isnan(m.rank) and m.compared == 0 for m in means(apart))
    nowhere = results(("one", [[1.0, 2.0]]), ("none", [[NAN, NAN]]))
    assert [m.rank for m in means(nowhere)] == pytest.approx([1, NAN], nan_ok=True)


def test_rankings_are_compared_by_the_same_sequences() -> None:
    """In the second seed the better one lacks its good sequence: by those that both have, they rank alike."""
    better = [[5.0, 2, 2], [NAN, 2, 2]]
    worse = [[1.0, 1, 1], [9, 1, 1]]
    (found,) = agreement(results(("better", better), ("worse", worse)))
    assert (found.tau, found.low, found.high) == (1, 1, 1)
    (nothing,) = agreement(results(("a", [[1.0, NAN]] * 2), ("b", [[NAN, 1.0]] * 2)))
    assert all(math.isnan(each) for each in (nothing.tau, nothing.low, nothing.high))


def test_models_are_compared_by_the_same_sequences_of_each() -> None:
    one = results(("a", [[1.0, 2, NAN]]), ("b", [[0.0, 1, 9]]), model="one")
    two = results(("a", [[3.0]]), ("b", [[2.0]]), model="two")
    both = Results((*one.answers, *two.answers))
    (found,) = agreement_between(both, ("one", "two"), "nets")
    assert (found.tau, found.low, found.high) == (1, 1, 1)


def test_rows_say_why_there_is_no_value() -> None:
    held = results(("a", [[1.0, NAN]]), ("b", [[1.0, NAN]]), why="nothing is planted")
    assert [row[8:10] for row in held.rows()] == [
        ("ok", ""),
        ("undefined", "nothing is planted"),
    ] * 2
    assert told(held, {})["failures"] == [
        ("all", "net", "m", "undefined", "1 of 2 sequences: nothing is planted")
    ]
    some = results(("a", [[1.0, NAN]]), ("b", [[1.0, 2.0]]))
    assert told(some, {})["failures"] == [("a", "net", "m", "undefined", "1 of 2 sequences")]
