"""Expected gradients and SmoothGrad against their definitions, for baselines and copies that are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.methods.gradients.expected_gradients import interleaved
from nucleoscope.methods.gradients.smooth_grad import Noise
from nucleoscope.naive.methods.expected_gradients import expected_gradients as naive
from nucleoscope.naive.methods.smooth_grad import smooth_grad as naive_smooth
from nucleoscope.reading import read_sequences
from tests.nets import ZOO, kept
from tests.parts import Net, conv, sequences
from tests.truth import reading

expected, smooth = nucleoscope.expected_gradients, nucleoscope.smooth_grad
X = sequences(3, 33)


def net(seed: int = 1) -> Net:
    torch.manual_seed(seed)
    return Net(
        lambda m, x: m.last(torch.tanh(m.second(torch.relu(m.first(x)))).mean(2)), first=conv(4, 8),
        last=nn.Linear(8, 2), second=conv(8, 8),
    )  # fmt: skip


@pytest.mark.parametrize(("count", "steps"), [(2, 1), (5, 3), (20, 4)])
def test_nodes_of_all_baselines_interleave(count: int, steps: int) -> None:
    nodes = interleaved(count, steps, 7)
    want = (np.arange(count * steps) + 0.5) / (count * steps)
    np.testing.assert_allclose(np.sort(nodes, axis=None), want)
    np.testing.assert_array_equal(nodes, interleaved(count, steps, 7))


@pytest.mark.parametrize("name", ["bpnet", "basset", "attention", "u_net"])
def test_the_zoo_from_shuffles(name: str) -> None:
    _, length, target, _ = ZOO[name]
    model, given = kept(name), sequences(2, length)
    starts = nucleoscope.dinucleotide_shuffle(given, n=5, random_state=3)
    nodes = interleaved(5, 2, 3).tolist()
    want = naive(model, given, starts, nodes=nodes, weights=[0.5, 0.5], read=reading(target))
    want = want if isinstance(target, list) else want[:, 0]
    settings: Any = {"target": target, "n_shuffles": 5, "n_steps": 2, "hypothetical": True}
    got = expected(model, given, random_state=3, **settings)
    torch.testing.assert_close(got.scores, want, rtol=1e-4, atol=3e-6 * float(want.abs().max()))
    got = expected(model, given, baselines=starts, random_state=3, memory=1 << 20, **settings)
    torch.testing.assert_close(got.scores, want, rtol=1e-4, atol=3e-6 * float(want.abs().max()))


def test_scores_add_up_to_the_mean_change_and_the_error_bar_is_a_standard_error() -> None:
    model = net()
    starts = nucleoscope.dinucleotide_shuffle(X, n=64, random_state=1)
    got = expected(
        model, X, baselines=starts, target=[0, 1], n_steps=8, precision="fp64", random_state=0
    )
    assert float(got.gap.abs().max()) < 0.02 * float(got.scores.abs().sum((2, 3)).max())  # type: ignore[union-attr]
    assert got.checks[1].passed
    far = nucleoscope.dinucleotide_shuffle(X, n=1000, random_state=2)
    truth = expected(
        model, X, baselines=far, target=[0, 1], n_steps=1, precision="fp64", random_state=0
    )
    off = (got.scores - truth.scores).flatten(2).norm(dim=2) / truth.scores.flatten(2).norm(dim=2)
    ratio = got.error_bar / off  # type: ignore[operator]
    assert float(ratio.min()) > 0.5
    assert float(ratio.max()) < 2


def test_one_set_of_baselines_for_all() -> None:
    starts = sequences(6, 33, seed=9)[None]
    got = expected(net(), X, baselines=starts, target=0, random_state=1)
    each = expected(net(), X, baselines=starts.repeat(3, 1, 1, 1), target=0, random_state=1)
    assert torch.equal(got.scores, each.scores)


def test_strands_turn_the_baselines_too() -> None:
    starts = nucleoscope.dinucleotide_shuffle(X, n=4, random_state=1)
    settings: Any = {"target": 0, "random_state": 1, "hypothetical": True}
    here = expected(net(), X, baselines=starts, **settings).scores
    there = expected(net(), X.flip(1, 2), baselines=starts.flip(2, 3), **settings).scores.flip(1, 2)
    got = expected(net(), X, baselines=starts, reverse_complement=True, **settings)
    torch.testing.assert_close(got.scores, (here + there) / 2)


@pytest.mark.parametrize("noise", ["gaussian", "substitutions"])
def test_smooth_grad_is_the_mean_over_its_copies(noise: str) -> None:
    model = net()
    noisy = Noise(read_sequences(X, "ACGT", "NCL"), noise, 0.3, 5)
    copies = torch.stack([torch.stack([noisy.copy(n, k) for k in range(6)]) for n in range(3)])
    want = naive_smooth(model, copies.float(), read=reading(0))[:, 0]
    want = want - want.mean(1, keepdim=True)
    settings: Any = {"noise": noise, "level": 0.3, "n_samples": 6, "random_state": 5, "target": 0}
    got = smooth(model, X, hypothetical=True, **settings)
    torch.testing.assert_close(got.scores, want)
    assert got.error_bar is not None
    assert ((got.error_bar > 0) & (got.error_bar < 1)).all()
    alone = smooth(model, X[2:], hypothetical=True, **settings)
    torch.testing.assert_close(alone.scores[0], got.scores[2])


def test_substitutions_keep_to_sequences() -> None:
    given = sequences(1, 4000)
    given[0, :, 10:20] = 0
    given[0, :, 20] = 0.25
    noisy = Noise(read_sequences(given, "ACGT", "NCL"), "substitutions", 0.2, 0)
    made = noisy.copy(0, 0)
    assert torch.equal(made[:, 10:21], given[0, :, 10:21].double())
    kept: Tensor = (made == given[0]).all(0)
    assert abs(float(kept.double().mean()) - 0.8) < 0.02
    assert (made.sum(0)[21:] == 1).all()
    assert not torch.equal(made, noisy.copy(0, 1))
    gaussian = Noise(read_sequences(given, "ACGT", "NCL"), "gaussian", 0.2, 0).copy(0, 0)
    assert abs(float((gaussian - given[0]).std()) - 0.2) < 0.01


FAULTY: list[tuple[Any, dict[str, Any], type, str]] = [
    (expected, {"n_steps": 0}, ValueError, "n_steps=0: a number of nodes for each baseline"),
    (expected, {"n_shuffles": 0}, ValueError, "n_shuffles=0"),
    (expected, {"n_shuffles": 1}, ValueError, "nucleoscope.integrated_gradients takes it"),
    (expected, {"baselines": "uniform"}, ValueError, "nucleoscope.integrated_gradients takes it"),
    (expected, {"baselines": "random"}, TypeError, "'dinucleotide', or a tensor"),
    (expected, {"baselines": X[:, None, :, :5]}, ValueError, "baselines: its shape is"),
    (expected, {"baselines": X[:, None] * 2}, ValueError, "off the simplex"),
    (expected, {"random_state": 0.5}, TypeError, "random_state=0.5"),
    (smooth, {"noise": "salt"}, ValueError, "noise='salt': use one of 'gaussian', 'substitutions'"),
    (smooth, {"level": 0}, ValueError, "level=0"),
    (smooth, {"level": 1.5, "noise": "substitutions"}, ValueError, "level=1.5"),
    (smooth, {"n_samples": 1}, ValueError, "n_samples=1"),
    (smooth, {"random_state": "a"}, TypeError, "random_state='a'"),
    (smooth, {"center": "no"}, ValueError, "center='no'"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "change", "error", "said"), FAULTY)
def test_bad_input_is_named(method: Any, change: dict[str, Any], error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        method(net(), X, **{"target": 0, **change})
