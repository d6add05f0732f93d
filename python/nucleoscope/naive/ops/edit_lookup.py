"""The meaning of ``edit_lookup``."""

from torch import Tensor


def edit_lookup(
    table: Tensor,  # [K, A, C]
    taps: Tensor,  # [W, S]
    old: Tensor,  # [S]
    new: Tensor,  # [S, E]
) -> Tensor:  # [W, S, E, C]
    """Change of a convolution's output when a column of its one-hot input gets another letter."""
    window, sites = taps.shape
    out = table.new_zeros(window, sites, new.shape[1], table.shape[2])

    def row(tap: int, letter: int) -> Tensor:  # [C]
        if tap == -1 or letter == -1:
            return table.new_zeros(table.shape[2])
        return table[tap, letter]

    for w in range(window):
        for s in range(sites):
            tap, before = int(taps[w, s]), int(old[s])
            for e, after in enumerate(new[s].tolist()):
                out[w, s, e] = row(tap, after) - row(tap, before)
    return out
