"""Full float32: what a difference of two outputs needs, and what torch does not give everywhere by default."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch

FULL = ("highest", False, "ieee", "none")


class _Switch(NamedTuple):
    """A setting of torch that lets float32 be multiplied as something shorter."""

    name: str
    read: Callable[[], Any]
    put: Callable[[Any], None]
    full: Any


def reductions(device: torch.device) -> list[str]:
    """The settings under which torch would round the factors of float32 products there now, by name."""
    found = ["torch.autocast"] if torch.is_autocast_enabled(device.type) else []
    elsewhere = ".mkldnn." if device.type == "cuda" else ".cu"
    rounding = [each.name for each in _switches() if each.read() not in FULL]
    return found + [name for name in rounding if elsewhere not in name]


@contextlib.contextmanager
def full_float32(devices: Iterable[torch.device]) -> Iterator[None]:
    """No TF32, no bfloat16 in float32 products, no autocast on these devices; the settings are put back.

    They are the process's: what other threads multiply meanwhile is exact, too. On trained models a
    difference of two outputs that were rounded to TF32 has the wrong sign in up to 17 % of the edits, and
    torch's convolutions use TF32 on a GPU unless told otherwise.
    """
    switches = _switches()
    before = [each.read() for each in switches]
    written: list[bool] = []
    try:
        with contextlib.ExitStack() as stack:
            for kind in {device.type for device in devices} - {"meta"}:
                stack.enter_context(torch.autocast(kind, enabled=False))
            for each in switches:
                written.append(each.read() not in FULL)
                if written[-1]:
                    each.put(each.full)
            yield
    finally:
        for each, held, changed in zip(switches, before, written, strict=False):
            if changed or (_is_newer(each) and each.read() != held):
                each.put(held)


def _switches() -> list[_Switch]:
    """Those of this version of torch: of its older interface, where that is in use, then of its newer one.

    Torch complains where the older one is read after the newer one was written. The older ones come
    first, since writing them sets the newer ones too.
    """
    cudnn = torch.backends.cudnn
    older = [
        _Switch(
            "torch.set_float32_matmul_precision", torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision, "highest",
        ),
        _Switch(
            "torch.backends.cudnn.allow_tf32", lambda: cudnn.allow_tf32,
            lambda on: setattr(cudnn, "allow_tf32", on), False,
        ),
    ]  # fmt: skip
    owners: list[tuple[str, Any]] = [("cuda.matmul", torch.backends.cuda.matmul)]
    owners += [(f"cudnn.{part}", getattr(cudnn, part, None)) for part in ("conv", "rnn")]
    mkldnn: Any = torch.backends.mkldnn
    owners += [(f"mkldnn.{p}", getattr(mkldnn, p, None)) for p in ("matmul", "conv", "rnn")]
    newer = [_newer(place, owner) for place, owner in owners if hasattr(owner, "fp32_precision")]
    return [each for each in older if _readable(each)] + newer


def _newer(place: str, owner: Any) -> _Switch:
    """A setting of torch 2.9 and later."""
    name = f"torch.backends.{place}.fp32_precision"
    return _Switch(
        name, lambda: owner.fp32_precision, lambda kind: setattr(owner, "fp32_precision", kind), "ieee"
    )  # fmt: skip


def _is_newer(each: _Switch) -> bool:
    return bool(each.full == "ieee")


def _readable(each: _Switch) -> bool:
    try:
        each.read()
    except RuntimeError:  # the newer interface was used
        return False
    return True
