"""Models made so that a diagnosis must fire, and models made so that it must not; a seed each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nucleoscope
from nucleoscope import diagnostics
from nucleoscope.diagnostics import Finding

LENGTH = 60


def letters(count: int, length: int = LENGTH) -> Tensor:
    """Random sequences, of torch's generator."""
    return F.one_hot(torch.randint(4, (count, length)), 4).transpose(1, 2).float().contiguous()


class Pooled(nn.Module):
    """Filters, ReLU, their sum over the length, one number."""

    def __init__(self, filters: int = 32, taps: int = 9) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, filters, taps)
        self.head = nn.Linear(filters, 1)

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, 1]
        made: Tensor = self.head(F.relu(self.conv(x)).mean(2))
        return made


class Lifted(nn.Module):
    """The same with filters lifted by a large number, which is taken away behind their mean: float32 loses digits.

    `forward` asks what the sequences are, so that no engine traces it and effects are differences of answers.
    """

    def __init__(self, by: float) -> None:
        super().__init__()
        self.inner, self.by = Pooled(), by

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, 1]
        if float(x.sum()) < 0:
            raise ValueError("letters are none below 0")
        found = F.relu(self.inner.conv(x) + self.by).mean(2) - self.by
        made: Tensor = self.inner.head(found)
        return made


@torch.no_grad()
def regauged(model: Pooled, by: float) -> Pooled:
    """The same function of one-hot letters: a constant at each position of a kernel, taken back by the bias."""
    moved = by * torch.randn_like(model.conv.weight[:, :1])
    model.conv.weight += moved
    model.conv.bias -= moved.sum((1, 2))  # type: ignore[operator]
    return model


@torch.no_grad()
def rescaled(model: Pooled) -> Pooled:
    """The same function: long filters made short and short ones long, their weights in the head the other way."""
    factor = model.conv.weight.flatten(1).norm(dim=1) ** -2
    model.conv.weight *= factor[:, None, None]
    model.conv.bias *= factor
    model.head.weight /= factor
    return model


@torch.no_grad()
def centred(model: Pooled) -> Pooled:
    """Kernels without a mean over letters, longer from one to the next, all of one weight behind."""
    weight = model.conv.weight
    weight -= weight.mean(1, keepdim=True)
    weight *= torch.linspace(0.2, 4, len(weight))[:, None, None]
    model.conv.bias.zero_()  # type: ignore[union-attr]
    model.head.weight.fill_(0.1)
    return model


def gauge_fires() -> Finding:
    """A gauge far from the centred one."""
    return diagnostics.gauge(regauged(centred(Pooled()), 3.0).eval(), letters(8))


def scaling_fires() -> Finding:
    """Filters of which length says nothing."""
    return diagnostics.gauge(rescaled(centred(Pooled())).eval(), letters(8))


def gauge_silent() -> Finding:
    """Centred kernels, the longer the more they do."""
    return diagnostics.gauge(centred(Pooled()).eval(), letters(8))


def tower(activation: Callable[[], nn.Module], depth: int, gain: float) -> nn.Module:
    """Convolutions of 8 channels with an activation behind each, their mean."""
    layers: list[nn.Module] = []
    for at in range(depth):
        conv = nn.Conv1d(8 if at else 4, 8, 3, padding=1)
        nn.init.normal_(conv.weight, std=gain / (3 * conv.in_channels) ** 0.5)
        layers += [conv, activation()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 1)).eval()


def vanishing_fires() -> Finding:
    """Twelve sigmoids in a row: each lets a quarter through at most."""
    return diagnostics.vanishing(tower(nn.Sigmoid, 12, 1.0), letters(4))


def dead_fires() -> Finding:
    """A layer whose bias keeps all of its units below 0, but for one."""
    model = Pooled()
    with torch.no_grad():
        model.conv.bias.fill_(-100.0)  # type: ignore[union-attr]
        model.conv.bias[0] = 1.0  # type: ignore[index]
    return diagnostics.vanishing(model.eval(), letters(4))


