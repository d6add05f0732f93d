"""What deeper filters fire on, and the exact terms of models that are sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nucleoscope.models import Basset, M6AFormer, Puffin, base_contributions, channel_effects
from nucleoscope.models.catalog import example
from nucleoscope.models.receptive_motifs import Field, measured_field, receptive_motifs
from tests.parts import sequences

WORDS = [2, 0, 3, 0], [1, 1, 0, 2]  # GATA, CCAG
GAP = 3


class Pair(nn.Module):
    """Filter 0 of the second layer fires where GATA stands seven bases in front of CCAG."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv1d(4, 2, 4)
        self.second = nn.Conv1d(2, 2, 5 + GAP)
        with torch.no_grad():
            for f, word in enumerate(WORDS):
                self.first.weight[f] = -1.0
                for k, letter in enumerate(word):
                    self.first.weight[f, letter, k] = 1.0
            self.first.bias.fill_(-1.0)
            self.second.weight.zero_()
            self.second.weight[0, 0, 0] = self.second.weight[0, 1, 4 + GAP] = 1.0
            self.second.bias.copy_(torch.tensor([-1.0, -1.0]))

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = F.relu(self.second(F.relu(self.first(x)))).mean(2)
        return made


def planted() -> Tensor:
    X = sequences(60, 50)
    for n in range(0, 60, 2):
        for word, at in zip(WORDS, (12 + n % 7, 12 + n % 7 + 4 + GAP), strict=True):
            X[n, :, at : at + 4] = F.one_hot(torch.tensor(word), 4).T.float()
    return X


def test_a_pair_of_words_is_found_with_its_distance() -> None:
    net, X = Pair().eval(), planted()
    one, none = receptive_motifs(net, net.second, X, share=0.8)
    width = one.probabilities.shape[1]
    assert width == 4 + 4 + GAP
    assert one.sites >= 30
    letters = one.probabilities.argmax(0).tolist()
    assert letters[:4] == WORDS[0]
    assert letters[-4:] == WORDS[1]
    weight = one.contributions.sum(0)
    assert weight[:4].min() > 0.5
    assert weight[-4:].min() > 0.5
    assert weight[4 : 4 + GAP].abs().max() == 0  # read, and without a part in it
    assert none.sites == 0
    assert torch.allclose(none.probabilities, torch.full((4, width), 0.25, dtype=torch.float64))


def test_it_is_the_definition() -> None:
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv1d(4, 5, 3), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(5, 3, 2), nn.ReLU()
    ).eval()
    X = sequences(4, 30)
    X[1, :, 9] = 0
    (motif,) = receptive_motifs(net, net[3], X, filters=[1], share=0.3, most=7)
    with torch.no_grad():
        values = net[:4](X)[:, 1]
    sites = [
        (float(values[n, i]), n, i)
        for n in range(4)
        for i in range(values.shape[1])
        if bool((X[n, :, 2 * i : 2 * i + 6].sum(0) == 1).all())
    ]
    chosen = [s for s in sorted(sites, reverse=True)[:7] if s[0] > 0.3 * max(sites)[0]]
    assert motif.sites == len(chosen)
    counts = sum(X[n, :, 2 * i : 2 * i + 6].double() for _, n, i in chosen) + 0.25
    torch.testing.assert_close(motif.probabilities, counts / counts.sum(0))


def test_fields_are_measured() -> None:
    net = Basset(small=True).eval()
    X, _ = example("Basset", net)
    convs = [m for m in net.modules() if isinstance(m, nn.Conv1d)]
    taps = convs[0].kernel_size[0]
    assert measured_field(net, convs[0], X) == Field(0, 1, taps)
    deeper = measured_field(net, convs[1], X)
    assert deeper.stride > 1
    assert deeper.width > taps


@pytest.mark.parametrize(
    ("layers", "length", "want"),
    [
        ([nn.Conv1d(4, 6, 1), nn.ReLU(), nn.Conv1d(6, 6, 11, dilation=4)], 200, Field(0, 1, 41)),
        ([nn.Conv1d(4, 3, 3, dilation=4, padding=4)], 200, Field(-4, 1, 9)),
        ([nn.Conv1d(4, 3, 2, dilation=3)], 60, Field(0, 1, 4)),
        ([nn.Conv1d(4, 3, 5, padding=2, stride=3), nn.Conv1d(3, 3, 3, dilation=5)], 120, Field(-2, 3, 35)),
        ([nn.Conv1d(4, 3, 4), nn.MaxPool1d(3), nn.Conv1d(3, 3, 2, dilation=2)], 90, Field(0, 3, 12)),
    ],
)  # fmt: skip
def test_fields_with_holes_are_measured_whole(
    layers: list[nn.Module], length: int, want: Field
) -> None:
    net, X = nn.Sequential(*layers).eval(), sequences(1, length)
    assert measured_field(net, net[-1], X) == want
    cell = 12
    spoilt = [X.index_fill(2, torch.tensor(i), torch.nan) for i in range(length)]
    read = net(torch.cat(spoilt))[:, :, cell].isnan().any(1).nonzero().flatten()  # by each base
    start = want.first + cell * want.stride
    assert (int(read[0]), int(read[-1])) == (start, start + want.width - 1)


