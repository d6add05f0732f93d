"""Places asked backward through a chain of moves are those that the chain gives when it is run on indices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nucleoscope.engine.attention.capture.logits import LAYOUT, NotCaptured, largest, source
from nucleoscope.engine.attention.capture.places import flat, grid, origins

H, L, K = 3, 7, 13
INDEX = torch.randperm(K, generator=torch.Generator().manual_seed(0))


def shifted(x: Tensor) -> Tensor:
    """Transformer-XL's and Enformer's: a column is put in front, and rows are read one shorter."""
    x = torch.cat([torch.zeros_like(x[..., :1]), x], -1)
    x = x.reshape(1, H, K + 1, L)[:, :, 1:]
    return x.reshape(1, H, L, K)[..., :L]


MOVES: dict[str, Callable[[Tensor], Tensor]] = {
    "shifted": shifted,
    "padded": lambda x: F.pad(x, (2, 1, 1, 0))[:, :, 1:, 2:9],
    "turned": lambda x: x.permute(0, 3, 1, 2).transpose(1, 2).movedim(1, 3).mT.swapaxes(0, 1),
    "cut": lambda x: x[:, 1:, ::2, -6:-1].narrow(3, 1, 3),
    "one of them": lambda x: x[:, -1].unsqueeze(0),
    "folded": lambda x: x.flatten(1, 2).unflatten(1, (L, H)).reshape(1, 1, H * L, K, 1).squeeze(-1),
    "gathered": lambda x: x.gather(3, INDEX[:L].expand(1, H, L, L)),
    "taken along": lambda x: x.take_along_dim(INDEX[None, None, None, :5], 3),
    "indexed": lambda x: x[:, :, :, INDEX[:4] - K],
    "two indices": lambda x: x[:, :, torch.arange(L)[:, None], INDEX[:6].expand(L, 6)],
    "selected": lambda x: x.index_select(3, INDEX),
    "flipped": lambda x: x.flip(3, 1),
    "rolled": lambda x: x.roll((2, -1), (3, 2)),
    "strided": lambda x: x.as_strided((1, H, L, L), (H * L * K, L * K, K - 1, 1), L - 1),
    "in windows": lambda x: x.unfold(3, 4, 3)[:, 1],
    "expanded": lambda x: x[:, :1].expand(1, 4, L, K),
}


class Moves(nn.Module):
    def __init__(self, move: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.move = move

    def forward(self, x: Tensor) -> Tensor:
        return self.move(x)


def traced(move: Callable[[Tensor], Tensor]) -> tuple[Any, Any, dict[Any, Tensor]]:
    """The ops between input and output of a chain, where it begins, and the tensors that it reads."""
    x = torch.zeros(1, H, L, K)
    program = torch.export.export(Moves(move), (x,))
    nodes = list(program.graph.nodes)
    begin = next(n for n in nodes if n.name == program.graph_signature.user_inputs[0])
    path, at = [], next(n for n in nodes if n.op == "output").args[0][0]
    while at is not begin:
        path += [at] if at.target in LAYOUT else []
        at = largest(at) if at.target is torch.ops.aten.cat.default else source(at)
    held = {}
    made: dict[Any, Any] = {}
    for node in nodes:  # what does not depend on the input is run as it is
        if node.op == "placeholder" and node is not begin:
            held[node] = made[node] = program.constants[
                program.graph_signature.inputs_to_lifted_tensor_constants[node.name]
            ]
        elif node.op == "call_function" and not _reads(node, begin):
            args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: made[n])
            held[node] = made[node] = node.target(*args, **kwargs)
    return tuple(reversed(path)), begin, held


def _reads(node: Any, begin: Any) -> bool:
    return node is begin or any(_reads(each, begin) for each in node.all_input_nodes)


@pytest.mark.parametrize("name", MOVES)
def test_every_place_is_the_one_that_the_chain_reads(name: str) -> None:
    x = torch.arange(H * L * K).view(1, H, L, K)
    expected = MOVES[name](x)
    path, begin, held = traced(MOVES[name])
    rows, columns = range(1, expected.shape[-2]), range(expected.shape[-1])
    asked = grid(expected.shape, rows, columns, torch.device("cpu"))
    got = flat(origins(path, asked, held), begin.meta["val"].shape)
    assert torch.equal(got.expand(expected[..., 1:, :].shape), expected[..., 1:, :])


def test_heads_that_no_op_mixes_are_not_written_out() -> None:
    path, _, held = traced(shifted)
    places = origins(path, grid((1, H, L, L), range(L), range(L), torch.device("cpu")), held)
    assert places[1].numel() == H
    assert max(each.numel() for each in places) == L * L


def test_padding_is_told() -> None:
    path, _, held = traced(lambda x: F.pad(x, (1, 0)))
    with pytest.raises(NotCaptured, match="padding"):
        origins(path, grid((1, H, L, K + 1), range(L), range(K + 1), torch.device("cpu")), held)


def test_indices_of_axes_apart_are_not_followed() -> None:
    path, _, held = traced(lambda x: x[:, torch.arange(2), :, torch.arange(2)])
    with pytest.raises(NotCaptured, match="axes apart"):
        origins(path, grid((2, 1, L), range(1), range(L), torch.device("cpu")), held)