class Head(nn.Module):
    """A linear score of the letters, some factor larger, through a function."""

    def __init__(self, factor: float, through: nn.Module, offset: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(4, LENGTH) + 0.5)
        self.factor, self.through, self.offset = factor, through, offset

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, 1]
        made: Tensor = self.through(
            self.factor * (x * self.weight).sum((1, 2))[:, None] + self.offset
        )
        return made


def head_fires() -> Finding:
    """A probability of 1 - 1e-5 or so."""
    return diagnostics.vanishing(Head(0.01, nn.Sigmoid(), 12.0).eval(), letters(4))


class Plateau(nn.Module):
    """Rises early on the way from equal letters to a sequence, and then only swings about its end."""

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, 1]
        peak = (x.amax(1).mean(1, keepdim=True) - 0.25) / 0.75  # 0 at equal letters, 1 at one-hot
        return torch.tanh(20 * peak) + 0.05 * torch.sin(150 * peak)


def flat_fires() -> Finding:
    """A path of which most gradient lies on the plateau."""
    return diagnostics.vanishing(Plateau().eval(), letters(4), n_steps=128)


def vanishing_silent() -> Finding:
    """Six ReLUs in a row at He's scale, a bias that keeps units alive."""
    return diagnostics.vanishing(tower(nn.ReLU, 6, 2**0.5), letters(4))


class Motifs(nn.Module):
    """One motif's best match in each of two halves, joined by a function of both."""

    def __init__(self, join: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.motif, self.join = torch.randint(4, (8,)), join
        kernel = F.one_hot(self.motif, 4).T.float()[None]
        self.conv = nn.Conv1d(4, 1, 8)
        with torch.no_grad():
            self.conv.weight.copy_(kernel)
            self.conv.bias.fill_(-7.0)  # type: ignore[union-attr]
        self.pool = nn.MaxPool1d(26)

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, 60] -> [N, 1]
        made: Tensor = self.join(self.pool(F.relu(self.conv(x)))[:, 0])
        return made

    def planted(self, count: int) -> tuple[Tensor, list[tuple[int, int]]]:
        """Sequences with the motif in both halves."""
        X, spans = letters(count), [(8, 16), (40, 48)]
        for start, end in spans:
            X[:, :, start:end] = F.one_hot(self.motif, 4).T.float()
        return X, spans


def either(found: Tensor) -> Tensor:
    """One is enough."""
    return 1 - (1 - found[:, :1]) * (1 - found[:, 1:])


def redundancy_fires() -> Finding:
    """OR of two copies."""
    model = Motifs(either).eval()
    return diagnostics.redundancy(model, *model.planted(4), n=4)


def redundancy_silent() -> Finding:
    """Their sum."""
    model = Motifs(lambda found: found.sum(1, keepdim=True)).eval()
    return diagnostics.redundancy(model, *model.planted(4), n=4)


class Attending(nn.Module):
    """One head over cells of four bases."""

    def __init__(self, wide: int, sharp: float = 1.0, alike: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Conv1d(4, 32, 4, stride=4)
        self.q, self.k, self.v = nn.Linear(32, 8), nn.Linear(32, 8), nn.Linear(32, wide)
        self.head, self.sharp, self.alike = nn.Linear(wide, 1), sharp, alike

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, 1]
        h = self.embed(x).transpose(1, 2)
        k = self.k(h)
        k = k * (1 - self.alike) + self.alike * k[..., :1].expand_as(k)
        made = F.scaled_dot_product_attention(self.sharp * self.q(h), k, self.v(h))
        scores: Tensor = self.head(made.mean(1))
        return scores


def attention_fires() -> Finding:
    """Keys whose channels are all one: their condition is beyond counting."""
    return diagnostics.attention_conditioning(Attending(16, alike=0.999999).eval(), letters(1))


def unidentifiable_fires() -> Finding:
    """One channel of values for 40 tokens, and queries that read few of them."""
    return diagnostics.attention_conditioning(Attending(1, sharp=400.0).eval(), letters(1, 160))