class Places(nn.Module):
    """Adds what each position's number says, so that a field by itself gives something else."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.arange(x.shape[2]) / 10


@pytest.mark.parametrize("places", [False, True])
def test_slopes_are_those_of_the_whole_sequence(places: bool) -> None:
    """Padding, strides and a dilation: a field is cut out in phase, or not at all where it tells its place."""
    torch.manual_seed(2)
    net = nn.Sequential(
        Places() if places else nn.Identity(), nn.Conv1d(4, 5, 5, padding=2, stride=2), nn.ReLU(True),
        nn.MaxPool1d(3, 3), nn.Conv1d(5, 4, 3, padding=2, dilation=2), nn.ReLU(True), nn.Flatten(),
        nn.Linear(4 * 20, 1),
    ).eval().double()  # fmt: skip
    with torch.no_grad():
        net[4].bias.fill_(20.0)  # all fire
    X = sequences(7, 120).double()
    made = receptive_motifs(net, net[4], X, share=0.2, most=30, batch=4)
    field = measured_field(net, net[4], X)
    given = X.clone().requires_grad_()
    values = net[:5](given).clone()
    for motif in made:
        total, found = torch.zeros(4, field.width).double(), 0
        tops = values[:, motif.filter].detach().clone()
        starts = [field.first + i * field.stride for i in range(values.shape[2])]
        inside = torch.tensor([0 <= s <= 120 - field.width for s in starts])
        tops[:, ~inside] = -torch.inf
        order = tops.flatten().argsort(descending=True)[:30]
        for n, i in [divmod(int(k), tops.shape[1]) for k in order]:
            if tops[n, i] > 0.2 * tops.max():
                (slope,) = torch.autograd.grad(values[n, motif.filter, i], given, retain_graph=True)
                window = slice(starts[i], starts[i] + field.width)
                own = slope[n, :, window]
                total += X[n, :, window] * (own - own.mean(0))
                found += 1
        assert motif.sites == found > 0
        torch.testing.assert_close(motif.contributions, total / found)


def test_a_site_takes_its_own_field_only() -> None:
    """Of a filter's sites, no more goes back through the model than their fields."""
    net = nn.Sequential(nn.Conv1d(4, 3, 7), nn.ReLU(), nn.Conv1d(3, 2, 5)).eval()
    taken: list[int] = []
    net.register_forward_pre_hook(
        lambda _m, given: taken.append(given[0].numel()) if given[0].requires_grad else None
    )
    X = sequences(50, 400)
    (motif,) = receptive_motifs(net, net[2], X, filters=[0], share=0.1, most=40, batch=16)
    assert sum(taken) == motif.sites * 4 * 11


def test_layers_without_a_field_are_refused() -> None:
    net = Pair().eval()
    with pytest.raises(ValueError, match="not a part"):
        receptive_motifs(net, nn.ReLU(), planted())
    with pytest.raises(ValueError, match="share=1"):
        receptive_motifs(net, net.second, planted(), share=1)
    whole = nn.Sequential(nn.Conv1d(4, 3, 20), nn.ReLU()).eval()
    with pytest.raises(ValueError, match="reads the whole sequence"):
        receptive_motifs(whole, whole[0], sequences(2, 20))
    other = M6AFormer(small=True).eval()
    X, _ = example("m6Aformer", other)
    with pytest.raises(ValueError, match=r"give \[N, F, cells\]"):
        receptive_motifs(other, other, X)
    with pytest.raises(ValueError, match="training mode"):
        receptive_motifs(net.train(), net.second, planted())
    with pytest.raises(ValueError, match="batch=0"):
        receptive_motifs(net.eval(), net.second, planted(), batch=0)
    wide = nn.Sequential(nn.ConstantPad1d((25, 0), 0.0), nn.Conv1d(4, 3, 26)).eval()
    with pytest.raises(ValueError, match="give longer sequences"):
        receptive_motifs(wide, wide[1], sequences(2, 40))


def test_motifs_add_up_to_puffin_s_outputs() -> None:
    torch.manual_seed(0)
    net = Puffin(small=True).double().eval()
    X, _ = example("Puffin", net, 2)
    X = X.double()
    total = torch.zeros(())
    for bank in ("motif", "start", "three"):
        each, constant = channel_effects(net, X, bank)
        total = total + each.sum(1) + constant
    torch.testing.assert_close(F.softplus(total), net(X))
    with pytest.raises(ValueError, match="bank='tata'"):
        channel_effects(net, X, "tata")


