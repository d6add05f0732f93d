"""Pictures of attributions: letters and substitutions at base resolution, tracks along 100 kb.

They need ``pip install 'nucleoscope[plot]'``.
"""

from nucleoscope.plot.attention import attention_heatmap, conditioning_panel, rollout_track
from nucleoscope.plot.figure import new_figure, save_figure
from nucleoscope.plot.heatmap import heatmap
from nucleoscope.plot.letters import PALETTES
from nucleoscope.plot.logo import logo
from nucleoscope.plot.motif_logo import motif_logo
from nucleoscope.plot.sheet import KINDS, View, sheet
from nucleoscope.plot.track import track
from nucleoscope.plot.tracks import Mark, overview

__all__ = [
    "KINDS",
    "PALETTES",
    "Mark",
    "View",
    "attention_heatmap",
    "conditioning_panel",
    "heatmap",
    "logo",
    "motif_logo",
    "new_figure",
    "overview",
    "rollout_track",
    "save_figure",
    "sheet",
    "track",
]
