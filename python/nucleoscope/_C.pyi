"""The compiled part: csrc/bind/module.cpp. Arrays are addresses; nothing is checked here."""

def available_isas() -> list[str]: ...
def isa() -> str: ...
def use_isa(name: str) -> None: ...
def indices_within(indices: int, count: int, length: int, /) -> bool: ...
def dinucleotide_shuffle_int8(
    letters: int, out: int, N: int, n: int, L: int, A: int, seed: int, threads: int, /
) -> None: ...
def dinucleotide_shuffle_float32(
    letters: int, out: int, N: int, n: int, L: int, A: int, seed: int, threads: int, /
) -> None: ...
def dinucleotide_shuffle_float64(
    letters: int, out: int, N: int, n: int, L: int, A: int, seed: int, threads: int, /
) -> None: ...
def edit_lookup_float32(
    table: int,
    taps: int,
    old: int,
    fresh: int,
    out: int,
    A: int,
    C: int,
    W: int,
    S: int,
    E: int,
    threads: int,
    /,
) -> None: ...
def edit_lookup_float64(
    table: int,
    taps: int,
    old: int,
    fresh: int,
    out: int,
    A: int,
    C: int,
    W: int,
    S: int,
    E: int,
    threads: int,
    /,
) -> None: ...
def conv_float32(
    read: list[int],
    written: list[int],
    sizes: list[int],
    how: list[bool],
    threads: int,
    /,
) -> None: ...
def conv_float64(
    read: list[int],
    written: list[int],
    sizes: list[int],
    how: list[bool],
    threads: int,
    /,
) -> None: ...

# What Rows and Original are handed over as: addresses and sizes in the order of the C++ struct.
_Rows = tuple[int, tuple[int, ...], int]
_Original = tuple[int, int, int, int, int]

def delta_pointwise_float32(
    given: int,
    rows: _Rows,
    original: _Original,
    delta: int,
    E: int,
    C: int,
    length: int,
    function: int,
    parameters: tuple[float, float, float],
    threads: int,
    /,
) -> None: ...
def delta_pointwise_float64(
    given: int,
    rows: _Rows,
    original: _Original,
    delta: int,
    E: int,
    C: int,
    length: int,
    function: int,
    parameters: tuple[float, float, float],
    threads: int,
    /,
) -> None: ...
def delta_max_pool_float32(
    given: int,
    rows_in: _Rows,
    rows_out: _Rows,
    original: _Original,
    pooled: _Original,
    delta: int,
    sizes: list[int],
    threads: int,
    /,
) -> None: ...
def delta_max_pool_float64(
    given: int,
    rows_in: _Rows,
    rows_out: _Rows,
    original: _Original,
    pooled: _Original,
    delta: int,
    sizes: list[int],
    threads: int,
    /,
) -> None: ...
def delta_conv_float32(
    given: int,
    rows_in: _Rows,
    rows_out: _Rows,
    weight: int,
    original: _Original,
    residual: int,
    beside: _Rows,
    residual_first: bool,
    delta: int,
    sizes: list[int],
    threads: int,
    /,
) -> None: ...
def delta_conv_float64(
    given: int,
    rows_in: _Rows,
    rows_out: _Rows,
    weight: int,
    original: _Original,
    residual: int,
    beside: _Rows,
    residual_first: bool,
    delta: int,
    sizes: list[int],
    threads: int,
    /,
) -> None: ...

_Term = tuple[int, _Rows, float]
_Factor = tuple[int, _Rows, _Original]
_Part = tuple[int, _Rows, int, int]
_Link = tuple[list[int], list[float]]

def delta_sum_float32(
    terms: list[_Term], scale: int, rows_out: _Rows, delta: int, sizes: list[int], threads: int, /
) -> None: ...
def delta_sum_float64(
    terms: list[_Term], scale: int, rows_out: _Rows, delta: int, sizes: list[int], threads: int, /
) -> None: ...
def delta_product_float32(
    factors: list[_Factor], rows_out: _Rows, delta: int, sizes: list[int], threads: int, /
) -> None: ...
def delta_product_float64(
    factors: list[_Factor], rows_out: _Rows, delta: int, sizes: list[int], threads: int, /
) -> None: ...
def delta_concat_float32(
    parts: list[_Part], rows_out: _Rows, delta: int, sizes: list[int], threads: int, /
) -> None: ...
def delta_concat_float64(
    parts: list[_Part], rows_out: _Rows, delta: int, sizes: list[int], threads: int, /
) -> None: ...
def delta_layer_norm_float32(
    given: int,
    rows: _Rows,
    original: _Original,
    weight: int,
    delta: int,
    sizes: list[int],
    limits: list[float],
    threads: int,
    /,
) -> None: ...
def delta_layer_norm_float64(
    given: int,
    rows: _Rows,
    original: _Original,
    weight: int,
    delta: int,
    sizes: list[int],
    limits: list[float],
    threads: int,
    /,
) -> None: ...
def delta_softmax_pool_float32(
    given: int,
    rows_in: _Rows,
    logits: int,
    beside: _Rows,
    rows_out: _Rows,
    original: _Original,
    original_logits: _Original,
    delta: int,
    sizes: list[int],
    threads: int,
    /,
) -> None: ...
def delta_softmax_pool_float64(
    given: int,
    rows_in: _Rows,
    logits: int,
    beside: _Rows,
    rows_out: _Rows,
    original: _Original,
    original_logits: _Original,
    delta: int,
    sizes: list[int],
    threads: int,
    /,
) -> None: ...
def delta_chain_float32(
    links: list[_Link],
    rows: list[_Rows],
    given: list[int],
    channels: list[int],
    kept: list[int],
    letters: list[int],
    sizes: list[int],
    threads: int,
    /,
) -> None: ...
def delta_chain_float64(
    links: list[_Link],
    rows: list[_Rows],
    given: list[int],
    channels: list[int],
    kept: list[int],
    letters: list[int],
    sizes: list[int],
    threads: int,
    /,
) -> None: ...

# Of queries, keys, mask, bias, table, index and slopes; sizes and strides; scale and softcap.
_Attention = tuple[tuple[int, ...], tuple[int, ...], tuple[float, float]]

def attention_lse_float32(of: _Attention, lse: int, threads: int, /) -> None: ...
def attention_apply_float32(
    of: _Attention, r: int, sizes: tuple[int, int, int], out: int, lse: int, threads: int, /
) -> None: ...
def attention_mean_float32(
    of: _Attention, share: int, out: int, lse: int, threads: int, /
) -> None: ...
def attention_relevance_float32(
    of: _Attention,
    value: int,
    grad: int,
    E: int,
    r: int,
    sizes: tuple[int, int, int],
    out: int,
    lse: int,
    threads: int,
    /,
) -> None: ...
def attention_statistics_float32(
    of: _Attention, made: tuple[int, int, int, int, int, int], threads: int, /
) -> None: ...