def test_bases_of_puffin_are_the_definition() -> None:
    torch.manual_seed(0)
    net = Puffin(small=True).double().eval()
    X, _ = example("Puffin", net, 2)
    X = X.double()
    with torch.no_grad():  # it takes a gradient whatever the caller is under
        made = base_contributions(net, X, 20, 30, slice(0, 5))
    maps = net.activations(X)["motif"].detach().requires_grad_()
    rest = {b: net.effect(b, m) for b, m in net.activations(X).items() if b != "motif"}
    counts = torch.exp(F.softplus(net.effect("motif", maps) + rest["start"] + rest["three"])) - 1
    (g,) = torch.autograd.grad(counts[:, :5, 20:30].sum(), maps)
    x = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad((net.activations(x)["motif"] ** 2 * g.detach()).sum(), x)
    want = (X * slope).sum(1) - ((1 - X) * slope).sum(1) / 3
    torch.testing.assert_close(made, want)
    each = [  # numpy's numbers are whole ones too
        base_contributions(net, X, np.int64(20), 30, slice(0, 5), channel=np.int32(c))  # type: ignore[arg-type]
        for c in range(6)
    ]
    torch.testing.assert_close(sum(each), want)
    with pytest.raises(ValueError, match="a window of the 50"):
        base_contributions(net, X, 20, 60)
    with pytest.raises(IndexError, match="channel=6"):
        base_contributions(net, X, 20, 30, channel=6)
    with pytest.raises(IndexError, match=r"channel=1\.5"):
        base_contributions(net, X, 20, 30, channel=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"start=20\.5"):
        base_contributions(net, X, 20.5, 30)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"x: torch\.int64"):
        base_contributions(net, X.long(), 20, 30)


class Exponential(nn.Module):
    """A sum of two banks' effects behind exp, whose outputs are the counts themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(4, 3, 5, padding=2), nn.Conv1d(4, 2, 3, padding=1)
        self.effects = nn.ModuleDict(
            {"long": nn.Conv1d(3, 2, 7, padding=3), "short": nn.Conv1d(2, 2, 3, padding=1)}
        )
        self.double().eval()

    def activations(self, x: Tensor) -> dict[str, Tensor]:
        return {"long": torch.relu(self.first(x)), "short": torch.relu(self.second(x))}

    def effect(self, bank: str, maps: Tensor) -> Tensor:
        made: Tensor = self.effects[bank](maps)
        return made

    def link(self, total: Tensor) -> Tensor:
        return total.exp()

    def forward(self, x: Tensor) -> Tensor:
        return sum(self.effect(*each) for each in self.activations(x).items()).exp()


def test_bases_of_any_sum_of_effects() -> None:
    """By the model's own link, and what makes counts of its outputs."""
    torch.manual_seed(0)
    net, X = Exponential(), sequences(2, 30).double()
    terms, constant = channel_effects(net, X, "long")
    rest = net.effect("short", net.activations(X)["short"])
    torch.testing.assert_close((terms.sum(1) + constant + rest).exp(), net(X))
    made = base_contributions(net, X, 10, 20, 1, bank="long", counts=lambda outputs: outputs)
    maps = net.activations(X)["long"].detach().requires_grad_()
    (g,) = torch.autograd.grad((net.effect("long", maps) + rest).exp()[:, 1, 10:20].sum(), maps)
    x = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad((net.activations(x)["long"] ** 2 * g).sum(), x)
    torch.testing.assert_close(made, (X * slope).sum(1) - ((1 - X) * slope).sum(1) / 3)


def test_what_is_no_sum_of_effects() -> None:
    torch.manual_seed(0)
    net, X = Exponential(), sequences(2, 30).double()
    asked = {"start": 10, "end": 20, "bank": "long"}
    for tracks in (2, -3, [0, 7], [], slice(5, 9)):
        with pytest.raises(IndexError, match="the outputs have tracks 0 to 1"):
            base_contributions(net, X, tracks=tracks, **asked)
    with pytest.raises(ValueError, match=r"x: .* shape \(4, 30\), where .* \[N, letters, L\]"):
        base_contributions(net, X[0], **asked)
    for of in (base_contributions, channel_effects):
        told = {} if of is channel_effects else {"start": 10, "end": 20}
        with pytest.raises(TypeError, match="a Basset has no activations, effect, link; a model"):
            of(Basset(small=True), X, **told)
    net.link = F.softplus
    with pytest.raises(
        ValueError, match=r"link\(sum of effects\) is not what it answers: they differ"
    ):
        base_contributions(net, X, **asked)
    with pytest.raises(ValueError, match=r"the most at \[sequence, track, position\] \["):
        channel_effects(net, X, "long")
    net.link = lambda total: total.exp().mean(2)
    with pytest.raises(ValueError, match=r"shapes \(2, 2\) and \(2, 2, 30\)"):
        base_contributions(net, X, **asked)
    net = Exponential()
    net.effects["long"].register_forward_hook(lambda _m, _i, made: made.abs())
    with pytest.raises(ValueError, match=r"effect\('long', maps\) is not linear: they differ by"):
        channel_effects(net, X, "long")
