"""The shipped net at splice sites: a trained model, and the two bases of each site that are known to matter."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nucleoscope.demo import load_sequence
from nucleoscope.evaluate.data import Data
from nucleoscope.models.splice_net import SpliceNet

ACCEPTOR, AROUND = 1, 400  # its channel, and the net's view of 201 bases on each side and a little


def splice_sites(count: int = 24, length: int = AROUND) -> tuple[nn.Module, Data]:
    """The demo's net, asked for the logit of an acceptor in the middle of sequences of human chr22.

    They are the `count` places where it is surest of an acceptor, apart from each other by `length`. `planted` are
    the A and G before each, which every acceptor of the usual kind has.

    Raises ValueError for fewer sequences than 2, for a length below 202, or more of them than there are.
    """
    if count < 2 or length < 202:
        raise ValueError(
            f"count={count!r}, length={length!r}: 2 sequences or more, of 202 bases or more"
        )
    model, X = SpliceNet.pretrained().eval(), _demo()
    with torch.no_grad():
        sure = model(X)[0, ACCEPTOR]
    after = (X[0, 0, :-2] * X[0, 2, 1:-1]).bool()  # A, then G: an acceptor stands two further on
    sure[2:][~after] = -torch.inf
    half = length // 2
    sure[:half] = sure[len(sure) - (length - half) :] = -torch.inf
    chosen: list[int] = []
    for _ in range(count):
        at = int(sure.argmax())
        if sure[at] == -torch.inf:
            raise ValueError(
                f"count={count}: the demo's stretch holds {len(chosen)} places of {length} bases"
            )
        chosen.append(at)
        sure[max(0, at - length) : at + length] = -torch.inf
    sequences = torch.stack([X[0, :, at - half : at - half + length] for at in chosen])
    planted = torch.zeros(count, length, dtype=torch.bool)
    planted[:, half - 2 : half] = True
    return model, Data(sequences, (ACCEPTOR, half), planted)


def _demo() -> Tensor:  # [1, 4, L]
    _, bases, _ = load_sequence()
    codes = torch.tensor(["ACGT".index(base) for base in bases])
    return nn.functional.one_hot(codes, 4).T[None].float()
