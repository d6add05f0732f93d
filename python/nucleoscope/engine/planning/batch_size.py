"""How many sites a batch takes: on a CPU what its cache holds, on a device as many as memory does."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nucleoscope.engine.transfer import apart

# Deltas of one layer that stay in the cache between its producer and its consumer, in bytes. Measured on
# Basset and BPNet: below 4 MB the calls themselves begin to count, above 16 MB memory does.
CACHE = 8 << 20

# Edits that run through the tail together, at most, and bytes of its widest value for all of them. Measured:
# 2 and 8 MB are slower on squeeze-excitation by 2 and 25 %, 64 edits on narrow attention and LSTM nets by 13 %.
TAIL_BATCH, TAIL_CACHE = 256, 4 << 20

# Multiply-adds of a batch that is one chain, which needs no cache of its own: long enough that Python
# does not count, short enough that progress shows and Ctrl-C is heard.
WORK = 4e9

# The same two on a device, counted and not measured. A launch costs tens of microseconds and a batch some
# ten launches, so a batch should take tens of milliseconds, of which a GPU does 30 to 100 T multiply-adds
# a second. Its tiles of 64 to 128 rows then fill 132 multiprocessors many times over wherever the job is
# that large: half a wave left idle at the end is a matter of percents.
DEVICE_WORK = 2e12
DEVICE_TAIL_BATCH = 512


@dataclass(frozen=True)
class Load:
    """What one site of a batch comes to, at most."""

    layer: int  # bytes of the widest delta that is stored
    live: int  # bytes of the stored deltas that are held at one time
    by_layer: int  # bytes that are held at one time where every layer is stored
    work: int  # multiply-adds in the windows
    tail: int  # bytes of its edits' way through the tail; 0: there is none
    tail_value: int  # bytes of the widest value of the tail, for one edit


def sites_per_batch(
    load: Load, sites: int, letters: int, one_chain: bool, budget: int, device: torch.device
) -> int:
    """Sites a batch; at least one, whatever the budget.

    A CPU's chain passes its deltas on within a scratch of its own; a device's stores every layer.
    """
    if apart(device):
        fit = DEVICE_TAIL_BATCH // letters if load.tail else sites
        brief = int(DEVICE_WORK / load.work)
        held = max(load.live, load.by_layer) + load.tail
    else:
        tails = min(TAIL_BATCH, TAIL_CACHE // max(load.tail_value, 1)) // letters
        fit = tails if load.tail else CACHE // load.layer
        brief = int(WORK / load.work) if one_chain else sites
        held = load.live + load.tail
    return int(max(1, min(sites, fit, brief, budget // held)))
