"""compat.tangermeme: the signature, the numbers and the manners of tangermeme's own function."""

import copy
import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nucleoscope.compat.tangermeme as compat
from nucleoscope import NaiveFallback

with warnings.catch_warnings():  # numba and its friends warn while they are being imported
    warnings.simplefilter("ignore")
    reason = "tangermeme is what the drop-in is compared with: install nucleoscope[test]"
    pytest.importorskip("tangermeme", reason=reason)
    from tangermeme.ablate import ablate
    from tangermeme.marginalize import marginalize
    from tangermeme.saturation_mutagenesis import saturation_mutagenesis
    from tangermeme.utils import PackedSequence, TangermemeWarning

ours = functools.partial(compat.saturation_mutagenesis, device="cpu")
theirs = functools.partial(saturation_mutagenesis, device="cpu")

LENGTH = 60
EXACT = 1e-5  # of the largest effect, by the engine
NOISE = 2e-4  # by differences of float32 outputs


class BPNet(nn.Module):
    """Dilated residual layers; a profile [N, 2, K] and counts [N, 3], which a control may join."""

    def __init__(self, heads: str = "both", controls: int = 0) -> None:
        super().__init__()
        self.heads = heads
        self.first = nn.Conv1d(4, 8, 7, padding=3)
        self.dilated = nn.ModuleList(
            nn.Conv1d(8, 8, 3, padding=2**i, dilation=2**i) for i in range(1, 4)
        )
        self.profile, self.counts = nn.Conv1d(8, 2, 9), nn.Linear(8 + controls, 3)

    def forward(self, x: Tensor, control: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        h = torch.relu(self.first(x))
        for layer in self.dilated:
            h = h + torch.relu(layer(h))
        mean = h[:, :, 5:-5].mean(2)
        if control is not None:
            mean = torch.cat([mean, torch.log1p(control)], 1)
        both = self.profile(h), self.counts(mean)
        return {"both": both, "profile": both[0], "counts": both[1]}[self.heads]


def basset() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(4, 12, 9, padding=4), nn.BatchNorm1d(12), nn.ReLU(), nn.MaxPool1d(3),
        nn.Conv1d(12, 12, 5, padding=2), nn.GELU(), nn.MaxPool1d(2), nn.Dropout(0.5),
        nn.Flatten(), nn.Linear(12 * (LENGTH // 6), 16), nn.ReLU(), nn.Linear(16, 5),
    )  # fmt: skip


class Attention(nn.Module):
    """Every position looks at every other: the engine runs what follows as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv1d(4, 8, 5, padding=2), nn.Linear(8, 2)
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x)).transpose(1, 2)
        return self.last((h + self.mix(h, h, h, need_weights=False)[0]).mean(1))


class Number(Attention):
    """An output [N]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, 0]


MAKERS: dict[str, Callable[[], nn.Module]] = {
    "counts": lambda: BPNet("counts"),
    "profile": lambda: BPNet("profile"),
    "both": BPNet,
    "controlled": lambda: BPNet("counts", controls=1),
    "basset": basset,
    "attention": Attention,
    "number": Number,
}


@functools.cache
def net(name: str) -> nn.Module:
    """One net of each kind, so that it is traced once; large weights, so that effects are large."""
    torch.manual_seed(1)
    model = MAKERS[name]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model


@pytest.fixture
def X() -> Tensor:
    """[3, 4, L], some columns N."""
    X = nn.functional.one_hot(torch.randint(0, 4, (3, LENGTH)), 4).movedim(2, 1).float()
    X[0, :, [3, 30]] = 0
    X[1, :, 0] = 0
    return X


def exact(name: str, X: Tensor, args: tuple[Tensor, ...] | None = None, **options: Any) -> Any:
    """tangermeme's own answer in float64."""
    double = copy.deepcopy(net(name)).double()
    return theirs(double, X, args, fast=False, **options)


def check(mine: Any, truth: Any, allowed: float) -> None:
    """Same shapes, and numbers that differ by parts of the largest effect."""
    if isinstance(truth, Tensor):
        assert mine.shape == truth.shape
        assert mine.device.type == "cpu"
        assert (mine - truth).abs().max() <= allowed * truth.abs().max()
        return
    assert type(mine).__name__ == type(truth).__name__
    assert mine._fields == truth._fields
    assert [type(field) for field in mine] == [type(field) for field in truth]
    for y0, y_hat, y0_truth, y_hat_truth in zip(*map(listed, (*mine, *truth)), strict=True):
        assert (y0.shape, y_hat.shape) == (y0_truth.shape, y_hat_truth.shape)
        effects = y_hat_truth - y0_truth[:, None, None]
        assert effects.any()
        assert (y0 - y0_truth).abs().max() <= allowed * effects.abs().max()
        assert (y_hat - y_hat_truth).abs().max() <= allowed * effects.abs().max()


def listed(field: Any) -> list[Tensor]:
    return field if isinstance(field, list) else [field]


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "int": {"target": 1},
    "negative int": {"target": -1},
    "slice": {"target": slice(0, 2)},
    "hypothetical": {"hypothetical": True},
    "span": {"start": 5, "end": 20},
    "one site": {"start": 30, "end": 31, "hypothetical": True},
    "to the last": {"start": 40, "end": -1},
    "negative end": {"start": 7, "end": -12, "target": 0},
    "raw": {"raw_outputs": True},
    "raw span": {"raw_outputs": True, "start": 17, "end": -30, "target": 1},
    "func": {"func": torch.tanh, "target": 0},
    "func of one number": {"func": lambda y: y.flatten(1).sum(1), "start": 30},
    "raw func": {"raw_outputs": True, "func": lambda y: (y, y.flatten(1)[:, 0]), "end": 9},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("name", ["counts", "profile", "basset", "attention"])
def test_the_numbers_are_tangermemes(name: str, options: dict[str, Any], X: Tensor) -> None:
    truth = exact(name, X, **options)
    tail = name == "attention"  # differences of its outputs, which are float32
    check(ours(net(name), X, **options), truth, NOISE if tail else EXACT)
    check(ours(net(name), X, fast=False, batch_size=50, **options), truth, NOISE)


@pytest.mark.parametrize(
    "options",
    [
        {"raw_outputs": True},
        {"raw_outputs": True, "func": lambda y: [y[0].sum(2), y[1], y[1][:, 0]]},
        {"func": lambda y: y[1], "target": 0},
        {"func": lambda y: y[0], "target": slice(1, 2), "start": 3, "end": -3},
    ],
    ids=["raw", "raw func", "counts", "profile"],
)
def test_models_of_several_outputs(options: dict[str, Any], X: Tensor) -> None:
    truth = exact("both", X, **options)
    check(ours(net("both"), X, **options), truth, EXACT)
    check(ours(net("both"), X, fast=False, **options), truth, NOISE)


@pytest.mark.parametrize("options", [{}, {"raw_outputs": True}], ids=["scores", "raw"])
def test_further_inputs_are_cast_and_follow_their_sequence(
    options: dict[str, Any], X: Tensor
) -> None:
    args = (torch.tensor([[0], [5], [90]]),)
    truth = exact("controlled", X, args, **options)
    check(ours(net("controlled"), X, args, **options), truth, EXACT)
    check(ours(net("controlled"), X, args, fast=False, **options), truth, NOISE)


@pytest.mark.parametrize("options", [{}, {"raw_outputs": True}], ids=["scores", "raw"])
def test_an_output_of_one_number(options: dict[str, Any], X: Tensor) -> None:
    check(ours(net("number"), X, **options), exact("number", X, **options), EXACT)


def test_any_device(device: torch.device, X: Tensor) -> None:
    model = copy.deepcopy(net("basset"))
    check(compat.saturation_mutagenesis(model, X, device=device), exact("basset", X), NOISE)
    assert next(model.parameters()).device.type == "cpu"


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.float16, torch.float64])
def test_any_type_of_X(kind: torch.dtype, X: Tensor) -> None:
    assert torch.equal(ours(net("basset"), X.to(kind)), ours(net("basset"), X))


