"""CI-SpliceAI's five networks out of its frozen TensorFlow graph, without TensorFlow.

The file is one protobuf message. Only its constants are needed, so a reader of the wire format will do.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from nucleoscope.models.loading.fill import fill
from nucleoscope.models.loading.from_keras import splice_ai
from nucleoscope.models.splice_ai import SpliceAI

GRAPH = "cispliceai/data/CI-SpliceAI.pb"  # in the wheel
MEMBERS = 5
READ = "ReadVariableOp"  # how TensorFlow names the node that reads a stored array
LARGEST = 2**31  # bytes of one array: more is no weight of these nets


class Member(NamedTuple):
    """One network's arrays, each kind in the order in which its layers were made."""

    kernels: list[np.ndarray]  # (taps, in, out)
    biases: list[np.ndarray]
    scales: list[np.ndarray]
    shifts: list[np.ndarray]
    means: list[np.ndarray]
    variances: list[np.ndarray]


def load_ci_spliceai(path: str | Path) -> list[SpliceAI]:
    """The five networks, whose probabilities are averaged, in eval mode.

    `path` is ``CI-SpliceAI.pb`` or the wheel of the package cispliceai 1.2.2 that holds it (Strauch et al. 2022,
    PLOS ONE, doi:10.1371/journal.pone.0269159, CC BY 4.0). Raises ValueError where it is not what was expected.
    """
    return [_filled(member, str(path)) for member in members(Path(path))]


def members(path: Path) -> list[Member]:
    """The arrays of the five networks."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if GRAPH not in archive.namelist():
                raise ValueError(f"{path}: this archive has no {GRAPH}")
            graph = archive.read(GRAPH)
    else:
        graph = path.read_bytes()
    stored = list(constants(memoryview(graph)))

    def of(kind: str) -> list[np.ndarray]:
        name = re.compile(rf"/{kind}/resource$")
        return [array for node, array in stored if name.search(node)]

    kinds = [
        of(f"ExpandDims_1/{READ}"),
        of(rf"BiasAdd\w*/{READ}"),
        of(rf"batchnorm\w*/mul/{READ}"),
        of(rf"batchnorm\w*/{READ}_2"),
        of(rf"batchnorm\w*/{READ}_1"),
        of(rf"batchnorm\w*/{READ}"),
    ]
    if {len(kind) for kind in kinds} != {39 * MEMBERS, 32 * MEMBERS} or len(kinds[0]) % MEMBERS:
        counts = [len(kind) for kind in kinds]
        raise ValueError(
            f"{path}: {counts} kernels, biases, scales, shifts, means and variances, where {MEMBERS} networks of "
            f"SpliceAI-10k have {[39 * MEMBERS] * 2 + [32 * MEMBERS] * 4}"
        )

    def share(kind: list[np.ndarray], number: int) -> list[np.ndarray]:
        each = len(kind) // MEMBERS
        return kind[number * each : (number + 1) * each]

    return [Member(*(share(kind, number) for kind in kinds)) for number in range(MEMBERS)]


def _filled(member: Member, source: str) -> SpliceAI:
    model = SpliceAI()
    names = {module: name for name, module in model.named_modules()}
    tensors: dict[str, np.ndarray] = {}
    slots = list(splice_ai(model))
    convs = [names[module] for _, module in slots if isinstance(module, nn.Conv1d)]
    norms = [names[module] for _, module in slots if isinstance(module, nn.BatchNorm1d)]
    for name, kernel, bias in zip(convs, member.kernels, member.biases, strict=True):
        tensors |= {f"{name}.weight": kernel.transpose(2, 1, 0), f"{name}.bias": bias}
    parts = ("weight", "bias", "running_mean", "running_var")
    for part, arrays in zip(parts, member[2:], strict=True):
        tensors |= {f"{name}.{part}": a for name, a in zip(norms, arrays, strict=True)}
    as_tensors = {name: torch.from_numpy(a.copy()) for name, a in tensors.items()}
    fill(model, as_tensors, source)
    return model.eval()


def constants(graph: memoryview) -> Iterator[tuple[str, np.ndarray]]:
    """(node name, float32 array) of every constant with tensor content, in the graph's order.

    Raises ValueError for bytes that are no such message.
    """
    for field, node in fields(graph):
        if field != 1 or not isinstance(node, memoryview) or text(node, 2) != "Const":
            continue
        entries = [e for number, e in fields(node) if number == 5 and isinstance(e, memoryview)]
        value = next((only(entry, 2) for entry in entries if text(entry, 1) == "value"), None)
        tensor = None if value is None else only(value, 8)
        if tensor is None or (1, 1) not in fields(tensor):  # 1: the tensor's dtype is float32
            continue
        content, shape, name = only(tensor, 4), only(tensor, 2), only(node, 1)
        if content is None or shape is None or name is None:
            continue
        sizes = [
            size
            for number, dim in fields(shape)
            if number == 2 and isinstance(dim, memoryview)
            for field, size in fields(dim)
            if field == 1 and isinstance(size, int)
        ]
        count = int(np.prod(sizes, dtype=np.int64)) if sizes else 1
        if len(content) > LARGEST or len(content) != 4 * count:
            raise ValueError(
                f"node {bytes(name).decode()}: {len(content)} bytes are no float32 array of shape {sizes}"
            )
        yield bytes(name).decode(), np.frombuffer(content, "<f4").reshape(sizes)


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
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"byte {at}: wire type {wire} is none of protobuf's: no frozen graph")
        if at + size > len(message):
            raise ValueError(
                f"byte {at}: a field of {size} bytes ends behind the file: no frozen graph"
            )
        yield key >> 3, message[at : at + size]
        at += size


def only(message: memoryview, number: int) -> memoryview | None:
    """The last sub-message or string stored under a field number, or None."""
    found = [value for field, value in fields(message) if field == number]
    return found[-1] if found and isinstance(found[-1], memoryview) else None


def text(message: memoryview, number: int) -> str:
    """A string under a field number, empty where there is none."""
    held = only(message, number)
    return "" if held is None else bytes(held).decode("utf-8", "replace")


def varint(message: memoryview, at: int) -> tuple[int, int]:
    """One base-128 integer: its value and where the next token starts."""
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
    raise ValueError(f"byte {at}: a number without an end: no frozen graph")
