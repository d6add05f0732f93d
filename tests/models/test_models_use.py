"""docs/models_use.md says what is so: its code is run from top to bottom."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from nucleoscope import models

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "models_use.md"
BLOCKS = re.compile(r"```python\n(.*?)```", re.DOTALL)
NUMBER = re.compile(r"-?\d+(\.\d+)?(e-\d+)?")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What the page's code leaves behind, and what it prints."""
    pytest.importorskip("memelite")
    folder = tmp_path_factory.mktemp("page")
    shutil.copy(ROOT / "tests" / "models" / "dna_repair.obo", folder)
    held: dict[str, Any] = {}
    said: list[str] = []
    held["print"] = lambda *words: said.append(" ".join(map(str, words)))
    with (
        pytest.MonkeyPatch.context() as patch,
        torch.random.fork_rng(),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "tomtom was given 3 target motifs")
        patch.chdir(folder)
        for block in BLOCKS.findall(PAGE.read_text(encoding="utf-8")):
            exec(compile(block, str(PAGE), "exec"), held)
    return held, "\n".join(said)


def test_the_page_tells_what_is_printed(ran: tuple[dict[str, Any], str]) -> None:
    """Its words; numbers of a trained network are rounded otherwise on other machines."""

    def words(text: str) -> str:
        return " ".join(NUMBER.sub("0", text.replace("\n# ", " ")).split())

    page = words(PAGE.read_text(encoding="utf-8"))
    assert len(ran[1].splitlines()) == 11
    for line in ran[1].splitlines():
        assert words(line) in page


@pytest.mark.filterwarnings("ignore:tomtom was given 3 target motifs")
def test_what_the_page_finds(ran: tuple[dict[str, Any], str]) -> None:
    held, _ = ran
    planted = set(held["planted"][0] + held["planted"][1])
    assert set(held["genes"].tolist()) == planted
    first = sorted(held["repair"], key=held["worth"].get)[-2:]
    assert set(first) == {"GO:0006289", "GO:0000724"}
    found = {
        m.name.split()[1] for m in models.tomtom(held["motifs"], held["known"]) if m.p_value < 1e-6
    }
    assert found == {"GATA1", "CTCF", "SPI1"}
    assert held["deep"][0].probabilities.shape == (4, 54)
