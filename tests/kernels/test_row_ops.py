"""The Triton twins of the row ops, interpreted on CPU tensors: what the ops' own tests ask of C++.

Every op here takes the branch that CUDA tensors take; only the device is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch

from nucleoscope import _C
from nucleoscope.ops import delta_chain
from tests.functions import FUNCTIONS
from tests.ops.chain_cases import CHAINS, Chain, assert_close, every_link, random_links
from tests.ops.rows import DTYPES

pytestmark = pytest.mark.usefixtures("poisoned_empty", "twins")


def tests_of(op: str) -> Any:
    """The module of an op's own tests."""
    return import_module(f"tests.ops.test_{op}")


def concat(t: Any, _: int, shape: Any, dtype: torch.dtype) -> None:
    case = t.example(shape, dtype)
    t.assert_same(t.delta_concat(**case), case)


def product(t: Any, _: int, shape: Any, dtype: torch.dtype) -> None:
    case = t.example(shape, dtype)
    t.assert_close(t.delta_product(**case), case)


def added(t: Any, count: int, shape: Any, dtype: torch.dtype) -> None:
    _, widths, sites, edits, _ = shape
    few = sum(widths) * sites * edits <= 64  # a cell of many taps is a program each
    for geometry in (t.GEOMETRIES[count % 7], (40, 3, 5, 9))[: 2 if few else 1]:
        case = t.example(geometry, shape, dtype, scaled=count % 2 == 0)
        t.assert_close(t.delta_sum(**case), case)


def max_pool(t: Any, count: int, shape: Any, dtype: torch.dtype) -> None:
    case = t.example(t.GEOMETRIES[count % 7], shape, dtype, relu=count % 2 == 1)
    t.assert_equal(t.delta_max_pool(**case), t.naive.delta_max_pool(**case))


def softmax_pool(t: Any, count: int, shape: Any, dtype: torch.dtype) -> None:
    case = t.example(t.GEOMETRIES[count % 5], shape, dtype, size=(1e-6, 0.2, 3.0)[count % 3])
    t.assert_right(case)
    one = count % 2 == 0
    t.assert_right(t.without_logits(case) if one else case | {"given": None, "rows_in": None})


def layer_norm(t: Any, count: int, shape: Any, dtype: torch.dtype) -> None:
    case = t.example(shape, dtype, first=count % 4)
    t.assert_right(case if count % 2 else case | {"weight": None})


def pointwise(t: Any, count: int, shape: Any, dtype: torch.dtype) -> None:
    case = t.example(shape, dtype, first=count % 4)
    t.assert_equal(t.delta_pointwise(**case), t.naive.delta_pointwise(**case))


OPS: dict[str, Callable[[Any, int, Any, torch.dtype], None]] = {
    "delta_concat": concat, "delta_product": product, "delta_sum": added, "delta_max_pool": max_pool,
    "delta_softmax_pool": softmax_pool, "delta_layer_norm": layer_norm, "delta_pointwise": pointwise,
}  # fmt: skip


@pytest.mark.parametrize(
    "dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)], ids=str
)
@pytest.mark.parametrize("op", OPS)
def test_every_shape(op: str, dtype: torch.dtype) -> None:
    module = tests_of(op)
    for count, shape in enumerate(module.SHAPES):
        OPS[op](module, count + DTYPES.index(dtype), shape, dtype)


@pytest.mark.slow
def test_blocks_of_a_gpu(twins: dict[str, int]) -> None:
    """Many programs, with lines and channels left over."""
    twins["BLOCK_LINES"] = 16
    for op, compare in OPS.items():
        module = tests_of(op)
        compare(module, 1, module.SHAPES[3], torch.float32)


