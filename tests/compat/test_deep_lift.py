"""DeepLIFT as captum's and tangermeme's callers ask for it: their numbers on what both have rules for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nucleoscope import dinucleotide_shuffle
from nucleoscope.compat import tangermeme as ours
from nucleoscope.compat.captum import DeepLift, DeepLiftShap
from tests.parts import Net, conv, sequences


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return (
        nn.Sequential(
            conv(4, 8, 5), nn.ReLU(), nn.MaxPool1d(3), conv(8, 6, 3), nn.Softplus(), nn.Flatten(),
            nn.Linear(60, 7), nn.ELU(), nn.Linear(7, 3), nn.Sigmoid(),
        ).double().eval()
    )  # fmt: skip


def batch() -> tuple[Tensor, Tensor]:
    X = sequences(4, 30).double()
    return X, dinucleotide_shuffle(X, n=3, random_state=0)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("hypothetical", [False, True])
def test_tangermeme(raw: bool, hypothetical: bool) -> None:
    from tangermeme.deep_lift_shap import deep_lift_shap as theirs

    X, B = batch()
    settings = {"references": B, "target": 1, "raw_outputs": raw, "hypothetical": hypothetical}
    settings |= {"device": "cpu", "return_references": True, "batch_size": 5}
    got, expected = (f(small(), X, **settings) for f in (ours.deep_lift_shap, theirs))
    torch.testing.assert_close(
        got.attributions, expected.attributions.double(), rtol=1e-6, atol=1e-9
    )
    assert torch.equal(got.references, expected.references)


def test_tangermeme_saliency() -> None:
    from tangermeme.saliency import saliency as theirs

    X, _ = batch()
    for correction in (True, False):
        settings = {"target": 2, "device": "cpu", "gradient_correction": correction}
        got, expected = (f(small(), X, **settings) for f in (ours.saliency, theirs))
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-12)


def test_tangermeme_refusals() -> None:
    X, B = batch()
    with pytest.raises(ValueError, match="additional_nonlinear_ops"):
        ours.deep_lift_shap(small(), X, additional_nonlinear_ops={}, device="cpu")
    with pytest.raises(ValueError, match="references: of shape"):
        ours.deep_lift_shap(small(), X, references=B[:2], device="cpu")
    with pytest.raises(ValueError, match=r"\[B, T\] is needed"):
        ours.deep_lift_shap(nn.Sequential(conv(4, 2)).double().eval(), X, device="cpu")


# captum says so at each call
@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks", "ignore:Input Tensor")
@pytest.mark.parametrize("shap", [False, True])
def test_captum(shap: bool) -> None:
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")
    X, B = batch()
    net = small()
    net[2] = nn.Identity().eval()  # behind a ReLU, captum's own sum misses by more than its scores
    net[6] = nn.Linear(180, 7).double().eval()
    if shap:
        got, gaps = DeepLiftShap(net).attribute(X, B[0], 1, return_convergence_delta=True)
        expected = captum.DeepLiftShap(net).attribute(X, B[0], target=1)
    else:
        target = [0, 1, 2, 1]
        got, gaps = DeepLift(net).attribute(X, B[:, 0], target, return_convergence_delta=True)
        expected = captum.DeepLift(net).attribute(X, B[:, 0], target=target)
    torch.testing.assert_close(got, expected.detach(), rtol=1e-5, atol=1e-9)
    assert gaps.shape == (12 if shap else 4,)
    assert gaps.abs().max() < 1e-12


def test_captum_further_arguments_and_tuples() -> None:
    def forward(net: Net, x: Tensor, control: Tensor) -> Tensor:
        return torch.relu(net.first(x) * control).flatten(1).sum(1, keepdim=True)

    X, B = batch()
    net, control = Net(forward, first=conv(4, 6)).double(), torch.rand(4, 6, 30).double()
    (made,), gaps = DeepLift(net).attribute(
        (X,), (B[:, 0],), 0, additional_forward_args=control, return_convergence_delta=True
    )
    assert made.shape == X.shape
    assert gaps.abs().max() < 1e-12
    plain = DeepLift(net, multiply_by_inputs=False).attribute(X, B[:, 0], 0, control)
    torch.testing.assert_close(plain * (X - B[:, 0]), made)
    with pytest.raises(ValueError, match="one is explained"):
        DeepLift(net).attribute((X, control), target=0)
    with pytest.raises(ValueError, match=r"sequences \[N, letters, length\]"):
        DeepLift(nn.Linear(3, 2).eval()).attribute(torch.rand(2, 3), target=0)
