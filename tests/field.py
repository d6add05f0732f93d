"""The field's models, a few channels wide, and others' ways of writing them: where their locality must end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.models.catalog import CATALOG, example
from nucleoscope.models.layers import SigmoidGelu
from tests.parts import AttentionPool, Net, Residual, conv, lively, sequences


def puffin_by_fft(taps: int = 61) -> nn.Module:
    """Puffin's wide convolutions by Fourier transforms, as its authors write them."""

    def forward(net: Net, x: Tensor) -> Tensor:
        h = F.softplus(torch.cat([net.bank(x), net.bank(x.flip([1, 2])).flip([2])], 1))
        size = h.shape[2] + taps
        spectrum = torch.fft.rfft(h, n=size).unsqueeze(1) * torch.fft.rfft(net.wide.flip(2), n=size)
        full = torch.fft.irfft(spectrum.sum(2), n=size)
        return F.softplus(full[:, :, taps // 2 : taps // 2 + h.shape[2]])

    return Net(
        forward, bank=conv(4, 3, 11), wide=nn.Parameter(torch.randn(2, 6, taps) / 8)
    )  # fmt: skip


def enformer_tower() -> nn.Module:
    """enformer-pytorch's stem and tower with its own pool, padded and masked where the length is odd."""

    def block(a: int, b: int, taps: int = 1) -> nn.Module:
        return nn.Sequential(nn.BatchNorm1d(a), SigmoidGelu(), conv(a, b, taps))

    return nn.Sequential(
        conv(4, 6, 15), Residual(block(6, 6)), AttentionPool(6),
        nn.Sequential(block(6, 8, 5), Residual(block(8, 8)), AttentionPool(8)),
        nn.Sequential(block(8, 10, 5), Residual(block(10, 10)), AttentionPool(10)), conv(10, 2, 1),
    )  # fmt: skip


class OneOf(nn.Module):
    """One of the tensors that a model returns."""

    def __init__(self, net: nn.Module, key: str) -> None:
        super().__init__()
        self.net, self.key = net, key
        self.eval()

    def forward(self, *inputs: Tensor) -> Tensor:
        made: Tensor = self.net(*inputs)[self.key]
        return made


class Published(NamedTuple):
    """A model of the field: how it is made, and the ops where its locality must end."""

    make: Callable[[], nn.Module] | None = None  # none: as its entry in the catalog makes it
    length: int | None = None
    seams: tuple[str, ...] = ()  # targets of the seams, in order; none: local all the way
    output: str = ""
    model: str = ""  # its name in the catalog, where that is another

    def ready(self, name: str) -> tuple[nn.Module, Tensor, tuple[Tensor, ...], str]:
        """The model with weights of a fixed seed, two sequences, further inputs, and the alphabet."""
        torch.manual_seed(0)
        if self.make is not None:
            net, X, others, alphabet = self.make(), sequences(2, self.length or 0), (), "ACGT"
        else:
            entry = CATALOG[self.model or name]
            net, alphabet = entry.make(small=True), entry.alphabet
            X, others = example(self.model or name, net, 2)
        X[1, :, 7] = 1 / len(alphabet)
        ready = lively(net)
        return (OneOf(ready, self.output) if self.output else ready), X, others, alphabet


# Logits of content and of distance.
ATTENTION = ("aten.matmul.default",) * 2
FIELD: dict[str, Published] = {
    "Basset": Published(),
    "Factorized Basset": Published(),
    "DeepSEA": Published(),
    "Beluga": Published(),
    "DanQ": Published(seams=("aten.lstm.input",)),
    "DeepSTARR": Published(),
    "DeepCRE": Published(),
    "BPNet, original": Published(output="profile"),
    "BPNet, original: counts": Published(output="counts", model="BPNet, original"),
    "BPNet": Published(output="profile"),
    "ChromBPNet": Published(output="profile"),
    "ChromBPNet: counts": Published(output="counts", model="ChromBPNet"),
    "SpliceAI": Published(),
    "Puffin": Published(),
    "Puffin, by FFT": Published(puffin_by_fft, 50, ("aten.fft_rfft.default",)),
    "Puffin-D": Published(),
    "Enformer": Published(seams=ATTENTION, output="human"),
    "Enformer's tower": Published(enformer_tower, 48),
    "Enformer's tower, odd": Published(enformer_tower, 53),
    "Borzoi": Published(seams=ATTENTION, output="mouse"),
    "Flashzoi": Published(  # heads that share keys and values, and queries, of which a part is turned
        seams=("aten.repeat_interleave.self_int",) * 2 + ("aten.slice.Tensor",), output="human"
    ),
    # Its attention divides by a sum that these ReLUs alone keep off 0.
    "EpiBERT": Published(seams=("aten.relu.default",) * 2),
    "MPRA-DragoNN": Published(),
    "m6Aformer": Published(seams=("aten.transpose.int",)),
    "C.Origami": Published(seams=("aten.transpose.int",)),
}


def published(name: str) -> tuple[nn.Module, Tensor, tuple[Tensor, ...], dict[str, Any]]:
    """A model of the field, two sequences, further inputs, and what a method must be told."""
    net, X, others, alphabet = FIELD[name].ready(name)
    return net, X, others, {} if alphabet == "ACGT" else {"alphabet": alphabet}
