"""What docs/scan_example.md says, from what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.scan_variants import LENGTH

PAGE = Path(__file__).parents[1] / "docs" / "scan_example.md"
PICTURES = PAGE.with_suffix("")  # a folder
NEAR = 50  # bases from a variant at which CI-SpliceAI's outputs are looked at
NAMES = {
    "chr22": "GRCh37 chr22, 20-21 Mb", "yeast": "yeast, chromosome I", "ecoli": "E. coli MG1655",
}  # fmt: skip
HEAD = """# A worked example

Made by `python -m benchmarks.scan_example`, which calls from Python what these commands do:

```bash
cat > sites.py <<'END'
from torch import nn
from nucleoscope.models import SpliceNet

def net():  # the probabilities of neither, acceptor and donor at every base
    return nn.Sequential(SpliceNet.pretrained(), nn.Softmax(1))
END
model="--model sites:net --genome chr22.fa"
nucleoscope scan $model --target 2 --out chr22 --bigwig
nucleoscope variants $model --vcf dbsnp.vcf --target 1 --target 2 --length 401 --around 100 \\
    --score gain --score loss --out scored
nucleoscope view chr22 --genome chr22.fa --region chr22_20M:700001-704000 --variants scored --out page.html
```

The model is the one that the demo explains, which sees 201 bases and learnt human splice sites. A score is what
the letter that is there does to the number of donors that the model expects (its probabilities, summed), against
the mean of all four. Seconds are those of one core on a machine others used, with the first call, which traces
the model (about 10 s); peaks are those of the process.

Of each genome as many bases were scanned as the table says; of chr22 a tenth is unknown (N at
20,509,432-20,609,431, bases 509,432-609,431 of the stretch) and has no score. `--bases` is an option of the
benchmark alone: the first so many of each.

| genome | known bases scanned, of | s | bases a s | bigWig, MB | peak, MB | of the 100 strongest sites at a GT |
|---|---:|---:|---:|---:|---:|---:|"""


def page(held: dict[str, Any]) -> str:
    """The page, from what was measured."""
    lines = [HEAD]
    for key, told in NAMES.items():
        if row := held["steps"].get(key):
            peak_mb, at_gt = row["peak bytes"] / 1e6, row["strongest at a GT"]
            begun = f", from base {row['first']:,} on" if row["first"] > 1 else ""
            lines.append(
                f"| {told}{begun} | {row['bases']:,}, {row['of']:,} | {row['seconds']:,.0f} | "
                f"{row['bases a second']:,.0f} | {row['bigWig bytes'] / 1e6:.1f} | {peak_mb:,.0f} | {at_gt:.0%} |"
            )
    if row := held["steps"].get("variants"):
        lines += [
            "",
            f"dbSNP's variants of chr22: {row['variants']:,} alleles, {row['of unlike lengths']} of unlike "
            f"lengths, in {row['seconds']:,.0f} s. Left out: "
            + (", ".join(f"{n} {why}" for why, n in row["left out"].items()) or "none")
            + ". Most of a donor is lost at:",
            "",
            *(f"- chr22:{one}" for one in row["most of a donor lost"]),
        ]
    if row := held["steps"].get("ci_spliceai"):
        lost = [f"- chr22:{one}" for one in row["most of a donor lost"]] if row["over 0.2"] else []
        lines += ["", by_ci_splice_ai(row), *([""] * bool(lost)), *lost]
    told = {
        **NAMES,
        "variants": "the first of these variants: the donor's letters without it and with it",
    }
    for key, words in told.items():
        if key in held["steps"]:
            lines += ["", f"![{words}]({PICTURES.name}/{key}.png)"]
    lines += ["", *(f"- `{row['command']}`" for row in held["steps"].values())]
    lines += ["", f"{held['processor']}, torch {held['torch']}, Python {held['python']}."]
    return "\n".join(lines) + "\n"


def by_ci_splice_ai(row: dict[str, Any]) -> str:
    """What the same variants are by CI-SpliceAI's networks."""
    ranks = row["Spearman with the shipped model"]
    return (
        f"{row['variants']:,} of them by CI-SpliceAI (the mean of its five networks, {LENGTH:,} bases a variant, "
        f"within {NEAR} of it): {row['seconds']:,.0f} s with the first calls, up to {row['peak bytes'] / 1e9:.1f} "
        f"GB; the strongest are held to two passes of the networks. {row['over 0.2'] or 'None'} take away 0.2 or "
        f"more of an acceptor or donor; Spearman's correlation of the larger of both losses with the shipped "
        f"model's is {ranks:.2f}." + " Of donors alone most is lost at:" * (row["over 0.2"] > 0)
    )
