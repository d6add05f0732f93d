"""How an op becomes ``torch.ops.nucleoscope.<op>``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Made = Tensor | list[Tensor] | tuple[Tensor, ...]

_library = torch.library.Library("nucleoscope", "FRAGMENT")


def register(
    schema: str,
    *,
    fake: Callable[..., Made],
    cpu: Callable[..., Made],
    cuda: Callable[..., Made],
    other: Callable[..., Made],
) -> None:
    """Define an op and say who computes it where; ``fake`` gives its shape without its values.

    No gradient is registered: an op that is to be differentiated adds it with
    ``torch.library.register_autograd``. (``custom_op`` would do all this in one decorator, at four
    times the cost of a call.)
    """
    name = f"nucleoscope::{schema.partition('(')[0]}"
    _library.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    _library.impl(name, cpu, "CPU")
    _library.impl(name, cuda, "CUDA")
    _library.impl(name, other, "CompositeExplicitAutograd")
    torch.library.register_fake(name, fake, lib=_library)
