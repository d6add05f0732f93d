"""What delta_conv refuses, and what it says then."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nucleoscope.ops import Original, Rows, pack_weight


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


STARTS, SEQUENCE = zeros(1, 4, dtype=torch.int64), zeros(4, dtype=torch.int32)
VALUES, RESIDUAL, BESIDE = zeros(2, 9, 20), zeros(5, 4, 3, 20), Rows(STARTS, (5,))
PLAIN = zeros(3, 6, 20)
NOT_PACKED = r"make it with pack_weight"


def accepted() -> dict[str, Any]:
    return {
        "given": zeros(7, 4, 3, 6), "rows_in": Rows(STARTS, (7,)), "weight": pack_weight(PLAIN),
        "rows_out": Rows(STARTS, (2,)), "channels": 20, "length": 9,
        "original": Original(VALUES, SEQUENCE), "residual": RESIDUAL, "beside": BESIDE,
    }  # fmt: skip


# what is changed of the accepted arguments, and the complaint
REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"given": zeros(7, 4, 3, 6).half()}, TypeError, "given has dtype torch.float16, must be"),
    ({"given": zeros(7, 4, 6)}, ValueError, r"given has 3 axes.*: \[V, S, E, C\]"),
    ({"given": zeros(7, 4, 3, 5)}, ValueError, rf"weight \[1, 2, 3, 6, 16\].* {NOT_PACKED}"),
    ({"rows_in": Rows(STARTS.int(), (7,))}, TypeError, r"starts has dtype.*to\(torch.int64\)"),
    ({"rows_in": Rows(STARTS[0], (7,))}, ValueError, r"rows_in.starts has 1 axes.*\[P, S\]"),
    ({"rows_in": Rows(STARTS[:, 1:], (7,))}, ValueError, "but S is 4 in given"),
    ({"rows_in": Rows(STARTS, (4, 3))}, ValueError, r"rows_in has widths \[4, 3\] for 1 piece"),
    ({"rows_in": Rows(STARTS, (-7,))}, ValueError, r"rows_in has widths \[-7\].*none negative"),
    ({"rows_in": Rows(STARTS, (6,))}, ValueError, "keeps 6 rows a site, but its deltas have 7"),
    ({"rows_out": Rows(STARTS.int(), (2,))}, TypeError, "rows_out.starts has dtype"),
    ({"rows_out": Rows(STARTS[0], (2,))}, ValueError, r"rows_out.starts has 1 axes.*\[Q, S\]"),
    ({"rows_out": Rows(STARTS[:, 1:], (2,))}, ValueError, "but S is 4 in given"),
    ({"rows_out": Rows(STARTS, (2, 2))}, ValueError, r"rows_out has widths \[2, 2\] for 1"),
    ({"rows_out": Rows(STARTS, (-2,))}, ValueError, r"rows_out has widths \[-2\].*negative"),
    ({"weight": pack_weight(PLAIN).double()}, TypeError, "weight has dtype torch.float64"),
    ({"weight": PLAIN}, ValueError, r"weight has 3 axes.*\[G, B, K, I, J\]"),
    ({"weight": zeros(1, 2, 3, 6, 8)}, ValueError, NOT_PACKED),
    ({"weight": zeros(1, 1, 3, 6, 16)}, ValueError, NOT_PACKED),
    ({"weight": zeros(1, 3, 3, 6, 16)}, ValueError, NOT_PACKED),
    ({"weight": zeros(2, 2, 3, 6, 16)}, ValueError, NOT_PACKED),
    ({"weight": zeros(3, 1, 3, 2, 16)}, ValueError, NOT_PACKED),  # 20 channels in 3 groups
    ({"weight": zeros(1, 2, 0, 6, 16)}, ValueError, NOT_PACKED),
    ({"weight": zeros(1, 2, 3, 0, 16), "given": zeros(7, 4, 3, 0)}, ValueError, NOT_PACKED),
    ({"weight": zeros(0, 2, 3, 6, 16)}, ValueError, NOT_PACKED),
    ({"weight": zeros(0, 2, 3, 6, 16), "given": zeros(7, 4, 3, 0)}, ValueError, NOT_PACKED),
    ({"weight": zeros(3, 19)}, ValueError, rf"weight \[3, 19\] .* 6 channels to 20: {NOT_PACKED}"),
    ({"weight": zeros(3, 20)}, ValueError, NOT_PACKED),  # of 6 channels
    ({"weight": zeros(0, 20), "given": zeros(7, 4, 3, 20)}, ValueError, NOT_PACKED),
    ({"weight": zeros(3, 20), "given": zeros(7, 4, 3, 0)}, ValueError, NOT_PACKED),
    ({"weight": zeros(3, 20).int(), "given": zeros(7, 4, 3, 20)}, TypeError, "weight has dtype"),
    ({"weight": pack_weight(PLAIN, 1, torch.device("cuda"))}, ValueError, "weight has 4 axes"),
    ({"tf32": True}, ValueError, "a processor has no TF32"),
    ({"channels": 33}, ValueError, rf"takes? 6 channels to 33: {NOT_PACKED}"),
    ({"channels": -1}, ValueError, NOT_PACKED),
    ({"stride": 0}, ValueError, "stride=0 and dilation=1 must be at least 1"),
    ({"dilation": 0}, ValueError, "stride=1 and dilation=0 must be at least 1"),
    ({"stride": -2, "dilation": -1}, ValueError, "stride=-2 and dilation=-1 must be"),
    ({"original": Original(VALUES.double(), SEQUENCE)}, TypeError, "original.values has dtype"),
    ({"original": Original(VALUES[0], SEQUENCE)}, ValueError, "original.values has 2 axes"),
    (
        {"original": Original(VALUES[..., 1:], SEQUENCE), "residual": None},
        ValueError,
        "original has 19 channels, the output 20",
    ),
    ({"original": Original(VALUES, SEQUENCE.long())}, TypeError, "original.sequence has dtype"),
    ({"original": Original(VALUES, SEQUENCE[1:])}, ValueError, "but S is 4 in given"),
    ({"original": Original(VALUES, SEQUENCE + 2)}, ValueError, r"original.sequence\[0\] is 2"),
    ({"residual": RESIDUAL.double()}, TypeError, "residual has dtype torch.float64"),
    ({"residual": RESIDUAL[0]}, ValueError, r"residual has 3 axes.*\[X, S, E, O\]"),
    ({"residual": RESIDUAL[:, 1:]}, ValueError, "but S is 4 in given"),
    ({"residual": RESIDUAL[:, :, 1:]}, ValueError, "but E is 3 in given"),
    ({"residual": RESIDUAL[..., 1:]}, ValueError, "but O is 20 in original.values"),
    (
        {"residual": RESIDUAL[..., 1:], "original": None},
        ValueError,
        "residual has 19 channels, the output 20",
    ),
    ({"beside": None}, ValueError, "residual is given; say with beside="),
    ({"beside": Rows(STARTS.int(), (5,))}, TypeError, "beside.starts has dtype torch.int32"),
    ({"beside": Rows(STARTS[0], (5,))}, ValueError, r"beside.starts has 1 axes.*\[R, S\]"),
    ({"beside": Rows(STARTS[:, 1:], (5,))}, ValueError, "but S is 4 in given"),
    ({"beside": Rows(STARTS, (2, 3))}, ValueError, r"beside has widths \[2, 3\] for 1 pieces"),
    ({"beside": Rows(STARTS, (4,))}, ValueError, "keeps 4 rows a site, but its deltas have 5"),
]
