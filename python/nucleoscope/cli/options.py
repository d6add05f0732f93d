"""What may be typed for an option: targets, amounts of memory, devices, files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch

Pick = str | int | slice | tuple[str | int | slice, ...]
OVERWRITE = "nucleoscope.overwrite"
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)

Callback = Callable[[click.Context, click.Parameter, "Path | None"], "Path | None"]


def writable(*endings: str) -> Callback:
    """Refuse at once what could not be written after an hour's work; any ending where none is named.

    A file that is there already is one of those, without `--overwrite`.
    """

    def check(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:  # noqa: ARG001
        if path is None:
            return None
        if path.exists() and not ctx.meta.get(OVERWRITE):
            raise click.BadParameter(
                f"{str(path)!r} is there already; add --overwrite to replace it"
            )
        if endings and path.suffix not in endings:
            raise click.BadParameter(f"{str(path)!r} must end in {' or '.join(endings)}")
        if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
            raise click.BadParameter(f"{str(path.parent)!r} is not a folder that can be written to")
        return path

    return check


def overwrite(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flag that lets a command replace the file it writes."""

    def note(ctx: click.Context, param: click.Parameter, given: bool) -> None:  # noqa: ARG001
        ctx.meta[OVERWRITE] = given

    return click.option(
        "--overwrite", is_flag=True, is_eager=True, expose_value=False, callback=note,
        help="Replace the file to write where it is there already.",
    )(command)  # fmt: skip


def target(text: str) -> Pick:
    """Python indexing of one sequence's output, without brackets: ``3``, ``10:20``, ``1,:5``.

    A name comes first where the model returns several outputs: ``counts``, ``profile,0,400:600``.
    """
    parts = [_one_axis(part.strip()) for part in text.split(",")]
    return parts[0] if len(parts) == 1 else tuple(parts)


def _one_axis(text: str) -> str | int | slice:
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if re.fullmatch(r"(-?\d+)?:(-?\d+)?", text):
        first, last = (int(end) if end else None for end in text.split(":"))
        return slice(first, last)
    if re.fullmatch(r"[A-Za-z_][\w.-]*", text):
        return text
    raise click.BadParameter(
        f"{text!r} is neither a number, a range like 10:20, nor the name of an output. Write what would "
        "stand in the brackets of output[...] for one sequence, such as 3, 10:20 or 1,7500; repeat the option "
        "for several targets."
    )


def alphabet(text: str) -> str:
    """The letters of the input's channels, in capitals."""
    letters = text.upper()
    if not re.fullmatch(r"[A-Z]+", letters) or len(set(letters)) < len(letters):
        raise click.BadParameter(f"{text!r} is no alphabet: write each letter once, as in ACGT")
    return letters


def memory(text: str) -> int:
    """Bytes, or with K, M, G, T powers of 1024: ``2G``."""
    written = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if not written:
        raise click.BadParameter(f"{text!r} is no amount of memory: write 500M or 2G")
    size = int(float(written[1]) * 1024 ** " KMGT".index(written[2].upper() or " "))
    if size < 1 << 20:
        raise click.BadParameter(f"{text!r} is less than 1M, too little to work in")
    return size


def device(text: str) -> torch.device:
    """A device that torch has here: ``cpu``, ``cuda``, ``cuda:1``."""
    try:
        named = torch.device(text)
        torch.empty(0, device=named)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = str(error).splitlines()[0]
        raise click.BadParameter(f"{text!r} cannot be used: {why}") from error
    return named
