"""Log-odds of a probability while a model runs: from what the sigmoid or softmax was given.

It does for a model that is asked directly what `engine/rules/log_odds.py` does for its trace: both then mean
the same by `torch.logit`, beyond where a probability rounds to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from nucleoscope.engine.rules.log_odds import MOVES, SOFTMAX, odds_of_softmax

aten = torch.ops.aten


class Unsaturated(TorchDispatchMode):
    """Within it, `torch.logit` of what a sigmoid or softmax made is read before it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._odds: WeakTensorKeyDictionary = (
            WeakTensorKeyDictionary()
        )  # how to make them, if asked

    def __torch_dispatch__(
        self, op: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        source: Any = args[0] if args and isinstance(args[0], Tensor) else None
        known: Callable[[], Tensor] | None = None if source is None else self._odds.get(source)
        if op is aten.logit.default and known is not None and len(args) == 1 and not kwargs:
            return known()
        made = op(*args, **kwargs)
        if op is aten.sigmoid.default:
            self._odds[made] = lambda: source
        elif op in SOFTMAX:
            self._odds[made] = lambda: odds_of_softmax(source, args[1])
        elif op in MOVES and known is not None:
            self._odds[made] = lambda: op(known(), *args[1:], **kwargs)
        return made
