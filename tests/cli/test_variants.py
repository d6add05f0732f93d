"""`nucleoscope variants`: the same as the function, and exit codes that say how it went."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nucleoscope.cli import main
from tests.scan.genomes import CHR1, write_fasta
from tests.scan.test_vcf import write

pysam = pytest.importorskip("pysam", reason="pysam writes VCF")
pytest.importorskip("pyarrow", reason="pyarrow writes Parquet")
GIVEN = ("--model", "tests.scan.genomes:pooled_net", "--length", "61")


@pytest.fixture
def genome(tmp_path: Path) -> str:
    return str(write_fasta(tmp_path / "g.fa"))


def run(*given: str) -> Result:
    return CliRunner().invoke(main, ["variants", *GIVEN, *given])


def test_scores_of_two_targets_and_a_reject(genome: str, tmp_path: Path) -> None:
    alt = "ACGT".replace(CHR1[99], "")[0]
    vcf = write(tmp_path / "v.vcf", f"1\t100\t.\t{CHR1[99]}\t{alt}", "chrX\t3\t.\tA\tC")
    given = ("--genome", genome, "--vcf", str(vcf), "--out", str(tmp_path / "o"))
    more = ("--target", "0", "--target", "1", "--around", "12", "--bin", "6", "--score", "gain")
    done = run(*given, *more)
    assert done.exit_code == 3, done.output
    assert "Left out: 1 no such chromosome" in done.output
    with pysam.VariantFile(str(tmp_path / "o/variants.vcf.gz")) as file:
        first, _ = file
        assert len(first.info["NS_GAIN_1"]) == len(first.info["NS_GAIN_AT_0"]) == 1
    assert run(*given, *more).exit_code == 1
    assert run(*given, *more, "--resume").exit_code == 3


def test_what_is_asked_for_wrongly(genome: str, tmp_path: Path) -> None:
    vcf = write(tmp_path / "v.vcf", f"1\t100\t.\t{CHR1[99]}\t{CHR1[99]}")
    given = ("--genome", genome, "--vcf", str(vcf))
    assert "give --out" in run(*given).output
    out = ("--out", str(tmp_path / "o"))
    assert "give around=" in run(*given, *out, "--score", "gain").output
    assert run(*given, *out, "--score", "sum").exit_code == 2
