"""Ground truth, second level: networks trained on simulated sequence, with their quality stated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.evaluate.data import Data
from nucleoscope.evaluate.judging import quality
from nucleoscope.evaluate.quality import Quality
from nucleoscope.evaluate.truth.simulate import (
    Motif,
    consensus_motifs,
    jaspar_motifs,
    simulate,
)
from nucleoscope.files import whole_file

TRAINING, HELD_OUT, EXPLAINED = 16_000, 1000, 64
LENGTH = 200
EPOCHS, BATCH, RATE = 6, 64, 5e-3
MATRICES = "motifs.meme"  # of the networks that are shipped
BARE = 0.3  # of the sequences a network learns from hold no motif


class Net(nn.Module):
    """Whether a sequence is active, as log-odds.

    Input: one-hot (N, 4, L), alphabet ACGT. Output: (N, 1).

    16 filters of 15 bases with BatchNorm, ReLU and a max-pool of 8, 24 of 5 with BatchNorm and ReLU, the
    strongest over the length, one hidden layer.
    """

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv1d(4, 16, 15, padding=7), nn.BatchNorm1d(16)
        self.second, self.norm2 = nn.Conv1d(16, 24, 5, padding=2), nn.BatchNorm1d(24)
        self.hidden, self.head = nn.Linear(24, 24), nn.Linear(24, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:  # [N, 4, L] -> [N, 1]
        h = F.max_pool1d(F.relu(self.norm(self.first(x))), 8)
        h = F.relu(self.norm2(self.second(h))).amax(2)
        made: Tensor = self.head(self.dropout(F.relu(self.hidden(self.dropout(h)))))
        return made


@dataclass(frozen=True)
class Trained:
    """A network, what it is explained on, and how good it is: on held-out sequences, with the best possible.

    `data` states the same quality: the few sequences that are explained would not tell it.
    """

    model: nn.Module
    data: Data
    quality: Quality  # AUROC with a bootstrap interval
    ceiling: float  # the AUROC of the true log-odds on the same sequences
    seed: int


def trained(
    folder: str | Path,
    motifs: Sequence[Motif] | None = None,
    *,
    seeds: Sequence[int] = range(5),
    epochs: int = EPOCHS,
    training: int = TRAINING,
    dropout: float = 0.1,
    count: int = EXPLAINED,
) -> list[Trained]:
    """Networks that learnt a known grammar, one a seed; trained at the first call, then read from `folder`.

    Each seed has sequences, weights and order of its own. `folder` holds ``net-KEY.npz``, weights as plain
    arrays, and ``net-KEY.json``, what they were made of and their quality; KEY follows from all that is
    asked, so another request is another file. Nothing is unpickled. Five networks take some minutes on two
    cores.

    motifs: three, by default hand-written consensus sequences; `jaspar_motifs` reads JASPAR's. seeds: one
    network each. epochs, training, dropout: of the training. count: sequences that are explained.

    Raises ValueError for other than three motifs or no seeds, OSError where the folder cannot be written.

    Equivalent to::

        train(Net(), simulate(motifs, 16_000, seed=seed)); quality(net, simulate(motifs, 1000, seed=other))
    """
    motifs = consensus_motifs() if motifs is None else tuple(motifs)
    if not len(list(seeds)):
        raise ValueError("seeds: one at least")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    recipe = {"epochs": epochs, "training": training, "dropout": dropout, "version": 3}
    return [_one(folder, tuple(motifs), int(seed), recipe, count) for seed in seeds]


def shipped_networks() -> Path:
    """The folder of `trained` that comes with nucleoscope: five networks of GATA1, CTCF and SPI1 of JASPAR.

    It was made by ``python -m nucleoscope.evaluate.truth FOLDER --jaspar JASPAR2024_CORE_human.meme.gz``, and
    holds the three matrices too (NOTICE).
    """
    return Path(str(resources.files("nucleoscope") / "evaluate" / "truth" / "networks"))


def simulated(
    folder: str | Path | None = None,
    *,
    seed: int = 0,
    jaspar: str | None = None,
    count: int = EXPLAINED,
    **recipe: float,
) -> tuple[nn.Module, Data]:
    """One network of `trained` and its data, as the other functions of this room give them.

    folder: as of `trained`; None: the networks that are shipped, seeds 0 to 4, which nothing is trained for.
    jaspar: a MEME file, whose motifs GATA1, CTCF and SPI1 are planted; None: hand-written ones. count: sequences
    that are explained. recipe: `epochs`, `training` and `dropout`.

    Raises what `trained` and `jaspar_motifs` raise, and ValueError for a shipped network that there is not.

    Equivalent to::

        made = trained(folder, seeds=[seed])[0]
        made.model, made.data
    """
    if folder is None:
        folder = shipped_networks()
        if jaspar is not None or recipe or not list(folder.glob(f"net-*-s{seed}.npz")):
            raise ValueError(
                f"seed={seed!r}: five networks are shipped, of the seeds 0 to 4 and one recipe; name a folder to "
                "have others trained into it"
            )
        jaspar = str(folder / MATRICES)
    motifs = None if jaspar is None else jaspar_motifs(jaspar)
    made = trained(folder, motifs, seeds=[seed], count=count, **recipe)[0]  # type: ignore[arg-type]
    return made.model, made.data


def _one(
    folder: Path, motifs: tuple[Motif, ...], seed: int, recipe: dict[str, float], count: int
) -> Trained:
    names = "-".join(m.name.split()[-1] for m in motifs)
    key = "-".join([names, *(f"{k[0]}{v:g}" for k, v in recipe.items()), f"s{seed}"])
    stored, model = folder / f"net-{key}.npz", Net(recipe["dropout"])
    if not stored.exists() or not stored.with_suffix(".json").exists():
        _train_one(stored, motifs, seed, recipe)
    with np.load(stored, allow_pickle=False) as arrays:
        model.load_state_dict({name: torch.from_numpy(arrays[name]) for name in arrays.files})
    told = json.loads(stored.with_suffix(".json").read_text())
    found = Quality(**{each.name: told[each.name] for each in fields(Quality) if each.name in told})
    explained, _ = simulate(motifs, count, LENGTH, seed=3 * seed + 2)
    data = replace(explained, quality=found)
    return Trained(model.eval().requires_grad_(False), data, found, told["ceiling"], seed)


def _train_one(
    stored: Path, motifs: tuple[Motif, ...], seed: int, recipe: dict[str, float]
) -> None:
    """Train a network; its weights are kept, and what they were made of, with their quality beside them."""
    data, _ = simulate(motifs, int(recipe["training"]), LENGTH, seed=3 * seed, bare=BARE)
    held, odds = simulate(motifs, HELD_OUT, LENGTH, seed=3 * seed + 1, bare=BARE)
    model = Net(recipe["dropout"])
    train(model, data, int(recipe["epochs"]), seed)
    model.eval().requires_grad_(False)
    found, best = quality(model, held), quality(_Known(odds), held, HELD_OUT)
    assert found is not None
    assert best is not None
    told = {**recipe, "seed": seed, "motifs": [m.name for m in motifs], **asdict(found)}
    told["ceiling"] = best.value
    with whole_file(stored) as file:
        np.savez(file, **{k: v.numpy() for k, v in model.state_dict().items()})
    with whole_file(stored.with_suffix(".json")) as file:
        file.write((json.dumps(told, indent=1) + "\n").encode())


class _Known(nn.Module):
    """Says the true log-odds of all sequences at once."""

    def __init__(self, odds: Tensor) -> None:
        super().__init__()
        self.odds = odds

    def forward(self, _x: Tensor) -> Tensor:
        return self.odds[:, None]


def train(model: nn.Module, data: Data, epochs: int, seed: int) -> None:
    """Fit log-odds to labels: Adam with a rate that rises and falls, order and weights from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for part in model.modules():
            if isinstance(part, nn.Conv1d | nn.Linear | nn.BatchNorm1d):
                part.reset_parameters()
        assert data.labels is not None
        X, labels = data.X, data.labels.float()
        steps = epochs * -(-len(X) // BATCH)
        adam = torch.optim.Adam(model.parameters(), RATE)
        rate = torch.optim.lr_scheduler.OneCycleLR(adam, 2 * RATE, total_steps=steps)
        model.train()
        for _ in range(epochs):
            for batch in torch.randperm(len(X)).split(BATCH):
                loss = F.binary_cross_entropy_with_logits(model(X[batch])[:, 0], labels[batch])
                adam.zero_grad()
                loss.backward()
                adam.step()
                rate.step()
