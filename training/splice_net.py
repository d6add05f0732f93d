r"""Distil CI-SpliceAI into SpliceNet, the small net that `nucleoscope demo` explains.

    pip download --no-deps cispliceai==1.2.2
    apt-get download hisat2 && dpkg-deb -x hisat2_*.deb .
    python training/splice_net.py cispliceai-1.2.2-py3-none-any.whl \
        usr/share/doc/hisat2/examples/reference/22_20-21M.fa [more.fa ...]

The first FASTA must be GRCh37 chr22:20,000,001-21,000,000. Its stretch `DEMO` becomes the demo's
sequence: neither it nor the `MARGIN` beside it is trained on, and the figures printed at the end
are measured on it. Further human sequences (one record a file, not chr22:20-21 Mb) add to the
training set; the shipped weights also saw the first megabase of GRCh38 chr1.
"""

# ruff: noqa: T201 (a script prints)

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import ci_spliceai
import demo_data
import mutations
import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn import functional

from nucleoscope.models.splice_net import SpliceNet

ORIGIN = 20_000_000  # GRCh37 chr22 position of the first FASTA's first base, counted from 0
DEMO = slice(4_480, 4_480 + 131_072)
MARGIN = 5_000
KINDS = {"acceptor": mutations.ACCEPTOR, "donor": mutations.DONOR}

COPIES = 2  # mutated copies of every strand
CROP, EDGE = 600, 100  # the outer EDGE bases of a crop give context, not loss
# Crops a batch, and the share around sites. Few around real sites: there are only some seven
# hundred, and seen often they are learnt by heart.
REAL, REAL_AROUND_SITES = 10, 0.2
COPIED, COPIED_AROUND_SITES = 22, 0.5
DROPOUT = 0.1
SETTLING_STEPS = 200  # batches without dropout that set the final batch statistics
SITE_WEIGHT = 2.0  # a certain site counts 1 + this many times as much as a certain non-site
PEAK_RATE, WEIGHT_DECAY = 5e-3, 2e-2

Strands = list[tuple[np.ndarray, np.ndarray]]  # base codes (L,), teacher's probabilities (3, L)


def labelled_strands(
    teachers: list[ci_spliceai.Teacher], fastas: list[np.ndarray], rng: np.random.Generator
) -> tuple[Strands, Strands]:
    """(real strands, mutated copies) outside the demo's stretch, with the teacher's labels."""
    training = [fastas[0][: max(DEMO.start - MARGIN, 0)], fastas[0][DEMO.stop + MARGIN :]]
    stretches = [run for codes in training + fastas[1:] for run in mutations.known_stretches(codes)]
    strands = [strand for run in stretches for strand in (run, mutations.reverse_complement(run))]
    real = [(strand, ci_spliceai.label(teachers, strand)) for strand in strands]
    exon_halves = mutations.halves(*map(list, zip(*real, strict=True)), rng)
    print(f"sites to learn from: {len(exon_halves[0])} acceptors, {len(exon_halves[1])} donors")
    copies = [
        mutations.mutated_copy(strand, label, exon_halves, rng)
        for strand, label in real
        for _ in range(COPIES)
    ]
    return real, [(copy, ci_spliceai.label(teachers, copy)) for copy in copies]


class Crops:
    """Random crops of some strands, a share of them around a site."""

    def __init__(self, strands: Strands, around_sites: float, rng: np.random.Generator) -> None:
        self.around_sites = around_sites
        self.codes = np.concatenate([codes for codes, _ in strands])
        self.labels = np.concatenate([labels for _, labels in strands], axis=1)
        self.sites = np.flatnonzero(self.labels[1:].max(axis=0) > 0.1)
        self.rng = rng

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """One-hot (count, 4, CROP) and the teacher's probabilities (count, 3, CROP)."""
        last = len(self.codes) - CROP
        around = self.rng.choice(self.sites, round(count * self.around_sites))
        anywhere = self.rng.integers(0, last, count - len(around))
        around = around - self.rng.integers(EDGE, CROP - EDGE, len(around))
        starts = np.concatenate([anywhere, around.clip(0, last)])
        index = starts[:, None] + np.arange(CROP)  # (count, CROP)
        soft = torch.from_numpy(self.labels[:, index].astype(np.float32))
        return one_hot(self.codes[index]), soft.transpose(0, 1)


def one_hot(codes: np.ndarray) -> Tensor:
    """Base codes (N, L) -> (N, 4, L)."""
    return torch.from_numpy(np.eye(5, 4, dtype=np.float32)[codes]).transpose(1, 2)


def training_logits(net: SpliceNet, x: Tensor, dropout: float) -> Tensor:
    """What `net(x)` computes in training mode, (N, 4, L) -> (N, 3, L), with dropout, in less time.

    torch has channels-last kernels for two-dimensional convolutions only; over one row they do
    the same in 60 % of the time.
    """
    hidden = x[:, :, None].contiguous(memory_format=torch.channels_last)
    for layer, (conv, norm) in enumerate(zip(net.convs, net.norms, strict=True)):
        weight = conv.weight[:, :, None].contiguous(memory_format=torch.channels_last)
        inner = functional.conv2d(
            hidden, weight, padding=(0, *conv.padding), dilation=(1, *conv.dilation)
        )
        inner = functional.relu(
            functional.batch_norm(
                inner, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=True
            )
        )
        inner = functional.dropout(inner, dropout)
        hidden = hidden + inner if layer else inner
    return net.head(hidden[:, :, 0])


