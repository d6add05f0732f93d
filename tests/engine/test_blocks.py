"""Edits of any letters in any pieces, through every kind of net, against the float64 definition."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.edits import table as tables
from nucleoscope.engine.edits.edited import apart, edited
from nucleoscope.engine.edits.groups import stretches
from nucleoscope.engine.edits.table import Table, jobs
from nucleoscope.engine.planning.batches import Mixed, merge
from nucleoscope.engine.prepare import Asked, ask, forward, make_plan
from nucleoscope.engine.step import Blocks, Edits
from tests import nets
from tests.parts import Net, conv, lively, sequences

LENGTH = 61
NETS = (
    "bpnet", "bpnet_valid", "basset", "conv_next", "attention_pools", "strands", "image", "odd_steps",
    "gated", "separable", "shared", "squeeze_excite", "attention", "recurrent", "u_net",
)  # fmt: skip


def asking(model: nn.Module, X: Tensor, **settings: Any) -> Asked:
    defaults: dict[str, Any] = {
        "start": 0, "end": None, "layout": "NCL", "alphabet": "ACGT", "precision": "fp32", "memory": None,
        "device": None,
    }  # fmt: skip
    return ask(model, X, None, **(defaults | settings))


def random_table(asked: Asked, count: int, seed: int = 0) -> Table:
    """Single letters, blocks of up to 12, up to ten far letters, both ends; N and R among them."""
    random = np.random.default_rng(seed)
    n, length = asked.sequences.letters.shape
    rows, sequence = [], random.integers(n, size=count)
    for edit in range(count):
        kind = edit % 4
        wide = random.integers(1, 13)
        first = random.integers(length - wide)
        positions = (
            [first],
            range(first, first + wide),
            random.choice(length, random.integers(2, 11), replace=False),
            [0, length - 1],
        )[kind]
        letters = 4 + len(asked.sequences.ambiguous)
        rows += [(edit, at, random.integers(-1, letters)) for at in positions]
    edit, position, letter = np.array(rows).T
    return Table.of(sequence, edit, position, letter)


def definition(asked: Asked, table: Table, dtype: torch.dtype = torch.float64) -> Tensor:
    """Mean output after less before, by editing and predicting."""
    size = asked.sequences.size
    columns = torch.cat([torch.eye(size), asked.sequences.ambiguous.float(), torch.zeros(1, size)])
    model, X = copy.deepcopy(asked.model).to(dtype), asked.sequences.columns.to(dtype)
    made = X[torch.from_numpy(table.sequence)].clone()
    for edit in range(len(table)):
        positions, letters = table.rows(edit)
        made[edit][:, positions] = columns[letters].T.to(dtype)
    with torch.no_grad():
        before, after = (model(x).flatten(1).mean(1) for x in (X, made))
    return after - before[torch.from_numpy(table.sequence)]


def some(count: int = 3, length: int = LENGTH) -> Tensor:
    X = sequences(count, length)
    X[0, :, 7] = 0
    X[1, :, 20] = torch.tensor([0.5, 0, 0.5, 0])
    return X


@pytest.mark.parametrize("name", NETS)
def test_exact(name: str) -> None:
    torch.manual_seed(0)
    length = 64 if name == "u_net" else LENGTH  # which halves it
    asked = asking(lively(getattr(nets, name)(length)), some(3, length))
    table = random_table(asked, 48)
    want = definition(asked, table)
    found = edited(asked, Read(None), table, lambda _done: None)
    allowed = 1e-5 * want.abs().max()
    if not found.local:
        noise = (definition(asked, table, torch.float32) - want).abs().max()
        allowed += 3 * noise
    assert (found.raw[:, 0] - want).abs().max() <= allowed
    assert found.original.shape == (3, 1)


def test_embeddings_take_blocks() -> None:
    torch.manual_seed(0)

    def forward(net: Net, x: Tensor) -> Tensor:
        return net.last(torch.relu(net.table(x.argmax(1)).transpose(1, 2))).mean(2)

    model = Net(forward, table=nn.Embedding(4, 6), last=conv(6, 2))
    asked = asking(model, some())
    table = random_table(asked, 40)
    want = definition(asked, table)
    found = edited(asked, Read(None), table, lambda _done: None)
    assert found.local
    assert (found.raw[:, 0] - want).abs().max() <= 1e-5 * want.abs().max()


def test_a_stretch_of_sites_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits that lie across two stretches have one of their own."""
    torch.manual_seed(0)
    model = nn.Sequential(conv(4, 8), nn.ReLU(), conv(8, 8), nn.ReLU(), conv(8, 2)).eval()
    asked = asking(model, some(2, 400))
    table = random_table(asked, 60)
    whole = edited(asked, Read(None), table, lambda _done: None)
    plan = make_plan(asked, forward(asked, Read(None)))
    small = asking(model, some(2, 400), memory=1 << 20)
    monkeypatch.setattr(type(plan), "original_bytes", lambda _plan, start, end: (end - start) << 12)
    assert len(stretches(make_plan(small, forward(small, Read(None))))) > 2
    parts = edited(small, Read(None), table, lambda _done: None)
    assert (parts.raw - whole.raw).abs().max() <= 1e-6 * whole.raw.abs().max()


