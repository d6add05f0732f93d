"""Windows of many sites at one time: united where they touch, cut into batches of one shape each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from nucleoscope.engine.rows import Ints, Pieces, Rows

Loose = dict[str, Pieces]  # node -> pieces (lo, hi), each [sites]
Limits = dict[str, tuple[tuple[int, int], int]]  # node -> (cone, length)


class Mixed(Exception):
    """The sites of a batch do not share one window structure; `alike` marks those like the first."""

    def __init__(self, alike: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        self.alike = alike


def merge(pieces: Pieces, slack: int = 0) -> Pieces:
    """Union of intervals, per site; Mixed where the sites differ in which of them touch.

    Gaps of up to `slack` between intervals that touch at other sites are closed: rows of zeros, against
    batches of one site where a stride or pool lets every other site touch.
    """
    pieces.sort(key=lambda p: (int(p[0][0]), int(p[1][0])))
    merged = pieces[:1]
    for lo, hi in pieces[1:]:
        last_lo, last_hi = merged[-1]
        apart = lo > last_hi
        touch = (lo <= last_hi) & (hi >= last_lo)
        near = touch.any() and bool((touch | (apart & (lo - last_hi <= slack))).all())
        if near:
            merged[-1] = (np.minimum(last_lo, lo), np.maximum(last_hi, hi))
            _join_back(merged)
        elif apart.all():
            merged.append((lo, hi))
        else:
            raise Mixed(touch if touch[0] else apart)
    _check_room(merged)
    return merged


def _join_back(merged: Pieces) -> None:
    """Join the last piece to those before it that it reaches by now: behind a flip other sites have another
    order than the first, by which pieces are sorted.
    """
    while len(merged) > 1:
        (before_lo, before_hi), (lo, hi) = merged[-2:]
        clear = lo > before_hi
        if clear.all():
            return
        if clear.any():
            raise Mixed(clear)
        merged[-2:] = [(np.minimum(before_lo, lo), np.maximum(before_hi, hi))]


def _check_room(merged: Pieces) -> None:
    """Mixed where the widest site's piece, which is every site's in a batch, would run into the next."""
    for (lo, hi), (after, _) in pairwise(merged):
        wide = hi - lo
        tight = lo + wide.max() > after
        if tight.any():
            raise Mixed(wide == wide[0] if tight.all() else tight)


def tighten(
    lo: Ints, hi: Ints, cone: tuple[int, int], length: int, firsts: Ints
) -> tuple[Ints, Ints]:
    """One shape per batch: the loose window less what all its sites lose to the ends or the cone.

    Batches begin at `firsts`; returns where each batch's rows begin past lo, and how many there are.
    """
    low, high = np.maximum(lo, max(cone[0], 0)), np.minimum(hi, min(cone[1], length))
    live = low < high
    never = np.iinfo(np.int64).max // 2
    begin = np.minimum.reduceat(np.where(live, low - lo, never), firsts)
    end = np.maximum.reduceat(np.where(live, high - lo, -never), firsts)
    return begin, np.maximum(end - begin, 0)


def cut_batches(loose: Loose, limits: Limits, size: int) -> Iterator[dict[str, Rows]]:
    """The rows of each batch of `size` sites; a layer that none of its sites reaches is absent."""
    firsts = np.arange(0, len(next(iter(loose.values()))[0][0]), size)
    tight = {
        name: [(lo, *tighten(lo, hi, *limits[name], firsts)) for lo, hi in pieces]
        for name, pieces in loose.items()
    }
    for at, first in enumerate(firsts):
        part = slice(first, first + size)
        rows: dict[str, Rows] = {}
        for name, pieces in tight.items():
            held = [
                (lo[part] + begin[at], int(wide[at])) for lo, begin, wide in pieces if wide[at] > 0
            ]
            if held:
                starts, widths = zip(*held, strict=True)
                rows[name] = Rows(starts, widths, limits[name][1])
        yield rows