def draw_batch(real: Crops, copies: Crops) -> tuple[Tensor, Tensor]:
    """One-hot (N, 4, CROP) and the teacher's probabilities (N, 3, CROP)."""
    drawn = real.draw(REAL), copies.draw(COPIED)
    return torch.cat([x for x, _ in drawn]), torch.cat([soft for _, soft in drawn])


def train(real: Crops, copies: Crops, steps: int) -> SpliceNet:
    """Soft-label cross-entropy, one cycle of the learning rate."""
    net = SpliceNet()
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=steps, pct_start=0.15
    )
    recent: list[float] = []
    for step in range(1, steps + 1):
        x, soft = draw_batch(real, copies)
        inner = slice(EDGE, CROP - EDGE)
        cost = functional.cross_entropy(
            training_logits(net, x, DROPOUT)[..., inner], soft[..., inner], reduction="none"
        )
        weight = 1 + SITE_WEIGHT * (1 - soft[:, 0, inner])
        loss = (weight * cost).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        recent.append(loss.item())
        if step % 200 == 0:
            print(f"step {step}: loss {np.mean(recent[-200:]):.5f}", flush=True)
    net.requires_grad_(False)
    for _ in range(SETTLING_STEPS):
        training_logits(net, draw_batch(real, copies)[0], dropout=0.0)
    return net.eval()


def predict(net: SpliceNet, codes: np.ndarray) -> Tensor:
    """Logits (3, L) of one strand."""
    return net(one_hot(codes[None]))[0]


def calibrate(net: SpliceNet, real: Strands) -> None:
    """Shift the two site logits until real sequence holds as many sites as the teacher sees.

    Oversampling and weighting of sites make the raw probabilities too high, and a count over a
    long sequence is a sum of very many small ones.
    """
    logits = torch.cat([predict(net, codes) for codes, _ in real], dim=1)
    wanted = torch.from_numpy(np.concatenate([label for _, label in real], axis=1)).double()
    shift = torch.zeros(3, 1)
    for _ in range(50):
        counts = (logits + shift).softmax(dim=0).sum(dim=1, dtype=torch.double)
        shift[1:, 0] += torch.log(wanted.sum(dim=1) / counts)[1:].float()
    net.head.bias += shift[:, 0]


def held_out(
    net: SpliceNet, teachers: list[ci_spliceai.Teacher], codes: np.ndarray
) -> dict[str, float]:
    """Agreement with the teacher's sites (p > 0.5) on both strands of the demo's stretch."""
    start = max(DEMO.start - ci_spliceai.CONTEXT, 0)
    window = codes[start : DEMO.stop + ci_spliceai.CONTEXT]
    demo = slice(DEMO.start - start, DEMO.stop - start)
    forward = ci_spliceai.label(teachers, window)[:, demo]
    backward = ci_spliceai.label(teachers, mutations.reverse_complement(window))[:, ::-1][:, demo]
    labels = np.concatenate([forward, backward[:, ::-1]], axis=1)
    strands = codes[DEMO], mutations.reverse_complement(codes[DEMO])
    scores = torch.cat([predict(net, strand).softmax(dim=0) for strand in strands], dim=1).numpy()
    figures = {}
    for name, kind in KINDS.items():
        truth = labels[kind] > 0.5
        strongest = np.argsort(-scores[kind])[: truth.sum()]
        figures |= {
            f"{name} sites": int(truth.sum()),
            f"{name} PR-AUC": round(float(average_precision_score(truth, scores[kind])), 4),
            f"{name} top-k": round(float(truth[strongest].mean()), 4),
            f"{name} expected": round(float(scores[kind].sum()), 2),
            f"{name} expected by teacher": round(float(labels[kind].sum(dtype=np.float64)), 2),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheel", type=Path, help="cispliceai-1.2.2-py3-none-any.whl")
    parser.add_argument("fasta", type=Path, nargs="+", help="chr22:20-21 Mb first")
    parser.add_argument("--steps", type=int, default=3600)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    started = time.perf_counter()
    teachers = ci_spliceai.load(args.wheel)
    fastas = [mutations.read_fasta(path) for path in args.fasta]
    real, copies = labelled_strands(teachers, fastas, np.random.default_rng(args.seed))
    for strand, label in real:
        ci_spliceai.check(strand, label)
    labelled = time.perf_counter()
    print(f"labelled {sum(len(c) for c, _ in real + copies):,} bases, {labelled - started:.0f} s")
    rng = np.random.default_rng(args.seed)
    real_crops = Crops(real, REAL_AROUND_SITES, rng)
    net = train(real_crops, Crops(copies, COPIED_AROUND_SITES, rng), args.steps)
    calibrate(net, real)
    facts: dict[str, object] = {
        "training seconds": round(time.perf_counter() - labelled),
        "steps": args.steps,
        "seed": args.seed,
        "threads": args.threads,
        "trained on": [path.name for path in args.fasta],
        "held out": f"chr22:{ORIGIN + DEMO.start}-{ORIGIN + DEMO.stop}, margin {MARGIN}",
        **held_out(net, teachers, fastas[0]),
    }
    print(json.dumps(facts, indent=1))
    demo_data.write_weights(net, facts)
    demo_data.write_sequence(fastas[0][DEMO], ORIGIN + DEMO.start)


if __name__ == "__main__":
    main()
