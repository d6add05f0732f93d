"""`nucleoscope view`: the page holds the scan's scores, and a browser draws them."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import nucleoscope
from nucleoscope.cli import main
from nucleoscope.plot.page import Hit, Mark, Panel, page
from tests.scan.genomes import CHR1, dense_net, pooled_net, write_fasta
from tests.scan.test_vcf import write

BROWSERS = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)


def run(*given: str) -> Result:
    return CliRunner().invoke(main, ["view", *given])


def data(path: Path) -> list[dict[str, Any]]:
    text = path.read_text()
    (held,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    found: list[dict[str, Any]] = json.loads(held)
    return found


def scores(panel: dict[str, Any]) -> Any:
    return np.frombuffer(base64.b64decode(panel["scores"]), "<f4")


@pytest.mark.slow
def test_a_chromosome_with_variants_and_motifs(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="scans are stored by zarr")
    pytest.importorskip("pyarrow", reason="pyarrow writes Parquet")
    pytest.importorskip("memelite", reason="memelite matches motifs")
    genome = write_fasta(tmp_path / "g.fa")
    nucleoscope.scan(pooled_net(), genome, None, tmp_path / "s", target=1, cell=500)
    vcf = write(tmp_path / "v.vcf", f"1\t700\t.\t{CHR1[699]}\t{'ACGT'.replace(CHR1[699], '')[0]}")
    nucleoscope.variants(dense_net(60), genome, vcf, tmp_path / "v", length=60, target=0)
    word = CHR1[719:729]
    rows = "\n".join(" ".join("0.97" if c == b else "0.01" for b in "ACGT") for c in word)
    (tmp_path / "m.meme").write_text(
        "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF WORD\n"
        f"letter-probability matrix: alength= 4 w= 10 nsites= 20 E= 0\n{rows}\n\n"
    )
    given = (str(tmp_path / "s"), "--genome", str(genome), "--out", str(tmp_path / "p.html"))
    more = ("--variants", str(tmp_path / "v"), "--motifs", str(tmp_path / "m.meme"))
    done = run(*given, *more, "--region", "chr1:651-800")
    assert done.exit_code == 0, done.output
    (panel,) = data(tmp_path / "p.html")
    stored = zarr.open_group(tmp_path / "s/scores.zarr", mode="r")["chromosomes/chr1"][
        :, 650:800
    ].sum(0)
    np.testing.assert_array_equal(scores(panel), stored.astype(np.float32))
    assert (panel["letters"], panel["start"]) == (CHR1[650:800], 651)
    (mark,) = panel["marks"]
    assert mark[0] == 699 - 650
    assert [69, 79, "WORD", "+"] in [hit[:4] for hit in panel["hits"]]
    text = (tmp_path / "p.html").read_text()
    assert "model_sha256" in text
    assert not re.search(r"(src|href)=|https?://", text)
    assert run(*given, "--region", "chr1:651-800").exit_code == 2  # it is there
    assert "holds all it needs" not in run(*given, "--overwrite").output
    assert "give --region" in run(*given, "--overwrite").output
    assert "has no sequence" in run(*given, "--overwrite", "--region", "chr7:1-9").output
    assert "ends beyond" in run(*given, "--overwrite", "--region", "chr1:1-9,999").output


def test_regions_of_a_scan_of_regions(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="scans are stored by zarr")
    genome = write_fasta(tmp_path / "g.fa")
    regions = ["chr1:101-160", "chr1:131-190", "chr1:701-760"]
    nucleoscope.scan(dense_net(60), genome, regions, tmp_path / "s", target=[0, 1])
    given = (str(tmp_path / "s"), "--genome", str(genome), "--out", str(tmp_path / "p.html"))
    done = run(*given, "--target", "1")
    assert done.exit_code == 0, done.output
    panels = data(tmp_path / "p.html")
    assert [panel["start"] for panel in panels] == [101, 131, 701]
    stored = zarr.open_group(tmp_path / "s/scores.zarr", mode="r")["scores"][:, 1].sum(1)
    np.testing.assert_array_equal(scores(panels[1]), stored[1])
    assert "<dt>drawn</dt><dd>target 1, counted from 0" in (tmp_path / "p.html").read_text()
    one = run(*given, "--overwrite", "--target", "1", "--region", "chr1:141-150")
    assert one.exit_code == 0, one.output
    np.testing.assert_array_equal(scores(data(tmp_path / "p.html")[0]), run_of(stored[0], 40))
    assert (
        "no region of this scan holds" in run(*given, "--overwrite", "--region", "chr2:1-9").output
    )


def test_the_score_of_variants_is_named_and_chosen(tmp_path: Path) -> None:
    pytest.importorskip("zarr", reason="scans are stored by zarr")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow writes Parquet")
    genome = write_fasta(tmp_path / "g.fa")
    net = dense_net(60)
    nucleoscope.scan(net, genome, ["chr1:101-160"], tmp_path / "s", target=0)
    vcf = write(tmp_path / "v.vcf", f"1\t130\t.\t{CHR1[129]}\t{'ACGT'.replace(CHR1[129], '')[0]}")
    nucleoscope.variants(
        net, genome, vcf, tmp_path / "v", length=60, target=[0, 1], scores="difference"
    )
    (row,) = parquet.read_table(tmp_path / "v/variants.parquet").to_pylist()
    out = tmp_path / "p.html"
    given = (str(tmp_path / "s"), "--out", str(out), "--overwrite", "--genome")
    more = ("--variants", str(tmp_path / "v"))
    for typed, name in (((), "difference_0"), (("--score", "difference_1"), "difference_1")):
        done = run(*given, str(genome), *more, *typed)
        assert done.exit_code == 0, done.output
        assert f"{name} of the variants in v" in out.read_text()
        assert data(out)[0]["marks"][0][2] == pytest.approx(row[name])
    wrong = run(*given, str(genome), *more, "--score", "gain")
    assert "no score 'gain'; it has difference_0, difference_1" in wrong.output
    assert "give both" in run(*given, str(genome), "--score", "gain").output
    other = write_fasta(tmp_path / "h.fa", {"chr1": CHR1[::-1]})
    done = run(*given, str(other))
    assert done.exit_code == 1
    assert "is not what was scored for" in done.output
    assert "That was g.fa of SHA-256" in done.output
    nucleoscope.scan(net, other, ["chr1:101-160"], tmp_path / "t", target=0)
    done = run(str(tmp_path / "t"), *given[1:], str(other), *more)
    assert f"was scored for {tmp_path / 'v'}" in " ".join(done.output.split()), done.output


def run_of(row: Any, first: int) -> Any:
    zero: Any = row[first : first + 10]
    return zero


def panel() -> Panel:
    values = np.random.default_rng(0).normal(size=400).astype(np.float32)
    values[7] = np.nan
    return Panel(
        "<b>chr1</b>:1-400", 1, "ACGT" * 100, values, [Mark(30, "A>C", 0.4)],
        [Hit(10, 22, "</script>", "-", 9.0), Hit(12, 25, "TWO", "+", 9.0)], (0, 100),
    )  # fmt: skip


def test_names_are_text_and_not_markup() -> None:
    made = page([panel()], "a < b", {"x": "<i>"})
    assert "a &lt; b" in made
    assert "<dd>&lt;i&gt;</dd>" in made
    assert made.count("</script>") == 2
    with pytest.raises(ValueError, match="one region at least"):
        page([], "")
    with pytest.raises(ValueError, match="one each"):
        Panel("r", 1, "ACG", np.zeros(2))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_draws_letters_and_tracks(tmp_path: Path) -> None:
    assert BROWSER is not None
    wide = Panel(
        "wide", 5_000_001, "ACGT" * 5000, np.sin(np.arange(20_000) / 300).astype(np.float32)
    )
    (tmp_path / "p.html").write_text(page([panel(), wide], "two regions"))
    common = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1100,900",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]  # fmt: skip
    where = (tmp_path / "p.html").as_uri()
    done = subprocess.run(
        [*common, "--dump-dom", where], capture_output=True, text=True, timeout=120
    )
    drawn = re.findall(r'data-drawn="(\w+) (\d+)"', done.stdout)
    assert drawn[0] == ("letters", "99")  # 100 bases, one without a score
    assert drawn[1][0] == "track"
    assert int(drawn[1][1]) > 900
    picture = tmp_path / "p.png"
    subprocess.run([*common, f"--screenshot={picture}", where], capture_output=True, timeout=120)
    pixels = pytest.importorskip("matplotlib.image", reason="matplotlib reads PNG").imread(picture)
    assert pixels[..., :3].std() > 0.05
