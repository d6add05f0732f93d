"""Correlations, ranks and areas against scipy's and scikit-learn's, ties and constants among them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch

from nucleoscope.evaluate import statistics

sklearn = pytest.importorskip("sklearn.metrics")
DRAW = torch.Generator().manual_seed(3)
TIED = torch.randint(5, (9, 37), generator=DRAW).double()
PLAIN = torch.randn(9, 37, generator=DRAW).double()
MARKED = torch.rand(9, 37, generator=DRAW) < 0.3


@pytest.mark.parametrize("values", [TIED, PLAIN, TIED.view(3, 3, 37), torch.cat([PLAIN, TIED])])
def test_ranks(values: torch.Tensor) -> None:
    assert np.array_equal(statistics.ranks(values), scipy.stats.rankdata(values.numpy(), axis=-1))


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_correlations(scale: float) -> None:
    for a, b in ((TIED, PLAIN), (PLAIN, PLAIN.flip(0))):
        r, rho = statistics.pearson(a * scale, b), statistics.spearman(a * scale, b)
        for i in range(len(a)):
            assert r[i].item() == pytest.approx(np.corrcoef(a[i], b[i])[0, 1], abs=1e-12)
            assert rho[i].item() == pytest.approx(
                scipy.stats.spearmanr(a[i], b[i]).statistic, abs=1e-12
            )


def test_a_constant_has_no_correlation() -> None:
    flat = torch.full((2, 5), 0.1, dtype=torch.float64)
    assert statistics.pearson(flat, PLAIN[:2, :5]).isnan().all()
    assert statistics.spearman(PLAIN[:2, :5], flat * 0).isnan().all()


@pytest.mark.parametrize("scores", [TIED, PLAIN, TIED * 0])
def test_areas(scores: torch.Tensor) -> None:
    roc, ap = statistics.auroc(scores, MARKED), statistics.average_precision(scores, MARKED)
    for i in range(len(scores)):
        assert roc[i].item() == pytest.approx(sklearn.roc_auc_score(MARKED[i], scores[i]))
        assert ap[i].item() == pytest.approx(sklearn.average_precision_score(MARKED[i], scores[i]))


def test_areas_need_both_kinds() -> None:
    none = torch.zeros(1, 4, dtype=torch.bool)
    scores = torch.arange(4.0).double()[None]
    assert statistics.auroc(scores, none).isnan().all()
    assert statistics.auroc(scores, ~none).isnan().all()
    assert statistics.average_precision(scores, none).isnan().all()


@pytest.mark.parametrize("n", [2, 7, 100])
def test_concentration_at_its_ends(n: int) -> None:
    alone, alike = torch.zeros(n).double(), torch.full((n,), -0.3).double()
    alone[n // 2] = -2.0
    assert statistics.gini(alone).item() == pytest.approx(1 - 1 / n)
    assert statistics.gini(alike).item() == pytest.approx(0, abs=1e-12)
    assert statistics.entropy(alone).item() == 0
    assert statistics.entropy(alike).item() == pytest.approx(math.log(n))
    assert statistics.gini(alone * 0).isnan()
    assert statistics.entropy(alone * 0).isnan()
