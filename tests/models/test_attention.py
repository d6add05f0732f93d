"""The field's kinds of attention are what their docstrings say, written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nucleoscope.models import borzoi, enformer
from nucleoscope.models.linear_attention import OFFSET, LinearAttention
from nucleoscope.models.relative_attention import RelativeAttention, by_pairs
from nucleoscope.models.rotary_attention import RotaryAttention


@pytest.mark.parametrize("length", [2, 3, 7])
def test_by_pairs(length: int) -> None:
    rows = torch.randn(2, length, 2 * length - 1)
    made = by_pairs(rows)
    for i in range(length):
        for j in range(length):
            assert torch.equal(made[:, i, j], rows[:, i, j - i + length - 1])


def test_relative_attention_written_out() -> None:
    torch.manual_seed(0)
    length, heads, key = 5, 2, 3
    basis = torch.randn(2 * length - 1, 4, dtype=torch.float64)
    net = RelativeAttention(6, basis, heads=heads, key=key, value=2).double()
    x = torch.randn(1, length, 6, dtype=torch.float64)
    q, k = net.query(x)[0].unflatten(1, (heads, key)), net.keys(x)[0].unflatten(1, (heads, key))
    v = net.values(x)[0].unflatten(1, (heads, 2))
    rows = []
    for i in range(length):
        mixed = []
        for h in range(heads):
            scaled = q[i, h] / key**0.5
            logits = []
            for j in range(length):
                far = net.distance(basis[j - i + length - 1]).unflatten(0, (heads, key))[h]
                content = (scaled + net.content_bias[h, 0]) @ k[j, h]
                logits.append(content + (scaled + net.distance_bias[h, 0]) @ far)
            mixed.append(torch.stack(logits).softmax(0) @ v[:, h])
        rows.append(torch.cat(mixed))
    torch.testing.assert_close(net(x)[0], net.out(torch.stack(rows)))


def test_rotary_attention_written_out() -> None:
    torch.manual_seed(0)
    net = RotaryAttention(12, heads=2, shared=2, rotated=4, base=100).double()
    x = torch.randn(1, 3, 12, dtype=torch.float64)
    q, k, v = net.mix(x)[0].split([12, 6, 6], 1)

    def turned(u: Tensor, place: int) -> Tensor:
        out = u.clone()
        for m in range(2):
            angle = torch.tensor(place / 100 ** (2 * m / 4), dtype=torch.float64)
            a, b = u[m], u[m + 2]
            out[m] = a * angle.cos() - b * angle.sin()
            out[m + 2] = b * angle.cos() + a * angle.sin()
        return out

    keys = torch.stack([turned(k[j], j) for j in range(3)])
    rows = []
    for i in range(3):
        heads = [turned(q[i, 6 * h : 6 * h + 6], i) for h in range(2)]
        rows.append(torch.cat([(keys @ u / 6**0.5).softmax(0) @ v for u in heads]))
    torch.testing.assert_close(net(x)[0], net.out(torch.stack(rows)))


def test_rotary_attention_refuses_groups_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="must divide"):
        RotaryAttention(12, heads=3, shared=2)


def test_linear_attention_written_out() -> None:
    torch.manual_seed(0)
    net = LinearAttention(4, heads=1, features=6).double()
    x = torch.randn(1, 3, 4, dtype=torch.float64)
    q, k, v = net.query(x)[0], net.keys(x)[0], net.values(x)[0]

    def features(u: Tensor, place: int) -> Tensor:
        out = u.clone()
        for m in range(2):
            angle = torch.tensor(place / 10_000 ** (2 * m / 4), dtype=torch.float64)
            a, b = u[2 * m], u[2 * m + 1]
            out[2 * m] = a * angle.cos() - b * angle.sin()
            out[2 * m + 1] = b * angle.cos() + a * angle.sin()
        return (net.projection @ out / 6**0.5).relu() + OFFSET

    a = torch.stack(
        [torch.stack([features(q[i], i) @ features(k[j], j) for j in range(3)]) for i in range(3)]
    )
    torch.testing.assert_close(net(x)[0], net.out(a / a.sum(1, keepdim=True) @ v))


def test_projection_is_of_orthogonal_blocks() -> None:
    rows = LinearAttention(8, heads=2, features=6).projection
    cosines = torch.nn.functional.normalize(rows[:4]) @ torch.nn.functional.normalize(rows[:4]).T
    torch.testing.assert_close(cosines, torch.eye(4), atol=1e-5, rtol=0)
    assert rows.shape == (6, 4)


def test_distance_features_have_their_published_ranks() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        of_enformer = enformer.distance_features(1536, 192)
        of_borzoi = borzoi.distance_features(4096, 32)
    finally:
        torch.set_default_dtype(torch.float32)
    assert of_enformer.shape == (3071, 192)
    assert of_borzoi.shape == (8191, 32)
    assert torch.linalg.matrix_rank(of_enformer, rtol=1e-10) == 119
    assert torch.linalg.matrix_rank(of_borzoi, rtol=1e-10) == 31
    assert (of_borzoi == 0).all(0).sum() == 1
    masks = of_enformer[:, 32:64]
    assert (masks == 1).all(0).sum() == 22
