"""Means, ranks and Kendall's tau of tables that are written down, against scipy's and by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from nucleoscope.evaluate.results import Answer, Cell, Results
from nucleoscope.evaluate.summary import LEAST, agreement, agreement_between, means
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
    few = draw.integers(0, 3, (6, 3, 2)).astype(float)  # explainers, seeds, sequences: many ties
    values = np.repeat(few, 3, 2)
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
    """Two explainers, whose order in one seed hangs on which half of six sequences is drawn more often."""
    turns = [0, 1, 0, 1, 0, 1]
    held = results(("a", [[1] * 6, turns]), ("b", [[0] * 6, [1 - v for v in turns]]))
    (found,) = agreement(held)
    assert math.isnan(found.tau)  # tied in the second seed
    assert (found.low, found.high) == (-1, 1)


def test_a_tie_of_all_has_no_ranking() -> None:
    row = [1, 2, 3, 4, 5]
    (found,) = agreement(results(("a", [row, row]), ("b", [row, row])))
    assert math.isnan(found.tau)
    assert [m.rank for m in means(results(("a", [row]), ("b", [row])))] == [1.5, 1.5]


def test_explainers_are_ranked_by_the_same_sequences() -> None:
    """One that has no value where all others are bad would be the best by its own mean."""
    good, bad = [1.0, 0.9, 1.0, 0.9, 1.0], [0.2, 0.3]
    held = results(
        ("steady", [[*good, *bad]]), ("silent", [[0.8] * 5 + [NAN, NAN]]), why="it is hard"
    )
    steady, silent = means(held)
    assert silent.value > steady.value  # by its own sequences
    assert (steady.rank, silent.rank) == (1, 2)
    assert (steady.compared, silent.compared) == (5, 5)
    assert (steady.defined, steady.undefined, steady.why) == (7, 0, "")
    assert (silent.defined, silent.undefined, silent.why) == (5, 2, "it is hard")
    nowhere = results(("one", [good]), ("none", [[NAN] * 5]))
    assert [m.rank for m in means(nowhere)] == pytest.approx([1, NAN], nan_ok=True)


@pytest.mark.parametrize("common", range(LEAST))
def test_few_sequences_rank_nobody(common: int) -> None:
    """However many each has for itself; what is known of it is told, in a row of its own."""
    one, other = [1.0] * 6 + [NAN] * (6 - common), [NAN] * (6 - common) + [0.0] * 6
    held = results(("one", [one, one]), ("other", [other, other]))
    assert all(math.isnan(m.rank) and m.compared == common and m.defined == 6 for m in means(held))
    (found,) = agreement(held)
    assert all(math.isnan(each) for each in (found.tau, found.low, found.high))
    said = f"all have a value of {common} sequences; {LEAST} at least are needed"
    assert ("all", "net", "m", "not ranked", said) in told(held, {})["failures"]


def test_as_many_as_are_needed_do() -> None:
    held = results(("one", [[1.0] * LEAST]), ("other", [[0.0] * LEAST]))
    assert [m.rank for m in means(held)] == [1, 2]
    assert not told(held, {})["failures"]


def test_rankings_are_compared_by_the_same_sequences() -> None:
    """In the second seed the better one lacks its good sequence: by those that both have, they rank alike."""
    better = [[5.0] + [2] * 5, [NAN] + [2] * 5]
    worse = [[1.0] * 6, [9] + [1] * 5]
    (found,) = agreement(results(("better", better), ("worse", worse)))
    assert (found.tau, found.low, found.high) == (1, 1, 1)


def test_models_are_compared_by_the_same_sequences_of_each() -> None:
    one = results(("a", [[2.0] * 5 + [NAN]]), ("b", [[1.0] * 5 + [9]]), model="one")
    for many, tau in ((5, 1), (4, NAN)):
        two = results(("a", [[3.0] * many]), ("b", [[2.0] * many]), model="two")
        both = Results((*one.answers, *two.answers))
        (found,) = agreement_between(both, ("one", "two"), "nets")
        assert (found.tau, found.low, found.high) == pytest.approx((tau,) * 3, nan_ok=True)


def test_rows_say_why_there_is_no_value() -> None:
    held = results(("a", [[1.0, NAN]]), ("b", [[1.0, NAN]]), why="nothing is planted")
    assert [row[8:10] for row in held.rows()] == [
        ("ok", ""),
        ("undefined", "nothing is planted"),
    ] * 2
    assert told(held, {})["failures"][0] == (
        "all", "net", "m", "undefined", "1 of 2 sequences: nothing is planted",
    )  # fmt: skip
    some = results(("a", [[1.0, NAN]]), ("b", [[1.0, 2.0]]))
    assert told(some, {})["failures"][0] == ("a", "net", "m", "undefined", "1 of 2 sequences")
