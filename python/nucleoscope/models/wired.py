"""Weights that belong to one wiring: what a network is made of is named among its weights."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import nn

MARK = "wiring_"


class Wired(nn.Module):
    """A module whose weights say nothing of the names or edges that they belong to, and which keeps those apart.

    `wire` puts an empty buffer among the weights, whose name is a digest of what the module is made of: a
    checkpoint of another wiring with the same shapes lacks it, and has one of its own, and no loader of weights by
    name takes it. `load_state_dict` says so in words, with ``strict=False`` too.
    """

    def wire(self, told: bytes) -> None:
        """Keep what the module is made of."""
        self._wiring = MARK + hashlib.sha256(told).hexdigest()[:16]
        self.register_buffer(self._wiring, torch.empty(0))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], strict: bool,
        missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        given = [name for name in state_dict if name.startswith(prefix + MARK)]
        if given and prefix + self._wiring not in given:
            error_msgs.append(
                f"the weights belong to another {type(self).__name__}, of other names, edges or order of inputs "
                f"({given[0]}, where this one has {prefix}{self._wiring}); make the network from what those were "
                "trained with: the same ontology or topology, and the same genes in the same order"
            )
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
