"""`variants`: what each variant of a VCF does to a model's output, into a folder that survives its process."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from nucleoscope.alphabet import with_alphabet
from nucleoscope.scan.genome.genes import Genes
from nucleoscope.scan.genome.genome import digest, open_genome
from nucleoscope.scan.provenance import compare, models_of, of_call, versions
from nucleoscope.scan.request import MEMORY
from nucleoscope.scan.run import How, Scan, carried_out, threads_of
from nucleoscope.scan.shards.folder import Folder
from nucleoscope.scan.shards.shipping import listed
from nucleoscope.scan.variants.job import VariantJob
from nucleoscope.scan.variants.laying import lay_of, longest, spare
from nucleoscope.scan.variants.scores import Scoring
from nucleoscope.scan.variants.vcf import VariantSieve, header, other_sizes

FIXED = {"model", "X", "sequence", "position", "ref", "alt", "args", "left", "progress"}


def variants(
    model: nn.Module | Sequence[nn.Module],
    genome: Path | str,
    vcf: Path | str,
    out: Path | str,
    *,
    length: int,
    scores: Sequence[str] = ("difference",),
    around: int | None = None,
    bin: int = 1,
    pseudocount: float = 1.0,
    logits: bool = False,
    genes: Path | str | None = None,
    reverse_complement: bool = False,
    reverse_target: Any = None,
    resume: bool = False,
    shard: tuple[int, int] = (1, 1),
    workers: int = 1,
    dask: bool | str = False,
    threads: int | None = None,
    shard_variants: int = 512,
    retries: int = 2,
    progress: str = "none",
    note: Callable[[str], None] = lambda _: None,
    **parameters: Any,
) -> Scan:
    """Scores of all alleles of a VCF, written back into it and as a table, in a folder that can be resumed.

    The folder holds `variants.vcf.gz`, the VCF given with the scores as INFO fields (`NS_DIFFERENCE`, one
    number an ALT; with several targets `NS_DIFFERENCE_0`, ...) and its index where it is sorted,
    `variants.parquet`, a row an allele, and `rejects.tsv`. Every allele is checked against the genome, trimmed
    and left-aligned, and stands with its first base in the middle of a window of `length` bases (index
    ``length // 2``), N beyond the chromosome's ends. Alleles of one length (SNV, MNV) go through the engine as
    deltas, many sites a call; insertions and deletions shift what follows and take two runs of the model. With
    `around`, and a model that goes position by position at any length, alleles that lie close share one original.

    Parameters
    ----------
    model, genome, out, resume, shard, workers, dask, threads, retries, progress, note
        As in `scan`. Of a list of models the outputs' mean is scored.
    vcf
        VCF, plain, gzipped or bgzipped, or BCF. Symbolic alleles, REF that is not the genome's, missing
        chromosomes, duplicates and lines that cannot be read are counted in `rejects.tsv`; the rest goes on.
    length
        Bases of a window: what the model takes.
    scores
        ``"difference"``: ALT less REF. ``"log_ratio"``: log2((ALT + c) / (REF + c)), c the `pseudocount`.
        With `around`, both of the output's sum over these positions (a centre mask), and also: ``"gain"`` and
        ``"loss"``, the largest increase and decrease at a position, with how many bases from the variant it
        begins (SpliceAI's delta scores and positions); ``"js"``, the Jensen-Shannon divergence of the two
        profiles in bits (a profile is the output over its sum, or with `logits` its softmax); ``"gene"``, log2
        of ALT over REF of the output's sum over the positions that hold a base of a gene's exons, of that of
        the `genes` whose changes most, and its name. It takes two runs of the model a variant.
    around
        Look at the output's positions that hold a base within so many of the variant's first. A target must then
        name all but the axis of positions: ``1`` where the output is [3, P]. None: the target is one number.
    bin
        Bases of one position of the output, whose P positions lie in the middle of the window.
    genes
        For ``"gene"``: exons as BED, a line each, the gene's name in the fourth column.
    reverse_complement, reverse_target
        The mean of the outputs of both strands; `reverse_target` is what `target` is on the other one, where
        that names strands.
    shard_variants
        How many alleles are a shard: what a killed process loses at most.
    parameters
        What `variant_effect` takes besides: target, func, layout, alphabet, precision, memory, verify, device.

    Insertions and deletions are aligned as SpliceAI does (`bin` 1: deleted positions are zero in ALT, inserted
    ones count as one with their anchor, by their maximum) or as Borzoi does (`bin` above 1: what lies left of
    the variant is read off a window that begins where REF's does, what lies right off one that ends there).

    Returns
    -------
    Scan
        What is done, failed and rejected; ``clean`` if all is well.

    Raises ValueError and TypeError for arguments that cannot be meant, InUse where another process writes
    into the folder, OSError where it cannot be written. What is done by then is kept.

    Equivalent to::

        for chromosome, position, ref, alt in vcf:
            x = genome[chromosome][position - length // 2 :][:length]
            score(model(one_hot(x)), model(one_hot(x[: length // 2] + alt + x[length // 2 + len(ref) :])))
    """
    given = locals()
    how = How(resume, shard, workers, dask, retries, progress, "variants")
    names = set(inspect.signature(request_of).parameters) - {"parameters"}
    request = request_of(
        **{name: value for name, value in given.items() if name in names}, **parameters
    )
    return carried_out(Folder(Path(out)), lambda folder: prepare(request, folder, note), how)


def request_of(
    model: Any, genome: Path | str, vcf: Path | str, *, length: int, scores: Sequence[str] = ("difference",),
    around: int | None = None, bin: int = 1, pseudocount: float = 1.0, logits: bool = False,
    genes: Path | str | None = None, reverse_complement: bool = False, reverse_target: Any = None,
    workers: int = 1, dask: bool | str = False, threads: int | None = None, shard_variants: int = 512,
    **parameters: Any,
) -> Request:  # fmt: skip
    """What of the arguments of `variants` decides its scores."""
    named = (scores,) if isinstance(scores, str) else tuple(scores)
    return Request(
        model, Path(genome), Path(vcf), length, bin, Scoring(named, around, float(pseudocount), logits),
        None if genes is None else Path(genes), reverse_complement, reverse_target,
        threads or threads_of(workers, dask), shard_variants, parameters,
    )  # fmt: skip


@dataclass(frozen=True)
class Request:
    """The arguments of `variants` that decide its scores."""

    model: nn.Module | Sequence[nn.Module]
    genome: Path
    vcf: Path
    length: int
    bin: int
    scoring: Scoring
    genes: Path | None
    reverse_complement: bool
    reverse_target: Any
    threads: int
    shard_variants: int
    parameters: Mapping[str, Any]

    def check(self) -> None:
        """Raise ValueError or TypeError for what cannot be meant together."""
        import nucleoscope

        self.scoring.check()
        known = set(inspect.signature(nucleoscope.variant_effect).parameters) - FIXED
        if "trunk" in self.parameters:
            raise TypeError(
                "variants takes no trunk: alleles are few to a window, and are scored exactly. Leave trunk out; "
                "scan(trunk='linear') screens every base"
            )
        unknown = sorted(set(self.parameters) - known)
        if unknown:
            raise TypeError(
                f"variants takes no {', '.join(unknown)}; of variant_effect it takes {', '.join(sorted(known))}"
            )
        if min(self.length, self.bin, self.shard_variants, self.threads) < 1:
            raise ValueError("length, bin, shard_variants and threads: 1 or more")
        if self.scoring.around is not None and self.parameters.get("func") is not None:
            raise ValueError(
                "around: looks at the output's positions, which func may have none of; give one of both"
            )

        if ("gene" in self.scoring.scores) != (self.genes is not None):
            raise ValueError("genes: exons for the score gene; give both, or neither")
        if self.reverse_target is not None and not self.reverse_complement:
            raise ValueError(
                "reverse_target: there is no other strand without reverse_complement=True"
            )
        if self.reverse_target is not None:
            sides = [
                t if isinstance(t, list) else [t]
                for t in (self.parameters.get("target"), self.reverse_target)
            ]
            if len(sides[0]) != len(sides[1]):
                raise ValueError(
                    f"reverse_target: it names {len(sides[1])} targets, target {len(sides[0])}"
                )

    def given(self) -> dict[str, Any]:
        """The method's parameters, with what a scan fixes."""
        return {"memory": MEMORY, **with_alphabet(self.model, self.parameters)}

    def asked(self) -> dict[str, Any]:
        """What a folder that is gone on with must have been asked."""
        return {
            "method": "variant_effect",
            **of_call(self.model, self.genome, self.given()),
            "variants": self.vcf.name,
            "variants_sha256": digest(self.vcf),
            "length": self.length,
            "bin": self.bin,
            "scores": ", ".join(self.scoring.scores),
            "around": self.scoring.around,
            "pseudocount": self.scoring.pseudocount,
            "logits": self.scoring.logits,
            "genes_sha256": None if self.genes is None else digest(self.genes),
            "reverse_complement": self.reverse_complement,
            "reverse_target": None if self.reverse_target is None else repr(self.reverse_target),
            "shard_variants": self.shard_variants,
        }  # fmt: skip


def prepare(request: Request, folder: Folder, note: Callable[[str], None]) -> VariantJob:
    """The job, and the folder's manifest for it: a new one, or one that asks for the very same."""
    request.check()
    shape, lay = lay_of(request)
    targets = request.given().get("target")
    genes = None if request.genes is None else Genes.read(request.genes)
    with open_genome(request.genome, folder.scratch, note, beside=False) as genome:
        asked = request.asked()
        if folder.manifest_file.exists():
            compare(folder.manifest["asked"], asked)
        else:
            sieve = VariantSieve(genome, longest(request, lay))
            unlike = other_sizes(header(request.vcf), genome)
            if unlike:
                name, there, here = unlike[0]
                note(
                    f"the header of {request.vcf.name} gives {name} {there:,} bases and {request.genome.name} has "
                    f"{here:,}: of another assembly? ({len(unlike)} such)"
                )
            columns = [vars(column) for column in request.scoring.columns()]
            facts = {
                "asked": asked, "coordinates": "variants", "vcf": str(request.vcf.resolve()),
                "columns": columns, "genes": list(genes.names) if genes else [],
                "targets": len(targets) if isinstance(targets, list) else None,
                "sizes": dict(genome.sizes), "threads": request.threads,
                "provenance": {**asked, "models": models_of(request.model), **versions()},
            }  # fmt: skip
            folder.prepare(sieve.items(request.vcf), request.shard_variants, facts)
    return VariantJob(
        listed(request.model), request.genome, folder.scratch, request.given(), request.scoring, lay, shape,
        None if genes else spare(request, lay), request.reverse_complement, request.reverse_target, genes,
        folder.manifest["threads"],
    )  # fmt: skip
