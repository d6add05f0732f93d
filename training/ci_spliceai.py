"""The teacher: CI-SpliceAI's five networks, read out of its frozen graph and rebuilt in torch.

CI-SpliceAI (Strauch et al. 2022, PLOS ONE, doi:10.1371/journal.pone.0269159, CC BY 4.0) ships one
frozen TensorFlow graph of five networks of SpliceAI-10k's architecture. Only its constants are
needed, so a reader of the protobuf wire format replaces TensorFlow.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

GRAPH = "cispliceai/data/CI-SpliceAI.pb"
MEMBERS = 5
WIDTH = 32
CONTEXT = 5000  # bases on either side that the teacher reads
# Residual blocks as (kernel, dilation); after every fourth one a skip connection leaves the trunk.
BLOCKS = [(11, 1)] * 4 + [(11, 4)] * 4 + [(21, 10)] * 4 + [(41, 25)] * 4
READ = "ReadVariableOp"  # how TensorFlow names the node that reads a stored array
BATCHNORM_EPS = 1e-3  # Keras' default; torch's is 1e-5


def varint(message: memoryview, at: int) -> tuple[int, int]:
    """One base-128 integer: its value and where the next token starts."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The (field number, value) pairs of one protobuf message."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        wire = key & 7
        if wire == 0:
            value, at = varint(message, at)
            yield key >> 3, value
            continue
        if wire == 2:
            size, at = varint(message, at)
        else:
            size = {1: 8, 5: 4}[wire]
        yield key >> 3, message[at : at + size]
        at += size


def only(message: memoryview, number: int) -> memoryview | None:
    """The last sub-message or string stored under a field number, or None."""
    found = [value for field, value in fields(message) if field == number]
    return found[-1] if found and isinstance(found[-1], memoryview) else None


def constants(graph: memoryview) -> Iterator[tuple[str, np.ndarray]]:
    """(node name, float32 array) of every constant with tensor content, in the graph's order."""
    for field, node in fields(graph):
        if field != 1 or not isinstance(node, memoryview) or only(node, 2) != b"Const":
            continue
        entries = [entry for number, entry in fields(node) if number == 5]
        value = next(only(entry, 2) for entry in entries if only(entry, 1) == b"value")
        tensor = only(value, 8)
        content, shape = only(tensor, 4), only(tensor, 2)
        if content is None or (1, 1) not in fields(tensor):  # 1: the tensor's dtype is float32
            continue
        sizes = [dict(fields(dim))[1] for number, dim in fields(shape) if number == 2]
        yield bytes(only(node, 1)).decode(), np.frombuffer(content, "<f4").reshape(sizes)


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
    with zipfile.ZipFile(wheel) as archive:
        stored = list(constants(memoryview(archive.read(GRAPH))))

    def ordered(kind: str) -> Iterator[Tensor]:
        """Constants of one kind in the graph's order: network by network, layer by layer."""
        name = re.compile(rf"/{kind}/resource$")
        return iter([torch.tensor(array) for node, array in stored if name.search(node)])

    kernels, biases = ordered(f"ExpandDims_1/{READ}"), ordered(rf"BiasAdd\w*/{READ}")
    scales, shifts = (ordered(rf"batchnorm\w*/{end}") for end in (f"mul/{READ}", f"{READ}_2"))
    means, variances = (ordered(rf"batchnorm\w*/{end}") for end in (f"{READ}_1", READ))
    teachers = [Teacher() for _ in range(MEMBERS)]
    with torch.no_grad():
        for teacher in teachers:
            for conv in teacher.convolutions():
                conv.weight.copy_(next(kernels).permute(2, 1, 0)[:, :, None])  # (k, in, out) before
                conv.bias.copy_(next(biases))
            for norm in teacher.norms:
                norm.weight.copy_(next(scales))
                norm.bias.copy_(next(shifts))
                norm.running_mean.copy_(next(means))
                norm.running_var.copy_(next(variances))
    if any(next(rest, None) is not None for rest in (kernels, biases, scales, shifts, means)):
        raise ValueError(f"{wheel}: more constants than {MEMBERS} networks of SpliceAI-10k hold")
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
