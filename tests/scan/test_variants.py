"""Variants end to end: the numbers of the definition for every kind of allele, and a VCF that others read."""

from __future__ import annotations

import copy
import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import nucleoscope
from nucleoscope.scan import estimate_variants, merge
from nucleoscope.scan.genome.regions import Region
from nucleoscope.scan.letters import one_hot
from nucleoscope.scan.results.reading import variants_in
from nucleoscope.scan.shards import folder
from nucleoscope.scan.variants import annotate, laying, strand
from nucleoscope.scan.variants import job as variant_job
from nucleoscope.scan.variants import runner as variant_runner
from nucleoscope.scan.variants.alleles import Allele
from tests.scan.genomes import CHR1, GENOME, bases, dense_net, write_fasta
from tests.scan.test_vcf import write

pysam = pytest.importorskip("pysam", reason="pysam writes VCF")
pyarrow = pytest.importorskip("pyarrow", reason="pyarrow writes Parquet")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow writes Parquet")


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "g.fa")


class Peaks(nn.Module):
    """Probabilities at every base but 9 either side: [N, 4, L] -> [N, 3, L - 18]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv1d(4, 8, 7),
            nn.ReLU(),
            nn.Conv1d(8, 8, 7, dilation=2),
            nn.ReLU(),
            nn.Conv1d(8, 3, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 3 * self.net(x).softmax(1)


class Bins(nn.Module):
    """Positive numbers in bins of 4: [N, 4, L] -> [N, 2, L / 4]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Conv1d(4, 8, 9, padding=4),
            nn.ReLU(),
            nn.MaxPool1d(4),
            nn.Conv1d(8, 2, 1),
            nn.Softplus(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.net(x)
        return out


def other(base: str) -> str:
    return "ACGT"["ACGT".index(base) - 1]


def at(position: int, ref: int, alt: str, chromosome: str = "chr1") -> str:
    """A VCF line at a 1-based position whose REF is so many of the genome's bases."""
    own = GENOME[chromosome][position - 1 : position - 1 + ref].upper()
    return f"{chromosome}\t{position}\t.\t{own}\t{alt}"


def ask(net: nn.Module, sequence: str) -> Any:
    with torch.no_grad():
        return net(one_hot([sequence]))[0].double().numpy()


def window(position: int, length: int, more: int = 0, chromosome: str = "chr1") -> str:
    held = GENOME[chromosome].upper()
    start = position - 1 - length // 2
    padded = "N" * length + held + "N" * length
    return padded[start + length + min(more, 0) : start + 2 * length + max(more, 0)]


def put(sequence: str, where: int, ref: int, alt: str) -> str:
    return sequence[:where] + alt + sequence[where + ref :]


def info(out: Path, name: str) -> list[Any]:
    with pysam.VariantFile(str(out / "variants.vcf.gz")) as file:
        return [record.info.get(name) for record in file]


def test_one_number_a_variant(genome: Path, tmp_path: Path) -> None:
    """SNV, both of a line, MNV, insertion, deletion, and windows that reach beyond both ends."""
    snv, two = CHR1[99], "".join(c for c in "ACGT" if c != CHR1[201])[:2]
    rows = [
        at(3, 1, other(CHR1[2])), at(100, 1, other(snv)), at(202, 1, ",".join(two)),
        at(300, 3, "".join(map(other, CHR1[299:302]))), at(400, 1, CHR1[399] + "GATTACA"),
        at(451, 4, CHR1[450]), at(999, 1, other(CHR1[998])),
    ]  # fmt: skip
    vcf, net = write(tmp_path / "v.vcf", *rows), dense_net(60)
    done = nucleoscope.variants(
        net, genome, vcf, tmp_path / "o", length=60, target=[1, 0], shard_variants=3
    )
    assert done.clean, str(done)
    assert (done.shards, done.done) == (3, 3)
    found = info(tmp_path / "o", "NS_DIFFERENCE_0")
    for row, given in enumerate(rows):
        _, position, _, ref, alts = given.split("\t")
        for number, alt in enumerate(alts.split(",")):
            held = window(int(position), 60, max(len(ref) - len(alt), 0))
            wanted = ask(net, put(held, 30, len(ref), alt)[:60])[1] - ask(net, held[:60])[1]
            assert found[row][number] == pytest.approx(wanted, rel=1e-4, abs=1e-6), given
    table = parquet.read_table(tmp_path / "o/variants.parquet").to_pydict()
    assert table["record"] == [0, 1, 2, 2, 3, 4, 5, 6]
    assert table["alternative"] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert table["position"][:3] == [3, 100, 202]
    assert table["difference_0"][1] == pytest.approx(found[1][0], rel=1e-5)


def spliceai(after: Any, middle: int, ref: int, alt: int) -> Any:
    """SpliceAI's alignment, written as it has it: zeros for what is deleted, the maximum of what is put in."""
    if ref > 1 and alt == 1:
        gap = np.zeros((len(after), ref - alt))
        return np.concatenate([after[:, : middle + alt], gap, after[:, middle + alt :]], 1)
    if ref == 1 and alt > 1:
        top = after[:, middle : middle + alt].max(1, keepdims=True)
        return np.concatenate([after[:, :middle], top, after[:, middle + alt :]], 1)
    return after


def test_gains_and_losses_are_spliceai_s(genome: Path, tmp_path: Path) -> None:
    """Against the whole outputs of both alleles, whose window is the longer or shorter by the allele."""
    net, length, around = Peaks().eval(), 79, 8
    random = np.random.default_rng(0)
    rows = []
    for position in sorted(random.choice(range(150, 450), 24, replace=False)):
        held = CHR1[position - 1]
        kind = random.integers(3)
        if kind == 0:
            rows.append(at(position, 1, other(held)))
        elif kind == 1:  # an insertion that stands where it is: other than its anchor at its end
            rows.append(at(position, 1, held + bases(4, int(position)) + other(held)))
        elif CHR1[position - 1] != CHR1[position + 2]:
            rows.append(at(position, 4, held))
    vcf = write(tmp_path / "v.vcf", *rows)
    done = nucleoscope.variants(
        net, genome, vcf, tmp_path / "o", length=length, target=[1, 2], around=around,
        scores=("gain", "loss", "difference", "log_ratio", "js"),
    )  # fmt: skip
    assert done.clean, str(done)
    table = parquet.read_table(tmp_path / "o/variants.parquet").to_pylist()
    assert len(table) == len(rows) > 15
    assert len({len(row["ref"]) - len(row["alt"]) for row in table}) == 3
    for row in table:
        ref, alt = row["ref"], row["alt"]
        held = window(row["position"], length)
        before, after = ask(net, held), ask(net, put(held, length // 2, len(ref), alt))
        middle = before.shape[1] // 2
        after = spliceai(after, middle, len(ref), len(alt))
        near = slice(middle - around, middle + around + 1)
        for number, track in enumerate((1, 2)):
            b, a = before[track, near], after[track, near]
            assert row[f"gain_{number}"] == pytest.approx((a - b).max(), abs=1e-6)
            assert row[f"loss_{number}"] == pytest.approx((b - a).max(), abs=1e-6)
            assert row[f"gain_at_{number}"] == (a - b).argmax() - around
            assert row[f"loss_at_{number}"] == (b - a).argmax() - around
            assert row[f"difference_{number}"] == pytest.approx((a - b).sum(), abs=1e-5)
            ratio = np.log2((a.sum() + 1) / (b.sum() + 1))
            assert row[f"log_ratio_{number}"] == pytest.approx(ratio, abs=1e-5)
            p, q = a / a.sum(), b / b.sum()
            m = (p + q) / 2
            p, q, m = p + 1e-300, q + 1e-300, m + 1e-300
            js = ((p * np.log2(p / m)).sum() + (q * np.log2(q / m)).sum()) / 2
            assert row[f"js_{number}"] == pytest.approx(js, abs=1e-6)


def test_bins_are_stitched(genome: Path, tmp_path: Path) -> None:
    """Left of the variant from a window that begins where REF's does, right of it from one that ends there."""
    net, length = Bins().eval(), 64
    rows = [
        at(200, 1, other(CHR1[199])), at(210, 1, CHR1[209] + "G" + other(CHR1[209])),
        at(300, 12, CHR1[299] + "T"),
    ]  # fmt: skip
    vcf = write(tmp_path / "v.vcf", *rows)
    done = nucleoscope.variants(
        net, genome, vcf, tmp_path / "o", length=length, bin=4, around=20, target=1
    )
    assert done.clean, str(done)
    for row in parquet.read_table(tmp_path / "o/variants.parquet").to_pylist():
        ref, alt, middle = row["ref"], row["alt"], length // 2
        longer = max(len(ref) - len(alt), 0)
        before = ask(net, window(row["position"], length))[1]
        behind = window(row["position"], length, longer)
        left = ask(net, put(behind, middle, len(ref), alt)[:length])[1]
        ahead = window(row["position"], length, -longer)
        right = ask(net, put(ahead, longer + middle, len(ref), alt)[-length:])[1]
        total = 0.0
        for number in range(16):
            first = 4 * number
            if not (first + 4 > middle - 20 and first <= middle + 20):
                continue
            after = right[number] if first >= middle + len(ref) else left[number]
            if first >= middle + min(len(ref), len(alt)) and first + 4 <= middle + len(ref):
                after = 0.0
            total += after - before[number]
        assert row["difference"] == pytest.approx(total, abs=1e-5)


def test_the_vcf_is_kept_and_valid(genome: Path, tmp_path: Path) -> None:
    text = (
        '##fileformat=VCFv4.2\n##INFO=<ID=AF,Number=A,Type=Float,Description="x">\n'
        '##INFO=<ID=NS_DIFFERENCE,Number=1,Type=Float,Description="of another run">\n'
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">\n'
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tme\n"
        f"1\t100\trs1\t{CHR1[99]}\t{other(CHR1[99])},<DEL>\t7\tPASS\tAF=0.1,0.2;NS_DIFFERENCE=5\tGT\t0/1\n"
        f"1\t120\trs2\t{other(CHR1[119])}\tA\t.\t.\t.\tGT\t1/1\nbroken\n"
    )
    (tmp_path / "v.vcf").write_text(text)
    done = nucleoscope.variants(
        dense_net(60), genome, tmp_path / "v.vcf", tmp_path / "o", length=60, target=0
    )
    assert done.rejects == {"symbolic allele": 1, "REF is not the genome's": 1, "not a VCF line": 1}
    assert not done.clean
    with pysam.VariantFile(str(tmp_path / "o/variants.vcf.gz")) as file:
        first, second = file
        assert first.info["AF"] == pytest.approx((0.1, 0.2))
        assert isinstance(first.info["NS_DIFFERENCE"][0], float)
        assert first.info["NS_DIFFERENCE"][1] is None
        assert first.samples["me"]["GT"] == (0, 1)
        assert (first.id, first.qual, list(first.filter)) == ("rs1", 7, ["PASS"])
        (told,) = [line.value for line in file.header.records if line.key == "nucleoscope"]
    facts = json.loads(told)
    assert facts == folder.Folder(tmp_path / "o").manifest["provenance"]
    names = {
        "method",
        "parameters",
        "scores",
        "model_sha256",
        "genome_sha256",
        "nucleoscope",
        "torch",
    }
    assert names <= set(facts)
    with pysam.VariantFile(str(tmp_path / "o/variants.vcf.gz")) as file:
        second = list(file)[1]
        assert "NS_DIFFERENCE" not in second.info
        assert file.header.contigs["1"].length == len(CHR1)
        assert "model_sha256" in str(file.header)
        assert [record.pos for record in file.fetch("1", 110, 130)] == [120]
    assert {path.name for path in tmp_path.iterdir()} == {"g.fa", "o", "v.vcf"}


def test_unsorted_files_are_annotated_and_have_no_index(genome: Path, tmp_path: Path) -> None:
    vcf = write(tmp_path / "v.vcf", at(300, 1, other(CHR1[299])), at(200, 1, other(CHR1[199])))
    nucleoscope.variants(dense_net(60), genome, vcf, tmp_path / "o", length=60, target=0)
    assert [None not in each for each in info(tmp_path / "o", "NS_DIFFERENCE")] == [True, True]
    assert not (tmp_path / "o/variants.vcf.gz.tbi").exists()


def test_parts_resume_and_merge(genome: Path, tmp_path: Path) -> None:
    """In any order and after any stop the files are those of a run in one go, byte for byte."""
    vcf = write(tmp_path / "v.vcf", *[at(p, 1, other(CHR1[p - 1])) for p in range(100, 160, 7)])
    given: dict[str, Any] = {"length": 60, "target": 0, "shard_variants": 2}
    net = dense_net(60)
    whole = nucleoscope.variants(net, genome, vcf, tmp_path / "w", **given)
    for part in (2, 1):
        nucleoscope.variants(net, genome, vcf, tmp_path / "o", shard=(part, 2), **given)
    assert whole.store is not None
    merged = merge(tmp_path / "o")
    assert merged.clean
    for name in ("variants.vcf.gz", "variants.vcf.gz.tbi", "variants.parquet"):
        assert (tmp_path / "o" / name).read_bytes() == (tmp_path / "w" / name).read_bytes()
    again = nucleoscope.variants(net, genome, vcf, tmp_path / "o", resume=True, **given)
    assert again.clean
    with pytest.raises(ValueError, match=r"asked for something else: .*length was 60, now 80"):
        nucleoscope.variants(
            dense_net(80), genome, vcf, tmp_path / "o", resume=True, **given | {"length": 80}
        )


def test_a_file_of_rejects_only_and_an_empty_one(genome: Path, tmp_path: Path) -> None:
    for name, rows in (("r", ["chr9\t5\t.\tA\tC"]), ("e", [])):
        vcf = write(tmp_path / f"{name}.vcf", *rows)
        done = nucleoscope.variants(
            dense_net(60), genome, vcf, tmp_path / name, length=60, target=0
        )
        assert done.shards == 0
        assert len(info(tmp_path / name, "NS_DIFFERENCE")) == len(rows)
        assert parquet.read_table(tmp_path / name / "variants.parquet").num_rows == 0


def span(bases: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sequences that are shared be as short as this."""
    for module in (variant_runner, laying):
        monkeypatch.setattr(module, "SPAN", bases)


def asked_together(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """How many variants share each sequence, and whether its original is in float64, as they are asked."""
    calls, real = [], strand.profiles

    def counted(*args: Any, double: bool) -> Any:
        calls.append((len(args[3]), double))
        return real(*args, double=double)

    monkeypatch.setattr(strand, "profiles", counted)
    return calls


def test_close_variants_share_a_sequence_and_have_the_same_scores(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the scores of each by itself, at an end of the chromosome too; and a wrong one is withheld."""
    span(120, monkeypatch)
    net = Peaks().eval()
    places = [3, 9, 40, 77, 150, 151, 160, 170, 171, 190, 900, 1002]
    rows = [at(p, 1, other(CHR1[p - 1])) for p in places] + [
        at(400, 2, "".join(map(other, CHR1[399:401]))),
        at(155, 1, CHR1[154] + "GA" + other(CHR1[154])), at(162, 4, CHR1[161]),
        at(910, 1, CHR1[909] + "AC" + other(CHR1[909])),
    ]  # fmt: skip
    vcf = write(tmp_path / "v.vcf", *rows)
    given: dict[str, Any] = {
        "length": 41,
        "target": [1, 2],
        "around": 8,
        "scores": ("gain", "difference"),
    }
    calls = asked_together(monkeypatch)
    assert nucleoscope.variants(net, genome, vcf, tmp_path / "o", **given).clean
    assert calls == [(8, False)]  # the others by two runs of the model
    monkeypatch.setattr(variant_runner.Opened, "_shared", lambda *_: [])
    assert nucleoscope.variants(net, genome, vcf, tmp_path / "w", **given).clean
    shared, alone = (
        parquet.read_table(tmp_path / f"{n}/variants.parquet").to_pydict() for n in "ow"
    )
    assert {len(r) - len(a) for r, a in zip(shared["ref"], shared["alt"], strict=True)} == {
        0,
        3,
        -3,
    }
    for name in shared:
        if name.startswith(("gain", "difference")):
            np.testing.assert_allclose(shared[name], alone[name], rtol=1e-4, atol=2e-6)


def test_a_shared_sequence_that_answers_otherwise_is_withheld(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    span(40, monkeypatch)
    both = strand.Strand._both
    monkeypatch.setattr(strand.Strand, "_both", lambda *a: both(*a) * 1.01)
    vcf = write(tmp_path / "v.vcf", *[at(p, 1, other(CHR1[p - 1])) for p in (100, 105, 110, 120)])
    done = nucleoscope.variants(
        Peaks().eval(),
        genome,
        vcf,
        tmp_path / "o",
        length=41,
        target=1,
        around=8,
        scores="gain",
        retries=0,
    )
    assert "Disagreement: the engine and the model disagree" in done.failed[0]


@pytest.mark.parametrize("verify", [0, 2])
def test_originals_are_in_float64_where_float32_fails_or_nothing_would_tell(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verify: int
) -> None:
    span(40, monkeypatch)
    calls, both = asked_together(monkeypatch), strand.Strand._both

    def rounded(*given: Any) -> Any:
        return both(*given) * (1 if calls[-1][1] else 1.01)

    monkeypatch.setattr(strand.Strand, "_both", rounded)
    vcf = write(tmp_path / "v.vcf", *[at(p, 1, other(CHR1[p - 1])) for p in (100, 105, 110, 120)])
    given: dict[str, Any] = {"length": 41, "target": 1, "around": 8, "scores": "gain", "retries": 0}
    out = tmp_path / "o"
    assert nucleoscope.variants(Peaks().eval(), genome, vcf, out, verify=verify, **given).clean
    assert calls == ([(4, False)] if verify else []) + [(4, True)]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scores": ("sum",)}, "name some of"),
        ({"scores": ()}, "name some of"),
        ({"scores": ("gain", "gain"), "around": 3}, "name each once"),
        ({"scores": "gain"}, "give around="),
        ({"around": -1}, "may be negative"),
        ({"colour": 3}, "takes no colour; of variant_effect it takes alphabet"),
        ({"X": 3}, "takes no X"),
        ({"length": 0}, "1 or more"),
        ({"around": 3}, "must name all but the axis of positions"),
        ({"around": 3, "func": torch.sum}, "give one of both"),
        ({"shard": (0, 2)}, "1 <= i <= n"),
        ({"around": 3, "scores": "gene"}, "give both, or neither"),
        ({"reverse_target": 1}, "no other strand"),
        ({"reverse_complement": True, "reverse_target": [1, 0]}, "it names 2 targets, target 1"),
    ],
)
def test_arguments_that_cannot_be_meant(
    genome: Path, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    vcf = write(tmp_path / "v.vcf", at(300, 1, other(CHR1[299])))
    given = {"length": 60, "target": 0} | changed
    with pytest.raises((ValueError, TypeError), match=message):
        nucleoscope.variants(dense_net(60), genome, vcf, tmp_path / "o", **given)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"around": 31}, "covers 30 bases either side"),
        ({"around": 3, "bin": 2}, "more than a window's 79"),
        ({"around": 3, "target": None}, "must name all but"),
        ({"around": 3, "target": [1, (1, slice(0, 9))]}, "unlike numbers of positions"),
    ],
)
def test_positions_that_are_not_there(
    genome: Path, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    vcf = write(tmp_path / "v.vcf", at(300, 1, other(CHR1[299])))
    given = {"length": 79, "target": 0} | changed
    with pytest.raises(ValueError, match=message):
        nucleoscope.variants(Peaks().eval(), genome, vcf, tmp_path / "o", **given)


def test_negative_outputs_have_no_ratio_and_no_profile(genome: Path, tmp_path: Path) -> None:
    vcf = write(tmp_path / "v.vcf", at(300, 1, other(CHR1[299])))
    net = nn.Sequential(nn.Conv1d(4, 2, 3), nn.Tanh()).eval()
    for score, why in (("log_ratio", "not negative"), ("js", "logits=True")):
        done = nucleoscope.variants(
            net, genome, vcf, tmp_path / score, length=21, target=0, around=5, scores=score,
            pseudocount=0,
        )  # fmt: skip
        assert done.rejects == {"negative output": 1}
        assert why in (tmp_path / score / "rejects.tsv").read_text()
    done = nucleoscope.variants(
        net, genome, vcf, tmp_path / "o", length=21, target=0, around=5, scores="js", logits=True
    )
    assert done.clean


@pytest.mark.parametrize("bases_shared", [120, 1 << 15])
def test_models_and_strands_are_averaged_before_anything_is_scored(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bases_shared: int
) -> None:
    span(bases_shared, monkeypatch)
    nets, length, around = [Peaks().eval(), Peaks().eval()], 41, 8
    with torch.no_grad():
        for weight in nets[1].parameters():
            weight *= 1.3
    rows = [at(p, 1, other(CHR1[p - 1])) for p in (150, 160, 166, 170, 171, 180, 190)]
    rows += [
        at(200, 2, "".join(map(other, CHR1[199:201]))), at(210, 4, CHR1[209]),
        at(220, 1, CHR1[219] + "GA" + other(CHR1[219])),
    ]  # fmt: skip
    done = nucleoscope.variants(
        nets, genome, write(tmp_path / "v.vcf", *rows), tmp_path / "o", length=length, around=around,
        target=[1, 2], scores=("difference", "gain"), reverse_complement=True, reverse_target=[2, 1],
    )  # fmt: skip
    assert done.clean, str(done)

    def mean(sequence: str) -> Any:
        """Of both models and strands, [2, P]."""
        turned = sequence.translate(str.maketrans("ACGT", "TGCA"))[::-1]
        made = [ask(net, sequence)[[1, 2]] for net in nets]
        return (sum(made) + sum(ask(net, turned)[[2, 1], ::-1] for net in nets)) / 4

    table = parquet.read_table(tmp_path / "o/variants.parquet").to_pylist()
    assert len(table) == len(rows)
    for row in table:
        ref, alt = row["ref"], row["alt"]
        held = window(row["position"], length, max(len(ref) - len(alt), 0))
        before, after = mean(held[:length]), mean(put(held, length // 2, len(ref), alt)[:length])
        middle = before.shape[1] // 2
        near = slice(middle - around, middle + around + 1)
        change = spliceai(after, middle, len(ref), len(alt))[:, near] - before[:, near]
        for at_, own in enumerate(change):
            assert row[f"difference_{at_}"] == pytest.approx(own.sum(), abs=1e-5)
            assert row[f"gain_{at_}"] == pytest.approx(own.max(), abs=1e-6)


def test_the_gene_that_changes_most(genome: Path, tmp_path: Path) -> None:
    """Positions that hold a base of an exon, by bins; another naming; none where no gene lies."""
    exons = tmp_path / "exons.bed"
    exons.write_text(
        "# exons\n1\t185\t190\tONE\n1\t207\t208\tONE\nchr1\t201\t215\tTWO\nchr1\t700\t720\tFAR\n"
    )
    net, length = Bins().eval(), 64
    rows = [
        at(200, 1, other(CHR1[199])), at(205, 1, CHR1[204] + "GG" + other(CHR1[204])),
        at(212, 7, CHR1[211]), at(400, 1, other(CHR1[399])),
    ]  # fmt: skip
    vcf = write(tmp_path / "v.vcf", *rows)
    given: dict[str, Any] = {
        "length": length, "bin": 4, "around": 4, "target": 1, "scores": ("gene", "difference"),
        "genes": exons,
    }  # fmt: skip
    done = nucleoscope.variants(net, genome, vcf, tmp_path / "o", **given)
    assert done.clean, str(done)
    table = parquet.read_table(tmp_path / "o/variants.parquet").to_pylist()
    assert table[3]["gene"] is None
    assert table[3]["gene_name"] is None
    genes = {"ONE": [(185, 190), (207, 208)], "TWO": [(201, 215)]}
    for row in table[:3]:
        ref, alt, middle = row["ref"], row["alt"], length // 2
        longer = max(len(ref) - len(alt), 0)
        before = ask(net, window(row["position"], length))[1]
        behind, ahead = (window(row["position"], length, m) for m in (longer, -longer))
        left = ask(net, put(behind, middle, len(ref), alt)[:length])[1]
        right = ask(net, put(ahead, longer + middle, len(ref), alt)[-length:])[1]
        firsts = 4 * np.arange(16)
        after = np.where(firsts >= middle + len(ref), right, left)
        gone = (firsts >= middle + min(len(ref), len(alt))) & (firsts + 4 <= middle + len(ref))
        after[gone] = 0
        begin = row["position"] - 1 - middle
        ratios = {}
        for name, own in genes.items():
            mask = np.zeros(16, bool)
            for start, end in own:
                mask |= (firsts + begin < end) & (firsts + begin + 4 > start)
            ratios[name] = np.log2((after[mask].sum() + 1) / (before[mask].sum() + 1))
        best = max(ratios, key=lambda name: abs(ratios[name]))
        assert row["gene_name"] == best
        assert row["gene"] == pytest.approx(ratios[best], abs=1e-5)
    assert info(tmp_path / "o", "NS_GENE_NAME")[0] == (table[0]["gene_name"],)
    assert info(tmp_path / "o", "NS_GENE")[3] == (None,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t5\t9\n", "line 1 is no exon"),
        ("chr1\t9\t9\tA\n", "line 1 is no exon"),
        ("# none\n", "holds no exons"),
        ("chr1\t5\t9\tA;B\n", "cannot stand in a VCF"),
    ],
)
def test_files_that_hold_no_exons(genome: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "g.bed").write_text(text)
    vcf = write(tmp_path / "v.vcf", at(300, 1, other(CHR1[299])))
    with pytest.raises(ValueError, match=message):
        nucleoscope.variants(
            Bins().eval(), genome, vcf, tmp_path / "o", length=64, bin=4, around=4, target=1, scores="gene",
            genes=tmp_path / "g.bed",
        )  # fmt: skip


def test_what_variants_would_take(genome: Path, tmp_path: Path) -> None:
    """By a probe, and nothing is written; a file of rejects only takes nothing."""
    rows = [at(p, 1, other(CHR1[p - 1])) for p in range(100, 140, 4)]
    vcf = write(tmp_path / "v.vcf", *rows, "chr9\t5\t.\tA\tC")
    found = estimate_variants(dense_net(60), genome, vcf, length=60, target=0, shard_variants=4)
    assert (found.bases, found.shards, found.unit) == (10, 3, "alleles")
    assert 0 < found.seconds < 60
    assert "10 alleles in 3 shards" in str(found)
    assert "Left out: 1 no such chromosome" in str(found)
    none = write(tmp_path / "n.vcf", "chr9\t5\t.\tA\tC")
    assert estimate_variants(dense_net(60), genome, none, length=60, target=0).seconds == 0
    assert {p.name for p in tmp_path.iterdir()} == {"g.fa", "v.vcf", "n.vcf"}


def test_a_full_disk_and_a_damaged_file_lose_nothing(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at a checkpoint, and then at the end; a VCF that is cut short is told before anything."""
    rows = [at(p, 1, other(CHR1[p - 1])) for p in range(100, 140, 4)]
    vcf = write(tmp_path / "v.vcf", *rows)
    given: dict[str, Any] = {"length": 60, "target": 0, "shard_variants": 2}
    net, savez, saved = dense_net(60), np.savez, [0]

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def later(file: Any, **arrays: Any) -> None:
        saved[0] += 1
        return full() if saved[0] > 2 else savez(file, **arrays)

    monkeypatch.setattr(np, "savez", later)
    with pytest.raises(OSError, match="No space left"):
        nucleoscope.variants(net, genome, vcf, tmp_path / "o", **given)
    assert len(list((tmp_path / "o/shards").glob("*.npz"))) == 2
    monkeypatch.undo()
    monkeypatch.setattr(pysam, "tabix_index", full)
    with pytest.raises(OSError, match="No space left"):
        nucleoscope.variants(net, genome, vcf, tmp_path / "o", resume=True, **given)
    monkeypatch.undo()
    assert nucleoscope.variants(net, genome, vcf, tmp_path / "o", resume=True, **given).clean
    whole = nucleoscope.variants(net, genome, vcf, tmp_path / "w", **given)
    assert whole.store is not None
    for name in ("variants.vcf.gz", "variants.parquet"):
        assert (tmp_path / "o" / name).read_bytes() == (tmp_path / "w" / name).read_bytes()
    cut = tmp_path / "c.vcf.gz"
    cut.write_bytes(whole.store.read_bytes()[:-40])
    with pytest.raises(ValueError, match="cut short"):
        nucleoscope.variants(net, genome, cut, tmp_path / "c", **given)


class Slots(nn.Module):
    """Says where in its batch a sequence lies."""

    def __init__(self) -> None:
        super().__init__()
        self.net = dense_net(60)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.net(x) + torch.arange(len(x))[:, None]
        return out


class OneOnly(Slots):
    """Takes one sequence at a time."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.net(x).reshape(1, 2)
        return out


def runs(net: nn.Module, genome: Path, tmp_path: Path, **given: Any) -> strand.Strand:
    """A strand of a job whose alleles go by runs of the model."""
    job = variant_job.VariantJob(
        [net], genome, tmp_path, {"target": 1, **given}, scoring=None,  # type: ignore[arg-type]
        lay=variant_job.Lay(60, 0, 1), shape=(), spare=None, mirrored=False, reverse_target=None,
        genes=None, threads=1,
    )  # fmt: skip
    return strand.Strand(job, None, net, False)  # type: ignore[arg-type]


def test_runs_of_the_model_are_checked_and_in_the_number_type_asked_for(
    genome: Path, tmp_path: Path
) -> None:
    windows = [CHR1[:60], CHR1[100:160], CHR1[200:260]]
    with pytest.raises(ValueError, match="depends on the batch"):
        list(runs(Slots().eval(), genome, tmp_path).answers(windows))
    with pytest.raises(ValueError, match="eval"):
        list(runs(Peaks().train(), genome, tmp_path).answers(windows))
    double = copy.deepcopy(dense_net(60)).double()
    wanted = [double(one_hot([w]).double())[0, 1].item() for w in windows]
    for net in (dense_net(60), OneOnly().eval()):
        found = np.concatenate(list(runs(net, genome, tmp_path, precision="fp64").answers(windows)))
        np.testing.assert_allclose(found[:, 0], wanted, rtol=1e-12)


class Wide(Peaks):
    """As long as the sequence: near its ends it sees where that ends."""

    def __init__(self) -> None:
        super().__init__()
        for conv in self.net:
            if isinstance(conv, nn.Conv1d):
                conv.padding = (conv.dilation[0] * (conv.kernel_size[0] // 2),)
        self.eval()


def test_long_insertions_and_unknown_bases_do_not_share(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind 10 bases more, what is looked at reads beyond its window's end."""
    span(120, monkeypatch)
    rows = [at(p, 1, other(CHR1[p - 1])) for p in (140, 145, 150, 160, 165, 170, 175, 180)]
    rows.append(at(155, 1, CHR1[154] + "GATTACAGA" + other(CHR1[154])))
    vcf = write(tmp_path / "v.vcf", *rows)
    given: dict[str, Any] = {"length": 41, "target": 1, "around": 8, "scores": "difference"}
    done = nucleoscope.variants(Wide(), genome, vcf, tmp_path / "o", **given)
    assert done.clean, str(done)
    (found,) = info(tmp_path / "o", "NS_DIFFERENCE")[-1]
    held = window(155, 41)
    before, after = ask(Wide(), held), ask(Wide(), put(held, 20, 1, rows[-1].split("\t")[4])[:41])
    wanted = (spliceai(after, 20, 1, 11)[1, 12:29] - before[1, 12:29]).sum()
    assert found == pytest.approx(wanted, abs=1e-5)
    job = replace(runs(Wide(), genome, tmp_path).job, spare=3)
    for ref, alt, may in [("A", "AGAT", True), ("A", "AGATT", False), ("N", "NG", False)]:
        assert job.shareable(Allele(0, 0, "chr1", 9, ref, alt)) is may


def test_places_in_the_vcf_count_from_its_own_pos(genome: Path, tmp_path: Path) -> None:
    """One deletion, in normal form and with 3 bases before it that stay."""
    near = CHR1[296:304]
    rows = [at(300, 3, CHR1[299]), at(297, 6, near[:4])]
    given: dict[str, Any] = {"length": 61, "target": 1, "around": 8, "scores": "gain"}
    places = []
    for number, row in enumerate(rows):
        vcf = write(tmp_path / f"{number}.vcf", row)
        assert nucleoscope.variants(
            Peaks().eval(), genome, vcf, tmp_path / f"{number}", **given
        ).clean
        places.append(int(row.split("\t")[1]) + info(tmp_path / f"{number}", "NS_GAIN_AT")[0][0])
    assert places[0] == places[1]


def test_long_chromosomes_have_an_index_of_their_own_kind(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotate, "TABIX", 1000)
    vcf = write(tmp_path / "v.vcf", at(200, 1, other(CHR1[199])), at(300, 1, other(CHR1[299])))
    nucleoscope.variants(dense_net(60), genome, vcf, tmp_path / "o", length=60, target=0)
    assert not (tmp_path / "o/variants.vcf.gz.tbi").exists()
    index = str(tmp_path / "o/variants.vcf.gz.csi")
    with pysam.VariantFile(str(tmp_path / "o/variants.vcf.gz"), index_filename=index) as file:
        assert [record.pos for record in file.fetch("chr1", 250, 350)] == [300]


def test_a_variant_without_a_score_is_not_drawn(tmp_path: Path) -> None:
    """One that lies in no gene has none."""
    table = tmp_path / "variants.parquet"
    columns = {
        "chromosome": ["1", "1"], "position": [5, 7], "id": [".", "."], "ref": ["A", "C"], "alt": ["C", "G"],
        "line": [1, 2], "gene": [None, 0.5],
    }  # fmt: skip
    parquet.write_table(pyarrow.table(columns), table)
    assert list(variants_in(table, Region("chr1", 0, 10, ""), "gene")) == [(6, "C>G", 0.5)]


def test_a_model_in_training_mode_is_left_as_it_is(genome: Path, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv1d(4, 3, 3, padding=1), nn.BatchNorm1d(3))
    before = copy.deepcopy(net.state_dict())
    vcf = write(tmp_path / "v.vcf", at(100, 1, other(CHR1[99])))
    with pytest.raises(ValueError, match="it is in training mode"):
        nucleoscope.variants(
            net, genome, vcf, tmp_path / "o", length=41, target=1, around=3, scores="gain"
        )
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
