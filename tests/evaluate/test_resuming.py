"""A run that goes on: whatever is different by content is refused, and nothing stale is shown."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from nucleoscope import evaluate
from nucleoscope.evaluate import Data, metrics
from nucleoscope.evaluate.asked import digest
from nucleoscope.evaluate.content import content
from nucleoscope.scan.shards.shipping import fingerprint
from tests.evaluate.closed_forms import Additive, letters

X = letters(3, 12).float()
SCALE = 2.0


class Scaled(nn.Module):
    """What it multiplies by is a plain attribute, which its print does not show."""

    def __init__(self, scale: Any) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.arange(48.0).view(4, 12))

    def forward(self, x: Tensor) -> Tensor:
        by = self.scale if isinstance(self.scale, float) else self.scale[0]
        made: Tensor = (x * self.weight).sum((1, 2))[:, None] * by
        return made


def closed(by: Any) -> Callable[[Tensor], Tensor]:
    def model(x: Tensor) -> Tensor:
        return x.sum((1, 2))[:, None] * (by if isinstance(by, float) else by[0])

    return model


def made_anew(factor: float) -> nn.Module:
    """Classes of one name whose code differs."""

    class Net(Scaled):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * factor

    return Net(1.0).eval()


@dataclass(frozen=True)
class Constant:
    """A metric whose repr does not say what it holds."""

    held: float
    name: ClassVar[str] = "constant"
    category: ClassVar[str] = "mine"
    higher_is_better: ClassVar[bool] = True

    def __call__(self, case: Any) -> Tensor:
        return torch.full((len(case.data),), self.held, dtype=torch.float64)

    def __repr__(self) -> str:
        return "Constant()"


def go(out: Path, model: Any = None, data: Any = None, metric: Any = None) -> Any:
    given = [metric or metrics.Sparseness()]
    return evaluate.run(
        {"random": "random"}, {"m": model or Additive(12).float()}, data or Data(X), given, out=out
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (closed(1.0), closed(2.0)),
        (closed([1.0]), closed([2.0])),
        (closed({0: 1.0}), closed({0: 2.0})),
        (closed(torch.ones(1)), closed(torch.zeros(1))),
        (Scaled(1.0).eval(), Scaled(2.0).eval()),
        (Scaled([1.0]).eval(), Scaled([2.0]).eval()),
        (Scaled(torch.ones(1)).eval(), Scaled(torch.zeros(1)).eval()),
        (made_anew(1.0), made_anew(2.0)),
    ],
)
def test_another_model_of_the_same_name_is_refused(one: Any, other: Any, tmp_path: Path) -> None:
    go(tmp_path, one)
    go(tmp_path, one)
    with pytest.raises(ValueError, match="holds a run with other models"):
        go(tmp_path, other)


def test_scans_tell_plain_attributes_apart_too() -> None:
    assert fingerprint(Scaled(1.0)) == fingerprint(Scaled(1.0))
    assert fingerprint(Scaled(1.0)) != fingerprint(Scaled(2.0))
    assert fingerprint(nn.Sequential(Scaled([1.0]))) != fingerprint(nn.Sequential(Scaled([2.0])))


def test_another_metric_of_the_same_repr_is_refused(tmp_path: Path) -> None:
    found = go(tmp_path, metric=Constant(1.0))
    assert go(tmp_path, metric=Constant(1.0)).answers[0].values[0] == 1
    assert "Constant() #" in found.facts["request"]["metrics"]["constant"]
    with pytest.raises(ValueError, match="holds a run with other metrics"):
        go(tmp_path, metric=Constant(2.0))


def test_data_are_known_by_shapes_and_types_too() -> None:
    data = Data(X)
    others = [
        Data(X.double()), replace(data, target=(0,)), replace(data, labels=torch.arange(3.0)),
        replace(data, target=torch.tensor([True])), replace(data, exact=X.sum(1).double()),
    ]  # fmt: skip
    assert len({digest(each) for each in (data, *others)}) == 6
    assert digest(Data(torch.zeros(1, 4, 6))) != digest(Data(torch.zeros(2, 4, 3)))
    assert digest(Data(X.clone())) == digest(data)


def reads_a_global(x: Tensor) -> Tensor:
    return helped(x) * SCALE


def helped(x: Tensor) -> Tensor:
    return x.sum((1, 2))[:, None]


def test_globals_of_its_own_module_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(reads_a_global)
    assert content(reads_a_global) == before
    with monkeypatch.context() as held:
        held.setitem(globals(), "SCALE", 3.0)
        assert content(reads_a_global) != before
    with monkeypatch.context() as held:
        held.setitem(globals(), "helped", lambda x: x[:, 0, :1])
        assert content(reads_a_global) != before
    assert content(reads_a_global) == before


def test_what_cannot_be_looked_into_is_itself_alone() -> None:
    for make in (threading.Lock, object):
        one, other = make(), make()
        assert content(one) == content(one)
        assert content(one) != content(other)
    assert content(Path("a")) == content(Path("a")) != content(Path("b"))


def test_versions_are_in_the_table_and_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = go(tmp_path)
    versions = found.facts["request"]["versions"]
    assert {"nucleoscope", "torch", "numpy"} <= set(versions)
    assert set(found.columns()["versions"]) == {" ".join(f"{k}={v}" for k, v in versions.items())}
    room = importlib.import_module("nucleoscope.evaluate.run")
    monkeypatch.setattr(room, "versions", lambda: {**versions, "captum": "0"})
    with pytest.raises(ValueError, match="holds a run with other versions"):
        go(tmp_path)


ORDINARY = """
import abc, functools, re
from dataclasses import dataclass
from typing import Protocol
from torch import nn
from nucleoscope.evaluate.content import content

LETTERS = re.compile("[ACGT]+")

class Net(nn.Module):
    width: int | None = None

@dataclass
class Settings:
    steps: int | None = 3

class Explainer(abc.ABC):
    @abc.abstractmethod
    def explain(self): ...

class Explains(Protocol):
    def explain(self): ...

class Kept(Explainer):
    def explain(self):
        return self.table

    @functools.cached_property
    def table(self): return 3

def reads(model, inputs, targets): return LETTERS

for each in (Net(), Settings(), Explains, Kept, reads, functools.partial(reads, Net())):
    print(content(each))
"""


def test_ordinary_classes_are_known_again_by_another_process() -> None:
    told = [
        subprocess.run(
            [sys.executable, "-c", ORDINARY], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert len(set(told[0].split())) == 6
    assert told[0] == told[1]


def test_a_method_of_a_builtin_is_told_by_what_it_is_bound_to() -> None:
    def looking(table: dict[str, float]) -> Any:
        get = table.get
        return lambda _model, x, _targets: x.sum(1) * get("k")

    assert content({"a": 1}.get) != content({"a": 2}.get)
    assert content(looking({"k": 1.0})) != content(looking({"k": 2.0}))
    assert content(looking({"k": 1.0})) == content(looking({"k": 1.0}))
