"""Which tile of ``delta_conv`` is launched: a table for each architecture, so that nothing is tuned at first use.

What stands here was chosen by counts and by compiling ahead of time, where no tile spills registers; it has
not been timed on a device.
"""

from functools import cache
from typing import NamedTuple

import triton


class Tile(NamedTuple):
    """What one program makes, and with how many warps and stages of loads."""

    pairs: int  # of a site and an edit, of one output row
    channels: int
    depth: int  # channels in, of one product
    warps: int
    stages: int
    parts: int = 1  # into which its columns are divided when they are finished
    dot: str = "tf32"  # how float32 operands are multiplied


_SM_90_ROUNDED = (  # operands of 10 bits or 7: whatever Triton may call it, nothing more is rounded
    Tile(128, 256, 32, 8, 3, 8), Tile(128, 128, 32, 8, 3, 4), Tile(128, 64, 32, 8, 3, 2),
    Tile(128, 32, 32, 4, 3), Tile(128, 16, 32, 4, 3),
)  # fmt: skip
_SM_80_ROUNDED = (
    Tile(128, 128, 32, 8, 3, 4), Tile(128, 64, 32, 8, 3, 2), Tile(128, 32, 32, 4, 3),
    Tile(128, 16, 32, 4, 3),
)  # fmt: skip
_DOUBLE = (
    Tile(64, 64, 16, 8, 3, 2, "ieee"), Tile(32, 32, 16, 4, 3, 1, "ieee"), Tile(64, 16, 16, 4, 3, 1, "ieee"),
)  # fmt: skip
_FMA = (Tile(64, 64, 32, 4, 1, 2, "ieee"), Tile(64, 16, 32, 4, 1, 1, "ieee"))

TILES: dict[str, dict[str, tuple[Tile, ...]]] = {
    "sm_80": {  # none takes more shared memory than sm_86 and sm_89 have
        "fp32": (
            Tile(64, 128, 32, 8, 3, 2, "tf32x3"), Tile(128, 64, 32, 8, 3, 2, "tf32x3"),
            Tile(64, 32, 32, 4, 3, 1, "tf32x3"), Tile(64, 16, 32, 4, 3, 1, "tf32x3"),
        ),
        "tf32": _SM_80_ROUNDED,
        "bf16": _SM_80_ROUNDED,
        "fp64": _DOUBLE,
    },
    "sm_90": {
        "fp32": (
            Tile(128, 128, 32, 8, 3, 4, "tf32x3"), Tile(128, 64, 32, 8, 3, 2, "tf32x3"),
            Tile(128, 32, 32, 4, 3, 1, "tf32x3"), Tile(64, 16, 32, 4, 3, 1, "tf32x3"),
        ),
        "tf32": _SM_90_ROUNDED,
        "bf16": _SM_90_ROUNDED,
        "fp64": _DOUBLE,
    },
    "gfx942": {"fp32": _FMA, "tf32": _FMA, "bf16": _FMA, "fp64": _FMA},
}  # fmt: skip


def architecture() -> str:
    """The table for the device in force; the interpreter, which has none, takes the newest."""
    if triton.knobs.runtime.interpret:
        return "sm_90"
    target = triton.runtime.driver.active.get_current_target()
    if target.backend == "hip":
        return "gfx942"
    # From sm_120 on there is no wgmma either, and a third of the shared memory: the smaller tiles fit.
    return "sm_90" if 90 <= target.arch < 120 else "sm_80"


@cache
def tile_of(where: str, precision: str, made: int) -> Tile:
    """The tile for a group's output channels: the least arithmetic, filling included.

    A narrow tile fills up less, but reads the deltas once for each of its blocks: as much again as 32
    columns cost.
    """

    def cost(tile: Tile) -> float:
        columns: int = triton.cdiv(made, tile.channels) * tile.channels
        return columns * (1 + 32 / tile.channels)

    tiles: tuple[Tile, ...] = TILES[where][precision]
    return min(tiles, key=cost)