def test_a_packed_sequence(X: Tensor) -> None:
    packed = PackedSequence.from_one_hot(X.to(torch.int8))
    assert torch.equal(ours(net("basset"), packed), ours(net("basset"), X))


def test_fractions_become_N_with_a_warning(X: Tensor) -> None:
    X[2, :, 10:20] = 0.25
    with pytest.warns(TangermemeWarning):
        truth = exact("basset", X, hypothetical=True)
    with pytest.warns(compat.SoftValues, match="one-hot"):
        mine = ours(net("basset"), X, hypothetical=True)
    check(mine, truth, EXACT)


def test_raw_outputs_keep_the_type_of_what_func_makes(X: Tensor) -> None:
    def func(y: Tensor) -> tuple[Tensor, Tensor]:
        return y.argmax(1), y > 0

    options = {"func": func, "raw_outputs": True}
    for fast in (True, False):
        mine = ours(net("basset"), X, fast=fast, **options)
        truth = theirs(net("basset"), X, fast=False, **options)
        for a, b in zip([*mine.y0, *mine.y_hat], [*truth.y0, *truth.y_hat], strict=True):
            assert torch.equal(a, b)


def test_float64(X: Tensor) -> None:
    check(ours(copy.deepcopy(net("basset")).double(), X), exact("basset", X), 1e-12)


def test_half_precision_gives_the_type_of_autocast(X: Tensor) -> None:
    options: dict[str, Any] = {"dtype": "bfloat16", "raw_outputs": True, "end": 20}
    truth = theirs(net("basset"), X, fast=False, **options)
    for fast in (True, False):
        mine = ours(net("basset"), X, fast=fast, **options)
        assert mine.y0.dtype == mine.y_hat.dtype == truth.y_hat.dtype == torch.bfloat16
        assert torch.allclose(mine.y_hat, truth.y_hat, rtol=2e-2, atol=2e-2)


