"""delta_chain: what its ops give one after another, which is the change of a real network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, settings
from hypothesis import given as for_all
from hypothesis import strategies as st
from torch import Tensor

from nucleoscope import _C
from nucleoscope.naive import ops as naive
from nucleoscope.ops import Kept, Letters, Link, Rows, delta_chain, pack_weight, to_bf16
from nucleoscope.ops._links import flatten
from tests.ops.chain_cases import (
    CHAINS,
    Chain,
    Geometry,
    assert_close,
    every_link,
    op_by_op,
    random_links,
)
from tests.ops.chain_refusals import LETTERS, REFUSED, accepted, rows
from tests.ops.rows import (
    DTYPES,
    assert_equal,
    instruction_set,
    poisoned_malloc,
    read_off,
    strided,
)

pytestmark = pytest.mark.usefixtures("poisoned_empty")


def assert_as_op_by_op(chain: Chain, asked: list[int]) -> list[Tensor]:
    """To the bit what the ops give when they are called singly."""
    with poisoned_malloc():
        got = chain.run(delta_chain, asked)
    for value, expected in zip(got, op_by_op(chain, asked), strict=True):
        assert_equal(value, expected)
    return got


def assert_right(chain: Chain, asked: list[int]) -> None:
    """As the ops called singly, and as the definition."""
    assert_close(assert_as_op_by_op(chain, asked), chain, asked)


@pytest.mark.parametrize("op", [naive.delta_chain, delta_chain], ids=["naive", "ours"])
def test_it_is_the_change_of_a_network(op: Callable[..., list[Tensor]]) -> None:
    length, sites, edits, kind = 14, 6, 4, torch.float64
    w1, w2, w3 = (torch.randn(*size, dtype=kind) for size in ((5, 4, 7), (3, 7, 7), (3, 7, 7)))
    letters = torch.randint(-1, 4, (3, length))  # of three sequences; -1: an empty column
    sequence, site = torch.randint(0, 3, (sites,)), torch.randint(0, length, (sites,))
    new = torch.randint(-1, 4, (sites, edits))

    def layers(letters: Tensor) -> tuple[Tensor, ...]:
        x = F.one_hot(letters + 1, 5)[..., 1:].mT.to(kind)
        z1 = F.conv1d(x, w1.permute(2, 1, 0), padding=2)
        pooled = F.max_pool1d(z1.relu(), 2)
        z2 = F.conv1d(pooled, w2.permute(2, 1, 0), padding=1) + pooled
        z3 = F.conv1d(z2.relu(), w3.permute(2, 1, 0), padding=2, dilation=2)
        return z1, z1.relu(), pooled, z2, z3, z3.relu() + z2.relu()

    z1, h1, pooled, z2, z3, _ = (z.mT.contiguous() for z in layers(letters))
    edited = letters[sequence][:, None].repeat(1, edits, 1)
    edited[torch.arange(sites), :, site] = new
    after = layers(edited.flatten(0, 1))[-1].unflatten(0, (sites, edits))
    change = after - layers(letters)[-1][sequence][:, None]

    none, weight2, weight3 = torch.zeros(1, sites, dtype=torch.int64), *map(pack_weight, (w2, w3))
    whole, half = Rows(none - 2, (length + 4,)), Rows(none, (length // 2,))
    links = [
        Link("edit_lookup", whole, 7, length, weight=w1, taps=5, pad=2, original=Kept(z1)),
        Link("delta_max_pool", half, 7, 7, 0, original=Kept(h1), second=Kept(pooled), taps=2,
             stride=2, length_in=length),
        Link("delta_conv", half, 7, 7, 1, 1, weight2, Kept(z2), pad=1, residual_first=True),
        Link("delta_conv", half, 7, 7, 2, 2, weight3, Kept(z3), pad=2, dilation=2),
        Link("delta_sum", Rows(none, (1,)), 7, 1, 3, taps=7, factors=(1 / 7, 1.0)),
    ]  # fmt: skip
    old = letters[sequence, site]
    numbers = Letters(sequence.int(), site, old.int(), new.int())
    last, mean = op(links, numbers, [], [3, 4])
    assert change.any()  # or else nothing is tested
    torch.testing.assert_close(last, read_off(change, half), rtol=0, atol=1e-12)
    torch.testing.assert_close(mean[0], change.mean(-1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CHAINS)
def test_equals_its_ops_and_naive(name: str, dtype: torch.dtype, device: torch.device) -> None:
    for sites, edits in ((5, 3), (1, 1), (3, 4)):
        chain = Chain(sites, edits, dtype, device)
        asked = CHAINS[name](chain)
        assert_right(chain, asked)
        assert_right(chain, every_link(chain))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_every_instruction_set(isa: str, dtype: torch.dtype) -> None:
    for make in CHAINS.values():
        chain = Chain(dtype=dtype)
        asked = make(chain)
        with instruction_set(isa):
            assert_right(chain, asked)


@pytest.mark.parametrize("threads_used", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("isa", _C.available_isas())
def test_sites_in_several_uneven_blocks(isa, dtype, threads_used, threads) -> None:
    for make in CHAINS.values():
        chain = Chain(401, 3, dtype)
        asked = make(chain)
        with instruction_set(isa):
            threads(1)  # for the ops, whose many short calls would wait for each other
            # not naive, whose look-up would take seconds here
            expected = op_by_op(chain, asked)
            threads(threads_used)
            with poisoned_malloc():
                got = chain.run(delta_chain, asked)
        for value, wanted in zip(got, expected, strict=True):
            assert_equal(value, wanted)


@pytest.mark.parametrize("name", CHAINS)
def test_weights_in_bfloat16(name: str) -> None:
    chain = Chain()
    asked = CHAINS[name](chain)
    for index, link in enumerate(chain.links):
        if link.op == "delta_conv":
            chain.links[index] = replace(link, weight=to_bf16(link.weight))
    for isa in _C.available_isas():
        with instruction_set(isa):
            assert_as_op_by_op(chain, asked)


def test_a_site_that_is_larger_than_a_block() -> None:
    chain = Chain(3, 3, length=400)
    x = chain.bring(512, (200,))
    y = chain.sum(x, (150, 40), Geometry(3, pad=1), scaled=True)
    asked = [chain.sum(chain.pointwise(y), (199,), Geometry(), beside=x), y]
    assert_right(chain, asked)


@pytest.mark.parametrize("furthest", [2, 5, 99])  # how long values stay alive
@pytest.mark.parametrize("seed", range(3))
def test_many_values_alive_at_once(seed: int, furthest: int) -> None:
    torch.manual_seed(seed)
    chain = Chain(sites=4, dtype=torch.float64)
    random_links(chain, 60, seed, furthest)
    everything = every_link(chain)
    assert_right(chain, everything)
    # what is asked for must not decide over what is kept in between
    assert_as_op_by_op(chain, everything[::7])


@settings(
    max_examples=120, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@for_all(
    st.integers(1, 6), st.integers(1, 5), st.sampled_from(DTYPES), st.integers(1, 9),
    st.integers(0, 2**16),
)  # fmt: skip
def test_any_chain(sites: int, edits: int, dtype: torch.dtype, many: int, seed: int) -> None:
    torch.manual_seed(seed)
    chain = Chain(sites, edits, dtype)
    random_links(chain, many, seed)
    assert_right(chain, every_link(chain)[:: 1 + seed % 3][::-1])


@pytest.mark.parametrize(("sites", "edits"), [(0, 3), (4, 0)])
def test_without_sites_or_edits(sites: int, edits: int) -> None:
    for make in CHAINS.values():
        chain = Chain(sites, edits)
        asked = make(chain)
        got = chain.run(delta_chain, asked)
        assert [v.shape for v in got] == [v.shape for v in op_by_op(chain, asked)]


def test_without_channels_or_answers() -> None:
    chain = Chain()
    x = chain.sum(chain.bring(0, (4,)), (3, 2), Geometry(2))
    assert_right(chain, [x, chain.pointwise(x)])
    assert chain.run(delta_chain, []) == []


def test_tables_of_other_alphabets() -> None:
    chain = Chain()
    asked = [chain.look_up(5, (6,), Geometry(3, pad=1), relu=False) for _ in range(2)]
    table = torch.cat([chain.links[0].weight, torch.randn(3, 2, 5)], 1)  # and ambiguous letters
    chain.links[0] = replace(chain.links[0], weight=table)
    assert_right(chain, asked)


def test_rows_beyond_both_ends_are_zero_whatever_is_given() -> None:
    chain = Chain()
    x = chain.bring(6, (5, 4))
    chain.given[0][0].fill_(torch.nan)
    asked = [
        chain.pointwise(x), chain.sum(x, (3, 2), Geometry()), chain.pool(x, (3, 2), Geometry(2, 2)),
        chain.conv(x, 8, (3, 2), Geometry(3, pad=1)), chain.look_up(4, (3, 2), Geometry(3)),
    ]  # fmt: skip
    for index, link in enumerate(chain.links):
        starts = torch.tensor([[-5], [link.length]]).repeat(1, chain.sites)
        chain.links[index] = replace(link, rows=Rows(starts, link.rows.widths or (5, 4)))
    chain.given[0] = (chain.given[0][0], chain.links[0].rows)
    for value in chain.run(delta_chain, asked):
        assert_equal(value, torch.zeros_like(value))


def test_nan_reaches_who_reads_it_and_nobody_else() -> None:
    chain = Chain()
    asked = CHAINS["from outside"](chain)[:1]
    chain.given[0][0][2:4, ::2, 1, 3] = torch.nan
    (got,), (expected,) = chain.run(delta_chain, asked), chain.run(naive.delta_chain, asked)
    assert 0 < expected.isnan().sum() < expected.numel()
    assert torch.equal(got.isnan(), expected.isnan())


@pytest.mark.parametrize("name", CHAINS)
def test_strided_arguments(name: str) -> None:
    chain = Chain()
    asked = CHAINS[name](chain)
    apart = chain.changed(strided)
    apart.letters = Letters(*map(strided, chain.letters))

    def turned(rows: Rows) -> Rows:
        return Rows(strided(rows.starts), rows.widths)

    apart.links = [replace(link, rows=turned(link.rows)) for link in apart.links]
    apart.given = [(values, turned(rows)) for values, rows in apart.given]
    made = (each.run(delta_chain, asked) for each in (apart, chain))
    for got, expected in zip(*made, strict=True):
        assert_equal(got, expected)


def schema(chain: Chain, asked: list[int]) -> tuple[Any, ...]:
    """The arguments as torch.ops takes them."""
    values, outside = [v for v, _ in chain.given], [rows for _, rows in chain.given]
    return (*chain.letters, values, *flatten(chain.links, outside), asked)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("name", ["basset", "from outside", "residual alone"])
def test_opcheck(name: str, dense: bool, device: torch.device) -> None:
    chain = Chain(device=device)
    asked = CHAINS[name](chain)
    chain = chain if dense else chain.changed(strided)
    torch.library.opcheck(torch.ops.nucleoscope.delta_chain.default, schema(chain, asked))


@pytest.mark.parametrize("name", CHAINS)
def test_meta_gives_the_shapes_alone(name: str) -> None:
    chain = Chain(dtype=torch.float64)
    asked = CHAINS[name](chain)
    made = chain.changed(lambda tensor: tensor.to("meta")).run(delta_chain, asked)
    for value, expected in zip(made, op_by_op(chain, asked), strict=True):
        assert (value.device.type, value.dtype) == ("meta", torch.float64)
        assert value.shape == expected.shape


def test_what_the_refusals_change_is_accepted() -> None:
    assert [value.shape for value in delta_chain(**accepted())] == [(1, 4, 3, 20), (3, 4, 3, 20)]


@pytest.mark.parametrize(
    ("place", "change", "error", "message"), REFUSED, ids=map(str, range(len(REFUSED)))
)
def test_bad_arguments_are_refused(place: Any, change: Any, error: Any, message: str) -> None:
    case = accepted()
    if place == "letters":
        case["letters"] = case["letters"]._replace(**change)
    elif isinstance(place, str):
        case[place] = change
    else:
        link = replace(case["links"][place], **change)
        case["links"][place] = link
        message = rf"links\[{place}\], {link.op}: .*{message}"
    with pytest.raises(error, match=f"delta_chain: .*{message}"):
        delta_chain(**case)


def test_letters_are_for_look_ups_alone() -> None:
    case = accepted()
    case["letters"] = LETTERS._replace(old=LETTERS.old + 99, sequence=LETTERS.sequence - 9)
    links = [Link("delta_sum", rows(2), 20, 9, 0)]
    (made,) = delta_chain(**{**case, "links": links, "asked": [1]})
    assert_equal(made, torch.zeros(2, 4, 3, 20))


def summed(sites: int, edits: int, apart: int, dtype: torch.dtype) -> tuple[list[Link], Letters]:
    """A look-up, a convolution and its sum over the length, of sites one after the other."""
    length, none = 80, torch.zeros(1, sites, dtype=torch.int64)
    site = length // 2 + apart * torch.arange(sites)
    table = torch.randn(25, 4, 32, dtype=dtype)
    weight = pack_weight(torch.randn(3, 32, 24, dtype=dtype))
    z = [Kept(torch.randn(1, length, channels, dtype=dtype)) for channels in (32, 24)]
    links = [
        Link("edit_lookup", Rows((site - 12)[None].contiguous(), (25,)), 32, length,
             weight=table, taps=25, pad=12, original=z[0]),
        Link("delta_conv", Rows((site - 13)[None].contiguous(), (27,)), 24, length, 0,
             weight=weight, taps=3, pad=1, original=z[1]),
        Link("delta_sum", Rows(none, (1,)), 24, 1, 1, taps=length, factors=(1 / 64, 1.0)),
    ]  # fmt: skip
    old, fresh = torch.zeros(sites, dtype=torch.int32), torch.randint(1, 4, (sites, edits))
    return links, Letters(torch.zeros_like(old), site, old, fresh.int())


@pytest.mark.parametrize("edits", [1, 2, 3, 5])
@pytest.mark.parametrize("apart", [-2, -1, 0, 1, 3])
@pytest.mark.parametrize("isa", _C.available_isas())
def test_a_sum_is_the_same_whatever_sites_lie_beside_it(isa: str, apart: int, edits: int) -> None:
    for dtype in DTYPES:
        links, letters = summed(9, edits, apart, dtype)
        with instruction_set(isa):
            (together,) = delta_chain(links, letters, [], [2])
            for s in range(9):
                here = slice(s, s + 1)
                alone = [
                    replace(
                        link, rows=Rows(link.rows.starts[:, here].contiguous(), link.rows.widths)
                    )
                    for link in links
                ]
                one = Letters(*(part[here].contiguous() for part in letters))
                assert_equal(delta_chain(alone, one, [], [2])[0], together[:, here])
