"""The networks in the shape of an ontology, and what is given to them: read alike by all that explains them."""

from __future__ import annotations

import torch
from torch import Tensor

from nucleoscope.models.dcell import DCell, DrugCell
from nucleoscope.models.gen_net import GenNet
from nucleoscope.models.subsystems import Subsystems

TermNetwork = DCell | DrugCell | GenNet


def net_of_terms(
    model: TermNetwork,
    x: Tensor,  # [N, inputs]
    others: tuple[Tensor, ...],  # of a DrugCell its fingerprints, of a GenNet its covariates
) -> Subsystems | GenNet:
    """The part of a model that has terms or nodes, once all that the model takes fits it.

    Raises TypeError for another model, ValueError for training mode, in which BatchNorm would move with each call,
    for shapes that do not fit, for a number of further inputs that the model does not take, and for NaN and
    infinities, of which no explanation can say anything.
    """
    if not isinstance(model, TermNetwork):
        raise TypeError(
            f"model: a {type(model).__name__}, where a DCell, DrugCell or GenNet is needed"
        )
    if model.training:
        raise ValueError("model: it is in training mode; call model.eval() first")
    net = model.cell if isinstance(model, DrugCell) else model
    if x.ndim != 2 or not len(x) or x.shape[1] != net.length:
        raise ValueError(
            f"x: shape {tuple(x.shape)}, where [N, {net.length}] is needed, N 1 or more"
        )
    takes = isinstance(model, DrugCell) or (isinstance(model, GenNet) and model.covariates > 0)
    if len(others) != takes or any(len(each) != len(x) for each in others):
        raise ValueError(
            f"others: {len(others)} further inputs of {[len(each) for each in others]} rows; this model takes "
            f"{int(takes)}, with a row for each of the {len(x)} examples"
        )
    for name, given in (("x", x), *(("others", each) for each in others)):
        finite(name, given)
    return net


def finite(name: str, given: Tensor) -> None:
    """Refuse NaN and infinities, and say how many and where the first is."""
    strange = (~torch.isfinite(given)).nonzero()
    if len(strange):
        raise ValueError(
            f"{name}: {len(strange)} numbers that are NaN or infinite, the first at {strange[0].tolist()}; "
            "leave these examples out or fill them in"
        )
