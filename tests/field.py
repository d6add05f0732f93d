"""The graphs of the field's published models, a few channels wide: what each is made of, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.parts import AttentionPool, Net, Residual, conv, lively


class Gelu(nn.Module):
    """x sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(1.702 * x) * x


class Softmax(nn.Module):
    """Multi-head attention by hand over [B, L, C], as Enformer's and Borzoi's, with a bias of positions."""

    def __init__(self, channels: int, length: int, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.mix = nn.Linear(channels, 3 * channels, bias=False)
        self.out = nn.Linear(channels, channels)
        self.places = nn.Parameter(torch.randn(heads, length, length))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in self.mix(x).chunk(3, 2)
        )
        weights = (q @ k.transpose(2, 3) / math.sqrt(q.shape[-1]) + self.places).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


def transformer(channels: int, length: int) -> nn.Module:
    """A block over [B, L, C]: attention, then two linear layers."""
    dense = [nn.LayerNorm(channels), nn.Linear(channels, 2 * channels), nn.ReLU()]
    return nn.Sequential(
        Residual(nn.LayerNorm(channels), Softmax(channels, length)),
        Residual(*dense, nn.Linear(2 * channels, channels)),
    )


def basset(length: int) -> nn.Module:
    """Three convolutions with BatchNorm and max-pools over a dummy axis, then fully connected layers."""

    def forward(net: Net, x: Tensor) -> Tensor:
        return net.dense(net.tower(x.unsqueeze(3)).flatten(1))

    def block(a: int, b: int, taps: int, pool: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, (taps, 1)), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d((pool, 1))]

    tower = nn.Sequential(*block(4, 8, 7, 3), *block(8, 6, 5, 2), *block(6, 6, 3, 2))
    left = ((((length - 6) // 3 - 4) // 2) - 2) // 2
    dense = nn.Sequential(
        nn.Linear(6 * left, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3), nn.Sigmoid()
    )
    return Net(forward, tower=tower, dense=dense)


def puffin(length: int, taps: int = 61, by_fft: bool = False) -> nn.Module:
    """Banks of convolutions on both strands, softplus; long, transposed and long convolutions, summed."""
    del length

    def strands(bank: nn.Module, x: Tensor) -> Tensor:
        return torch.cat([bank(x), bank(x.flip([1, 2])).flip([2])], 1)

    def long(weight: Tensor, h: Tensor) -> Tensor:
        if not by_fft:
            return F.conv1d(h, weight, padding=taps // 2)
        size = h.shape[2] + taps
        spectrum = torch.fft.rfft(h, n=size).unsqueeze(1) * torch.fft.rfft(weight.flip(2), n=size)
        full = torch.fft.irfft(spectrum.sum(2), n=size)
        return full[:, :, taps // 2 : taps // 2 + h.shape[2]]

    def forward(net: Net, x: Tensor) -> Tensor:
        motif, start, three = (F.softplus(strands(b, x)) for b in (net.motif, net.start, net.three))
        total = long(net.wide, motif) + net.effect(start) + long(net.wider, three)
        return F.softplus(total)

    return Net(
        forward, motif=conv(4, 3, 11), start=conv(4, 3, 7), three=conv(4, 4, 3),
        effect=nn.ConvTranspose1d(6, 2, 7, padding=3),
        wide=nn.Parameter(torch.randn(2, 6, taps) / 8), wider=nn.Parameter(torch.randn(2, 8, taps) / 8),
    )  # fmt: skip


def puffin_d(length: int) -> nn.Module:
    """Strided convolutions down, nearest upsampling up, skips that are added."""
    del length

    def step(a: int, b: int, stride: int = 1) -> nn.Module:
        return nn.Sequential(
            nn.Conv1d(a, b, 5, stride=stride, padding=2), nn.BatchNorm1d(b), nn.SiLU(),
            Residual(conv(b, b, 5), nn.BatchNorm1d(b), nn.SiLU()),
        )  # fmt: skip

    def forward(net: Net, x: Tensor) -> Tensor:
        fine = net.a(x)
        middle = net.b(fine)
        coarse = net.c(middle)
        up = net.d(F.interpolate(coarse, scale_factor=4)) + middle
        return F.softplus(net.head(net.e(F.interpolate(up, scale_factor=2)) + fine))

    return Net(
        forward, a=step(4, 6), b=step(6, 8, 2), c=step(8, 8, 4), d=step(8, 8), e=step(8, 6),
        head=conv(6, 2, 1),
    )  # fmt: skip


def deep_cre(length: int) -> nn.Module:
    """Pairs of "same" convolutions of 8 taps, TensorFlow's max-pools, fully connected layers."""

    def forward(net: Net, x: Tensor) -> Tensor:
        h = x
        for pair in net.pairs:
            for layer in pair:
                h = torch.relu(layer(F.pad(h, (3, 4))))
            missing = -h.shape[2] % 8
            h = F.max_pool1d(F.pad(h, (missing // 2, missing - missing // 2), value=-torch.inf), 8)
        return torch.sigmoid(net.dense(h.flatten(1)))

    sizes = [(4, 6), (6, 4), (4, 6)]
    pairs = nn.ModuleList(nn.ModuleList([nn.Conv1d(a, b, 8), nn.Conv1d(b, b, 8)]) for a, b in sizes)
    left = math.ceil(length / 8**3)
    dense = nn.Sequential(nn.Linear(6 * left, 8), nn.ReLU(), nn.Linear(8, 1))
    return Net(forward, pairs=pairs, dense=dense)


def c_origami(length: int) -> nn.Module:
    """Strided residual towers of sequence and signals, a transformer, a map of pairs, dilated 2-d layers."""

    def block(a: int, b: int) -> nn.Module:
        body = Residual(
            conv(b, b, 5), nn.BatchNorm1d(b), nn.ReLU(), conv(b, b, 5), nn.BatchNorm1d(b)
        )
        return nn.Sequential(
            nn.Conv1d(a, b, 3, 2, 1), nn.BatchNorm1d(b), nn.ReLU(), body, nn.ReLU()
        )

    def forward(net: Net, x: Tensor, signal: Tensor) -> Tensor:
        h = torch.cat([net.sequence(x), net.signal(signal)], 1)
        h = net.layers(h.transpose(1, 2)).transpose(1, 2)
        pairs = torch.cat(
            [
                h.unsqueeze(3).expand(-1, -1, -1, h.shape[2]),
                h.unsqueeze(2).expand(-1, -1, h.shape[2], -1),
            ],
            1,
        )
        return net.head(net.map(pairs)).squeeze(1)

    return Net(
        forward, sequence=nn.Sequential(block(4, 4), block(4, 4)),
        signal=nn.Sequential(block(2, 4), block(4, 4)), layers=transformer(8, length // 4),
        map=nn.Sequential(nn.Conv2d(16, 4, 3, padding=2, dilation=2), nn.BatchNorm2d(4), nn.ReLU()),
        head=nn.Conv2d(4, 1, 1),
    )  # fmt: skip


class SharedPool(nn.Module):
    """EpiBERT's pool: pairs averaged with weights from the softmax of one logit for all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.logit = nn.Linear(channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        cells = x.transpose(1, 2).unflatten(1, (-1, 2))  # [B, n, 2, C]
        weights = torch.softmax(self.logit(cells), 2)
        return (cells * weights).sum(2).transpose(1, 2)


class LinearAttention(nn.Module):
    """Attention by features that are ReLUs: keys and values are summed over the length first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Linear(channels, 3 * channels)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.mix(x).chunk(3, 2)
        q, k = torch.relu(q) + 1e-3, torch.relu(k) + 1e-3
        total = torch.einsum("blm,bld->bmd", k, v)
        return torch.einsum("blm,bmd->bld", q, total) / (q * k.sum(1, keepdim=True)).sum(
            2, keepdim=True
        )


def epibert(length: int) -> nn.Module:
    """Convolutions with shared-logit pools beside an accessibility track, then linear attention."""
    del length

    def forward(net: Net, x: Tensor, atac: Tensor) -> Tensor:
        h = net.tower(net.stem(x))
        track = F.max_pool1d(net.atac(atac), 4)
        h = torch.cat([h, track], 1).transpose(1, 2)
        h = h + net.mix(net.norm(h))
        return F.softplus(net.head(F.gelu(h)))

    def block(a: int, b: int) -> nn.Module:
        return nn.Sequential(
            nn.BatchNorm1d(a), nn.GELU(approximate="tanh"), conv(a, b, 5),
            Residual(nn.BatchNorm1d(b), nn.GELU(approximate="tanh"), conv(b, b, 1)), SharedPool(b),
        )  # fmt: skip

    return Net(
        forward, stem=conv(4, 6, 15), tower=nn.Sequential(block(6, 6), block(6, 8)),
        atac=conv(1, 4, 5), norm=nn.LayerNorm(12), mix=LinearAttention(12), head=nn.Linear(12, 1),
    )  # fmt: skip


def enformer_tower(length: int) -> nn.Sequential:
    """enformer-pytorch's stem and tower with its own pool, padded and masked where the length is odd."""
    del length

    def block(a: int, b: int, taps: int = 1) -> nn.Module:
        return nn.Sequential(nn.BatchNorm1d(a), Gelu(), conv(a, b, taps))

    return nn.Sequential(
        conv(4, 6, 15), Residual(block(6, 6)), AttentionPool(6),
        nn.Sequential(block(6, 8, 5), Residual(block(8, 8)), AttentionPool(8)),
        nn.Sequential(block(8, 10, 5), Residual(block(10, 10)), AttentionPool(10)),
    )  # fmt: skip


def enformer(length: int) -> nn.Module:
    """The tower, transformer blocks, a crop, a pointwise head."""
    short = math.ceil(length / 2**3)

    def forward(net: Net, x: Tensor) -> Tensor:
        h = net.layers(net.tower(x).transpose(1, 2))[:, 1:-1]
        return F.softplus(net.head(net.last(net.final(h.transpose(1, 2)).transpose(1, 2))))

    final = nn.Sequential(nn.BatchNorm1d(10), Gelu(), conv(10, 12, 1))
    return Net(
        forward, tower=enformer_tower(length), layers=transformer(10, short), final=final, last=Gelu(),
        head=nn.Linear(12, 2),
    )  # fmt: skip


def enformer_local(length: int) -> nn.Module:
    """The tower alone with a head: every part of it is local."""
    return nn.Sequential(enformer_tower(length), conv(10, 2, 1))


def deep_sea(length: int) -> nn.Module:
    """Valid convolutions of 8 taps with a threshold of 1e-6, max-pools, fully connected layers."""
    cut = nn.Threshold(0, 1e-6)
    left = ((length - 7) // 4 - 7) // 4 - 7
    return nn.Sequential(
        nn.Conv1d(4, 6, 8), cut, nn.MaxPool1d(4), nn.Conv1d(6, 8, 8), cut, nn.MaxPool1d(4),
        nn.Conv1d(8, 8, 8), cut, nn.Flatten(), nn.Linear(8 * left, 9), cut, nn.Linear(9, 3), nn.Sigmoid(),
    )  # fmt: skip


def danq(length: int) -> nn.Module:
    """Convolution, max-pool, a bidirectional LSTM, fully connected layers."""
    left = (length - 7) // 4

    def forward(net: Net, x: Tensor) -> Tensor:
        h = F.max_pool1d(torch.relu(net.stem(x)), 4)
        return net.dense(net.run(h.transpose(1, 2))[0].flatten(1))

    run = nn.LSTM(6, 4, batch_first=True, bidirectional=True)
    dense = nn.Sequential(nn.Linear(8 * left, 8), nn.ReLU(), nn.Linear(8, 2), nn.Sigmoid())
    return Net(forward, stem=nn.Conv1d(4, 6, 8), run=run, dense=dense)


def bpnet_original(length: int, head: str) -> nn.Module:
    """Dilated residual tower, a transposed convolution for the profile, a mean for the counts."""
    del length

    def forward(net: Net, x: Tensor) -> Tensor:
        h = torch.relu(net.first(x))
        for layer in net.tower:
            h = h + torch.relu(layer(h))
        return net.profile(h) if head == "profile" else net.counts(h.mean(2))

    tower = nn.ModuleList(conv(6, 6, 3, dilation=2**i) for i in range(1, 5))
    profile = nn.ConvTranspose1d(6, 2, 9, padding=4)
    return Net(forward, first=conv(4, 6, 9), tower=tower, profile=profile, counts=nn.Linear(6, 2))


def chrom_bpnet(length: int) -> nn.Module:
    """Two valid towers with cropped residuals; their log-counts joined by logsumexp."""
    del length

    def tower(wide: int) -> nn.Module:
        layers = [Residual(nn.Conv1d(wide, wide, 3, dilation=2**i), nn.ReLU()) for i in range(1, 4)]
        return nn.Sequential(nn.Conv1d(4, wide, 7), nn.ReLU(), *layers)

    def forward(net: Net, x: Tensor) -> Tensor:
        counts = [head(body(x).mean(2)) for body, head in ((net.main, net.a), (net.bias, net.b))]
        return torch.logaddexp(*counts)

    return Net(forward, main=tower(6), bias=tower(4), a=nn.Linear(6, 1), b=nn.Linear(4, 1))


def borzoi(length: int) -> nn.Module:
    """Pooled tower, transformer, nearest upsampling with skips and separable convolutions, a crop."""

    def block(a: int, b: int, taps: int) -> nn.Module:
        return nn.Sequential(
            nn.BatchNorm1d(a, eps=1e-3), nn.GELU(approximate="tanh"), conv(a, b, taps)
        )

    def forward(net: Net, x: Tensor) -> Tensor:
        fine = net.a(F.max_pool1d(net.stem(x), 2))
        middle = net.b(F.max_pool1d(fine, 2))
        h = F.max_pool1d(middle, 2).transpose(1, 2)
        h = net.layers(h).transpose(1, 2)
        h = net.join_b(F.interpolate(net.up_b(h), scale_factor=2) + net.skip_b(middle))
        h = net.join_a(F.interpolate(net.up_a(h), scale_factor=2) + net.skip_a(fine))
        return F.softplus(net.head(F.gelu(net.final(h[:, :, 2:-2]))))

    def join() -> nn.Module:
        return nn.Sequential(conv(8, 8, 3, groups=8, bias=False), nn.Conv1d(8, 8, 1))

    return Net(
        forward, stem=conv(4, 6, 15), a=block(6, 6, 5), b=block(6, 8, 5),
        layers=transformer(8, length // 8), up_b=block(8, 8, 1), skip_b=block(8, 8, 1),
        up_a=block(8, 8, 1), skip_a=block(6, 8, 1), join_a=join(), join_b=join(),
        final=block(8, 10, 1), head=conv(10, 2, 1),
    )  # fmt: skip


def splice_ai(length: int) -> nn.Module:
    """Pre-activation residual blocks with growing dilation, a skip branch that is summed, a crop, a softmax."""
    del length

    def block(taps: int, dilation: int) -> nn.Module:
        layer = [nn.BatchNorm1d(6, eps=1e-3), nn.ReLU(), conv(6, 6, taps, dilation=dilation)]
        again = [nn.BatchNorm1d(6, eps=1e-3), nn.ReLU(), conv(6, 6, taps, dilation=dilation)]
        return Residual(*layer, *again)

    def forward(net: Net, x: Tensor) -> Tensor:
        h = net.stem(x)
        total = net.skips[0](h)
        for body, skip in zip(net.blocks, net.skips[1:], strict=True):
            h = body(h)
            total = total + skip(h)
        return torch.softmax(net.head(F.pad(total, (-6, -6))), 1)

    blocks = nn.ModuleList([block(5, 1), block(5, 2), block(7, 3)])
    skips = nn.ModuleList(conv(6, 6, 1) for _ in range(4))
    return Net(forward, stem=conv(4, 6, 1), blocks=blocks, skips=skips, head=conv(6, 3, 1))


class Published(NamedTuple):
    """A model of the field: its graph, a length for it, and the ops where its locality must end."""

    make: Callable[[int], nn.Module]
    length: int
    seams: tuple[str, ...] = ()  # targets of the seams, in order; none: local all the way
    others: tuple[int, ...] = ()  # channels of further inputs


ATTENTION = ("aten.matmul.default",)
FIELD: dict[str, Published] = {
    "Basset": Published(basset, 61),
    "Puffin": Published(puffin, 50),
    "Puffin, by FFT": Published(
        lambda length: puffin(length, by_fft=True), 50, ("aten.fft_rfft.default",) * 2
    ),
    "Puffin-D": Published(puffin_d, 48),
    "DeepCRE": Published(deep_cre, 140),
    "C.Origami": Published(c_origami, 48, ATTENTION, (2,)),
    # Its attention divides by a sum that these ReLUs alone keep off 0.
    "EpiBERT": Published(epibert, 48, ("aten.relu.default",) * 2, (1,)),
    "Enformer": Published(enformer, 53, ATTENTION),
    "Enformer's tower": Published(enformer_local, 48),
    "Enformer's tower, odd": Published(enformer_local, 53),
    "DeepSEA": Published(deep_sea, 181),
    "DanQ": Published(danq, 60, ("aten.lstm.input",)),
    "BPNet's profile": Published(lambda length: bpnet_original(length, "profile"), 60),
    "BPNet's counts": Published(lambda length: bpnet_original(length, "counts"), 60),
    "ChromBPNet": Published(chrom_bpnet, 60),
    "Borzoi": Published(borzoi, 48, ATTENTION),
    "SpliceAI": Published(splice_ai, 60),
}


def published(name: str) -> nn.Module:
    """A model of the field with weights of a fixed seed."""
    torch.manual_seed(0)
    return lively(FIELD[name].make(FIELD[name].length))
