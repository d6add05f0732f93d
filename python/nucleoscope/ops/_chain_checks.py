"""What a chain is checked for before it runs: that every link has what its op needs."""

from __future__ import annotations

import torch
from torch import Tensor

from nucleoscope.naive.ops import Kept, Letters, Link, Rows
from nucleoscope.ops import _rows
from nucleoscope.ops._arguments import Arguments
from nucleoscope.ops._packed import takes, weight_kinds

Values = list[tuple[Tensor, Rows]]
NEEDS = {
    "edit_lookup": ("weight",),
    "delta_conv": ("weight",),
    "delta_max_pool": ("given", "original", "second"),
    "delta_pointwise": ("given", "original"),
    "delta_sum": ("given",),
    "delta_product": ("original", "second"),
    "delta_concat": (),
    "delta_layer_norm": ("given", "original"),
    "delta_softmax_pool": ("original", "second"),
}  # fmt: skip
KEEPS_ROWS = ("delta_pointwise", "delta_layer_norm")  # rows that are not their input's are refused


def check(
    links: list[Link], letters: Letters, given: Values, asked: list[int], *, waits: bool = True
) -> None:
    """Refuse a chain that C++ could not run; letters and sequences only if it may wait for the device.

    Raises:
        TypeError: a tensor has another dtype.
        ValueError: shapes or devices disagree, a link lacks what its op needs or takes a value that
            is not before it, or letters or sequences are not there.
    """
    arguments = Arguments("delta_chain")
    arguments.read("letters.new", letters.new, "SE", torch.int32)
    arguments.read("letters.old", letters.old, "S", torch.int32)
    arguments.read("letters.site", letters.site, "S", torch.int64)
    arguments.read("letters.sequence", letters.sequence, "S", torch.int32)
    kind = like(links, [values for values, _ in given]).dtype
    channels, heights = [], []
    for index, (values, rows) in enumerate(given):
        part = Part(f"given[{index}]", letters, kind)
        part.read("values", values, "VSEC")
        part.read_rows(rows, len(values))
        channels.append(values.shape[3])
        heights.append(len(values))
    sequences = _bounds(letters.sequence) if waits else None
    for index, link in enumerate(links):
        part = Part(f"links[{index}], {link.op}", letters, kind)
        _check_link(part, link, channels, sequences)
        channels.append(link.channels)
        heights.append(sum(link.rows.widths))
        if link.op in KEEPS_ROWS and heights[link.given] != heights[-1]:
            part.refuse(
                f"its rows are {heights[-1]} a site, those of its input {heights[link.given]}"
            )
    if len(set(asked)) < len(asked):
        raise ValueError(f"delta_chain: asked for {asked}; name each value once")
    for index in asked:
        if not len(given) <= index < len(channels):
            raise ValueError(
                f"delta_chain: asked for value {index}; the links are {len(given)} to {len(channels) - 1}"
            )
    for name, tensor in (("old", letters.old), ("new", letters.new)):
        if not waits or not any(link.op == "edit_lookup" for link in links):
            continue
        least, most = _bounds(tensor)
        if not -1 <= least <= most < alphabet(links):
            raise ValueError(
                f"delta_chain: letters.{name} has {least} to {most}; must be -1, or one of the "
                f"{alphabet(links)} letters of the table"
            )


class Part:
    """The checks of one value or link, which share S and E with the letters."""

    def __init__(self, name: str, letters: Letters, kind: torch.dtype) -> None:
        self.name, self.kind = name, kind
        self.arguments = Arguments(f"delta_chain: {name}")
        self.arguments.read("letters.new", letters.new, "SE", torch.int32)

    def read(self, name: str, tensor: Tensor, axes: str) -> None:
        self.arguments.read(name, tensor, axes, self.kind)

    def read_rows(self, rows: Rows, width: int | None) -> None:
        _rows.read_rows(self.arguments, "rows", rows, width)

    def refuse(self, why: str) -> None:
        raise ValueError(f"delta_chain: {self.name}: {why}")


