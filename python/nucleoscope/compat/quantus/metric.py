"""A metric of ours, called as Quantus calls its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.compat.quantus.options import Meaning
from nucleoscope.evaluate.case import Case, Explained
from nucleoscope.evaluate.data import Data
from nucleoscope.evaluate.explainers import Explainer

Array = Any  # numpy arrays or tensors
LONG = 1 << 16  # a length that options fit into, until the sequences are there


class Metric:
    """A metric of nucleoscope under Quantus's name.

    Its options are those of `kind`, and of Quantus's own those that `meant` gives a meaning to.
    """

    kind: ClassVar[Callable[..., Any]]
    meant: ClassVar[Mapping[str, Meaning]]
    defaults: ClassVar[Mapping[str, Any]]
    name: ClassVar[str]
    evaluation_category: ClassVar[str]
    score_direction: ClassVar[str]
    data_applicability: ClassVar[set[str]] = {"timeseries"}
    model_applicability: ClassVar[set[str]] = {"torch"}

    def __init__(
        self, *, return_aggregate: bool = False, aggregate_func: Callable[[Any], Any] = np.mean, **options: Any
    ) -> None:  # fmt: skip
        """Raises TypeError for options that there are not, ValueError for values that mean nothing here."""
        taken = [*inspect.signature(type(self).kind).parameters, *type(self).meant]
        if unknown := [name for name in options if name not in taken]:
            raise TypeError(
                f"{type(self).__name__}: it has no option {unknown[0]!r}; it has {', '.join(dict.fromkeys(taken))}"
            )
        self.seed = options.pop("seed", 0)
        self._options = {**type(self).defaults, **options}
        self.metric = self._of_length(LONG)
        self.return_aggregate, self.aggregate_func = return_aggregate, aggregate_func
        self.evaluation_scores: list[float] = []
        self.all_evaluation_scores: list[float] = []

    def __call__(
        self, model: nn.Module, x_batch: Array, y_batch: Array, a_batch: Array | None = None,
        s_batch: Array | None = None, channel_first: bool | None = None,
        explain_func: Callable[..., Any] | None = None, explain_func_kwargs: Mapping[str, Any] | None = None,
        model_predict_kwargs: Mapping[str, Any] | None = None,
        softmax: bool | None = None, device: str | None = None, batch_size: int = 64, custom_batch: Any = None,
        *, seed: int | None = None,
    ) -> list[float]:  # fmt: skip
        """A number for each sequence, NaN where it is undefined; aggregated where that was asked for.

        x_batch: ``[N, 4, L]`` one-hot. y_batch: the output that is explained, of each sequence. a_batch: scores
        ``[N, L]``, ``[N, 1, L]`` or ``[N, 4, L]``, whose letters are added up; without it `explain_func` is
        asked. s_batch: masks of the same shapes. seed: of all that is drawn; None: the constructor's. The model is
        asked in eval mode and left as it was.

        Raises TypeError or ValueError for what cannot be meant, and whatever explain_func raises.
        """
        for name, given in (
            ("model_predict_kwargs", model_predict_kwargs),
            ("custom_batch", custom_batch),
        ):
            if given:
                raise ValueError(f"{name}: nothing is done with it here; leave it out")
        if channel_first is False:
            raise ValueError("channel_first=False: sequences are [N, 4, L] here")
        if a_batch is None and explain_func is None:
            raise ValueError("a_batch: scores are needed, or an explain_func that makes them")
        X, targets = _tensor(x_batch).float(), _tensor(y_batch).long().reshape(-1)
        if X.ndim != 3 or len(targets) != len(X):
            raise ValueError(
                f"y_batch: {len(targets)} for x_batch of shape {tuple(X.shape)}; one for each sequence"
            )
        scores, masks = _flat("a_batch", a_batch, X), _flat("s_batch", s_batch, X)
        explainer = (
            None if explain_func is None else _explainer(explain_func, explain_func_kwargs, device)
        )
        made = torch.full((len(X),), torch.nan, dtype=torch.float64)
        self.metric = self._of_length(X.shape[2])
        with _Asked(model, softmax, device) as asked:
            for target in targets.unique().tolist():
                rows = (targets == target).nonzero()[:, 0]
                data = Data(X[rows], target, None if masks is None else masks[rows] != 0)
                case = _case(
                    asked,
                    data,
                    None if scores is None else scores[rows],
                    explainer,
                    self.seed if seed is None else seed,
                    batch_size,
                )
                made[rows] = self.metric(case)
        self.evaluation_scores = made.tolist()
        if self.return_aggregate:
            self.evaluation_scores = [self.aggregate_func(self.evaluation_scores)]
        self.all_evaluation_scores += self.evaluation_scores
        return self.evaluation_scores

    def _of_length(self, length: int) -> Any:
        """The metric for sequences of a length, by which Quantus counts steps."""
        given: dict[str, Any] = {}
        for name, value in self._options.items():
            meaning = type(self).meant.get(name)
            try:
                given |= {name: value} if meaning is None else meaning(value, length)
            except ValueError as error:
                raise ValueError(f"{type(self).__name__}({name}={value!r}): {error}") from error
        return type(self).kind(**given)


class _Asked(nn.Module):
    """The model in eval mode, with a softmax behind it where one is asked for; put back on leaving."""

    def __init__(self, model: nn.Module, softmax: bool | None, device: str | None) -> None:
        super().__init__()
        self.model, self.softmax = model if device is None else model.to(device), bool(softmax)
        self.modes = [each.training for each in model.modules()]

    def forward(self, X: Tensor) -> Tensor:
        made: Tensor = self.model(X)
        return made.softmax(-1) if self.softmax else made

    def __enter__(self) -> _Asked:
        self.eval()
        return self

    def __exit__(self, *_: object) -> None:
        for each, mode in zip(self.model.modules(), self.modes, strict=True):
            each.training = mode


def _tensor(given: Array) -> Tensor:
    return given.detach().cpu() if isinstance(given, Tensor) else torch.as_tensor(np.asarray(given))


def _flat(name: str, given: Array | None, X: Tensor) -> Tensor | None:
    """[N, L] of scores or masks."""
    if given is None:
        return None
    made = _tensor(given)
    count, size, length = X.shape
    if tuple(made.shape) not in ((count, length), (count, 1, length), (count, size, length)):
        raise ValueError(
            f"{name}: its shape is {tuple(made.shape)}; it must be {(count, length)}, {(count, 1, length)} or "
            f"{(count, size, length)}"
        )
    return made.double() if made.ndim == 2 else made.double().sum(1)


def _explainer(
    call: Callable[..., Any], options: Mapping[str, Any] | None, device: str | None
) -> Explainer:
    """Called with what it can take of Quantus's own keywords; `device` among them."""
    given = dict(options or {})
    if isinstance(call, Explainer):
        return replace(call, options={**call.options, **given})
    taken = inspect.signature(call).parameters
    if device is not None and "device" in taken:
        given.setdefault("device", device)

    def explain(model: Any, inputs: Tensor, targets: Any, **more: Any) -> Any:
        made = call(model=model, inputs=inputs.cpu().numpy(), targets=np.asarray(targets), **more)
        return made[:, 0] if getattr(made, "ndim", 0) == 3 and made.shape[1] == 1 else made

    return Explainer(explain, given)


def _case(
    model: nn.Module, data: Data, scores: Tensor | None, explainer: Explainer | None, seed: int, batch_size: int
) -> Case:  # fmt: skip
    def again(asked: Any, X: Tensor) -> Explained:
        assert explainer is not None
        inner = asked.model if isinstance(asked, _Asked) else asked  # the user's own is explained
        return explainer(inner, X, data.target, seed)

    found = again(model, data.X) if scores is None else Explained.read(scores, data.X)
    return Case(model, data, found, None if explainer is None else again, seed, batch_size)
