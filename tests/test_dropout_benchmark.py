"""The experiment on dropout: its sequences, its table over seeds, and the command's path."""

from __future__ import annotations

import pytest
import torch

from benchmarks import dropout, report_evaluate


def test_copies_stand_where_they_should() -> None:
    X, there = dropout.sequences(200, 2, 0)
    motif = torch.tensor(["ACGT".index(letter) for letter in dropout.MOTIF])
    for k in range(2):
        window = X[:, :, dropout.STARTS[k] : dropout.STARTS[k] + 8].argmax(1)
        assert torch.equal(
            (window == motif).all(1) | ~there[:, k], torch.ones(200, dtype=torch.bool)
        )
    assert 0.25 < float(there.double().mean()) < 0.45
    assert dropout.sequences(5, 3, 0, whole=True)[1].all()


def test_medians_over_seeds() -> None:
    rows = [
        {"p": 0.1, "copies": 2, "seed": seed, "chance": 0.1, "rho": value}
        for seed, value in enumerate((0.5, 0.9, float("nan"), 0.7))
    ]
    assert dropout.table(rows) == {"p=0.1 copies=2": {"rho": [0.7, 0.5, 0.9]}}


@pytest.mark.slow
def test_the_experiment_runs() -> None:
    made = dropout.experiment(1, tiny=True)
    assert len(made["rows"]) == 4
    assert "rho" in made["median_least_most"]["p=0.5 copies=2"]


def test_the_page_holds_the_committed_numbers() -> None:
    page = report_evaluate.PAGE.read_text("utf-8")
    assert report_evaluate.filled(page) == page, "run `python -m benchmarks.report_evaluate`"
    with pytest.raises(ValueError, match="must stand around the table"):
        report_evaluate.filled("")
