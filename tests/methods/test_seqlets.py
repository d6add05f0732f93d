"""Seqlets: the reference's calls, planted ones found, the rate of false ones kept, bad input told."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nucleoscope
from nucleoscope.naive.methods.seqlets import seqlets as naive

Rows = list[tuple[int, int, int]]


def rows(found: nucleoscope.Seqlets) -> Rows:
    columns = (found.sequence, found.start, found.end)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def noise(seed: int, sequences: int = 8, length: int = 150) -> Any:
    return np.random.default_rng(seed).normal(size=(sequences, length))


def planted(seed: int, sequences: int = 12, length: int = 230) -> tuple[Any, Rows]:
    """Noise, and in each sequence a stretch that stands out."""
    random = np.random.default_rng(seed)
    X, places = random.normal(size=(sequences, length)), []
    for n in range(sequences):
        size = int(random.integers(6, 13))
        start = int(random.integers(length - size))
        X[n, start : start + size] += 4.0
        places.append((n, start, start + size))
    return X, places


def overlaps(found: Rows, n: int, start: int, end: int) -> int:
    return sum(m == n and s < end and start < e for m, s, e in found)


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(0, 4), st.floats(1e-3, 1.0))
@settings(max_examples=20, deadline=None)
def test_the_naive_form_calls_the_same(
    seed: int, shortest: int, more: int, threshold: float
) -> None:
    X = noise(seed, 3, 23)
    common: dict[str, int] = {"min_length": shortest, "max_length": shortest + more, "bins": 20}
    got = nucleoscope.seqlets(X, threshold=threshold, **common)
    want = naive(torch.from_numpy(X), threshold, **common)
    assert rows(got) == sorted(each[:3] for each in want)
    np.testing.assert_allclose(np.sort(got.p_value), sorted(p for *_, p in want), rtol=1e-9)


@pytest.mark.parametrize(
    "threshold", [0.3, *(pytest.param(t, marks=pytest.mark.slow) for t in (1e-4, 0.01))]
)
@pytest.mark.parametrize("make", [noise, lambda seed: planted(seed)[0]], ids=["noise", "planted"])
def test_tangermeme_calls_the_same(make: Any, threshold: float) -> None:
    recursive_seqlets = pytest.importorskip("tangermeme.seqlet").recursive_seqlets
    for seed in range(3):
        X = make(seed)
        want = recursive_seqlets(X, threshold=threshold)
        got = nucleoscope.seqlets(X, threshold=threshold)
        places = zip(want["example_idx"], want["start"], want["end"], strict=True)
        assert rows(got) == sorted((int(n), int(s), int(e)) for n, s, e in places)
        for mine, theirs in ((got.p_value, "p-value"), (got.attribution, "attribution")):
            np.testing.assert_allclose(np.sort(mine), np.sort(want[theirs]), rtol=1e-9)


def test_tangermeme_estimates_the_same_rates() -> None:
    recursive_seqlets = pytest.importorskip("tangermeme.seqlet").recursive_seqlets
    X, _ = planted(3)
    control = noise(4, 30, 230)
    want, rates = recursive_seqlets(X, X_control=control, target_fdr=0.1, return_fdr=True)
    got = nucleoscope.seqlets(X, control=control, fdr=0.1)
    assert len(want) == len(got) > 0
    (curve,) = got.curves
    np.testing.assert_array_equal(curve.called, rates["n_seqlets"])
    np.testing.assert_array_equal(curve.called_on_control, rates["n_control_seqlets"])
    np.testing.assert_allclose(curve.fdr, rates["fdr"])


@pytest.mark.parametrize("control", ["shuffled", "mirrored", "given"])
def test_planted_stretches_are_found(control: str) -> None:
    X, places = planted(0)
    got = nucleoscope.seqlets(X, control=noise(1, 40, 230) if control == "given" else control)
    assert all(overlaps(rows(got), *place) for place in places)
    assert len(got) <= len(places) * 1.3
    assert (np.diff(got.p_value) >= 0).all()
    assert (got.q_value <= 0.1).all()
    for n, start, end, total in zip(*list(got.columns().values())[:4], strict=True):
        assert total == pytest.approx(X[n, start:end].sum())


def smooth(scores: Any) -> Any:
    """Five neighbours share what each has."""
    return np.lib.stride_tricks.sliding_window_view(scores, 5, axis=1).sum(-1)


@pytest.mark.parametrize(
    "kind",
    [
        "given, correlated",
        "mirrored, correlated",
        *(pytest.param(k, marks=pytest.mark.slow) for k in ("given", "shuffled")),
    ],
)
def test_noise_is_called_as_seldom_as_promised(kind: str) -> None:
    """On noise every call is false, so the rate is how often anything is called: at most 0.2."""
    trials, hits = 60, 0
    for seed in range(trials):
        X, control = noise(seed, 6, 90), noise(10_000 + seed, 18, 90)
        if "correlated" in kind:
            X, control = smooth(X), smooth(control)
        source = kind.partition(",")[0]
        asked = control if source == "given" else source
        hits += len(nucleoscope.seqlets(X, control=asked, fdr=0.2, seed=seed, shuffles=3)) > 0
    # 2.6 standard errors of a rate of 0.2: one in 200 true promises would fail.
    assert hits / trials <= 0.2 + 2.6 * (0.2 * 0.8 / trials) ** 0.5


def test_negative_seqlets_are_those_of_the_negative() -> None:
    X, places = planted(5)
    X[6:] *= -1
    common: dict[str, Any] = {"control": noise(6, 40, 230)}
    down = nucleoscope.seqlets(X, sign="negative", **common)
    assert rows(down) == rows(nucleoscope.seqlets(-X, control=-common["control"]))
    assert (down.attribution < 0).all()
    both = nucleoscope.seqlets(X, sign="both", **common)
    assert all(overlaps(rows(both), *place) for place in places)
    assert len(both.curves) == 2
    assert all(overlaps(rows(both), *each) == 1 for each in rows(both))


def test_pieces_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    X, _ = planted(2)
    want = nucleoscope.seqlets(X)
    monkeypatch.setattr("nucleoscope.methods.seqlets.discovery.AT_ONCE", 500)
    assert rows(nucleoscope.seqlets(X)) == rows(want)


def test_of_an_attribution(tmp_path: Path) -> None:
    X, _ = planted(1)
    letters = torch.nn.functional.one_hot(torch.randint(4, X.shape), 4).mT
    scores = torch.from_numpy(X)[:, None] * letters
    axes, nothing = ("sequence", "letter", "site"), torch.zeros(12, 1)
    regions = [{"chromosome": f"chr{n}", "start": 1000, "end": 1250} for n in range(len(X))]
    regions[1]["strand"] = "-"
    facts = {"regions": regions}
    got = nucleoscope.seqlets(nucleoscope.Attribution(scores, axes, "ACGT", 20, nothing, facts))
    assert rows(got) == [(n, s + 20, e + 20) for n, s, e in rows(nucleoscope.seqlets(X))]
    facts = facts | {"hypothetical": True}
    kept = scores + (1.0 - letters) * 7
    full = nucleoscope.Attribution(kept, axes, "ACGT", 20, nothing, facts, (), letters)
    assert rows(nucleoscope.seqlets(full)) == rows(got)
    lines = [line.split("\t") for line in got.to_bed(tmp_path / "a.bed").read_text().splitlines()]
    for line, n, s, e in zip(lines, got.sequence, got.start, got.end, strict=True):
        at = (1250 - e, 1250 - s) if n == 1 else (1000 + s, 1000 + e)
        assert (line[0], int(line[1]), int(line[2])) == (f"chr{n}", *at)
        assert 0 <= int(line[4]) <= 1000
        assert line[5] == ("-" if n == 1 else ".")
    table = got.to_csv(tmp_path / "a.csv").read_text().splitlines()
    assert table[0] == "sequence,start,end,attribution,p_value,q_value"
    assert len(table) == len(got) + 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bed", "a.csv"]
    with pytest.raises(ValueError, match="regions: 1 are given"):
        got.to_bed(tmp_path / "b.bed", regions[:1])


def test_nothing_to_find() -> None:
    flat = nucleoscope.seqlets(np.ones((2, 40)))
    assert (len(flat), flat.start.dtype) == (0, np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = nucleoscope.seqlets(noise(0))
    assert "no threshold reaches this FDR: the lowest estimate is" in repr(found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attribution": np.zeros(4)}, r"attribution has shape \[4\]"),
        ({"attribution": np.zeros((0, 4))}, "at least one"),
        ({"attribution": np.array([[1.0, np.nan, 1.0, 1.0]])}, "attribution holds NaN"),
        ({"control": np.full((1, 4), np.inf)}, "control holds NaN or infinite"),
        ({"attribution": noise(0)[:, :3]}, "min_length=4: attribution has 3 sites"),
        ({"control": noise(0)[:, :3]}, "min_length=4: control has 3 sites"),
        ({"control": "random"}, "'shuffled' or 'mirrored'"),
        ({"fdr": 0}, "fdr=0"),
        ({"threshold": 1.5}, "threshold=1.5"),
        ({"sign": "up"}, "sign='up': use one of 'positive'"),
        ({"min_length": 6, "max_length": 5}, "min_length=6"),
        ({"bins": 1}, "bins=1"),
        ({"bins": 10.5}, "bins=10.5: a whole number"),
        ({"min_length": 2.5}, "min_length=2.5"),
        ({"max_length": 30.0}, "max_length=30.0"),
        ({"min_length": True}, "min_length=True"),
        ({"fdr": "low"}, "fdr='low'"),
        ({"threshold": float("nan")}, "threshold=nan"),
        ({"control": "shuffled", "shuffles": 1.5}, "shuffles=1.5"),
        ({"control": "shuffled", "shuffles": 0}, "shuffles=0"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nucleoscope.seqlets(**({"attribution": noise(0)} | change))


@pytest.mark.parametrize("held", [None, "scores.npz", [[1.0], [2.0, 3.0]]], ids=str)
def test_what_holds_no_scores(held: Any) -> None:
    says = f"attribution: an Attribution, .*, got {type(held).__name__}"
    with pytest.raises(TypeError, match=says):
        nucleoscope.seqlets(held)


PLACE = {"chromosome": "chr1", "start": 3, "end": 40, "strand": "-"}


@pytest.mark.parametrize(
    ("region", "says"),
    [
        ({"start": 3, "end": 90}, "has no 'chromosome'"),
        ({"chromosome": "chr1", "start": 3, "strand": "-"}, "has no 'end'"),
        ("chr1:3-90", r"regions\[1\]='chr1:3-90': a mapping"),
        (PLACE, r"has 37 bases, and a seqlet of it ends at 38"),
        (PLACE | {"strand": "+"}, r"has 37 bases, and a seqlet of it ends at 38"),
    ],
)
def test_regions_that_cannot_hold_their_seqlets(region: Any, says: str, tmp_path: Path) -> None:
    one, low = np.array([1]), np.array([0.01])
    found = nucleoscope.Seqlets(one, np.array([30]), np.array([38]), low, low, low)
    with pytest.raises(ValueError, match=says):
        found.to_bed(tmp_path / "a.bed", [PLACE, region])
    line = found.to_bed(tmp_path / "a.bed", [{}, PLACE | {"end": 41}]).read_text().split("\t")
    assert line[:3] == ["chr1", "3", "11"]


def test_an_array_has_one_target() -> None:
    with pytest.raises(IndexError, match="target=1: attribution is an array"):
        nucleoscope.seqlets(noise(0), target=1)
