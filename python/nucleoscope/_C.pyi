"""The compiled part: csrc/bind/module.cpp. Arrays are addresses; nothing is checked here."""

def available_isas() -> list[str]: ...
def isa() -> str: ...
def use_isa(name: str) -> None: ...
def indices_within(indices: int, count: int, length: int, /) -> bool: ...
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
