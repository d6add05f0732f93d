"""Pictures of attributions: letters at base resolution, and the strongest scores along 100 kb.

They need ``pip install 'nucleoscope[plot]'``.
"""

from nucleoscope.plot.figure import new_figure, save_figure
from nucleoscope.plot.logo import logo
from nucleoscope.plot.tracks import Mark, overview

__all__ = ["Mark", "logo", "new_figure", "overview", "save_figure"]
