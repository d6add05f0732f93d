"""After a fork: what data loaders do with a process that has used the engine."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection

import pytest
import torch
from torch import Tensor

import nucleoscope
from tests.nets import ZOO, build
from tests.parts import sequences


def scores() -> Tensor:
    name = "basset"
    X = sequences(1, ZOO[name][1])
    return nucleoscope.saturation_mutagenesis(build(name), X, target=0).scores


def child(to: Connection) -> None:
    torch.set_num_threads(1)  # as data loaders set it: OpenMP's threads do not live in a child
    to.send_bytes(scores().numpy().tobytes())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("threads_used", [1, 2])
def test_a_forked_child_gives_the_same(threads_used: int, threads) -> None:
    threads(threads_used)
    before = scores()
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(there,))
    process.start()
    assert here.poll(120), "the child hangs"
    made = torch.frombuffer(bytearray(here.recv_bytes()), dtype=before.dtype).view(before.shape)
    process.join(60)
    assert process.exitcode == 0
    torch.testing.assert_close(made, before, rtol=1e-5, atol=1e-9)
