"""What delta_chain refuses, and what it says then."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nucleoscope.ops import Kept, Letters, Link, Rows, pack_weight


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


STARTS = zeros(1, 4, dtype=torch.int64)
INTS = zeros(4, dtype=torch.int32)
LETTERS = Letters(INTS, STARTS[0], INTS, zeros(4, 3, dtype=torch.int32))
Z9, Z4, GIVEN, PLAIN = zeros(2, 9, 6), zeros(2, 4, 6), zeros(7, 4, 3, 20), zeros(3, 6, 20)
Z20 = zeros(2, 4, 20)
NOT_PACKED = "make it with pack_weight"


def rows(width: int) -> Rows:
    return Rows(STARTS, (width,))


def accepted() -> dict[str, Any]:
    """One link of each op; value 0 comes from outside."""
    links = [
        Link("edit_lookup", rows(5), 6, 9, weight=zeros(3, 4, 6), taps=3, original=Kept(Z9)),
        Link("delta_max_pool", rows(3), 6, 4, 1, original=Kept(Z9), second=Kept(Z4), taps=2,
             stride=2, length_in=9),
        Link("delta_conv", rows(3), 20, 4, 2, 0, pack_weight(PLAIN), Kept(zeros(2, 4, 20))),
        Link("delta_pointwise", rows(3), 20, 4, 3, original=Kept(zeros(2, 4, 20))),
        Link("delta_sum", rows(1), 20, 1, 4, 0, zeros(20), taps=4),
        Link("delta_product", rows(2), 20, 4, 0, 4, original=Kept(zeros(2, 4, 20)),
             second=Kept(zeros(2, 4, 20))),
        Link("delta_concat", rows(2), 27, 4, 2, 3),
        Link("delta_layer_norm", rows(3), 20, 4, 4, -1, zeros(5), Kept(Z20), wide=5, eps=0.1),
        Link("delta_softmax_pool", rows(2), 20, 2, 6, 4, None, Kept(Z20), taps=2, stride=2,
             length_in=4, second=Kept(Z20)),
    ]  # fmt: skip
    return {"links": links, "letters": LETTERS, "given": [(GIVEN, rows(7))], "asked": [5, 3]}


# places of the links
LOOK_UP, POOL, CONV, RELU, SUM, PRODUCT, CONCAT, NORM, SOFTMAX = range(9)

# which argument or link, what is changed there, and the complaint
REFUSED: list[tuple[Any, Any, type[Exception], str]] = [
    ("letters", {"new": LETTERS.new.long()}, TypeError, "letters.new has dtype torch.int64"),
    ("letters", {"new": INTS}, ValueError, r"letters.new has 1 axes.*\[S, E\]"),
    ("letters", {"old": INTS.long()}, TypeError, "letters.old has dtype torch.int64"),
    ("letters", {"old": INTS[1:]}, ValueError, "letters.old.* but S is 4 in letters.new"),
    ("letters", {"site": INTS}, TypeError, "letters.site has dtype torch.int32"),
    ("letters", {"site": STARTS}, ValueError, "letters.site has 2 axes"),
    ("letters", {"sequence": INTS.long()}, TypeError, "letters.sequence has dtype torch.int64"),
    ("letters", {"sequence": INTS[1:]}, ValueError, "letters.sequence.* but S is 4"),
    ("letters", {"old": INTS + 4}, ValueError, "letters.old has 4 to 4; .* the 4 letters"),
    ("letters", {"new": LETTERS.new - 2}, ValueError, "letters.new has -2 to -2"),
    ("letters", {"sequence": INTS + 2}, ValueError, "letters.sequence has 2 to 2, original 2 seq"),
    ("letters", {"sequence": INTS - 1}, ValueError, "letters.sequence has -1 to -1, original 2"),
    ("given", [(GIVEN.half(), rows(7))], TypeError, "value or weight has dtype torch.float16"),
    ("given", [(GIVEN.double(), rows(7))], TypeError, r"links\[0\].* weight has dtype .*float32"),
    ("given", [(GIVEN, rows(7)), (GIVEN.double(), rows(7))], TypeError, r"given\[1\]: values has"),
    ("given", [(GIVEN[0], rows(7))], ValueError, r"given\[0\]: values has 3 axes"),
    ("given", [(GIVEN[:, 1:], rows(7))], ValueError, r"given\[0\]: values .* but S is 4"),
    ("given", [(GIVEN[:, :, 1:], rows(7))], ValueError, r"given\[0\]: values .* but E is 3"),
    ("given", [(GIVEN, rows(6))], ValueError, r"given\[0\]: rows keeps 6 rows a site"),
    ("given", [(GIVEN, Rows(STARTS[0], (7,)))], ValueError, r"given\[0\]: rows.starts has 1 axes"),
    ("asked", [0], ValueError, "asked for value 0; the links are 1 to 9"),
    ("asked", [5, 10], ValueError, "asked for value 10"),
    ("asked", [2, 1, 2], ValueError, "name each value once"),
    ("asked", [-1], ValueError, "asked for value -1"),
    (SUM, {"rows": Rows(STARTS.int(), (1,))}, TypeError, "rows.starts has dtype torch.int32"),
    (SUM, {"rows": Rows(STARTS[:, 1:], (1,))}, ValueError, "rows.starts .* but S is 4"),
    (SUM, {"rows": rows(-1)}, ValueError, r"rows has widths \[-1\] for 1 pieces"),
    (SUM, {"rows": Rows(STARTS, ())}, ValueError, r"rows has widths \[\] for 1 pieces"),
    (SUM, {"rows": Rows(STARTS, (1, 2))}, ValueError, r"rows has widths \[1, 2\] for 1 pieces"),
    (RELU, {"op": "delta_gelu"}, ValueError, "no such op; one of .*delta_pointwise"),
    (LOOK_UP, {"weight": None}, ValueError, "it needs weight"),
    (CONV, {"weight": None}, ValueError, "it needs weight"),
    (POOL, {"given": -1}, ValueError, "it needs given"),
    (POOL, {"original": None}, ValueError, "it needs original"),
    (POOL, {"second": None}, ValueError, "it needs second"),
    (RELU, {"given": -1}, ValueError, "it needs given"),
    (RELU, {"original": None}, ValueError, "it needs original"),
    (SUM, {"given": -1}, ValueError, "it needs given"),
    (RELU, {"given": 4}, ValueError, "given=4 is not a value before it; there are 4"),
    (RELU, {"given": -2}, ValueError, "given=-2 is not a value before it"),
    (SUM, {"beside": 9}, ValueError, "beside=9 is not a value before it; there are 5"),
    (SUM, {"taps": 0}, ValueError, "taps=0, stride=1 and dilation=1 are at least 1"),
    (POOL, {"stride": 0}, ValueError, "taps=2, stride=0"),
    (CONV, {"dilation": -1}, ValueError, "dilation=-1"),
    (CONV, {"given": -1, "beside": -1}, ValueError, "it needs given, or beside, or both"),
    (POOL, {"given": 0}, ValueError, "its input has 20 channels, its output 6"),
    (RELU, {"given": 2}, ValueError, "its input has 6 channels, its output 20"),
    (SUM, {"given": 1}, ValueError, "its input has 6 channels, its output 20"),
    (CONV, {"beside": 1}, ValueError, "beside has 6 channels, its output 20"),
    (SUM, {"beside": 2}, ValueError, "beside has 6 channels, its output 20"),
    (RELU, {"weight": zeros(20)}, ValueError, "it takes no weight"),
    (RELU, {"function": "gulu"}, ValueError, "no function 'gulu'; one of relu, .*gelu"),
    (RELU, {"function": "elu"}, ValueError, "elu with 0 parameters, must have 3"),
    (RELU, {"parameters": (1.0, 2.0)}, ValueError, "relu with 2 parameters, must have 0"),
    (POOL, {"weight": zeros(6)}, ValueError, "it takes no weight"),
    (LOOK_UP, {"weight": zeros(4, 6)}, ValueError, r"weight has 2 axes.*\[K, A, C\]"),
    (LOOK_UP, {"weight": zeros(3, 4, 5)}, ValueError, "is not for 6 channels"),
    (LOOK_UP, {"taps": 2}, ValueError, "its table has 3 taps, not 2"),
    (SUM, {"weight": zeros(19)}, ValueError, r"weight \[19\] is not for 20 channels"),
    (SUM, {"weight": zeros(20).double()}, TypeError, "weight has dtype torch.float64"),
    (CONV, {"weight": PLAIN}, ValueError, r"weight has 3 axes.*\[G, B, K, I, J\]"),
    (CONV, {"weight": pack_weight(PLAIN).double()}, TypeError, "weight has dtype torch.float64"),
    (CONV, {"weight": pack_weight(PLAIN[:, 1:])}, ValueError, f"take 6 channels to 20: {NOT_PACKED}"),
    (CONV, {"weight": pack_weight(PLAIN), "channels": 33, "beside": -1}, ValueError, NOT_PACKED),
    (CONV, {"weight": zeros(1, 2, 3, 6, 8)}, ValueError, NOT_PACKED),
    (CONV, {"weight": zeros(1, 1, 3, 6, 16)}, ValueError, NOT_PACKED),
    (CONV, {"weight": zeros(3, 1, 3, 2, 16)}, ValueError, NOT_PACKED),  # 20 channels in 3 groups
    (CONV, {"weight": zeros(3, 19)}, ValueError, rf"weight \[3, 19\] .* 6 channels to 20: {NOT_PACKED}"),
    (CONV, {"weight": zeros(3, 20)}, ValueError, NOT_PACKED),  # of 6 channels
    (CONV, {"tf32": True}, ValueError, "a processor has no TF32"),
    (CONV, {"weight": pack_weight(PLAIN, 1, torch.device("cuda"))}, ValueError, "weight has 4 axes"),
    (CONV, {"weight": zeros(0, 20), "given": -1}, ValueError, NOT_PACKED),
    (CONV, {"weight": zeros(3, 20).int(), "given": 0}, TypeError, "weight has dtype torch.int32"),
    (CONV, {"weight": zeros(1, 2, 0, 6, 16)}, ValueError, NOT_PACKED),
    (CONV, {"weight": zeros(0, 2, 3, 6, 16)}, ValueError, NOT_PACKED),
    (CONV, {"weight": zeros(1, 2, 3, 0, 16), "given": -1}, ValueError, NOT_PACKED),
    (LOOK_UP, {"original": Kept(Z9.double())}, TypeError, "original.values has dtype"),
    (LOOK_UP, {"original": Kept(Z9[0])}, ValueError, "original.values has 2 axes"),
    (RELU, {"original": Kept(Z4)}, ValueError, "original has 6 channels, its output 20"),
    (CONV, {"original": Kept(zeros(2, 0, 20))}, ValueError, "original keeps no position"),
    (POOL, {"original": Kept(Z9[:, :0])}, ValueError, "original keeps no position"),
    (POOL, {"second": Kept(Z4.double())}, TypeError, "second.values has dtype"),
    (POOL, {"second": Kept(Z4[0])}, ValueError, "second.values has 2 axes"),
    (POOL, {"second": Kept(Z4[..., 1:])}, ValueError, "second.* 5"),
    (POOL, {"second": Kept(Z4[:, :0])}, ValueError, "second keeps no position"),
    (POOL, {"second": Kept(Z4[:0])}, ValueError, "second 0 sequences"),
    (PRODUCT, {"original": None}, ValueError, "it needs original"),
    (PRODUCT, {"second": None}, ValueError, "it needs second"),
    (PRODUCT, {"given": -1, "beside": -1}, ValueError, "it needs given, or beside, or both"),
    (PRODUCT, {"given": 1}, ValueError, "its input has 6 channels, its output 20"),
    (PRODUCT, {"beside": 1}, ValueError, "beside has 6 channels, its output 20"),
    (PRODUCT, {"given": -1, "beside": 2}, ValueError, "beside has 6 channels, its output 20"),
    (PRODUCT, {"weight": zeros(20)}, ValueError, "it takes no weight"),
    (PRODUCT, {"second": Kept(zeros(2, 4, 19))}, ValueError, "second.* 19"),
    (PRODUCT, {"second": Kept(zeros(0, 4, 20))}, ValueError, "second 0 sequences"),
    (CONCAT, {"given": -1, "beside": -1}, ValueError, "it needs given, or beside, or both"),
    (CONCAT, {"channels": 25}, ValueError, "given has 6 channels, beside 20, its output 25"),
    (CONCAT, {"channels": 5, "beside": -1}, ValueError, "given has 6 channels, beside 0, its output 5"),
    (CONCAT, {"weight": zeros(27)}, ValueError, "it takes no weight"),
    (NORM, {"given": -1}, ValueError, "it needs given"),
    (NORM, {"original": None}, ValueError, "it needs original"),
    (NORM, {"wide": 3}, ValueError, "wide=3 channels a group do not divide 20"),
    (NORM, {"wide": 0}, ValueError, "wide=0 channels a group do not divide 20"),
    (NORM, {"wide": 4}, ValueError, r"weight \[5\] is not for 4 channels"),
    (NORM, {"weight": zeros(5).double()}, TypeError, "weight has dtype torch.float64"),
    (NORM, {"rows": rows(4)}, ValueError, "its rows are 4 a site, those of its input 3"),
    (SOFTMAX, {"given": -1, "beside": -1}, ValueError, "it needs given, or beside, or both"),
    (SOFTMAX, {"original": None}, ValueError, "it needs original"),
    (SOFTMAX, {"second": None}, ValueError, "it needs second"),
    (SOFTMAX, {"second": Kept(Z4)}, ValueError, "second.values.* 6.*X is 20"),
    (SOFTMAX, {"second": Kept(Z20.double())}, TypeError, "second.values has"),
    (SOFTMAX, {"second": Kept(Z20[:, :0])}, ValueError, "keeps no position"),
    (SOFTMAX, {"given": 2}, ValueError, "its input has 6 channels, its output 20"),
    (SOFTMAX, {"beside": 2}, ValueError, "beside has 6 channels, its output 20"),
    (SOFTMAX, {"weight": zeros(20)}, ValueError, "it takes no weight"),
    (SOFTMAX, {"stride": 0}, ValueError, "taps=2, stride=0"),
    # C++ would read as many rows as the link has, beyond those that are given
    (RELU, {"rows": rows(4)}, ValueError, "rows"),
]  # fmt: skip
