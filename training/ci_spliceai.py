"""The teacher: CI-SpliceAI's five networks, in a form that labels megabases fast.

CI-SpliceAI (Strauch et al. 2022, PLOS ONE, doi:10.1371/journal.pone.0269159, CC BY 4.0) ships one
frozen TensorFlow graph of five networks of SpliceAI-10k's architecture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nucleoscope.models.loading.frozen_graph import members

WIDTH = 32
CONTEXT = 5000  # bases on either side that the teacher reads
# Residual blocks as (kernel, dilation); after every fourth one a skip connection leaves the trunk.
BLOCKS = [(11, 1)] * 4 + [(11, 4)] * 4 + [(21, 10)] * 4 + [(41, 25)] * 4
BATCHNORM_EPS = 1e-3  # Keras' default; torch's is 1e-5


class Teacher(nn.Module):
    """One network: one-hot (N, 4, 1, L), alphabet ACGT, N = zeros -> probabilities (N, 3, L).

    Channels are neither, acceptor (first base of an exon), donor (last base of an exon). Nothing
    is cropped here; the outermost `CONTEXT` columns on either side see zero padding. The
    convolutions are two-dimensional over one row because torch has channels-last kernels only
    for those, and they are twice as fast at this width.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, WIDTH, 1)
        self.skips = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 1) for _ in range(5))
        self.norms = nn.ModuleList(nn.BatchNorm2d(WIDTH, eps=BATCHNORM_EPS) for _ in range(32))
        self.convs = nn.ModuleList(
            nn.Conv2d(
                WIDTH, WIDTH, (1, kernel), dilation=dilation, padding=(0, dilation * (kernel // 2))
            )
            for kernel, dilation in BLOCKS
            for _ in range(2)
        )
        self.head = nn.Conv2d(WIDTH, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        trunk = self.stem(x)
        skip = self.skips[0](trunk)
        for block in range(len(BLOCKS)):
            inner = trunk
            for half in (2 * block, 2 * block + 1):
                inner = self.convs[half](functional.relu(self.norms[half](inner)))
            trunk = trunk + inner
            if block % 4 == 3:
                skip = skip + self.skips[1 + block // 4](trunk)
        return self.head(skip).softmax(dim=1).squeeze(2)

    def convolutions(self) -> Iterator[nn.Conv2d]:
        """Every convolution in the order in which Keras numbered them."""
        yield self.stem
        yield self.skips[0]
        for group in range(4):
            yield from self.convs[8 * group : 8 * group + 8]
            yield self.skips[1 + group]
        yield self.head


def load(wheel: Path) -> list[Teacher]:
    """The five networks in eval mode, from the wheel that `pip download` leaves behind."""
    teachers = []
    for member in members(wheel):
        teacher = Teacher()
        with torch.no_grad():
            for conv, kernel, bias in zip(
                teacher.convolutions(), member.kernels, member.biases, strict=True
            ):
                conv.weight.copy_(torch.tensor(kernel).permute(2, 1, 0)[:, :, None])
                conv.bias.copy_(torch.tensor(bias))
            arrays = zip(member.scales, member.shifts, member.means, member.variances, strict=True)
            for norm, (scale, shift, mean, variance) in zip(teacher.norms, arrays, strict=True):
                norm.weight.copy_(torch.tensor(scale))
                norm.bias.copy_(torch.tensor(shift))
                norm.running_mean.copy_(torch.tensor(mean))
                norm.running_var.copy_(torch.tensor(variance))
        teachers.append(teacher)
    return [
        teacher.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        for teacher in teachers
    ]


@torch.inference_mode()
def label(teachers: list[Teacher], codes: np.ndarray, span: int = 50_000) -> np.ndarray:
    """Mean probabilities, float16 (3, L), of base codes (L,) 0..3 = ACGT, 4 = unknown.

    Ends are labelled as if unknown bases followed, as CI-SpliceAI does at a contig's end.
    """
    known = np.eye(5, 4, dtype=np.float32)  # code -> one-hot row, 4 -> zeros
    padded = np.pad(codes, CONTEXT, constant_values=4)
    labels = np.empty((3, len(codes)), np.float16)
    for start in range(0, len(codes), span):
        window = torch.from_numpy(known[padded[start : start + span + 2 * CONTEXT]])
        x = window.T[None, :, None].contiguous(memory_format=torch.channels_last)
        mean = torch.stack([teacher(x)[0] for teacher in teachers]).mean(dim=0)
        labels[:, start : start + span] = mean[:, CONTEXT:-CONTEXT].numpy()
    return labels


def check(codes: np.ndarray, labels: np.ndarray) -> None:
    """Raise unless labels (3, L) sum to one and lie where introns begin with GT, end with AG.

    About one intron in a hundred begins with GC, so a few exceptions are allowed.
    """
    sums = labels.astype(np.float32).sum(axis=0)
    if np.abs(sums - 1).max() > 2e-3:  # float16 rounds 0.999 to the nearest 5e-4
        raise ValueError(f"the teacher's probabilities sum to {sums.min()} .. {sums.max()}")
    signals = {
        "AG before acceptors": (1, (codes[:-4] == 0) & (codes[1:-3] == 2)),
        "GT after donors": (2, (codes[3:-1] == 2) & (codes[4:] == 3)),
    }
    for name, (kind, present) in signals.items():
        found = present[labels[kind, 2:-2] > 0.5]
        if (~found).sum() > 2 + 0.05 * len(found):
            raise ValueError(f"{name}: only {found.sum()} of {len(found)}")
