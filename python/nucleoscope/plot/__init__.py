"""Pictures of attributions: letters and substitutions at base resolution, tracks along 100 kb.

They need ``pip install 'nucleoscope[plot]'``.
"""

from nucleoscope.plot.figure import new_figure, save_figure
from nucleoscope.plot.heatmap import heatmap
from nucleoscope.plot.logo import PALETTES, logo
from nucleoscope.plot.sheet import KINDS, View, sheet
from nucleoscope.plot.track import track
from nucleoscope.plot.tracks import Mark, overview

__all__ = [
    "KINDS",
    "PALETTES",
    "Mark",
    "View",
    "heatmap",
    "logo",
    "new_figure",
    "overview",
    "save_figure",
    "sheet",
    "track",
]