def test_one_original_a_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    from nucleoscope.engine.values.forward import Forward

    asked = asking(nn.Sequential(conv(4, 3), nn.Flatten(), nn.Linear(3 * LENGTH, 1)).eval(), some())
    seen, whole = [], Forward.original

    def original(self: Forward, inputs: Any, *rest: Any) -> Tensor:
        seen.append(len(inputs[self.graph.edited]))
        return whole(self, inputs, *rest)

    assert forward(asked, Read(None)).forward.work > 0  # counted once, on shapes
    monkeypatch.setattr(Forward, "original", original)
    edited(asked, Read(None), random_table(asked, 40), lambda _done: None)
    assert sum(seen) == 3


def test_places_hold_every_edit_once() -> None:
    asked = asking(nn.Flatten().eval(), some())
    letters, ambiguous = asked.sequences.letters, asked.sequences.ambiguous
    table = random_table(asked, 200)
    made = jobs(table, letters, ambiguous)
    assert sorted(n for job in made for n in job.numbers.ravel()) == list(range(200))
    assert {type(job.edits) for job in made} == {Edits, Blocks}
    for job in made:
        assert len(job.edits.pieces) <= tables.PIECES
        assert job.edits.shape == job.numbers.shape
        old, new = job.edits.put
        covered = np.concatenate([
            np.arange(hi[0] - lo[0])[:, None] + lo for lo, hi in job.edits.pieces
        ])  # fmt: skip
        for site, numbers in enumerate(job.numbers):
            for at, number in enumerate(numbers):
                want = letters[table.sequence[number]].copy()
                positions, put = table.rows(number)
                inside = covered[:, site] < LENGTH
                assert (old[inside, site] == want[covered[inside, site]]).all()
                want[positions] = put
                assert (new[inside, site, at] == want[covered[inside, site]]).all()
                assert set(positions) <= set(covered[:, site])
                assert (old[~inside, site] == new[~inside, site, at]).all()


def test_widths_are_filled_up_little() -> None:
    widths = np.arange(1, 200)
    filled = tables._rounded(widths)
    assert (filled >= widths).all()
    assert (filled * 2 <= 3 * widths).all()
    assert len(set(filled)) <= 16


def test_many_edits_of_a_place_are_parted_evenly() -> None:
    letters = np.zeros((1, 30), dtype=np.int64)
    edit = np.arange(20)
    table = Table(np.zeros(20, dtype=np.int64), edit, edit * 0 + 4, edit % 3 + 1)
    made = jobs(table, letters, torch.empty(0, 4).double())
    assert [job.numbers.shape for job in made] == [(2, 10)]


def test_windows_that_nearly_touch_are_joined() -> None:
    near = [(np.array([0, 0]), np.array([4, 4])), (np.array([4, 6]), np.array([8, 9]))]
    with pytest.raises(Mixed):
        merge(list(near))
    ((lo, hi),) = merge(list(near), slack=2)
    assert (lo.tolist(), hi.tolist()) == ([0, 0], [8, 9])
    with pytest.raises(Mixed):
        merge(list(near), slack=1)


def test_sites_that_add_up_are_proved_to() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(conv(4, 4, 3), nn.ReLU(), conv(4, 2, 3)).eval()
    asked = asking(net, some())
    never = apart(asked, Read(None), 10, 20)
    distance = np.abs(np.arange(10)[:, None] - np.arange(10))
    assert (never == (distance > 2)).all()
    assert (apart(asked, Read(None, torch.exp), 10, 20) <= never).all()  # exp is traced along
    linear = asking(nn.Sequential(conv(4, 4), conv(4, 2)).eval(), some())
    assert apart(linear, Read(None), 10, 20).all()
    seam = Net(lambda net, x: F.gelu(net.a(x).cumsum(2).sort(2)[0]).mean(2), a=conv(4, 4))
    assert not apart(asking(seam, some()), Read(None), 10, 20).any()
