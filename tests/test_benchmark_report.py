"""README's table: newly timed networks among those committed, and what each was timed on."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import report_edits
from benchmarks.report import merged, table


def result(name: str, median: float = 1.0, isa: str = "v4", **info: Any) -> dict[str, Any]:
    """One network's result as pytest-benchmark writes it, as far as the table reads it."""
    ran_on = {"processor": "P", "instruction_set": isa, "threads": 2, "torch": "2", "python": "3"}
    measured = {
        "edits": 30, "multiply_adds": 5e9, "sgemm": 1e11, "without_verification": 0.5,
        "error": {"ours": 1e-6, "bf16": 2e-3}, "medians": {"plain loop, batch 8 (sampled)": 4.0},
    }  # fmt: skip
    stats = {"median": median, "min": 0.9 * median, "max": 1.1 * median}
    return {"params": {"name": name}, "stats": stats, "extra_info": {**ran_on, **measured, **info}}


def run(*results: dict[str, Any], commit: str = "abc") -> dict[str, Any]:
    return {"commit_info": {"id": commit}, "benchmarks": list(results)}


def test_a_new_time_replaces_an_older_one() -> None:
    """In the order of the cases, whatever the order of timing; what was not timed anew stays."""
    old = run(result("Basset, 2 kb", 7.0), result("Beluga, 2 kb", 3.0))
    found = merged(old, run(result("Basset, 600 bp"), result("Beluga, 2 kb", 2.0), commit="new"))
    told = [
        (r["params"]["name"], r["stats"]["median"], r.get("commit")) for r in found["benchmarks"]
    ]
    assert told == [
        ("Basset, 600 bp", 1.0, "new"),
        ("Basset, 2 kb", 7.0, None),
        ("Beluga, 2 kb", 2.0, "new"),
    ]


def test_a_row_tells_ratio_efficiency_and_bf16() -> None:
    row = table(run(result("Beluga, 2 kb", 2.0, bf16_without_verification=0.25))).splitlines()[2]
    for cell in ("2.00 s (1.80–2.20)", "0.25 s, **2.0x**, 2.0e-03", "4.0 s, **2.0x**", "20%"):
        assert f"| {cell} |" in row


def test_a_row_tells_what_a_further_site_costs_apart_from_the_call() -> None:
    """Of the peer's batch that is the best for the whole call."""
    side = "tangermeme fast=True, batch"
    timed = result(
        "Beluga, 2 kb", 2.0, medians={f"{side} 32": 9.0, f"{side} 64": 8.0},
        further_site={f"{side} 32": 0.2, f"{side} 64": 0.3, "nucleoscope": 0.1},
    )  # fmt: skip
    assert "| 8.0 s, **4.0x** (3.0x) | - |" in table(run(timed)).splitlines()[2]


def test_rows_of_several_machines_are_marked() -> None:
    """A machine is named once; where there is one only, no mark is needed."""
    one = table(run(result("Basset, 2 kb"), result("Beluga, 2 kb")))
    assert "ᵃ" not in one
    two = table(run(result("Basset, 2 kb"), result("Beluga, 2 kb", isa="v3")))
    assert "| Basset, 2 kbᵃ |" in two
    assert "| Beluga, 2 kbᵇ |" in two
    assert "ᵇ P (v3), 2 threads" in two


def test_a_result_that_does_not_say_what_it_ran_on_is_refused() -> None:
    silent = result("Basset, 2 kb")
    del silent["extra_info"]["processor"]
    with pytest.raises(SystemExit, match="processor"):
        table(run(silent))


def test_edits_are_told_by_seconds_and_the_median_of_ratios() -> None:
    timed = result(
        "Basset", ours=[1.0, 2.0, 1.5], tangermeme=[20.0, 24.0, 21.0], factor=14.0, arithmetic=8.2
    )
    old = {
        "benchmarks": [
            {
                **result("Basset", ours=[9.0], loop=[9.0], factor=1.0, arithmetic=5.0),
                "group": "pairs",
            }
        ]
    }
    found = report_edits.merged(old, run({**timed, "group": "variants"}, commit="new"))
    assert [b["group"] for b in found["benchmarks"]] == ["pairs", "variants"]
    line = report_edits.row(found["benchmarks"][1])
    assert (
        "| Basset | 1.0–2.0 s | tangermeme's `substitution_effect`: 20.0–24.0 s | 8x | **14.0x** |"
        in line
    )
    assert "P (v4), 2 threads" in report_edits.page(found)