def test_a_model_in_half_precision_runs_the_loop_and_says_so(X: Tensor) -> None:
    model = copy.deepcopy(net("basset")).to(torch.bfloat16)
    with pytest.warns(NaiveFallback, match="bfloat16"):
        assert ours(model, X[:1], end=4).dtype == torch.bfloat16


@pytest.mark.parametrize("options", [{}, {"hypothetical": True, "start": 3, "end": 17}])
def test_as_func_of_marginalize(options: dict[str, Any], X: Tensor) -> None:
    mine = marginalize(net("basset"), X, "TGACTCA", func=ours, target=0, **options)
    truth = marginalize(
        copy.deepcopy(net("basset")).double(), X, "TGACTCA", func=theirs, target=0, **options
    )
    check(mine.y_before, truth.y_before, EXACT)
    check(mine.y_after, truth.y_after, EXACT)


@pytest.mark.parametrize("name", ["basset", "controlled"])
def test_as_func_of_ablate(name: str, X: Tensor) -> None:
    args = (torch.tensor([[0.0], [5.0], [90.0]]),) if name == "controlled" else None
    options: dict[str, Any] = {"start": 10, "end": 30, "n": 2, "args": args, "random_state": 0}
    mine = ablate(net(name), X, func=ours, **options)
    truth = ablate(copy.deepcopy(net(name)).double(), X, func=theirs, **options)
    assert mine.y_after.shape == (3, 2, 4, LENGTH)
    check(mine.y_before, truth.y_before, EXACT)
    check(mine.y_after, truth.y_after, EXACT)


def test_the_signature_is_tangermemes() -> None:
    def plain(function: Callable[..., Any]) -> list[inspect.Parameter]:
        parameters = inspect.signature(function).parameters.values()
        return [each.replace(annotation=inspect.Parameter.empty) for each in parameters]

    assert plain(compat.saturation_mutagenesis) == plain(saturation_mutagenesis)


@pytest.mark.parametrize("fast", [True, False])
def test_the_model_gets_its_modes_back(fast: bool, X: Tensor) -> None:
    model = copy.deepcopy(net("basset")).train()
    model[1].eval()
    modes = [module.training for module in model.modules()]
    assert torch.equal(ours(model, X, fast=fast), ours(net("basset"), X, fast=fast))
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(IndexError):
        ours(model, X, target=9, fast=fast)
    assert [module.training for module in model.modules()] == modes


WRONG: dict[str, tuple[str, dict[str, Any], type[Exception]]] = {
    "empty span": ("basset", {"start": 5, "end": 5}, ValueError),
    "negative start": ("basset", {"start": -1}, ValueError),
    "end beyond": ("basset", {"end": LENGTH + 1}, ValueError),
    "end before": ("basset", {"end": -LENGTH - 9}, ValueError),
    "args of another length": ("controlled", {"args": (torch.ones(2, 1),)}, ValueError),
    "no output": ("basset", {"func": lambda y: None}, ValueError),  # noqa: ARG005
    "several outputs": ("both", {}, ValueError),
    "func of several": ("basset", {"func": lambda y: [y, y]}, ValueError),
    "target": ("basset", {"target": 9}, IndexError),
    "target of a number": ("number", {"target": 0}, IndexError),
    "float64 in a float32 model": ("basset", {"dtype": torch.float64}, RuntimeError),
    "unknown dtype": ("basset", {"dtype": "float12"}, AttributeError),
}


@pytest.mark.parametrize(("name", "options", "error"), WRONG.values(), ids=WRONG.keys())
def test_the_exceptions_are_tangermemes(
    name: str, options: Any, error: type[Exception], X: Tensor
) -> None:
    for function in (theirs, ours, functools.partial(ours, fast=False)):
        with pytest.raises(error):
            function(net(name), X, **options)


def test_X_must_be_letters(X: Tensor) -> None:
    with pytest.raises(ValueError, match="every column"):
        ours(net("basset"), (X + X.flip(1)).clamp(max=1))
    with pytest.raises(ValueError, match="N of 1 or more"):
        ours(net("basset"), X[:0])


def test_progress(X: Tensor, capsys: pytest.CaptureFixture[str]) -> None:
    for fast in (True, False):
        ours(net("basset"), X, end=4, verbose=True, fast=fast)
        assert "edits" in capsys.readouterr().err


def test_raw_outputs_of_whole_numbers(X: Tensor) -> None:
    class Called(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = basset()

        def forward(self, x: Tensor) -> Tensor:
            return (self.inner(x) > 0).long()

    model = Called().eval()
    want = theirs(model, X[:1], end=5, raw_outputs=True)
    got = ours(model, X[:1], end=5, raw_outputs=True)
    for mine, other in zip(got, want, strict=True):
        assert mine.dtype == other.dtype
        assert torch.equal(mine, other)
