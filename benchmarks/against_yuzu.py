"""yuzu-ism beside the engine, on the network that it runs: its own Basset.

    pip install --no-deps yuzu-ism==0.0.1
    python -m benchmarks.against_yuzu

yuzu (Schreiber et al. 2022) takes layers one after the other, padded convolutions only, so that Basset as it
was published is not for it. It answers with the length of the change of all outputs, unsigned; its error is that
of these lengths. What it prepares once for a model and a length is timed apart. Written:
benchmarks/results/yuzu.json.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import yuzu
from torch import Tensor, nn
from yuzu.models import Basset

import nucleoscope
from benchmarks.machine import conditions
from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis as naive

LENGTHS, ROUNDS, JUDGED = (600, 1000), 5, 12
RESULTS = Path(__file__).parent / "results" / "yuzu.json"


def timed(job: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    made = job()
    return time.perf_counter() - begun, made


def exact(model: nn.Module, X: Tensor, site: int) -> Tensor:
    """The lengths of the changes of all outputs at a site, in float64: [4]."""

    def every(output: Tensor) -> Tensor:
        return output.flatten(1)

    changes = naive(model, X.double(), sites=range(site, site + 1), read=every, batch=4)
    return changes[0, :, :, 0].norm(dim=0)


def compare(length: int) -> dict[str, Any]:
    """Both sides in turn on one random sequence."""
    net = Basset(4, length).eval()
    layers = list(net.children())[:-1]  # without its last reshape
    model = nn.Sequential(*layers).eval()
    torch.manual_seed(0)
    X = F.one_hot(torch.randint(0, 4, (1, length)), 4).movedim(2, 1).float().contiguous()
    sites = range(0, length, length // JUDGED)
    truth = torch.stack([exact(model.double(), X, site) for site in sites], 1)
    model.float()
    preparing, prepared = timed(lambda: yuzu.precompute(net, length, random_state=0))

    def ours() -> Tensor:
        return nucleoscope.saturation_mutagenesis(model, X, hypothetical=True).scores

    def theirs() -> Tensor:
        return torch.from_numpy(yuzu.yuzu_ism(net, X.numpy(), prepared))

    ours()  # traces
    error = (theirs()[0][:, list(sites)] - truth).abs().max() / truth.max()
    rounds = [(timed(ours)[0], timed(theirs)[0]) for _ in range(ROUNDS)]
    return {
        "length": length, "edits": 3 * length, "ours": [a for a, _ in rounds],
        "yuzu": [b for _, b in rounds], "yuzu's preparation": preparing,
        "yuzu's error, of the largest": float(error),
    }  # fmt: skip


def main() -> None:
    """Time both at every length."""
    found = [compare(length) for length in LENGTHS]
    result = {"command": "python -m benchmarks.against_yuzu", **conditions(), "lengths": found}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
