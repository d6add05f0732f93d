"""Who is measured: the engine in its precisions, tangermeme's windowed path, and loops over edits.

A side gives its scores for some of the sequences and sites; what it leaves out is scaled by the edits.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

import nucleoscope
from benchmarks.gpu.cases import Job
from nucleoscope.naive.methods.full_float32 import full_float32, reductions

Scores = Callable[[Tensor, range], Tensor]  # X [N, 4, L], sites -> changes [N, 4, sites]


class NotMeasured(Exception):
    """This side cannot do the job here; the message says why."""


def ours(model: nn.Module, precision: str, verify: int = 2) -> Scores:
    """The engine."""

    def scores(X: Tensor, sites: range) -> Tensor:
        return nucleoscope.saturation_mutagenesis(
            model, X, start=sites.start, end=sites.stop, hypothetical=True, center="none",
            precision=precision, verify=verify,
        ).scores  # fmt: skip

    return scores


def loop(model: nn.Module, batch: int, kind: torch.dtype = torch.float32) -> Scores:
    """Every edited sequence through the model, TF32 off, edits made on the device many at a time."""

    def scores(X: Tensor, sites: range) -> Tensor:
        one = torch.eye(4, dtype=kind, device=X.device)
        letter, site = (t.flatten() for t in torch.meshgrid(
            torch.arange(4, device=X.device), torch.arange(sites.start, sites.stop, device=X.device),
            indexing="ij",
        ))  # fmt: skip
        made = []
        with torch.no_grad(), full_float32(()):
            for own in X.to(kind).split(1):
                before, parts = _mean(model(own.expand(batch, -1, -1)))[:1], []
                for a, s in zip(letter.split(batch), site.split(batch), strict=True):
                    edited = own.repeat(
                        batch, 1, 1
                    )  # whole batches: a compiled model has one shape
                    edited[torch.arange(len(s), device=X.device), :, s] = one[a]
                    parts.append((_mean(model(edited)) - before)[: len(s)])
                made.append(torch.cat(parts).view(4, len(sites)))
        return torch.stack(made).cpu()

    return scores


def compiled_bf16_loop(model: nn.Module, batch: int, backend: str) -> Scores:
    """The loop through the model in bfloat16 under torch.compile."""
    half = copy.deepcopy(model).to(torch.bfloat16)
    return loop(torch.compile(half, dynamic=False, backend=backend), batch, torch.bfloat16)


def tangermeme(model: nn.Module, batch: int, device: torch.device) -> Scores:
    """tangermeme 1.6.0 with fast=True, at torch's own TF32; refused where it falls back."""
    try:
        import tangermeme.saturation_mutagenesis as peer
    except ImportError as error:
        raise NotMeasured(f"tangermeme is not installed ({error}): see WHEELS in run.sh") from error

    def scores(X: Tensor, sites: range) -> Tensor:
        with _engaged(peer) as taken, warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # torch.export's inside the peer; and that it falls back
            made: Tensor = peer.saturation_mutagenesis(
                model, X, start=sites.start, end=sites.stop, batch_size=batch, hypothetical=True,
                fast=True, device=str(device),
            )  # fmt: skip
        if not all(taken) or not taken:
            raise NotMeasured("its windowed path was not taken")
        return made

    return scores


@contextlib.contextmanager
def _engaged(peer: Any) -> Iterator[list[bool]]:
    """Whether tangermeme's windowed path is taken, its 30-second gate opened."""
    taken: list[bool] = []
    decide, gate = peer._fast_path, peer._FAST_MIN_SECONDS

    def watched(*args: object, **kwargs: object) -> Any:
        made = decide(*args, **kwargs)
        taken.append(made[0] is not None)
        return made

    peer._fast_path, peer._FAST_MIN_SECONDS = watched, 0.0
    try:
        yield taken
    finally:
        peer._fast_path, peer._FAST_MIN_SECONDS = decide, gate


def _mean(output: Tensor) -> Tensor:
    exact = output if output.dtype == torch.float64 else output.float()
    return exact.flatten(1).mean(1)


def truth(model: nn.Module, X: Tensor, sites: list[int]) -> Tensor:
    """Changes [4, sites] of the first sequence by the loop in float64."""
    double = copy.deepcopy(model).double()
    one = [loop(double, 4, torch.float64)(X[:1], range(s, s + 1))[0, :, 0] for s in sites]
    return torch.stack(one, 1).double()


def settings(job: Job, device: torch.device) -> dict[str, Any]:
    """What stands beside the figures of a job."""
    return {"edits": job.edits, "torch_would_round": reductions(device)}
