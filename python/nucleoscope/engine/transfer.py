"""Small arrays to the device and answers back, neither side waiting for the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

What = TypeVar("What")

# Batches whose answers may still be on their way: the next is being launched while the last one runs.
BEHIND = 2

WORD = (
    16  # bytes to which every array is aligned: a kernel is compiled anew for pointers that are not
)


def apart(device: torch.device) -> bool:
    """Whether the device has a memory of its own, so that numbers must be copied to it."""
    return device.type != "cpu"


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy on the device that the host does not wait for: only pinned memory can be read behind its back."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def sent(array: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    """One array as a tensor on the device; on a CPU it is the array itself."""
    tensor = torch.from_numpy(array)
    return moved(tensor, device) if apart(device) else tensor


def together(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Many small tensors on the device by one copy; on a CPU they stay as they are.

    A copy costs some microseconds whatever its size, and a batch has the starts of every layer.
    """
    if not apart(device):
        return list(tensors)
    sizes = [-(-t.numel() * t.element_size() // WORD) * WORD for t in tensors]
    packed, first = torch.zeros(sum(sizes), dtype=torch.uint8), 0
    for tensor, size in zip(tensors, sizes, strict=True):
        bytes_of = tensor.contiguous().view(-1).view(torch.uint8)
        packed[first : first + len(bytes_of)] = bytes_of
        first += size
    there, views, first = moved(packed, device), [], 0
    for tensor, size in zip(tensors, sizes, strict=True):
        mine = there[first : first + tensor.numel() * tensor.element_size()]
        views.append(mine.view(tensor.dtype).view(tensor.shape))
        first += size
    return views


def landed(made: Iterable[tuple[What, Tensor]]) -> Iterator[tuple[What, Tensor]]:
    """The tensors on the CPU, in order; those of a device some batches late, so that it never idles."""
    waiting: deque[tuple[What, Tensor, Callable[[], None]]] = deque()
    for what, values in made:
        if not apart(values.device):
            yield what, values
            continue
        waiting.append((what, *leaving(values)))
        if len(waiting) > BEHIND:
            yield _arrived(*waiting.popleft())
    while waiting:
        yield _arrived(*waiting.popleft())


def leaving(values: Tensor) -> tuple[Tensor, Callable[[], None]]:
    """A copy on the CPU that is being written, and what waits until it is."""
    if values.device.type != "cuda":
        return values.cpu(), lambda: None
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    host.copy_(values, non_blocking=True)
    written = torch.cuda.Event()
    written.record(torch.cuda.current_stream(values.device))
    return host, written.synchronize


def _arrived(what: What, values: Tensor, wait: Callable[[], None]) -> tuple[What, Tensor]:
    wait()
    return what, values
