"""How far a result can be trusted: one question, one file; `card` puts the answers together.

Each question is a function of a model and sequences that gives a `Finding`. Its thresholds are ours: nothing
in the literature sets them, so that they are named beside what was measured.
"""

from nucleoscope.diagnostics.additive_model import additive_model as additive_model
from nucleoscope.diagnostics.attention_conditioning import (
    attention_conditioning as attention_conditioning,
)
from nucleoscope.diagnostics.card import Card as Card
from nucleoscope.diagnostics.card import card as card
from nucleoscope.diagnostics.faithfulness import faithfulness as faithfulness
from nucleoscope.diagnostics.finding import Finding as Finding
from nucleoscope.diagnostics.gauge import gauge as gauge
from nucleoscope.diagnostics.loss_gap import loss_gap as loss_gap
from nucleoscope.diagnostics.precision import precision as precision
from nucleoscope.diagnostics.redundancy import redundancy as redundancy
from nucleoscope.diagnostics.vanishing import vanishing as vanishing

__all__ = [
    "Card",
    "Finding",
    "additive_model",
    "attention_conditioning",
    "card",
    "faithfulness",
    "gauge",
    "loss_gap",
    "precision",
    "redundancy",
    "vanishing",
]