def attention_silent() -> Finding:
    """As many channels of values as tokens."""
    return diagnostics.attention_conditioning(Attending(16).eval(), letters(1))


def precision_fires() -> Finding:
    """An offset a million times the effects."""
    return diagnostics.precision(Head(1.0, nn.Identity(), 1e7).eval(), letters(4))


def precision_silent() -> Finding:
    """The same without it."""
    return diagnostics.precision(Head(1.0, nn.Identity()).eval(), letters(4))


def _gap(interaction: float) -> Finding:
    """Labels that are the network's own with noise, against its additive part."""
    X, network = letters(64), Head(0.1, nn.Identity())
    whole = Joined(network, interaction).eval()
    with torch.no_grad():
        labels = whole(X)[:, 0] + 0.1 * torch.randn(64)
    return diagnostics.loss_gap(whole, X, labels, network.eval(), n=500)


class Joined(nn.Module):
    """A linear score, and a product of two sites."""

    def __init__(self, linear: nn.Module, factor: float) -> None:
        super().__init__()
        self.linear, self.factor = linear, factor

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, 1]
        pair = (x[:, 0, 3] + x[:, 1, 3]) * (x[:, 2, 9] + x[:, 3, 9])
        made: Tensor = self.linear(x) + self.factor * pair[:, None]
        return made


def gap_fires() -> Finding:
    """The network knows the product."""
    return _gap(1.0)


def gap_silent() -> Finding:
    """There is none, and both are one function."""
    return _gap(0.0)


def _of_pooled(spoil: Callable[[Tensor], Tensor]) -> Finding:
    """Mutagenesis of a small net, spoilt."""
    model, X = Pooled().eval(), letters(8)
    scores = nucleoscope.saturation_mutagenesis(model, X, verify=0).observed()
    return diagnostics.faithfulness(model, X, spoil(scores))


def zeros_fires() -> Finding:
    """A map that says nothing."""
    return _of_pooled(torch.zeros_like)


def noise_fires() -> Finding:
    """A map of random numbers."""
    return _of_pooled(torch.randn_like)


def negated_fires() -> Finding:
    """The true map with its sign turned around."""
    return _of_pooled(torch.neg)


def permuted_fires() -> Finding:
    """The true map's numbers at other positions of the same sequence."""
    return _of_pooled(lambda true: true.gather(1, torch.rand_like(true).argsort(1)))


def mutagenesis_silent() -> Finding:
    """The true map."""
    return _of_pooled(torch.Tensor.clone)


def linear_silent() -> Finding:
    """Input times gradient of a linear model."""
    model, X = Head(1.0, nn.Identity()).eval(), letters(8)
    scores = nucleoscope.input_x_gradient(model, X).observed()
    return diagnostics.faithfulness(model, X, scores)


def deep_lift_silent() -> Finding:
    """DeepLIFT of three convolutions with ReLU."""
    model, X = tower(nn.ReLU, 3, 2**0.5), letters(8)
    scores = nucleoscope.deep_lift_shap(model, X, n_shuffles=10).observed()
    return diagnostics.faithfulness(model, X, scores)


class Case(NamedTuple):
    """A diagnosis, how it is made to fire and how not."""

    fires: tuple[Callable[[], Finding], ...]
    silent: tuple[Callable[[], Finding], ...]


CASES = {
    "faithfulness": Case(
        (zeros_fires, noise_fires, negated_fires, permuted_fires),
        (mutagenesis_silent, linear_silent, deep_lift_silent),
    ),
    "gauge": Case((gauge_fires, scaling_fires), (gauge_silent,)),
    "vanishing": Case((vanishing_fires, dead_fires, head_fires, flat_fires), (vanishing_silent,)),
    "redundancy": Case((redundancy_fires,), (redundancy_silent,)),
    "attention": Case((attention_fires, unidentifiable_fires), (attention_silent,)),
    "precision": Case((precision_fires,), (precision_silent,)),
    "loss gap": Case((gap_fires,), (gap_silent,)),
}