ISA, NAN, CPU = _C.isa(), torch.nan, torch.device("cpu")
BEYOND = "test_rows_beyond_both_ends_are_zero_whatever_is_given"
READS = "test_nan_reaches_who_reads_it_and_nobody_else"
PLACES = {
    "delta_max_pool": ("given", "original", "pooled"), "delta_layer_norm": ("given", "original"),
    "delta_pointwise": ("given", "original"),
}  # fmt: skip
MORE = {"delta_max_pool": {"relu": True}}
OWN: list[tuple[str, str, dict[str, Any]]] = [
    *((op, BEYOND, {}) for op in OPS if op not in ("delta_sum", "delta_max_pool", "delta_product")),
    *((op, "test_strided_arguments", {}) for op in OPS if op not in ("delta_sum", "delta_product")),
    *(
        (op, "test_what_is_not_finite", {"place": place, "value": value} | MORE.get(op, {}))
        for op, places in PLACES.items() for place in places for value in (NAN, torch.inf, -torch.inf)
    ),
    *(("delta_softmax_pool", READS, {"place": p}) for p in ("given", "logits", "original")),
    ("delta_max_pool", "test_originals_kept_in_part", {}),
    ("delta_max_pool", "test_a_cell_of_padding_alone_is_written_too", {}),
    ("delta_softmax_pool", "test_originals_kept_in_part", {}),
    ("delta_softmax_pool", "test_a_cell_without_members_is_zero", {}),
    *(("delta_softmax_pool", "test_a_small_change_is_not_lost", {"isa": ISA, "size": s})
      for s in (1e-20, 1e-5)),
    *(("delta_softmax_pool", test, {"dtype": dtype}) for dtype in DTYPES for test in (
        "test_a_small_effect_of_a_large_change_is_not_lost", "test_changes_from_end_to_end_of_the_exponent")),
    *(("delta_layer_norm", "test_a_small_delta_beside_a_large_original_is_not_lost",
       {"isa": ISA, "size": size}) for size in (1e-20, 1e-5)),
    *(("delta_layer_norm", "test_a_group_that_becomes_flat_and_one_that_was", {"back": back})
      for back in (False, True)),
    *(("delta_sum", test, {"shape": (((4, 3), (3, 5)), (2, 6), 4, 2, 17)})
      for test in (BEYOND, READS, "test_strided_arguments")),
    ("delta_sum", "test_one_tap_alone_is_moved_to_the_bit", {}),
    ("delta_product", "test_a_small_delta_keeps_its_digits", {}),
    ("delta_product", BEYOND, {}),
    *(("delta_product", READS, {"place": place}) for place in (0, 1)),
    *(("delta_pointwise", "test_nan_stays_and_spreads_to_nothing_else", {"name": name, "place": "given"})
      for name in ("clamp", "elu", "gelu", "gelu_tanh", "softplus", "threshold", "log1p")),
    *((op, "test_opcheck", {"dtype": torch.float32, "dense": False, "device": CPU})
      for op in ("delta_layer_norm", "delta_pointwise", "delta_softmax_pool")),
]  # fmt: skip


# The interpreter computes by numpy, which tells of inf - inf what a GPU does not.
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize(("op", "test", "arguments"), OWN, ids=lambda each: str(each)[:60])
def test_what_the_op_is_tested_for(op: str, test: str, arguments: dict[str, Any]) -> None:
    getattr(tests_of(op), test)(**arguments)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "test", ["test_every_function_keeps_its_digits", "test_no_change_is_exactly_none"]
)
def test_every_function(test: str, name: str, twins: dict[str, int]) -> None:
    twins |= {"BLOCK_LINES": 1, "BLOCK_CHANNELS": 1 << 15}  # one line of very many numbers
    getattr(tests_of("delta_pointwise"), test)(ISA, name)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_is_its_definition(name: str, dtype: torch.dtype) -> None:
    chain = Chain(4, 3, dtype)
    asked = CHAINS[name](chain)
    assert_close(chain.run(delta_chain, asked), chain, asked)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_chain_of_every_op(seed: int) -> None:
    torch.manual_seed(seed)
    chain = Chain(3, 2, torch.float64)
    random_links(chain, 30, seed)
    everything = every_link(chain)
    assert_close(chain.run(delta_chain, everything), chain, everything)
    few = everything[::5]  # what is not asked for is given back on the way
    assert_close(chain.run(delta_chain, few), chain, few)


@pytest.mark.parametrize(("sites", "edits"), [(0, 3), (4, 0)])
def test_a_chain_without_sites_or_edits(sites: int, edits: int) -> None:
    for make in CHAINS.values():
        chain = Chain(sites, edits)
        for value in chain.run(delta_chain, make(chain)):
            assert value.shape[1:3] == (sites, edits)


@pytest.mark.parametrize("name", ["old", "new", "sequence"])
def test_what_is_not_there_gives_nan(name: str) -> None:
    """Nothing is read back to refuse it."""
    chain = Chain(3, 2)
    asked = [CHAINS["smooth"](chain)[0], 0]
    getattr(chain.letters, name)[1] = 99
    for value in chain.run(delta_chain, asked):
        assert value[:, 1].isnan().any()
        assert not value[:, [0, 2]].isnan().any()