def _check_link(
    part: Part, link: Link, channels: list[int], sequences: tuple[int, int] | None
) -> None:
    part.read_rows(link.rows, None)
    for need in NEEDS[link.op]:
        if getattr(link, need) in (None, -1) if need == "given" else getattr(link, need) is None:
            part.refuse(f"it needs {need}")
    for name, value in (("given", link.given), ("beside", link.beside)):
        if not -1 <= value < len(channels):
            part.refuse(f"{name}={value} is not a value before it; there are {len(channels)}")
    if min(link.taps, link.stride, link.dilation) < 1:
        part.refuse(
            f"taps={link.taps}, stride={link.stride} and dilation={link.dilation} are at least 1"
        )
    if (
        "given" not in NEEDS[link.op]
        and link.op != "edit_lookup"
        and max(link.given, link.beside) < 0
    ):
        part.refuse("it needs given, or beside, or both")
    came = _check_channels(part, link, channels)
    if link.op == "delta_layer_norm" and (link.wide < 1 or link.channels % link.wide):
        part.refuse(f"wide={link.wide} channels a group do not divide {link.channels}")
    if link.weight is not None:
        _check_weight(part, link, link.weight, came)
    for name, held in (("original", link.original), ("second", link.second)):
        if held is not None:
            _check_kept(part, name, held, link.channels, sequences)


def _check_channels(part: Part, link: Link, channels: list[int]) -> int | None:
    """The channels of its input; None: it has none."""
    came, joins = (None if v < 0 else channels[v] for v in (link.given, link.beside))
    if link.op == "delta_concat":
        if (came or 0) + (joins or 0) > link.channels:
            part.refuse(
                f"given has {came or 0} channels, beside {joins or 0}, its output {link.channels}"
            )
        return came
    if came not in (None, link.channels) and link.op not in ("edit_lookup", "delta_conv"):
        part.refuse(f"its input has {came} channels, its output {link.channels}")
    if joins not in (None, link.channels):
        part.refuse(f"beside has {joins} channels, its output {link.channels}")
    return came


def _check_weight(part: Part, link: Link, weight: Tensor, came: int | None) -> None:
    if link.op == "delta_conv":
        part.arguments.read("weight", weight, *weight_kinds(weight, part.kind))
        if not takes(weight, came, link.channels):
            part.refuse(
                f"weight {list(weight.shape)} does not take {came} channels to {link.channels}: make "
                "it with pack_weight(weight [K, C_in / G, C_out], G)"
            )
        if link.tf32 and weight.device.type == "cpu":
            part.refuse("tf32=True: a processor has no TF32; leave it out")
        return
    axes = {"edit_lookup": "KAC", "delta_sum": "C", "delta_layer_norm": "C"}.get(link.op)
    if axes is None:
        part.refuse("it takes no weight")
        return
    channels = link.wide if link.op == "delta_layer_norm" else link.channels
    part.arguments.read("weight", weight, axes, part.kind)
    if weight.shape[-1] != channels:
        part.refuse(f"weight {list(weight.shape)} is not for {channels} channels")
    elif axes == "KAC" and len(weight) != link.taps:
        part.refuse(f"its table has {len(weight)} taps, not {link.taps}")


def _check_kept(
    part: Part, name: str, held: Kept, channels: int, sequences: tuple[int, int] | None
) -> None:
    axes = {"original": "NLX", "second": "MOX"}[name]
    part.read(f"{name}.values", held.values, axes)
    many, length, wide = held.values.shape
    if wide != channels:
        part.refuse(f"{name} has {wide} channels, its output {channels}")
    if length == 0:
        part.refuse(f"{name} keeps no position; it needs one at least")
    if sequences is not None and not 0 <= sequences[0] <= sequences[1] < many:
        part.refuse(
            f"letters.sequence has {sequences[0]} to {sequences[1]}, {name} {many} sequences"
        )


def _bounds(tensor: Tensor) -> tuple[int, int]:
    if tensor.numel() == 0:
        return 0, 0
    least, most = torch.aminmax(tensor)
    return int(least), int(most)


def like(links: list[Link], values: list[Tensor]) -> Tensor:
    """A tensor of the chain's dtype, which every other must share.

    Raises:
        TypeError: it is neither float32 nor float64.
    """
    held = [*values, *(k.weight for k in links), *(k.original.values for k in links if k.original)]
    for tensor in held:
        if tensor is not None and tensor.dtype != torch.int32:  # pairs of bfloat16 are for float32
            if tensor.dtype not in (torch.float32, torch.float64):
                raise TypeError(
                    f"delta_chain: a value or weight has dtype {tensor.dtype}, must be torch.float32 "
                    "or torch.float64"
                )
            return tensor
    return torch.empty(0)


def alphabet(links: list[Link]) -> int:
    """How many letters the tables have."""
    return min(
        (k.weight.shape[1] for k in links if k.op == "edit_lookup" and k.weight is not None),
        default=0,
    )
