"""The kernels' rows: which position a row is, which row a position is, and one compilation for all widths."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl

from nucleoscope.kernels._rows import coded, find_row, position_of
from nucleoscope.naive.ops._rows import Rows, find, positions
from tests.ops.rows import assert_equal, random_rows


@triton.jit
def look_up(
    starts_ptr, widths, where_ptr, is_ptr, found_ptr, sites, PIECES: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    row = tl.program_id(0)
    o_s = tl.arange(0, BLOCK)
    m_s = o_s < sites
    b_where = tl.load(where_ptr + row * sites + o_s, mask=m_s, other=0)
    b_row = find_row(b_where, starts_ptr, widths, o_s, m_s, sites, PIECES)
    b_is = position_of(row, starts_ptr, widths, o_s, m_s, sites, PIECES)
    tl.store(is_ptr + row * sites + o_s, b_is, mask=m_s)
    tl.store(found_ptr + row * sites + o_s, b_row, mask=m_s)


@pytest.mark.parametrize("widths", [(3,), (1, 16), (2, 0, 3), (0, 4)], ids=str)
def test_rows_are_found(widths: tuple[int, ...]) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"  # on the CPU triton interprets
    sites, many = 5, sum(widths)
    rows = random_rows(torch.randint(-4, 9, (sites,), device=device), widths)
    where = torch.randint(-9, 30, (many, sites), device=device)
    made, found = torch.full_like(where, -7), torch.full_like(where, -7)
    look_up[(many,)](rows.starts, coded(widths), where, made, found, sites, len(widths), BLOCK=8)
    assert_equal(made, positions(rows))
    assert_equal(found, find(rows, where))


def test_of_no_pieces_none_is_found() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    starts = torch.zeros(0, 3, dtype=torch.int64, device=device)
    where, made, found = torch.zeros(3, 1, 3, dtype=torch.int64, device=device)
    look_up[(1,)](starts, coded(()), where, made, found, 3, 0, BLOCK=4)
    assert_equal(found, find(Rows(starts, ()), where))


def test_coded_widths_are_nothing_that_triton_compiles_anew_for() -> None:
    for width in range(100):
        (code,) = coded((width,))
        assert code != 1
        assert code % 16
        assert (code - 3) // 2 == width
